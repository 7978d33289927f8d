"""The command: `python -m tests.chaos --seed 1 --minutes 10`."""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.chaos import extraction, load, schedule
from tests.chaos.programs import Failure
from tests.chaos.schedule import Schedule

Run = Callable[[Schedule, Path], str]
KINDS: dict[str, tuple[Callable[[int], Schedule], Run]] = {
    "tap": (schedule.for_tap, extraction.run),
    "writers": (schedule.for_writers, extraction.run),
    "target": (schedule.for_target, load.run),
}


def attempt(run: Run, plan: Schedule) -> tuple[str, str | None]:
    """Run a schedule in a directory of its own: what happened, and which promise was not kept."""
    with TemporaryDirectory(prefix="chaos-") as directory:
        try:
            return run(plan, Path(directory)), None
        except Failure as failure:
            return "failed", str(failure)
        except Exception:  # noqa: BLE001 - a defect of the chaos itself is shown with its seed too
            return "broke", traceback.format_exc()


def shortest(run: Run, plan: Schedule) -> tuple[Schedule, str]:
    """The shortest prefix of a schedule that fails, by halves, and how it does."""
    _, failure = attempt(run, plan)
    passes, fails = -1, len(plan.events)
    while fails - passes > 1:
        middle = (passes + fails) // 2
        _, found = attempt(run, plan.first(middle))
        if found:
            fails, failure = middle, found
        else:
            passes = middle
    return plan.first(fails), failure or "It does not fail each time: threads are not in a schedule"


def main() -> int:
    """Run schedules, one seed after the other, for some minutes or for a number of seeds."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=main.__doc__)
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--seeds", type=int, default=10**6, help="the most seeds")
    parser.add_argument("--minutes", type=float, default=10, help="start none after so many")
    parser.add_argument("--only", choices=KINDS, help="only schedules of this kind")
    parser.add_argument("--show", action="store_true", help="print the schedules, and run none")
    options = parser.parse_args()
    end = time.monotonic() + 60 * options.minutes
    failed = ran = 0
    for seed in range(options.seed, options.seed + options.seeds):
        for kind, (plan_of, run) in KINDS.items():
            if options.only not in {None, kind}:
                continue
            if time.monotonic() > end:
                print(f"{ran} schedules, {failed} failed")
                return int(bool(failed))
            plan = plan_of(seed)
            if options.show:
                print(f"{kind} {seed}\n{plan}")
                continue
            began = time.monotonic()
            said, failure = attempt(run, plan)
            ran += 1
            print(f"{kind} {seed}: {said}, {time.monotonic() - began:.0f} s", flush=True)
            if failure:
                failed += 1
                print(f"{plan}\n{failure}\nLooking for the shortest prefix that fails ...")
                prefix, failure = shortest(run, plan)
                print(f"{kind} {seed}, the first {len(prefix.events)} events\n{prefix}\n{failure}")
    print(f"{ran} schedules, {failed} failed")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
