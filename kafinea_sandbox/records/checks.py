"""The checks before a write, in the words of the server."""

# ruff: noqa: S608 - names come from `modules`, values are parameters

from __future__ import annotations

from kafinea_sandbox import php
from kafinea_sandbox.database.store import fold
from kafinea_sandbox.database.tables import Table
from kafinea_sandbox.errors import ApiError
from kafinea_sandbox.instance.call import Call
from kafinea_sandbox.instance.instance import Instance
from kafinea_sandbox.records.stored import Element


def references(instance: Instance, table: Table, element: Element) -> None:
    """A reference must have the prefix of one of its modules. Its record may not exist."""
    for name, column in table.columns.items():
        value = php.text(element.get(name))
        if column.field.type != "reference" or not value or table.name == "Users":
            continue
        target, _ = instance.table_of(value)
        if target.name not in column.field.refers_to:
            raise ApiError("REFERENCE_INVALID", f"Invalid reference specified for {name}")


def assignment(call: Call, table: Table, element: Element) -> None:
    """A user may not name an administrator in a reference, not even in `modifiedby`.

    Owners are not checked: whom a user may assign to depends on sharing rules.
    """
    if call.user.is_admin or not call.instance.dialect.writes.checks_assignment:
        return
    for name, column in table.columns.items():
        if column.field.refers_to == ("Users",) and element.get(name):
            _, number = call.instance.table_of(php.text(element[name]))
            named = call.instance.user(number)
            if named and named.is_admin:
                raise ApiError("ACCESS_DENIED", "Cannot assign record to the given user")


def mandatory(table: Table, element: Element, *, missing_too: bool) -> None:
    """Mandatory fields need a value. The error names the first one without."""
    for name, column in table.columns.items():
        concerned = missing_too or name in element
        if column.field.mandatory and concerned and element.get(name) in (None, ""):
            raise ApiError("MANDATORY_FIELDS_MISSING", f"{name} does not have a value")


def unique(instance: Instance, table: Table, values: Element, number: int = 0) -> None:
    """Unique fields must differ from other records. It is the only error whose code is a number."""
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
