"""The prices of products and services, as `retrieve` reads and writes change them."""

# ruff: noqa: S608 - names come from `modules`, values are parameters

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from kafinea_sandbox import php
from kafinea_sandbox.database.prices import conversion_rate, insert
from kafinea_sandbox.instance.call import Call
from kafinea_sandbox.instance.formats import Formats
from kafinea_sandbox.instance.instance import Instance
from kafinea_sandbox.modules.model import Field

_TAXES = ("tax1", "tax2", "tax3")


def fields(instance: Instance) -> list[Field]:
    """`currency1`, `currency2`, ...: one for every active currency."""
    sql = "SELECT _number, currency_name, currency_code FROM Currency WHERE currency_status = ?"
    return [
        Field(f"currency{number}", f"{name} {code}", "double", scale=8, retrieve_only=True)
        for number, name, code in instance.store.rows(f"{sql} ORDER BY _number", ("Active",))
    ]


def read(instance: Instance, module: str, number: int) -> dict[str, Any]:
    """The prices and the currency of a product, which `retrieve` adds to its columns."""
    sql = f'SELECT _currency, unit_price FROM "{module}" WHERE _number = ?'
    ((own, unit_price),) = instance.store.rows(sql, (number,))
    rows = instance.store.rows("SELECT currency, actual FROM _price WHERE product = ?", (number,))
    known = {**dict(rows), own: unit_price}
    prices = {
        field.name: php.number(php.floatval(known.get(int(field.name[8:])) or ""))
        for field in fields(instance)
    }
    return prices | {"currency_id": instance.tables["Currency"].wire_id(own)}


def write(call: Call, module: str, number: int, element: Mapping[str, Any]) -> None:
    """`create` and `update` replace all prices by those that are sent, also by 0."""
    store = call.instance.store
    own, base = store.rows(
        f'SELECT _currency, unit_price FROM "{module}" WHERE _number = ?', (number,)
    )[0]
    base = php.text(element.get("unit_price")) or base or ""
    with store.write() as db:
        db.execute("DELETE FROM _price WHERE product = ?", (number,))
        for field in fields(call.instance):
            currency, value = int(field.name[8:]), element.get(field.name)
            if currency == own or value in (None, ""):
                continue
            rate = conversion_rate(db, currency)
            actual = php.floatval(call.formats.number(php.text(value))) / call.formats.rate
            insert(db, number, currency, _misread(base, call.formats) * rate, actual)


def _misread(base: str, formats: Formats) -> Decimal:
    """The unit price as sent, with a point that may be taken for a grouping separator."""
    return php.floatval(base.replace(".", "") if formats.grouping == "." else base)


def forget(call: Call, module: str, number: int) -> None:
    """`revise` deletes prices and taxes, and sets the product's currency to the user's."""
    with call.instance.store.write() as db:
        db.execute("DELETE FROM _price WHERE product = ?", (number,))
        blanks = ", ".join(f"{tax} = NULL" for tax in _TAXES)
        db.execute(
            f'UPDATE "{module}" SET {blanks}, _currency = ? WHERE _number = ?',
            (call.user.row.get("currency_id") or 1, number),
        )
