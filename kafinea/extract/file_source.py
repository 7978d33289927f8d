"""The ways in which servers give the files of documents.

Most give the ids of a document's files in a query of all its fields, and `files_retrieve` takes
such an id. coreBOS has no such ids: there, `retrievedocattachment` takes that of the document, and
a document has one file. Older servers have neither.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from io import BytesIO
from typing import BinaryIO

from kafinea import files
from kafinea.client import Client, Record
from kafinea.describe import MODIFIED
from kafinea.dividing import FAILURES_AT_FIRST
from kafinea.errors import NO_OPERATION, Code, Refused, TooLarge, Unavailable

ATTACHMENTS = "imageattachmentids"


class FileSource:
    """Finds out which way a server has, and fetches files. Threads may share it.

    Args:
        client: The instance.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._has_ids = False
        self._is_proven = self._is_by_document = False

    def ids(self, document: Record) -> Sequence[str]:
        """Return the ids of the files of a document.

        Raises:
            Refused: The document has a file, and the server does not give files.
        """
        if listed := document.get(ATTACHMENTS):
            self._has_ids = True
            return [text for each in str(listed).split(",") if (text := each.strip())]
        if not document.get("filename") or document.get("filelocationtype") != "I":
            return []
        # The document has a file. If others have ids, its own was never uploaded, or is lost.
        if not self._has_ids:
            self.prove(document["id"])
        return [document["id"]] if self._is_by_document else []

    def version(self, document: Record, file_id: str) -> Sequence[str]:
        """Return the fields of a document that change when its file does.

        A file with an id of its own never changes.
        """
        is_replaced = file_id == document["id"]
        return ("filename", "filesize", MODIFIED) if is_replaced else ("filename", "filesize")

    def fetch(self, file_id: str, into: BinaryIO, max_bytes: int | None) -> files.File:
        """Write the contents of a file into an open file, and return its name, type and size.

        Raises:
            Refused: There is no such file.
            TooLarge: It is larger; what was written is of no use.
            IncompleteRead: The contents do not have the size that the server reports.
        """
        if self._is_by_document:
            return files.download_of_document(self._client, file_id, into, max_bytes=max_bytes)
        file = files.download(self._client, file_id, into, max_bytes=max_bytes)
        self._is_proven = True
        return file

    def prove(self, document_id: str) -> None:
        """Find out which way the server has, if that is not known.

        Raises:
            Refused: It has none.
        """
        if self._is_proven:
            return
        client = self._client.giving_up_after(FAILURES_AT_FIRST)
        # A document is not a file. A server that has the operation answers that.
        if not _is_answered(files.download, client, document_id):
            self._is_by_document = _is_answered(files.download_of_document, client, document_id)
            if not self._is_by_document:
                raise Refused(
                    "This server offers no file downloads: it has neither the operation "
                    "files_retrieve nor retrievedocattachment. Set `files.enabled` to false.",
                    code=Code.UNKNOWN_OPERATION,
                )
        self._is_proven = True


def _is_answered(operation: Callable[..., files.File], client: Client, document_id: str) -> bool:
    """Whether the server has an operation.

    Raises:
        Unavailable: The server has no room for requests.
    """
    try:
        operation(client, document_id, BytesIO(), max_bytes=0)
    except Refused as error:
        return error.code not in NO_OPERATION
    except Unavailable as error:
        if error.busy or error.nothing_done:
            raise
        return False
    except TooLarge:
        return True
    return True
