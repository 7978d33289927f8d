"""The files of documents as rows, and their contents in a store.

The contents of a file never change: who replaces it gives its document another one, with another
id. So only the files of documents that have changed are looked at, and those that are pending.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from itertools import chain
from logging import getLogger
from typing import ClassVar

from kafinea.client import Client
from kafinea.describe import MODIFIED
from kafinea.errors import IncompleteRead
from kafinea.extract.batch import Batch, Prepare, PreparedPass, RunSummary
from kafinea.extract.checkpoint import Checkpoint
from kafinea.extract.clock import Clock
from kafinea.extract.downloads import Downloads, Fetched
from kafinea.extract.file_store import FileStore
from kafinea.extract.options import Options
from kafinea.extract.rows import Part, Row
from kafinea.extract.run import ExtractionRun, Source
from kafinea.module_reader import ModuleReader
from kafinea.page_query import PAGE_SIZE, Page
from kafinea.query import Condition
from kafinea.values import ValueType

logger = getLogger(__name__)

DOCUMENTS = "Documents"
NAME = "files"
"""The stream's name."""
COLUMNS: Mapping[str, tuple[ValueType, str | None]] = {
    "id": (ValueType.TEXT, "Id of the file; that of its document is another"),
    "document_id": (ValueType.TEXT, "Id of the document"),
    "name": (ValueType.TEXT, None),
    "mime_type": (ValueType.TEXT, None),
    "size": (ValueType.INTEGER, "Bytes"),
    "sha256": (ValueType.TEXT, None),
    "path": (ValueType.TEXT, "Where the contents are stored; null if they were not downloaded"),
    MODIFIED: (ValueType.DATETIME, "That of the document"),
}
"""The columns of a row, what they hold, and what that is. The ids are never null."""

_MOST_PENDING = 1000


class FileRun:
    """One run over the files of documents, in the order of the documents' ids.

    Args:
        client: The instance.
        checkpoint: Where the last run ended.
        path: Where the contents go, a folder or an fsspec URL.
        max_bytes: Leave larger files in Kafinea; None for no limit.
        clock: The server's time zone.
        options: How to extract.
        is_incremental: Whether to look at changed documents only.
        name: The stream's name, for messages.

    Raises:
        StateError: The checkpoint is that of another instance.
    """

    def __init__(
        self,
        client: Client,
        checkpoint: Checkpoint,
        *,
        path: str,
        max_bytes: int | None,
        clock: Clock,
        options: Options,
        is_incremental: bool,
        name: str,
    ) -> None:
        self._client = client
        self._files = FileRows(client, path, max_bytes, clock, name, checkpoint.pending)
        source = Source(client, DOCUMENTS, name, clock, options, is_incremental)
        self._run = ExtractionRun(source, lambda _: self._files, checkpoint)
        self._pending_received = 0

    @property
    def checkpoint(self) -> Checkpoint:
        """Where the stream stands, now that all batches so far are written."""
        return replace(self._run.checkpoint, pending=self._files.pending)

    @property
    def continues(self) -> bool:
        """Whether it leaves out rows that earlier runs have brought."""
        return self._run.continues

    @property
    def has_failed(self) -> bool:
        """Whether some document could not be read whole, or some file not be downloaded."""
        return self._run.has_failed or not self._files.is_whole

    @property
    def summary(self) -> RunSummary:
        """What was done so far; the files of earlier runs are among what was received."""
        summary = self._run.summary
        return replace(summary, received=summary.received + self._pending_received)

    def prepare(self) -> PreparedPass | None:
        """Return what there is to read next, if anything; at the cost of a request at most."""
        return self._run.prepare()

    def first(self) -> Row | None:
        """Return the first row, if there is one."""
        return self._run.first()

    def batches(self, prepare: Prepare | None = None) -> Iterator[Batch]:
        """Yield the rows of the pending files, and of those of changed documents.

        Args:
            prepare: Returns the first pass, where that was prepared before.

        Raises:
            KafineaError: Not all could be read. What was yielded before is right.
        """
        for rows in self._files.rows_of_pending(self._client):
            self._pending_received += len(rows)
            yield Batch(rows, self.checkpoint, self.checkpoint)
        for batch in self._run.batches(prepare):
            yield replace(batch, checkpoint=self.checkpoint)
        self._files.check()


class FileRows:
    """The files of documents.

    Args:
        client: The instance.
        path: Where the contents go.
        max_bytes: Leave larger files in Kafinea.
        clock: The server's time zone.
        name: The stream's name, for messages.
        pending: The documents whose files earlier runs could not fetch.

    Attributes:
        pending: The documents whose files could not be fetched yet, and perhaps can later.
    """

    has_times: ClassVar[bool] = True
    has_versions: ClassVar[bool] = True
    columns = ("*",)  # the ids of the files cannot be requested by name
    complete = None
    complete_at_once = 1

    def __init__(
        self,
        client: Client,
        path: str,
        max_bytes: int | None,
        clock: Clock,
        name: str,
        pending: Iterable[str],
    ) -> None:
        self.pending = tuple(pending)
        self._client = client
        self._path = path
        self._max_bytes = max_bytes
        self._clock = clock
        self._name = name
        self._met = Fetched()

    @cached_property
    def _downloads(self) -> Downloads:
        client, store = self._client, FileStore(self._path)
        return Downloads(client, client.url, self._clock.zone, store, self._max_bytes)

    @property
    def is_whole(self) -> bool:
        """Whether all files could be fetched: what could not has no row, and may have had one."""
        return not self._met.missing

    def open(self, _: object) -> FileRows:
        """Return this: the documents are used as they came."""
        return self

    def parts(self, _: object, pages: Iterable[Page]) -> Iterator[Part]:
        """Yield the rows of the files of each document.

        Raises:
            IncompleteRead: Too many documents are pending.
        """
        for document, fetched in self._downloads.of(chain.from_iterable(pages)):
            self._met.add(fetched)
            self._settle(document["id"], is_pending=fetched.pending)
            yield Part(fetched.rows, [document["id"]])

    def rows_of_pending(self, client: Client) -> Iterator[list[Row]]:
        """Yield the rows of the files that earlier runs could not fetch, by document."""
        pending = self.pending
        for start in range(0, len(pending), PAGE_SIZE):
            asked = list(pending[start : start + PAGE_SIZE])
            there = ModuleReader(client, DOCUMENTS, self.columns, [Condition("id", "IN", asked)])
            absent = dict.fromkeys(asked)
            for part in self.parts(there, there):
                absent.pop(part.ids[0], None)
                yield part.rows
            for document_id in absent:
                self._settle(document_id, is_pending=False)
            yield []

    def report(self) -> None:
        """Do nothing: `check` reports the files of all readings."""

    def check(self) -> None:
        """Report what was left, and fail when it was not left on purpose.

        Raises:
            IncompleteRead: Files are missing.
        """
        met = self._met
        if met.too_large:
            logger.warning(
                "%s: %s files are larger than `files.max_bytes` and were not downloaded. The "
                "first is %s.",
                self._name,
                f"{len(met.too_large):,}",
                met.too_large[0],
            )
        if met.missing:
            count = len(met.missing) + met.kept + len(met.too_large)
            raise IncompleteRead(
                f"{len(met.missing):,} of {count:,} files could not be downloaded. "
                f"{self._first_missing}"
            )

    def _settle(self, document_id: str, *, is_pending: bool) -> None:
        if not (is_pending or self.pending):
            return
        others = tuple(known for known in self.pending if known != document_id)
        if is_pending and len(others) >= _MOST_PENDING:
            raise IncompleteRead(f"{len(others):,} documents were left out. {self._first_missing}")
        self.pending = (*others, document_id) if is_pending else others

    @property
    def _first_missing(self) -> str:
        return "The first missing file is {}: {}".format(*self._met.missing[0])
