"""Where the reading of a stream stands: its bookmark, which `passes` moves, and the pass under way.

A `Checkpoint` never changes. Each batch brings the next one, which is valid when the rows of the
batch are written. Its dict form is what the state of a stream keeps:

- `replication_key_value`: the upper end of the last complete pass, with an offset;
- `wire`: the same as the server writes it, so that a changed `timezone` moves nothing;
- `seen_at`: when this machine first saw that value;
- `settled`: true when the bookmark is up to date: `lookback` was read again late enough after that;
- `undated`: true when records without a `modifiedtime` were read, and there were no others;
- `version`: that of the rows of the last reading, where the module is read whole;
- `pass`: the pass under way and its last id; a run that was killed resumes there;
- `unreadable`: the records that could not be read (see `unreadable`);
- `owed`: the documents whose files are pending (see `file_rows`);
- `url`: the instance. Times and ids of another one would leave out records silently;
- `module`: the module, for the same reason. Streams of a Singer state have none: they have names;
- `timezone`: the zone in which the rows were read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime, timezone
from typing import Any

from kafinea.describe import MODIFIED
from kafinea.errors import StateError
from kafinea.extract.state_values import (
    Check,
    are_ids,
    below,
    is_flag,
    is_moment,
    is_text,
    is_wire,
    wrong_key,
)
from kafinea.module_reader import EARLIEST
from kafinea.parsing import is_id
from kafinea.query import Condition
from kafinea.shown import shown

_KEY, _VALUE, _WIRE = "replication_key", "replication_key_value", "wire"
_SEEN_AT, _UP_TO_DATE, _UNDATED, _VERSION = "seen_at", "settled", "undated", "version"
_PASS, _UNREADABLE, _PENDING = "pass", "unreadable", "owed"
URL, MODULE, ZONE = "url", "module", "timezone"


@dataclass(frozen=True)
class Pass:
    """One pass. Moments are wire date-times; no `until` means all records of the module.

    Attributes:
        since: The earliest `modifiedtime`.
        until: The latest `modifiedtime`; empty where no record has any.
        reached: Where the bookmark goes when the pass is complete.
        last_id: The last record that was written.
        everything: Whether it is over all records, whatever their `modifiedtime`.
        undated: Whether those without a `modifiedtime` come after the others.
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
class Checkpoint:
    """Where the reading of a stream stands.

    Attributes:
        bookmark: The upper end of the last complete pass, RFC 3339 with an offset.
        wire: The same as the server writes it; None if the bookmark was changed by hand.
        seen_at: When this machine first saw that bookmark, RFC 3339.
        is_up_to_date: Whether `lookback` was read again late enough after the bookmark was seen.
        is_undated: Whether records without a `modifiedtime` were read, and there were no others.
        version: The version of the rows of the last full reading.
        current: The pass under way.
        unreadable: The ids of records that could not be read.
        pending: The ids of documents whose files could not be fetched yet.
        url: The instance.
        module: The module; None in a state that keeps each stream under its name.
        timezone: The zone in which the rows were read.
    """

    bookmark: str | None = None
    wire: str | None = None
    seen_at: str | None = None
    is_up_to_date: bool | None = None
    is_undated: bool = False
    version: int | None = None
    current: Pass | None = None
    unreadable: tuple[str, ...] = ()
    pending: tuple[str, ...] = ()
    url: str | None = None
    module: str | None = None
    timezone: str | None = None

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Checkpoint:
        """Return the checkpoint that a state keeps. Other keys are passed over.

        Raises:
            StateError: `to_dict` did not write it.
        """
        if not isinstance(state, Mapping):
            raise StateError(
                f"The checkpoint is a {type(state).__name__}, not a dict. Use what "
                "`Checkpoint.to_dict` returned."
            )
        if key := wrong_key(state, CHECKS):
            raise StateError(
                f"The checkpoint contains a {key!r} that `Checkpoint.to_dict` did not write. "
                "Without a checkpoint, the module is read from the beginning."
            )
        value, pair = state.get(_VALUE), state.get(_WIRE) or {}
        return cls(
            bookmark=value,
            # A value that somebody has changed since counts, not the text that belonged to it.
            wire=pair.get("text") if pair.get("value") == value else None,
            seen_at=state.get(_SEEN_AT),
            is_up_to_date=state.get(_UP_TO_DATE),
            is_undated=bool(state.get(_UNDATED)),
            version=state.get(_VERSION),
            current=Pass(**state[_PASS]) if state.get(_PASS) else None,
            unreadable=tuple(state.get(_UNREADABLE) or ()),
            pending=tuple(state.get(_PENDING) or ()),
            url=state.get(URL),
            module=state.get(MODULE),
            timezone=state.get(ZONE),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the dict form, without keys that are empty. JSON can hold it."""
        kept = {
            URL: self.url,
            MODULE: self.module,
            ZONE: self.timezone,
            _PASS: asdict(self.current) if self.current else None,
            _KEY: MODIFIED if self.bookmark else None,
            _VALUE: self.bookmark,
            _WIRE: {"value": self.bookmark, "text": self.wire} if self.wire else None,
            _SEEN_AT: self.seen_at,
            _UP_TO_DATE: self.is_up_to_date,
            _UNDATED: self.is_undated or None,
            _VERSION: self.version,
            _UNREADABLE: list(self.unreadable) or None,
            _PENDING: list(self.pending) or None,
        }
        return {key: value for key, value in kept.items() if value is not None}

    def of_instance(self, url: str) -> Checkpoint:
        """Return this checkpoint, from now on marked as that of an instance.

        Raises:
            StateError: It is that of another one.
        """
        return replace(self, url=of_instance(self.url, url))

    def of_module(self, module: str) -> Checkpoint:
        """Return this checkpoint, from now on marked as that of a module.

        Raises:
            StateError: It is that of another one.
        """
        if self.module not in {None, module}:
            raise StateError(
                f"The checkpoint belongs to module {shown(self.module)!r}, not to {module!r}. "
                "Keep one checkpoint for each module."
            )
        return replace(self, module=module)

    @property
    def has_begun(self) -> bool:
        """Whether anything was read."""
        return bool(self.bookmark or self.current or self.is_undated)

    def restarted(self) -> Checkpoint:
        """Return the checkpoint from which all is read again."""
        return replace(self, bookmark=None, current=None, is_undated=False)

    def with_new_version(self) -> Checkpoint:
        """Return it with a version of the rows that is newer than any before."""
        return replace(self, version=max(int(now().timestamp()), (self.version or 0) + 1))

    def after(self, last_id: str) -> Checkpoint:
        """Return it after a record of the pass under way."""
        # Without a pass, it is a record that an earlier run could not read.
        return replace(self, current=self.current and replace(self.current, last_id=last_id))


def of_instance(known: str | None, url: str) -> str:
    """Return the address of an instance, if a state is of this one or of none yet.

    Raises:
        StateError: It is that of another one.
    """
    if known not in {None, url}:
        raise StateError(
            f"The state belongs to another Kafinea instance, {shown(known)}. Its times and ids "
            f"are not valid at {url}. Start with a new state. If this is the same instance at a "
            f"new address, correct each {URL!r} in the state."
        )
    return url


def _is_pair(value: Any) -> bool:
    """Whether this is a bookmark, and the same as the server writes it."""
    return isinstance(value, Mapping) and is_text(value.get("value")) and is_wire(value.get("text"))


def _is_pass(value: Any) -> bool:
    if not isinstance(value, Mapping) or not value.keys() <= {one.name for one in fields(Pass)}:
        return False
    moments = [value.get(name) for name in ("since", "until", "reached")]
    flags = [value.get(name, False) for name in ("everything", "undated")]
    last_id = value.get("last_id")
    return (
        all(one is None or one == "" or is_wire(one) for one in moments)
        and all(map(is_flag, flags))
        and (last_id is None or is_id(last_id))
    )


CHECKS: Mapping[str, Check] = {
    _KEY: is_text,
    _VALUE: is_moment,
    _WIRE: _is_pair,
    _SEEN_AT: is_moment,
    _UP_TO_DATE: is_flag,
    _UNDATED: is_flag,
    _VERSION: below(10**15),
    _PASS: _is_pass,
    _UNREADABLE: are_ids,
    _PENDING: are_ids,
    URL: is_text,
    MODULE: is_text,
    ZONE: is_text,
}
"""The keys of the dict form, and what each may hold. A state may hold others beside them."""


def now() -> datetime:
    """Return this machine's time, in UTC."""
    return datetime.now(timezone.utc)
