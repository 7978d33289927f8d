"""The state that a run is given: which shapes it may have, and what each key of a stream may hold.

What is wrong is found here, before the first request. So the streams can believe what they find.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from kafinea.errors import StateError
from kafinea.extract.checkpoint import CHECKS, ZONE
from kafinea.extract.line_rows import MOST
from kafinea.extract.state_values import Check, below, is_flag, is_moment, is_text, wrong_key
from kafinea.parsing import is_id, whole
from kafinea.shown import shown

_HOW = (
    'A state is {"bookmarks": {...}}, or the last line that the tap wrote: '
    '{"type": "STATE", "value": {"bookmarks": {...}}}. Without --state, everything is read again.'
)

_LAST_SECOND = 253_370_764_800  # 9999-01-01
_MOST_LINES = 10**8


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
    if key := wrong_key(found, _KEYS):
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


def _each(of_key: Check, of_value: Check) -> Check:
    return lambda value: (
        isinstance(value, Mapping)
        and all(map(of_key, value))
        and all(map(of_value, value.values()))
    )


_KEYS: Mapping[str, Check] = {
    **CHECKS,
    # of the SDK, which keeps nothing there for the streams of this tap
    "progress_markers": lambda value: value == {},
    "partitions": lambda value: value == [],
    # of a table of lines
    MOST: below(_MOST_LINES),
    "newest": lambda value: whole(value) is not None,
    "longer": _each(is_id, below(_MOST_LINES)),
    "followed": is_flag,
    # of deleted records
    "scanned": _each(is_text, is_moment),
    "synced": _each(is_text, below(_LAST_SECOND)),
}
