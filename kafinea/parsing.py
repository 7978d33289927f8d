"""Parsing what others give: numbers, ids, lists, maps, text, flags and date-times.

All values of a server or a state that are used, not just passed on, are parsed here. Each parser is
bounded, so that no answer makes a number of a million digits, and strict: `2026-1-1 1:1:1` is a
date-time to none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from kafinea.errors import WrongAnswer

NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ArithmeticError)
"""What a decoder raises at what is no JSON, or is JSON that Python cannot hold: brackets a thousand
deep, a number with an exponent of twenty digits."""

LONGEST_NUMBER = 100
"""Characters of a number with a fraction. Databases keep up to 65 digits."""

_WHOLE = re.compile(r"\d{1,18}", re.ASCII)  # whatever the digits, it is within 64 bits
_ID = re.compile(r"\d{1,10}x\d{1,18}", re.ASCII)
_IDS = re.compile(r"(?:\d{1,10}x\d{1,18}\n)*", re.ASCII)
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,2})?", re.ASCII)
_DATETIME = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d", re.ASCII)
_SHORT = re.compile(r"(:\d\d)(?:\.(\d+))?(?:([+-]\d\d)(?::?(\d\d))?)?\Z", re.ASCII)
"""The end of a date-time, as databases write it: `:00.5+00`."""
_NO = frozenset({"", "0", "false", "no", "off"})


def wrong(where: str, what: str) -> WrongAnswer:
    """Return the error for an answer in which something is not what it should be.

    Args:
        where: The operation, and the module or record it was for.
        what: What the server should have answered with.
    """
    return WrongAnswer(f"{where}: the server's answer contains no {what}.")


def whole(value: object) -> int | None:
    """Return a whole number of up to 18 digits; None if this is none, or below 0."""
    if type(value) is int:
        return value if 0 <= value < 10**18 else None
    return int(value) if isinstance(value, str) and _WHOLE.fullmatch(value) else None


def decimal(value: object) -> Decimal | None:
    """Return a number of up to 100 digits and an exponent of up to two; None if this is none."""
    read = text(value)
    if read is None or len(read) > LONGEST_NUMBER or not _NUMBER.fullmatch(read):
        return None
    return Decimal(read)


def is_id(value: object) -> bool:
    """Whether this is the id of a record, such as 12x34."""
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def are_ids(values: Sequence[Any]) -> bool:
    """Whether all of these are ids. All at once, because it takes a third of the time."""
    try:
        text = "\n".join([*values, ""])
    except TypeError:
        return False
    return _IDS.fullmatch(text) is not None and text.count("\n") == len(values)


def prefix_of(record_id: str) -> str:
    """Return the part before the x of an id."""
    return record_id.partition("x")[0]


def number_in(record_id: str) -> int:
    """Return the number after the x of an id."""
    return int(record_id[record_id.index("x") + 1 :])


def text(value: object) -> str | None:
    """Return a text, also of a number; None if this is neither."""
    if isinstance(value, (int, Decimal)) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else None


def flag(value: object) -> bool:
    """Whether this says yes: PHP also writes "1" and "0"."""
    return value.lower() not in _NO if isinstance(value, str) else bool(value)


def members(value: object) -> list[Any] | None:
    """Return the members of a PHP array, which is an object when its keys have gaps; else None."""
    if isinstance(value, Mapping):
        return list(value.values())
    return value if isinstance(value, list) else None


def mapping(value: object) -> Mapping[str, Any] | None:
    """Return a PHP map, which is a list when it is empty; None if this is none."""
    if isinstance(value, Mapping):
        return value
    return {} if value == [] else None


def local_time(value: object) -> datetime:
    """Return a date-time of the wire, which has no zone.

    Raises:
        ValueError: It is none.
    """
    if not isinstance(value, str) or not _DATETIME.fullmatch(value):
        raise ValueError
    return datetime.fromisoformat(value)


def moment(text: str) -> datetime:
    """Return the moment that an ISO 8601 text names; without an offset it has no zone.

    Raises:
        ValueError: It is no such text.
    """
    text = text[:-1] + "+00:00" if text[-1:] in {"Z", "z"} else text
    return datetime.fromisoformat(_SHORT.sub(_whole, text))


def _whole(short: re.Match[str]) -> str:
    """Return the end of a date-time as Python 3.10 reads it: six digits, `+00:00`."""
    time, fraction, hours, minutes = short.groups()
    digits = f".{fraction[:6]:0<6}" if fraction else ""
    return f"{time}{digits}{hours}:{minutes or '00'}" if hours else f"{time}{digits}"
