"""The table of operations: where a new one is registered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from kafinea_sandbox.instance.call import Call
from kafinea_sandbox.operations import files, login, records, related
from kafinea_sandbox.operations.describe import describe, listtypes
from kafinea_sandbox.operations.sync import sync
from kafinea_sandbox.query.run import run


class Operation(NamedTuple):
    """One operation of the API."""

    run: Callable[[Call], Any]
    verb: str
    """GET or POST: where its parameters are read, regardless of the verb of the request."""
    needs_session: bool = True


def _query(call: Call) -> Any:
    return run(call, call.params.get("query", ""))


OPERATIONS: dict[str, Operation] = {
    "getchallenge": Operation(login.getchallenge, "GET", needs_session=False),
    "login": Operation(login.login, "POST", needs_session=False),
    "extendsession": Operation(login.extendsession, "GET", needs_session=False),
    "logout": Operation(login.logout, "POST"),
    "listtypes": Operation(listtypes, "GET"),
    "describe": Operation(describe, "GET"),
    "query": Operation(_query, "GET"),
    "retrieve": Operation(records.retrieve, "GET"),
    "create": Operation(records.create, "POST"),
    "update": Operation(records.update, "POST"),
    "revise": Operation(records.revise, "POST"),
    "delete": Operation(records.delete, "POST"),
    "relatedtypes": Operation(related.relatedtypes, "GET"),
    "query_related": Operation(related.query_related, "GET"),
    "add_related": Operation(related.add_related, "POST"),
    "files_retrieve": Operation(files.files_retrieve, "GET"),
    "retrievedocattachment": Operation(files.retrievedocattachment, "POST"),
    "fileupload": Operation(files.fileupload, "POST"),
    "sync": Operation(sync, "GET"),
}
"""By their names in lower case; `Instance.has` decides which of them a server has."""
