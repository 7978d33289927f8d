"""A DuckDB file as a warehouse. While it is read, no other process can write it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb

from kafinea_cli.verify.warehouse import Column, Kind, NotThere, Warehouse, WarehouseError

_ROWS = 10_000
_MARK = slice(8, 12)
_KINDS = {
    "TIMESTAMP WITH TIME ZONE": Kind.INSTANT,
    "JSON": Kind.JSON,
    "DOUBLE": Kind.DOUBLE,
    "FLOAT": Kind.DOUBLE,
}


class DuckDBWarehouse(Warehouse):
    """A DuckDB file.

    Args:
        path: The file.
        schema: The schema of the tables.
        sync: As of `Warehouse`.

    Raises:
        WarehouseError: The file cannot be opened.
    """

    def __init__(self, path: str, schema: str, *, sync: bool = False) -> None:
        super().__init__(schema, sync=sync)
        _check(Path(path))
        try:
            self._connection = duckdb.connect(path, read_only=True)
        except duckdb.Error as error:
            raise WarehouseError(_why_not_open(path, str(error))) from None

    def _read_columns(self) -> Mapping[str, Sequence[Column]]:
        tables = defaultdict(list)
        for table, name, type_ in self._connection.execute(
            "SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE database_name ="
            " current_database() AND schema_name = ? ORDER BY table_name, column_index",
            [self.schema],
        ).fetchall():
            tables[table].append(Column(name, _kind(type_)))
        return tables

    def _rows(self, sql: str) -> Iterator[tuple[Any, ...]]:
        cursor = self._connection.cursor()  # of its own, so that another query can be run meanwhile
        try:
            cursor.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")
            cursor.execute(sql)
            while rows := cursor.fetchmany(_ROWS):
                yield from rows
        except duckdb.Error as error:  # its text may show values
            raise WarehouseError(
                f"DuckDB cannot read a table ({type(error).__name__}). Was it written by a loader?"
            ) from None
        finally:
            cursor.close()

    def _text(self, expression: str) -> str:
        return f"CAST({expression} AS VARCHAR)"

    def _number(self, expression: str) -> str:
        digits = f"regexp_extract({self._text(expression)}, '^[0-9]+x([0-9]{{1,18}})$', 1)"
        return f"TRY_CAST({digits} AS BIGINT)"

    def _microseconds(self, expression: str) -> str:
        return f"epoch_us({expression})"

    def _json(self, expression: str) -> str:
        return f"CAST(to_json({expression}) AS VARCHAR)"

    def _binary(self, expression: str) -> str:
        return expression

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


def _check(path: Path) -> None:
    """Check that a path is that of a DuckDB file. DuckDB's own errors differ from file to file.

    Raises:
        NotThere: It is not.
    """
    try:
        with path.open("rb") as file:
            start = file.read(_MARK.stop)
    except FileNotFoundError:
        raise NotThere(f"--warehouse: there is no file {path}.") from None
    except OSError as error:
        raise NotThere(f"--warehouse: {path} cannot be read: {error.strerror}.") from None
    if start[_MARK] != b"DUCK":
        raise NotThere(f"--warehouse: {path} is not a DuckDB file.")


def _kind(type_: str) -> Kind:
    if type_.startswith("TIMESTAMP") and type_ not in _KINDS:
        return Kind.LOCAL
    if type_.endswith("]") or type_.startswith("STRUCT"):
        return Kind.JSON
    return _KINDS.get(type_, Kind.TEXT)


def _why_not_open(path: str, error: str) -> str:
    if held := re.search(r"Conflicting lock is held in .*?\(PID (\d+)\)", error):
        return (
            f"{path} is open in another process (PID {held[1]}), such as a loader. Close it, or "
            "verify when it has ended."
        )
    return f"--warehouse: {path} cannot be opened by DuckDB: {error.splitlines()[0]}"
