"""Columns: what type a JSON Schema property has in a warehouse, and how a type widens."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Any

SCALE = 10
"""Digits after the point where the schema has no `multipleOf`; see `Column.scale`."""
DIGITS = 38
"""Digits of a `DECIMAL` in DuckDB."""


class Kind(Enum):
    """What a column holds. The databases name the types."""

    TEXT = "text"
    BOOLEAN = "boolean"
    INTEGER = "integer"  # of 64 bits
    DECIMAL = "decimal"
    DATE = "date"
    INSTANT = "instant"  # a date-time with its zone
    STRINGS = "strings"  # a list of strings
    JSON = "json"


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        name: Its name in the warehouse.
        kind: What it holds.
        scale: Digits after the point of a decimal. A database without such a limit ignores it.
        source: The name of its property in the records.
        comment: Its label and description.
    """

    name: str
    kind: Kind
    scale: int = SCALE
    source: str = ""
    comment: str = ""

    def __post_init__(self) -> None:
        if not self.source:
            object.__setattr__(self, "source", self.name)

    def widened(self, other: Column) -> Column:
        """Return this column with a kind that holds the values of both."""
        kinds = {self.kind, other.kind}
        scale = max(self.scale, other.scale) if Kind.DECIMAL in kinds else self.scale
        if len(kinds) == 1:
            return replace(self, scale=scale)
        wider = next((wide for pair, wide in _WIDER.items() if kinds == set(pair)), Kind.TEXT)
        if wider is Kind.DECIMAL:  # the scale of the decimal, not the default of the integer
            scale = self.scale if self.kind is Kind.DECIMAL else other.scale
        return replace(self, kind=wider, scale=scale)


_WIDER: Mapping[tuple[Kind, Kind], Kind] = {
    (Kind.INTEGER, Kind.DECIMAL): Kind.DECIMAL,
    (Kind.DATE, Kind.INSTANT): Kind.INSTANT,
    (Kind.STRINGS, Kind.JSON): Kind.JSON,
}


def columns_of(
    schema: Mapping[str, Any], keys: Iterable[str], names: Mapping[str, str]
) -> dict[str, Column]:
    """Return the columns of a stream by their names: the keys first, then in the schema's order.

    Args:
        schema: The stream's JSON Schema.
        keys: Its key properties.
        names: The name of each property's column.
    """
    properties: Mapping[str, Any] = schema["properties"]
    ordered = dict.fromkeys([*(key for key in keys if key in properties), *properties])
    columns = [_column(name, properties[name], names[name]) for name in ordered]
    return {column.name: column for column in columns}


def _column(source: str, schema: Any, name: str) -> Column:
    schema = schema if isinstance(schema, dict) else {}
    kind = _kind(schema)
    texts = (schema.get("title"), schema.get("description"))
    comment = ": ".join(text for text in texts if isinstance(text, str) and text)
    return Column(name, kind, _scale(schema), source, comment)


def _kind(schema: Mapping[str, Any]) -> Kind:
    kinds = {
        _kind_of_type(type_, branch) for branch in _branches(schema) for type_ in _types(branch)
    }
    if kinds <= {Kind.INTEGER, Kind.DECIMAL} and len(kinds) > 1:
        return Kind.DECIMAL
    if len(kinds) == 1:
        return kinds.pop()
    return Kind.JSON if kinds & {Kind.JSON, Kind.STRINGS} else Kind.TEXT


def _branches(schema: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    for word in ("anyOf", "oneOf"):
        if isinstance(schema.get(word), list):
            inner = [branch for branch in schema[word] if isinstance(branch, dict)]
            return [deep for branch in inner for deep in _branches(branch)]
    return [schema]


def _types(schema: Mapping[str, Any]) -> list[str]:
    types = schema.get("type") or []
    return [type_ for type_ in ([types] if isinstance(types, str) else types) if type_ != "null"]


def _kind_of_type(type_: str, schema: Mapping[str, Any]) -> Kind:
    if type_ == "string":
        return _FORMATS.get(str(schema.get("format")), Kind.TEXT)
    if type_ == "array":
        items = schema.get("items")
        is_strings = isinstance(items, dict) and _kind(items) is Kind.TEXT and _types(items)
        return Kind.STRINGS if is_strings else Kind.JSON
    return _TYPES.get(type_, Kind.TEXT)


_FORMATS: Mapping[str, Kind] = {
    "date": Kind.DATE,
    "date-time": Kind.INSTANT,
    "singer.decimal": Kind.DECIMAL,  # a decimal as a string, so that no reader makes it a float
}
_TYPES: Mapping[str, Kind] = {
    "boolean": Kind.BOOLEAN,
    "integer": Kind.INTEGER,
    "number": Kind.DECIMAL,
    "object": Kind.JSON,
}


def _scale(schema: Mapping[str, Any]) -> int:
    try:
        step = Decimal(str(schema["multipleOf"])).normalize()
    except (KeyError, InvalidOperation):
        return SCALE
    exponent = step.as_tuple().exponent
    return min(max(-exponent, 0), DIGITS // 2) if isinstance(exponent, int) else SCALE
