"""Reading and writing records: the operations most clients need."""

from __future__ import annotations

import re
from typing import Any

from kafinea_sandbox import inventory, pdo, php, records
from kafinea_sandbox.errors import ApiError, Fatal, QueryFails, denied, no_owner
from kafinea_sandbox.grammar import parse
from kafinea_sandbox.instance import Call, Instance
from kafinea_sandbox.schema import Table
from kafinea_sandbox.vtql import Statement

FROM = re.compile(r"from\s+([^\s;]+)", re.IGNORECASE)


def query(call: Call) -> list[dict[str, Any]]:
    """Run a query; what the database refuses is an empty list on most servers."""
    return run_query(call, call.params.get("query", ""))


def run_query(call: Call, text: str) -> list[dict[str, Any]]:
    """The rows of a query text."""
    module = FROM.search(text)
    if not module:
        raise denied("for query")
    table = call.table(module[1])  # looked up before the text is parsed
    parsed = parse(text)
    try:
        statement = Statement(call.instance, call.user, table, parsed)
        return statement.count() if parsed.counts else statement.rows()
    except QueryFails:
        if call.instance.dialect.json_refusals:
            raise ApiError(
                "DATABASE_QUERY_ERROR", "Database error while performing requested operation"
            ) from None
        return []


def retrieve(call: Call) -> dict[str, Any]:
    """One record with everything that belongs to it."""
    table, number = call.record(call.params.get("id"))
    return _shown(call, table, number, _read(call.instance, table, number))


def _read(instance: Instance, table: Table, number: int) -> records.Element:
    if table.module.is_inventory and instance.dialect.pdo:
        return pdo.read(instance, table, number)
    if table.module.is_inventory:
        return inventory.read(instance, table, number)
    return records.read(instance, table, number)


def _shown(call: Call, table: Table, number: int, record: records.Element) -> records.Element:
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


def _sent(call: Call, table: Table) -> records.Element:
    """The record sent, without the fields that the user may not write."""
    unseen = call.instance.unseen(table, call.user)
    element = {n: value for n, value in records.element_of(call).items() if n not in unseen}
    picked = (n for n, column in table.columns.items() if column.field.type == "multipicklist")
    if call.instance.dialect.joined_only and any(isinstance(element.get(n), list) for n in picked):
        raise Fatal("TypeError: decode_html(): Argument #1 ($str) must be of type string")
    return element


def create(call: Call) -> dict[str, Any]:
    """A new record, answered as `retrieve` would."""
    name = call.params.get("elementType")
    if not name:
        raise denied()
    table = call.table(name)
    answer = _create(call, table, _sent(call, table))
    return _shown(call, table, call.instance.table_of(answer["id"])[1], answer)


def _create(call: Call, table: Table, element: records.Element) -> records.Element:
    call.check_open(table, "create")
    if call.instance.dialect.dates_today:
        today = call.instance.clock.text()[:10]
        dates = (n for n, column in table.columns.items() if column.field.type == "date")
        element = dict.fromkeys(dates, today) | element
    if table.module.is_inventory and call.instance.dialect.pdo:
        return pdo.create(call, table, element)
    if table.module.is_inventory:
        return inventory.create(call, table, element)
    if table.name == "Calendar" and element.get("activitytype") != "Task":
        return _untyped_task(call, table, element)
    number = records.add(call, table, element)
    return records.read(call.instance, table, number)


def _untyped_task(call: Call, table: Table, element: records.Element) -> records.Element:
    """Calendar shows the rows whose activitytype is Task; all others show among the Events."""
    events = call.instance.tables["Events"]
    number = records.add(call, table, element, into=events)
    return records.read(call.instance, events, number) | {"id": table.wire_id(number)}


def update(call: Call) -> dict[str, Any]:
    """All mandatory fields must be there again."""
    return _change(call, "update")


def revise(call: Call) -> dict[str, Any]:
    """Only what is sent is looked at."""
    return _change(call, "revise")


def _change(call: Call, mode: records.Mode) -> dict[str, Any]:
    element = records.element_of(call)
    if mode == "revise" and call.instance.habits.revise_names_id and not element.get("id"):
        raise ApiError("INVALID_ID_ATTRIBUTE", "Id specified is incorrect")
    table, number = call.record(php.text(element.get("id")))
    return _shown(call, table, number, _changed(call, table, number, _sent(call, table), mode))


def _changed(
    call: Call, table: Table, number: int, element: records.Element, mode: records.Mode
) -> records.Element:
    call.check_open(table, "update")
    if table.name == "LineItem":
        return inventory.update_line(call, number)
    if table.module.is_inventory and call.instance.dialect.pdo:
        return pdo.change(call, table, number, element, mode)
    if table.module.is_inventory:
        return inventory.change(call, table, number, element, mode)
    records.change(call, table, number, element, mode)
    return records.read(call.instance, table, number)


def delete(call: Call) -> dict[str, Any]:
    """Remove a record."""
    table, number = call.record(call.params.get("id"))
    call.check_open(table, "delete")
    if table.name == "LineItem":
        raise Fatal("TypeError: Cannot access offset of type string on string")
    records.remove(call.instance, table, number)
    return {"status": "successful"}
