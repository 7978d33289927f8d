"""Whether a value of the warehouse, read as a string, is the one that the tap emits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timezone
from decimal import Decimal, InvalidOperation
from typing import Any

from kafinea.parsing import moment
from kafinea.values import ServerZone, ValueType
from kafinea_cli.verify.warehouse import EPOCH, MICROSECOND, TIMES, Kind, microseconds

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_YES, _NO = {"true", "t", "1"}, {"false", "f", "0"}


def is_same(value: Any, stored: str | None, value_type: ValueType | None, kind: Kind) -> bool:
    """Whether a value is stored as the tap emits it, in a column of any type that can hold it.

    Args:
        value: What the tap emits.
        stored: What is stored, as a string.
        value_type: The type of the field; None for the lines of a document.
        kind: How the column is read.
    """
    if value is None or stored is None:
        return value is None and stored is None
    if value_type is ValueType.TEXT:
        return _is_same_text(str(value), stored)
    try:
        if value_type in {ValueType.INTEGER, ValueType.NUMBER}:
            return _is_same_number(value, stored, kind)
        if value_type is ValueType.BOOLEAN:
            return stored.lower() in (_YES if value else _NO)
        if value_type is ValueType.DATE:
            return _day(stored, kind) == str(value)
        if value_type is ValueType.DATETIME:
            return _is_same_time(value, stored, kind)
        return _is_same_json(value, json.loads(stored, parse_float=Decimal, parse_int=Decimal))
    except (ValueError, InvalidOperation, OverflowError):
        return False


class Times:
    """Compares `modifiedtime` as the server writes it with what is stored.

    Args:
        zone: The server's time zone.
        kind: How the column is read; None if there is none.
    """

    def __init__(self, zone: ServerZone, kind: Kind | None) -> None:
        self._zone = zone
        self._kind = kind

    def of(self, wire: str | None) -> int | None:
        """Return a time of the server as microseconds since 1970; None if it has none."""
        if not wire or wire.startswith("0000-00-00"):
            return None
        try:
            return microseconds(self._zone.aware(wire))
        except (ValueError, OverflowError):
            return None  # for the tap as well

    def is_same(self, wire: str | None, stored: int | str | None) -> bool:
        """Whether a time of the server is the one that is stored."""
        if self._kind is None:
            return True
        at = self.of(wire)
        if at is None or stored is None:
            return at is None and stored is None
        if isinstance(stored, int):
            return stored == at or (self._kind is Kind.LOCAL and stored == self._local(wire))
        try:
            return _is_same_time(self._zone.aware(str(wire)).isoformat(), stored, self._kind)
        except ValueError:
            return False

    def _local(self, wire: str | None) -> int:
        """Return a time of the server as loaders store it that forget the offset."""
        return microseconds(self._zone.aware(str(wire)).replace(tzinfo=timezone.utc))


def _is_same_text(value: str, stored: str) -> bool:
    # The exact loaders replace what the database cannot store.
    return stored in {value, value.replace("\0", _REPLACEMENT)} or stored == value.encode(
        "utf-16", "surrogatepass"
    ).decode("utf-16", "replace").replace("\0", _REPLACEMENT)


def _is_same_number(value: Decimal | int, stored: str, kind: Kind) -> bool:
    if kind is Kind.DOUBLE:
        return float(value) == float(stored)
    return Decimal(value) == Decimal(stored)


def _day(stored: str, kind: Kind) -> str:
    if kind in TIMES:
        return (EPOCH + int(stored) * MICROSECOND).date().isoformat()
    return stored[:10]


def _is_same_time(value: str, stored: str, kind: Kind) -> bool:
    at = moment(value)
    if kind is Kind.INSTANT:
        return int(stored) == microseconds(at)
    local = at.replace(tzinfo=timezone.utc)
    if kind is Kind.LOCAL:
        return int(stored) in {microseconds(at), microseconds(local)}
    read = moment(stored)
    if read.tzinfo:
        return read == at
    return read.replace(tzinfo=timezone.utc) in {at, local}


def _is_same_json(value: Any, stored: Any) -> bool:
    """Whether a list or the lines of a document are stored; a line may lack what is null."""
    if isinstance(value, Mapping):
        return isinstance(stored, Mapping) and all(
            _is_same_json(value.get(name), stored.get(name)) for name in {*value, *stored}
        )
    if isinstance(value, list):
        return (
            isinstance(stored, list)
            and len(value) == len(stored)
            and all(map(_is_same_json, value, stored))
        )
    if isinstance(value, bool) or value is None:
        return value is stored
    if isinstance(value, (int, Decimal)):
        return isinstance(stored, Decimal) and Decimal(value) == stored
    return isinstance(stored, str) and _is_same_text(value, stored)
