"""The records that could not be read whole: the checkpoint keeps them for the next run.

A record that is corrected at the server need not get a new `modifiedtime`: no pass would find it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kafinea.errors import IncompleteRead
from kafinea.recovery import BadRecord

_MOST = 1000
_SHOWN = 10


class Unreadable:
    """Keeps the ids of the records that could not be read whole.

    Args:
        before: Those of earlier runs.
        failed: What could not be read in this run. Others add to it.
    """

    def __init__(self, before: Iterable[str], failed: Sequence[BadRecord]) -> None:
        self._before: dict[str, None] = dict.fromkeys(before)
        self._failed = failed

    @property
    def ids(self) -> tuple[str, ...]:
        """What the checkpoint keeps: the records that are not read yet."""
        if not (self._before or self._failed):
            return ()
        return tuple(dict.fromkeys([*self._before, *(bad.id for bad in self._failed)]))[:_MOST]

    def settle(self, ids: Iterable[str]) -> None:
        """Take note that records of earlier runs were read, or are not there any more."""
        if self._before:
            for record_id in ids:
                self._before.pop(record_id, None)

    @property
    def to_ask_again(self) -> list[str]:
        """The records of earlier runs that this one has not met yet."""
        met = {bad.id for bad in self._failed}
        return [record_id for record_id in self._before if record_id not in met]

    def check(self) -> None:
        """Check that all is read, at the end of a run.

        Raises:
            IncompleteRead: Some records could not be read whole.
        """
        ids = list(dict.fromkeys(bad.id for bad in self._failed))
        if not ids:
            return
        count = f"{len(ids):,} records" if len(ids) > 1 else "1 record"
        shown = ", ".join(ids[:_SHOWN]) + (", ..." if len(ids) > _SHOWN else "")
        kept = "The next run requests them again"
        if len({*self._before, *ids}) > _MOST:
            kept += f", for {_MOST:,} of them: there are more than the state remembers"
        raise IncompleteRead(
            f"{count} could not be read completely: {shown}. All others were read. The warnings "
            f"above contain the reason for each. {kept}. Correct these records in Kafinea, or ask "
            "the administrator of the server."
        )
