"""The SQLite database: one connection per thread, many readers, one writer."""

from __future__ import annotations

import sqlite3
import threading
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Params = Sequence[Any]


class Store:
    """A database file.

    Even `:memory:` sandboxes use a (temporary) file: with a write-ahead log its readers wait
    neither for each other nor for a writer, as those of SQLite's shared memory databases do.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []
        self._opening = threading.Lock()
        self._writing = threading.RLock()

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection of the present thread."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._open()
        return connection

    def rows(self, sql: str, params: Params = ()) -> list[tuple[Any, ...]]:
        """All rows of a statement."""
        return self.connection.execute(sql, params).fetchall()

    def value(self, sql: str, params: Params = ()) -> Any:
        """The first column of the first row, None without rows."""
        row = self.connection.execute(sql, params).fetchone()
        return row[0] if row else None

    def execute(self, sql: str, params: Params = ()) -> None:
        """Run a statement that changes data; alone, or within `write`."""
        with self.write() as connection:
            connection.execute(sql, params)

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """One transaction; nested ones join the outermost."""
        connection = self.connection
        with self._writing:
            if connection.in_transaction:
                yield connection
                return
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    def close(self) -> None:
        """Close the connections of all threads."""
        with self._opening:
            for connection in self._opened:
                connection.close()
            self._opened.clear()
        self._local = threading.local()

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, timeout=60, isolation_level=None, check_same_thread=False
        )
        connection.create_function("fold", 1, fold, deterministic=True)
        for pragma in ("journal_mode = WAL", "synchronous = OFF", "mmap_size = 4000000000"):
            connection.execute(f"PRAGMA {pragma}")
        with self._opening:
            self._opened.append(connection)
        return connection


def fold(text: Any) -> Any:
    """A text without case and accents, as MariaDB's collation compares it."""
    if not isinstance(text, str):
        return text
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(char for char in decomposed if not unicodedata.combining(char)).casefold()
