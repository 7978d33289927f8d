"""Values: what is handed to the database for a value that it would not read exactly."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, timezone
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, InvalidOperation
from typing import Any

import msgspec

from exact_loaders.columns import DIGITS, SCALE, Column, Kind

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_MOST_PLACES = 100  # of a number that is written without an exponent
# The default rounds to 28 digits, and knows no exponent beyond a million.
_EXACT = Context(prec=DIGITS, Emax=MAX_EMAX, Emin=MIN_EMIN)
_POSTGRES = (131_072, 16_383)  # digits that its `numeric` has before and after the point
encode = msgspec.json.Encoder(decimal_format="number").encode
"""Writes JSON, its decimals as numbers with all their digits."""


@dataclass(frozen=True)
class Reading:
    """How a database reads JSON.

    Attributes:
        has_decimal_limit: Whether a decimal has at most 38 digits, and the scale of its column.
        reads_doubles: Whether numbers go through a double. JSON is then handed over as a string.
        refuses_nul: Whether NUL cannot be stored.
    """

    has_decimal_limit: bool
    reads_doubles: bool
    refuses_nul: bool


class Misfit(Exception):
    """A value is outside the type of its column."""

    def __init__(self, kind: Kind, scale: int = 0) -> None:
        super().__init__()
        self._kind, self._scale = kind, scale

    def needs(self, column: Column) -> Column:
        """Return the column that would hold the value."""
        return replace(column, kind=self._kind, scale=self._scale)


def value_of(column: Column, value: Any, reading: Reading) -> Any:
    """Return what is written for a value: JSON that the database reads exactly into the column.

    Args:
        column: Its column.
        value: The value, its numbers as `Decimal`; see `storable`.
        reading: How the database reads.

    Raises:
        Misfit: The column cannot hold it.
    """
    if value is None:
        return None
    fitted = _FITTED[column.kind](column, value, reading)
    if fitted is None:
        raise Misfit(*_kind_of(value, reading))
    return fitted


def storable(value: Any, reading: Reading) -> Any:
    """Return a value in which characters that cannot be stored are replaced."""
    if isinstance(value, str):
        if reading.refuses_nul:
            value = value.replace("\0", _REPLACEMENT)
        try:
            value.encode()
        except UnicodeEncodeError:  # half of a surrogate pair
            value = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return value
    if isinstance(value, list):
        return [storable(item, reading) for item in value]
    if isinstance(value, dict):
        return {storable(name, reading): storable(value[name], reading) for name in value}
    return value


def _text(_column: Column, value: Any, _reading: Reading) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Decimal):
        return _digits(value)
    return encode(value).decode()


def _boolean(_column: Column, value: Any, _reading: Reading) -> bool | None:
    return value if isinstance(value, bool) else None


def _integer(_column: Column, value: Any, _reading: Reading) -> int | None:
    if not isinstance(value, Decimal) or value.adjusted() > DIGITS or value != value.to_integral():
        return None
    number = int(value)
    return number if -(2**63) <= number < 2**63 else None


def _decimal(column: Column, value: Any, reading: Reading) -> str | None:
    if isinstance(value, str):  # as "singer.decimal" writes it
        try:
            value = Decimal(value)
        except InvalidOperation:
            return None
    if not isinstance(value, Decimal) or not value.is_finite():
        return None
    before, after = _places(value)
    if reading.has_decimal_limit:
        is_held = after <= column.scale and before <= DIGITS - column.scale
    else:
        is_held = _is_held(before, after, reading)
    return _digits(value) if is_held else None


def _is_held(before: int, after: int, reading: Reading) -> bool:
    """Whether there is a type for a number with so many digits before and after its point."""
    if reading.has_decimal_limit:
        return before + after <= DIGITS
    return before <= _POSTGRES[0] and after <= _POSTGRES[1]


def _date(_column: Column, value: Any, _reading: Reading) -> str | None:
    day: date | None = _parsed(value, date)
    return day.isoformat() if day else None


def _instant(_column: Column, value: Any, _reading: Reading) -> str | None:
    at: datetime | None = _parsed(value, datetime)
    if at:
        return (at if at.tzinfo else at.replace(tzinfo=timezone.utc)).isoformat()
    day: date | None = _parsed(value, date)
    return f"{day.isoformat()}T00:00:00+00:00" if day else None


def _strings(_column: Column, value: Any, _reading: Reading) -> list[str | None] | None:
    return value if _is_strings(value) else None


def _json(_column: Column, value: Any, reading: Reading) -> Any:
    return encode(value).decode() if reading.reads_doubles else value


_FITTED = {
    Kind.TEXT: _text,
    Kind.BOOLEAN: _boolean,
    Kind.INTEGER: _integer,
    Kind.DECIMAL: _decimal,
    Kind.DATE: _date,
    Kind.INSTANT: _instant,
    Kind.STRINGS: _strings,
    Kind.JSON: _json,
}


def _kind_of(value: Any, reading: Reading) -> tuple[Kind, int]:
    """Return the narrowest kind, and scale, that holds a value."""
    if isinstance(value, bool):
        return Kind.BOOLEAN, 0
    if isinstance(value, Decimal):
        before, after = _places(value)
        scale = max(after, min(SCALE, DIGITS - before))
        return (Kind.DECIMAL, scale) if _is_held(before, after, reading) else (Kind.TEXT, 0)
    if isinstance(value, str):
        if _parsed(value, datetime):
            return Kind.INSTANT, 0
        return (Kind.DATE, 0) if _parsed(value, date) else (Kind.TEXT, 0)
    return (Kind.STRINGS, 0) if _is_strings(value) else (Kind.JSON, 0)


def _is_strings(value: Any) -> bool:
    return isinstance(value, list) and all(item is None or isinstance(item, str) for item in value)


def _places(value: Decimal) -> tuple[int, int]:
    """Return how many digits a number has before and after its point."""
    number = value.normalize(_EXACT) if len(value.as_tuple().digits) <= DIGITS else value
    exponent = number.as_tuple().exponent
    after = max(-exponent, 0) if isinstance(exponent, int) else 0
    return max(number.adjusted() + 1, 0), after


def _digits(value: Decimal) -> str:
    """Return a number with all its digits, as it came; without an exponent if it is short."""
    return format(value, "f") if abs(value.adjusted()) <= _MOST_PLACES else str(value)


def _parsed(value: Any, as_: type[date]) -> Any:
    if not isinstance(value, str):
        return None
    try:
        return msgspec.convert(value, as_)
    except msgspec.ValidationError:
        return None
