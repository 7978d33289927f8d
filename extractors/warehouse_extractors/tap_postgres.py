"""Runs each SQL file of a directory against PostgreSQL."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import psycopg

from warehouse_extractors.sql_files import Rows, config_of, end, sql_files, write

_AT_ONCE = 1000
"""Rows that are fetched together, so that memory does not depend on the number of rows."""

_END = re.compile(r"(;\s*(--[^\n]*\s*)*)+\Z")
"""What may be behind a query, and not behind a subquery."""


def connection(config: Mapping[str, Any]) -> psycopg.Connection:
    """Connect, to read only. All queries see the database as it was at the first one."""
    settings = {
        "host": config["host"],
        "port": config.get("port", 5432),
        "user": config["user"],
        "password": config.get("password"),
        "dbname": config["database"],
        "application_name": "tap-postgres",
        "options": "-c timezone=UTC",
    }
    if str(config.get("ssl_enable", False)).lower() == "true":
        settings["sslmode"] = config.get("ssl_mode", "verify-full")
        settings["sslrootcert"] = config.get("ssl_certificate_authority", "system")
    warehouse = psycopg.connect(**settings)
    warehouse.read_only = True
    warehouse.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    return warehouse


def rows_of(warehouse: psycopg.Connection, sql: str) -> Rows:
    """Return what a query returns."""
    query = f"FROM (\n{_END.sub('', sql)}\n) AS rows"
    described = warehouse.execute(f"SELECT * {query} LIMIT 0").description or ()
    return Rows([column.name for column in described], _lines(warehouse, query))


def _lines(warehouse: psycopg.Connection, query: str) -> Iterator[str]:
    with warehouse.cursor("rows") as cursor:
        cursor.itersize = _AT_ONCE
        # `rows` alone would be the column of that name, if there is one.
        for (line,) in cursor.execute(f"SELECT row_to_json(rows.*)::text {query}"):
            # A `json` column keeps the line breaks with which it was stored, between its members.
            yield line.replace("\n", " ").replace("\r", " ")


def main() -> None:
    """Write the messages of all streams to the standard output."""
    config = config_of(__doc__)
    files = sql_files(config["queries"])
    try:
        warehouse = connection(config)
    except psycopg.Error as error:
        sys.exit(f"PostgreSQL at {config['host']}: {str(error).strip()}")
    with warehouse:
        write(files, partial(rows_of, warehouse), psycopg.Error)
    print(end())


if __name__ == "__main__":
    main()
