"""Records with lines as coreBOS has them: the lines are a key of the record, `pdoInformation`."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from kafinea_sandbox import php
from kafinea_sandbox.database.tables import Table
from kafinea_sandbox.instance.call import Call
from kafinea_sandbox.instance.instance import Instance
from kafinea_sandbox.records import with_lines, write
from kafinea_sandbox.records.read import read as read_record
from kafinea_sandbox.records.stored import Element
from kafinea_sandbox.records.write import Mode

_LINES = (
    "SELECT l.productid, e.module, l.comment, l.quantity, l.listprice, l.discount_percent,"
    " l.discount_amount FROM LineItem l LEFT JOIN _entity e ON e._number = l.productid"
    " WHERE l.parent_id = ? ORDER BY l._number"
)


def read(instance: Instance, table: Table, number: int) -> Element:
    """A record as `retrieve` answers it; one without lines does not have their key."""
    record = read_record(instance, table, number)
    lines = [_wire(instance, *row) for row in instance.store.rows(_LINES, (number,))]
    return record | ({"pdoInformation": lines} if lines else {})


def create(call: Call, table: Table, element: Element) -> Element:
    """Create a record, with or without lines. The answer never contains the lines."""
    lines = _sent(element)
    if lines:
        created = with_lines.create(call, table, element | {"LineItems": lines})
        number = call.instance.table_of(created["id"])[1]
    else:
        number = write.add(call, table, element)
    return read_record(call.instance, table, number)


def change(call: Call, table: Table, number: int, element: Element, mode: Mode) -> Element:
    """Update a record. `revise` too replaces all its lines by those that it is sent."""
    # An empty discount, as `retrieve` answers it, is a fatal error on other servers only.
    counted = {n: v for n, v in element.items() if v != "" or not n.startswith("hdnDiscount")}
    with_lines.change(call, table, number, counted | {"LineItems": _sent(element)}, mode)
    return read_record(call.instance, table, number)


def _sent(element: Element) -> list[Element]:
    """The lines in the form of other servers."""
    sent = element.get("pdoInformation")
    return [_line(line) for line in sent] if isinstance(sent, list) else []


def _line(sent: Element) -> Element:
    discount = {}
    if sent.get("discount"):
        by = "amount" if sent.get("discount_type") == "amount" else "percentage"
        discount = {
            "discount_amount" if by == "amount" else "discount_percent": sent.get(f"discount_{by}")
        }
    product = php.text(sent.get("productid"))
    line = {
        "productid": product if "x" in product else f"x{product}",  # only the number counts
        "quantity": sent.get("qty"),
        "comment": sent.get("comment"),
    }
    price = {"listprice": sent["listprice"]} if "listprice" in sent else {}
    return line | price | discount


def _wire(
    instance: Instance,
    product: int,
    module: str | None,
    comment: str,
    quantity: str,
    price: str,
    percent: str,
    amount: str,
) -> dict[str, Any]:
    kind = "percentage" if Decimal(percent or 0) else "amount" if Decimal(amount or 0) else 0
    return {
        "productid": str(product),
        "wsproductid": instance.tables[module or "Products"].wire_id(product),
        "linetype": module or "",
        "comment": comment,
        "qty": quantity,
        "listprice": price,
        "discount": 1 if kind else 0,
        "discount_type": kind,
        "discount_percentage": percent or 0,
        "discount_amount": amount or 0,
    }
