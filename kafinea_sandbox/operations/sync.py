"""`sync`: the records that were changed or deleted since a time."""

# ruff: noqa: S608 - names come from `modules`, values are parameters

from __future__ import annotations

from typing import Any

from kafinea_sandbox.database.tables import Table
from kafinea_sandbox.errors import ApiError, Fatal, denied
from kafinea_sandbox.instance.call import Call
from kafinea_sandbox.query.grammar import Condition, Query, Value
from kafinea_sandbox.query.statement import Statement

_PAGE = 100


def sync(call: Call) -> dict[str, Any]:
    """One page: the rows up to the 100th change and all that share its second."""
    since = call.params.get("modifiedTime", "")
    if not since.isdigit() or "elementType" not in call.params:
        raise Fatal(
            "TypeError: date(): Argument #2 ($timestamp) must be of type ?int, string given"
        )
    table = call.instance.tables.get(call.params["elementType"])
    if table is None or not table.module.is_entity:
        raise denied()
    kind = call.params.get("syncType", "user").lower()
    if kind == "application" and not call.user.is_admin:
        raise ApiError("ACCESS_DENIED", "Only admin users can perform application sync")
    if table.is_actor or table.modified is None:
        return {"updated": [], "deleted": [], "more": False, "lastModifiedTime": since}
    owner = None if kind == "application" else call.user.number
    return _page(call, table, int(since), owner)


def _page(call: Call, table: Table, since: int, owner: int | None) -> dict[str, Any]:
    clock, store = call.instance.clock, call.instance.store
    newer = f'"{table.modified}" > ?'
    params: list[Any] = [clock.text(since)]
    if owner is not None:
        newer += " AND assigned_user_id = ?"
        params.append(owner)
    times = f'SELECT "{table.modified}" FROM "{table.name}" WHERE {newer} ORDER BY 1 LIMIT {_PAGE}'
    page = store.rows(times, params)
    if not page:
        return {"updated": [], "deleted": [], "more": False, "lastModifiedTime": since}
    last = page[-1][0]
    numbers = store.rows(
        f'SELECT _number, _deleted FROM "{table.name}" WHERE {newer} AND "{table.modified}" <= ?'
        f' ORDER BY "{table.modified}", _number',
        [*params, last],
    )
    newest = store.value(
        f'SELECT max("{table.modified}") FROM "{table.name}" WHERE {newer}', params
    )
    return {
        "updated": _rows(call, table, [number for number, deleted in numbers if not deleted]),
        "deleted": [table.wire_id(number) for number, deleted in numbers if deleted],
        "more": newest > last,
        "lastModifiedTime": clock.unix(last),
    }


def _rows(call: Call, table: Table, numbers: list[int]) -> list[dict[str, Any]]:
    if not numbers:
        return []
    ids = tuple(Value(table.wire_id(number), quoted=True) for number in numbers)
    query = Query(table.name, conditions=(Condition("id", "IN", ids),))
    statement = Statement(call.instance, call.user, table, query)
    statement.most = len(numbers) + 1  # a page of sync may be longer than one of query
    return statement.rows()
