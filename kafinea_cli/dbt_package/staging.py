"""The staging models: each row that still exists, with readable names."""

from __future__ import annotations

import re
from typing import Any

from kafinea.describe import LINES
from kafinea_cli.dbt_package.sources import described
from kafinea_cli.dbt_package.tables import Column, Table, Tables, Warehouse
from kafinea_cli.dbt_package.text import one_line, quoted, string, to_yaml, value

_DELETED = "deleted_records"
"""The stream of the deletions that the tap has found."""
_DOCUMENT = "document_id"
_COLUMN = re.compile(r'^    (".*") as (\w+),?$', re.MULTILINE)
"""A column of a staging model: its name in the warehouse, and the one in the model."""
_UNLISTED = {("Calendar", "activitytype"): ("Task",)}
"""Values that servers of this family store and do not list."""


def model(table: Table, warehouse: Warehouse) -> str:
    """Return the SQL of a staging model."""
    columns = ",\n".join(
        f"    {quoted(column.stored)} as {column.name}" for column in table.columns.values()
    )
    source = _source(table)
    return (
        f"select\n{columns}\n"
        f"from {{{{ {source} }}}} as stored\n"
        f"where {{{{ kafinea_exists({source}) }}}}\n"
        f"{_is_not_deleted(table, warehouse)}"
    )


def renamed(before: str, after: str) -> list[str]:
    """Return which columns have other names in a model than they had before."""
    old, new = dict(_COLUMN.findall(before)), dict(_COLUMN.findall(after))
    return [
        f"{old[name]} is now {new[name]}" for name in old if new.get(name, old[name]) != old[name]
    ]


def _is_not_deleted(table: Table, warehouse: Warehouse) -> str:
    """Return the condition that leaves out what the tap has found to be deleted."""
    module, key = table.stream, "id"
    if _DOCUMENT in table.keys:
        module, key = table.stream.removesuffix(LINES), _DOCUMENT
    deletions = warehouse.tables.get(_DELETED)
    if deletions is None or deletions is table or key not in table.keys:
        return ""
    arguments = [_source(deletions), string(module), string(f"stored.{key}")]
    if warehouse.deletions == "sync" and table.modified:
        # It does not report that a record was restored, which sets a new `modifiedtime`.
        arguments.append(string(f"stored.{table.modified.stored}"))
    return f"  and not {{{{ kafinea_is_deleted({', '.join(arguments)}) }}}}\n"


def _source(table: Table) -> str:
    return f"source('kafinea', '{table.name}')"


def properties(tables: Tables) -> str:
    """Return the YAML file of the staging models."""
    models = [
        {
            "name": table.model,
            "description": one_line(f"{table.label} ({table.stream})"),
            "columns": [_column(table, column, tables) for column in table.columns.values()],
        }
        for table in tables.values()
    ]
    return to_yaml({"version": 2, "models": models})


def _column(table: Table, column: Column, tables: Tables) -> dict[str, Any]:
    tests = [*_relationships(column, tables), *_accepted_values(table, column)]
    return {
        "name": column.name,
        "description": described(column),
        **({"data_tests": tests} if tests else {}),
    }


def _relationships(column: Column, tables: Tables) -> list[dict[str, Any]]:
    targets = [tables[module] for module in column.refers_to if module in tables]
    # The owner of a record may be an inactive user, whom servers do not list.
    if column.type == "owner" or not targets or len(targets) < len(column.refers_to):
        return []
    models = [f"ref('{target.model}')" for target in targets]
    if len(models) == 1:
        return [_warning("relationships", to=models[0], field="id")]
    return [_warning("kafinea_relationships", to=models)]


def _accepted_values(table: Table, column: Column) -> list[dict[str, Any]]:
    if not column.picklist:
        return []
    values = [*column.picklist, *_UNLISTED.get((table.stream, column.field), ())]
    return [_warning("accepted_values", values=[value(each) for each in values])]


def _warning(test: str, **arguments: Any) -> dict[str, Any]:
    """Return a test that warns: a company may have old values, and ids of deleted records."""
    return {test: {"arguments": arguments, "config": {"severity": "warn"}}}
