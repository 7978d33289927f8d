"""The records of a stream that could not be read whole: the state keeps them for the next run.

A record that is mended at the server need not get a new `modifiedtime`, so no pass would find it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from kafinea.errors import IncompleteRead
from kafinea.page_query import Page
from kafinea.recovery import BadRecord

_KEY = "unreadable"
_MOST = 1000
_SHOWN = 10


class Unreadable:
    """Keeps the ids of the records that could not be read whole in a stream's state.

    Args:
        state: The stream's part of the Singer state; changed in place.
        failed: What could not be read in this run. Others add to it.
    """

    def __init__(self, state: dict[str, Any], failed: Sequence[BadRecord]) -> None:
        self._state = state
        self._failed = failed
        self._before: dict[str, None] = dict.fromkeys(state.get(_KEY, ()))

    def keep(self) -> None:
        """Put what is not read yet into the state, as it must be before a later position."""
        if not (self._before or self._failed or _KEY in self._state):
            return
        ids = [*dict.fromkeys([*self._before, *(bad.id for bad in self._failed)])]
        self._state.pop(_KEY, None)
        if ids:
            self._state[_KEY] = ids[:_MOST]

    def among(self, page: Page) -> list[str]:
        """Return which records of a page an earlier run could not read."""
        return [one["id"] for one in page if one["id"] in self._before] if self._before else []

    def settle(self, ids: Iterable[str]) -> None:
        """Take note that records of earlier runs were written out, or are not there any more."""
        for one in ids:
            self._before.pop(one, None)

    @property
    def to_ask_again(self) -> list[str]:
        """The records of earlier runs that this one has not met yet."""
        met = {bad.id for bad in self._failed}
        return [one for one in self._before if one not in met]

    def check(self) -> None:
        """Say what is missing, now that all is read.

        Raises:
            IncompleteRead: Some records could not be read whole.
        """
        self.keep()
        ids = list(dict.fromkeys(bad.id for bad in self._failed))
        if not ids:
            return
        count = f"{len(ids):,} records" if len(ids) > 1 else "1 record"
        shown = ", ".join(ids[:_SHOWN]) + (", ..." if len(ids) > _SHOWN else "")
        kept = "The next run asks for them again"
        if len({*self._before, *ids}) > _MOST:
            kept += f", for {_MOST:,} of them: there are more than the state remembers"
        raise IncompleteRead(
            f"{count} could not be read whole: {shown}. The warnings above say what the server "
            f"answered for each. All others were read. {kept}; correct them in Kafinea, or have "
            "whoever runs the server do it."
        )
