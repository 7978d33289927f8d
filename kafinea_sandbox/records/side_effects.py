"""What a write of a record changes besides its columns: other tables, hidden columns, workflows.

The hidden tables and columns are in `database.create`.
"""

# ruff: noqa: S608 - names come from `modules`, values are parameters

from __future__ import annotations

import sqlite3
from decimal import Decimal
from typing import Any, Literal

from kafinea_sandbox.database.create import UNOWNED
from kafinea_sandbox.database.load import clear_unused_invoice_status
from kafinea_sandbox.database.prices import PRICED
from kafinea_sandbox.database.tables import Table
from kafinea_sandbox.instance.call import Call
from kafinea_sandbox.records import prices

_OF_EVENTS = ("_invitee", "_further_contact", "_recurrence")


def apply(
    call: Call,
    table: Table,
    number: int,
    element: dict[str, Any],
    mode: Literal["create", "update", "revise"],
) -> None:
    """Apply what happens after the columns of a record were written."""
    with call.instance.store.write() as db:
        if table.name in UNOWNED:
            _own(db, table, number, call.user.number)
        for name, value in call.instance.options.workflows.get(table.name, {}).items():
            _set(db, table, number, name, value)
        if table.name == "Events" and mode != "create":
            _reset_event(db, number)
        if table.name == "SalesOrder":
            clear_unused_invoice_status(db, number)
        if table.name in PRICED and mode == "revise":
            prices.forget(call, table.name, number)
        elif table.name in PRICED:
            prices.write(call, table.name, number, element)
        if call.instance.dialect.writes.user_formats and mode != "create":
            _shorten(db, table, number, element)


def _own(db: sqlite3.Connection, table: Table, number: int, user: int) -> None:
    """The hidden owner of these modules is the user of the last write."""
    _set(db, table, number, "_owner", user)


def _reset_event(db: sqlite3.Connection, number: int) -> None:
    """Every update of an event removes these, as if a form had been saved without them."""
    for name in _OF_EVENTS:
        db.execute(f"DELETE FROM {name} WHERE event = ?", (number,))
    db.execute("UPDATE _reminder SET minutes = 0, sent = 0 WHERE event = ?", (number,))


def _shorten(db: sqlite3.Connection, table: Table, number: int, element: dict[str, Any]) -> None:
    """On coreBOS every update removes the seconds of custom datetimes and digits of amounts."""
    for name, column in table.columns.items():
        if name in element:
            continue
        moment = column.kind == "datetime" and name.startswith("cf_")
        # uitype 72: the amounts of goods, and of documents with lines
        goods = table.module.is_inventory or table.name in PRICED
        amount = goods and column.field.scale == 8 and not column.field.of_line
        if not (moment or amount):
            continue
        sql = f'SELECT "{name}" FROM "{table.name}" WHERE _number = ?'
        (value,) = db.execute(sql, (number,)).fetchone()
        if value:
            short = f"{value[:16]}:00" if moment else f"{Decimal(value):.6f}00"
            _set(db, table, number, name, short)


def _set(db: sqlite3.Connection, table: Table, number: int, name: str, value: Any) -> None:
    db.execute(f'UPDATE "{table.name}" SET "{name}" = ? WHERE _number = ?', (value, number))
