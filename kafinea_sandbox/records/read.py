"""A record as `retrieve` answers it."""

# ruff: noqa: S608 - names come from `modules`, values are parameters

from __future__ import annotations

from typing import Any

from kafinea_sandbox import php
from kafinea_sandbox.database.prices import PRICED
from kafinea_sandbox.database.tables import Table, id_label
from kafinea_sandbox.instance.instance import Instance
from kafinea_sandbox.records import prices
from kafinea_sandbox.records.stored import Element

# Labels made of a column that is not a field of the module.
_TITLE = {"Documents": "notes_title", "HelpDesk": "ticket_title"}


def read(instance: Instance, table: Table, number: int) -> Element:
    """A record as `retrieve` answers it, without its lines."""
    columns = [c for c in table.columns.values() if not c.field.of_line and c.field.name != "id"]
    wires = ", ".join(column.wire for column in columns)
    row = instance.store.rows(f'SELECT {wires} FROM "{table.name}" t WHERE _number = ?', (number,))
    values = dict(zip((column.field.name for column in columns), row[0], strict=True))
    only_retrieved = {c.field.name for c in columns if c.field.retrieve_only}
    record = {name: value for name, value in values.items() if name not in only_retrieved}
    record["id"] = table.wire_id(number)
    if table.is_actor and table.name != "Users":
        return {id_label(table.module): str(number)} | record
    files = _attachments(instance, table, number)
    if files:
        record["imageattachmentids"] = files
    record["label"] = label(table, record)
    if table.name in PRICED:
        taxes = {name: values[name] for name in only_retrieved if values[name]}
        record |= dict(sorted(taxes.items())) | prices.read(instance, table.name, number)
    return record


def _attachments(instance: Instance, table: Table, number: int) -> str:
    """The ids of a record's files, joined by commas."""
    if not instance.dialect.image_ids:
        return ""
    rows = instance.store.rows("SELECT _number FROM _file WHERE parent = ?", (number,))
    return ",".join(table.wire_id(file) for (file,) in rows)


def label(table: Table, record: dict[str, Any]) -> str:
    """The label of a record, HTML-escaped as in the answers."""
    names = [
        _TITLE.get(table.name, name) if name == "title" else name
        for name in table.module.label_fields
    ]
    return php.htmlentities(" ".join(filter(None, (record.get(name) for name in names))))
