"""A PostgreSQL database as a warehouse, as it was when the first query was run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import psycopg

from kafinea_cli.verify.warehouse import Column, Kind, Warehouse, WarehouseError

_ROWS = 10_000
_KINDS = {
    "timestamp with time zone": Kind.INSTANT,
    "timestamp without time zone": Kind.LOCAL,
    "json": Kind.JSON,
    "jsonb": Kind.JSON,
    "double precision": Kind.DOUBLE,
    "real": Kind.DOUBLE,
}


class PostgresWarehouse(Warehouse):
    """A PostgreSQL database.

    Args:
        address: Its URL, postgresql://user@host:port/database. What it lacks, the variables PGUSER,
            PGPASSWORD and so on say, or the file .pgpass.
        schema: The schema of the tables.
        sync: As of `Warehouse`.

    Raises:
        WarehouseError: The database cannot be opened.
    """

    def __init__(self, address: str, schema: str, *, sync: bool = False) -> None:
        super().__init__(schema, sync=sync)
        try:
            self._connection = psycopg.connect(address, application_name="kafinea verify")
        except psycopg.Error as error:
            raise WarehouseError(
                f"--warehouse: the database cannot be opened: {_first_line(error)}"
            ) from None
        self._connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        self._connection.read_only = True
        self._connection.execute("SET TIME ZONE 'UTC'; SET DateStyle = 'ISO'")

    def _read_columns(self) -> Mapping[str, Sequence[Column]]:
        tables = defaultdict(list)
        for table, name, type_ in self._connection.execute(
            "SELECT relname, attname, format_type(atttypid, NULL) FROM pg_attribute"
            " JOIN pg_class ON pg_class.oid = attrelid"
            " WHERE relkind IN ('r', 'p', 'v', 'm', 'f')"
            " AND relnamespace = to_regnamespace(quote_ident(%s))"
            " AND attnum > 0 AND NOT attisdropped ORDER BY relname, attnum",
            [self.schema],
        ):
            kind = Kind.JSON if type_.endswith("[]") else _KINDS.get(type_, Kind.TEXT)
            tables[table].append(Column(name, kind))
        return tables

    def _rows(self, sql: str) -> Iterator[tuple[Any, ...]]:
        try:
            with self._connection.cursor("kafinea_verify") as cursor:  # of the server, so that
                cursor.itersize = _ROWS  # rows are fetched as they are needed
                cursor.execute(sql)
                yield from cursor
        except psycopg.errors.InsufficientPrivilege as error:
            raise WarehouseError(
                f"The user of the database may not read it: {_first_line(error)}. Grant it USAGE "
                f"on the schema {self.schema} and SELECT on its tables."
            ) from None
        except psycopg.Error as error:  # its text may show values
            raise WarehouseError(
                f"PostgreSQL cannot read a table ({type(error).__name__}). Was it written by a "
                "loader?"
            ) from None

    def _text(self, expression: str) -> str:
        return f"CAST({expression} AS text)"

    def _number(self, expression: str) -> str:
        digits = f"substring({self._text(expression)} FROM '^[0-9]+x([0-9]{{1,18}})$')"
        return f"CAST({digits} AS bigint)"

    def _microseconds(self, expression: str) -> str:
        return (
            f"CASE WHEN isfinite({expression}) THEN"
            f" CAST(extract(epoch FROM {expression}) * 1000000 AS bigint) END"
        )

    def _json(self, expression: str) -> str:
        return f"CAST(to_json({expression}) AS text)"

    def _binary(self, expression: str) -> str:
        return f'{expression} COLLATE "C"'

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _first_line(error: psycopg.Error) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
