r"""Halves of characters in a line of JSON, such as `\ud83d` alone, which no text has.

Python writes them, and no other parser takes such a line. So they are replaced, and their record is
rejected alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

_WHOLE = r"\\u[dD][89abAB]\w\w\\u[dD][c-fC-F]\w\w|\\u(?![dD][89a-fA-F])\w{4}|\\[^u]"
_ESCAPES = re.compile(rf"(?P<whole>{_WHOLE})|\\u(?P<half>[dD][89a-fA-F]\w\w)", re.ASCII)
_REPLACED = "\ufffd"


def without_halves(line: str) -> tuple[str, str]:
    """Return a line of JSON with U+FFFD for each half of a character, and the first half's name."""
    first = ""

    def whole(escape: re.Match[str]) -> str:
        nonlocal first
        if escape["whole"]:
            return escape["whole"]
        first = first or f"U+{escape['half'].upper()}"
        return _REPLACED

    return _ESCAPES.sub(whole, line), first


def problem(record: Mapping[str, Any], first: str) -> str:
    """Say in which properties of a record halves of characters were replaced."""
    names = ", ".join(name for name, value in record.items() if _REPLACED in "".join(_texts(value)))
    return (
        f"{names or 'the record'}: the text contains half a character (unpaired surrogate {first})"
    )


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from (text for each in value.values() for text in _texts(each))
    elif isinstance(value, list):
        yield from (text for each in value for text in _texts(each))
