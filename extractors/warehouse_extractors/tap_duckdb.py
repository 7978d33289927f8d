"""Runs each SQL file of a directory against DuckDB."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import duckdb

from warehouse_extractors.sql_files import Rows, config_of, end, sql_files, write


def rows_of(warehouse: duckdb.DuckDBPyConnection, sql: str) -> Rows:
    """Return what a query returns."""
    rows = warehouse.sql(sql)
    return Rows(rows.columns, _lines(rows))


def _lines(rows: duckdb.DuckDBPyRelation) -> Iterator[str]:
    found = rows.query("rows", "SELECT to_json(rows)::VARCHAR FROM rows")
    while row := found.fetchone():
        yield row[0]


def main() -> None:
    """Write the messages of all streams to the standard output."""
    config = config_of(__doc__)
    files = sql_files(config["queries"])
    if not Path(config["path"]).exists():
        sys.exit(f"{config['path']!r} (`path`) not found. Extract into it first.")
    try:
        warehouse = duckdb.connect(config["path"], read_only=True)
    except duckdb.Error as error:
        sys.exit(f"{config['path']}: {error}")
    with warehouse:
        write(files, partial(rows_of, warehouse), duckdb.Error)
    print(end())


if __name__ == "__main__":
    main()
