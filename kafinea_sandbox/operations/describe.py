"""`listtypes` and `describe`."""

from __future__ import annotations

from typing import Any

from kafinea_sandbox import php
from kafinea_sandbox.database.prices import PRICED
from kafinea_sandbox.database.tables import Table
from kafinea_sandbox.instance.call import Call
from kafinea_sandbox.modules.model import Field
from kafinea_sandbox.records import prices

_MAX_UPLOAD = 64_000_000


def listtypes(call: Call) -> dict[str, Any]:
    """The modules that the user may use, or those of them with a field of certain types."""
    wanted = php.decode(call.params.get("fieldTypeList"))
    tables = [table for table in call.instance.tables.values() if call.may_use(table)]
    if isinstance(wanted, list) and wanted:
        tables = [t for t in tables if t.module.is_entity and _has_type(t, wanted)]
    tables.sort(key=lambda table: not table.module.is_entity)
    return {
        "types": [table.name for table in tables],
        "information": php.mapping(
            {
                table.name: {
                    "isEntity": table.module.is_entity,
                    "label": table.module.label,
                    "singular": table.module.singular,
                }
                for table in tables
            }
        ),
    }


def _has_type(table: Table, wanted: list[str]) -> bool:
    return any(field.type in wanted for field in table.module.fields)


def describe(call: Call) -> dict[str, Any]:
    """One module and its fields."""
    table = call.table(call.params.get("elementType", ""))
    module = table.module
    closed = call.instance.options.closed.get(table.name, ())
    unseen = call.instance.unseen(table, call.user)
    fields = [column.field for name, column in table.columns.items() if name not in unseen]
    if table.name in PRICED:
        fields += prices.fields(call.instance)
    answer = {
        "label": module.label,
        "name": module.name,
        "createable": "create" not in closed,
        "updateable": "update" not in closed,
        "deleteable": "delete" not in closed,
        "retrieveable": True,
        "fields": [_field(field, table, call.user.date_format) for field in fields],
        "idPrefix": table.prefix,
        "isEntity": module.is_entity,
    }
    if module.is_entity:
        answer["allowDuplicates"] = False
    return answer | {"labelFields": ",".join(module.label_fields)}


def _field(field: Field, table: Table, date_format: str) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "name": field.name,
        "label": field.label,
        "mandatory": field.mandatory,
        "type": _type(field, date_format),
    }
    if field.retrieve_only and not table.module.is_inventory:
        # Taxes and prices of products carry PHP's own booleans: "1" and "".
        return answer | {
            "nullable": "1",
            "editable": "1",
            "mandatory": "",
            "default": field.default or "",
        }
    if field.name == "id":
        return answer | {"editable": False, "nullable": False, "default": ""}
    if table.module.is_entity and not field.retrieve_only:
        answer["isunique"] = field.unique
    answer |= {"nullable": not field.mandatory, "editable": field.editable}
    if table.module.is_entity or field.default is not None:
        answer["default"] = field.default
    return answer


def _type(field: Field, date_format: str) -> dict[str, Any]:
    extra: dict[str, Any] = {}
    if field.type in {"picklist", "multipicklist"}:
        extra["picklistValues"] = [
            {"label": label, "value": value}
            for label, value in zip(field.labels or field.values, field.values, strict=True)
        ]
        extra["defaultValue"] = field.values[0] if field.values else None
    elif field.type == "reference":
        extra["refersTo"] = list(field.refers_to)
    elif field.type == "date":
        extra["format"] = date_format
    elif field.type == "file":
        extra["maxUploadFileSize"] = _MAX_UPLOAD
    return extra | {"name": field.type}
