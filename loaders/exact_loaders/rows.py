"""Rows: which records the database reads exactly as they are, and how the others are rewritten.

A database reads JSON faster than Python, but not always exactly. Measured with DuckDB 1.5: a number
of more than 15 digits goes through a double, a decimal is rounded to the scale of its column, a
date-time is cut to a date, and 1.5 becomes 2 in an integer column. PostgreSQL reads numbers
exactly, but refuses NUL. So each record is checked as a whole, in C: `msgspec` decodes it into the
types of the columns, and the bytes of its numbers are compared with a pattern. A record that does
not pass is parsed and rewritten here, value by value. A value outside the type of its column needs
a wider column.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property
from operator import attrgetter
from typing import Annotated, Any

import msgspec

from exact_loaders.columns import Column, Kind
from exact_loaders.errors import LoaderError
from exact_loaders.values import Misfit, Reading, encode, storable, value_of

Key = tuple[Any, ...]
Record = bytes | msgspec.Raw

_CHECKED: Mapping[Kind, Any] = {
    Kind.TEXT: str,
    Kind.BOOLEAN: bool,
    Kind.INTEGER: Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)],
    Kind.DECIMAL: float,
    Kind.DATE: date,
    Kind.INSTANT: datetime,
    Kind.STRINGS: list[str | None],
    Kind.JSON: dict[str, msgspec.Raw] | list[msgspec.Raw],
}
"""What the value of a column is decoded into. Its digits are looked at elsewhere."""
_SIMPLE_KEYS = {Kind.TEXT, Kind.INTEGER, Kind.BOOLEAN}
"""Kinds whose values are equal as Python objects, however they were read."""
_INEXACT = {Kind.DECIMAL, Kind.JSON}
"""Kinds whose bytes are looked at, where numbers go through a double."""
_NULL = msgspec.Raw(b"null")
_EXACT_DIGITS = 15  # of a double
_DIGITS_ONLY = bytes(ord("9") if 48 <= byte < 58 else byte for byte in range(256))
_LONG = b"9" * (_EXACT_DIGITS + 1)
_LONG_NUMBER = re.compile(rb"[:,\[ ]-?(?:[0-9.]{%d,}|[0-9.]+[eE])" % (_EXACT_DIGITS + 1))


@dataclass
class Rows:
    """The rows of a batch.

    Attributes:
        lines: The JSON object of each row, by its key; the last one of a key.
        wider: Columns that the values need, by name. If there are any, the rows are incomplete.
        replaced: The columns in which characters were replaced that cannot be stored.
        unknown: Properties that the schema does not have.
    """

    lines: dict[Key, Record] = field(default_factory=dict)
    wider: dict[str, Column] = field(default_factory=dict)
    replaced: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class RowReader:
    """Makes rows of records.

    Args:
        columns: The columns, by name.
        keys: The names of the key columns; if there are none, each record is a row of its own.
        reading: What the database reads inexactly.
    """

    columns: Mapping[str, Column]
    keys: Sequence[str]
    reading: Reading

    def read(self, records: Iterable[Record]) -> Rows:
        """Return the rows of records, rewritten where the database would not read them exactly.

        Raises:
            LoaderError: A record has no key, or cannot be parsed.
        """
        rows = Rows()
        for record in records:
            try:
                self._put(rows, self._checked(record), record)
            except (msgspec.DecodeError, UnicodeError):
                self._put(rows, *self._rewritten(rows, record))
        return rows

    def rewrite(self, records: Iterable[Record]) -> Rows:
        """Return the rows of records, all of them rewritten."""
        rows = Rows()
        for record in records:
            self._put(rows, *self._rewritten(rows, record))
        return rows

    def _put(self, rows: Rows, key: Key, line: Record) -> None:
        if None in key:
            missing = ", ".join(f"`{name}`" for name in self.keys)
            raise LoaderError(f"A record has no value for its key ({missing}).")
        rows.lines[key or (len(rows.lines),)] = line

    # Checked

    @cached_property
    def _checked(self) -> Callable[[Record], Key]:
        """Return the key of a record; raise `DecodeError` if it must be rewritten."""
        columns = self.columns.values()
        has_simple_keys = all(self.columns[key].kind in _SIMPLE_KEYS for key in self.keys)
        if not has_simple_keys or not all(map(_has_simple_name, columns)):
            return _always_rewritten
        attributes = {name: f"f{n}" for n, name in enumerate(self.columns)}
        as_bytes = _INEXACT if self.reading.reads_doubles else set()
        fields = [
            (attributes[column.name], msgspec.Raw, _NULL)
            if column.kind in as_bytes
            else (attributes[column.name], _CHECKED[column.kind] | None, None)
            for column in columns
        ]
        row_type = msgspec.defstruct(
            "Row",
            fields,
            rename={attribute: name for name, attribute in attributes.items()},
            forbid_unknown_fields=True,
            gc=False,
        )
        decode = msgspec.json.Decoder(row_type).decode
        key_of = _values_of([attributes[key] for key in self.keys])
        is_exact = self._is_exact(attributes)

        def checked(record: Record) -> Key:
            row = decode(record)
            if not is_exact(row, record):
                raise msgspec.ValidationError
            return key_of(row)

        return checked

    def _is_exact(self, attributes: Mapping[str, str]) -> Callable[[Any, Record], bool]:
        """Return the test whether the database reads a record exactly, once its types fit."""
        if self.reading.refuses_nul:
            return lambda _, record: b"\\u0000" not in bytes(record)
        columns = self.columns.values()
        decimals = [column for column in columns if column.kind is Kind.DECIMAL]
        decimals_of = _values_of([attributes[column.name] for column in decimals])
        json_of = _values_of([attributes[col.name] for col in columns if col.kind is Kind.JSON])
        are_exact = re.compile(b",".join(_exact_number(col.scale) for col in decimals)).fullmatch

        def is_exact(row: Any, _: Record) -> bool:
            numbers = are_exact(b",".join(decimals_of(row)))
            return numbers is not None and all(map(_is_exact_json, json_of(row)))

        return is_exact

    # Rewritten

    def _rewritten(self, rows: Rows, record: Record) -> tuple[Key, bytes]:
        """Return the key and the line of a record, and note what it needs."""
        try:
            values = json.loads(
                bytes(record), parse_float=Decimal, parse_int=Decimal, parse_constant=str
            )
        except (ValueError, RecursionError, ArithmeticError):  # an exponent of twenty digits
            raise LoaderError("A record is not JSON.") from None
        if not isinstance(values, dict):
            raise LoaderError("A record is not an object.")
        row = {}
        for name, column in self.columns.items():
            given = values.pop(column.source, None)
            value = storable(given, self.reading)
            if value != given:
                rows.replaced.add(name)
            try:
                row[name] = value_of(column, value, self.reading)
            except Misfit as misfit:
                needed = misfit.needs(column)
                rows.wider[name] = rows.wider.get(name, column).widened(needed)
                row[name] = None if name not in self.keys else str(value)
        rows.unknown.update(values)
        return tuple(row[key] for key in self.keys), encode(row)


def _always_rewritten(_: Record) -> Key:
    raise msgspec.ValidationError


def _has_simple_name(column: Column) -> bool:
    """Return whether the property is called as the column, in characters that msgspec takes."""
    name = column.name
    return name == column.source and name.isprintable() and not {*name} & {'"', "\\"}


def _values_of(attributes: Sequence[str]) -> Callable[[Any], tuple[Any, ...]]:
    """Return what returns these attributes."""
    if len(attributes) == 1:
        (attribute,) = attributes
        return lambda row: (getattr(row, attribute),)
    return attrgetter(*attributes) if attributes else lambda _: ()


def _exact_number(scale: int) -> bytes:
    """Return the pattern of a number that is the same as a double, and fits into its column."""
    digits = b"[0-9]{1,%d}" % _EXACT_DIGITS
    if scale:
        some = b"(?=[0-9.]{3,%d}(?:,|\\Z))" % (_EXACT_DIGITS + 1)
        digits += b"|%b[0-9]+[.][0-9]{1,%d}" % (some, min(scale, _EXACT_DIGITS))
    return b"(?:null|-?(?:%b))" % digits


def _is_exact_json(value: msgspec.Raw) -> bool:
    """Return whether all numbers in a list or an object are the same as doubles."""
    text = bytes(value)
    if text[:1] not in {b"[", b"{"}:
        return text == b"null"
    digits = text.translate(_DIGITS_ONLY)
    may_be = b"9e" in digits or b"9E" in digits or _LONG in digits.translate(None, b".")
    return not may_be or _LONG_NUMBER.search(text) is None
