"""Runs each SQL file of a directory against DuckDB. Each file is a Singer stream of the same name.

Each run emits all rows; the target detects which of them changed. DuckDB itself writes the rows as
JSON, so numbers keep all their digits, and lists and structs stay lists and objects.
"""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path

import duckdb


def messages(warehouse: duckdb.DuckDBPyConnection, file: Path) -> Iterator[str]:
    """Yield the messages of a stream."""
    rows = warehouse.sql(file.read_text(encoding="utf-8"))
    schema = {"type": "object", "properties": {name: {} for name in rows.columns}}
    message = {"type": "SCHEMA", "stream": file.stem, "schema": schema, "key_properties": []}
    yield json.dumps(message)
    start = json.dumps({"type": "RECORD", "stream": file.stem})[:-1]
    found = rows.query("rows", "SELECT to_json(rows)::VARCHAR FROM rows")
    while row := found.fetchone():
        yield f'{start}, "record": {row[0]}}}'


def main() -> None:
    """Write the messages of all streams to the standard output."""
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", required=True, type=Path)
    config = json.loads(parser.parse_args().config.read_text(encoding="utf-8"))
    files = sorted(Path(config["queries"]).glob("*.sql"))
    if not files:
        sys.exit(f"No .sql file found in {config['queries']!r} (`queries`).")
    if not Path(config["path"]).exists():
        sys.exit(f"{config['path']!r} (`path`) not found. Extract into it first.")
    try:
        warehouse = duckdb.connect(config["path"], read_only=True)
    except duckdb.Error as error:
        sys.exit(f"{config['path']}: {error}")
    with warehouse:
        for file in files:
            try:
                for message in messages(warehouse, file):
                    print(message)
            except duckdb.Error as error:
                sys.exit(f"{file}: {error}")
    # A target may ask for the proof that nothing is missing.
    print(json.dumps({"type": "STATE", "value": {"bookmarks": {}}}))


if __name__ == "__main__":
    main()
