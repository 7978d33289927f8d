"""Passes: which records to read next, and what the state says of it.

A pass reads the records whose `modifiedtime` lies between two moments, in the order of their ids.
Its upper end is the newest `modifiedtime` the server has when the pass begins, not a clock's time:
so it is never in the server's future, and needs no time zone. A record that changes meanwhile
leaves the pass, and the next pass finds it.

The first pass, where no `start_date` or `end_date` bounds it, is over all records, without a
condition: no comparison selects those whose `modifiedtime` is NULL (API-FACTS, "6.x").

A stream's state holds:

- `replication_key_value`: the upper end of the last complete pass, with an offset;
- `wire`: the same as the server writes it, so that a changed `timezone` moves nothing;
- `seen_at`: when this machine first saw that value;
- `settled`: true when `lookback_seconds` have been read again late enough after that;
- `undated`: true when those without a `modifiedtime` were read, and there were no others;
- `version`: that of the rows of the last reading, where the module is read whole;
- `pass`: the pass under way and its last id; a run that was killed goes on from there;
- `unreadable`: the records that could not be read (see `unreadable`);
- `url`: the instance. Times and ids of another one would leave out records without a word.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from kafinea.answers import moment
from kafinea.describe import MODIFIED
from kafinea.errors import SettingsError
from kafinea.module_reader import EARLIEST, LATEST
from kafinea.query import Condition
from kafinea.shown import shown
from kafinea.values import ServerZone

State = dict[str, Any]
Newest = Callable[[list[Condition]], str | None]

_PASS = "pass"  # noqa: S105 a pass over a module, no password

_BOOKMARK = "replication_key_value"
_VERSION = "version"
_UNDATED = "undated"
_URL = "url"


def of_instance(state: State, address: str) -> State:
    """Return a stream's state, from now on marked as that of an instance.

    Raises:
        SettingsError: It is that of another one.
    """
    if (other := state.setdefault(_URL, address)) != address:
        raise SettingsError(
            f"The state is of another Kafinea, at {shown(other)}; its times and ids mean nothing "
            f"at {address}. Begin a new state, as Meltano does in another environment or with "
            f"`--state-id-suffix`; or, if this Kafinea has moved, correct each {_URL!r} in it."
        )
    return state


def restart(state: State) -> bool:
    """Forget a bookmark and a pass under way, and return whether there was any."""
    begun = [key for key in (_BOOKMARK, _PASS, _UNDATED) if state.pop(key, None)]
    return bool(begun)


@dataclass(frozen=True)
class Pass:
    """One pass. Moments are wire date-times; no `until` means all records of the module.

    Attributes:
        since: The earliest `modifiedtime`.
        until: The latest `modifiedtime`; empty where no record has any.
        reached: Where the bookmark goes when the pass is complete.
        last_id: The last record that was written out.
        everything: Whether it is over all records, whatever their `modifiedtime`.
        undated: Whether those without a `modifiedtime` come behind the others.
    """

    since: str | None = None
    until: str | None = None
    reached: str | None = None
    last_id: str | None = None
    everything: bool = False
    undated: bool = False

    @property
    def conditions(self) -> list[Condition]:
        """What the records of this pass meet. ANDs only: both readings of VTQL agree on them."""
        if self.everything:
            return []  # what changes meanwhile comes once more, with the next pass
        since = self.since or (EARLIEST if self.undated else None)
        lower = [Condition(MODIFIED, ">=", since)] if since else []
        upper = [Condition(MODIFIED, "<=", self.until)] if self.until else []
        return lower + upper


@dataclass(frozen=True)
class PassPlanner:
    """Decides on a stream's passes and keeps its state.

    Args:
        state: The stream's part of the Singer state; changed in place.
        zone: The server's time zone.
        lookback: Seconds to read again before the bookmark.
        start: Only records modified since, as long as there is no bookmark.
        end: Only records modified before.
    """

    state: State
    zone: ServerZone
    lookback: float = 0
    start: datetime | None = None
    end: datetime | None = None

    def unfinished(self) -> Pass | None:
        """Return the pass that an earlier run began and did not complete."""
        return Pass(**self.state[_PASS]) if self.state.get(_PASS) else None

    def next(self, newest: Newest) -> Pass | None:
        """Return the next incremental pass, or None when there is nothing to read.

        Args:
            newest: Tells the newest `modifiedtime` among the records that meet conditions.
        """
        since, bookmark = self._since(), self._bookmark()
        settled = bool(bookmark and self.state.get("settled"))
        before = self.zone.wire(self.end) if self.end else None
        if before and since and since >= before:
            return None
        upper = [Condition(MODIFIED, "<", before)] if before else []
        lower = bookmark if settled else since
        until = newest([Condition(MODIFIED, ">=", lower), *upper] if lower else upper)
        if bookmark is None and not self.state.get(_UNDATED):
            return self._first(since, until, newest)
        if not until or (settled and bookmark and until <= bookmark):
            return None
        return Pass(since, self._end_of(until), self._reached(until, newest))

    def _first(self, since: str | None, until: str | None, newest: Newest) -> Pass | None:
        """Return the first pass, which brings the records without a `modifiedtime` as well.

        Not where it is bounded at both ends: of many such, each would bring them.
        """
        reached = self._reached(until, newest) if until else None
        end = self._end_of(until or "")
        if self.start and self.end:
            return Pass(since, end, reached) if until else None
        if self.start or self.end:
            return Pass(since, end, reached, undated=True)
        return None if until is None else Pass(since, end, reached, everything=True)

    def _end_of(self, until: str) -> str:
        """Return the latest `modifiedtime` of a pass; empty for no end.

        Where the newest one cannot be read, how it compares is not known either. So its record is
        read in each run, as one that is dated in the future.
        """
        if until != LATEST:
            return until
        return self.zone.wire(self.end - timedelta(seconds=1)) if self.end else ""

    def _reached(self, until: str, newest: Newest) -> str | None:
        """Return where the bookmark goes.

        A record dated in the future must not hide what changes until then. It is read in each run;
        the bookmark goes to the newest of the others.
        """
        tomorrow = self.zone.wire(now() + timedelta(days=1))
        if until <= tomorrow:
            return until
        before = self.zone.wire(self.end) if self.end else tomorrow
        reached = newest([Condition(MODIFIED, "<", min(tomorrow, before))])
        return None if reached == LATEST else reached

    def whole(self) -> Pass:
        """Return a pass over all records, or the rest of one that was not completed."""
        unfinished = self.unfinished()
        return unfinished if unfinished and unfinished.until is None else Pass()

    def new_version(self) -> int:
        """Return the version of the rows of a table that is read whole, newer than any before."""
        before: int = self.state.get(_VERSION, 0)
        self.state[_VERSION] = version = max(int(now().timestamp()), before + 1)
        return version

    def begin(self, current: Pass) -> None:
        """Write a pass into the state."""
        self.state[_PASS] = asdict(current)

    def advance(self, last_id: str) -> None:
        """Take note that the record with this id has been written out."""
        if _PASS in self.state:  # else it is one that an earlier run could not read
            self.state[_PASS]["last_id"] = last_id

    def complete(self, current: Pass, began: datetime) -> None:
        """Move the bookmark to the end of a pass that has read all it should.

        Args:
            current: The pass.
            began: When it began, on this machine's clock.
        """
        self.state.pop(_PASS, None)
        if current.until is None:
            return
        bookmark = self._bookmark()
        reached = max(current.reached or "", bookmark or "")
        if not reached:
            self.state[_UNDATED] = True
            return
        self.state.pop(_UNDATED, None)
        if reached != bookmark:
            value = self.zone.aware(reached).isoformat()
            self.state["replication_key"] = MODIFIED
            self.state["replication_key_value"] = value
            self.state["wire"] = {"value": value, "text": reached}
            self.state["seen_at"] = began.isoformat()
            self.state["settled"] = False
        elif current.last_id is None and current.until >= reached:
            # Only what was read from its beginning, and up to the bookmark, was read late enough.
            late_enough = began - self._seen_at(began) >= timedelta(seconds=max(self.lookback, 1))
            self.state["settled"] = late_enough and not self.zone.is_repeated(reached)

    def _bookmark(self) -> str | None:
        value = self.state.get("replication_key_value")
        if value is None:
            return None
        wire = self.state.get("wire", {})
        # A value that somebody has changed since counts, not the text that belonged to it.
        text: str = wire["text"] if wire.get("value") == value else self.zone.wire(moment(value))
        return text

    def _since(self) -> str | None:
        if bookmark := self._bookmark():
            return self.zone.earlier(bookmark, self.lookback)
        return self.zone.wire(self.start) if self.start else None

    def _seen_at(self, otherwise: datetime) -> datetime:
        text = self.state.get("seen_at")
        seen = moment(text) if text else otherwise
        return seen if seen.tzinfo else otherwise


def now() -> datetime:
    """Return this machine's time, in UTC."""
    return datetime.now(timezone.utc)
