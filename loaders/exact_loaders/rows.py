"""Rows: which records the database reads exactly as they are, and how the others are rewritten.

A database reads JSON faster than Python, but not always exactly. Measured with DuckDB 1.5: a number
of more than 15 digits goes through a double, a decimal is rounded to the scale of its column, a
date-time is cut to a date, and 1.5 becomes 2 in an integer column. PostgreSQL reads numbers
exactly, but refuses NUL. So each record is checked as a whole, in C: `msgspec` decodes it into the
types of the columns, and one search finds long numbers in all bytes of a batch. A record that does
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
from itertools import islice
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
_EXACT_DIGITS = 15  # of a double
_LINES_AT_ONCE = 1000
"""How many lines are searched together. Fewer take longer, more take memory."""
_DIGITS_ONLY = bytes(ord("9") if 48 <= byte < 58 else byte for byte in range(256))


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
        as_it_came: dict[Key, Record] = {}  # never rewritten twice: JSON would be quoted twice
        for record in records:
            try:
                key = self._check(record)
            except (msgspec.DecodeError, UnicodeError):
                as_it_came.pop(self._put(rows, *self._rewritten(rows, record)), None)
            else:
                as_it_came[self._put(rows, key, record)] = record
        unchanged = iter(as_it_came.items())
        while some := list(islice(unchanged, _LINES_AT_ONCE)):
            if self._is_inexact(b"\n".join(line for _, line in some)):
                for key, line in some:
                    if self._is_inexact(line):
                        rows.lines[key] = self._rewritten(rows, line)[1]
        return rows

    def rewrite(self, records: Iterable[Record]) -> Rows:
        """Return the rows of records, all of them rewritten."""
        rows = Rows()
        for record in records:
            self._put(rows, *self._rewritten(rows, record))
        return rows

    def _put(self, rows: Rows, key: Key, line: Record) -> Key:
        """Put a row in its place, and return which that is."""
        if None in key:
            missing = ", ".join(f"`{name}`" for name in self.keys)
            raise LoaderError(f"A record has no value for its key ({missing}).")
        place = key or (len(rows.lines),)
        rows.lines[place] = line
        return place

    # Checked in C

    @cached_property
    def _check(self) -> Callable[[Record], Key]:
        """Return the key of a record; raise `DecodeError` if a value does not fit its column."""
        columns = self.columns.values()
        has_own_names = all(column.name == column.source for column in columns)
        if not has_own_names or any(
            self.columns[key].kind not in _SIMPLE_KEYS for key in self.keys
        ):
            return _nothing_fits
        fields = [(f"f{n}", _CHECKED[column.kind] | None, None) for n, column in enumerate(columns)]
        struct = msgspec.defstruct(
            "Row",
            fields,
            rename={f"f{n}": column.name for n, column in enumerate(columns)},
            forbid_unknown_fields=True,
            gc=False,
        )
        decode = msgspec.json.Decoder(struct).decode
        places = {name: f"f{n}" for n, name in enumerate(self.columns)}
        if len(self.keys) == 1:
            (place,) = (places[key] for key in self.keys)
            return lambda record: (getattr(decode(record), place),)
        attributes = [places[key] for key in self.keys]

        def check(record: Record) -> Key:
            row = decode(record)
            return tuple(getattr(row, name) for name in attributes)

        return check

    @cached_property
    def _is_inexact(self) -> Callable[[Record], bool]:
        """Return whether some value may be read inexactly; the types of the columns fit."""
        if self.reading.refuses_nul:
            return lambda lines: b"\\u0000" in bytes(lines)
        if not any(column.kind in {Kind.DECIMAL, Kind.JSON} for column in self.columns.values()):
            return lambda _: False
        scales = [col.scale for col in self.columns.values() if col.kind is Kind.DECIMAL]
        scale = min([*scales, _EXACT_DIGITS])
        # Without its point, a number of 16 digits. With it, one more digit than the scale.
        long, fine = b"9" * (_EXACT_DIGITS + 1), b"." + b"9" * (scale + 1)
        number = re.compile(
            rb"[:,\[ ]-?(?:[0-9.]{%d,}|[0-9]+\.[0-9]{%d,}|[0-9.]+[eE])"
            % (_EXACT_DIGITS + 1, scale + 1)
        )

        def is_inexact(lines: Record) -> bool:
            digits = bytes(lines).translate(_DIGITS_ONLY)
            may_be = (
                fine in digits
                or b"9e" in digits
                or b"9E" in digits
                or long in digits.translate(None, b".")
            )
            return may_be and number.search(lines) is not None

        return is_inexact

    # Rewritten

    def _rewritten(self, rows: Rows, record: Record) -> tuple[Key, bytes]:
        """Return the key and the line of a record, and note what it needs."""
        try:
            values = json.loads(
                bytes(record), parse_float=Decimal, parse_int=Decimal, parse_constant=str
            )
        except (ValueError, RecursionError):
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


def _nothing_fits(_: Record) -> Key:
    raise msgspec.ValidationError
