"""`files_retrieve`, `retrievedocattachment` and `FileUpload`."""

from __future__ import annotations

import base64
import binascii
import mimetypes
from typing import Any

from kafinea_sandbox.errors import ApiError, Fatal
from kafinea_sandbox.instance.call import Call
from kafinea_sandbox.instance.instance import Instance
from kafinea_sandbox.records import files


def files_retrieve(call: Call) -> list[dict[str, Any]]:
    """A file by its id: the prefix of its module, and its own number."""
    prefix, _, number = call.params.get("id", "").partition("x")
    rows = call.instance.store.rows(
        "SELECT f.name, f.mime, f.content, e.module FROM _file f"
        " JOIN _entity e ON e._number = f.parent AND e._deleted = 0 WHERE f._number = ?",
        (number,),
    )
    owners = [call.instance.tables.get(module) for *_, module in rows]
    if not owners or owners[0] is None or owners[0].prefix != prefix:
        raise ApiError("RECORD_NOT_FOUND", "Record you are trying to access is not found")
    name, mime, content, _ = rows[0]
    return [
        {
            "fileid": number,
            "filename": name,
            "filetype": mime,
            "filesize": len(content),
            "filecontents": base64.b64encode(content).decode(),
        }
    ]


def retrievedocattachment(call: Call) -> dict[str, Any] | list[Any]:
    """The files of documents by their ids, as coreBOS gives them (RetrieveDocAttachment.php).

    A document that does not exist, or is neither a file nor a link, is left out. One whose file is
    missing has an empty list. An empty PHP map is a list.
    """
    table = call.instance.tables["Documents"]
    wanted = call.params.get("id", "").replace(f"{table.prefix}x", "").split(",")
    with_file = call.params.get("returnfile") == "1"
    answer = {}
    for number in (int(text) for text in wanted if text.isdecimal()):
        rows = call.instance.store.rows(
            "SELECT filelocationtype, filename, filetype FROM Documents"
            " WHERE _number = ? AND _deleted = 0 AND filelocationtype IN ('I', 'E')",
            (number,),
        )
        for place, name, mime in rows:
            stored = _stored(call.instance, number) if place == "I" else b""
            answer[table.wire_id(number)] = (
                []
                if stored is None
                else {
                    "recordid": str(number),
                    "filetype": mime,
                    "filename": name,
                    "filesize": len(stored),
                    "attachment": base64.b64encode(stored if with_file else b"").decode(),
                }
            )
    return answer or []


def _stored(instance: Instance, document: int) -> bytes | None:
    rows = instance.store.rows(
        "SELECT content FROM _file WHERE parent = ? ORDER BY _number DESC LIMIT 1", (document,)
    )
    return next((content for (content,) in rows), None)


def fileupload(call: Call) -> dict[str, str]:
    """Kafinea's own operation. Its documentation does not specify the answer."""
    table, number = call.record(call.params.get("parentId"))
    name = call.params.get("fileName", "")
    try:
        content = base64.b64decode(call.params.get("fileContents", ""), validate=True)
    except binascii.Error:
        raise Fatal("base64_decode") from None
    mime = mimetypes.guess_type(name)[0] or "application/octet-stream"
    files.attach(call.instance, table, number, (name, mime, content))
    return {"message": "successfull"}
