"""The staging models: each row that still exists, with readable names."""

from __future__ import annotations

from typing import Any

from kafinea.describe import LINES
from kafinea_cli.dbt_package.sources import described
from kafinea_cli.dbt_package.tables import Column, Table, Tables
from kafinea_cli.dbt_package.text import one_line, quoted, to_yaml, value

_DELETED = "deleted_records"
"""The stream of the deletions that the tap has found."""
_DOCUMENT = "document_id"

MACROS = """\
{% macro kafinea_exists(relation) -%}
    {#- The rows that the loader has not marked as deleted. With `hard_delete`, there are none. -#}
    {%- set names = [] -%}
    {%- if execute -%}
        {%- for column in adapter.get_columns_in_relation(relation) -%}
            {%- do names.append(column.name) -%}
        {%- endfor -%}
    {%- endif -%}
    {{ '"_sdc_deleted_at" is null' if '_sdc_deleted_at' in names else 'true' }}
{%- endmacro %}
"""


def model(table: Table, tables: Tables) -> str:
    """Return the SQL of a staging model."""
    columns = ",\n".join(
        f"    {quoted(column.stored)} as {column.name}" for column in table.columns.values()
    )
    source = f"source('kafinea', '{table.name}')"
    return (
        "{{ config(materialized='view') }}\n\n"
        f"select\n{columns}\n"
        f"from {{{{ {source} }}}} as stored\n"
        f"where {{{{ kafinea_exists({source}) }}}}\n"
        f"{_is_not_deleted(table, tables)}"
    )


def _is_not_deleted(table: Table, tables: Tables) -> str:
    """Return the condition that leaves out what the tap has found to be deleted."""
    module, key = table.stream, "id"
    if _DOCUMENT in table.keys:
        module, key = table.stream.removesuffix(LINES), _DOCUMENT
    if _DELETED not in tables or key not in table.keys or table.stream == _DELETED:
        return ""
    return (
        "  and not exists (\n"
        "    select 1\n"
        f"    from {{{{ source('kafinea', '{tables[_DELETED].name}') }}}} as deleted\n"
        f"    where deleted.module = '{value(module)}'\n"
        f"      and deleted.id = stored.{key}\n"
        "      and deleted.detected_at is not null\n"
        "  )\n"
    )


def properties(tables: Tables) -> str:
    """Return the YAML file of the staging models."""
    models = [
        {
            "name": table.model,
            "description": one_line(f"{table.label} ({table.stream})"),
            "columns": [_column(column, tables) for column in table.columns.values()],
        }
        for table in tables.values()
    ]
    return to_yaml({"version": 2, "models": models})


def _column(column: Column, tables: Tables) -> dict[str, Any]:
    tests = [*_relationships(column, tables), *_accepted_values(column)]
    return {
        "name": column.name,
        "description": described(column),
        **({"data_tests": tests} if tests else {}),
    }


def _relationships(column: Column, tables: Tables) -> list[dict[str, Any]]:
    if len(column.refers_to) != 1 or not (target := tables.get(column.refers_to[0])):
        return []
    if "id" not in target.columns:
        return []
    return [_warning("relationships", to=f"ref('{target.model}')", field="id")]


def _accepted_values(column: Column) -> list[dict[str, Any]]:
    if not column.picklist:
        return []
    return [_warning("accepted_values", values=[value(each) for each in column.picklist])]


def _warning(test: str, **arguments: Any) -> dict[str, Any]:
    """Return a test that warns: a company may have old values, and ids of deleted records."""
    return {test: {"arguments": arguments, "config": {"severity": "warn"}}}
