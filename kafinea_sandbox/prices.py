"""Prices of products and services in several currencies: in a table of their own.

`_price` is vtiger_productcurrencyrel: the fixed price of a product in another currency than its
own (`actual`), and the product's price as converted when that was written (`converted`). A product
without a row has no price of its own in that currency. `Products._currency` is the product's own.
"""

# ruff: noqa: S608 - names come from `modules`, values are parameters

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from kafinea_sandbox import php
from kafinea_sandbox.formats import leading_number
from kafinea_sandbox.spec import PRICE, Field

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from kafinea_sandbox.formats import Formats
    from kafinea_sandbox.instance import Call, Instance

MODULES = ("Products", "Services")
_TAXES = ("tax1", "tax2", "tax3")


def create_table(db: sqlite3.Connection) -> None:
    """Make the empty table, and the column for the product's own currency."""
    db.execute(
        "CREATE TABLE _price (product INTEGER, currency INTEGER, converted TEXT, actual TEXT,"
        " PRIMARY KEY (product, currency))"
    )
    for module in MODULES:
        db.execute(f'ALTER TABLE "{module}" ADD COLUMN _currency INTEGER NOT NULL DEFAULT 1')


def load(db: sqlite3.Connection, module: str, product: int, values: Mapping[str, Any]) -> None:
    """Take over the prices of a stored row; that in the base currency is the unit price."""
    (base,) = db.execute(
        f'SELECT unit_price FROM "{module}" WHERE _number = ?', (product,)
    ).fetchone()
    for name, value in values.items():
        match = PRICE.fullmatch(name)
        if match and match[1] != "1" and value:
            currency = int(match[1])
            rate = _rate(db.execute(_RATE, (currency,)).fetchone())
            _insert(db, product, currency, Decimal(base or 0) * rate, Decimal(str(value)))


_RATE = "SELECT conversion_rate FROM Currency WHERE _number = ?"


def _rate(row: tuple[Any, ...] | None) -> Decimal:
    return leading_number((row and row[0]) or "") or Decimal(1)


def _insert(
    db: sqlite3.Connection, product: int, currency: int, converted: Decimal, actual: Decimal
) -> None:
    db.execute(
        "INSERT OR REPLACE INTO _price VALUES (?, ?, ?, ?)",
        (product, currency, f"{converted:.8f}", f"{actual:.8f}"),
    )


def fields(instance: Instance) -> list[Field]:
    """`currency1`, `currency2`, ...: one for every active currency."""
    sql = "SELECT _number, currency_name, currency_code FROM Currency WHERE currency_status = ?"
    return [
        Field(f"currency{number}", f"{name} {code}", "double", scale=8, retrieve_only=True)
        for number, name, code in instance.store.rows(f"{sql} ORDER BY _number", ("Active",))
    ]


def read(instance: Instance, module: str, number: int) -> dict[str, Any]:
    """What `retrieve` knows of a product besides its columns: its prices, and its currency."""
    sql = f'SELECT _currency, unit_price FROM "{module}" WHERE _number = ?'
    ((own, unit_price),) = instance.store.rows(sql, (number,))
    rows = instance.store.rows("SELECT currency, actual FROM _price WHERE product = ?", (number,))
    known = {**dict(rows), own: unit_price}
    prices = {
        field.name: php.number(leading_number(known.get(int(field.name[8:])) or ""))
        for field in fields(instance)
    }
    return prices | {"currency_id": instance.tables["Currency"].wire_id(own)}


def write(call: Call, module: str, number: int, element: Mapping[str, Any]) -> None:
    """`create` and `update`: the prices that are sent are all there will be, those of 0 too."""
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
            rate = _rate(db.execute(_RATE, (currency,)).fetchone())
            actual = leading_number(call.formats.number(php.text(value))) / call.formats.rate
            _insert(db, number, currency, _misread(base, call.formats) * rate, actual)


def _misread(base: str, formats: Formats) -> Decimal:
    """The unit price as sent, with a point that may be taken for a grouping separator."""
    return leading_number(base.replace(".", "") if formats.grouping == "." else base)


def forget(call: Call, module: str, number: int) -> None:
    """`revise`: prices and taxes are gone, and the product's currency is the user's."""
    with call.instance.store.write() as db:
        db.execute("DELETE FROM _price WHERE product = ?", (number,))
        blanks = ", ".join(f"{tax} = NULL" for tax in _TAXES)
        db.execute(
            f'UPDATE "{module}" SET {blanks}, _currency = ? WHERE _number = ?',
            (call.user.row.get("currency_id") or 1, number),
        )
