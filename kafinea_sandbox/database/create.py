"""The tables of a new database, and its indexes.

The API shows none of `_invitee`, `_further_contact`, `_recurrence`, `_reminder` (of Events, each
with the event's number in `event`) and of the column `_owner` of Faq and PriceBooks.
"""

from __future__ import annotations

import sqlite3

from kafinea_sandbox.database.prices import PRICED
from kafinea_sandbox.database.store import Store
from kafinea_sandbox.database.tables import stored_fields, value_type_of
from kafinea_sandbox.modules import MODULES
from kafinea_sandbox.modules.model import Field

UNOWNED = ("Faq", "PriceBooks")
"""Modules with an owner that no field shows."""


def create(store: Store) -> None:
    """Create the empty tables and their indexes."""
    with store.write() as db:
        for module in MODULES:
            columns = ", ".join(
                f'"{field.name}" {_affinity(field)}' for field in stored_fields(module)
            )
            db.execute(
                f'CREATE TABLE "{module.name}"'
                f" (_number INTEGER PRIMARY KEY, _deleted INTEGER NOT NULL DEFAULT 0, {columns})"
            )
        db.execute(
            "CREATE TABLE _entity (_number INTEGER PRIMARY KEY, module TEXT, _deleted INTEGER)"
        )
        db.execute("CREATE TABLE _relation (source INTEGER, related INTEGER, label TEXT)")
        db.execute("CREATE UNIQUE INDEX _relation_once ON _relation (source, related, label)")
        db.execute(
            "CREATE TABLE _file (_number INTEGER PRIMARY KEY, parent INTEGER, name TEXT,"
            " mime TEXT, content BLOB)"
        )
        db.execute("CREATE TABLE _counter (module TEXT PRIMARY KEY, value INTEGER)")
        _create_prices(db)
        _create_hidden(db)
        _create_indexes(db)


def _affinity(field: Field) -> str:
    return "INTEGER" if value_type_of(field) in {"owner", "reference"} else "TEXT"


def _create_prices(db: sqlite3.Connection) -> None:
    db.execute(
        "CREATE TABLE _price (product INTEGER, currency INTEGER, converted TEXT, actual TEXT,"
        " PRIMARY KEY (product, currency))"
    )
    for module in PRICED:
        db.execute(f'ALTER TABLE "{module}" ADD COLUMN _currency INTEGER NOT NULL DEFAULT 1')


def _create_hidden(db: sqlite3.Connection) -> None:
    db.execute("CREATE TABLE _invitee (event INTEGER, user INTEGER)")
    db.execute("CREATE TABLE _further_contact (event INTEGER, contact INTEGER)")
    db.execute("CREATE TABLE _recurrence (event INTEGER, kind TEXT, until TEXT)")
    db.execute("CREATE TABLE _reminder (event INTEGER, minutes INTEGER, sent INTEGER)")
    for module in UNOWNED:
        db.execute(f'ALTER TABLE "{module}" ADD COLUMN _owner INTEGER NOT NULL DEFAULT 1')


def _create_indexes(db: sqlite3.Connection) -> None:
    """Index what is read by time, key or parent."""
    for module in MODULES:
        for field in stored_fields(module):
            if field.name.lower() == "modifiedtime":
                owner = (
                    ', "assigned_user_id"' if any(f.type == "owner" for f in module.fields) else ""
                )
                db.execute(
                    f'CREATE INDEX "{module.name}_modified" ON "{module.name}"'
                    f' ("{field.name}", _deleted{owner})'
                )
            elif field.unique or field.name in module.label_fields:
                db.execute(
                    f'CREATE INDEX "{module.name}_{field.name}" ON "{module.name}"'
                    f' (rtrim(fold("{field.name}")))'
                )
    db.execute('CREATE INDEX "LineItem_parent" ON "LineItem" ("parent_id")')
    db.execute("CREATE INDEX _file_parent ON _file (parent)")
