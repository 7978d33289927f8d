"""One extraction run of a stream: pass after pass, in batches with a checkpoint after each."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial

from kafinea.client import Client
from kafinea.errors import IncompleteRead, NoneGiven
from kafinea.extract.batch import Batch, Prepare, PreparedPass, RunSummary
from kafinea.extract.checkpoint import Checkpoint, Pass, now
from kafinea.extract.clock import Clock
from kafinea.extract.deletion_scan import DeletionDetector, TrackIds
from kafinea.extract.options import Options
from kafinea.extract.passes import PassPlanner
from kafinea.extract.rows import Content, Part, Row
from kafinea.extract.undated import undated_ids
from kafinea.extract.unreadable import Unreadable
from kafinea.module_reader import ModuleReader, newest
from kafinea.page_query import PAGE_SIZE, Page
from kafinea.progress import Progress
from kafinea.query import Condition
from kafinea.recovery import Recovery

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Source:
    """Which records a run reads.

    Attributes:
        client: The instance.
        module: The module of the records.
        name: The stream's name, for messages.
        clock: The server's time zone.
        options: How to extract.
        is_incremental: Whether to read what changed since the checkpoint, else all records.
        detector: Finds the deleted records of the module, if that is wanted.
    """

    client: Client
    module: str
    name: str
    clock: Clock
    options: Options
    is_incremental: bool
    detector: DeletionDetector | None = None


class ExtractionRun:
    """One run over the records of a module.

    Args:
        source: The records.
        make: Returns what the rows are, given what is known of records that cannot be read.
        checkpoint: Where the last run ended.

    Attributes:
        checkpoint: Where the stream stands, now that all batches so far are written.
        continues: Whether it leaves out rows that earlier runs have brought.

    Raises:
        StateError: The checkpoint is that of another instance.
    """

    def __init__(
        self, source: Source, make: Callable[[Recovery], Content], checkpoint: Checkpoint
    ) -> None:
        options = source.options
        self._source = source
        self._planner = PassPlanner(
            source.clock.zone,
            partial(source.clock.future, options.lookback),
            options.lookback,
            options.start,
            options.end,
        )
        self._recovery = Recovery(source.client, source.module)
        self._unreadable = Unreadable(checkpoint.unreadable, self._recovery.failed)
        self._content = make(self._recovery)
        self._version: int | None = None
        self._counted = self._received = self._hidden = 0
        self._began: float | None = None
        self._ended: float | None = None
        self.checkpoint = checkpoint.of_instance(source.client.url)
        self.continues = self._continues
        if self._content.has_times:
            self.checkpoint = replace(self.checkpoint, timezone=source.clock.name)

    @property
    def _continues(self) -> bool:
        known = self.checkpoint
        if not self._source.is_incremental:
            return self._planner.whole(known).last_id is not None
        has_rows = known.current and known.current.last_id
        return bool(known.bookmark or known.is_undated or has_rows)

    @property
    def has_failed(self) -> bool:
        """Whether some record could not be read whole."""
        return bool(self._recovery.failed)

    @property
    def summary(self) -> RunSummary:
        """What was done so far. Any thread may ask."""
        ended = time.monotonic() if self._ended is None else self._ended
        return RunSummary(
            counted=self._counted,
            received=self._received,
            unreadable=self._hidden + len({bad.id for bad in self._recovery.failed}),
            requests=self._source.client.requests.of(self._source.module),
            seconds=0 if self._began is None else ended - self._began,
        )

    def prepare(self) -> PreparedPass | None:
        """Return what there is to read next, if anything; at the cost of a request at most."""
        if not self._source.is_incremental:
            return self._prepared(self._planner.whole(self.checkpoint))
        unfinished = self.checkpoint.current
        if unfinished and unfinished.until is not None:
            return self._prepared(unfinished, is_resumed=True)
        following = self._planner.next(self.checkpoint, self._newest)
        return self._prepared(following) if following else None

    def first(self) -> Row | None:
        """Return the first row, if there is one.

        Raises:
            IncompleteRead: Its record cannot be read whole.
        """
        prepared = self.prepare()
        page = next(iter(prepared.reading), None) if prepared else None
        parts = prepared.rows.parts(prepared.reading, [page]) if prepared and page else ()
        row = next((row for part in parts for row in part.rows), None)
        for bad in self._recovery.failed:
            raise IncompleteRead(f"{bad.id}: {bad.reason}")
        return row

    def batches(self, prepare: Prepare | None = None) -> Iterator[Batch]:
        """Yield all that is to be read.

        Args:
            prepare: Returns the first pass, where that was prepared before.

        Raises:
            KafineaError: Not all could be read. What was yielded before is right.
        """
        self._began = time.monotonic()
        try:
            yield from self._batches(prepare or self.prepare)
        finally:
            self._ended = time.monotonic()

    def _batches(self, prepare: Prepare) -> Iterator[Batch]:
        prepared = prepare()
        with self._tracking() as track_ids:
            while prepared:
                yield from self._pass(prepared, track_ids)
                prepared = self.prepare() if prepared.is_resumed else None
            yield from self._records(self._unreadable.to_ask_again, track_ids)
        self._content.report()
        if self._unreadable.ids != self.checkpoint.unreadable:
            yield self._batch([])
        self._unreadable.check()

    def records(self, ids: Sequence[str]) -> Iterator[Batch]:
        """Yield the records with these ids. The checkpoint stays, but for what is unreadable.

        Raises:
            KafineaError: Not all could be read. What was yielded before is right.
        """
        yield from self._records(ids, lambda _: None)

    def _tracking(self) -> AbstractContextManager[TrackIds]:
        detector = self._source.detector
        return detector.scan(self._source.module) if detector else nullcontext(lambda _: None)

    def _pass(self, prepared: PreparedPass, track_ids: TrackIds) -> Iterator[Batch]:
        """Yield a pass, and complete it."""
        current = prepared.current
        self._version = None
        if current.until is None and self._content.has_versions:
            self.checkpoint = self.checkpoint.with_new_version()
            self._version = self.checkpoint.version
        self.checkpoint = replace(self.checkpoint, current=current)
        for part in self._parts(prepared, track_ids):
            before, self.checkpoint = self.checkpoint, self.checkpoint.after(part.ids[-1])
            yield replace(self._batch(part.rows), before=before, is_of_pass=True)
        if current.undated:
            yield from self._records(self._undated_ids(), track_ids)
        completes_version = self._version is not None and self._is_proven(prepared)
        self.checkpoint = self._planner.complete(self.checkpoint, current, prepared.began)
        yield self._batch([], completes_version=completes_version)

    def _records(self, ids: Sequence[str], track_ids: TrackIds) -> Iterator[Batch]:
        """Yield the records with these ids, which belong to no pass."""
        for start in range(0, len(ids), PAGE_SIZE):
            some = ids[start : start + PAGE_SIZE]
            for part in self._parts(self._prepared(Pass(), ids=some), track_ids):
                yield self._batch(part.rows)
            self._unreadable.settle(some)  # those that did not come are not there any more

    def _parts(self, prepared: PreparedPass, track_ids: TrackIds) -> Iterator[Part]:
        reading, rows = prepared.reading, prepared.rows
        reading.begin()
        self._counted += reading.total
        with Progress(self._source.name, reading.total, logger) as progress:
            for part in rows.parts(reading, _tracked(reading, track_ids)):
                if part.is_read:
                    self._unreadable.settle(part.ids)
                self._received += len(part.rows)
                yield part
                progress.advance(len(part.ids))
        self._hidden += reading.unreadable
        rows.report()

    def _batch(self, rows: list[Row], *, completes_version: bool = False) -> Batch:
        before = self.checkpoint
        self.checkpoint = replace(before, unreadable=self._unreadable.ids)
        return Batch(rows, self.checkpoint, before, self._version, completes_version)

    def _prepared(
        self, current: Pass, *, is_resumed: bool = False, ids: Sequence[str] = ()
    ) -> PreparedPass:
        began = now()
        rows = self._content.open(current)
        client = self._source.client
        reading = ModuleReader(
            client,
            self._source.module,
            rows.columns,
            [Condition("id", "IN", ids)] if ids else current.conditions,
            after=current.last_id,
            page_size=self._source.options.page_size,
            sessions=client.max_sessions,
            complete=rows.complete,
            complete_at_once=rows.complete_at_once,
            recovery=self._recovery,
        )
        return PreparedPass(current, reading, rows, began, is_resumed)

    def _undated_ids(self) -> list[str]:
        source = self._source
        page_size = source.options.page_size
        return undated_ids(source.client, source.module, page_size, self._recovery)

    def _newest(self, conditions: list[Condition]) -> str | None:
        query, module = self._source.client.query, self._source.module
        try:
            found = newest(query, module, conditions)
        except NoneGiven:
            if not conditions:
                raise
            found = self._newest_that_is_shown(conditions)
        if found:
            self._source.clock.check(self._source.name, found)
        return found

    def _newest_that_is_shown(self, conditions: list[Condition]) -> str | None:
        """Return the newest `modifiedtime`; None where this user may see none of the records.

        Raises:
            NoneGiven: The query gives nothing of the whole module either, so it is what fails.
        """
        query, module = self._source.client.query, self._source.module
        newest(query, module)
        try:
            return newest(query, module, conditions, tries=1)  # it may have failed for a while
        except NoneGiven as error:
            logger.warning("%s", error)
            return None

    def _is_proven(self, prepared: PreparedPass) -> bool:
        """Whether all records came, so that the rows of those that did not were deleted."""
        if not self._content.is_whole:
            return False
        if prepared.current.last_id:
            logger.info(
                "%s: an earlier run read its first part, so deleted rows are not removed before "
                "the next complete run.",
                self._source.name,
            )
        elif prepared.reading.unreadable or self._recovery.has_lost:
            logger.warning(
                "%s: not all records could be read, so deleted rows are not removed.",
                self._source.name,
            )
        else:
            return True
        return False


def _tracked(pages: Iterable[Page], track_ids: TrackIds) -> Iterator[Page]:
    for page in pages:
        track_ids(page)
        yield page
