"""Prices of products and services in several currencies: in a table of their own.

`_price` is vtiger_productcurrencyrel: the fixed price of a product in another currency than its
own (`actual`), and the product's price as converted when that was written (`converted`). A product
without a row has no price of its own in that currency. `Products._currency` is the product's own.
"""

# ruff: noqa: S608 - names come from `modules`, values are parameters

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from kafinea_sandbox import php
from kafinea_sandbox.modules.model import PRICE

PRICED = ("Products", "Services")
_RATE = "SELECT conversion_rate FROM Currency WHERE _number = ?"


def load(db: sqlite3.Connection, module: str, product: int, values: Mapping[str, Any]) -> None:
    """Take over the prices of a stored row; that in the base currency is the unit price."""
    (base,) = db.execute(
        f'SELECT unit_price FROM "{module}" WHERE _number = ?', (product,)
    ).fetchone()
    for name, value in values.items():
        match = PRICE.fullmatch(name)
        if match and match[1] != "1" and value:
            currency = int(match[1])
            rate = conversion_rate(db, currency)
            insert(db, product, currency, Decimal(base or 0) * rate, Decimal(str(value)))


def conversion_rate(db: sqlite3.Connection, currency: int) -> Decimal:
    """What one unit of the base currency is worth in another."""
    row = db.execute(_RATE, (currency,)).fetchone()
    return php.floatval((row and row[0]) or "") or Decimal(1)


def insert(
    db: sqlite3.Connection, product: int, currency: int, converted: Decimal, actual: Decimal
) -> None:
    """Store a price of a product."""
    db.execute(
        "INSERT OR REPLACE INTO _price VALUES (?, ?, ?, ?)",
        (product, currency, f"{converted:.8f}", f"{actual:.8f}"),
    )
