"""The state that a run is given: which shapes it may have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kafinea.errors import SettingsError
from tap_kafinea.clock import ZONE

_HOW = (
    'A state is {"bookmarks": {...}}, or the last line that the tap wrote: '
    '{"type": "STATE", "value": {"bookmarks": {...}}}. Without --state, all is read again.'
)

MOST = "most"
"""In the state of a table of lines: how many lines a document has had at most."""


def state_of(given: Any) -> dict[str, Any]:
    """Return the Singer state in what somebody gave as one. An empty one is no state.

    Raises:
        SettingsError: It is something else. To take it for none would read everything again.
    """
    if isinstance(given, Mapping) and given.get("type") == "STATE":
        given = given.get("value")
    if not given:
        return {}
    bookmarks = given.get("bookmarks") if isinstance(given, Mapping) else None
    if not isinstance(bookmarks, Mapping):
        raise SettingsError(f"The state is not a Singer state. {_HOW}")
    for stream, bookmark in bookmarks.items():
        if not isinstance(bookmark, Mapping):
            raise SettingsError(f"The state of {stream} is not a Singer state. {_HOW}")
    return dict(given)


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
