"""The server's table of operations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from kafinea_sandbox import documents, operations, relations
from kafinea_sandbox.describe import describe, listtypes
from kafinea_sandbox.instance import Call
from kafinea_sandbox.sessions import extendsession, getchallenge, login, logout
from kafinea_sandbox.sync import sync


class Operation(NamedTuple):
    """One entry of the server's table of operations."""

    run: Callable[[Call], Any]
    verb: str
    """GET or POST: where its parameters are looked for, whatever the request's own verb."""
    needs_session: bool = True


OPERATIONS: dict[str, Operation] = {
    "getchallenge": Operation(getchallenge, "GET", needs_session=False),
    "login": Operation(login, "POST", needs_session=False),
    "extendsession": Operation(extendsession, "GET", needs_session=False),
    "logout": Operation(logout, "POST"),
    "listtypes": Operation(listtypes, "GET"),
    "describe": Operation(describe, "GET"),
    "query": Operation(operations.query, "GET"),
    "retrieve": Operation(operations.retrieve, "GET"),
    "create": Operation(operations.create, "POST"),
    "update": Operation(operations.update, "POST"),
    "revise": Operation(operations.revise, "POST"),
    "delete": Operation(operations.delete, "POST"),
    "relatedtypes": Operation(relations.relatedtypes, "GET"),
    "query_related": Operation(relations.query_related, "GET"),
    "add_related": Operation(relations.add_related, "POST"),
    "files_retrieve": Operation(documents.files_retrieve, "GET"),
    "retrievedocattachment": Operation(documents.retrievedocattachment, "POST"),
    "fileupload": Operation(documents.file_upload, "POST"),
    "sync": Operation(sync, "GET"),
}
