"""Comparing a warehouse with Kafinea, by `kafinea verify`."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks import warehouses
from benchmarks.measure import ENVIRONMENT, Server, Took, WrongResult, run
from benchmarks.reading import MODULE
from benchmarks.server import ACCESS_KEY, USER
from tests.e2e.postgres import Postgres

VERIFY = "kafinea verify"
ROWS = 200_000

_COMMAND = (
    *(sys.executable, "-m", "kafinea_cli", "verify", "--csv", MODULE),
    *("--warehouse", "duckdb:///warehouse.duckdb", "--schema", "kafinea"),
)


def verify(
    server: Server, work: Path, postgres: Postgres, *, rows: int, latency_ms: int, sessions: int
) -> Took:
    """Load all contacts into DuckDB, and return what it took to compare them.

    Raises:
        WrongResult: Not all were compared.
    """
    way = warehouses.TO_DUCKDB
    warehouses.load(server, way, work, postgres, rows=rows, sessions=sessions)
    server.order("set_up", latency_ms=latency_ms, formulas={MODULE: rows})
    settings = {
        "KAFINEA_URL": server.url,
        "KAFINEA_USERNAME": USER,
        "KAFINEA_ACCESS_KEY": ACCESS_KEY,
        "TAP_KAFINEA_MAX_SESSIONS": str(sessions),
    }
    directory = work / "run"
    took = run(_COMMAND, directory, server, sessions=sessions, env=ENVIRONMENT | settings)
    compared = (directory / "out").read_text().splitlines()[1]
    if not compared.startswith(f"{MODULE},{rows},{rows},0,0,0,"):
        raise WrongResult(f"{VERIFY}: {compared}")
    return took
