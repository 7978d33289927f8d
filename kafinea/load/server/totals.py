"""Whether the totals of a record follow from its lines: the server's arithmetic, done again.

Measured: with `individual` taxes the subtotal holds the taxes of each line, and of those only
the ones that the line's product is subject to; with `group` the rate of all is read from a line.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from decimal import Decimal
from typing import Any

from kafinea.describe import LINES
from kafinea.parsing import decimal

Record = Mapping[str, Any]
TaxesOf = Callable[[str], Collection[str]]
"""The names of the taxes that a product is subject to, by its id."""

_HALF_A_CENT = Decimal("0.005")


def follow(record: Record, taxes_of: TaxesOf) -> bool:
    """Whether subtotal and total of a record follow from what is stored.

    Args:
        record: The record with its lines, as `retrieve` gives it or put together from queries.
        taxes_of: Returns the taxes of a product; called only when all taxes together do not match.
    """
    lines: Sequence[Record] = record.get(LINES) or []
    if not lines or "hdnSubTotal" not in record:
        return True  # there is nothing that could be added up
    # Servers round lines or sums: half a cent for each line, and one for each sum.
    tolerance = _HALF_A_CENT * (len(lines) + 2)

    def is_near(name: str, expected: Decimal) -> bool:
        return name not in record or abs(_number(record, name) - expected) <= tolerance

    subtotal = _number(record, "hdnSubTotal")
    if not (
        is_near("hdnSubTotal", _subtotal(record, lines, _all_taxes))
        or is_near("hdnSubTotal", _subtotal(record, lines, taxes_of))
    ):
        return False
    charges = _number(record, "hdnS_H_Amount")
    discounted = _number(record, "pre_tax_total") - charges
    if "pre_tax_total" not in record:
        discounted = subtotal - _discount(record, subtotal)
    elif _has_discounts(record) and not is_near(
        "pre_tax_total", subtotal - _discount(record, subtotal) + charges
    ):
        return False
    if charges and _number(record, "hdnS_H_Percent"):
        return True  # the taxes of charges stand in no field
    total = discounted + charges + _number(record, "txtAdjustment")
    return is_near("hdnGrandTotal", total + discounted * _group_rate(record, lines) / 100)


def rounded_line(stored: Sequence[Record], wanted: Sequence[Record]) -> int | None:
    """Return the place of a line whose amount is another one than was wanted; None if all are.

    Servers round what a line contains, and multiply what they have rounded.

    Args:
        stored: The lines as they are.
        wanted: The same lines as they were loaded.
    """
    for place, (old, new) in enumerate(zip(stored, wanted, strict=True), 1):
        if abs(_net(old) - _net({**old, **new})) > _HALF_A_CENT:
            return place
    return None


def _has_discounts(record: Record) -> bool:
    """Whether a record contains the discounts of its header. Queries of stock servers do not."""
    return "hdnDiscountPercent" in record and "hdnDiscountAmount" in record


def _discount(record: Record, subtotal: Decimal) -> Decimal:
    percent = _number(record, "hdnDiscountPercent")
    return subtotal * percent / 100 + _number(record, "hdnDiscountAmount")


def _subtotal(record: Record, lines: Sequence[Record], taxes_of: TaxesOf) -> Decimal:
    is_group = record.get("hdnTaxType") == "group"
    return sum(
        (_net(line) * (1 if is_group else 1 + _own_rate(line, taxes_of) / 100) for line in lines),
        Decimal(0),
    )


def _net(line: Record) -> Decimal:
    gross = _number(line, "quantity") * _number(line, "listprice")
    discount = gross * _number(line, "discount_percent") / 100
    return gross - discount - _number(line, "discount_amount")


def _own_rate(line: Record, taxes_of: TaxesOf) -> Decimal:
    known = taxes_of(str(line.get("productid") or "")) if taxes_of is not _all_taxes else None
    names = [name for name in _taxes(line) if known is None or name in known]
    return sum((_number(line, name) for name in names), Decimal(0))


def _group_rate(record: Record, lines: Sequence[Record]) -> Decimal:
    if record.get("hdnTaxType") != "group":
        return Decimal(0)
    return max(sum((_number(line, name) for name in _taxes(line)), Decimal(0)) for line in lines)


def _taxes(line: Record) -> list[str]:
    return [name for name in line if name.startswith("tax") and name[3:].isdigit()]


def _all_taxes(_product: str) -> Collection[str]:
    """Stand for the taxes of any product."""
    return ()


def _number(record: Record, name: str) -> Decimal:
    return decimal(record.get(name) or 0) or Decimal(0)
