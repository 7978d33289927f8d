"""Some schedules of chaos. `make chaos` runs others, as many as time allows."""

import pytest

from tests.chaos.kinds import KINDS, run

# Together some 50 seconds of processor time.
SEEDS = [
    *(("tap", seed) for seed in (38, 40, 42)),  # PostgreSQL, a full disk, a restart
    ("writers", 50),
    *(("target", seed) for seed in (100, 110, 120)),
    *(("people", seed) for seed in (21, 27, 30)),
]


@pytest.mark.parametrize(("kind", "seed"), SEEDS)
def test_all_promises_are_kept(kind, seed, tmp_path):
    plan = KINDS[kind].schedule(seed)
    assert str(plan) == str(KINDS[kind].schedule(seed))  # it replays
    assert run(kind, plan, tmp_path)
