"""Documents with files, put into a sandbox behind the API's back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kafinea_sandbox import Sandbox
from kafinea_sandbox.records import stored

Told = tuple[str, bytes]
"""A file: its name and its contents."""


def add_document(
    sandbox: Sandbox, *files: Told, modifiedtime: str | None = None, **values: Any
) -> str:
    """Insert a document with files; it says of itself what its last file is."""
    said: dict[str, Any] = {"notes_title": "A document", "filelocationtype": "I"}
    if files:
        name, content = files[-1]
        said |= {"filename": name, "filetype": "x/y", "filesize": str(len(content))}
    document = sandbox.insert("Documents", said | values, modifiedtime)
    for file in files:
        add_file(sandbox, document, file)
    return document


def add_file(sandbox: Sandbox, parent: str, file: Told) -> str:
    """Give a record one more file, and tell the id of it."""
    name, content = file
    table, number = sandbox.instance.table_of(parent)
    own = stored.next_number(sandbox.instance, table)
    sandbox.sql("INSERT INTO _file VALUES (?, ?, ?, 'x/y', ?)", (own, number, name, content))
    return table.wire_id(own)


def stored_files(sandbox: Sandbox, module: str = "Documents") -> list[dict[str, Any]]:
    """The files of the living records of a module, in their order."""
    table = sandbox.instance.tables[module]
    found = sandbox.sql(
        "SELECT f._number, f.parent, f.name, f.content FROM _file f JOIN _entity e"
        " ON e._number = f.parent AND e._deleted = 0 WHERE e.module = ?"
        " ORDER BY f.parent, f._number",
        (module,),
    )
    return [
        {
            "id": table.wire_id(row["_number"]),
            "parent": table.wire_id(row["parent"]),
            "name": row["name"],
            "content": row["content"],
        }
        for row in found
    ]


def contents(files: Sequence[dict[str, Any]]) -> dict[str, bytes]:
    """The contents of files by their ids."""
    return {file["id"]: file["content"] for file in files}
