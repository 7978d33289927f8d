"""The user's formats: how they change the numbers and datetimes that a client sends.

Stock servers turn a number into the user's format and back before they store it, which rounds it
and, in another currency, converts it there and back. coreBOS reads what is sent in the user's
format (measured).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_DOWN, ROUND_HALF_UP, Context, Decimal
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from kafinea_sandbox import php

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_WIDE = Context(prec=99)


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
    """What is sent is read in the user's format, and truncated instead of rounded (coreBOS)."""

    def number(self, text: str) -> str:
        """A number as PHP can read it."""
        if not self.own:
            return text
        return text.replace(self.grouping, "").replace(self.point, ".")

    def kept(self, number: Decimal) -> Decimal:
        """A number with the user's number of decimals."""
        unit = Decimal(1).scaleb(-self.decimals)
        return number.quantize(unit, ROUND_DOWN if self.own else ROUND_HALF_UP, _WIDE)

    def amount(self, number: Decimal) -> Decimal:
        """An amount after a conversion into the user's currency and back."""
        return _WIDE.divide(self.kept(_WIDE.multiply(number, self.rate)), self.rate)

    def moment(self, text: str) -> str:
        """A datetime of the user's zone in the server's zone, without its seconds."""
        try:
            moment = datetime.strptime(text[:16], "%Y-%m-%d %H:%M")  # noqa: DTZ007 - set below
        except ValueError:
            return text
        moved = moment.replace(tzinfo=self.zone).astimezone(self.servers_zone)
        return f"{moved:%Y-%m-%d %H:%M}:00"


def formats_of(row: Mapping[str, Any], *, servers_zone: ZoneInfo, own: bool) -> Formats:
    """The formats of a user, from a row of Users."""
    return Formats(
        decimals=int(row.get("no_of_currency_decimals") or 2),
        point=row.get("currency_decimal_separator") or ".",
        grouping=row.get("currency_grouping_separator") or ",",
        rate=php.floatval(str(row.get("conv_rate") or "")) or Decimal(1),
        date_format=row.get("date_format") or "yyyy-mm-dd",
        zone=ZoneInfo(row.get("time_zone") or "UTC"),
        servers_zone=servers_zone,
        own=own,
    )
