"""Values: the wire's texts as Python values, and back.

On the wire nearly all is text: "1234.57000000", "0", "2026-11-22 07:54:35", "". An empty text, a
null and a date of zeros mean that there is no value.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum
from functools import lru_cache, partial
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from kafinea.errors import SettingsError
from kafinea.parsing import LONGEST_NUMBER, decimal, local_time, moment

Decode = Callable[[Any], Any]


class ValueType(str, Enum):
    """How a value is typed."""

    TEXT = "text"
    BOOLEAN = "boolean"
    INTEGER = "integer"
    NUMBER = "number"
    DATE = "date"
    DATETIME = "datetime"
    LIST = "list"


_KINDS = {
    "boolean": ValueType.BOOLEAN,
    "integer": ValueType.INTEGER,
    "double": ValueType.NUMBER,
    "currency": ValueType.NUMBER,
    "date": ValueType.DATE,
    "datetime": ValueType.DATETIME,
    "multipicklist": ValueType.LIST,
}

LIST_SEPARATOR = " |##| "
_WORDS = {
    **dict.fromkeys(("1", "on", "yes", "true"), True),
    **dict.fromkeys(("0", "off", "no", "false"), False),
}
DOES_NOT_FIT = (ValueError, TypeError, ArithmeticError, LookupError)
"""What a codec raises at a value that does not fit its type."""
_DAYS_OF_A_CENTURY = 40_000
_INTEGER = re.compile(r"[+-]?\d{1,100}(?:\.0*)?", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_PLAIN_DATETIME = re.compile(r"\d{4}-\d\d-\d\d (?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d", re.ASCII)


def value_type_of(type_name: str) -> ValueType:
    """Return how values of a describe type are typed.

    Unknown types are text. So is `time`: real servers keep durations such as "23" in such fields.
    """
    return _KINDS.get(type_name, ValueType.TEXT)


class ServerZone:
    """The time zone in which the server writes its date-times, which carry none.

    Args:
        name: An IANA name such as `Europe/Paris`; None for UTC, because nobody has said.

    Attributes:
        name: The name.
        is_set: Whether somebody has said so.

    Raises:
        SettingsError: There is no such zone.
    """

    def __init__(self, name: str | None = None) -> None:
        self.is_set = bool(name)
        self.name = name = name or "UTC"
        try:
            self._zone: tzinfo = timezone.utc if name == "UTC" else ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise SettingsError(
                f"`timezone` {name!r} is not a known time zone. Use a name such as Europe/Paris."
            ) from None

    def aware(self, wire: str) -> datetime:
        """Return the moment of a wire date-time. Of an hour that comes twice, the first one.

        Raises:
            ValueError: It is not a date-time.
        """
        return local_time(wire).replace(tzinfo=self._zone)

    def moment(self, moment: datetime) -> datetime:
        """Return a moment on the server's clock. One without a zone is the server's own."""
        return moment.replace(tzinfo=moment.tzinfo or self._zone).astimezone(self._zone)

    def may_be_later(self, wire: str, moment: datetime) -> bool:
        """Whether a wire date-time may be later than a moment, in whole seconds.

        Where the clock shows it twice it may be the second time, unless it is the moment itself
        as `aware` reads it. What is no date-time may be later.
        """
        try:
            local = self.aware(wire)
        except ValueError:
            return True
        # In UTC, because a time that comes twice is equal to none of another zone in Python.
        first, second = (local.replace(fold=fold).astimezone(timezone.utc) for fold in (0, 1))
        other = moment.astimezone(timezone.utc)
        return first != other.replace(microsecond=0) and second > other

    def setting(self, name: str, text: str | None) -> datetime | None:
        """Return the moment that a setting names, on the server's clock.

        Raises:
            SettingsError: It names none.
        """
        try:
            return self.moment(moment(text)) if text else None
        except (TypeError, ValueError, OverflowError):
            raise SettingsError(
                f"`{name}` {text!r} is not a date. Write 2026-01-31 or 2026-01-31T08:00:00Z."
            ) from None

    def wire(self, moment: datetime) -> str:
        """Return a moment as the server writes it. A moment without a zone is the server's own."""
        local = moment if moment.tzinfo is None else moment.astimezone(self._zone)
        return local.replace(tzinfo=None).isoformat(sep=" ", timespec="seconds")

    def earlier(self, wire: str, seconds: float) -> str:
        """Return the wire date-time so many seconds earlier on the server's clock.

        In the hour that comes twice in autumn the clock may have been set back since: then that
        hour is added, because what was written in its second run looks older than it is.
        """
        local = self.aware(wire)
        repeated = max(_offset(local) - _offset(local.replace(fold=1)), timedelta(0))
        return self.wire(local.replace(tzinfo=None) - timedelta(seconds=seconds) - repeated)

    def is_repeated(self, wire: str) -> bool:
        """Whether the clock shows this date-time twice."""
        return self.earlier(wire, 0) != wire


def _offset(moment: datetime) -> timedelta:
    return moment.utcoffset() or timedelta(0)


def _digits(wire: str) -> int:
    if len(wire) <= LONGEST_NUMBER and wire.isdigit() and wire.isascii():
        return int(wire)
    raise ValueError(wire)


def _plain_number(wire: str) -> Decimal:
    if len(wire) <= LONGEST_NUMBER and wire.replace(".", "", 1).isdigit() and wire.isascii():
        return Decimal(wire)
    raise ValueError(wire)


@lru_cache(maxsize=4)
def _fast_datetime(zone: ServerZone) -> Decode:
    """Return a codec that asks the zone once for each day of which all has the same offset."""

    @lru_cache(maxsize=_DAYS_OF_A_CENTURY)
    def offset(day: str) -> str:
        morning = zone.aware(f"{day} 00:00:00")
        evening = morning.replace(hour=23, minute=59, second=59)
        text = morning.isoformat()[19:]
        if morning.utcoffset() != evening.utcoffset() or len(text) != len("+00:00"):
            raise ValueError(day)
        return text

    def decode(wire: str) -> str:
        if not _PLAIN_DATETIME.fullmatch(wire):
            raise ValueError(wire)
        return wire.replace(" ", "T") + offset(wire[:10])

    return decode


def encode(value: Any, value_type: ValueType, zone: ServerZone) -> str | None:
    """Return a Python value as the wire wants it; None stays None, which clears a field.

    Args:
        value: A typed value, as `RowDecoder` gives it, or as Python has it (`date`, `datetime`).
        value_type: The type of the field.
        zone: The server's time zone.

    Raises:
        ValueError: The value does not fit the type. The server would change it silently.
    """
    if value is None:
        return None
    if value_type is ValueType.BOOLEAN:
        return "1" if _boolean(value) else "0"
    if value_type is ValueType.INTEGER:
        return str(_integer(value))
    if value_type is ValueType.NUMBER:
        return format(_number(value), "f")
    if value_type is ValueType.DATE:
        return _date(value.isoformat() if isinstance(value, date) else value)
    if value_type is ValueType.DATETIME:
        return zone.wire(moment(str(value)))
    if value_type is ValueType.LIST:
        return LIST_SEPARATOR.join(_list(value))
    return _text(value)


def _text(wire: Any) -> str:
    if isinstance(wire, bool) or not isinstance(wire, (str, int, float, Decimal)):
        raise TypeError(type(wire).__name__)
    return str(wire)


def _boolean(wire: Any) -> bool:
    if isinstance(wire, bool):
        return wire
    word = str(wire).lower()
    if word not in _WORDS:
        raise ValueError(wire)
    return _WORDS[word]


def _integer(wire: Any) -> int:
    text = str(wire)
    if not _INTEGER.fullmatch(text):
        raise ValueError(wire)
    return int(text.partition(".")[0])


def _number(wire: Any) -> Decimal:
    if (number := decimal(wire)) is None:
        raise ValueError
    return number


@lru_cache(maxsize=_DAYS_OF_A_CENTURY)
def _date(wire: Any) -> str | None:
    if wire == "0000-00-00":
        return None
    if not _DATE.fullmatch(wire):
        raise ValueError(wire)
    date.fromisoformat(wire)
    text: str = wire
    return text


def _datetime(wire: Any, zone: ServerZone) -> str | None:
    if wire in {"0000-00-00 00:00:00", "0000-00-00"}:
        return None
    moment = zone.aware(wire)
    if _offset(moment).seconds % 60:
        moment = moment.astimezone(timezone.utc)  # old local times; RFC 3339 has no such offsets
    return moment.isoformat()


def _list(wire: Any) -> list[str]:
    if isinstance(wire, str):
        return _members(wire.split("|##|"))
    if not isinstance(wire, list) or not all(isinstance(member, str) for member in wire):
        raise ValueError(wire)
    return _members(wire)


def _members(texts: list[str]) -> list[str]:
    return [member for text in texts if (member := text.strip())]


@dataclass(frozen=True)
class Codec:
    """How the wire values of a type are read.

    Attributes:
        strict: Decides what a value means, whatever it is.
        fast: Reads the common forms of a text in a third of the time, and raises at others. None
            where a text is taken as it is.
    """

    strict: Decode
    fast: Decode | None


_CODECS = {
    ValueType.BOOLEAN: Codec(_boolean, _WORDS.__getitem__),
    ValueType.INTEGER: Codec(_integer, _digits),
    ValueType.NUMBER: Codec(_number, _plain_number),
    ValueType.DATE: Codec(_date, _date),
    ValueType.LIST: Codec(_list, _list),
    ValueType.TEXT: Codec(_text, None),
}


def codec_of(value_type: ValueType, zone: ServerZone) -> Codec:
    """Return how the wire values of a type are read."""
    if value_type is ValueType.DATETIME:
        return Codec(partial(_datetime, zone=zone), _fast_datetime(zone))
    return _CODECS[value_type]
