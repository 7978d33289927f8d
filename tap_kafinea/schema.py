"""Between a module's fields and the JSON Schema of its stream, both ways.

A catalog holds all that a run needs, so that nothing has to be described again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kafinea.describe import Field, Module
from kafinea.values import Kind, kind_of

MODIFIED = "modifiedtime"

_TYPES: dict[Kind, dict[str, Any]] = {
    Kind.TEXT: {"type": ["string", "null"]},
    Kind.BOOLEAN: {"type": ["boolean", "null"]},
    Kind.INTEGER: {"type": ["integer", "null"]},
    Kind.NUMBER: {"type": ["number", "null"]},
    Kind.DATE: {"type": ["string", "null"], "format": "date"},
    Kind.DATETIME: {"type": ["string", "null"], "format": "date-time"},
    Kind.LIST: {"type": ["array", "null"], "items": {"type": "string"}},
}


def schema_of(module: Module) -> dict[str, Any]:
    """Return the JSON Schema of a module's stream: `id` first, then each field a query gives."""
    fields = [module.fields[name] for name in module.queryable if name != "id"]
    return {
        "type": "object",
        "title": module.label,
        "properties": {
            "id": {"type": "string", "description": f"{module.name} id, such as 12x34"},
            **{field.name: _property_of(field) for field in fields},
        },
        "required": ["id"],
    }


def kinds_of(schema: Mapping[str, Any]) -> dict[str, Kind]:
    """Return how to type each property of a stream's schema."""
    return {name: _kind_of(said) for name, said in schema.get("properties", {}).items()}


def _property_of(field: Field) -> dict[str, Any]:
    description = field.type
    if field.refers_to:
        description = f"{field.type}: id of {' or '.join(field.refers_to)}"
    return {**_TYPES[kind_of(field.type)], "title": field.label, "description": description}


def _kind_of(said: Mapping[str, Any]) -> Kind:
    types = said.get("type") or []
    named = {types} if isinstance(types, str) else set(types)
    if named & {"string"}:
        formats = {"date": Kind.DATE, "date-time": Kind.DATETIME}
        return formats.get(said.get("format", ""), Kind.TEXT)
    kinds = {
        "boolean": Kind.BOOLEAN,
        "integer": Kind.INTEGER,
        "number": Kind.NUMBER,
        "array": Kind.LIST,
    }
    return next((kind for name, kind in kinds.items() if name in named), Kind.TEXT)
