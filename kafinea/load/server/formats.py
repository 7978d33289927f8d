"""The formats of the API user: servers read what they are sent in them.

Stock servers round every number of an update to the user's number of decimals, and convert amounts
from the user's currency; coreBOS reads numbers with the user's separators and date-times in the
user's zone (measured). So a load works
best as a user with many decimals, a point, the base currency, dates as yyyy-mm-dd and the server's
time zone.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from kafinea.client import Client
from kafinea.describe import Field
from kafinea.errors import Refused, Unavailable
from kafinea.parsing import decimal, text, whole
from kafinea.values import ValueType, value_type_of

WHERE = 'in Kafinea, under "My preferences" of that user'
"""Where a person changes these formats."""


@dataclass(frozen=True)
class Formats:
    """What is known of the user's formats; None where the server does not return it.

    Attributes:
        decimals: How many decimals of a number are kept.
        decimal_separator: What stands between the whole and its fraction, such as `.`.
        grouping_separator: What stands between thousands.
        rate: What one unit of the base currency is worth in the user's.
    """

    decimals: int | None = None
    decimal_separator: str | None = None
    grouping_separator: str | None = None
    rate: Decimal | None = None

    @property
    def is_base_currency(self) -> bool | None:
        """Whether the user's currency is that of the company."""
        return None if self.rate is None else self.rate == 1

    def would_cut(self, field: Field, stored: Any, wire: str) -> bool:
        """Whether a stored number is what this user's formats leave of another one."""
        number, kept = _number(wire), _number(stored)
        if self.decimals is None or number is None or kept is None or kept == number:
            return False
        if field.type == "currency" and self.rate and self.rate != 1:
            shown = _cut(number * self.rate, self.decimals)
            return any(kept in _cut(one / self.rate, decimals_shown(stored)) for one in shown)
        return decimals_of(wire) > self.decimals and kept in _cut(number, self.decimals)

    def warnings(self) -> list[str]:
        """Return what about these formats may change what is loaded, and what to do."""
        found = []
        if self.decimal_separator not in {None, "", "."}:
            found.append(
                f"The decimal separator of the API user is {self.decimal_separator!r}. Some "
                f"servers then read 1234.56 as 123456. Set it to '.' ({WHERE})."
            )
        if self.is_base_currency is False:
            found.append(
                "The currency of the API user is not the base currency, so amounts may be "
                f"converted when they are saved. Set it to the base currency ({WHERE})."
            )
        return found


def read_formats(client: Client) -> Formats:
    """Return the formats of the user, as far as the server returns them to this user."""
    reported: Mapping[str, Any] = client.profile()
    # Not every user may read Users, and not every server shows the user.
    with suppress(Refused, Unavailable):
        reported = {**reported, **client.retrieve(client.user_id())}
    return Formats(
        decimals=whole(reported.get("no_of_currency_decimals")),
        decimal_separator=text(reported.get("currency_decimal_separator")) or "",
        grouping_separator=text(reported.get("currency_grouping_separator")) or "",
        rate=_number(reported.get("conv_rate")) or None,
    )


def decimals_kept(sent: Decimal, stored: Decimal | None) -> int | None:
    """Return to how many decimals a server rounded or cut a number, if that is what it did.

    The most that explain it: 12.001 stored as 12.00 does not show that 12.01 would be cut, too.
    """
    fewer = reversed(range(decimals_of(sent)))
    return next((decimals for decimals in fewer if stored in _cut(sent, decimals)), None)


def decimals_of(sent: Any) -> int:
    """Return how many decimals a number has, without zeros at its end."""
    number = _number(sent)
    exponent = number.normalize().as_tuple().exponent if number else 0
    return max(0, -exponent) if isinstance(exponent, int) else 0


def decimals_shown(stored: Any) -> int:
    """Return how many decimals a stored number shows, with zeros at its end."""
    return len(str(stored).partition(".")[2])


def cause_of(field: Field | None, before: Any, after: Any) -> str:
    """Return which preference of the API user explains that a server changed a value."""
    kind = value_type_of(field.type) if field else None
    left, right = _number(before), _number(after)
    if kind is ValueType.DATETIME:
        return "time zone"
    if kind is ValueType.DATE:
        return "date format"
    if left is None or right is None or kind in {ValueType.TEXT, ValueType.LIST, ValueType.BOOLEAN}:
        return ""
    if decimals_kept(left, right) is not None:
        return "number of decimals"
    if left and right and _is_power_of_ten(right / left):
        return "decimal and grouping separator"
    return "currency"


def advice(causes: set[str]) -> str:
    """Return what a person can do about values that the server changed."""
    if named := sorted(cause for cause in causes if cause):
        return f"Check these preferences of the API user: {', '.join(named)} ({WHERE})."
    return "A workflow in Kafinea may set them."


def _cut(number: Decimal, decimals: int) -> set[Decimal]:
    try:
        step = Decimal(1).scaleb(-decimals)
        return {number.quantize(step, how) for how in (ROUND_HALF_UP, ROUND_DOWN)}
    except InvalidOperation:  # more digits than Decimal counts with
        return set()


def _is_power_of_ten(ratio: Decimal) -> bool:
    digits = ratio.normalize().as_tuple()
    return digits.digits == (1,) and digits.exponent != 0


def _number(value: Any) -> Decimal | None:
    return Decimal(0) if value in (None, "") else decimal(value)


class NumberLimits:
    """What this run has seen servers do to numbers, so that no such number is sent twice.

    Threads share it.
    """

    def __init__(self) -> None:
        self._decimals: dict[tuple[str, str], int] = {}
        self._causes: dict[tuple[str, str, Decimal | None], str] = {}  # by number

    def note(self, module: str, field: Field, sent: Any, stored: Any) -> None:
        """Note that a number was not stored as it was sent."""
        number = _number(sent)
        if value_type_of(field.type) is not ValueType.NUMBER or number is None:
            return
        kept = decimals_kept(number, _number(stored))
        if kept is None:
            self._causes[module, field.name, number] = cause_of(field, sent, stored)
        else:
            place = module, field.name
            self._decimals[place] = min(kept, self._decimals.get(place, kept))

    def refuse(self, module: str, field: Field, wire: str) -> tuple[str, str]:
        """Return why a number would not be stored as it is sent, and the preference that is it.

        The reason is empty if it may be stored so.
        """
        kept = self._decimals.get((module, field.name))
        if kept is not None and decimals_of(wire) > kept:
            return f"the server keeps only {kept} decimals", "number of decimals"
        if (cause := self._causes.get((module, field.name, _number(wire)))) is not None:
            return "the server stores another number instead of this one", cause
        return "", ""
