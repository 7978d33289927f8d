"""Records that wait to be loaded, and are looked up meanwhile.

    oldest | looked up | looked up | being looked up | being looked up | not yet a chunk | newest
           |     `take_older_half`  |

While the older half is written, the younger one is looked up. What was found too early for records
that may mean one which was written since is forgotten (`forget`), and looked up again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import NamedTuple

from kafinea.load.lookup.finder import Found
from kafinea.load.lookup.value_lookup import KEYS_AT_A_TIME
from kafinea.load.records import Findings, PreparedRecord, QueuedRecord, RejectedRecord

HEAVY = 2**24  # bytes of the input


@dataclass(frozen=True)
class Batch:
    """Records to be loaded next.

    Attributes:
        records: The records, in the order of the input.
        found: What was looked up for them; the others are still to be looked up.
    """

    records: Sequence[QueuedRecord]
    found: Findings


class _Chunk(NamedTuple):
    records: list[QueuedRecord]
    found: Future[Findings]


class LookAheadQueue:
    """A queue of records that are looked up while they wait.

    Args:
        look_up: Begins to look up a chunk of records; None where they cannot be looked up yet.
        is_halved: Whether a half may be taken, before the rest.
    """

    def __init__(
        self,
        look_up: Callable[[Sequence[PreparedRecord]], Future[Findings]] | None = None,
        *,
        is_halved: bool = True,
    ) -> None:
        self._look_up = look_up
        self._is_halved = is_halved
        self._chunks: list[_Chunk] = []
        self._rest: list[QueuedRecord] = []
        self._size = 0
        self._weight = 0

    def __len__(self) -> int:
        return self._size

    @property
    def is_heavy(self) -> bool:
        """Whether the records take much memory."""
        return self._weight >= HEAVY

    def add(self, record: QueuedRecord) -> None:
        """Add a record, and begin to look it up as soon as there is a chunk."""
        self._rest.append(record)
        self._size += 1
        self._weight += record.input.size
        if self._look_up and len(self._rest) == KEYS_AT_A_TIME:
            self._begin_chunk(self._look_up)

    def take_all(self) -> Batch:
        """Take all records out of the queue, when those of whole chunks are looked up."""
        if self._look_up and self._rest:
            self._begin_chunk(self._look_up)
        return self._take(len(self._chunks))

    def take_older_half(self) -> Batch:
        """Take the older half of the records that are being looked up; else all.

        So that the rest is never heavy, all are taken where it would be.
        """
        half = len(self._chunks) // 2
        rest = [record for chunk in self._chunks[half:] for record in chunk.records]
        if not (half and self._is_halved) or _weight([*rest, *self._rest]) >= HEAVY:
            return self.take_all()
        return self._take(half)

    def forget(self, is_outdated: Callable[[PreparedRecord, Found], bool]) -> None:
        """Forget what was found for records of which that may not hold any more."""
        for chunk in self._chunks:
            found = chunk.found.result()
            for record in chunk.records:
                if isinstance(record, RejectedRecord) or record not in found:
                    continue
                if is_outdated(record, found[record]):
                    del found[record]

    def _begin_chunk(self, look_up: Callable[[Sequence[PreparedRecord]], Future[Findings]]) -> None:
        alive = [record for record in self._rest if isinstance(record, PreparedRecord)]
        self._chunks.append(_Chunk(self._rest, look_up(alive)))
        self._rest = []

    def _take(self, chunks: int) -> Batch:
        """Take so many chunks; what is in no chunk goes with the last one."""
        taken, self._chunks = self._chunks[:chunks], self._chunks[chunks:]
        records = [record for chunk in taken for record in chunk.records]
        found: Findings = {}
        for chunk in taken:
            found |= chunk.found.result()
        if not self._chunks:
            records += self._rest
            self._rest = []
        self._size -= len(records)
        self._weight -= _weight(records)
        return Batch(records, found)


def _weight(records: Iterable[QueuedRecord]) -> int:
    return sum(record.input.size for record in records)
