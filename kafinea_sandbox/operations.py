"""Reading and writing records: the operations most clients need."""

from __future__ import annotations

import re
from typing import Any

from kafinea_sandbox import documents, inventory, php, records
from kafinea_sandbox.errors import ApiError, Fatal, QueryFails, denied
from kafinea_sandbox.grammar import parse
from kafinea_sandbox.instance import Call, Instance
from kafinea_sandbox.schema import Table
from kafinea_sandbox.vtql import Statement

FROM = re.compile(r"from\s+([^\s;]+)", re.IGNORECASE)


def query(call: Call) -> list[dict[str, Any]]:
    """Run a query; what the database refuses is an empty list, not an error."""
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
        return []


def retrieve(call: Call) -> dict[str, Any]:
    """One record with everything that belongs to it."""
    table, number = call.record(call.params.get("id"))
    return _read(call.instance, table, number)


def _read(instance: Instance, table: Table, number: int) -> records.Element:
    instance.check_encodable(table, [number], table.columns.values())
    if table.module.is_inventory:
        return inventory.read(instance, table, number)
    return records.read(instance, table, number)


def create(call: Call) -> dict[str, Any]:
    """A new record, answered as `retrieve` would."""
    name = call.params.get("elementType")
    if not name:
        raise denied()
    table, element = call.table(name), records.element_of(call)
    call.check_open(table, "create")
    if table.name == "LineItem":
        return inventory.create_line(call, table, element)
    if table.module.is_inventory:
        return inventory.create(call, table, element)
    if table.name == "Calendar" and element.get("activitytype") != "Task":
        return _untyped_task(call, table, element)
    number = records.add(call, table, element)
    documents.attach_parts(call, table, number)
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
    call.check_open(table, "update")
    if table.name == "LineItem":
        return inventory.update_line(call, number)
    if table.module.is_inventory:
        answer = inventory.change(call, table, number, element, mode)
    else:
        records.change(call, table, number, element, mode)
        answer = records.read(call.instance, table, number)
    call.instance.check_encodable(table, [number], table.columns.values())
    return answer


def delete(call: Call) -> dict[str, Any]:
    """Remove a record."""
    table, number = call.record(call.params.get("id"))
    call.check_open(table, "delete")
    if table.name == "LineItem":
        raise Fatal("TypeError: Cannot access offset of type string on string")
    records.remove(call.instance, table, number)
    return {"status": "successful"}
