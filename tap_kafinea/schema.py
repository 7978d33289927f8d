"""Between a module's fields and the JSON Schema of its stream, both ways.

A catalog holds all that a run needs, so that nothing has to be described again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from kafinea.describe import LINE_MODULE, LINES, Field, Module
from kafinea.extract.line_fields import line_fields
from kafinea.values import ValueType, value_type_of

TYPES: dict[ValueType, dict[str, Any]] = {
    ValueType.TEXT: {"type": ["string", "null"]},
    ValueType.BOOLEAN: {"type": ["boolean", "null"]},
    ValueType.INTEGER: {"type": ["integer", "null"]},
    ValueType.NUMBER: {"type": ["number", "null"]},
    ValueType.DATE: {"type": ["string", "null"], "format": "date"},
    ValueType.DATETIME: {"type": ["string", "null"], "format": "date-time"},
    ValueType.LIST: {"type": ["array", "null"], "items": {"type": "string"}},
}
"""The JSON Schema of a value that may be null."""
# A description is the type of a field, and for some what its values are: `reference: id of Leads or
# Contacts`, `picklist: ["Cash", "Transfer"]`. A keyword such as `enum` would not do: loaders would
# refuse the values of old records, and the SDK drops keywords that it does not know.
_IS, _ID_OF, _OR = ": ", "id of ", " or "
_LONGEST = 1000
"""The longest description with the values of a picklist; BigQuery takes 1,024 characters."""


def schema_of(module: Module) -> dict[str, Any]:
    """Return the JSON Schema of a module's stream: `id` first, then each field it can be given."""
    return {
        "type": "object",
        "title": module.label,
        "properties": {
            name: _id_of(module.name) if name == "id" else _property_of(module.fields[name])
            for name in module.readable
        },
        "required": ["id"],
    }


def with_lines(schema: Mapping[str, Any], module: Module, line: Module | None) -> dict[str, Any]:
    """Return the schema of a module whose records carry their lines.

    Args:
        schema: The schema without lines.
        module: The module.
        line: The module of lines; None if this user may not use it.
    """
    lines = {
        "type": ["array", "null"],
        "items": {"type": "object", "properties": properties_of_lines(module, line)},
        "title": "Lines",
        "description": "the lines, in their order",
    }
    return {**schema, "properties": {**schema["properties"], LINES: lines}}


def types_of(schema: Mapping[str, Any]) -> dict[str, ValueType]:
    """Return how to type each property of a stream's schema, the lines left out."""
    properties = schema.get("properties", {})
    return {name: _type_of(definition) for name, definition in properties.items() if name != LINES}


def types_of_lines(schema: Mapping[str, Any]) -> dict[str, ValueType]:
    """Return how to type each property of a line; none if the stream has no lines."""
    return types_of(schema.get("properties", {}).get(LINES, {}).get("items", {}))


def type_of(definition: Mapping[str, Any]) -> str:
    """Return the name of the type of the field that a property of a stream's schema describes."""
    return _described(definition)[0]


def refers_to(definition: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the modules whose ids it holds."""
    type_name, values = _described(definition)
    if type_name == "owner":
        return ("Users", "Groups")
    return tuple(values.removeprefix(_ID_OF).split(_OR)) if values.startswith(_ID_OF) else ()


def picklist_of(definition: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the values of the picklist that a property of a stream's schema describes, if known.

    A catalog that an earlier version wrote has none, and none has more than some hundred.
    """
    type_name, values = _described(definition)
    if type_name != "picklist" or not values:
        return ()
    try:
        found = json.loads(values)
    except ValueError:  # it was edited
        return ()
    return tuple(found) if isinstance(found, list) else ()


def _described(definition: Mapping[str, Any]) -> tuple[str, str]:
    """Return the type of a field, and what its values are."""
    type_name, _, values = (definition.get("description") or "").partition(_IS)
    return type_name, values


def properties_of_lines(module: Module, line: Module | None) -> dict[str, Any]:
    """Return the properties of a line.

    Args:
        module: The module of its document.
        line: The module of lines; None if there is none for this user.
    """
    return {
        field.name: _id_of(LINE_MODULE) if field.name == "id" else _property_of(field)
        for field in line_fields(module, line)
    }


def _id_of(module: str) -> dict[str, Any]:
    return {"type": "string", "description": f"{module} id, such as 12x34"}


def _property_of(field: Field) -> dict[str, Any]:
    type_ = TYPES[value_type_of(field.type)]
    return {**type_, "title": field.label, "description": _description(field)}


def _description(field: Field) -> str:
    if field.refers_to:
        return f"{field.type}{_IS}{_ID_OF}{_OR.join(field.refers_to)}"
    if field.type == "picklist" and field.picklist:
        values = json.dumps(field.picklist, ensure_ascii=False)
        described = f"{field.type}{_IS}{values}"
        return described if len(described) <= _LONGEST else field.type
    return field.type


def _type_of(definition: Mapping[str, Any]) -> ValueType:
    types = definition.get("type") or []
    named = {types} if isinstance(types, str) else set(types)
    if named & {"string"}:
        formats = {"date": ValueType.DATE, "date-time": ValueType.DATETIME}
        return formats.get(definition.get("format", ""), ValueType.TEXT)
    value_types = {
        "boolean": ValueType.BOOLEAN,
        "integer": ValueType.INTEGER,
        "number": ValueType.NUMBER,
        "array": ValueType.LIST,
    }
    return next(
        (value_type for name, value_type in value_types.items() if name in named), ValueType.TEXT
    )
