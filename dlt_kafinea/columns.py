"""The columns of a table: which there are, what they hold, and the hints that dlt gets for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kafinea.describe import Field
from kafinea.values import ValueType, value_type_of

DELETED = "_deleted"
"""The column by which dlt deletes a row. It is null in all rows that stay."""


def types_of(fields: Sequence[Field]) -> dict[str, ValueType]:
    """Return what the columns of some fields hold."""
    return {field.name: value_type_of(field.type) for field in fields}


def hints_of(fields: Sequence[Field]) -> dict[str, dict[str, Any]]:
    """Return dlt's hints for the columns of some fields: their labels as descriptions."""
    return {field.name: {"description": _description(field)} for field in fields}


def deleted_hint(what: str) -> dict[str, dict[str, Any]]:
    """Return dlt's hint for the column of deleted rows."""
    return {DELETED: {"description": f"Whether the {what} was deleted", "hard_delete": True}}


def _description(field: Field) -> str:
    if field.refers_to:
        return f"{field.label}: id of {' or '.join(field.refers_to)}"
    return field.label
