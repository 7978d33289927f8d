"""A warehouse as the comparison reads it. `duckdb_warehouse` and `postgres_warehouse` open one.

It is read only, in one transaction, so that all tables are as they were at one moment. Their types
may be those of any loader: each value is read as a string that says exactly what is stored.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from enum import Enum
from typing import Any, NamedTuple

from kafinea.describe import MODIFIED
from kafinea.errors import KafineaError
from kafinea_cli.stored_names import stored, stored_columns

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
MICROSECOND = timedelta(microseconds=1)

DELETED_AT = "_sdc_deleted_at"
DELETED_RECORDS = "deleted_records"
"""The stream of the deletions that the tap has found."""


class WarehouseError(KafineaError):
    """The warehouse cannot be opened or read. The text says what to do."""


class NotThere(WarehouseError):
    """An option or argument names something that there is not."""


class Kind(Enum):
    """How a column is read."""

    TEXT = "text"  # also numbers, booleans and dates, which all databases write alike
    DOUBLE = "double"  # rounded to 15 digits or so when it was stored
    INSTANT = "instant"  # microseconds since 1970
    LOCAL = "local"  # the same of a date-time without its zone, read as if it were UTC
    JSON = "json"  # also lists


TIMES = frozenset({Kind.INSTANT, Kind.LOCAL})
"""How date-times are read."""


@dataclass(frozen=True)
class Column:
    """A column of a table: its name, and how it is read."""

    name: str
    kind: Kind


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        stream: The stream that it holds, as the tap names it.
        name: Its name in the warehouse.
        columns: Its columns by the fields of the stream. Those that it does not have are missing.
        has_marks: Whether rows of deleted records are marked in `_sdc_deleted_at`.
    """

    stream: str
    name: str
    columns: Mapping[str, Column]
    has_marks: bool

    @property
    def modified(self) -> Column | None:
        """When a row was last changed in Kafinea."""
        return self.columns.get(MODIFIED)


class StoredId(NamedTuple):
    """What a row is compared by first.

    Attributes:
        number: The number in its id, by which rows are ordered; -1 if it has no valid id.
        id: Its id.
        modified: Its `modifiedtime`, as the kind of the column reads it.
    """

    number: int
    id: str
    modified: int | str | None


class Warehouse(ABC):
    """A warehouse, and one schema in it.

    Args:
        schema: The schema of the tables.
        sync: Whether the deletions were found by the server's own list. It does not report that a
            record was restored, which sets a new `modifiedtime`.
    """

    def __init__(self, schema: str, *, sync: bool = False) -> None:
        self.schema = schema
        self._sync = sync
        self._columns: Mapping[str, Sequence[Column]] | None = None

    def table(self, stream: str, fields: Iterable[str]) -> Table | None:
        """Return the table of a stream; None if there is none.

        The exact loaders keep names as they are, as far as PostgreSQL can. Others write them in
        lower case or in snake case.

        Args:
            stream: The stream.
            fields: Its fields.
        """
        tables = self._tables()
        name = _matching(stored(stream), tables)
        if name is None:
            return None
        columns = {column.name: column for column in tables[name]}
        names = {
            field: _matching(column, columns) for field, column in stored_columns(fields).items()
        }
        return Table(
            stream,
            name,
            {field: columns[found] for field, found in names.items() if found},
            has_marks=DELETED_AT in columns,
        )

    def _tables(self) -> Mapping[str, Sequence[Column]]:
        if self._columns is None:
            self._columns = self._read_columns()
        return self._columns

    def schemas(self, tables: Sequence[str]) -> list[str]:
        """Return the schemas that have one of some tables."""
        listed = ", ".join(literal(_squeezed(stored(table))) for table in tables)
        sql = (
            "SELECT DISTINCT table_schema FROM information_schema.tables"
            f" WHERE lower(replace(table_name, '_', '')) IN ({listed}) ORDER BY 1"
        )
        return [row[0] for row in self._rows(sql)]

    def ids(self, table: Table) -> Iterator[StoredId]:
        """Yield the ids of the rows, without those of deleted records, by their numbers."""
        key = quoted(table.columns["id"].name)
        row_id, number = self._text(key), self._number(key)
        modified = self._value(table.modified) if table.modified else "NULL"
        sql = (
            f"SELECT n, i, m FROM (SELECT COALESCE({number}, -1) AS n, COALESCE({row_id}, '') AS i,"
            f" {modified} AS m FROM {self._existing(table)}) AS ids"
            f" ORDER BY n, {self._binary('i')}"
        )
        return map(StoredId._make, self._rows(sql))

    def newest(self, table: Table, before: datetime) -> tuple[int | str | None, int | None]:
        """Return the greatest `modifiedtime` of the rows, and the greatest number of an id.

        Args:
            table: The table.
            before: Only a time before this one counts.

        Returns:
            The time as the kind of its column reads it. None where there is no row, or no column.
        """
        modified, number = "NULL", self._number(quoted(table.columns["id"].name))
        limit = "NULL"
        if table.modified:
            modified = self._value(table.modified)
            is_time = table.modified.kind in TIMES
            limit = str(microseconds(before)) if is_time else literal(before.isoformat())
        sql = (
            f"SELECT max(CASE WHEN m < {limit} THEN m END), max(n) FROM"
            f" (SELECT {modified} AS m, {number} AS n FROM {self._existing(table)}) AS times"
        )
        ((newest, greatest),) = self._rows(sql)
        return newest, greatest

    def rows(
        self, table: Table, fields: Sequence[str], ids: Sequence[str]
    ) -> Iterator[tuple[str, Sequence[str | None]]]:
        """Yield rows by their ids: the id, and the values of some fields as strings."""
        key = quoted(table.columns["id"].name)
        values = [self._text(self._value(table.columns[field])) for field in fields]
        listed = ", ".join(map(literal, ids))
        sql = f"SELECT {', '.join([self._text(key), *values])} FROM {self._existing(table)}"
        for row_id, *found in self._rows(f"{sql} WHERE {key} IN ({listed})"):
            yield row_id, found

    def longest(self, table: Table, key: str, place: str, ids: Sequence[str]) -> Mapping[str, int]:
        """Return the greatest number in a column for each of some values of another."""
        by, number = quoted(table.columns[key].name), quoted(table.columns[place].name)
        listed = ", ".join(map(literal, ids))
        sql = (
            f"SELECT {by}, max({number}) FROM {self._name(table.name)} AS stored"
            f" WHERE {by} IN ({listed}) GROUP BY {by}"
        )
        return {row[0]: int(row[1]) for row in self._rows(sql) if row[1] is not None}

    def marked(self, module: str) -> set[str]:
        """Return the ids of a module that `deleted_records` contains."""
        if not (deletions := self._deletions()):
            return set()
        of, row_id, at = (quoted(column.name) for column in deletions.columns.values())
        sql = (
            f"SELECT {row_id} FROM {self._name(deletions.name)} WHERE {of} = {literal(module)}"
            f" AND {at} IS NOT NULL"
        )
        return {row[0] for row in self._rows(sql)}

    def _deletions(self) -> Table | None:
        """Return the table of the deletions that the tap has found, if there is one."""
        fields = ("module", "id", "detected_at")
        table = self.table(DELETED_RECORDS, fields)
        return table if table and len(table.columns) == len(fields) else None

    def _existing(self, table: Table) -> str:
        """Return the rows of records that were not found to be deleted, as SQL."""
        conditions = [f"{quoted(DELETED_AT)} IS NULL"] if table.has_marks else []
        if deletions := self._deletions():
            module, row_id, at = (quoted(column.name) for column in deletions.columns.values())
            key = quoted(table.columns["id"].name)
            later = ""
            if self._sync and table.modified and table.modified.kind is Kind.INSTANT:
                modified = f"stored.{quoted(table.modified.name)}"
                later = f" AND ({at} > {modified} OR {modified} IS NULL)"
            conditions.append(
                f"NOT EXISTS (SELECT 1 FROM {self._name(deletions.name)} AS gone WHERE"
                f" gone.{module} = {literal(table.stream)} AND gone.{row_id} = stored.{key}"
                f" AND gone.{at} IS NOT NULL{later})"
            )
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        return f"(SELECT * FROM {self._name(table.name)} AS stored{where}) AS stored"

    def _value(self, column: Column) -> str:
        name = quoted(column.name)
        if column.kind in TIMES:
            return self._microseconds(name)
        return self._json(name) if column.kind is Kind.JSON else self._text(name)

    def _name(self, table: str) -> str:
        return f"{quoted(self.schema)}.{quoted(table)}"

    @abstractmethod
    def _read_columns(self) -> Mapping[str, Sequence[Column]]:
        """Return the columns of the tables of the schema."""

    @abstractmethod
    def _rows(self, sql: str) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a query, without keeping all of them in memory."""

    @abstractmethod
    def _text(self, expression: str) -> str:
        """Return the SQL of a value as a string."""

    @abstractmethod
    def _number(self, expression: str) -> str:
        """Return the SQL of the number in an id; NULL if it is no id."""

    @abstractmethod
    def _microseconds(self, expression: str) -> str:
        """Return the SQL of a date-time as microseconds since 1970."""

    @abstractmethod
    def _json(self, expression: str) -> str:
        """Return the SQL of a list or JSON as JSON in a string."""

    @abstractmethod
    def _binary(self, expression: str) -> str:
        """Return the SQL that orders strings by their bytes."""

    @abstractmethod
    def close(self) -> None:
        """Close the connection."""


def _matching(name: str, available: Iterable[str]) -> str | None:
    """Return the name that is the same, or the same but for case, or but for underscores."""
    folds: tuple[Callable[[str], str], ...] = (str, str.lower, _squeezed)
    for fold in folds:
        for other in available:
            if fold(other) == fold(name):
                return other
    return None


def _squeezed(name: str) -> str:
    return name.replace("_", "").lower()


def microseconds(at: datetime) -> int:
    """Return a moment as a warehouse returns it: in microseconds since 1970."""
    return (at - EPOCH) // MICROSECOND


def quoted(name: str) -> str:
    """Return a name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return a string as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"
