"""Comparing a record with what is stored, and building what is sent. Nothing here sends."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_UP, Context, Decimal
from functools import cache
from typing import Any

from kafinea.describe import LINES, Field, Module
from kafinea.load.server.server_rules import AMOUNTS, is_kept, is_sent
from kafinea.parsing import decimal
from kafinea.row_decoder import RowDecoder
from kafinea.values import ServerZone, ValueType, value_type_of

Wire = Mapping[str, Any]
"""A record by field name, its values as the wire has them; None clears a field."""

_UTC = ServerZone()  # the same for both sides of a comparison
_OTHER_DISCOUNTS = {
    "discount_percent": "discount_amount",
    "discount_amount": "discount_percent",
    "hdnDiscountPercent": "hdnDiscountAmount",
    "hdnDiscountAmount": "hdnDiscountPercent",
}
_PRICE = re.compile(r"currency\d+", re.ASCII)
_ZEROS = re.compile(r"[0\s.,:-]*", re.ASCII)
_CENTS = 2  # decimals
_SHORTEST_CUT = 16


def changed_fields(stored: Wire, wanted: Wire, fields: Mapping[str, Field]) -> list[str]:
    """Return the fields whose typed values differ.

    Args:
        stored: The record as the server has it.
        wanted: Values to be stored.
        fields: The module's fields.
    """
    return [
        name
        for name, value in wanted.items()
        if not _same_whatever_type(stored.get(name), value)
        and not same_value(stored.get(name), value, fields[name])
    ]


def altered_fields(stored: Wire, sent: Wire, module: Module) -> list[str]:
    """Return the fields that the server holds otherwise than it was sent, and should not."""
    fields = module.fields  # prices of products are not all described
    described = {name: value for name, value in sent.items() if name in fields}
    return [
        name
        for name in changed_fields(stored, described, fields)
        if is_kept(fields[name], module, stored)
    ]


def same_value(stored: Any, wanted: Any, field: Field) -> bool:
    """Whether two wire values of a field mean the same.

    The server does not distinguish an empty number from 0, nor an empty box from "no". It keeps as
    many digits as the stored value shows; but one without cents may lack zeros at its end. A stored
    value that cannot be read is the same as itself only.
    """
    kind = value_type_of(field.type)
    left, right = (_typed(value, field, kind) for value in (stored, wanted))
    if left is None and not _is_nothing(stored):
        return bool(stored == wanted)
    if kind in {ValueType.NUMBER, ValueType.INTEGER}:
        # A number that is no text has lost its last zeros, and does not show its number of digits.
        like = left if isinstance(stored, str) else None
        return _rounded(right or Decimal(0), like=like) == (left or 0)
    if kind is ValueType.BOOLEAN:
        return bool(left) == bool(right)
    if kind is ValueType.LIST:
        return sorted(left or []) == sorted(right or [])
    return bool(left == right)


def is_empty(stored: Any, known: Field) -> bool:
    """Whether a field of a stored record has no value: to clear it would change nothing.

    So the number 0 and a box without a tick are empty: the server does not distinguish them from
    fields that were never filled in (measured). An id with the number 0 is no reference.
    """
    if known.type in {"reference", "owner"}:
        return str(stored or "").rpartition("x")[2].strip("0") == ""
    return same_value(stored, None, known)


def whole_time(text: str) -> str:
    """Return a time of day with its seconds; a duration such as `23` stays as it is."""
    return f"{text}:00" if text.count(":") == 1 else text


def full_element(stored: Wire, changes: Wire, module: Module) -> dict[str, Any]:
    """Return the whole record to send as an update: all that is stored, and the changes over it.

    Args:
        stored: The record as `retrieve` gives it.
        changes: New values by field name; None clears.
        module: The record's module.
    """
    element = {name: value for name, value in stored.items() if is_sent(name, module)}
    if module.is_inventory:
        # The server calculates with these values, and an empty text makes it fail.
        element = {name: value for name, value in element.items() if value not in ("", None)}
        # Any product of a line will do; one that was deleted reads as none.
        products = [line["productid"] for line in stored.get(LINES) or []]
        if product := next(filter(None, products), None):
            element["productid"] = product
    elif module.has_prices:
        # A 0 stands for no price of its own. Sent back, it would become a price of 0; and where
        # all are left out, the others are deleted.
        element = {name: value for name, value in element.items() if not _is_no_price(name, value)}
    for name, value in changes.items():
        element[name] = _cleared(module.fields[name]) if value is None else value
    if "unit_price" in changes and (own := own_currency(stored)) in element:
        element[own] = element["unit_price"]
    return element


def revision(record_id: str, changes: Wire, module: Module) -> dict[str, Any]:
    """Return what `revise` is sent: the id and the changes."""
    element = {name: value for name, value in changes.items() if value is not None}
    for name, value in changes.items():
        if value is None:
            element[name] = _cleared(module.fields[name]) or ""
    return {"id": record_id, **element}


def own_currency(product: Wire) -> str:
    """Return the field that holds the price of a product in its own currency, as `unit_price`."""
    return f"currency{str(product.get('currency_id') or '').rpartition('x')[2]}"


def has_foreign_prices(product: Wire) -> bool:
    """Whether a product has prices in other currencies than its own."""
    own = own_currency(product)
    return any(
        _PRICE.fullmatch(name) and name != own and not _is_no_price(name, value)
        for name, value in product.items()
    )


def with_lines(element: dict[str, Any], lines: Sequence[Wire]) -> dict[str, Any]:
    """Return an inventory record with these lines. The header must name a product of one."""
    return {**element, "productid": lines[0]["productid"], LINES: [dict(line) for line in lines]}


def lines_to_add_up(stored: Sequence[Wire], changes: Wire) -> Sequence[Wire] | None:
    """Return lines that leave all as it is, if the server is to add up: it does so only with lines.

    Args:
        stored: The lines as `retrieve` gives them.
        changes: New values of the head by field name.
    """
    if AMOUNTS.isdisjoint(changes) or not stored:
        return None
    return [{"productid": line["productid"]} for line in stored]


def same_lines(stored: Sequence[Wire], wanted: Sequence[Wire], line: Module) -> bool:
    """Whether the lines wanted are those stored, in their order, as far as they are loaded."""
    return len(stored) == len(wanted) and all(
        not changed_fields(old, new, line.fields) for old, new in zip(stored, wanted, strict=True)
    )


def other_discount(values: Wire) -> str | None:
    """Return the discount that another one replaces: a percentage or an amount, never both."""
    for name, other in _OTHER_DISCOUNTS.items():
        if Decimal(values.get(name) or 0) and other not in values:
            return other
    return None


def discount_instead_of(name: str) -> str | None:
    """Return the other form of a discount, if the field is one."""
    return _OTHER_DISCOUNTS.get(name)


def may_come_from(stored: Any, wanted: Any) -> bool:
    """Whether a stored key may be what a server made of another one.

    Short keys are not cut: `F-1` is no rest of `F-10`.
    """
    left, right = _skeleton(stored), _skeleton(wanted)
    is_cut = len(str(stored)) >= _SHORTEST_CUT and right.startswith(left)
    return bool(left) and (left == right or is_cut)


def _same_whatever_type(stored: Any, wanted: Any) -> bool:
    """Whether two wire values need no typing to be the same, as most need none."""
    return bool(stored == wanted or (wanted is None and stored == ""))


def _typed(value: Any, field: Field, kind: ValueType) -> Any:
    typed = _decoder(kind)({"value": value})["value"]
    return whole_time(typed) if field.type == "time" and isinstance(typed, str) else typed


@cache
def _decoder(kind: ValueType) -> RowDecoder:
    return RowDecoder({"value": kind}, _UTC)


def _is_nothing(wire: Any) -> bool:
    """Whether a value that does not fit its type says that there is none, such as `0,00`."""
    return not wire or (isinstance(wire, str) and _ZEROS.fullmatch(wire) is not None)


def _rounded(number: Decimal | int, *, like: Any) -> Decimal:
    number = Decimal(number)
    exponent = like.as_tuple().exponent if isinstance(like, Decimal) else 0
    if not isinstance(exponent, int) or exponent > -_CENTS:
        return number
    return number.quantize(Decimal(1).scaleb(exponent), ROUND_HALF_UP, Context(prec=1000))


def _is_no_price(name: str, value: Any) -> bool:
    return _PRICE.fullmatch(name) is not None and decimal(value or 0) == 0


def _cleared(field: Field) -> str | None:
    """Return what empties a field: an empty text leaves a reference as it is."""
    if field.type == "reference":
        return None
    return (
        "0"
        if value_type_of(field.type) in {ValueType.NUMBER, ValueType.INTEGER, ValueType.BOOLEAN}
        else ""
    )


def _skeleton(text: Any) -> str:
    """Return the letters and digits of a text, which survive what servers do to it."""
    return re.sub(r"[\W_]+", "", html.unescape(str(text or ""))).casefold()
