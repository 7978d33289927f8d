"""`retrieve`, `create`, `update`, `revise` and `delete`."""

from __future__ import annotations

from typing import Any

from kafinea_sandbox import php
from kafinea_sandbox.database.tables import Table
from kafinea_sandbox.errors import ApiError, Fatal, denied, no_owner
from kafinea_sandbox.instance.call import Call
from kafinea_sandbox.instance.instance import Instance
from kafinea_sandbox.records import pdo, stored, with_lines, write
from kafinea_sandbox.records.read import read
from kafinea_sandbox.records.stored import Element
from kafinea_sandbox.records.write import Mode


def retrieve(call: Call) -> dict[str, Any]:
    """One record with everything that belongs to it."""
    table, number = call.record(call.params.get("id"))
    return _shown(call, table, number, _read(call.instance, table, number))


def _read(instance: Instance, table: Table, number: int) -> Element:
    if table.module.is_inventory and instance.dialect.pdo:
        return pdo.read(instance, table, number)
    if table.module.is_inventory:
        return with_lines.read(instance, table, number)
    return read(instance, table, number)


def _shown(call: Call, table: Table, number: int, record: Element) -> Element:
    """A record as the user may see it."""
    dialect = call.instance.dialect
    if dialect.owners_looked_up and call.instance.has_lost_owner(table, number):
        raise no_owner(dialect)
    call.instance.check_encodable(table, [number], table.columns.values())
    if table.module.is_inventory:
        _check_lines_encodable(call.instance, number)
    unseen = call.instance.unseen(table, call.user)
    return {name: value for name, value in record.items() if name not in unseen}


def _check_lines_encodable(instance: Instance, number: int) -> None:
    """Lines are part of their record's answer."""
    if instance.options.unencodable.get("LineItem"):
        sql = "SELECT _number FROM LineItem WHERE parent_id = ?"
        lines = [line for (line,) in instance.store.rows(sql, (number,))]
        table = instance.tables["LineItem"]
        instance.check_encodable(table, lines, table.columns.values())


def _sent(call: Call, table: Table) -> Element:
    """The record sent, without the fields that the user may not write."""
    unseen = call.instance.unseen(table, call.user)
    element = {n: value for n, value in write.element_of(call).items() if n not in unseen}
    picked = (n for n, column in table.columns.items() if column.field.type == "multipicklist")
    if call.instance.dialect.writes.joined_only and any(
        isinstance(element.get(n), list) for n in picked
    ):
        raise Fatal("TypeError: decode_html(): Argument #1 ($str) must be of type string")
    return element


def create(call: Call) -> dict[str, Any]:
    """Create a record; the answer is that of `retrieve`."""
    name = call.params.get("elementType")
    if not name:
        raise denied()
    table = call.table(name)
    answer = _create(call, table, _sent(call, table))
    return _shown(call, table, call.instance.table_of(answer["id"])[1], answer)


def _create(call: Call, table: Table, element: Element) -> Element:
    call.check_open(table, "create")
    if call.instance.dialect.writes.dates_today:
        today = call.instance.clock.text()[:10]
        dates = (n for n, column in table.columns.items() if column.field.type == "date")
        element = dict.fromkeys(dates, today) | element
    if table.module.is_inventory and call.instance.dialect.pdo:
        return pdo.create(call, table, element)
    if table.module.is_inventory:
        return with_lines.create(call, table, element)
    if table.name == "Calendar" and element.get("activitytype") != "Task":
        return _untyped_task(call, table, element)
    number = write.add(call, table, element)
    return read(call.instance, table, number)


def _untyped_task(call: Call, table: Table, element: Element) -> Element:
    """A record of Calendar whose activitytype is not Task belongs to Events."""
    events = call.instance.tables["Events"]
    number = write.add(call, table, element, into=events)
    return read(call.instance, events, number) | {"id": table.wire_id(number)}


def update(call: Call) -> dict[str, Any]:
    """Update a record. Mandatory fields must be sent again."""
    return _change(call, "update")


def revise(call: Call) -> dict[str, Any]:
    """Update only the fields that are sent."""
    return _change(call, "revise")


def _change(call: Call, mode: Mode) -> dict[str, Any]:
    element = write.element_of(call)
    if mode == "revise" and call.instance.dialect.writes.revise_names_id and not element.get("id"):
        raise ApiError("INVALID_ID_ATTRIBUTE", "Id specified is incorrect")
    table, number = call.record(php.text(element.get("id")))
    return _shown(call, table, number, _changed(call, table, number, _sent(call, table), mode))


def _changed(call: Call, table: Table, number: int, element: Element, mode: Mode) -> Element:
    call.check_open(table, "update")
    if table.name == "LineItem":
        return with_lines.update_line(call, number)
    if table.module.is_inventory and call.instance.dialect.pdo:
        return pdo.change(call, table, number, element, mode)
    if table.module.is_inventory:
        return with_lines.change(call, table, number, element, mode)
    write.change(call, table, number, element, mode)
    return read(call.instance, table, number)


def delete(call: Call) -> dict[str, Any]:
    """Remove a record."""
    table, number = call.record(call.params.get("id"))
    call.check_open(table, "delete")
    if table.name == "LineItem":
        raise Fatal("TypeError: Cannot access offset of type string on string")
    stored.remove(call.instance, table, number)
    return {"status": "successful"}
