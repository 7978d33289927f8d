"""The state that a run is given: which shapes it may have, and what each key of a stream may hold.

What is wrong is found here, before the first request. So the streams can believe what they find.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from kafinea.errors import StateError
from kafinea.extract.checkpoint import ZONE, Pass
from kafinea.extract.line_rows import MOST
from kafinea.parsing import is_id, local_time, moment, whole
from kafinea.shown import shown

_HOW = (
    'A state is {"bookmarks": {...}}, or the last line that the tap wrote: '
    '{"type": "STATE", "value": {"bookmarks": {...}}}. Without --state, everything is read again.'
)

_YEARS = range(1000, 9999)  # with room for the offsets and look-backs of all zones
_LAST_SECOND = 253_370_764_800  # 9999-01-01
_MOST_LINES = 10**8
_LATEST_VERSION = 10**15


def state_of(given: Any) -> dict[str, Any]:
    """Return the Singer state in what somebody gave as one. `{}` and null are no state.

    Raises:
        StateError: It is something else, or holds what this tap cannot have written. To take it
            for none would read everything again.
    """
    if isinstance(given, Mapping) and given.get("type") == "STATE":
        given = given.get("value")
    if given is None or given == {}:
        return {}
    bookmarks = given.get("bookmarks") if isinstance(given, Mapping) else None
    if not isinstance(bookmarks, Mapping) or not _can_be_written(given):
        raise StateError(f"The state is not a Singer state. {_HOW}")
    checked = {stream: _checked(shown(stream), kept) for stream, kept in bookmarks.items()}
    return {**given, "bookmarks": checked}


def _checked(stream: str, kept: Any) -> dict[str, Any]:
    """Return what the state keeps of a stream, without keys that are null.

    Raises:
        StateError: It is nothing that this tap writes.
    """
    if not isinstance(kept, Mapping):
        raise StateError(f"The state of {stream} is not a Singer state. {_HOW}")
    found = {key: value for key, value in kept.items() if value is not None}
    for key, is_right in _KEYS.items():
        if key in found and not is_right(found[key]):
            raise StateError(
                f"The state of {stream} contains a {key!r} that this tap did not write. Remove "
                f"the entry of {stream} from the state to read this stream from the beginning."
            )
    return found


def known_modules(state: Mapping[str, Any]) -> set[str]:
    """Return the modules that an earlier run read, by what it kept of them.

    Other streams have names in lower case (`files`, `campaigns_contacts`), numbers of lines (tables
    of lines), or no time zone and no bookmark (the data dictionary).
    """
    kept = state.get("bookmarks", {})
    return {
        name
        for name, bookmark in kept.items()
        if not name.islower()
        and MOST not in bookmark
        and ("replication_key_value" in bookmark or {"version", ZONE} <= bookmark.keys())
    }


def _can_be_written(state: Any) -> bool:
    try:
        json.dumps(state, ensure_ascii=False, default=str).encode()
    except UnicodeError:  # half a character
        return False
    return True


# What the keys of a stream may hold


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_moment(value: Any) -> bool:
    try:
        return isinstance(value, str) and moment(value).year in _YEARS
    except ValueError:
        return False


def _is_wire(value: Any) -> bool:
    """Whether this is a date-time as the server writes it."""
    try:
        return local_time(value).year in _YEARS
    except ValueError:
        return False


def _are_ids(value: Any) -> bool:
    return isinstance(value, list) and all(map(is_id, value))


def _below(limit: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and 0 <= value < limit


def _each(of_key: Callable[[Any], bool], of_value: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: (
        isinstance(value, Mapping)
        and all(map(of_key, value))
        and all(map(of_value, value.values()))
    )


def _is_pair(value: Any) -> bool:
    """Whether this is a bookmark, and the same as the server writes it."""
    return (
        isinstance(value, Mapping) and _is_text(value.get("value")) and _is_wire(value.get("text"))
    )


def _is_pass(value: Any) -> bool:
    if not isinstance(value, Mapping) or not value.keys() <= {one.name for one in fields(Pass)}:
        return False
    moments = [value.get(name) for name in ("since", "until", "reached")]
    flags = [value.get(name, False) for name in ("everything", "undated")]
    last_id = value.get("last_id")
    return (
        all(one is None or one == "" or _is_wire(one) for one in moments)
        and all(map(_is_flag, flags))
        and (last_id is None or is_id(last_id))
    )


_KEYS: Mapping[str, Callable[[Any], bool]] = {
    "replication_key": _is_text,
    "replication_key_value": _is_moment,
    "wire": _is_pair,
    "seen_at": _is_moment,
    "settled": _is_flag,
    "undated": _is_flag,
    "version": _below(_LATEST_VERSION),
    "pass": _is_pass,
    "unreadable": _are_ids,
    "url": _is_text,
    ZONE: _is_text,
    # of the SDK, which keeps nothing there for the streams of this tap
    "progress_markers": lambda value: value == {},
    "partitions": lambda value: value == [],
    # of a table of lines
    MOST: _below(_MOST_LINES),
    "newest": lambda value: whole(value) is not None,
    "longer": _each(is_id, _below(_MOST_LINES)),
    "followed": _is_flag,
    # of files
    "owed": _are_ids,
    # of deleted records
    "scanned": _each(_is_text, _is_moment),
    "synced": _each(_is_text, _below(_LAST_SECOND)),
}
