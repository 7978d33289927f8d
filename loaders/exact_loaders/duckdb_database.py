"""DuckDB: reads a file of JSON lines by itself, with the types of the columns."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb

from exact_loaders.columns import DIGITS, Column, Kind
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
from exact_loaders.values import Reading, encode

_MARK = "Written by target-duckdb-exact"
_THREADS = 1
"""More take twice the processor time for such batches, and the tap needs a processor too."""
_LINE = 2**24
"""Bytes of the longest line, DuckDB's default. With less it reads in smaller pieces, and slower."""
_TYPES: Mapping[Kind, str] = {
    Kind.TEXT: "VARCHAR",
    Kind.BOOLEAN: "BOOLEAN",
    Kind.INTEGER: "BIGINT",
    Kind.DATE: "DATE",
    Kind.INSTANT: "TIMESTAMP WITH TIME ZONE",
    Kind.STRINGS: "VARCHAR[]",
    Kind.JSON: "JSON",
}
_READ_AS_TEXT = {Kind.DECIMAL, Kind.JSON}
"""Kinds that are read as strings and then cast: a decimal that is read as such goes through a
double and is multiplied by the scale, which changes its last digits."""
_QUICK_DIGITS = 18
"""Digits of the widest decimal that is 64 bits. A string is cast to it fifty times as fast as to a
wider one (measured with DuckDB 1.5), and both are exact."""
_KINDS = {type_: kind for kind, type_ in _TYPES.items()}
_TAKEN_OVER: Mapping[str, tuple[Kind, str]] = {
    **dict.fromkeys(("INTEGER", "SMALLINT", "TINYINT", "UINTEGER", "USMALLINT", "UTINYINT"),
                    (Kind.INTEGER, "{}")),
    **dict.fromkeys(("HUGEINT", "UBIGINT"), (Kind.DECIMAL, "{}")),
    # The shortest decimal that is the same double: what was loaded, up to 15 digits.
    **dict.fromkeys(("DOUBLE", "FLOAT"), (Kind.DECIMAL, "CAST({} AS VARCHAR)")),
    # Without its zone, a time cannot be known.
    "TIMESTAMP": (Kind.INSTANT, ""),
}  # fmt: skip


class DuckDB(Database):
    """A DuckDB file.

    Args:
        path: The file.
        schema: The schema of the tables; it is created if it does not exist.

    Raises:
        LoaderError: The file cannot be opened.
    """

    reading = Reading(has_decimal_limit=True, reads_doubles=True, refuses_nul=False)
    folds_names = True
    conversions: Mapping[tuple[Kind, Kind], str] = {
        (Kind.TEXT, Kind.DATE): "CAST({} AS DATE)",
        (Kind.TEXT, Kind.INSTANT): "CAST({} AS TIMESTAMP WITH TIME ZONE)",
        (Kind.JSON, Kind.STRINGS): "CAST({} AS VARCHAR[])",
    }

    def __init__(self, path: str, schema: str) -> None:
        super().__init__(schema)
        self._megabytes = 0
        try:
            _create(path)
            self._connection = duckdb.connect(path)
        except duckdb.Error as error:
            raise LoaderError(_why_not_open(path, str(error))) from None
        self._run(
            f"SET enable_progress_bar = false; SET TimeZone = 'UTC'; SET threads = {_THREADS}"
        )
        self._run(f"CREATE SCHEMA IF NOT EXISTS {quoted(schema)}")

    def exclusive(self, table: str) -> AbstractContextManager[None]:  # noqa: ARG002 as others
        """Do nothing: one process at a time has the file."""
        return nullcontext()

    def existing(self, table: str) -> Existing | None:
        """Return a table as it is; None if there is none."""
        where = "database_name = current_database() AND schema_name = ? AND lower(table_name) = ?"
        names = [self._schema, table.lower()]
        tables = self._run(f"SELECT comment FROM duckdb_tables() WHERE {where}", names).fetchall()
        if not tables:
            return None
        columns = self._run(
            "SELECT column_name, data_type, comment FROM duckdb_columns()"
            f" WHERE {where} ORDER BY column_index",
            names,
        ).fetchall()
        return Existing([_found(*column) for column in columns], is_ours=tables[0][0] == _MARK)

    def create(self, table: str, columns: Iterable[Column], keys: Sequence[str]) -> None:
        """Create a table. Its key has no index: one is slower and takes more memory than a scan."""
        defined = ", ".join(f"{quoted(column.name)} {_type(column)}" for column in columns)
        self._run(f"CREATE TABLE {self._name(table)} ({defined})")
        self.take_over(table, keys)

    def take_over(self, table: str, keys: Sequence[str]) -> None:  # noqa: ARG002 it has no index
        """Mark a table as written by this loader."""
        self._run(f"COMMENT ON TABLE {self._name(table)} IS {literal(_MARK)}")

    def add(self, table: str, columns: Iterable[Column]) -> None:
        """Add columns."""
        for column in columns:
            self._run(
                f"ALTER TABLE {self._name(table)} ADD COLUMN {quoted(column.name)} {_type(column)}"
            )

    def convert(self, table: str, column: Column, expression: str = "") -> bool:
        """Change the type of a column; return whether all its values could be converted."""
        name = quoted(column.name)
        using = expression.format(name) if expression else self._cast(table, column)
        try:
            self._run(
                f"ALTER TABLE {self._name(table)} ALTER {name} TYPE {_type(column)} USING {using}"
            )
        except (duckdb.ConversionException, duckdb.InvalidInputException):
            return False
        return True

    def write(self, table: str, batch: Batch) -> None:
        """Write rows, in one transaction."""
        with tempfile.TemporaryFile() as file:
            file.write(b"\n".join(batch.lines.values()))
            file.flush()
            self._allow(_memory_for(batch))
            self._write(table, batch, f"/dev/fd/{file.fileno()}")

    def _write(self, table: str, batch: Batch, path: str) -> None:
        target = self._name(table)
        longest = max(_LINE, *map(len, batch.lines.values()))
        types = ", ".join(f"{literal(col.name)}: '{_read_type(col)}'" for col in batch.columns)
        names = ", ".join(map(quoted, [*(col.name for col in batch.columns), *batch.constants]))
        values = ", ".join([*map(_value, batch.columns), *map(constant, batch.constants.values())])
        with self._transaction():
            if batch.keys:
                self._delete(target, batch)
            self._run(
                f"INSERT INTO {target} ({names}) SELECT {values}"
                f" FROM read_json({literal(path)}, format = 'newline_delimited',"
                f" maximum_object_size = {longest}, columns = {{{types}}})"
            )
            if batch.delete_marked:
                self._run(f"DELETE FROM {target} WHERE {quoted(DELETED_AT)} IS NOT NULL")

    def _delete(self, target: str, batch: Batch) -> None:
        """Delete the rows that the batch replaces."""
        types = {column.name: _type(column) for column in batch.columns}
        keys = ", ".join(
            f"unnest(from_json(?, '[\"VARCHAR\"]')::{types[key]}[]) AS {quoted(key)}"
            for key in batch.keys
        )
        same = " AND ".join(f"{target}.{quoted(k)} = _keys.{quoted(k)}" for k in batch.keys)
        # As JSON: for each value of a list, DuckDB looks for packages that may not be installed.
        values = [encode([*map(str, column)]).decode() for column in zip(*batch.lines, strict=True)]
        self._run(f"DELETE FROM {target} USING (SELECT {keys}) AS _keys WHERE {same}", values)

    def close(self) -> None:
        """Close the file; what is committed is in it."""
        self._connection.close()

    def _cast(self, table: str, column: Column) -> str:
        """Return the expression that widens a column from the type it has."""
        existing = self.existing(table)
        found = existing.columns if existing else []
        (kind, scale) = next(
            (each.column.kind, each.column.scale)
            for each in found
            if each.column.name.lower() == column.name.lower()
        )
        name = quoted(column.name)
        if column.kind is Kind.JSON:
            return f"to_json({name})"
        if column.kind is Kind.TEXT and kind in _AS_TEXT and (kind is not Kind.DECIMAL or scale):
            return _AS_TEXT[kind].format(name)
        return f"CAST({name} AS {_type(column)})"

    def _allow(self, megabytes: int) -> None:
        """Let DuckDB keep that much in memory at least; by default, it takes 80% of the machine's.

        The rest is in its file, or in a temporary folder beside it.
        """
        if megabytes > self._megabytes:
            self._megabytes = megabytes
            self._run(f"SET memory_limit = '{megabytes}MB'")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._run("BEGIN")
        try:
            yield
            self._run("COMMIT")
        except BaseException:
            with suppress(duckdb.Error):  # none is left where COMMIT itself has failed
                self._connection.rollback()
            raise

    def _run(self, sql: str, values: Any = None) -> duckdb.DuckDBPyConnection:
        try:
            return self._connection.execute(sql, values)
        except (duckdb.ConversionException, duckdb.InvalidInputException):
            if "read_json" in sql:
                raise NotRead from None
            raise
        except _FULL as error:
            raise LoaderError(f"DuckDB cannot write its file: {_first_line(error)}") from None
        except RuntimeError as error:
            if isinstance(error.__cause__, SystemExit):  # a signal has ended the program
                raise error.__cause__ from None
            raise
        except duckdb.Error as error:  # its text may show values
            raise LoaderError(f"DuckDB refuses a statement ({type(error).__name__}).") from None


_FULL = (duckdb.IOException, duckdb.OutOfMemoryException, duckdb.TransactionException)
"""The last one: COMMIT could not write."""
_AS_TEXT: Mapping[Kind, str] = {
    Kind.STRINGS: "CAST(to_json({}) AS VARCHAR)",
    Kind.DECIMAL: "rtrim(rtrim(CAST({} AS VARCHAR), '0'), '.')",
    Kind.INSTANT: "strftime({} AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S.%f+00:00')",
}


def _type(column: Column) -> str:
    return (
        f"DECIMAL({DIGITS},{column.scale})" if column.kind is Kind.DECIMAL else _TYPES[column.kind]
    )


def _memory_for(batch: Batch) -> int:
    """Return how many MB a batch takes, measured with up to 1,500 columns and lines of 60 MB.

    DuckDB has buffers for each column, and parses a line as a whole.
    """
    longest = max(map(len, batch.lines.values())) >> 20
    return max(110, 2 * len(batch.columns)) + 20 * longest


def _read_type(column: Column) -> str:
    return "VARCHAR" if column.kind in _READ_AS_TEXT else _TYPES[column.kind]


def _value(column: Column) -> str:
    """Return the expression of a column's value, from the type that it is read as."""
    name, type_ = quoted(column.name), _type(column)
    if column.kind is Kind.DECIMAL and column.scale < _QUICK_DIGITS:
        quick = f"TRY_CAST({name} AS DECIMAL({_QUICK_DIGITS},{column.scale}))"
        return f"COALESCE({quick}, {name}::{type_})"
    return f"{name}::{type_}"


def _found(name: str, type_: str, comment: str | None) -> Found:
    column = Column(name, Kind.TEXT, comment=comment or "")
    if decimal := re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", type_):
        column = replace(column, kind=Kind.DECIMAL, scale=int(decimal[2]))
        return Found(column, None if int(decimal[1]) == DIGITS else "{}")
    if type_ in _KINDS:
        return Found(replace(column, kind=_KINDS[type_]))
    kind, expression = _TAKEN_OVER.get(type_, (Kind.TEXT, ""))
    return Found(replace(column, kind=kind), expression)


def _create(path: str) -> None:
    """Create the file if there is none, whole or not at all.

    What DuckDB leaves when it is killed while it creates a file, or when the disk is full, cannot
    be opened any more.
    """
    file = Path(path)
    if file.exists() or file.is_symlink() or ":" in file.name:
        return  # it exists, or is no file, such as `:memory:` and `md:warehouse`
    new = f"{path}.{os.getpid()}.new"
    try:
        duckdb.connect(new).close()
        os.link(new, path)  # unlike a renaming, it does not replace what another run has created
    except OSError:
        pass  # another run has, or this file system has no links: DuckDB creates the file
    finally:
        for left in (new, f"{new}.wal"):
            with suppress(OSError):
                Path(left).unlink()


def _why_not_open(path: str, error: str) -> str:
    if held := re.search(r"Conflicting lock is held in .*?\(PID (\d+)\)", error):
        return (
            f"{path} is open in another process (PID {held[1]}). DuckDB lets one process write at "
            "a time: close the other one, then run again."
        )
    return f"{path} cannot be opened by DuckDB: {error.splitlines()[0]}"


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
