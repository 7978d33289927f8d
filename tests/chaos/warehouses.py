"""The databases of the loader: its settings, what it has stored, and how the database fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import psycopg

from tests.e2e.postgres import Postgres, started

Rows = list[dict[str, Any]]


class DuckDB:
    """A file.

    Args:
        path: The file; the loader creates it.
    """

    loader = "exact_loaders.target_duckdb"

    def __init__(self, path: Path) -> None:
        self._path = path
        self.settings: dict[str, Any] = {"path": str(path)}
        self.address = f"duckdb:///{path}"

    def rows(self, table: str) -> Rows:
        """The rows of a table; none if there is no table."""
        if not self._path.exists():
            return []
        with duckdb.connect(self._path) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            try:
                rows = connection.execute(f'SELECT * FROM kafinea."{table}"')
            except duckdb.CatalogException:
                return []
            names = [column[0] for column in rows.description or ()]
            return [dict(zip(names, row, strict=True)) for row in rows.fetchall()]

    def locked(self) -> AbstractContextManager[Any]:
        """Another program has it open."""
        return duckdb.connect(self._path)


class PostgreSQL:
    """A server of its own.

    Args:
        server: The server.
    """

    loader = "exact_loaders.target_postgres"

    def __init__(self, server: Postgres) -> None:
        self._server = server
        names = ("host", "port", "user", "password")
        self.settings = {name: getattr(server, name) for name in names} | {"database": server.name}
        self.address = server.uri()

    def rows(self, table: str) -> Rows:
        """The rows of a table; none if there is no table."""
        try:
            return self._server.rows(f'SELECT * FROM kafinea."{table}"')
        except psycopg.errors.UndefinedTable:
            return []

    def end_connections(self) -> None:
        """Those of the loader end; a server that just starts again has ended them."""
        with suppress(psycopg.OperationalError):
            self._server.rows(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name LIKE 'target-postgres%'"
            )

    def restart(self) -> None:
        """The server ends, as if it was killed, and starts again."""
        assert self._server.restart
        self._server.restart()


@contextmanager
def opened(kind: str, directory: Path) -> Iterator[DuckDB | PostgreSQL]:
    """An empty database."""
    if kind == "duckdb":
        yield DuckDB(directory / "warehouse.duckdb")
        return
    with TemporaryDirectory() as own, started(own) as server:
        yield PostgreSQL(server)
