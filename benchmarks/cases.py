"""What is measured: the table of cases, and how each is run."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from benchmarks import reading, verifying, warehouses, writing
from benchmarks.measure import Server, Took, emptied, run
from benchmarks.reading import COOKIECUTTER, READERS, TAP, Night
from benchmarks.writing import TARGET
from tests.e2e.postgres import Postgres

LATENCIES = (0, 20, 50, 200)
SESSIONS = (1, 4, 8, 16)
ROWS = 20_000
MEMORY_ROWS = (10_000, 100_000, 1_000_000)
LOADED = 2_000
_ROWS_OF_A_SESSION = {200: 2_500}  # at these latencies, or nobody would wait for the bench

VERSION, IMPORT = "tap-kafinea --version", "import singer_sdk.tap_base"
_STARTS = {
    VERSION: [READERS[TAP].command[0], "--version"],
    IMPORT: [sys.executable, "-c", IMPORT],
}


@dataclass(frozen=True)
class Case:
    """One thing to measure.

    Attributes:
        kind: What is done, a method of `Bench`.
        who: Who does it.
        rows: How many records.
        latency_ms: How long the server takes for a request.
        sessions: How many sessions may be used.
        rounds: The most rounds it is worth.
    """

    kind: str
    who: str
    rows: int = 0
    latency_ms: int = 0
    sessions: int = 1
    rounds: int = 1_000

    @property
    def conditions(self) -> dict[str, int]:
        """What it is run with."""
        return {"rows": self.rows, "latency_ms": self.latency_ms, "sessions": self.sessions}


def all_cases() -> list[Case]:
    """Return the table."""
    return [
        *_speed(),
        *(
            Case("memory", who, rows, sessions=8, rounds=1)
            for who, reader in READERS.items()
            for rows in MEMORY_ROWS
            if reader.ids and (rows <= 100_000 or who == TAP)
        ),
        *(Case("night", who, Night.CHANGES, latency_ms=50, sessions=4) for who in Night.TAPS),
        Case("night", TAP, 0, latency_ms=50, sessions=4),
        Case("night", COOKIECUTTER, 0, latency_ms=50, sessions=4, rounds=1),
        Case("load", TARGET, LOADED, latency_ms=50, sessions=8),
        Case("load", writing.LIMIT, LOADED, latency_ms=50, sessions=8),
        Case("load", writing.COOKIECUTTER, LOADED, latency_ms=50, rounds=1),
        Case("reload", TARGET, LOADED, latency_ms=50, sessions=8),
        Case("change", TARGET, LOADED, latency_ms=50, sessions=8),
        *_warehouses(),
        Case("verify", verifying.VERIFY, verifying.ROWS, latency_ms=50, sessions=8),
        *(Case("start", what) for what in (*_STARTS, *_STARTS, *_STARTS)),
    ]


def _speed() -> Iterator[Case]:
    for latency in LATENCIES:
        for sessions in SESSIONS:
            rows = min(ROWS, _ROWS_OF_A_SESSION.get(latency, ROWS) * sessions)
            for who, reader in READERS.items():
                if reader.is_parallel or sessions == 1:
                    yield Case("read", who, rows, latency, sessions)


def _warehouses() -> Iterator[Case]:
    for latency in (0, 50):
        yield Case("warehouse", TAP, warehouses.ROWS, latency, sessions=8)
        for who, way in warehouses.WAYS.items():
            if way.is_parallel:
                yield Case("warehouse", who, warehouses.ROWS, latency, sessions=8)
            else:
                yield Case("warehouse", who, warehouses.ROWS, latency, rounds=1)


class Bench:
    """Runs cases.

    Args:
        server: The server.
        work: A directory for files.
        postgres: A database.
    """

    def __init__(self, server: Server, work: Path, postgres: Postgres) -> None:
        self._server, self._work, self._postgres = server, work, postgres
        reading.warm_up(server, work)

    def run(self, case: Case) -> Took:
        """Run a case once."""
        took: Took = getattr(self, f"_{case.kind}")(case)
        return took

    @cached_property
    def _prepared_night(self) -> Night:
        return Night(self._server, self._work)

    def _read(self, case: Case) -> Took:
        return reading.read(
            self._server,
            case.who,
            self._work,
            **case.conditions,
        )

    _memory = _read

    def _night(self, case: Case) -> Took:
        return self._prepared_night.read(
            case.who, changes=case.rows, latency_ms=case.latency_ms, sessions=case.sessions
        )

    def _load(self, case: Case) -> Took:
        act = {"load": writing.load, "reload": writing.reload, "change": writing.change}
        return act[case.kind](
            self._server,
            case.who,
            self._work,
            **case.conditions,
        )

    _reload = _change = _load

    def _warehouse(self, case: Case) -> Took:
        return warehouses.load(
            self._server,
            case.who,
            self._work,
            self._postgres,
            **case.conditions,
        )

    def _verify(self, case: Case) -> Took:
        return verifying.verify(self._server, self._work, self._postgres, **case.conditions)

    def _start(self, case: Case) -> Took:
        return run(_STARTS[case.who], emptied(self._work / "run"))
