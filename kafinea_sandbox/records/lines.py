"""The lines of a record: as they are sent, stored and answered."""

# ruff: noqa: S608 - names come from `modules`, values are parameters

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from kafinea_sandbox import php
from kafinea_sandbox.database.tables import Table
from kafinea_sandbox.errors import Fatal
from kafinea_sandbox.instance.instance import Instance
from kafinea_sandbox.records import read, stored
from kafinea_sandbox.records.stored import Element

TAXES = ("tax1", "tax2", "tax3")


@dataclass(frozen=True)
class Line:
    """A line as it will be stored, and the tax rates of its product."""

    values: Element
    product_taxes: dict[str, Decimal]

    @property
    def net(self) -> Decimal:
        """Quantity times price, less the line's discount."""
        gross = Decimal(self.values["quantity"]) * Decimal(self.values["listprice"])
        percent = Decimal(self.values["discount_percent"])
        return gross - gross * percent / 100 - Decimal(self.values["discount_amount"])

    @property
    def own_tax(self) -> Decimal:
        """The line's rates, of the taxes that its product is subject to; others do not count."""
        known = (Decimal(self.values[tax]) for tax in TAXES if tax in self.product_taxes)
        return sum(known, Decimal(0))


def sent(instance: Instance, element: Element, taxed: str) -> list[Line] | None:
    """The lines of a record that was sent; None without the key, which leaves them as they are.

    Args:
        instance: The installation.
        element: The record.
        taxed: "group", or "individual".
    """
    given = element.get("LineItems")
    if isinstance(given, dict):
        raise Fatal("TypeError: Cannot access offset of type string on string")
    if isinstance(given, str) and given:
        return []  # accepted, and taken for a record without lines
    if not given:
        return None
    return [_line(instance, line, place, taxed) for place, line in enumerate(given, 1)]


def _line(instance: Instance, sent: Element, place: int, taxed: str) -> Line:
    number = php.text(sent.get("productid")).partition("x")[2]
    product = int(number) if number.isdigit() else 0
    price, taxes = _product(instance, product)
    rates = {tax: sent[tax] for tax in TAXES if tax in sent}
    if not rates and taxed != "group":
        rates = taxes  # the product's own
    values = {
        "parent_id": 0,
        "productid": product,
        "sequence_no": php.text(sent.get("sequence_no")) or str(place),
        "quantity": _decimal(sent.get("quantity"), 3),
        "listprice": _decimal(sent.get("listprice", price), 8),
        "discount_percent": _decimal(sent.get("discount_percent"), 3),
        "discount_amount": _decimal(sent.get("discount_amount"), 8),
        "comment": php.text(sent.get("comment")),
        **{tax: _decimal(rates.get(tax), 3) for tax in TAXES},
        "image": "",
        "purchase_cost": _decimal(sent.get("purchase_cost"), 8),
        "margin": _decimal(sent.get("margin"), 8),
        "incrementondel": "1",
    }
    return Line(values, taxes)


def _decimal(value: Any, scale: int) -> str:
    return f"{php.floatval(php.text(value)):.{scale}f}"


def _product(instance: Instance, number: int) -> tuple[str, dict[str, Decimal]]:
    """The price of a product or service, and the rates of its taxes."""
    for module in ("Products", "Services"):
        names = [tax for tax in TAXES if tax in instance.tables[module].columns]
        columns = ", ".join(["unit_price", *names])
        sql = f"SELECT {columns} FROM {module} WHERE _number = ?"
        for price, *rates in instance.store.rows(sql, (number,)):
            known = zip(names, rates, strict=True)
            return price or "0", {name: Decimal(rate) for name, rate in known if rate}
    return "0", {}


def replace(instance: Instance, number: int, lines: list[Line]) -> list[Line]:
    """Replace the lines of a record. They get new ids, among them those that were freed.

    Returns:
        The lines that were stored; a concurrent write may lose one, see `LineWrites`.
    """
    with instance.line_writes.write() as late, instance.store.write() as db:
        kept = lines[:-1] if late else lines
        db.execute("DELETE FROM LineItem WHERE parent_id = ?", (number,))
        for line in kept:
            stored.insert(
                instance, instance.tables["LineItem"], line.values | {"parent_id": number}
            )
    return kept


def on_the_wire(instance: Instance, table: Table, number: int) -> list[Element]:
    """The lines of a record as `retrieve` answers them."""
    columns = instance.tables["LineItem"].columns
    wires = ", ".join(column.wire for column in columns.values())
    sql = f"SELECT {wires}, e.module FROM LineItem t LEFT JOIN _entity e ON e._number = productid"
    rows = instance.store.rows(f"{sql} WHERE parent_id = ? ORDER BY t._number", (number,))
    lines = []
    for *values, module in rows:
        line = dict(zip(columns, values, strict=True))
        line["parent_id"] = f"{table.prefix}xArray"  # a defect of the server
        line |= {"product_name": _product_name(instance, line["productid"])}
        lines.append(line | {"entity_type": module or "", "deleted": "0"})
    return lines


def _product_name(instance: Instance, wire_id: str) -> str:
    if not wire_id:
        return ""
    table, number = instance.table_of(wire_id)
    return str(read.read(instance, table, number)["label"])
