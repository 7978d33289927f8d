"""Some schedules of chaos. `make chaos` runs others, as many as time allows."""

import pytest

from tests.chaos.kinds import KINDS, run

SEEDS = [("tap", 8), ("tap", 10), ("writers", 12), ("target", 11), ("target", 15)]


@pytest.mark.operate  # several programs at once, for two minutes
@pytest.mark.parametrize(("kind", "seed"), SEEDS)
def test_all_promises_are_kept(kind, seed, tmp_path):
    plan = KINDS[kind].schedule(seed)
    assert str(plan) == str(KINDS[kind].schedule(seed))  # it replays
    assert run(kind, plan, tmp_path)
