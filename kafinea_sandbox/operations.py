"""The operations: their names, the verb whose parameters they read, and what they do."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from kafinea_sandbox import records
from kafinea_sandbox.describe import describe, listtypes
from kafinea_sandbox.errors import QueryFails, denied
from kafinea_sandbox.grammar import parse
from kafinea_sandbox.instance import Call
from kafinea_sandbox.sessions import extendsession, getchallenge, login, logout
from kafinea_sandbox.vtql import Statement

_FROM = re.compile(r"from\s+([^\s;]+)", re.IGNORECASE)


class Operation(NamedTuple):
    """One entry of the server's table of operations."""

    run: Callable[[Call], Any]
    verb: str
    """GET or POST: where its parameters are looked for, whatever the request's own verb."""
    needs_session: bool = True


def query(call: Call) -> list[dict[str, Any]]:
    """Run a query; what the database refuses is an empty list, not an error."""
    return run_query(call, call.params.get("query", ""))


def run_query(call: Call, text: str) -> list[dict[str, Any]]:
    """The rows of a query text."""
    module = _FROM.search(text)
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
    return records.read(call.instance, table, number)


def create(call: Call) -> dict[str, Any]:
    """A new record, answered as `retrieve` would."""
    name = call.params.get("elementType")
    if not name:
        raise denied()
    table = call.table(name)
    number = records.add(call, table, records.element_of(call))
    return records.read(call.instance, table, number)


def update(call: Call) -> dict[str, Any]:
    """All mandatory fields must be there again."""
    return _change(call, "update")


def revise(call: Call) -> dict[str, Any]:
    """Only what is sent is looked at."""
    return _change(call, "revise")


def _change(call: Call, mode: records.Mode) -> dict[str, Any]:
    element = records.element_of(call)
    table, number = call.record(element.get("id"))
    records.change(call, table, number, element, mode)
    return records.read(call.instance, table, number)


def delete(call: Call) -> dict[str, Any]:
    """Remove a record."""
    table, number = call.record(call.params.get("id"))
    records.remove(call.instance, table, number)
    return {"status": "successful"}


OPERATIONS: dict[str, Operation] = {
    "getchallenge": Operation(getchallenge, "GET", needs_session=False),
    "login": Operation(login, "POST", needs_session=False),
    "extendsession": Operation(extendsession, "GET", needs_session=False),
    "logout": Operation(logout, "POST"),
    "listtypes": Operation(listtypes, "GET"),
    "describe": Operation(describe, "GET"),
    "query": Operation(query, "GET"),
    "retrieve": Operation(retrieve, "GET"),
    "create": Operation(create, "POST"),
    "update": Operation(update, "POST"),
    "revise": Operation(revise, "POST"),
    "delete": Operation(delete, "POST"),
}
