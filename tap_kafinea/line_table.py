"""Lines of documents as a table: one row for each, keyed by its document and its place in it.

The rows are made of what the documents' own reading brings, so they cost no request. Only when the
documents themselves are not selected does the table read them.

A document that comes again brings all its lines, and their places take those of the lines before.
Where there are fewer than there were, the places behind are reported as deleted, by
`_sdc_deleted_at`: the version of a table would also drop the lines of documents that did not come.
For that it is known how many lines a document had at most. That is exact for those with the most
lines, which the state holds, and one number for all others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from singer_sdk.streams import Stream
from typing_extensions import override

from kafinea.client import Record
from kafinea.describe import LINE_MODULE, LINES, MODIFIED, Module
from kafinea.errors import Refused, WrongAnswer
from kafinea.extract.passes import PassPlanner, State, now
from kafinea.extract.prepared_pass import PreparedPass, emptied
from kafinea.page_query import PAGE_SIZE, Page, number
from kafinea.progress import Progress
from kafinea.values import ValueType
from tap_kafinea.schema import kinds_of, properties_of_lines, schema_of, with_lines
from tap_kafinea.states import MOST
from tap_kafinea.streams import FOLLOWED, ModuleStream, Note

if TYPE_CHECKING:
    from tap_kafinea.tap import TapKafinea

_DOCUMENT, _NUMBER, _DELETED = "document_id", "line_number", "_sdc_deleted_at"
_OWN = {
    _DOCUMENT: {"type": "string", "description": "Id of the document"},
    _NUMBER: {"type": "integer", "description": "Place of the line in its document, from 1"},
    MODIFIED: {
        "type": ["string", "null"],
        "format": "date-time",
        "description": "That of the document",
    },
    _DELETED: {
        "type": ["string", "null"],
        "format": "date-time",
        "description": "When the document was found to have no such line any more",
    },
}
_LONGER, _NEWEST = "longer", "newest"
_MOST_LONGER = 500
"""Documents whose number of lines is kept in the state, for each module."""


class Counts:
    """How many lines each document has had at most.

    Args:
        state: Where that is kept; changed in place.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        state.setdefault(MOST, 0)
        state.setdefault(_NEWEST, 0)
        self._longer: dict[str, int] = state.setdefault(_LONGER, {})

    def of(self, document_id: str) -> int:
        """Return how many lines a document may have had: none, if it is newer than all before."""
        if number(document_id) > self._state[_NEWEST]:
            return 0
        most: int = self._state[MOST]
        return self._longer.get(document_id, most)

    def expect(self, lines: Mapping[str, int]) -> dict[str, int]:
        """Take note of how many lines documents will have, and return how many they had."""
        before = {one: self.of(one) for one in lines}
        self._state[_NEWEST] = max([self._state[_NEWEST], *map(number, lines)])
        for one, count in lines.items():
            self.keep(one, max(count, before[one]))
        return before

    def keep(self, document_id: str, lines: int) -> None:
        """Take note of how many lines a document has."""
        self._longer.pop(document_id, None)
        if lines > self._state[MOST]:
            self._longer[document_id] = lines
        if len(self._longer) > _MOST_LONGER:
            self._raise_most()

    def _raise_most(self) -> None:
        """Forget the shorter half of those that are known each."""
        most = sorted(self._longer.values())[_MOST_LONGER // 2]
        self._state[MOST] = most
        for shorter in [one for one, lines in self._longer.items() if lines <= most]:
            del self._longer[shorter]


class LineTable(ModuleStream):
    """The lines of the documents of a module."""

    key = (_DOCUMENT, _NUMBER)

    def __init__(self, tap: TapKafinea, name: str, schema: dict[str, Any]) -> None:
        super().__init__(tap, name, schema)
        self.module = name.removesuffix(LINES)
        self._has_schema_written = False
        self._before: dict[str, int] = {}

    @property
    def kinds_of_lines(self) -> dict[str, ValueType]:
        """The fields of a line to ask for, and how to type them."""
        kinds = kinds_of(self.schema)
        return {name: kind for name, kind in kinds.items() if name not in _OWN}

    @property
    def has_followed(self) -> bool:
        """Whether all that was read of the documents, by their state, has brought its lines here.

        It has not when an earlier run read them without the table, or could not write a row.
        """
        return bool(self.stream_state.get(FOLLOWED))

    @cached_property
    def _counts(self) -> Counts:
        return Counts(self.stream_state)  # the SDK loads it after it has made the streams

    def follow(self) -> None:
        """Take note that the documents are read with their lines."""
        self.stream_state[FOLLOWED] = not self.failures

    @override
    def fail(self, error: Exception, of: str | None = None) -> None:
        # The documents are read on: their next reading must bring what is missing here.
        self.stream_state[FOLLOWED] = False
        super().fail(error, of)

    def begin(self, version: int | None) -> None:
        """Get ready to write the lines of a pass over the documents."""
        self._write_schema_message()
        self._stream_version = version

    def expect(self, pages: Iterable[Page]) -> None:
        """Write into the state how many lines pages of typed documents bring, before their rows.

        A run that is killed behind some of these rows leaves no other trace of them.
        """
        if self.failures:
            return
        documents = (one for page in pages for one in page if one[LINES] is not None)
        lines = {one["id"]: len(one[LINES]) for one in documents}
        self._before = self._counts.expect(lines)
        if any(count > self._before[one] for one, count in lines.items()):
            self.state_manager.is_flushed = False
            self._write_state_message()

    def write(self, document: Record) -> None:
        """Write the lines of a typed document, which loses them."""
        rows = self._rows(document, document.pop(LINES))
        if not self.failures:
            with self._alone():
                for row in rows:
                    self._write_record_message(row)

    def activate(self, version: int) -> None:
        """Tell loaders to drop the rows that this reading of all documents did not bring."""
        if not self.failures:
            self._write_activate_version_message(version)

    @override
    def _passes(self) -> Iterator[dict[str, Any]]:
        return iter(()) if self._is_fed else super()._passes()

    @override
    def open(self, plan: PassPlanner) -> PreparedPass | None:
        return None if self._is_fed else super().open(plan)

    @property
    def _is_fed(self) -> bool:
        """Whether the documents are read anyway."""
        documents = self._tap_kafinea.streams.get(self.module)
        return documents is not None and documents.selected

    @override
    def _records(
        self, opening: PreparedPass, note: Note, progress: Progress
    ) -> Iterator[dict[str, Any]]:
        self.begin(self._stream_version)
        for page in self._pages(opening, note):
            if opening.documents:
                opening.documents.report(opening.reading.total)
            count = len(page)
            for document in emptied(page):
                yield from self._rows(document, document.pop(LINES))
                self.plan.advance(document["id"])
            progress.advance(count)

    @property
    @override
    def _at_once(self) -> int:
        return PAGE_SIZE

    @override
    def _get_ready(self, opening: PreparedPass, pages: list[Page]) -> None:
        super()._get_ready(opening, pages)
        self.expect(pages)

    @override
    def _rows_of(self, opening: PreparedPass, page: Page) -> Iterable[dict[str, Any]]:
        self._before = dict.fromkeys((one["id"] for one in opening.type(page)), 0)
        for document in page:
            yield from self._rows(document, document.pop(LINES))

    def _rows(self, document: Record, lines: Page | None) -> Iterator[dict[str, Any]]:
        """Yield a row for each line of a document, and for each that it has no more."""
        if lines is None:
            return  # not known: the rows stay as they are
        before = self._before[document["id"]]
        own = {_DOCUMENT: document["id"], MODIFIED: document.get(MODIFIED)}
        empty: dict[str, Any] = dict.fromkeys(self.schema["properties"])
        rows = [
            empty | line | own | {_NUMBER: number} for number, line in enumerate(lines, start=1)
        ]
        gone = {_DELETED: now().isoformat()}
        rows += [
            empty | own | gone | {_NUMBER: number} for number in range(len(lines) + 1, before + 1)
        ]
        yield from map(self._selected, rows)
        self._counts.keep(document["id"], len(lines))

    def _selected(self, row: dict[str, Any]) -> dict[str, Any]:
        return {
            name: value
            for name, value in row.items()
            if name in self.key or self.mask["properties", name]
        }

    @override
    def _selected_kinds(self) -> dict[str, ValueType]:
        return {"id": ValueType.TEXT, MODIFIED: ValueType.DATETIME}

    @override
    def _kinds_of_selected_lines(self) -> dict[str, ValueType]:
        return self.kinds_of_lines

    @override
    def _write_schema_message(self) -> None:
        # The SDK writes it when it is this stream's turn, which may be behind its rows.
        if not self._has_schema_written:
            super()._write_schema_message()
        self._has_schema_written = True

    @override
    def _increment_stream_state(
        self, latest_record: dict[str, Any], *, context: Mapping[str, Any] | None = None
    ) -> None:
        """Do nothing: the state tells of documents."""


def discover(tap: TapKafinea, modules: Sequence[Module]) -> list[Stream]:
    """Return the streams of modules, their lines in them, beside them or left out."""
    setting, named = tap.config["line_items"], tap.config.get("modules") or []
    documents = [one for one in modules if one.is_inventory and setting != "off"]
    line = _line_module(tap, modules) if documents else None
    streams: list[Stream] = []
    for module in modules:
        schema = schema_of(module)
        if module in documents and setting == "embed":
            schema = with_lines(schema, module, line)
        streams.append(stream := ModuleStream(tap, module.name, schema))
        if module.name == LINE_MODULE and documents and LINE_MODULE not in named:
            # It has no `modifiedtime`: each run would read all lines, and documents bring theirs.
            stream.selected_by_default = False
        if module in documents and setting == "table":
            streams.append(LineTable(tap, module.name + LINES, _schema(module, line)))
    return streams


def from_catalog(tap: TapKafinea, name: str, schema: Mapping[str, Any]) -> Stream | None:
    """Return the stream of a catalog entry, if it is one of these."""
    return (
        LineTable(tap, name, dict(schema)) if _OWN.keys() <= schema["properties"].keys() else None
    )


def _schema(module: Module, line: Module | None) -> dict[str, Any]:
    return {
        "type": "object",
        "title": f"Lines of {module.label}",
        "properties": {**_OWN, **properties_of_lines(module, line)},
        "required": [_DOCUMENT, _NUMBER],
    }


def _line_module(tap: TapKafinea, modules: Sequence[Module]) -> Module | None:
    """Return the module of the lines; None where there is none, or not for this user."""
    described = next((one for one in modules if one.name == LINE_MODULE), None)
    try:
        return described or tap.client.describe(LINE_MODULE)
    except Refused:
        return None
    except WrongAnswer as error:
        tap.modules.missing[LINE_MODULE] = f"{LINE_MODULE} cannot be described: {error}"
        return None
