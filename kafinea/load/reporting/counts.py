"""How many records came to which result, and whether a run fails for its rejects."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from kafinea.errors import KafineaError
from kafinea.load.results import OTHERS_CHANGED, Result, Status


class TooManyRejects(KafineaError):
    """The run fails: too many records were rejected, or all of a stream."""


class Counts:
    """The results of a run, counted by stream.

    Args:
        max_rejects: How many rejects are tolerated; -1 for any number.
        rejects_path: Where the rejected records are, for messages.
    """

    def __init__(self, max_rejects: int = 0, rejects_path: str | None = None) -> None:
        self._max_rejects = max_rejects
        self._rejects_path = rejects_path
        self._counts: dict[str, Counter[Status]] = defaultdict(Counter)
        self._rejected = 0
        self._stopping = 0
        self._others_changed: set[str] = set()

    def __iter__(self) -> Iterator[str]:
        return iter(self._counts)

    def add(self, stream: str, result: Result) -> None:
        """Count a result."""
        self._counts[stream][result.status] += 1
        if result.rejection is None:
            return
        self._rejected += 1
        if result.rejection.code == OTHERS_CHANGED:
            self._others_changed.add(stream)
        else:
            self._stopping += 1

    def of(self, stream: str) -> dict[str, int]:
        """Return the counts of a stream by the name of the result."""
        counts = self._counts[stream]
        return {status.value: counts[status] for status in Status}

    def text(self, stream: str) -> str:
        """Return the counts of a stream, such as `3 created, 0 updated, ...`."""
        return ", ".join(f"{count:,} {name}" for name, count in self.of(stream).items())

    @property
    def has_too_many(self) -> bool:
        """Whether more records were rejected than the run tolerates before it stops."""
        return 0 <= self._max_rejects < self._stopping

    def check(self) -> None:
        """Stop when there are too many rejects.

        Raises:
            TooManyRejects: There are.
        """
        if self.has_too_many:
            raise TooManyRejects(self._too_many())

    def check_all(self) -> None:
        """Fail when there are too many rejects in all, or nothing but rejects in a stream.

        Raises:
            TooManyRejects: There are.
        """
        wrong = [self._too_many()] if 0 <= self._max_rejects < self._rejected else []
        wrong += [
            f"Stream {stream!r}: the server changed fields that were not loaded ({OTHERS_CHANGED})."
            for stream in sorted(self._others_changed)
        ]
        for stream, counts in self._counts.items():
            if (total := counts.total()) == counts[Status.REJECTED]:
                wrong.append(f"Stream {stream!r}: all of its records were rejected ({total:,}).")
        if wrong:
            raise TooManyRejects(" ".join(wrong))

    def _too_many(self) -> str:
        where = (
            f" They are in {self._rejects_path}. docs/reverse-etl.md shows how to correct them."
            if self._rejects_path
            else " Set `rejects_path` to get them in a file (docs/reverse-etl.md)."
        )
        return (
            f"Rejected records: {self._rejected:,}, more than `max_rejects` "
            f"({self._max_rejects:,}) allows.{where}"
        )
