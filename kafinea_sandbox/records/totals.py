"""The totals of a record with lines, which the server computes."""

# ruff: noqa: S608 - names come from `modules`, values are parameters

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from kafinea_sandbox import php
from kafinea_sandbox.database.tables import Table
from kafinea_sandbox.instance.call import Call
from kafinea_sandbox.instance.instance import Instance
from kafinea_sandbox.records import stored
from kafinea_sandbox.records.lines import TAXES, Line
from kafinea_sandbox.records.stored import Element

TOTALS = ("hdnSubTotal", "hdnGrandTotal", "pre_tax_total")
_PAID = ("received", "paid", "refunded")


def compute(instance: Instance, table: Table, number: int, lines: list[Line]) -> None:
    """Compute and store the totals; those that a client sends do not matter."""
    record = head(instance, table, number)
    group = record["hdnTaxType"] == "group"
    subtotal = sum(
        (line.net * (1 if group else 1 + line.own_tax / 100) for line in lines), Decimal(0)
    )
    percent = amount(record, "hdnDiscountPercent")
    discounted = subtotal - subtotal * percent / 100 - amount(record, "hdnDiscountAmount")
    pre_tax = discounted + amount(record, "hdnS_H_Amount")
    rate = _group_rate(lines) if group else Decimal(0)
    total = pre_tax + discounted * rate / 100 + amount(record, "txtAdjustment")
    totals = {"hdnSubTotal": subtotal, "pre_tax_total": pre_tax, "hdnGrandTotal": total}
    values = {name: f"{_cents(total):.8f}" for name, total in totals.items()}
    stored.set_columns(instance, table, number, values)
    set_balance(instance, table, number)


def _group_rate(lines: list[Line]) -> Decimal:
    """The rate of a group tax comes from a line, not from its product or the record."""
    rates = [sum((Decimal(line.values[tax]) for tax in TAXES), Decimal(0)) for line in lines]
    return max(rates, default=Decimal(0))


def set_balance(instance: Instance, table: Table, number: int) -> None:
    """Store what is left to pay."""
    record = head(instance, table, number)
    paid = [record[name] for name in _PAID if name in record]
    if "balance" in record:
        rest = amount(record, "hdnGrandTotal") - sum(map(php.floatval, filter(None, paid)))
        stored.set_columns(instance, table, number, {"balance": f"{rest:.8f}"})


def head(instance: Instance, table: Table, number: int) -> Element:
    """The stored columns of a record with lines."""
    names = [name for name, c in table.columns.items() if not c.field.of_line and name != "id"]
    columns = ", ".join(f'"{name}"' for name in names)
    row = instance.store.rows(f'SELECT {columns} FROM "{table.name}" WHERE _number = ?', (number,))
    return dict(zip(names, row[0], strict=True))


def amount(record: Element, name: str) -> Decimal:
    """A number of a record; 0 without one."""
    return php.floatval(record.get(name) or "")


def _cents(number: Decimal) -> Decimal:
    return number.quantize(Decimal("0.01"), ROUND_HALF_UP)


def round_again(call: Call, table: Table, number: int, element: Element) -> None:
    """An update that is sent totals rounds the stored ones to the user's decimals."""
    record = head(call.instance, table, number)
    formats = call.formats
    totals = {n: formats.amount(amount(record, n)) for n in TOTALS if n in element}
    stored.set_columns(
        call.instance, table, number, {name: f"{total:.8f}" for name, total in totals.items()}
    )
