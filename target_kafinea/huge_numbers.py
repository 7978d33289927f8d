"""Numbers in a line of JSON that are none for Python: thousands of digits, a huge exponent.

They are read as texts, and their record is rejected alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

_MOST_DIGITS = 4_000  # Python reads 4,300 at most
# A text that does not end matches, too: else all that is in it would be looked through again.
_NUMBER = re.compile(
    r'"[^"\\]*(?:\\.[^"\\]*)*"?|(?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)', re.ASCII | re.DOTALL
)


def as_texts(line: str) -> tuple[str, bool]:
    """Return a line of JSON with a text for each huge number, and whether there was one."""
    found = False

    def text(part: re.Match[str]) -> str:
        nonlocal found
        if part["number"] is None or not _is_huge(part["number"]):
            return part[0]
        found = True
        return f'"{part[0]}"'

    return _NUMBER.sub(text, line), found


def problem(record: Mapping[str, Any]) -> str:
    """Say which properties of a record are huge numbers, or hold some."""
    names = [name for name, value in record.items() if _holds_one(value)]
    return f"{', '.join(names) or 'the record'}: a number is out of range"


def _is_huge(number: str) -> bool:
    if len(number) > _MOST_DIGITS:
        return True
    try:
        Decimal(number)
    except ArithmeticError:
        return True
    return False


def _holds_one(value: Any) -> bool:
    if isinstance(value, str):
        found = _NUMBER.fullmatch(value)
        return bool(found and found["number"] and _is_huge(value))
    if isinstance(value, (dict, list)):
        return any(map(_holds_one, value.values() if isinstance(value, dict) else value))
    return False
