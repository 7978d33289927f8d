"""Filling a new database."""

# ruff: noqa: S608 - names come from `modules`, values are parameters

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any

from kafinea_sandbox.database import prices
from kafinea_sandbox.database.store import Store
from kafinea_sandbox.database.tables import empty, stored_fields, value_type_of
from kafinea_sandbox.modules import MODULES
from kafinea_sandbox.modules.model import Module
from kafinea_sandbox.rows import File, Relation, Row

_BATCH = 1000
_MODULES = {module.name: module for module in MODULES}


def load(store: Store, items: Iterable[Row | File | Relation]) -> None:
    """Fill the empty tables."""
    loaders: dict[str, _Loader] = {}
    priced = []
    with store.write() as db:
        for item in items:
            if isinstance(item, Row):
                if item.module in prices.PRICED:
                    priced.append(item)
                loader = loaders.get(item.module) or loaders.setdefault(
                    item.module, _Loader(_MODULES[item.module])
                )
                loader.add(item)
                if len(loader.rows) == _BATCH:
                    loader.flush(db)
            elif isinstance(item, File):
                db.execute("INSERT INTO _file VALUES (?, ?, ?, ?, ?)", item)
            else:
                db.execute("INSERT OR IGNORE INTO _relation VALUES (?, ?, ?)", item)
        for loader in loaders.values():
            loader.flush(db)
        for item in priced:  # the currencies are there by now
            prices.load(db, item.module, item.number, item.values)
        clear_unused_invoice_status(db)
        _set_counters(db)


class _Loader:
    """Collects the rows of one module and inserts many at a time."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.rows: list[list[Any]] = []
        fields = stored_fields(module)
        self._columns = [(field.name, empty(field)) for field in fields]
        self._dates = [i for i, f in enumerate(fields, 1) if value_type_of(f).startswith("date")]
        marks = ", ".join("?" * (len(fields) + 1))
        names = ", ".join(["_number", *(f'"{field.name}"' for field in fields)])
        self._insert = f'INSERT INTO "{module.name}" ({names}) VALUES ({marks})'
        self._is_entity = module.is_entity and module.name != "Users"

    def add(self, row: Row) -> None:
        values = row.values
        record = [row.number, *(values.get(name, blank) for name, blank in self._columns)]
        for date in self._dates:
            record[date] = record[date] or None
        self.rows.append(record)

    def flush(self, db: sqlite3.Connection) -> None:
        db.executemany(self._insert, self.rows)
        if self._is_entity:
            name = self.module.name
            db.executemany(
                "INSERT INTO _entity VALUES (?, ?, 0)", [(row[0], name) for row in self.rows]
            )
        self.rows.clear()


def clear_unused_invoice_status(db: sqlite3.Connection, number: int | None = None) -> None:
    """Empty the invoice status of sales orders without a recurrence: of all, or of one."""
    sql = "UPDATE SalesOrder SET invoicestatus = '' WHERE enable_recurring IS NOT '1'"
    if number is None:
        db.execute(sql)
    else:
        db.execute(f"{sql} AND _number = ?", (number,))


def _set_counters(db: sqlite3.Connection) -> None:
    """Let each module number its records after those that are there."""
    for module in MODULES:
        if module.number_field:
            start = len(module.number_prefix) + 1
            db.execute(
                "INSERT INTO _counter SELECT ?, COALESCE(max(CAST(substr("
                f'"{module.number_field}", ?) AS INTEGER)), 0) FROM "{module.name}"',
                (module.name, start),
            )
