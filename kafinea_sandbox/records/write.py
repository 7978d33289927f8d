"""Creating and updating a record without lines."""

# ruff: noqa: S608 - names come from `modules`, values are parameters

from __future__ import annotations

import html
from typing import Any, Literal

from kafinea_sandbox import php
from kafinea_sandbox.database.tables import Column, Table, empty, stored_fields
from kafinea_sandbox.errors import Fatal, no_owner
from kafinea_sandbox.instance.call import Call
from kafinea_sandbox.instance.instance import Instance
from kafinea_sandbox.records import checks, side_effects, stored
from kafinea_sandbox.records.alterations import altered
from kafinea_sandbox.records.stored import Element
from kafinea_sandbox.records.values import coerce

Mode = Literal["create", "update", "revise"]

_SYSTEM = {"createdtime", "modifiedtime", "modifiedby", "creator", "imageattachmentids"}
_TOTALS = {"hdnSubTotal", "hdnGrandTotal", "pre_tax_total", "balance"}
# Described as read-only, but `create` and `update` of a document accept them.
_WRITABLE = {"filetype", "filesize"}


def element_of(call: Call) -> Element:
    """The record that was sent. Other JSON than an object counts as an empty object."""
    element = php.decode(call.params.get("element"))
    if isinstance(element, (str, int)) and element is not None:
        raise Fatal("Cannot access offset of type string on string")
    return element if isinstance(element, dict) else {}


def add(call: Call, table: Table, element: Element, into: Table | None = None) -> int:
    """Check and insert a record, `into` another module than the one that it is checked for.

    Raises:
        Died: The owner does not exist. The record was created all the same.
    """
    checks.references(call.instance, table, element)
    checks.assignment(call, table, element)
    checks.mandatory(table, element, missing_too=True)
    table = into or table
    values = _values(call, table, element, "create")
    checks.unique(call.instance, table, values)
    number = stored.insert(call.instance, table, values)
    side_effects.apply(call, table, number, element, "create")
    _touch_commented(call.instance, table, values)
    _stop_without_owner(call.instance, table, number)
    return number


def change(call: Call, table: Table, number: int, element: Element, mode: Mode) -> None:
    """Check and update a record."""
    checks.references(call.instance, table, element)
    checks.assignment(call, table, element)
    checks.mandatory(table, element, missing_too=mode == "update")
    values = _values(call, table, element, mode)
    checks.unique(call.instance, table, values, number)
    if mode == "update" and call.instance.update_blanks:
        values = _blanks(table) | values
    elif mode == "update":
        values |= _damaged_description(call.instance, table, number, element)
    stored.set_columns(call.instance, table, number, values)
    side_effects.apply(call, table, number, element, mode)
    _stop_without_owner(call.instance, table, number)


def _values(call: Call, table: Table, element: Element, mode: Mode) -> Element:
    """The values to store, by column."""
    values: Element = {}
    for field in stored_fields(table.module):
        name = field.name
        if not _is_settable(field, table, mode):
            if mode == "create":
                values[name] = empty(field)
        elif name in element:
            values |= _value(call, table, table.columns[name], element[name], mode)
        elif mode == "create":
            values[name] = _initial(table, name, empty(field))
    return values | _traces(call, table, element, mode)


def _is_settable(field: Any, table: Table, mode: Mode) -> bool:
    name = field.name.lower()
    if name in _SYSTEM or name == table.module.number_field or field.name in _TOTALS:
        return False
    return field.editable or name in _WRITABLE or (name == "source" and mode == "create")


def _value(call: Call, table: Table, column: Column, value: Any, mode: Mode) -> Element:
    name = column.field.name
    if column.kind == "owner":
        return {name: _owner(call, php.text(value))}
    if column.kind == "reference":
        if value == "" and mode == "update" and not call.instance.update_blanks:
            return {}  # update keeps a reference that is sent empty; null clears it
        return {name: _number(call.instance, php.text(value))}
    if mode == "revise" and isinstance(value, str):
        value = html.unescape(value)
    if isinstance(value, str):
        value = altered(call.instance.options.alters.get(f"{table.name}.{name}"), value)
    return {name: coerce(column.field, value, call.formats)}


def _owner(call: Call, wire_id: str) -> int:
    """The number of an owner; the prefix does not matter. Without a number it is the caller."""
    number = wire_id.partition("x")[2]
    return int(number) if number.isdigit() else call.user.number


def _number(instance: Instance, wire_id: str) -> int:
    return instance.table_of(wire_id)[1] if wire_id else 0


def _initial(table: Table, name: str, blank: Any) -> Any:
    """The value of a column that a new record was not sent."""
    if name == "currency_id":
        return 1
    if name == "conversion_rate":
        return "1.000"
    if table.name == "Documents" and name == "folderid":
        return 1
    return blank


def _traces(call: Call, table: Table, element: Element, mode: Mode) -> Element:
    """The fields that the server sets itself: users, times and the document number."""
    now = call.instance.clock.text()
    traces: Element = {"modifiedtime": now, "modifiedby": call.user.number}
    if mode == "create":
        traces |= {"createdtime": now, "creator": call.user.number}
        traces["source"] = php.text(element.get("source")) or "WEBSERVICE"
    if table.is_actor:
        return {}
    own = {f.name: traces[f.name.lower()] for f in table.module.fields if f.name.lower() in traces}
    number_field = table.module.number_field
    if mode == "create" and number_field:
        counter = "SELECT value FROM _counter WHERE module = ?"
        used = call.instance.store.value(counter, (table.name,)) or 0
        own[number_field] = f"{table.module.number_prefix}{used + 1}"
    return own


def _blanks(table: Table) -> Element:
    """Vtiger 5.4 does not read a record before an update: fields that are not sent become empty."""
    keep = {table.module.number_field, "source", *_SYSTEM, *_TOTALS}
    return {
        f.name: empty(f) for f in stored_fields(table.module) if f.name not in keep and f.editable
    }


def _damaged_description(
    instance: Instance, table: Table, number: int, element: Element
) -> Element:
    """Each update encodes a description that it is not sent as HTML once more."""
    if "description" not in table.columns or "description" in element or table.is_actor:
        return {}
    text = instance.store.value(
        f'SELECT description FROM "{table.name}" WHERE _number = ?', (number,)
    )
    return {"description": php.htmlentities(text)} if text else {}


def _touch_commented(instance: Instance, table: Table, values: Element) -> None:
    if table.name == "ModComments" and values.get("related_to"):
        stored.touch(instance, values["related_to"])


def _stop_without_owner(instance: Instance, table: Table, number: int) -> None:
    """A write that leaves an owner who does not exist fails, after it was done."""
    if instance.has_lost_owner(table, number):
        raise no_owner(instance.dialect)
