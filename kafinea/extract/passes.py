"""Passes: which records to read next, and where the bookmark goes.

A pass reads the records whose `modifiedtime` lies between two moments, in the order of their ids.
Its upper end is the newest `modifiedtime` the server has when the pass begins, not a clock's time:
so it is never in the server's future, and needs no time zone. A record that changes meanwhile
leaves the pass, and the next pass finds it.

The first pass, where no `start_date` or `end_date` bounds it, is over all records, without a
condition: no comparison selects those whose `modifiedtime` is NULL (measured on vtiger 6).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from kafinea.describe import MODIFIED
from kafinea.extract.checkpoint import Checkpoint, Pass
from kafinea.module_reader import LATEST
from kafinea.parsing import moment
from kafinea.query import Condition
from kafinea.values import ServerZone

Newest = Callable[[list[Condition]], str | None]
"""Returns the newest `modifiedtime` among the records that meet conditions, as the server writes it
(see `module_reader.newest`)."""


@dataclass(frozen=True)
class PassPlanner:
    """Decides on a stream's passes, and moves its bookmark.

    Args:
        zone: The server's time zone.
        future: Returns from when on a record is dated in the server's future.
        lookback: Seconds to read again before the bookmark.
        start: Only records modified since, as long as there is no bookmark.
        end: Only records modified before.
    """

    zone: ServerZone
    future: Callable[[], datetime]
    lookback: float = 0
    start: datetime | None = None
    end: datetime | None = None

    def next(self, checkpoint: Checkpoint, newest: Newest) -> Pass | None:
        """Return the next incremental pass, or None when there is nothing to read.

        | bookmark | up to date | newest | the pass: since .. until |
        |---|---|---|---|
        | none | | none, no record | no pass |
        | none | | any | all records; `start` .. newest with `start` or `end` |
        | B | no | N | B - `lookback` .. N, also where N is B |
        | B | yes | B or none | no pass |
        | B | yes | N after B | B - `lookback` .. N |
        | any | any | N in the future | as above; the bookmark goes to the newest that is not |
        | B at or after `end` | | | no pass |

        Args:
            checkpoint: Where the stream stands.
            newest: Looks up the newest `modifiedtime`; the server is asked once or twice.
        """
        bookmark, since = self._bookmark(checkpoint), self._window_start(checkpoint)
        is_up_to_date = bool(bookmark and checkpoint.is_up_to_date)
        before = self.zone.wire(self.end) if self.end else None
        if before and since and since >= before:
            return None
        upper = [Condition(MODIFIED, "<", before)] if before else []
        lower = bookmark if is_up_to_date else since
        until = newest([Condition(MODIFIED, ">=", lower), *upper] if lower else upper)
        if bookmark is None and not checkpoint.is_undated:
            return self._first(since, until, newest)
        if not until or (is_up_to_date and bookmark and until <= bookmark):
            return None
        return Pass(since, self._window_end(until), self._bookmark_after(until, newest))

    def whole(self, checkpoint: Checkpoint) -> Pass:
        """Return a pass over all records, or the rest of one that was not completed."""
        unfinished = checkpoint.current
        return unfinished if unfinished and unfinished.until is None else Pass()

    def complete(self, checkpoint: Checkpoint, current: Pass, began: datetime) -> Checkpoint:
        """Return the checkpoint after a pass that has read all it should.

        | the pass | the bookmark |
        |---|---|
        | over all records of a full reading (no `until`) | stays |
        | reached nothing, and there is none | none: all records are undated |
        | reached R after it | moves to R, seen now, not up to date |
        | reached it again, from the beginning, long enough after it was seen | up to date |
        | reached it again, too early, or in the hour that the clock shows twice | not up to date |
        | was resumed, or ended before the bookmark | stays as it is |

        Args:
            checkpoint: Where the stream stood.
            current: The pass.
            began: When it began, on this machine's clock.
        """
        checkpoint = replace(checkpoint, current=None)
        if current.until is None:
            return checkpoint
        bookmark = self._bookmark(checkpoint)
        reached = max(current.reached or "", bookmark or "")
        if not reached:
            return replace(checkpoint, is_undated=True)
        checkpoint = replace(checkpoint, is_undated=False)
        if reached != bookmark:
            return replace(
                checkpoint,
                bookmark=self.zone.aware(reached).isoformat(),
                wire=reached,
                seen_at=began.isoformat(),
                is_up_to_date=False,
            )
        if current.last_id is None and current.until >= reached:
            # Only what was read from its beginning, and up to the bookmark, was read late enough.
            seen_for = began - _seen_at(checkpoint, began)
            is_late_enough = seen_for >= timedelta(seconds=max(self.lookback, 1))
            is_up_to_date = is_late_enough and not self.zone.is_repeated(reached)
            return replace(checkpoint, is_up_to_date=is_up_to_date)
        return checkpoint

    def _first(self, since: str | None, until: str | None, newest: Newest) -> Pass | None:
        """Return the first pass, which brings the records without a `modifiedtime` as well.

        Not where it is bounded at both ends: of many such, each would bring them.
        """
        reached = self._bookmark_after(until, newest) if until else None
        end = self._window_end(until or "")
        if self.start and self.end:
            return Pass(since, end, reached) if until else None
        if self.start or self.end:
            return Pass(since, end, reached, undated=True)
        return None if until is None else Pass(until=end, reached=reached, everything=True)

    def _bookmark(self, checkpoint: Checkpoint) -> str | None:
        """Return the bookmark as the server writes it."""
        if checkpoint.bookmark is None:
            return None
        return checkpoint.wire or self.zone.wire(moment(checkpoint.bookmark))

    def _window_start(self, checkpoint: Checkpoint) -> str | None:
        if bookmark := self._bookmark(checkpoint):
            return self.zone.earlier(bookmark, self.lookback)
        return self.zone.wire(self.start) if self.start else None

    def _window_end(self, until: str) -> str:
        """Return the latest `modifiedtime` of a pass; empty for no end.

        Where the newest one cannot be read, how it compares is not known either. So its record is
        read in each run, as one that is dated in the future.
        """
        if until != LATEST:
            return until
        return self.zone.wire(self.end - timedelta(seconds=1)) if self.end else ""

    def _bookmark_after(self, until: str, newest: Newest) -> str | None:
        """Return where the bookmark goes.

        A record dated in the future must not hide what changes until then. It is read in each run;
        the bookmark goes to the newest of the others.
        """
        future = self.zone.wire(self.future())
        if until <= future:
            return until
        before = self.zone.wire(self.end) if self.end else future
        reached = newest([Condition(MODIFIED, "<", min(future, before))])
        return None if reached == LATEST else reached


def _seen_at(checkpoint: Checkpoint, otherwise: datetime) -> datetime:
    seen = moment(checkpoint.seen_at) if checkpoint.seen_at else otherwise
    return seen if seen.tzinfo else otherwise
