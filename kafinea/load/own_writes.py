"""Which records this run has written, and when by the server's clock: that is no conflict."""

from __future__ import annotations

import re
import sys

_WIRE_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", re.ASCII)


class OwnWrites:
    """The `modifiedtime` that records have by the last write of this run. Threads share it.

    Args:
        is_needed: Whether a stream looks for conflicts; without one, nothing is noted.
    """

    def __init__(self, *, is_needed: bool) -> None:
        self._is_needed = is_needed
        self._times: dict[str, str | None] = {}

    def note(self, record_id: str, modifiedtime: str | None = None) -> None:
        """Note that this run has written a record.

        Args:
            record_id: Its id.
            modifiedtime: What the server shows as its `modifiedtime` now; None where it shows none.
                Then whatever it is counts as ours, until the next write.
        """
        if self._is_needed:
            is_time = _WIRE_TIME.fullmatch(modifiedtime or "")
            self._times[record_id] = sys.intern(is_time[0]) if is_time else None

    def is_own(self, record_id: str, modifiedtime: str) -> bool:
        """Whether it was this run that wrote a record last."""
        return self._times.get(record_id, "") in {None, modifiedtime}
