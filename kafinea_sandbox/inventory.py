"""Records with lines: what the server adds up, and what it does to the lines."""

# ruff: noqa: S608 - names come from `modules`, values are parameters

from __future__ import annotations

import html
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any

from kafinea_sandbox import php, records
from kafinea_sandbox.errors import ApiError, Fatal
from kafinea_sandbox.formats import leading_number

if TYPE_CHECKING:
    from kafinea_sandbox.instance import Call, Instance
    from kafinea_sandbox.records import Element
    from kafinea_sandbox.schema import Table

TAXES = ("tax1", "tax2", "tax3")
_PAID = ("received", "paid", "refunded")
_TOTALS = ("hdnSubTotal", "hdnGrandTotal", "pre_tax_total")


@dataclass(frozen=True)
class Line:
    """A line as it will be stored, and the taxes its product knows."""

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


def create(call: Call, table: Table, element: Element) -> Element:
    """A new record with its lines."""
    records.check_references(call.instance, table, element)
    records.check_mandatory(table, element, missing_too=True)
    lines = _lines(call.instance, element, php.text(element.get("hdnTaxType")))
    if lines is None:
        raise ApiError("MANDATORY_FIELDS_MISSING", "Mandatory Fields Missing..")
    # No transaction around both: where the first dies, a record without lines stays behind.
    number = records.add(call, table, element)
    kept = _replace_lines(call.instance, number, lines)
    if table.name == "Invoice":
        _move_stock(call.instance, number, "-")
    _add_up(call.instance, table, number, kept)
    answer = read(call.instance, table, number, fresh=True)
    return {"id": answer.pop("id")} | answer | {"new": True}


def change(call: Call, table: Table, number: int, element: Element, mode: records.Mode) -> Element:
    """Without LineItems the lines stay; with them they are deleted and made anew."""
    taxed = element.get("hdnTaxType") or _head(call.instance, table, number)["hdnTaxType"]
    lines = _lines(call.instance, element, php.text(taxed))
    if lines is not None and any(element.get(f"hdnDiscount{way}") == "" for way in _DISCOUNTS):
        # A record sent back as retrieve gave it: PHP 8 will not subtract "" from a number.
        raise Fatal("TypeError: Unsupported operand types: float - string")
    records.change(call, table, number, _decoded(element, mode), mode)
    if lines is not None:
        return _change_lines(call, table, number, lines)
    if mode == "update":
        _round_totals(call, table, number, element)
    _settle(call.instance, table, number)
    # The answer of an update is nothing but an echo.
    return element if mode == "update" else read(call.instance, table, number)


def _decoded(element: Element, mode: records.Mode) -> Element:
    """Entities in a description are decoded, even if they were meant."""
    text = element.get("description")
    if mode != "update" or not isinstance(text, str):
        return element
    return element | {"description": html.unescape(text)}


def _round_totals(call: Call, table: Table, number: int, element: Element) -> None:
    """Totals that are sent back are stored again, as they were, at the user's decimals."""
    head = _head(call.instance, table, number)
    formats = call.formats
    totals = {n: formats.amount(_amount(head, n)) for n in _TOTALS if n in element}
    records.set_columns(
        call.instance, table, number, {name: f"{total:.8f}" for name, total in totals.items()}
    )


def _change_lines(call: Call, table: Table, number: int, lines: list[Line]) -> Element:
    instance = call.instance
    if table.name == "Invoice":
        _move_stock(instance, number, "+")  # those of the old lines come back, and that is all
    kept = _replace_lines(instance, number, lines)
    if instance.dies_at_totals:
        raise Fatal("TypeError: Unsupported operand types: string + float")
    _add_up(instance, table, number, kept)
    if instance.habits.muddles_charges:
        charges = _amount(_head(instance, table, number), "hdnS_H_Amount")
        records.set_columns(instance, table, number, {"hdnS_H_Percent": f"{charges:.8f}"})
    answer = read(instance, table, number)
    return answer | {"LineItems": []} if instance.options.forgets_lines else answer


def _move_stock(instance: Instance, number: int, sign: str) -> None:
    """Add the quantities of a record's lines to the stock of their products, or take them off."""
    rows = instance.store.rows(
        "SELECT productid, quantity FROM LineItem WHERE parent_id = ?", (number,)
    )
    for product, quantity in rows:
        instance.store.execute(
            "UPDATE Products SET qtyinstock ="
            f" printf('%.3f', CAST(qtyinstock AS REAL) {sign} CAST(? AS REAL)) WHERE _number = ?",
            (quantity, product),
        )


_DISCOUNTS = ("Percent", "Amount")


def read(instance: Instance, table: Table, number: int, *, fresh: bool = False) -> Element:
    """A record with its lines; right after its creation (`fresh`) some values are odd."""
    record = records.read(instance, table, number)
    lines = _wire_lines(instance, table, number)
    if fresh:
        record |= {name: php.number(Decimal(record[name])) for name in _TOTALS}
        record |= {"balance": "0.00000000"} if "balance" in record else {}
    charges: Element = {"shipping_&_handling": None}
    charges |= {f"shipping_&_handling_sh{tax}": 0 for tax in TAXES}
    first = lines[0]["productid"] if lines and not fresh else None
    return (
        record
        | charges
        | {"LineItems": lines, "productid": first, "LineItems_FinalDetails": _on_screen(record)}
    )


def _on_screen(record: Element) -> Element:
    """What the server's own screens are drawn from; of its many keys, the first."""
    subtotal = f"{Decimal(record.get('hdnSubTotal') or 0):.2f}"
    return {"1": {"final_details": {"hdnSubTotal": subtotal}}}


def update_line(call: Call, number: int) -> Element:
    """Deletes the other lines of the record, then does not find its own: never do this."""
    with call.instance.store.write() as db:
        parent = "SELECT parent_id FROM LineItem WHERE _number = ?"
        db.execute(f"DELETE FROM LineItem WHERE parent_id = ({parent})", (number,))
    raise ApiError("RECORD_NOT_FOUND", "Record you are trying to access is not found")


def _lines(instance: Instance, element: Element, taxed: str) -> list[Line] | None:
    sent = element.get("LineItems")
    if isinstance(sent, dict):
        raise Fatal("TypeError: Cannot access offset of type string on string")
    if isinstance(sent, str) and sent:
        return []  # a text has no lines, and nobody minds
    if not sent:
        return None
    return [_line(instance, line, place, taxed) for place, line in enumerate(sent, 1)]


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
    return f"{leading_number(php.text(value)):.{scale}f}"


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


def _replace_lines(instance: Instance, number: int, lines: list[Line]) -> list[Line]:
    """Lines get new ids every time, and those that were freed are used again.

    Answers those that were kept: see `races`.
    """
    with instance.line_writes.one() as late, instance.store.write() as db:
        kept = lines[:-1] if late else lines
        db.execute("DELETE FROM LineItem WHERE parent_id = ?", (number,))
        for line in kept:
            records.insert(
                instance, instance.tables["LineItem"], line.values | {"parent_id": number}
            )
    return kept


def _add_up(instance: Instance, table: Table, number: int, lines: list[Line]) -> None:
    """The totals are the server's: what a client sends for them does not matter."""
    head = _head(instance, table, number)
    group = head["hdnTaxType"] == "group"
    subtotal = sum(
        (line.net * (1 if group else 1 + line.own_tax / 100) for line in lines), Decimal(0)
    )
    percent = _amount(head, "hdnDiscountPercent")
    discounted = subtotal - subtotal * percent / 100 - _amount(head, "hdnDiscountAmount")
    pre_tax = discounted + _amount(head, "hdnS_H_Amount")
    rate = _group_rate(lines) if group else Decimal(0)
    total = pre_tax + discounted * rate / 100 + _amount(head, "txtAdjustment")
    totals = {"hdnSubTotal": subtotal, "pre_tax_total": pre_tax, "hdnGrandTotal": total}
    values = {name: f"{_cents(total):.8f}" for name, total in totals.items()}
    records.set_columns(instance, table, number, values)
    _settle(instance, table, number)


def _group_rate(lines: list[Line]) -> Decimal:
    """The tax of the whole is read from a line; neither product nor head is asked."""
    rates = [sum((Decimal(line.values[tax]) for tax in TAXES), Decimal(0)) for line in lines]
    return max(rates, default=Decimal(0))


def _settle(instance: Instance, table: Table, number: int) -> None:
    """What is left to pay."""
    head = _head(instance, table, number)
    paid = [head[name] for name in _PAID if name in head]
    if "balance" in head:
        rest = _amount(head, "hdnGrandTotal") - sum(map(leading_number, filter(None, paid)))
        records.set_columns(instance, table, number, {"balance": f"{rest:.8f}"})


def _head(instance: Instance, table: Table, number: int) -> Element:
    names = [name for name, c in table.columns.items() if not c.field.of_line and name != "id"]
    columns = ", ".join(f'"{name}"' for name in names)
    row = instance.store.rows(f'SELECT {columns} FROM "{table.name}" WHERE _number = ?', (number,))
    return dict(zip(names, row[0], strict=True))


def _amount(head: Element, name: str) -> Decimal:
    return leading_number(head.get(name) or "")


def _cents(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal("0.01"), ROUND_HALF_UP)


def _wire_lines(instance: Instance, table: Table, number: int) -> list[Element]:
    columns = instance.tables["LineItem"].columns
    wires = ", ".join(column.wire for column in columns.values())
    sql = f"SELECT {wires}, e.module FROM LineItem t LEFT JOIN _entity e ON e._number = productid"
    rows = instance.store.rows(f"{sql} WHERE parent_id = ? ORDER BY t._number", (number,))
    lines = []
    for *values, module in rows:
        line = dict(zip(columns, values, strict=True))
        line["parent_id"] = f"{table.prefix}xArray"  # the server's own slip
        line |= {"product_name": _product_name(instance, line["productid"])}
        lines.append(line | {"entity_type": module or "", "deleted": "0"})
    return lines


def _product_name(instance: Instance, wire_id: str) -> str:
    if not wire_id:
        return ""
    table, number = instance.table_of(wire_id)
    return str(records.read(instance, table, number)["label"])
