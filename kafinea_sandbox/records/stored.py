"""The rows of records in the database: numbers, inserts, updates and deletes."""

# ruff: noqa: S608 - names come from `modules`, values are parameters

from __future__ import annotations

from typing import Any

from kafinea_sandbox.database.tables import Table
from kafinea_sandbox.instance.instance import Instance

Element = dict[str, Any]
"""A record as the API has it, or some of its fields."""


def insert(instance: Instance, table: Table, values: Element) -> int:
    """Store a new record under the next free number."""
    with instance.store.write() as db:
        number = next_number(instance, table)
        names = ", ".join(["_number", *(f'"{name}"' for name in values)])
        marks = ", ".join("?" * (len(values) + 1))
        db.execute(
            f'INSERT INTO "{table.name}" ({names}) VALUES ({marks})', (number, *values.values())
        )
        if not table.is_actor:
            db.execute("INSERT INTO _entity VALUES (?, ?, 0)", (number, table.name))
        if table.module.number_field:
            # Set, not incremented: two concurrent requests have read the same number.
            used = int(str(values[table.module.number_field])[len(table.module.number_prefix) :])
            db.execute("UPDATE _counter SET value = ? WHERE module = ?", (used, table.name))
    return number


def next_number(instance: Instance, table: Table) -> int:
    """Entities and files share one sequence, users and groups another, the rest have their own."""
    if not table.is_actor:
        tables = ["_entity", "_file"]
    elif table.name in {"Users", "Groups"}:
        tables = ["Users", "Groups"]
    else:
        tables = [table.name]
    used = [instance.store.value(f'SELECT max(_number) FROM "{name}"') or 0 for name in tables]
    return int(max(used)) + 1


def set_columns(instance: Instance, table: Table, number: int, values: Element) -> None:
    """Overwrite some columns of a record."""
    if not values:
        return
    sets = ", ".join(f'"{name}" = ?' for name in values)
    instance.store.execute(
        f'UPDATE "{table.name}" SET {sets} WHERE _number = ?', (*values.values(), number)
    )


def touch(instance: Instance, number: int) -> None:
    """Give an entity a new modifiedtime."""
    module = instance.store.value("SELECT module FROM _entity WHERE _number = ?", (number,))
    table = instance.tables.get(module or "")
    if table and table.modified:
        set_columns(instance, table, number, {table.modified: instance.clock.text()})


def remove(instance: Instance, table: Table, number: int) -> None:
    """Delete a record and its lines."""
    with instance.store.write() as db:
        if table.is_actor:
            db.execute(f'DELETE FROM "{table.name}" WHERE _number = ?', (number,))
            return
        touched = f', "{table.modified}" = ?' if table.modified else ""
        params = [*([instance.clock.text()] if touched else []), number]
        db.execute(f'UPDATE "{table.name}" SET _deleted = 1{touched} WHERE _number = ?', params)
        db.execute("UPDATE _entity SET _deleted = 1 WHERE _number = ?", (number,))
        db.execute("DELETE FROM LineItem WHERE parent_id = ?", (number,))
