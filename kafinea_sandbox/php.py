"""What PHP does to values on their way in and out."""

from __future__ import annotations

import json
import os
import re
import time
from decimal import Decimal, InvalidOperation
from html.entities import codepoint2name
from typing import Any

_ENTITIES = {point: f"&{name};" for point, name in codepoint2name.items()} | {39: "&#039;"}
_NUMBER = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)", re.IGNORECASE)


def encode(value: Any) -> bytes:
    r"""`json_encode`: ASCII only, and every slash as `\/`."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), default=number)
    return text.replace("/", "\\/").encode("ascii")


def mapping(value: dict[str, Any]) -> dict[str, Any] | list[Any]:
    """A PHP array: an empty map is an empty list, `[]`."""
    return value or []


def number(value: Decimal) -> int | float:
    """A float, which PHP writes without a point when it is whole."""
    return int(value) if value == value.to_integral_value() else float(value)


def text(value: Any) -> str:
    """`(string) $value` of a decoded JSON value."""
    if value is None or value is False:
        return ""
    if value is True:
        return "1"
    if isinstance(value, (list, dict)):
        return "Array"
    return str(value)


def floatval(value: str) -> Decimal:
    """The number a text begins with, else 0."""
    match = _NUMBER.match(value)
    try:
        return Decimal(match[1]) if match else Decimal(0)
    except InvalidOperation:  # pragma: no cover - the pattern allows nothing else
        return Decimal(0)


def htmlentities(value: str) -> str:
    """`htmlentities` with quotes."""
    return value.translate(_ENTITIES)


def decode(value: str | None) -> Any:
    """`json_decode`: None for a text that is not JSON."""
    if not value:
        return None
    try:
        value.encode("utf-8")
        return json.loads(value, parse_float=Decimal)
    except ValueError:
        return None


def uniqid() -> str:
    """13 hexadecimal digits made of the time in microseconds."""
    return f"{time.time_ns() // 1000:013x}"[-13:]


def session_id() -> str:
    """An id as this API makes it: 8 random digits and a `uniqid`."""
    return os.urandom(4).hex() + uniqid()
