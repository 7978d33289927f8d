"""The files of documents: a stream that tells of them, and their contents."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Any

from singer_sdk.streams import Stream
from typing_extensions import override

from kafinea.client import Record
from kafinea.describe import MODIFIED, Module
from kafinea.errors import IncompleteRead
from kafinea.extract.downloads import Downloads, Fetched
from kafinea.extract.file_store import FileStore, Row
from kafinea.extract.prepared_pass import PreparedPass
from kafinea.module_reader import ModuleReader
from kafinea.page_query import PAGE_SIZE, Page
from kafinea.progress import Progress
from kafinea.query import Condition
from tap_kafinea.catalogs import WrongEntry
from tap_kafinea.streams import ModuleStream, Note

if TYPE_CHECKING:
    from tap_kafinea.tap import TapKafinea

NAME = "files"

_DOCUMENTS = "Documents"
_OWED = "owed"
_MOST_OWED = 1000

_TEXT = {"type": ["string", "null"]}
_SCHEMA = {
    "type": "object",
    "title": "Files of documents",
    "properties": {
        "id": {"type": "string", "description": "Id of the file; that of its document is another"},
        "document_id": {"type": "string", "description": "Id of the document"},
        "name": _TEXT,
        "mime_type": _TEXT,
        "size": {"type": ["integer", "null"], "description": "Bytes"},
        "sha256": _TEXT,
        "path": {**_TEXT, "description": "Where the contents are; null when they were not fetched"},
        MODIFIED: {**_TEXT, "format": "date-time", "description": "That of the document"},
    },
    "required": ["id"],
}


def discover(tap: TapKafinea, modules: Sequence[Module]) -> list[Stream]:
    """Return the streams that the settings ask for."""
    if not _settings(tap).get("enabled"):
        return []
    if not any(module.name == _DOCUMENTS for module in modules):
        tap.logger.warning("There are no files to extract without the module %s.", _DOCUMENTS)
        return []
    return [FilesStream(tap, _SCHEMA)]


def from_catalog(tap: TapKafinea, name: str, schema: Mapping[str, Any]) -> Stream | None:
    """Return the stream of a catalog entry, if it is one of these."""
    return FilesStream(tap, dict(schema)) if name == NAME else None


def _settings(tap: TapKafinea) -> Mapping[str, Any]:
    return tap.config.get("files") or {}


class FilesStream(ModuleStream):
    """The files of documents, in the order of the documents' ids.

    The contents of a file never change: who replaces it gives its document another one, with
    another id. So only the files of documents that have changed are looked at.
    """

    columns = ("*",)  # the ids of the files cannot be asked for by name
    STATE_MSG_FREQUENCY = 100

    def __init__(self, tap: TapKafinea, schema: dict[str, Any]) -> None:
        super().__init__(tap, NAME, schema)
        self.module = _DOCUMENTS
        self._met = Fetched()

    @cached_property
    def _downloads(self) -> Downloads:
        settings = _settings(self._tap_kafinea)
        if not settings.get("enabled"):
            raise WrongEntry(  # a matter of this stream alone
                f"The catalog selects the stream {self.name!r}, and `files.enabled` is off. "
                "Set it, or take the stream out of the catalog."
            )
        store = FileStore(settings.get("path") or NAME)
        return Downloads(
            self._kafinea, self._tap_kafinea.address, self._zone, store, settings.get("max_bytes")
        )

    @override
    def _passes(self) -> Iterator[Row]:
        yield from self._read_owed()
        yield from super()._passes()
        self._report()

    @override
    def _records(self, opening: PreparedPass, note: Note, progress: Progress) -> Iterator[Row]:
        def done(document_id: str) -> None:
            self.plan.advance(document_id)
            progress.advance(1)

        yield from self._files_of(self._pages(opening, note), done)

    @override
    def _is_proven(self, opening: PreparedPass) -> bool:
        # What could not be fetched has no row, and may have had one.
        return not self._met.missing and super()._is_proven(opening)

    def _read_owed(self) -> Iterator[Row]:
        """Yield the files that earlier runs could not fetch."""
        owed = list(self._owed)
        for start in range(0, len(owed), PAGE_SIZE):
            asked = owed[start : start + PAGE_SIZE]
            where = [Condition("id", "IN", list(asked))]
            there = ModuleReader(self._kafinea, _DOCUMENTS, self.columns, where)
            yield from self._files_of(there, asked.remove)
            for gone in asked:
                self._settle(gone, owed=False)

    def _files_of(
        self, pages: Iterable[list[Record]], done: Callable[[str], None]
    ) -> Iterator[Row]:
        """Yield the rows of the files of documents.

        Args:
            pages: The documents.
            done: Takes note of each document when its rows are written out.
        """
        for document, fetched in self._downloads.of(chain.from_iterable(pages)):
            yield from map(self._selected, fetched.rows)
            self._met.add(fetched)
            self._settle(document["id"], owed=fetched.owed)
            done(document["id"])

    @override
    def _get_ready(self, opening: PreparedPass, pages: list[Page]) -> None:
        """Do nothing: the schema is that of the files, and the documents are used as they came."""

    @override
    def _rows_of(self, opening: PreparedPass, page: Page) -> Iterator[Row]:
        for _, fetched in self._downloads.of(page):
            yield from map(self._selected, fetched.rows)

    def _selected(self, row: Row) -> Row:
        return {
            name: value
            for name, value in row.items()
            if name == "id" or self.mask["properties", name]
        }

    # What is owed

    @property
    def _owed(self) -> list[str]:
        """The ids of documents whose files could not be fetched, and perhaps can later."""
        owed: list[str] = self.plan.state.get(_OWED) or []
        return owed

    def _settle(self, document_id: str, *, owed: bool) -> None:
        others = [one for one in self._owed if one != document_id]
        if owed and len(others) >= _MOST_OWED:
            raise IncompleteRead(f"{len(others):,} documents were left out. {self._first_missing}")
        if owed:
            others.append(document_id)
        self.plan.state.pop(_OWED, None)
        if others:
            self.plan.state[_OWED] = others

    @property
    def _first_missing(self) -> str:
        return "The first file that was not fetched is {}: {}".format(*self._met.missing[0])

    def _report(self) -> None:
        """Say what was left, and fail when it was not left on purpose.

        Raises:
            IncompleteRead: Files are missing.
        """
        met = self._met
        if met.too_large:
            self.logger.warning(
                "%s: %s files are larger than `files.max_bytes` and were left in Kafinea. The "
                "first is %s.",
                self.name,
                f"{len(met.too_large):,}",
                met.too_large[0],
            )
        if met.missing:
            of = len(met.missing) + met.kept + len(met.too_large)
            raise IncompleteRead(
                f"{len(met.missing):,} of {of:,} files could not be fetched. {self._first_missing}"
            )

    @override
    def _increment_stream_state(
        self, latest_record: dict[str, Any], *, context: Mapping[str, Any] | None = None
    ) -> None:
        """Do nothing: a document may have several files, and the state tells of documents."""
