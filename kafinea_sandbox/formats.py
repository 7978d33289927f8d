"""The user's formats: what they make of the numbers and moments that a client sends.

Stock servers turn a number into the user's format and back before they store it, which rounds it
and, in another currency, converts it there and back. coreBOS takes what is sent for the user's
format to begin with. (API-FACTS, "What an update does to the fields it was not meant for".)
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_DOWN, ROUND_HALF_UP, Context, Decimal, InvalidOperation
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_WIDE = Context(prec=99)
_NUMBER = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)", re.IGNORECASE)


@dataclass(frozen=True)
class Formats:
    """The preferences of one user that matter to what is stored."""

    decimals: int
    point: str
    grouping: str
    rate: Decimal
    """What one unit of the base currency is worth in the user's."""
    date_format: str
    zone: ZoneInfo
    servers_zone: ZoneInfo
    own: bool
    """What is sent is read as the user would write it, and cut instead of rounded (coreBOS)."""

    def number(self, text: str) -> str:
        """A number as PHP can read it."""
        if not self.own:
            return text
        return text.replace(self.grouping, "").replace(self.point, ".")

    def kept(self, number: Decimal) -> Decimal:
        """What the user's decimals leave of a number."""
        unit = Decimal(1).scaleb(-self.decimals)
        return number.quantize(unit, ROUND_DOWN if self.own else ROUND_HALF_UP, _WIDE)

    def amount(self, number: Decimal) -> Decimal:
        """An amount after it was shown in the user's currency and read again."""
        return _WIDE.divide(self.kept(_WIDE.multiply(number, self.rate)), self.rate)

    def moment(self, text: str) -> str:
        """A moment of the user's day in the server's zone, without its seconds."""
        try:
            moment = datetime.strptime(text[:16], "%Y-%m-%d %H:%M")  # noqa: DTZ007 - set below
        except ValueError:
            return text
        moved = moment.replace(tzinfo=self.zone).astimezone(self.servers_zone)
        return f"{moved:%Y-%m-%d %H:%M}:00"


def formats_of(row: Mapping[str, Any], *, servers_zone: ZoneInfo, own: bool) -> Formats:
    """The formats of a user, by the columns of Users, as they are now."""
    return Formats(
        decimals=int(row.get("no_of_currency_decimals") or 2),
        point=row.get("currency_decimal_separator") or ".",
        grouping=row.get("currency_grouping_separator") or ",",
        rate=leading_number(str(row.get("conv_rate") or "")) or Decimal(1),
        date_format=row.get("date_format") or "yyyy-mm-dd",
        zone=ZoneInfo(row.get("time_zone") or "UTC"),
        servers_zone=servers_zone,
        own=own,
    )


def leading_number(text: str) -> Decimal:
    """`floatval`: the number a text begins with, else 0."""
    match = _NUMBER.match(text)
    try:
        return Decimal(match[1]) if match else Decimal(0)
    except InvalidOperation:  # pragma: no cover - the pattern allows nothing else
        return Decimal(0)
