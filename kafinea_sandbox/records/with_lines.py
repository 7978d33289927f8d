"""Creating, updating and reading a record with lines."""

# ruff: noqa: S608 - names come from `modules`, values are parameters

from __future__ import annotations

import html
from decimal import Decimal

from kafinea_sandbox import php
from kafinea_sandbox.database.tables import Table
from kafinea_sandbox.errors import ApiError, Fatal
from kafinea_sandbox.instance.call import Call
from kafinea_sandbox.instance.instance import Instance
from kafinea_sandbox.records import checks, lines, stored, totals, write
from kafinea_sandbox.records.lines import TAXES, Line
from kafinea_sandbox.records.read import read as read_record
from kafinea_sandbox.records.stored import Element
from kafinea_sandbox.records.write import Mode

_DISCOUNTS = ("Percent", "Amount")


def create(call: Call, table: Table, element: Element) -> Element:
    """Create a record with its lines."""
    checks.references(call.instance, table, element)
    checks.mandatory(table, element, missing_too=True)
    sent = lines.sent(call.instance, element, php.text(element.get("hdnTaxType")))
    if sent is None:
        raise ApiError("MANDATORY_FIELDS_MISSING", "Mandatory Fields Missing..")
    # Not one transaction: if the first part fails, a record without lines remains.
    number = write.add(call, table, element)
    kept = lines.replace(call.instance, number, sent)
    if table.name == "Invoice":
        _move_stock(call.instance, number, "-")
    totals.compute(call.instance, table, number, kept)
    answer = read(call.instance, table, number, fresh=True)
    return {"id": answer.pop("id")} | answer | {"new": True}


def change(call: Call, table: Table, number: int, element: Element, mode: Mode) -> Element:
    """Update a record. If it is sent lines, they replace all that it has."""
    taxed = element.get("hdnTaxType") or totals.head(call.instance, table, number)["hdnTaxType"]
    sent = lines.sent(call.instance, element, php.text(taxed))
    if sent is not None and any(element.get(f"hdnDiscount{way}") == "" for way in _DISCOUNTS):
        # A record as `retrieve` returns it: PHP 8 does not subtract "" from a number.
        raise Fatal("TypeError: Unsupported operand types: float - string")
    write.change(call, table, number, _decoded(element, mode), mode)
    if sent is not None:
        return _change_lines(call, table, number, sent)
    if mode == "update":
        totals.round_again(call, table, number, element)
    totals.set_balance(call.instance, table, number)
    # `update` answers what it was sent.
    return element if mode == "update" else read(call.instance, table, number)


def _decoded(element: Element, mode: Mode) -> Element:
    """`update` decodes HTML entities in a description, intended ones too."""
    text = element.get("description")
    if mode != "update" or not isinstance(text, str):
        return element
    return element | {"description": html.unescape(text)}


def _change_lines(call: Call, table: Table, number: int, sent: list[Line]) -> Element:
    instance = call.instance
    if table.name == "Invoice":
        _move_stock(
            instance, number, "+"
        )  # the old lines are added, the new ones are not subtracted
    kept = lines.replace(instance, number, sent)
    if instance.dies_at_totals:
        raise Fatal("TypeError: Unsupported operand types: string + float")
    totals.compute(instance, table, number, kept)
    if instance.dialect.writes.charges_as_percent:
        charges = totals.amount(totals.head(instance, table, number), "hdnS_H_Amount")
        stored.set_columns(instance, table, number, {"hdnS_H_Percent": f"{charges:.8f}"})
    answer = read(instance, table, number)
    return answer | {"LineItems": []} if instance.options.forgets_lines else answer


def _move_stock(instance: Instance, number: int, sign: str) -> None:
    """Add the quantities of a record's lines to the stock of their products, or subtract them."""
    rows = instance.store.rows(
        "SELECT productid, quantity FROM LineItem WHERE parent_id = ?", (number,)
    )
    for product, quantity in rows:
        instance.store.execute(
            "UPDATE Products SET qtyinstock ="
            f" printf('%.3f', CAST(qtyinstock AS REAL) {sign} CAST(? AS REAL)) WHERE _number = ?",
            (quantity, product),
        )


def read(instance: Instance, table: Table, number: int, *, fresh: bool = False) -> Element:
    """A record with its lines; in the answer of `create` (`fresh`) some values differ."""
    record = read_record(instance, table, number)
    answered = lines.on_the_wire(instance, table, number)
    if fresh:
        record |= {name: php.number(Decimal(record[name])) for name in totals.TOTALS}
        record |= {"balance": "0.00000000"} if "balance" in record else {}
    charges: Element = {"shipping_&_handling": None}
    charges |= {f"shipping_&_handling_sh{tax}": 0 for tax in TAXES}
    first = answered[0]["productid"] if answered and not fresh else None
    return (
        record
        | charges
        | {"LineItems": answered, "productid": first, "LineItems_FinalDetails": _on_screen(record)}
    )


def _on_screen(record: Element) -> Element:
    """The values of the server's own screens; of its many keys, one."""
    subtotal = f"{Decimal(record.get('hdnSubTotal') or 0):.2f}"
    return {"1": {"final_details": {"hdnSubTotal": subtotal}}}


def update_line(call: Call, number: int) -> Element:
    """Delete all lines of the record, then fail to find the one to update: never do this."""
    with call.instance.store.write() as db:
        parent = "SELECT parent_id FROM LineItem WHERE _number = ?"
        db.execute(f"DELETE FROM LineItem WHERE parent_id = ({parent})", (number,))
    raise ApiError("RECORD_NOT_FOUND", "Record you are trying to access is not found")
