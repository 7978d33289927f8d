"""Fetching the files of documents: several at a time, and handed over in their order."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from tempfile import SpooledTemporaryFile
from typing import Any, BinaryIO

from kafinea.client import Client, Record
from kafinea.describe import MODIFIED
from kafinea.errors import (
    NO_OPERATION,
    Code,
    IncompleteRead,
    Refused,
    StorageError,
    TooLarge,
    Unavailable,
)
from kafinea.extract.file_source import ATTACHMENTS, FileSource
from kafinea.extract.file_store import FileStore, Row
from kafinea.parsing import is_id, text, whole
from kafinea.row_decoder import RowDecoder
from kafinea.values import ServerZone, ValueType

_IN_MEMORY = 2**20  # bytes of a file on its way; what is larger goes through a temporary file


@dataclass
class Fetched:
    """The result of the downloads of one document.

    Attributes:
        rows: The rows of the files.
        kept: How many of them are where they should be.
        too_large: The ids of those that the settings leave in Kafinea.
        missing: The ids of those that the server does not give, and why.
        pending: Whether it is worth while to request those again in the next run.
    """

    rows: list[Row] = field(default_factory=list)
    kept: int = 0
    too_large: list[str] = field(default_factory=list)
    missing: list[tuple[str, str]] = field(default_factory=list)
    pending: bool = False

    def add(self, other: Fetched) -> None:
        """Add the result of other documents; their rows are not kept."""
        self.kept += other.kept
        self.too_large += other.too_large
        self.missing += other.missing


class Downloads:
    """Fetches the files of documents into a store.

    Args:
        client: The instance.
        url: Its address; files of another one are others, whatever their ids.
        zone: The server's time zone.
        store: Where the files go.
        largest: Leave files that have more bytes; None for no limit.
    """

    def __init__(
        self, client: Client, url: str, zone: ServerZone, store: FileStore, largest: int | None
    ) -> None:
        self._client = client
        self._url = url
        self._times = RowDecoder({MODIFIED: ValueType.DATETIME}, zone)
        self._store = store
        self._largest = largest
        self._source = FileSource(client)

    def of(self, documents: Iterable[Record]) -> Iterator[tuple[Record, Fetched]]:
        """Yield documents in their order, with the result of their downloads.

        Raises:
            Refused: The server gives no files.
            Unavailable: The server does not answer any more.
            StorageError: The store cannot be written.
        """
        sessions = self._client.max_sessions
        threads = ThreadPoolExecutor(sessions, thread_name_prefix="kafinea-files")
        begun: deque[tuple[Record, Future[Fetched] | None]] = deque()
        try:
            for document in documents:
                ids = self._source.ids(document)
                begun.append((document, threads.submit(self._all, document, ids) if ids else None))
                if len(begun) > 2 * sessions:
                    yield _ended(*begun.popleft())
            while begun:
                yield _ended(*begun.popleft())
        finally:
            threads.shutdown(wait=False, cancel_futures=True)

    def _all(self, document: Record, ids: Sequence[str]) -> Fetched:
        fetched = Fetched()
        for file_id in ids:
            if is_id(file_id):
                self._one(document, file_id, fetched, is_only=len(ids) == 1)
            else:
                fetched.missing.append((document["id"], f"{ATTACHMENTS} contains no id"))
        return fetched

    def _one(self, document: Record, file_id: str, fetched: Fetched, *, is_only: bool) -> None:
        """Fetch one file, unless it is there."""
        reported = _size(document) if is_only else None  # the size of one file
        row = {
            "id": file_id,
            "document_id": document["id"],
            "name": text(document.get("filename")) if is_only else None,
            "mime_type": text(document.get("filetype")) if is_only else None,
            "size": reported,
            "sha256": None,
            "path": None,
            **self._times(document),
        }
        try:
            self._refuse_if_too_large(reported)
            row |= self._kept(document, file_id)
            fetched.kept += 1
        except TooLarge as error:
            row["size"] = error.size
            fetched.too_large.append(file_id)
        except (Refused, Unavailable, IncompleteRead) as error:
            fetched.missing.append((file_id, str(error)))
            if self._may_come_later(error, document["id"]):
                fetched.pending = True
                return  # and not reported as missing before that is certain
        fetched.rows.append(row)

    def _refuse_if_too_large(self, reported: int | None) -> None:
        if self._largest is not None and reported is not None and reported > self._largest:
            raise TooLarge(reported)

    def _kept(self, document: Record, file_id: str) -> Row:
        """Return what a file is and where it was put, now or by an earlier run."""
        reported = {
            "url": self._url,
            "document_id": document["id"],
            **{name: document.get(name) for name in self._source.version(document, file_id)},
        }
        if known := self._store.known(file_id, reported):
            return known
        try:
            with SpooledTemporaryFile(_IN_MEMORY) as spool:
                return self._fetched(file_id, reported, spool)
        except OSError as error:  # those of the store are reported as its own
            raise StorageError(
                f"The file {file_id} cannot be written to the temporary folder: {error.strerror}. "
                "Set TMPDIR to a folder with more space."
            ) from None

    def _fetched(self, file_id: str, reported: Row, content: Any) -> Row:
        file = self._source.fetch(file_id, content, self._largest)
        row = {
            "id": file_id,
            "name": file.name,
            "mime_type": file.mime_type,
            "size": file.size,
            "sha256": _sha256(content),
        }
        return self._store.save(row, reported, content)

    def _may_come_later(
        self, error: Refused | Unavailable | IncompleteRead, document_id: str
    ) -> bool:
        """Whether the server may return a file later, because it does not report it as lost.

        Raises:
            Refused: The server gives no files at all.
            Unavailable: The server does not answer any more.
        """
        if isinstance(error, Unavailable):
            self._client.listtypes()
            self._source.prove(document_id)
        if isinstance(error, Refused):
            if error.code in NO_OPERATION:
                self._source.prove(document_id)  # says what to do
                raise error
            return error.code != Code.RECORD_NOT_FOUND
        return isinstance(error, Unavailable)


def _ended(document: Record, begun: Future[Fetched] | None) -> tuple[Record, Fetched]:
    return document, begun.result() if begun else Fetched()


def _size(document: Record) -> int | None:
    return whole(document.get("filesize"))


def _sha256(content: BinaryIO) -> str:
    digest = hashlib.sha256()
    content.seek(0)
    while piece := content.read(2**20):
        digest.update(piece)
    return digest.hexdigest()
