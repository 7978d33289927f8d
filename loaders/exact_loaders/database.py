"""What a database does for the loader. `duckdb_database` and `postgres_database` do it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from exact_loaders.columns import Column, Kind
from exact_loaders.values import Reading

DELETED_AT = "_sdc_deleted_at"
VERSION = "_sdc_table_version"


@dataclass(frozen=True)
class Found:
    """A column as it is found in a table.

    Attributes:
        column: The column.
        taken_over: Where its type is one that this loader does not create: the SQL expression of
            its values in the type of `column`. Empty if they cannot be converted exactly, None if
            they need not be.
    """

    column: Column
    taken_over: str | None = None


@dataclass(frozen=True)
class Existing:
    """A table as it is found.

    Attributes:
        columns: Its columns.
        is_ours: Whether this loader has written it before.
    """

    columns: Sequence[Found]
    is_ours: bool


@dataclass(frozen=True)
class Batch:
    """Rows to write at once.

    Attributes:
        columns: The columns that the rows have.
        keys: The names of the key columns; the rows are appended if there are none.
        lines: The JSON object of each row, by its key.
        constants: Values that all rows have in other columns.
        delete_marked: Whether rows with a value in `_sdc_deleted_at` are deleted.
    """

    columns: Collection[Column]
    keys: Sequence[str]
    lines: Mapping[tuple[Any, ...], Any]
    constants: Mapping[str, datetime | int]
    delete_marked: bool


class NotRead(Exception):
    """The database refuses a value of the batch. Nothing of the batch is written."""


class Database(ABC):
    """A database, and one schema in it. Names of tables and columns are quoted here.

    Args:
        schema: The schema of the tables.
    """

    reading: Reading
    folds_names: bool
    """Whether names that differ in case only are the same."""
    conversions: Mapping[tuple[Kind, Kind], str]
    """What other loaders store in a wider type, and the expression that narrows it exactly."""

    def __init__(self, schema: str) -> None:
        self._schema = schema

    @abstractmethod
    def exclusive(self, table: str) -> AbstractContextManager[None]:
        """Keep other runs from changing the columns of a table meanwhile."""

    @abstractmethod
    def existing(self, table: str) -> Existing | None:
        """Return a table as it is; None if there is none."""

    @abstractmethod
    def create(self, table: str, columns: Iterable[Column], keys: Sequence[str]) -> None:
        """Create a table."""

    @abstractmethod
    def take_over(self, table: str, keys: Sequence[str]) -> None:
        """Mark a table as written by this loader, and make its keys unique."""

    @abstractmethod
    def add(self, table: str, columns: Iterable[Column]) -> None:
        """Add columns."""

    @abstractmethod
    def convert(self, table: str, column: Column, expression: str = "") -> bool:
        """Change the type of a column; return whether all its values could be converted.

        Args:
            table: The table.
            column: The column with its new type.
            expression: The SQL expression of its values; empty for that from the type it has.
        """

    def comment(self, table: str, columns: Iterable[Column]) -> None:
        """Set the comments of columns."""
        for column in columns:
            place = f"{self._name(table)}.{quoted(column.name)}"
            self._run(f"COMMENT ON COLUMN {place} IS {literal(column.comment)}")

    @abstractmethod
    def write(self, table: str, batch: Batch) -> None:
        """Write rows, in one transaction.

        Raises:
            NotRead: The database refuses a value.
            LoaderError: It cannot be written.
        """

    def activate(self, table: str, version: int, at: datetime, *, delete: bool) -> None:
        """Delete the rows of other versions, or mark them in `_sdc_deleted_at`."""
        others = f"{quoted(VERSION)} IS DISTINCT FROM {version}"
        name, mark = self._name(table), quoted(DELETED_AT)
        if delete:
            self._run(f"DELETE FROM {name} WHERE {others}")
        else:
            self._run(
                f"UPDATE {name} SET {mark} = {constant(at)} WHERE {others} AND {mark} IS NULL"
            )

    @abstractmethod
    def close(self) -> None:
        """Close the connection."""

    @abstractmethod
    def _run(self, sql: str) -> Any:
        """Run a statement."""

    def _name(self, table: str) -> str:
        return f"{quoted(self._schema)}.{quoted(table)}"


def quoted(name: str) -> str:
    """Return a name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return a string as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"


def constant(value: datetime | int) -> str:
    """Return a value as SQL writes it."""
    if isinstance(value, datetime):
        return f"TIMESTAMPTZ {literal(value.isoformat())}"
    return str(value)
