"""Both databases, and the loader of each as a command."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import (
    AbstractContextManager,
    contextmanager,
    redirect_stderr,
    redirect_stdout,
)
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import duckdb
import pytest

from tests.e2e.postgres import Postgres
from tests.e2e.postgres import postgres as running_postgres

RUN = "from exact_loaders.target_{} import run; run()"


class Done(NamedTuple):
    """A run that has ended."""

    returncode: int
    stdout: str
    stderr: str


def lines(messages: Iterable[Any]) -> bytes:
    texts = (each if isinstance(each, str) else json.dumps(each) for each in messages)
    return "".join(text + "\n" for text in texts).encode()


class Warehouse:
    """A database and its loader."""

    name: str

    def __init__(self, directory: Path, settings: dict[str, Any]) -> None:
        self._config = directory / "config.json"
        self.settings = {"default_target_schema": "kafinea", **settings}

    def command(self, **settings: Any) -> list[str]:
        self._config.write_text(json.dumps(self.settings | settings))
        return [sys.executable, "-c", RUN.format(self.name), "--config", str(self._config)]

    def run(self, *messages: Any, **settings: Any) -> Done:
        """Load messages, in this process: dicts, or lines as they are."""
        *_, option, path = self.command(**settings)
        module = import_module(f"exact_loaders.target_{self.name}")
        stdout, stderr = io.StringIO(), io.StringIO()
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            with (
                mock.patch.object(sys, "argv", [self.name, option, path]),
                mock.patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines(messages)))),
                redirect_stdout(stdout),
                redirect_stderr(stderr),
            ):
                module.run()
                code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
        return Done(code, stdout.getvalue(), stderr.getvalue())

    def run_command(self, *messages: Any, **settings: Any) -> Done:
        """Load messages, in a process of its own."""
        done = subprocess.run(
            self.command(**settings), input=lines(messages), capture_output=True, check=False
        )
        return Done(done.returncode, done.stdout.decode(), done.stderr.decode())

    def load(self, *messages: Any, **settings: Any) -> str:
        """Load messages, and return the log; the run must succeed."""
        done = self.run(*messages, **settings)
        assert done.returncode == 0, done.stderr
        return done.stderr

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        raise NotImplementedError

    def types(self, table: str) -> dict[str, str]:
        raise NotImplementedError


class DuckDB(Warehouse):
    name = "duckdb"

    def __init__(self, directory: Path) -> None:
        self.path = directory / "warehouse.duckdb"
        super().__init__(directory, {"path": str(self.path)})

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(self.path) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            return connection.execute(sql).fetchall()

    def types(self, table: str) -> dict[str, str]:
        return {row[0]: row[1] for row in self.rows(f'DESCRIBE kafinea."{table}"')}


class PostgreSQL(Warehouse):
    name = "postgres"

    def __init__(self, directory: Path, database: Any) -> None:
        self.database = database
        settings = {key: getattr(database, key) for key in ("host", "port", "user", "password")}
        super().__init__(directory, settings | {"database": database.name})

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return [tuple(row.values()) for row in self.database.rows(sql)]

    def types(self, table: str) -> dict[str, str]:
        query = (
            "SELECT attname, format_type(atttypid, NULL) FROM pg_attribute WHERE attrelid = "
            f"'kafinea.\"{table}\"'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
        )
        return dict(self.rows(query))


Fresh = Callable[[Path], AbstractContextManager[Warehouse]]


def schema(
    stream: str = "Contacts", /, *, keys: tuple[str, ...] = ("id",), **properties: Any
) -> Any:
    """A SCHEMA message; `id` is a string."""
    return {
        "type": "SCHEMA",
        "stream": stream,
        "key_properties": keys,
        "schema": {"type": "object", "properties": {"id": {"type": "string"}, **properties}},
    }


def record(values: Any, stream: str = "Contacts", **more: Any) -> Any:
    return {"type": "RECORD", "stream": stream, "record": values, **more}


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="session", params=["duckdb", "postgres"])
def fresh(request: pytest.FixtureRequest) -> Fresh:
    """Makes an empty warehouse of each kind."""

    @contextmanager
    def fresh(directory: Path) -> Iterator[Warehouse]:
        if request.param == "duckdb":
            yield DuckDB(directory)
            return
        with request.getfixturevalue("postgres").fresh() as database:
            yield PostgreSQL(directory, database)

    return fresh


@pytest.fixture
def warehouse(fresh: Fresh, tmp_path: Path) -> Iterator[Warehouse]:
    with fresh(tmp_path) as warehouse:
        yield warehouse
