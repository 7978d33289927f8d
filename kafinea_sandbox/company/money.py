"""Baskets of lines and their totals, in whole numbers: exact, and much faster than Decimal.

The units are chosen so that nothing is rounded before the end. A price is in cents, a quantity
in thousandths, discounts in percent and taxes in thousandths: a line is worth
`price * quantity * (100 - discount) * (1000 + tax)` hundred-millionths of a cent.
"""

from __future__ import annotations

from typing import NamedTuple

_PART = 10**8
"""Parts of a cent: the unit in which lines are summed."""


def amount(cents: int) -> str:
    """Cents as a currency value with its 8 digits."""
    if cents < 0:
        return "-" + amount(-cents)
    return f"{cents // 100}.{cents % 100:02d}000000"


def _cents(parts: int) -> int:
    return (parts + _PART // 2) // _PART


class Item(NamedTuple):
    """The part of a product or service that a line uses."""

    number: int
    name: str
    price: int
    """Cents."""
    cost: int
    """Cents."""
    tax: int
    """Thousandths: 200 for 20 %."""
    taxes: tuple[str, str, str]
    """The texts of tax1, tax2, tax3."""


NO_TAX = ("0.000", "0.000", "0.000")


class Line(NamedTuple):
    """A quantity of an item, with a discount."""

    item: Item
    quantity: int
    """Thousandths."""
    discount: int
    """Percent."""

    def net(self) -> int:
        """Price without tax, in 100,000ths of a cent."""
        return self.item.price * self.quantity * (100 - self.discount)


class Basket(NamedTuple):
    """The lines of a quote, an order or an invoice, and their totals in cents."""

    lines: tuple[Line, ...]
    group: bool
    """One tax on the total, instead of each line's own."""
    discount_percent: int
    discount: int
    """Cents taken off the total, when no percentage is."""
    subtotal: int
    pre_tax: int
    total: int


def basket(lines: tuple[Line, ...], *, group: bool, percent: int = 0, discount: int = 0) -> Basket:
    """Add the lines up as the server does.

    With individual taxes the sub total holds the tax of every line, and nothing is added after
    it. With a group tax it does not: the tax, the same on all lines, comes on what is left of it
    after the discount.
    """
    if group:
        parts = sum(line.net() for line in lines) * 1000
        rate = 1000 + (lines[0].item.tax if lines else 0)
    else:
        parts = sum(line.net() * (1000 + line.item.tax) for line in lines)
        rate = 1000
    # Quantities are multiples of 0.5, so the divisions by 100 and 1000 have no remainder.
    left = parts * (100 - percent) // 100 - discount * _PART
    return Basket(
        lines,
        group,
        percent,
        discount,
        subtotal=_cents(parts),
        pre_tax=_cents(left),
        total=_cents(left * rate // 1000),
    )
