"""Which records a load contains already."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable

from kafinea.parsing import number_in


class Emitted:
    """The records of one extraction of a module, so that none is twice in a load.

    dlt keeps any of two rows with the same key, and Delta and Iceberg fail at them.
    """

    def __init__(self) -> None:
        self._ascending = array("Q")  # as passes read them: 8 bytes for each
        self._others: set[int] = set()

    @property
    def is_empty(self) -> bool:
        """Whether none was added."""
        return not self._ascending

    def has(self, record_id: str) -> bool:
        """Whether a record was added."""
        return self._has(number_in(record_id))

    def add(self, ids: Iterable[str]) -> bool:
        """Add records, if none of them was added before; return whether that is so."""
        numbers = [*map(number_in, ids)]
        if any(map(self._has, numbers)):
            return False
        for number in numbers:
            if not self._ascending or number > self._ascending[-1]:
                self._ascending.append(number)
            else:
                self._others.add(number)
        return True

    def _has(self, number: int) -> bool:
        known = self._ascending
        if not known or number > known[-1]:
            return False
        place = bisect_left(known, number)
        return known[place] == number or number in self._others
