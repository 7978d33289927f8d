"""The benchmarks.

python -m benchmarks quick --latency 50 --sessions 8 16 --rows 20000 --who tap-kafinea
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks.measure import Server
from benchmarks.reading import LIMIT, READERS, read, warm_up


def quick(options: argparse.Namespace) -> None:
    """Read once for each combination and print what it took."""
    print(
        f"{'':18}{'ms':>4}{'sess':>5}{'rows/s':>9}{'whole/s':>9}{'s':>7}{'cpu us':>8}{'MB':>6}"
        f"{'reqs':>6}{'at once':>8}{'server':>8}"
    )
    with Server() as server, tempfile.TemporaryDirectory() as work:
        warm_up(server, Path(work))
        for latency in options.latency:
            for sessions in options.sessions:
                for who in options.who:
                    if not READERS[who].is_parallel and sessions != options.sessions[0]:
                        continue
                    took = read(
                        server,
                        who,
                        Path(work),
                        rows=options.rows,
                        latency_ms=latency,
                        sessions=sessions,
                    )
                    active = took.reading if who == LIMIT else took.active
                    print(
                        f"{who:18}{latency:4}{sessions:5}{options.rows / active:9,.0f}"
                        f"{options.rows / took.seconds:9,.0f}{active:7.2f}"
                        f"{took.cpu / options.rows * 1e6:8.1f}{took.peak_mb:6.0f}"
                        f"{sum(took.requests.values()):6}{took.sessions:8}"
                        f"{took.server_cpu / active:8.0%}",
                        flush=True,
                    )


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="benchmarks")
    parser.add_argument("command", choices=["quick"])
    parser.add_argument("--latency", type=int, nargs="+", default=[50])
    parser.add_argument("--sessions", type=int, nargs="+", default=[8])
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--who", nargs="+", choices=READERS, default=list(READERS))
    quick(parser.parse_args())


if __name__ == "__main__":
    main()
