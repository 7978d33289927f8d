"""What a write of a record sets in motion: other tables, hidden columns, workflows.

The API shows none of `_invitee`, `_further_contact`, `_recurrence`, `_reminder` (of Events, each
with the event's number in `event`) and of the column `_owner` of Faq and PriceBooks.
"""

# ruff: noqa: S608 - names come from `modules`, values are parameters

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

from kafinea_sandbox import prices

if TYPE_CHECKING:
    import sqlite3

    from kafinea_sandbox.instance import Call
    from kafinea_sandbox.schema import Table

_OF_EVENTS = ("_invitee", "_further_contact", "_recurrence")
_UNOWNED = ("Faq", "PriceBooks")


def create_tables(db: sqlite3.Connection) -> None:
    """Make the tables and columns that no field shows."""
    db.execute("CREATE TABLE _invitee (event INTEGER, user INTEGER)")
    db.execute("CREATE TABLE _further_contact (event INTEGER, contact INTEGER)")
    db.execute("CREATE TABLE _recurrence (event INTEGER, kind TEXT, until TEXT)")
    db.execute("CREATE TABLE _reminder (event INTEGER, minutes INTEGER, sent INTEGER)")
    for module in _UNOWNED:
        db.execute(f'ALTER TABLE "{module}" ADD COLUMN _owner INTEGER NOT NULL DEFAULT 1')


def follow(
    call: Call,
    table: Table,
    number: int,
    element: dict[str, Any],
    mode: Literal["create", "update", "revise"],
) -> None:
    """All that happens after the columns of a record were written."""
    with call.instance.store.write() as db:
        if table.name in _UNOWNED:
            _own(db, table, number, call.user.number)
        for name, value in call.instance.options.workflows.get(table.name, {}).items():
            _set(db, table, number, name, value)
        if table.name == "Events" and mode != "create":
            _reset_event(db, number)
        if table.name == "SalesOrder":
            keep_with_recurrence(db, number)
        if table.name in prices.MODULES and mode == "revise":
            prices.forget(call, table.name, number)
        elif table.name in prices.MODULES:
            prices.write(call, table.name, number, element)
        if call.instance.habits.own_formats and mode != "create":
            _shorten(db, table, number, element)


def _own(db: sqlite3.Connection, table: Table, number: int, user: int) -> None:
    """These modules have an owner that no field shows: whoever wrote last."""
    _set(db, table, number, "_owner", user)


def _reset_event(db: sqlite3.Connection, number: int) -> None:
    """An update in any form takes the event for one that was filled in without all these."""
    for name in _OF_EVENTS:
        db.execute(f"DELETE FROM {name} WHERE event = ?", (number,))
    db.execute("UPDATE _reminder SET minutes = 0, sent = 0 WHERE event = ?", (number,))


def keep_with_recurrence(db: sqlite3.Connection, number: int | None = None) -> None:
    """The status of the invoices to come has a place only beside a recurrence."""
    sql = "UPDATE SalesOrder SET invoicestatus = '' WHERE enable_recurring IS NOT '1'"
    if number is None:
        db.execute(sql)
    else:
        db.execute(f"{sql} AND _number = ?", (number,))


def _shorten(db: sqlite3.Connection, table: Table, number: int, element: dict[str, Any]) -> None:
    """On coreBOS every update takes the seconds off custom moments and digits off amounts."""
    for name, column in table.columns.items():
        if name in element:
            continue
        moment = column.kind == "datetime" and name.startswith("cf_")
        # uitype 72: the amounts of goods, and of documents with lines
        goods = table.module.is_inventory or table.name in prices.MODULES
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
