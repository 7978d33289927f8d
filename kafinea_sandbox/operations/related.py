"""`relatedtypes`, `query_related` and `add_related`."""

# ruff: noqa: S608 - names come from `modules`, values are parameters

from __future__ import annotations

from typing import Any

from kafinea_sandbox.database.tables import Table
from kafinea_sandbox.errors import ApiError, Fatal, denied
from kafinea_sandbox.instance.call import Call
from kafinea_sandbox.instance.instance import Instance
from kafinea_sandbox.modules.model import RelatedList
from kafinea_sandbox.query.run import FROM, run
from kafinea_sandbox.records import stored


def relatedtypes(call: Call) -> dict[str, Any]:
    """The related lists of a module, by label. A module with two lists is named twice."""
    table = call.table(call.params.get("elementType", ""))
    if not table.module.is_entity:
        raise Fatal("Error: Call to a member function on null")
    present = call.instance.tables
    lists = [entry for entry in table.module.related if entry.module in present]
    information = {
        entry.label: {"name": entry.module, "label": entry.label, "isEntity": "1"}
        for entry in lists
    }
    return {"types": [entry.module for entry in lists], "information": information or []}


def query_related(call: Call) -> list[dict[str, Any]]:
    """A query within a related list: the server inserts the ids of the list into its text."""
    table, number = call.record(call.params.get("id"))
    text = call.params.get("query", "")
    module = FROM.search(text)
    if not module:
        raise denied("for query")
    relation = _list(table, call.params.get("relatedLabel", ""))
    if relation is None or relation.module != module[1] or text.rstrip().endswith(";"):
        raise ApiError("UNKOWN_ENTITY", "Relation specified is incorrect")
    numbers = _related_numbers(call.instance, number, relation)
    if not numbers:
        return []
    target = call.instance.tables[relation.module]
    ids = ",".join(f"'{target.wire_id(related)}'" for related in numbers)
    return run(call, _within(text, ids))


def _within(text: str, ids: str) -> str:
    # The server splits the text at each WHERE in capitals: what follows a second one is lost, and
    # an OR after the first finds records outside the list.
    parts = text.split("WHERE")
    if len(parts) == 1:
        return f"{text} WHERE id IN ({ids});"
    return f"{parts[0]} WHERE id IN ({ids}) AND {parts[1]};"


def add_related(call: Call) -> dict[str, str]:
    """Link two records. The answer is a success even if nothing was linked."""
    names = call.instance.dialect.related_label
    label = next((call.params[name] for name in names if name in call.params), None)
    try:
        table, source = call.record(call.params.get("sourceRecordId"))
        target, related = call.instance.table_of(call.params.get("relatedRecordId", ""))
    except ApiError:
        raise ApiError("INTERNAL_SERVER_ERROR", "Unknown Error while processing request") from None
    relation = _linkable(table, target, label)
    exists = "SELECT 1 FROM _entity WHERE _number = ? AND module = ? AND _deleted = 0"
    if relation and call.instance.store.value(exists, (related, target.name)):
        with call.instance.store.write() as db:
            row = (source, related, relation.label)
            db.execute("INSERT OR IGNORE INTO _relation VALUES (?, ?, ?)", row)
            stored.touch(call.instance, source)
    return {"message": "successfull"}


def _linkable(table: Table, target: Table, label: str | None) -> RelatedList | None:
    """The list to add to; lists that follow a reference cannot be added to."""
    for entry in table.module.related:
        if entry.module == target.name and label in {None, entry.label} and entry.follows is None:
            return entry
    return None


def _list(table: Table, label: str) -> RelatedList | None:
    return next((entry for entry in table.module.related if entry.label == label), None)


def _related_numbers(instance: Instance, number: int, relation: RelatedList) -> list[int]:
    """The records of a list: those that refer to the record, or those linked with it."""
    if relation.follows:
        sql = (
            f'SELECT _number FROM "{relation.module}"'
            f' WHERE "{relation.follows}" = ? AND _deleted = 0'
        )
        rows = instance.store.rows(sql, (number,))
    else:
        rows = instance.store.rows(
            "SELECT r.related FROM _relation r JOIN _entity e ON e._number = r.related"
            " WHERE r.source = ? AND r.label = ? AND e._deleted = 0"
            " UNION SELECT r.source FROM _relation r JOIN _entity e ON e._number = r.source"
            " WHERE r.related = ? AND e.module = ? AND e._deleted = 0",
            (number, relation.label, number, relation.module),
        )
    return [related for (related,) in rows]
