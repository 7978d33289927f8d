"""Some schedules of chaos. `make chaos` runs others, as many as time allows."""

import pytest

from tests.chaos.__main__ import KINDS

SEEDS = [("tap", 8), ("tap", 10), ("writers", 12), ("target", 11), ("target", 15)]


@pytest.mark.operate  # several programs at once, for two minutes
@pytest.mark.parametrize(("kind", "seed"), SEEDS)
def test_all_promises_are_kept(kind, seed, tmp_path):
    plan_of, run = KINDS[kind]
    plan = plan_of(seed)
    assert str(plan) == str(plan_of(seed))  # it replays
    assert run(plan, tmp_path)
