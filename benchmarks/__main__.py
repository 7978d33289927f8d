"""The benchmarks.

python -m benchmarks                 everything, five rounds: writes docs/performance.md
python -m benchmarks --rounds 1      the same, once
python -m benchmarks --only night load
python -m benchmarks report          writes docs/performance.md again from the last results
python -m benchmarks quick --latency 0 50 --sessions 4 8 --rows 20000 --who tap-kafinea
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import reading, results
from benchmarks.cases import ROWS, Bench, Case, all_cases
from benchmarks.measure import CommandFailed, Server, Took, WrongResult
from benchmarks.reading import READERS
from tests.e2e.postgres import postgres


def bench(options: argparse.Namespace) -> None:
    """Run the cases in rounds, each case once in a round, and write the report."""
    cases = [case for case in all_cases() if not options.only or case.kind in options.only]
    began, failed = time.monotonic(), False
    with (
        Server() as server,
        tempfile.TemporaryDirectory() as work,
        postgres() as database,
        Path(os.devnull if options.only else results.PATH).open("w") as lines,
    ):
        lines.write(results.first_line(options.rounds))
        runner = Bench(server, Path(work), database)
        for number in range(options.rounds):
            for case in cases:
                if number < case.rounds:
                    outcome = _outcome(runner, case)
                    failed |= not isinstance(outcome, Took)
                    lines.write(results.line_of(case, number, outcome))
                    lines.flush()
    if not options.only:
        _report()
    print(f"{(time.monotonic() - began) / 60:.0f} minutes")
    sys.exit(failed)


def _outcome(runner: Bench, case: Case) -> Took | Exception:
    try:
        took = runner.run(case)
    except (CommandFailed, WrongResult) as error:
        print(f"{case}: {error}", file=sys.stderr)
        return error
    _show(case, took)
    return took


def quick(options: argparse.Namespace) -> None:
    """Read once for each combination."""
    with Server() as server, tempfile.TemporaryDirectory() as work:
        reading.warm_up(server, Path(work))
        for latency in options.latency:
            for sessions in options.sessions:
                for who in options.who:
                    if READERS[who].is_parallel or sessions == options.sessions[0]:
                        case = Case("read", who, options.rows, latency, sessions)
                        _show(case, reading.read(server, who, Path(work), **case.conditions))


def _show(case: Case, took: Took) -> None:
    rows = case.rows or 1
    print(
        f"{case.kind:9} {case.who:36} {case.latency_ms:4} ms {case.sessions:3} sessions"
        f" {case.rows:9,} rows {took.active:7.2f} s {case.rows / took.active:8,.0f}/s"
        f" {took.seconds:7.2f} s with start {took.cpu / rows * 1e6:7,.0f} us CPU/row"
        f" {took.peak_mb:4.0f} MB {sum(took.requests.values()):5} requests, {took.sessions} at"
        f" once; server {took.server_cpu / (took.working or 1):4.0%}",
        flush=True,
    )


def _report() -> None:
    from benchmarks import report  # noqa: PLC0415 it needs matplotlib, and `quick` does not

    print(report.write())


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="benchmarks")
    parser.add_argument("command", nargs="?", choices=["bench", "quick", "report"], default="bench")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", help="kinds of cases")
    parser.add_argument("--latency", type=int, nargs="+", default=[50])
    parser.add_argument("--sessions", type=int, nargs="+", default=[8])
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--who", nargs="+", choices=READERS, default=list(READERS))
    options = parser.parse_args()
    if options.command == "report":
        _report()
    else:
        (quick if options.command == "quick" else bench)(options)


if __name__ == "__main__":
    main()
