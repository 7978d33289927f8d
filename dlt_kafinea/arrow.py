"""Rows as Arrow tables, a column at a time, each value exact."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from itertools import repeat
from operator import itemgetter
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from kafinea.values import ValueType

logger = logging.getLogger(__name__)

Row = Mapping[str, Any]

NUMBER = pa.decimal128(38, 10)
"""The most digits that DuckDB, Snowflake, Delta and Iceberg take. Ten of them are decimals."""
INSTANT = pa.timestamp("us", tz="UTC")

_VARIANT = "{}__v_text"
"""dlt's name for the column of values that do not fit the type of a column."""
_OUTSIDE = (pa.ArrowException, ArithmeticError)
_YEARS = (
    datetime(1, 1, 1, tzinfo=timezone.utc),
    datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=timezone.utc),
)


@dataclass(frozen=True)
class Storage:
    """What a destination can store.

    Attributes:
        has_lists: Lists; else they are stored as JSON.
        has_nul: The character NUL; else it is replaced.
    """

    has_lists: bool = True
    has_nul: bool = True


class ArrowTable:
    """Makes Arrow tables of the rows of a stream, all with the same columns.

    A value that is outside the type of its column, such as a number of 40 digits, is null there,
    and is text in a column `..__v_text`, which only a table with such a value has.

    Args:
        name: The stream, for messages.
        types: The columns and what they hold, in order.
        key: Those that are never null.
        storage: What the destination can store.
    """

    def __init__(
        self, name: str, types: Mapping[str, ValueType], key: Sequence[str], storage: Storage
    ) -> None:
        self._name = name
        self._key = key
        self._converters = {
            name: _converter(value_type, storage) for name, value_type in types.items()
        }
        self._values_of = itemgetter(*types, key[0])  # of a single name it would give no tuple
        self._variants: set[str] = set()

    def of(self, rows: Sequence[Row]) -> pa.Table:
        """Return the table of rows, which have a value for each column."""
        arrays, fields, variants = [], [], {}
        columns = zip(*map(self._values_of, rows), strict=True) if rows else repeat(())
        for (name, convert), values in zip(self._converters.items(), columns, strict=False):
            try:
                array = convert(values)
            except _OUTSIDE:
                array, variants[_VARIANT.format(name)] = self._split(name, convert, rows)
            arrays.append(array)
            fields.append(pa.field(name, array.type, nullable=name not in self._key))
        for name, array in variants.items():
            arrays.append(array)
            fields.append(pa.field(name, pa.string()))
        return pa.Table.from_arrays(arrays, schema=pa.schema(fields))

    def _split(
        self, name: str, convert: Callable[[Sequence[Any]], pa.Array], rows: Sequence[Row]
    ) -> tuple[pa.Array, pa.Array]:
        """Return the values of a column that fit its type, and the others as text."""
        inside: list[Any] = []
        outside: list[str | None] = []
        for row in rows:
            value = row[name]
            try:
                convert([value])
            except _OUTSIDE:
                inside.append(None)
                outside.append(format(value, "f") if hasattr(value, "as_tuple") else str(value))
                self._warn(name, row)
            else:
                inside.append(value)
                outside.append(None)
        return convert(inside), pa.array(outside, pa.string())

    def _warn(self, name: str, row: Row) -> None:
        """Name the first value of a column that is outside its type."""
        if name in self._variants:
            return
        self._variants.add(name)
        logger.warning(
            "%s.%s: a value is outside the type of its column, the first in record %s. Such values "
            "are null there. The column %s contains them as text, exactly.",
            self._name,
            name,
            row.get("id") or row[self._key[0]],
            _VARIANT.format(name),
        )


def _converter(value_type: ValueType, storage: Storage) -> Callable[[Sequence[Any]], pa.Array]:
    if value_type is ValueType.LIST and not storage.has_lists:
        return _as_json
    if value_type is ValueType.TEXT and not storage.has_nul:
        return _texts_without_nul
    return _CONVERTERS[value_type]


def _as(arrow_type: pa.DataType) -> Callable[[Sequence[Any]], pa.Array]:
    return lambda values: pa.array(values, arrow_type)


def _texts_without_nul(texts: Sequence[str | None]) -> pa.Array:
    array = pa.array(texts, pa.string())
    if not pc.any(pc.match_substring(array, "\0")).as_py():
        return array
    logger.warning("The destination cannot store NUL characters, so they are replaced by U+FFFD.")
    return pc.replace_substring(array, "\0", "\N{REPLACEMENT CHARACTER}")


def _dates(texts: Sequence[str | None]) -> pa.Array:
    return pa.array(texts, pa.string()).cast(pa.date32())


def _instants(texts: Sequence[str | None]) -> pa.Array:
    """Return moments in UTC, where some are not in the years that databases have.

    Raises:
        ArithmeticError: That is the case.
    """
    array = pa.array(texts, pa.string()).cast(INSTANT)
    earliest, latest = (pa.scalar(moment, INSTANT) for moment in _YEARS)
    found = pc.min_max(array)
    if found["min"].is_valid and (
        found["min"].value < earliest.value or found["max"].value > latest.value
    ):
        raise ArithmeticError
    return array


def _as_json(lists: Sequence[list[str] | None]) -> pa.Array:
    texts = [its if its is None else msgspec.json.encode(its).decode() for its in lists]
    return pa.array(texts, pa.string())


_CONVERTERS: Mapping[ValueType, Callable[[Sequence[Any]], pa.Array]] = {
    ValueType.TEXT: _as(pa.string()),
    ValueType.BOOLEAN: _as(pa.bool_()),
    ValueType.INTEGER: _as(pa.int64()),
    ValueType.NUMBER: _as(NUMBER),
    ValueType.DATE: _dates,
    ValueType.DATETIME: _instants,
    ValueType.LIST: _as(pa.list_(pa.string())),
}
