"""`create`, `retrieve`, `update`, `revise` and `delete`."""

# ruff: noqa: S608 - names come from `modules`, values are parameters

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any, Literal

from kafinea_sandbox import aftermath, php, prices
from kafinea_sandbox.alterations import altered
from kafinea_sandbox.coerce import coerce
from kafinea_sandbox.describe import label
from kafinea_sandbox.errors import ApiError, Fatal, no_owner
from kafinea_sandbox.schema import Column, Table, empty, id_label, stored
from kafinea_sandbox.store import fold

if TYPE_CHECKING:
    from kafinea_sandbox.instance import Call, Instance

Element = dict[str, Any]
Mode = Literal["create", "update", "revise"]

_SYSTEM = {"createdtime", "modifiedtime", "modifiedby", "creator", "imageattachmentids"}
_ADDED_UP = {"hdnSubTotal", "hdnGrandTotal", "pre_tax_total", "balance"}
# Described as read-only, but taken from the sender when a document's details are written.
_WRITABLE = {"filetype", "filesize"}


def element_of(call: Call) -> Element:
    """The record sent; whatever is no JSON object counts as an empty one."""
    element = php.decode(call.params.get("element"))
    if isinstance(element, (str, int)) and element is not None:
        raise Fatal("Cannot access offset of type string on string")
    return element if isinstance(element, dict) else {}


def add(call: Call, table: Table, element: Element, into: Table | None = None) -> int:
    """Check and insert a record, `into` another module than the one that it is checked for.

    Raises:
        Died: the owner does not exist; the record is there all the same.
    """
    check_references(call.instance, table, element)
    check_assignment(call, table, element)
    check_mandatory(table, element, missing_too=True)
    table = into or table
    values = _values(call, table, element, "create")
    check_unique(call.instance, table, values)
    number = insert(call.instance, table, values)
    aftermath.follow(call, table, number, element, "create")
    _touch_commented(call.instance, table, values)
    _stop_without_owner(call.instance, table, number)
    return number


def change(call: Call, table: Table, number: int, element: Element, mode: Mode) -> None:
    """Check and update a record."""
    check_references(call.instance, table, element)
    check_assignment(call, table, element)
    check_mandatory(table, element, missing_too=mode == "update")
    values = _values(call, table, element, mode)
    check_unique(call.instance, table, values, number)
    if mode == "update" and call.instance.update_blanks:
        values = _blanks(table) | values
    elif mode == "update":
        values |= _damaged_description(call.instance, table, number, element)
    set_columns(call.instance, table, number, values)
    aftermath.follow(call, table, number, element, mode)
    _stop_without_owner(call.instance, table, number)


def remove(instance: Instance, table: Table, number: int) -> None:
    """Delete a record, with its lines, its links and its place among the living."""
    with instance.store.write() as db:
        if table.is_actor:
            db.execute(f'DELETE FROM "{table.name}" WHERE _number = ?', (number,))
            return
        touched = f', "{table.modified}" = ?' if table.modified else ""
        params = [*([instance.clock.text()] if touched else []), number]
        db.execute(f'UPDATE "{table.name}" SET _deleted = 1{touched} WHERE _number = ?', params)
        db.execute("UPDATE _entity SET _deleted = 1 WHERE _number = ?", (number,))
        db.execute("DELETE FROM LineItem WHERE parent_id = ?", (number,))


def read(instance: Instance, table: Table, number: int) -> Element:
    """A record as `retrieve` answers it, lines not included."""
    columns = [c for c in table.columns.values() if not c.field.of_line and c.field.name != "id"]
    wires = ", ".join(column.wire for column in columns)
    row = instance.store.rows(f'SELECT {wires} FROM "{table.name}" t WHERE _number = ?', (number,))
    values = dict(zip((column.field.name for column in columns), row[0], strict=True))
    only_retrieved = {c.field.name for c in columns if c.field.retrieve_only}
    record = {name: value for name, value in values.items() if name not in only_retrieved}
    record["id"] = table.wire_id(number)
    if table.is_actor and table.name != "Users":
        return {id_label(table.module): str(number)} | record
    files = attachments(instance, table, number)
    if files:
        record["imageattachmentids"] = files
    record["label"] = label(table, record)
    if table.name in prices.MODULES:
        taxes = {name: values[name] for name in only_retrieved if values[name]}
        record |= dict(sorted(taxes.items())) | prices.read(instance, table.name, number)
    return record


def attachments(instance: Instance, table: Table, number: int) -> str:
    """The ids of a record's files, joined by commas."""
    if not instance.dialect.image_ids:
        return ""
    rows = instance.store.rows("SELECT _number FROM _file WHERE parent = ?", (number,))
    return ",".join(table.wire_id(file) for (file,) in rows)


def check_references(instance: Instance, table: Table, element: Element) -> None:
    """A reference must have the prefix of a module it may point to; the record may be missing."""
    for name, column in table.columns.items():
        value = php.text(element.get(name))
        if column.field.type != "reference" or not value or table.name == "Users":
            continue
        target, _ = instance.table_of(value)
        if target.name not in column.field.refers_to:
            raise ApiError("REFERENCE_INVALID", f"Invalid reference specified for {name}")


def check_assignment(call: Call, table: Table, element: Element) -> None:
    """A user may name nobody above them, `modifiedby` included, which is ignored otherwise.

    Owners are not looked at: whom a user may assign to is a matter of sharing rules.
    """
    if call.user.is_admin or not call.instance.habits.checks_assignment:
        return
    for name, column in table.columns.items():
        if column.field.refers_to == ("Users",) and element.get(name):
            _, number = call.instance.table_of(php.text(element[name]))
            named = call.instance.user(number)
            if named and named.is_admin:
                raise ApiError("ACCESS_DENIED", "Cannot assign record to the given user")


def check_mandatory(table: Table, element: Element, *, missing_too: bool) -> None:
    """Only the first field without a value is named."""
    for name, column in table.columns.items():
        concerned = missing_too or name in element
        if column.field.mandatory and concerned and element.get(name) in (None, ""):
            raise ApiError("MANDATORY_FIELDS_MISSING", f"{name} does not have a value")


def check_unique(instance: Instance, table: Table, values: Element, number: int = 0) -> None:
    """The only error whose code is no text."""
    exact = instance.options.collation == "binary"
    for field in table.module.fields:
        if not field.unique or not values.get(field.name):
            continue
        column = f'"{field.name}"' if exact else f'rtrim(fold("{field.name}"))'
        value = values[field.name] if exact else fold(values[field.name]).rstrip(" ")
        found = instance.store.value(
            f'SELECT 1 FROM "{table.name}" WHERE {column} = ? AND _deleted = 0 AND _number != ?',
            (value, number),
        )
        if found:
            raise ApiError(0, "Duplicate(s) detected!")


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
            # Set, not counted up: two requests at once have read, and use, the same number.
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


def _values(call: Call, table: Table, element: Element, mode: Mode) -> Element:
    """What to store, by column."""
    values: Element = {}
    for field in stored(table.module):
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
    if name in _SYSTEM or name == table.module.number_field or field.name in _ADDED_UP:
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
    """Only the number counts, not the prefix; without one the caller becomes the owner."""
    number = wire_id.partition("x")[2]
    return int(number) if number.isdigit() else call.user.number


def _number(instance: Instance, wire_id: str) -> int:
    return instance.table_of(wire_id)[1] if wire_id else 0


def _initial(table: Table, name: str, blank: Any) -> Any:
    """What a column holds when a new record does not say."""
    if name == "currency_id":
        return 1
    if name == "conversion_rate":
        return "1.000"
    if table.name == "Documents" and name == "folderid":
        return 1
    return blank


def _traces(call: Call, table: Table, element: Element, mode: Mode) -> Element:
    """Who, when, and under which number: set by the server, whatever was sent."""
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
    """Vtiger 5.4 does not read a record before it updates it: what is not sent is lost."""
    keep = {table.module.number_field, "source", *_SYSTEM, *_ADDED_UP}
    return {f.name: empty(f) for f in stored(table.module) if f.name not in keep and f.editable}


def _damaged_description(
    instance: Instance, table: Table, number: int, element: Element
) -> Element:
    """A description that is not sent is saved again HTML-encoded, one level more every time."""
    if "description" not in table.columns or "description" in element or table.is_actor:
        return {}
    text = instance.store.value(
        f'SELECT description FROM "{table.name}" WHERE _number = ?', (number,)
    )
    return {"description": php.htmlentities(text)} if text else {}


def _touch_commented(instance: Instance, table: Table, values: Element) -> None:
    if table.name == "ModComments" and values.get("related_to"):
        touch(instance, values["related_to"])


def _stop_without_owner(instance: Instance, table: Table, number: int) -> None:
    """An owner who is gone stops every write that does not replace them, after it was done."""
    if instance.has_lost_owner(table, number):
        raise no_owner(instance.dialect)
