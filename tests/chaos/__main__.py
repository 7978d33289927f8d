"""The command: `python -m tests.chaos --seed 1 --minutes 10`."""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.chaos.kinds import KINDS, run
from tests.chaos.programs import Failure
from tests.chaos.schedule import Schedule


def attempt(kind: str, plan: Schedule) -> tuple[str, str | None]:
    """Run a schedule in a directory of its own: what happened, and which promise was not kept."""
    with TemporaryDirectory(prefix="chaos-") as directory:
        try:
            return run(kind, plan, Path(directory)), None
        except Failure as failure:
            return "failed", str(failure)
        except Exception:  # noqa: BLE001 - a defect of the chaos itself is shown with its seed too
            return "broke", traceback.format_exc()


def shortest(kind: str, plan: Schedule) -> tuple[Schedule, str]:
    """The shortest prefix of a schedule that fails, by halves, and how it does."""
    _, failure = attempt(kind, plan)
    passes, fails = -1, len(plan.events)
    while fails - passes > 1:
        middle = (passes + fails) // 2
        _, found = attempt(kind, plan.first(middle))
        if found:
            fails, failure = middle, found
        else:
            passes = middle
    return plan.first(fails), failure or "It does not fail each time: threads are not in a schedule"


def run_each(schedules: Iterable[tuple[int, str]], end: float) -> list[bool]:
    """Run schedules until there are none left or time is over; return which have failed."""
    results = []
    for seed, kind in schedules:
        if time.monotonic() > end:
            break
        plan = KINDS[kind].schedule(seed)
        began = time.monotonic()
        said, failure = attempt(kind, plan)
        text = f"{kind} {seed}: {said}, {time.monotonic() - began:.0f} s"
        results.append(bool(failure))
        if failure:
            prefix, again = shortest(kind, plan)
            text += (
                f"\n{plan}\n{failure}\n"
                f"{kind} {seed}, the first {len(prefix.events)} events\n{prefix}\n{again}"
            )
        print(text, flush=True)
    return results


def main() -> int:
    """Run schedules, one seed after the other, for some minutes or for a number of seeds."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=main.__doc__)
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--seeds", type=int, default=10**6, help="the most seeds")
    parser.add_argument("--minutes", type=float, default=10, help="start none after so many")
    parser.add_argument("--jobs", type=int, default=1, help="how many schedules run at once")
    parser.add_argument("--only", choices=KINDS, help="only schedules of this kind")
    parser.add_argument("--show", action="store_true", help="print the schedules, and run none")
    options = parser.parse_args()
    end = time.monotonic() + 60 * options.minutes
    kinds = [options.only] if options.only else [*KINDS]
    schedules = product(range(options.seed, options.seed + options.seeds), kinds)
    if options.show:
        for seed, kind in schedules:
            print(f"{kind} {seed}\n{KINDS[kind].schedule(seed)}")
        return 0
    with ThreadPoolExecutor(options.jobs) as pool:  # they share the schedules
        running = [pool.submit(run_each, schedules, end) for _ in range(options.jobs)]
    results = [result for each in running for result in each.result()]
    print(f"{len(results)} schedules, {sum(results)} failed")
    return int(any(results))


if __name__ == "__main__":
    sys.exit(main())
