"""The value that a column stores for what it is sent: much is accepted and changed silently."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from kafinea_sandbox import php
from kafinea_sandbox.database.tables import empty
from kafinea_sandbox.errors import Fatal
from kafinea_sandbox.instance.formats import Formats
from kafinea_sandbox.modules.model import Field

_INT_MAX = 2**31 - 1
_ISO = re.compile(r"(\d{4})-(\d{2})-(\d{2})(?: \d{2}:\d{2}(?::\d{2})?)?")
_TIME = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?")
_SCRIPT = re.compile(r"<script.*?>.*?</script>", re.IGNORECASE | re.DOTALL)
_TRUE = {"1", "on"}


def coerce(field: Field, value: Any, formats: Formats) -> str | None:
    """The text that the database stores for a JSON value.

    Raises:
        Fatal: A number that PHP 8 cannot calculate with.
    """
    if value is None or value == "":
        blank = empty(field)
        return None if blank is None else str(blank)
    return _BY_TYPE.get(field.type, _text)(field, value, formats)


def _text(field: Field, value: Any, _formats: Formats) -> str:
    text = re.sub("[\U00010000-\U0010ffff]", "????", php.text(value))  # the database is utf8mb3
    if _SCRIPT.search(text):
        text = text.replace("<", "&lt;").replace(">", "&gt;")
    return text[: field.size] if field.size else text


def _multipicklist(field: Field, value: Any, formats: Formats) -> str:
    if isinstance(value, list):
        value = " |##| ".join(php.text(one) for one in value)
    return _text(field, value, formats)


def _integer(_field: Field, value: Any, _formats: Formats) -> str:
    whole = php.floatval(php.text(value)).quantize(Decimal(1), ROUND_HALF_UP)
    return str(max(-_INT_MAX - 1, min(_INT_MAX, int(whole))))


def _double(field: Field, value: Any, formats: Formats) -> str:
    return _written(formats.kept(_decimal(php.text(value), formats)), field)


def _currency(field: Field, value: Any, formats: Formats) -> str:
    number = php.floatval(formats.number(php.text(value)))
    return _written(formats.amount(number), field)


def _decimal(text: str, formats: Formats) -> Decimal:
    if formats.own:
        return php.floatval(formats.number(text))
    try:
        return Decimal(text.strip())
    except InvalidOperation:
        raise Fatal("Unsupported operand types: string * float") from None


def _written(number: Decimal, field: Field) -> str:
    """A number with the decimals of its column."""
    return f"{number:.{field.scale or 0}f}"


def _moment(field: Field, value: Any, formats: Formats) -> str:
    """Only custom datetimes are in the user's format; the server sets the others itself."""
    text = php.text(value)
    return formats.moment(text) if formats.own and field.name.startswith("cf_") else text


def _boolean(_field: Field, value: Any, _formats: Formats) -> str:
    return "1" if php.text(value) in _TRUE else "0"


def _date(_field: Field, value: Any, formats: Formats) -> str | None:
    text = php.text(value)
    match = _ISO.fullmatch(text)
    parts = match.groups() if match else _own_format(text, formats.date_format)
    if parts is None:
        return None
    try:
        return date(*(int(part) for part in parts)).isoformat()
    except ValueError:
        return "0000-00-00"


def _own_format(text: str, form: str) -> tuple[str, ...] | None:
    """Year, month and day of a date in the user's format, such as dd-mm-yyyy."""
    separator = re.sub("[dmy]", "", form)[:1]
    names, parts = form.split(separator), text.split(separator)
    if [len(name) for name in names] != [len(part) for part in parts]:
        return None
    by_name = dict(zip(names, parts, strict=True))
    if not all(part.isdigit() for part in parts):
        return None
    return by_name["yyyy"], by_name["mm"], by_name["dd"]


def _time(_field: Field, value: Any, _formats: Formats) -> str:
    text = php.text(value)
    match = _TIME.match(text)  # AM and PM are not read
    if not match:
        return text
    hour, minute, second = (int(part or 0) for part in match.groups())
    return f"{hour:02}:{minute:02}:{second:02}"


_BY_TYPE: dict[str, Callable[[Field, Any, Formats], str | None]] = {
    "integer": _integer,
    "double": _double,
    "currency": _currency,
    "boolean": _boolean,
    "date": _date,
    "datetime": _moment,
    "time": _time,
    "multipicklist": _multipicklist,
}
