"""The tables as sources of dbt: descriptions, tests of the keys, and freshness."""

from __future__ import annotations

from typing import Any

from kafinea_cli.dbt_package.tables import Column, Table, Tables
from kafinea_cli.dbt_package.text import identifier, literal, one_line, to_yaml

_DAYS = 7
"""After how many days without any change dbt warns of a table."""


def sources(tables: Tables) -> str:
    """Return the YAML file of the sources."""
    source = {
        "name": "kafinea",
        "description": "The modules of Kafinea, as tap-kafinea extracts them.",
        "schema": "{{ var('kafinea_schema', 'kafinea') }}",
        "tables": [_table(table) for table in tables.values()],
    }
    return to_yaml({"version": 2, "sources": [source]})


def _table(table: Table) -> dict[str, Any]:
    return {
        "name": table.name,
        "identifier": identifier(table.stored),
        "description": one_line(table.label),
        **_freshness(table),
        "columns": [_column(table, column) for column in table.columns.values()],
    }


def _freshness(table: Table) -> dict[str, Any]:
    if not (modified := table.modified):
        return {}
    freshness = {"warn_after": {"count": _DAYS, "period": "day"}}
    return {"config": {"loaded_at_field": modified.stored, "freshness": freshness}}


def _column(table: Table, column: Column) -> dict[str, Any]:
    tests = ["not_null"] if column.field in table.keys else []
    if table.keys == (column.field,):
        tests.append("unique")
    return {
        "name": literal(column.stored),
        "description": described(column),
        **({"data_tests": tests} if tests else {}),
    }


def described(column: Column) -> str:
    """Return the description of a column."""
    facts = ", ".join(fact for fact in (column.field, column.type) if fact != column.label)
    return one_line(f"{column.label} ({facts})" if facts else column.label)
