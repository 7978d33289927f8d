"""From Kafinea into a warehouse, end to end, and the proof that each record is there once."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from benchmarks import reading
from benchmarks.measure import Server, Took, WrongResult, emptied, run, write_config
from benchmarks.reading import COOKIECUTTER, MODULE, READERS, TAP
from benchmarks.tables import total
from tests.e2e.postgres import Postgres

ROWS = 50_000
TO_DUCKDB = f"{TAP}, target-duckdb-exact"
TO_POSTGRES = f"{TAP}, target-postgres-exact"
DLT = "dlt_kafinea, DuckDB"
REST_API = "dlt rest_api, DuckDB"
RIVAL = f"{COOKIECUTTER}, target-duckdb"

_SCHEMA = "kafinea"
_AMOUNT = "cf_861"
_FILE = "warehouse.duckdb"
_COUNTED = "SELECT count(*) AS n, count(DISTINCT id) AS ids, sum({1}) AS amount FROM {0}"
_BIN = Path(sys.executable).parent


Command = Callable[[Path, Path, Postgres], Sequence[str | Path]]
Settings = Callable[[Path, Postgres], dict[str, Any]]


@dataclass(frozen=True)
class Way:
    """One way into a warehouse.

    Attributes:
        command: Returns the command, from the server, the directory of the run, and PostgreSQL.
        rows: Returns the table's number of rows and of ids, and the sum of a currency field.
        is_parallel: It uses several sessions.
    """

    command: Command
    rows: Callable[[Path, Postgres], tuple[Any, ...]]
    is_parallel: bool = True


def _tap(who: str, directory: Path, work: Path) -> list[str | Path]:
    files = ["--config", directory / "config.json", "--catalog", work / f"{who}.json"]
    return [*READERS[who].command, *files]


def _piped(who: str, loader: str, settings: Settings) -> Command:
    def command(directory: Path, work: Path, postgres: Postgres) -> Sequence[str | Path]:
        config = directory / "loader.json"
        given = {"default_target_schema": _SCHEMA, **settings(directory, postgres)}
        config.write_text(json.dumps(given))
        ends: tuple[list[str | Path], ...] = (
            _tap(who, directory, work),
            [_BIN / loader, "--config", config],
        )
        return ["/bin/sh", "-c", " | ".join(shlex.join(map(str, end)) for end in ends)]

    return command


def _dlt(source: str) -> Command:
    command = (sys.executable, "-m", f"benchmarks.rivals.{source}")
    return lambda directory, _work, _postgres: [*command, directory / "config.json", "duckdb"]


def _in_duckdb(directory: Path, _: Postgres) -> tuple[Any, ...]:
    # Not all tools store a number.
    counted = _COUNTED.format(f"{_SCHEMA}.{MODULE}", f"{_AMOUNT}::DECIMAL(38, 2)")
    with duckdb.connect(str(directory / _FILE), read_only=True) as warehouse:
        return warehouse.execute(counted).fetchone() or ()


def _in_postgres(_: Path, postgres: Postgres) -> tuple[Any, ...]:
    (row,) = postgres.rows(_COUNTED.format(f'{_SCHEMA}."{MODULE}"', _AMOUNT))
    return tuple(row.values())


def _duckdb_settings(directory: Path, _: Postgres) -> dict[str, Any]:
    return {"path": str(directory / _FILE)}


def _rivals_settings(directory: Path, _: Postgres) -> dict[str, Any]:
    return {"filepath": str(directory / _FILE)}


def _postgres_settings(_: Path, postgres: Postgres) -> dict[str, Any]:
    postgres.rows(f"DROP SCHEMA IF EXISTS {_SCHEMA} CASCADE")
    login = {key: getattr(postgres, key) for key in ("host", "port", "user", "password")}
    return {**login, "database": postgres.name}


WAYS = {
    TO_DUCKDB: Way(_piped(TAP, "target-duckdb-exact", _duckdb_settings), _in_duckdb),
    TO_POSTGRES: Way(_piped(TAP, "target-postgres-exact", _postgres_settings), _in_postgres),
    DLT: Way(_dlt("dlt_kafinea"), _in_duckdb),
    REST_API: Way(_dlt("dlt_source"), _in_duckdb, is_parallel=False),
    RIVAL: Way(
        _piped(COOKIECUTTER, "target-duckdb", _rivals_settings), _in_duckdb, is_parallel=False
    ),
}


def load(
    server: Server,
    who: str,
    work: Path,
    postgres: Postgres,
    *,
    rows: int,
    latency_ms: int = 0,
    sessions: int = 1,
) -> Took:
    """Extract all contacts into a warehouse and return what it took.

    Raises:
        WrongResult: Records are missing or doubled, or amounts are wrong.
    """
    if who == TAP:
        return reading.read(server, TAP, work, rows=rows, latency_ms=latency_ms, sessions=sessions)
    server.order("set_up", latency_ms=latency_ms, formulas={MODULE: rows})
    way, directory = WAYS[who], emptied(work / "run")
    write_config(server, directory, max_sessions=sessions, module=MODULE)
    took = run(way.command(directory, work, postgres), directory, server, sessions=sessions)
    expected = (rows, rows, total(_AMOUNT, rows))
    found = way.rows(directory, postgres)
    if found != expected:
        raise WrongResult(f"{who}: {found} instead of {expected}")
    return took
