"""The goals of the benchmarks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks import reading, results, verifying, writing
from benchmarks.cases import IMPORT, LOADED, ROWS, VERSION
from benchmarks.reading import COOKIECUTTER, TAP, Night
from benchmarks.results import Measure, Results
from benchmarks.warehouses import DLT, REST_API, TO_DUCKDB, TO_POSTGRES
from benchmarks.writing import TARGET

Figure = Callable[[Results], float]


@dataclass(frozen=True)
class Goal:
    """Something to reach.

    Attributes:
        what: What it is.
        wanted: The least, or the most.
        figure: What it is in the results.
        shown: How to write both.
        at_most: `wanted` is the most.
    """

    what: str
    wanted: float
    figure: Figure
    shown: str = "{:.1f}x"
    at_most: bool = False

    def row(self, results: Results) -> list[str]:
        """Return its line in a table."""
        wanted = f"at {'most' if self.at_most else 'least'} {self.shown.format(self.wanted)}"
        try:
            measured = self.figure(results)
        except LookupError:
            return [self.what, wanted, "not measured", ""]
        reached = measured <= self.wanted if self.at_most else measured >= self.wanted
        return [self.what, wanted, self.shown.format(measured), "yes" if reached else "**no**"]


def _of(numerator: Figure, denominator: Figure) -> Figure:
    return lambda bench: numerator(bench) / denominator(bench)


def _read(measure: Measure, who: str, latency_ms: int, sessions: int) -> Figure:
    return lambda bench: bench.read(measure, who, latency_ms, sessions)


def _median(measure: Measure, kind: str, who: str, **where: int) -> Figure:
    return lambda bench: bench.median(measure, kind, who, **where)


def _speed(latency_ms: int, sessions: int, other: str) -> Figure:
    return _of(
        _read(results.rate, TAP, latency_ms, sessions),
        _read(results.rate, other, latency_ms, sessions),
    )


def _loading(other: str) -> Figure:
    return _of(_median(results.rate, "load", TARGET), _median(results.rate, "load", other))


def _most(measure: Measure, **where: int) -> Figure:
    return lambda bench: max(measure(*run) for run in bench.runs("read", TAP, rows=ROWS, **where))


def _into(who: str, latency_ms: int, other: str) -> Figure:
    where = {"latency_ms": latency_ms}
    return _of(
        _median(results.rate, "warehouse", who, **where),
        _median(results.rate, "warehouse", other, **where),
    )


def _queries_of_a_settled_module(bench: Results) -> float:
    run = max(bench.runs("night", TAP, rows=0), key=lambda run: results.requests(*run))
    return run[1].requests["query"] / len(Night.MODULES)


_PERCENT, _NUMBER = "{:.0%}", "{:,.0f}"

GOALS = (
    Goal(
        "50 ms, 8 sessions: rate, compared with the cookiecutter tap",
        7,
        _speed(50, 8, COOKIECUTTER),
    ),
    Goal(
        "50 ms, 8 sessions: rate, compared with raw HTTP",
        0.7,
        _speed(50, 8, reading.LIMIT),
        _PERCENT,
    ),
    Goal(
        "50 ms, 16 sessions: rate, compared with the cookiecutter tap",
        12,
        _speed(50, 16, COOKIECUTTER),
    ),
    Goal(
        "0 ms, 4 sessions: rate, compared with the cookiecutter tap", 4, _speed(0, 4, COOKIECUTTER)
    ),
    Goal(
        "0 ms, 4 sessions: CPU for a record, compared with the cookiecutter tap",
        0.5,
        _of(_read(results.cpu, TAP, 0, 4), _read(results.cpu, COOKIECUTTER, 0, 4)),
        _PERCENT,
        at_most=True,
    ),
    Goal(
        f"Requests for {ROWS:,} records with 4 sessions, including logins and logouts",
        1.1 * ROWS / 100 + 10,
        _most(results.requests, sessions=4),
        _NUMBER,
        at_most=True,
    ),
    Goal(
        f"Queries for {ROWS:,} records with any number of sessions",
        1.1 * ROWS / 100 + 10,
        _most(results.queries),
        _NUMBER,
        at_most=True,
    ),
    Goal(
        "Queries for a module without changes",
        1,
        _queries_of_a_settled_module,
        "{:.2f}",
        at_most=True,
    ),
    Goal(
        "Nightly run: time, compared with the cookiecutter tap, including the start of Python",
        0.3,
        _of(
            _median(results.seconds, "night", TAP, rows=Night.CHANGES),
            _median(results.seconds, "night", COOKIECUTTER, rows=Night.CHANGES),
        ),
        _PERCENT,
        at_most=True,
    ),
    Goal(
        f"{LOADED:,} new records: rate, compared with the cookiecutter target",
        6,
        _loading(writing.COOKIECUTTER),
    ),
    Goal(
        f"{LOADED:,} new records: rate, compared with raw creations",
        0.7,
        _loading(writing.LIMIT),
        _PERCENT,
    ),
    Goal(
        "Loading them again without changes: speed, compared with creating them",
        50,
        _of(_median(results.active, "load", TARGET), _median(results.active, "reload", TARGET)),
    ),
    Goal(
        "Loading them again without changes: write requests",
        0,
        _median(results.writes, "reload", TARGET),
        _NUMBER,
        at_most=True,
    ),
    *(
        Goal(
            f"{latency_ms} ms: rate into {database}, compared with the tap alone",
            least,
            _into(who, latency_ms, TAP),
            _PERCENT,
        )
        for database, who, latency_ms, least in (
            ("DuckDB", TO_DUCKDB, 0, 0.9),
            ("DuckDB", TO_DUCKDB, 50, 0.9),
            ("PostgreSQL", TO_POSTGRES, 0, 0.75),
            ("PostgreSQL", TO_POSTGRES, 50, 0.9),
        )
    ),
    Goal(
        "50 ms: rate of our dlt source into DuckDB, compared with dlt's rest_api",
        10,
        _into(DLT, 50, REST_API),
    ),
    Goal(
        f"50 ms, 8 sessions: `kafinea verify` of {verifying.ROWS:,} records",
        60,
        _median(results.seconds, "verify", verifying.VERIFY),
        "{:.0f} s",
        at_most=True,
    ),
    Goal(
        "Peak memory at 1,000,000 records, compared with 100,000",
        1.2,
        _of(
            _median(results.peak, "memory", TAP, rows=1_000_000),
            _median(results.peak, "memory", TAP, rows=100_000),
        ),
        "{:.2f}x",
        at_most=True,
    ),
    Goal(
        "Peak memory at 1,000,000 records",
        150,
        _median(results.peak, "memory", TAP, rows=1_000_000),
        "{:.0f} MB",
        at_most=True,
    ),
    Goal(
        f"`{VERSION}`: time, compared with `python -c '{IMPORT}'`",
        1.3,
        _of(_median(results.seconds, "start", VERSION), _median(results.seconds, "start", IMPORT)),
        "{:.2f}x",
        at_most=True,
    ),
)
