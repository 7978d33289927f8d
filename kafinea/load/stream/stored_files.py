"""Which files and links a record has on the server."""

from __future__ import annotations

import hashlib
from typing import Any

from kafinea.client import Client, Record
from kafinea.errors import Code, IncompleteRead, Refused, TooLarge
from kafinea.files import download
from kafinea.load.stream.record_files import RecordFile
from kafinea.page_query import number
from kafinea.parsing import is_id
from kafinea.query import Condition, select

DOCUMENTS = "Documents"


def attachments(record: Record) -> list[str]:
    """Return the ids of the files of a record."""
    ids = str(record.get("imageattachmentids") or "").split(",")
    return [text for each in ids if is_id(text := each.strip())]


def attached(record: Record) -> str | None:
    """Return what distinguishes the files of a record from others, as a plan shows it."""
    ids = ", ".join(attachments(record))
    return f"{record.get('filename') or 'file'} ({ids})" if ids else None


def has_file(session: Client, module: str, record: Record, file: RecordFile) -> bool:
    """Whether a record has this file: the same bytes, whatever the server calls them.

    Of a document the last file counts, of a product any.
    """
    ids = sorted(attachments(record), key=number)
    if module == DOCUMENTS:
        ids = ids[-1:]
    return any(_is_same(session, file_id, file) for file_id in ids)


def has_document(client: Client, source: str, document_id: str) -> bool:
    """Whether a document is among those of a record."""
    query = select(DOCUMENTS, ["id"], where=[Condition("id", "=", document_id)])
    return bool(client.query_related(source, DOCUMENTS, query))


def _is_same(session: Client, file_id: str, file: RecordFile) -> bool:
    digest: Any = _Digest()
    try:
        download(session, file_id, digest, max_bytes=file.size)
    except (TooLarge, IncompleteRead):
        return False
    except Refused as error:
        if (
            error.code != Code.RECORD_NOT_FOUND
        ):  # it may be the same: a second upload may duplicate it
            raise
        return False
    return bool(digest.hexdigest() == file.sha256)


class _Digest:
    """What is written here is digested and forgotten. It does what `download` needs."""

    def __init__(self) -> None:
        self.truncate()

    def seek(self, *_: int) -> int:
        return self._size

    def truncate(self) -> None:
        self._size = 0
        self._digest = hashlib.sha256()

    def write(self, piece: bytes) -> None:
        self._size += len(piece)
        self._digest.update(piece)

    def hexdigest(self) -> str:
        return self._digest.hexdigest()
