"""PostgreSQL: takes lines of JSON by COPY, and reads them itself, with the types of the columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from typing import Any, TypeVar

import backoff
import psycopg
from psycopg import errors

from exact_loaders.columns import Column, Kind
from exact_loaders.database import (
    DELETED_AT,
    Batch,
    Database,
    Existing,
    Found,
    NotRead,
    constant,
    literal,
    quoted,
)
from exact_loaders.errors import LoaderError
from exact_loaders.values import Reading

_MARK = "Written by target-postgres-exact"
_TRIES = 5
_TYPES: Mapping[Kind, str] = {
    Kind.TEXT: "text",
    Kind.BOOLEAN: "boolean",
    Kind.INTEGER: "bigint",
    Kind.DECIMAL: "numeric",
    Kind.DATE: "date",
    Kind.INSTANT: "timestamp with time zone",
    Kind.STRINGS: "jsonb",  # its members can be searched with an index
    Kind.JSON: "jsonb",
}
_KINDS = {type_: kind for kind, type_ in _TYPES.items()}  # a `jsonb` column is found as JSON
_TAKEN_OVER: Mapping[str, tuple[Kind, str]] = {
    **dict.fromkeys(("integer", "smallint"), (Kind.INTEGER, "{}::bigint")),
    # By its text, which has all its digits: the cast to numeric rounds to 15.
    **dict.fromkeys(("double precision", "real"), (Kind.DECIMAL, "{}::text::numeric")),
    **dict.fromkeys(("text[]", "jsonb[]", "character varying[]"), (Kind.JSON, "to_jsonb({})")),
    "json": (Kind.JSON, "{}::jsonb"),
    # Without its zone, a time cannot be known.
    "timestamp without time zone": (Kind.INSTANT, ""),
}
_COPY = "COPY _lines FROM STDIN (FORMAT csv, QUOTE e'\\x01', DELIMITER e'\\x02')"
"""As one column: JSON has neither of these characters."""

_LINES_AT_ONCE = 100
_HANDLED = (errors.DataError, errors.DatatypeMismatch, errors.FeatureNotSupported)
T = TypeVar("T")


class Postgres(Database):
    """A schema in a PostgreSQL database.

    Args:
        settings: What `psycopg.connect` takes.
        schema: The schema of the tables; it is created if it does not exist.

    Raises:
        LoaderError: There is no connection.
    """

    reading = Reading(has_decimal_limit=False, reads_doubles=False, refuses_nul=True)
    folds_names = False
    conversions: Mapping[tuple[Kind, Kind], str] = {
        (Kind.TEXT, Kind.DATE): "{}::date",
        (Kind.TEXT, Kind.INSTANT): "{}::timestamptz",
    }

    def __init__(self, settings: Mapping[str, Any], schema: str) -> None:
        super().__init__(schema)
        self._settings = settings
        try:
            self._connection = self._connect()
        except psycopg.OperationalError as error:
            raise LoaderError(f"No connection to PostgreSQL: {error}") from None
        with self.exclusive(""):
            if not self._rows("SELECT 1 FROM pg_namespace WHERE nspname = %s", [schema]):
                self._run(f"CREATE SCHEMA {quoted(schema)}")

    @contextmanager
    def exclusive(self, table: str) -> Iterator[None]:
        """Keep other runs from changing the columns of a table meanwhile.

        Parallel runs share tables, such as `deleted_records`, and `IF NOT EXISTS` of two of them at
        the same time fails.
        """
        lock = [f"{self._schema}.{table}"]
        self._rows("SELECT pg_advisory_lock(hashtext(%s))", lock)
        try:
            yield
        finally:
            if not self._connection.closed:  # which has released it
                self._rows("SELECT pg_advisory_unlock(hashtext(%s))", lock)

    def existing(self, table: str) -> Existing | None:
        """Return a table as it is; None if there is none."""
        name = self._name(table)
        ((oid, mark),) = self._rows(
            "SELECT to_regclass(%s)::oid, obj_description(to_regclass(%s), 'pg_class')",
            [name, name],
        )
        if oid is None:
            return None
        columns = self._rows(
            "SELECT attname, format_type(atttypid, NULL), col_description(attrelid, attnum)"
            " FROM pg_attribute WHERE attrelid = %s AND attnum > 0 AND NOT attisdropped"
            " ORDER BY attnum",
            [oid],
        )
        return Existing([_found(*column) for column in columns], is_ours=mark == _MARK)

    def create(self, table: str, columns: Iterable[Column], keys: Sequence[str]) -> None:
        """Create a table with a primary key."""
        defined = [f"{quoted(column.name)} {_TYPES[column.kind]}" for column in columns]
        defined += [f"PRIMARY KEY ({_list(keys)})"] if keys else []
        self._run(f"CREATE TABLE {self._name(table)} ({', '.join(defined)}); {self._mark(table)}")

    def take_over(self, table: str, keys: Sequence[str]) -> None:
        """Mark a table as written by this loader, and make its keys unique."""
        has_key = self._rows(
            "SELECT 1 FROM pg_index WHERE indrelid = %s::regclass AND indisprimary",
            [self._name(table)],
        )
        key = ""
        if keys and not has_key:
            key = f"ALTER TABLE {self._name(table)} ADD PRIMARY KEY ({_list(keys)}); "
        self._run(f"{key}{self._mark(table)}")

    def _mark(self, table: str) -> str:
        """Return the statement after which a table counts as this loader's.

        It goes with what makes the table complete: sent together, they are one transaction.
        """
        return f"COMMENT ON TABLE {self._name(table)} IS {literal(_MARK)}"

    def add(self, table: str, columns: Iterable[Column]) -> None:
        """Add columns."""
        added = [f"ADD COLUMN {quoted(column.name)} {_TYPES[column.kind]}" for column in columns]
        self._run(f"ALTER TABLE {self._name(table)} {', '.join(added)}")

    def convert(self, table: str, column: Column, expression: str = "") -> bool:
        """Change the type of a column; return whether all its values could be converted."""
        name, type_ = quoted(column.name), _TYPES[column.kind]
        using = expression.format(name) if expression else f"{name}::{type_}"
        try:
            self._run(
                f"ALTER TABLE {self._name(table)} ALTER COLUMN {name} TYPE {type_} USING {using}"
            )
        except errors.DataError:
            return False
        except errors.FeatureNotSupported:
            raise LoaderError(
                f"Column {column.name} of {table} must become {type_}, but PostgreSQL refuses to "
                "change it while a view uses it. Drop the view, run again, and create it again."
            ) from None
        return True

    def write(self, table: str, batch: Batch) -> None:
        """Write rows, in one transaction; again on a new connection if it is lost."""
        try:
            self._again(lambda: self._write(table, batch))
        except (errors.DataError, errors.DatatypeMismatch):
            raise NotRead from None

    def _write(self, table: str, batch: Batch) -> None:
        columns = batch.columns
        names = [*(column.name for column in columns), *batch.constants]
        read = ", ".join(f"{quoted(column.name)} {_TYPES[column.kind]}" for column in columns)
        values = [f"r.{quoted(column.name)}" for column in columns]
        values += map(constant, batch.constants.values())
        upsert = ""
        if batch.keys:
            others = [name for name in names if name not in batch.keys]
            new = ", ".join(f"{quoted(name)} = EXCLUDED.{quoted(name)}" for name in others)
            do = f"UPDATE SET {new}" if new else "NOTHING"
            upsert = f" ON CONFLICT ({_list(batch.keys)}) DO {do}"
        insert = (
            f"INSERT INTO {self._name(table)} ({_list(names)})"
            f" SELECT {', '.join(values)} FROM _lines, json_to_record(line) AS r({read}){upsert}"
        )
        with self._connection.transaction(), self._connection.cursor() as cursor:
            cursor.execute("CREATE TEMP TABLE _lines (line json) ON COMMIT DROP")
            with cursor.copy(_COPY) as copy:
                lines = iter(batch.lines.values())
                while some := list(islice(lines, _LINES_AT_ONCE)):
                    copy.write(b"\n".join([*some, b""]))
            cursor.execute(insert)
            if batch.delete_marked:
                cursor.execute(
                    f"DELETE FROM {self._name(table)} WHERE {quoted(DELETED_AT)} IS NOT NULL"
                )

    def close(self) -> None:
        """Close the connection; what is committed is stored."""
        self._connection.close()

    def _connect(self) -> psycopg.Connection[Any]:
        # In UTC, a date-time without an offset is one, and a date begins at midnight UTC.
        return psycopg.connect(**self._settings, autocommit=True, options="-c TimeZone=UTC")

    def _again(self, work: Callable[[], T]) -> T:
        """Do work; when the connection is lost, do it again on a new one."""

        def attempt() -> T:
            if self._connection.closed:
                self._connection = self._connect()
            return work()

        lost = psycopg.OperationalError
        try:
            return backoff.on_exception(backoff.expo, lost, max_tries=_TRIES)(attempt)()
        except lost as error:
            raise LoaderError(f"The connection to PostgreSQL was lost: {error}") from None
        except _HANDLED:
            raise
        except psycopg.Error as error:
            text = error.diag.message_primary or type(error).__name__
            raise LoaderError(f"PostgreSQL refuses a statement: {text}") from None

    def _run(self, sql: str, values: Sequence[Any] = ()) -> None:
        self._again(lambda: self._connection.execute(sql, values or None))  # without values, % is %

    def _rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self._again(lambda: self._connection.execute(sql, values or None).fetchall())


def _list(names: Iterable[str]) -> str:
    return ", ".join(map(quoted, names))


def _found(name: str, type_: str, comment: str | None) -> Found:
    column = Column(name, Kind.TEXT, comment=comment or "")
    if type_ in _KINDS:
        return Found(replace(column, kind=_KINDS[type_]))
    kind, expression = _TAKEN_OVER.get(type_, (Kind.TEXT, "{}::text"))
    return Found(replace(column, kind=kind), expression)
