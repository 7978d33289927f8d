"""Files of documents, and images of products: down and up."""

from __future__ import annotations

from dataclasses import dataclass
from io import SEEK_END
from typing import Any, BinaryIO

from kafinea.caller import Caller
from kafinea.contents import lift_into
from kafinea.errors import Code, IncompleteRead, Refused
from kafinea.parsing import is_id, mapping, number_in, text, whole, wrong


@dataclass(frozen=True)
class File:
    """What the server reports of a stored file. `size` is in bytes."""

    name: str
    mime_type: str
    size: int


def download(client: Caller, id: str, into: BinaryIO, *, max_bytes: int | None = None) -> File:
    """Write the contents of a stored file into an open one, by the operation `files_retrieve`.

    Args:
        client: The instance.
        id: The id of the file, which is not that of its document.
        into: An open file; it is emptied first, and again before another try.
        max_bytes: Leave a file that is larger.

    Raises:
        Refused: There is no such file.
        TooLarge: It is larger; what was written is of no use.
        IncompleteRead: The contents do not have the size that the server reports.
        WrongAnswer: The answer contains no file, or another file.
    """
    lift = lift_into(into, max_bytes)
    # With its id, for files take very different times.
    answer = client.call("GET", "files_retrieve", {"id": id}, of=id, lift=lift)
    described = answer[0] if isinstance(answer, list) and answer else answer
    if isinstance(described, dict) and _is_of_another(described.get("fileid"), id):
        raise wrong(f"files_retrieve of {id}", "such file")
    return _file(f"files_retrieve of {id}", described, "filecontents", into)


def download_of_document(
    client: Caller, document_id: str, into: BinaryIO, *, max_bytes: int | None = None
) -> File:
    """Write the file of a document into an open one, by the operation `retrievedocattachment`.

    Only coreBOS has this operation; it has no ids of files.

    Args:
        client: The instance.
        document_id: The id of the document.
        into: An open file; it is emptied first, and again before another try.
        max_bytes: Leave a file that is larger.

    Raises:
        Refused: There is no such document, or it has no file.
        TooLarge: It is larger; what was written is of no use.
        IncompleteRead: The contents do not have the size that the server reports.
    """
    operation = "retrievedocattachment"
    answer = client.call(
        "POST",
        operation,
        {"id": document_id, "returnfile": "1"},
        of=document_id,
        writes=False,
        lift=lift_into(into, max_bytes),
    )
    described = (mapping(answer) or {}).get(document_id)
    if not described:
        message = f"{operation} of {document_id}: the document has no file."
        raise Refused(message, code=Code.RECORD_NOT_FOUND)
    return _file(f"{operation} of {document_id}", described, "attachment", into)


def upload(
    client: Caller,
    parent_id: str,
    file_name: str,
    content: BinaryIO,
    *,
    attachment_type: str = "Attachment",
) -> Any:
    """Upload a file and link it to a document, or an image to a product.

    Args:
        client: The instance.
        parent_id: The id of the document or product.
        file_name: The file's name.
        content: The file, opened; it must be able to seek.
        attachment_type: `Attachment`, or `Image` for a product.

    Raises:
        OutcomeUnknown: The answer was lost; the file may be there.
        Refused: The server refused it.
    """
    parameters = {"parentId": parent_id, "attachmentType": attachment_type, "fileName": file_name}
    return client.write("FileUpload", parameters, upload=("fileContents", content))


def _is_of_another(reported: object, id: str) -> bool:
    """Whether an answer reports the id of another file: servers give its number alone."""
    number = whole(reported)
    return number is not None and is_id(id) and number != number_in(id)


def _file(label: str, described: Any, contents: str, into: BinaryIO) -> File:
    """Return what an answer reports of a file, whose contents are written already.

    Raises:
        WrongAnswer: It reports nothing.
        IncompleteRead: The contents are longer or shorter than reported.
    """
    reported = mapping(described) or {}
    name, size = text(reported.get("filename")), whole(reported.get("filesize"))
    if name is None or size is None or contents not in reported:
        raise wrong(label, "file")
    file = File(name, text(reported.get("filetype")) or "", size)
    if (received := into.seek(0, SEEK_END)) != file.size:
        raise IncompleteRead(
            f"{label}: {received:,} bytes of the file were received, not {file.size:,}."
        )
    return file
