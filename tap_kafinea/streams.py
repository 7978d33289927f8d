"""A module of Kafinea as a Singer stream."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, cast

from singer_sdk.helpers.conform import TypeConformanceLevel
from singer_sdk.singerlib import RecordMessage
from singer_sdk.singerlib.catalog import REPLICATION_INCREMENTAL, Catalog, Metadata
from typing_extensions import override

from kafinea.describe import HEADER_DISCOUNTS, LINES, MODIFIED, SECRET_FIELDS, only_retrieved
from kafinea.errors import IncompleteRead, KafineaError
from kafinea.extract.discounts import are_queryable
from kafinea.extract.line_items import Documents, can_be_queried
from kafinea.extract.passes import Pass, PassPlanner, now, of_instance, restart
from kafinea.extract.prepared_pass import PreparedPass, emptied
from kafinea.extract.undated import undated_ids
from kafinea.extract.unreadable import Unreadable
from kafinea.module_reader import ModuleReader, newest
from kafinea.page_query import PAGE_SIZE, Page
from kafinea.progress import Progress
from kafinea.query import Condition
from kafinea.recovery import Recovery
from kafinea.values import RowDecoder, ValueType
from tap_kafinea.catalogs import WrongEntry, replication
from tap_kafinea.clock import ZONE
from tap_kafinea.discovery import NEW_CATALOG
from tap_kafinea.failing import FailingAlone
from tap_kafinea.schema import kinds_of, kinds_of_lines
from tap_kafinea.writing import Extracted

if TYPE_CHECKING:
    from tap_kafinea.line_table import LineTable
    from tap_kafinea.tap import TapKafinea

Note = Callable[[Page], None]

FOLLOWED = "followed"
"""In the state of a table of lines: whether all that was read of its documents was for it too."""


class ModuleStream(FailingAlone):
    """The records of one module, in the order of their ids.

    Incremental by `modifiedtime` where the module has it; else read whole each time.
    """

    # Values are typed once, by codecs made for the module. The SDK's own conversion would read
    # the text "0" as true and take two thirds of the time.
    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE
    # Of 10,000, the SDK's default, too much would be read again after a kill.
    STATE_MSG_FREQUENCY = 1000

    key: ClassVar[tuple[str, ...]] = ("id",)
    bookmarked_by: ClassVar[str | None] = MODIFIED
    """The replication key of an incremental stream."""
    columns: ClassVar[Sequence[str]] = ()
    """What to ask for instead of the selected fields."""
    has_versions: ClassVar[bool] = True
    """Whether a loader may drop the rows that a complete reading did not bring."""

    def __init__(self, tap: TapKafinea, name: str, schema: dict[str, Any]) -> None:
        super().__init__(tap, name, schema)
        self.module = name
        self._zone = tap.zone
        self._start, self._end = tap.moment("start_date"), tap.moment("end_date")
        self._wrong_entry: WrongEntry | None = None
        self._gone: set[str] = set()
        self._undated = 0
        self.primary_keys = list(self.key)
        if MODIFIED in schema["properties"]:
            self.replication_key = MODIFIED

    @cached_property
    def plan(self) -> PassPlanner:
        """Decides what to read next."""
        # The SDK loads the state after it has made the streams.
        table, state = self._table, self.stream_state
        if table and not table.has_followed and restart(state):
            text = "%s is read from the beginning, for %s does not have all its lines."
            self.logger.info(text, self.name, table.name)
        state = of_instance(self.stream_state, self._tap_kafinea.address)
        if self.bookmarked_by:
            state[ZONE] = self._tap_kafinea.clock.name
        return PassPlanner(
            state,
            zone=self._zone,
            lookback=self.config["lookback_seconds"],
            start=self._start,
            end=self._end,
        )

    @cached_property
    def _table(self) -> LineTable | None:
        """The table of the lines of these records, if one is to be written."""
        table = self._tap_kafinea.streams.get(self.name + LINES)
        return cast("LineTable", table) if table and table.selected else None

    @cached_property
    def _recovery(self) -> Recovery:
        return Recovery(self._kafinea, self.module)

    @cached_property
    def _unreadable(self) -> Unreadable:
        return Unreadable(self.plan.state, self._recovery.failed)

    @override
    def get_records(self, context: Mapping[str, Any] | None) -> Iterable[dict[str, Any]]:
        return self._passes()

    @override
    def why(self, error: Exception) -> Exception | None:
        is_module = self.name == self.module
        return self._tap_kafinea.modules.why(self.module, error) if is_module else error

    @override
    def first(self) -> dict[str, Any] | None:
        opening = self.open(self.plan)
        page = next(iter(opening.reading), None) if opening else None
        row = next(iter(self._rows_of(opening, page)), None) if opening and page else None
        for bad in self._recovery.failed:
            raise IncompleteRead(f"{bad.id}: {bad.reason}")
        return row

    def _rows_of(self, opening: PreparedPass, page: Page) -> Iterable[dict[str, Any]]:
        """Return what the stream makes of a page. `_records` does it for all, and keeps account."""
        return opening.type(page)

    def open(self, plan: PassPlanner) -> PreparedPass | None:
        """Return what there is to read next, if anything; at the cost of a request at most."""
        if self._wrong_entry:
            raise self._wrong_entry
        if self.replication_method != REPLICATION_INCREMENTAL:
            return self._opening(plan.whole())
        unfinished = plan.unfinished()
        if unfinished and unfinished.until is not None:
            return self._opening(unfinished, is_resumed=True)
        following = plan.next(self._newest)
        return self._opening(following) if following else None

    def _opening(
        self, current: Pass, *, is_resumed: bool = False, ids: Sequence[str] = ()
    ) -> PreparedPass:
        began = now()
        decode = RowDecoder(self._selected_kinds(), self._zone)
        lines = self._kinds_of_selected_lines()
        decode_line = RowDecoder(lines, self._zone) if lines else None
        documents = self._documents(decode.columns, list(lines))
        columns = self.columns or (documents.columns if documents else decode.columns)
        columns = [name for name in columns if name not in self._gone]
        reading = ModuleReader(
            self._kafinea,
            self.module,
            columns,
            [Condition("id", "IN", ids)] if ids else current.conditions,
            after=current.last_id,
            page_size=self.config["page_size"],
            sessions=self._kafinea.max_sessions,
            complete=documents.complete if documents else None,
            complete_at_once=documents.at_once if documents else 1,
            recovery=self._recovery,
        )
        return PreparedPass(
            *(current, reading, columns, decode, decode_line, documents, began, is_resumed)
        )

    def _documents(self, fields: list[str], lines: list[str]) -> Documents | None:
        """Return what completes the records, if a query does not give all that is selected."""
        costly = only_retrieved(fields)
        if can_be_queried(lines) and costly and costly <= HEADER_DISCOUNTS:
            costly = frozenset() if self._gives_discounts else costly
        if not lines and not costly:
            return None
        page_size = self.config["page_size"]
        return Documents(
            self._kafinea, self.module, fields, costly, lines, page_size, self._recovery
        )

    @cached_property
    def _gives_discounts(self) -> bool:
        """Whether a query gives the discounts of headers; found out once in a run."""
        names = only_retrieved(self._selected_kinds())
        return are_queryable(self._kafinea, self.module, names)

    def _passes(self) -> Iterator[dict[str, Any]]:
        opening = self._tap_kafinea.prefetch.opening(self)
        with self._watched() as note:
            while opening:
                yield from self._read(opening, note)
                opening = self.open(self.plan) if opening.is_resumed else None
            yield from self._read_ids(self._unreadable.to_ask_again, note)
        self._report_undated()
        self._unreadable.check()

    def _watched(self) -> AbstractContextManager[Note]:
        """Return what finds the module's deletions, when they are asked for, and notes its ids."""
        scans = self._tap_kafinea.scans if type(self) is ModuleStream else None
        return scans.watch(self.name) if scans else nullcontext(lambda _: None)

    def _read(self, opening: PreparedPass, note: Note) -> Iterator[dict[str, Any]]:
        """Yield the typed records of a pass, and complete it."""
        is_whole = opening.current.until is None
        self._stream_version = self.plan.new_version() if is_whole and self.has_versions else None
        self.plan.begin(opening.current)
        self._follow()
        opening.reading.begin()
        with Progress(self.name, opening.reading.total, self.logger) as progress:
            yield from self._records(opening, note, progress)
        if opening.current.undated:
            page_size = self.config["page_size"]
            undated = undated_ids(self._kafinea, self.module, page_size, self._recovery)
            yield from self._read_ids(undated, note)
        self._unreadable.keep()
        self._report_values(opening)
        if self._stream_version and self._is_proven(opening):
            self._write_activate_version_message(self._stream_version)
            if self._table and not self._recovery.failed:
                self._table.activate(self._stream_version)
        self.plan.complete(opening.current, opening.began)

    def _follow(self) -> None:
        """Take note whether the lines of what is read now are written to their table."""
        of_lines = self.tap_state.get("bookmarks", {}).get(self.name + LINES)
        if self._table:
            self._table.follow()
        elif of_lines:
            of_lines[FOLLOWED] = False

    def _read_ids(self, ids: Sequence[str], note: Note) -> Iterator[dict[str, Any]]:
        """Yield the typed records with these ids, which belong to no pass."""
        if ids:
            self._follow()
        for start in range(0, len(ids), PAGE_SIZE):
            some = ids[start : start + PAGE_SIZE]
            opening = self._opening(Pass(), ids=some)
            opening.reading.begin()
            with Progress(self.name, opening.reading.total, self.logger) as progress:
                yield from self._records(opening, note, progress)
            self._unreadable.settle(some)  # those that did not come are not there any more
            self._report_values(opening)

    def _report_values(self, opening: PreparedPass) -> None:
        self._report_misfits(self.name, opening.decode)
        if opening.decode_line:
            self._report_misfits(f"{self.name}.{LINES}", opening.decode_line)

    def _report_undated(self) -> None:
        if self._undated:
            self.logger.warning(
                "%s: records without a modifiedtime, as an import into the database leaves them: "
                "%s. They are extracted now; an incremental run extracts such a record when "
                "somebody has saved it.",
                self.name,
                f"{self._undated:,}",
            )

    def _records(
        self, opening: PreparedPass, note: Note, progress: Progress
    ) -> Iterator[dict[str, Any]]:
        if self._table:
            self._table.begin(self._stream_version)
        for page in self._pages(opening, note):
            if opening.documents:
                opening.documents.report(opening.reading.total)
            count = len(page)
            if opening.current.since is None:
                self._undated += sum(one.get(MODIFIED, "") is None for one in page)
            for record in emptied(self._with_all_fields(opening, page)):
                if self._table:
                    self._table.write(record)
                yield record
            progress.advance(count)

    def _pages(self, opening: PreparedPass, note: Note) -> Iterator[Page]:
        """Yield the pages of a pass, ready; what could not be read is kept before it moves on."""
        for pages in _gathered(opening.reading, self._at_once):
            for page in pages:
                note(page)
            self._unreadable.keep()
            came = [one for page in pages for one in self._unreadable.among(page)]
            self._get_ready(opening, pages)
            yield from pages
            self._unreadable.settle(came)

    @property
    def _at_once(self) -> int:
        """How many records to have before the first is written."""
        return PAGE_SIZE if self._table else 1

    def _get_ready(self, opening: PreparedPass, pages: list[Page]) -> None:
        """Type pages that are about to be used, in place."""
        for page in pages:
            opening.type(page)
        if self._table:
            self._table.expect(pages)

    def _with_all_fields(self, opening: PreparedPass, page: Page) -> Page:
        """Add nulls to a page for the fields that the server does not give any more."""
        fields = opening.decode.columns
        # What a query gives is the same for all; what is retrieved is one by one.
        absent = [name for name in fields if name not in page[0]]
        asked = set() if self._recovery.has_failed(page[0]["id"]) else {*opening.columns}
        unknown = {*absent} & asked - opening.reading.refused - self._gone
        if unknown:
            self.logger.warning(
                "%s: these fields are null, for the server does not give them: %s. Either they "
                "were removed, or this user may not read them.",
                self.name,
                ", ".join(sorted(unknown)),
            )
        self._gone |= {*absent} & asked
        for record in page if absent else ():
            record.update(dict.fromkeys(name for name in absent if name not in record))
        return page

    def _is_proven(self, opening: PreparedPass) -> bool:
        """Whether all records came, so that a loader may drop the rows that did not."""
        if opening.current.last_id:
            self.logger.info(
                "%s: an earlier run read its first part, so loaders keep the rows that vanished "
                "until the next complete run.",
                self.name,
            )
        elif opening.reading.unreadable or self._recovery.has_lost:
            self.logger.warning(
                "%s: not all records could be read, so loaders keep the rows that vanished.",
                self.name,
            )
        else:
            return True
        return False

    def _newest(self, conditions: list[Condition]) -> str | None:
        query = self._kafinea.query
        try:
            found = newest(query, self.module, conditions)
        except IncompleteRead as error:
            # If the same query gives nothing of the whole module either, it is the query that
            # fails, and this raises again.
            newest(query, self.module)
            self.logger.warning("%s", error)
            return None
        if found:
            self._tap_kafinea.clock.check(self.name, found)
        return found

    def _selected_kinds(self) -> dict[str, ValueType]:
        """Return the fields to ask for and their kinds: `id`, and what the catalog selects."""
        return {
            name: kind
            for name, kind in kinds_of(self.effective_schema).items()
            if name not in SECRET_FIELDS and (name == "id" or self.mask["properties", name])
        }

    def _kinds_of_selected_lines(self) -> dict[str, ValueType]:
        if self._table:
            return self._table.kinds_of_lines
        return kinds_of_lines(self.effective_schema) if self.mask["properties", LINES] else {}

    def _report_misfits(self, where: str, decode: RowDecoder) -> None:
        for name, count in decode.misfits.items():
            record_id, shape = decode.examples[name]
            self.logger.warning(
                "%s.%s: %s values do not fit the field's type and are null; the first is in "
                "record %s and looks like %r.",
                where,
                name,
                f"{count:,}",
                record_id,
                shape,
            )

    @override
    def apply_catalog(self, catalog: Catalog) -> None:
        super().apply_catalog(catalog)
        if self.bookmarked_by and (entry := catalog.get_stream(self.name)):
            has_key = self.bookmarked_by in self.schema["properties"]
            try:
                how = replication(entry, self.bookmarked_by, has_key=has_key)
                self.forced_replication_method, self.replication_key = how
            except WrongEntry as error:
                self._wrong_entry, self.replication_key = error, None
        if missing := [name for name in self.key if name not in self.schema["properties"]]:
            text = f"Its schema in the catalog has no `{missing[0]}`. {NEW_CATALOG}"
            self._wrong_entry = WrongEntry(text)
        # Whatever a catalog says: a record without its id is of no use to anyone.
        for name in self.key:
            self.metadata[("properties", name)] = Metadata(
                inclusion=Metadata.InclusionType.AUTOMATIC
            )
        if self.config["line_items"] == "off":
            never = Metadata(inclusion=Metadata.InclusionType.UNSUPPORTED)
            self.metadata[("properties", LINES)] = never

    @override
    def _increment_stream_state(
        self, latest_record: dict[str, Any], *, context: Mapping[str, Any] | None = None
    ) -> None:
        # The SDK would keep the greatest modifiedtime and call the stream not resumable. It calls
        # this behind each record it has written, and only this.
        self.plan.advance(latest_record["id"])

    @override
    def generate_child_contexts(
        self, record: Mapping[str, Any], context: Mapping[str, Any] | None
    ) -> Iterable[None]:
        """Return none: there are no child streams."""
        return ()

    @override
    def _generate_record_messages(
        self, record: dict[str, Any]
    ) -> Generator[RecordMessage, None, None]:
        # The SDK would first look up each property of each record in the selection. What comes
        # from `get_records` holds only what is selected, and is typed.
        for stream_map in self.stream_maps:
            mapped = stream_map.transform(record)
            if mapped is not None:
                yield Extracted(stream_map.stream_alias, mapped, self._stream_version)

    @override
    def get_replication_key_signpost(self, context: Mapping[str, Any] | None = None) -> None:
        """Return none: the bookmark comes from the server (see `passes`)."""


def _gathered(pages: Iterable[Page], records: int) -> Iterator[list[Page]]:
    """Yield pages, so many at a time that they hold a number of records."""
    some: list[Page] = []
    try:
        for page in pages:
            some.append(page)
            if sum(map(len, some)) >= records:
                yield some
                some = []
    except KafineaError:
        if some:
            yield some  # what came before it failed counts
        raise
    if some:
        yield some
