"""How old the newest row of a module in the warehouse is. It does not need Airflow."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

Row = dict[str, Any]
Ask = Callable[[str], str]
"""Runs the SQL files of a folder against the warehouse, and returns the messages of the extractor.
"""


def stale(limits: Mapping[str, float], schema: str, ask: Ask) -> list[str]:
    """Return what is wrong with the modules whose newest row is too old, or that have none.

    Args:
        limits: The most hours that the newest `modifiedtime` of a module may be past.
        schema: The schema of the tables.
        ask: Asks the warehouse.
    """
    columns = {
        row["table_name"].lower(): row
        for row in _rows(ask, {"columns": _columns(schema)})["columns"]
    }
    known = {module: columns[module.lower()] for module in limits if module.lower() in columns}
    found = _rows(ask, {module: _newest(schema, row) for module, row in known.items()})
    wrong = []
    for module, limit in limits.items():
        if module not in known:
            wrong.append(f"{module}: {schema} has no such table with a `modifiedtime`.")
        elif (hours := found[module][0]["hours"]) is None:
            wrong.append(f"{module}: its table is empty.")
        elif hours > limit:
            text = f"{module}: its newest row is {hours:,.0f} hours old, {limit:,g} are allowed."
            wrong.append(text)
    return wrong


def _columns(schema: str) -> str:
    return (
        "SELECT table_name, column_name FROM information_schema.columns "  # noqa: S608 it is quoted
        f"WHERE table_schema = {_literal(schema)} AND lower(column_name) = 'modifiedtime'"
    )


def _newest(schema: str, row: Row) -> str:
    table, column = f"{_name(schema)}.{_name(row['table_name'])}", _name(row["column_name"])
    return f"SELECT extract(epoch FROM now() - max({column})) / 3600 AS hours FROM {table}"  # noqa: S608 names are quoted


def _rows(ask: Ask, queries: Mapping[str, str]) -> dict[str, list[Row]]:
    """Return the rows of some queries."""
    found: dict[str, list[Row]] = {name: [] for name in queries}
    if not queries:
        return found
    with TemporaryDirectory() as folder:
        for name, query in queries.items():
            Path(folder, f"{name}.sql").write_text(query, encoding="utf-8")
        for message in _messages(ask(folder).split("\n")):
            if message["type"] == "RECORD":
                found[message["stream"]].append(message["record"])
    return found


def _messages(lines: Iterable[str]) -> Sequence[Row]:
    return [json.loads(line) for line in lines if line.startswith("{")]


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
