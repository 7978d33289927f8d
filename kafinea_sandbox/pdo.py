"""Records with lines as coreBOS has them: the lines are a key of the record, `pdoInformation`."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from kafinea_sandbox import inventory, php, records

if TYPE_CHECKING:
    from kafinea_sandbox.instance import Call, Instance
    from kafinea_sandbox.records import Element
    from kafinea_sandbox.schema import Table

_LINES = (
    "SELECT l.productid, e.module, l.comment, l.quantity, l.listprice, l.discount_percent,"
    " l.discount_amount FROM LineItem l LEFT JOIN _entity e ON e._number = l.productid"
    " WHERE l.parent_id = ? ORDER BY l._number"
)


def read(instance: Instance, table: Table, number: int) -> Element:
    """A record as `retrieve` answers it; one without lines does not have their key."""
    record = records.read(instance, table, number)
    lines = [_wire(instance, *row) for row in instance.store.rows(_LINES, (number,))]
    return record | ({"pdoInformation": lines} if lines else {})


def create(call: Call, table: Table, element: Element) -> Element:
    """A new record; it may be a head without lines. The answer shows no lines in either case."""
    lines = _sent(element)
    if lines:
        created = inventory.create(call, table, element | {"LineItems": lines})
        number = call.instance.table_of(created["id"])[1]
    else:
        number = records.add(call, table, element)
    return records.read(call.instance, table, number)


def change(call: Call, table: Table, number: int, element: Element, mode: records.Mode) -> Element:
    """`update` and `revise` alike: the lines sent are all there are from then on."""
    # An empty discount, as `retrieve` gives it, kills other servers.
    counted = {n: v for n, v in element.items() if v != "" or not n.startswith("hdnDiscount")}
    inventory.change(call, table, number, counted | {"LineItems": _sent(element)}, mode)
    return records.read(call.instance, table, number)


def _sent(element: Element) -> list[Element]:
    """The lines as other servers are sent them."""
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
