"""Which records exist that others refer to: looked up many at a time, and remembered."""

from __future__ import annotations

from collections.abc import Iterable

from kafinea.load.lookup.finder import Finder
from kafinea.load.results import Rejected, Rejection


class ExistingRecords:
    """Whether records exist.

    Args:
        finder: Looks them up.
    """

    def __init__(self, finder: Finder) -> None:
        self._finder = finder
        self._known: dict[str, bool | Rejection] = {}

    def learn(self, module: str, ids: Iterable[str]) -> None:
        """Find out which records of a module exist, for `exists`."""
        unknown = {
            record_id for record_id in ids if not isinstance(self._known.get(record_id), bool)
        }
        found = self._finder.by_id(module, unknown)
        self._known |= {
            record_id: each.failure or bool(each.record) for record_id, each in found.items()
        }

    def exists(self, module: str, record_id: str) -> bool:
        """Whether a record of a module exists.

        Raises:
            Rejected: The server fails at this record.
        """
        if record_id not in self._known:
            self.learn(module, [record_id])
        known = self._known[record_id]
        if isinstance(known, Rejection):
            raise Rejected.of(known)
        return known

    def note(self, record_id: str, *, exists: bool) -> None:
        """Note whether a record exists now."""
        self._known[record_id] = exists
