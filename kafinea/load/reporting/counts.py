"""How many records came to which result, and whether a run fails for its rejects."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from kafinea.errors import KafineaError
from kafinea.load.results import MAY_PASS, OTHERS_CHANGED, Result, Status


class TooManyRejects(KafineaError):
    """The run fails: too many records were rejected, or all of a stream.

    Args:
        is_final: False if the server was the reason for some of them, so they may pass later.
    """

    def __init__(self, message: str, *, is_final: bool) -> None:
        super().__init__(message)
        self.is_final = is_final


class Counts:
    """The results of a run, counted by stream.

    Args:
        max_rejects: How many rejects are tolerated; -1 for any number.
        rejects_path: Where the rejected records are, for messages.
        percent: How many percent of the records may be rejected, if they are more than that.
    """

    def __init__(
        self, max_rejects: int = 0, rejects_path: str | None = None, percent: float = 0
    ) -> None:
        self._max_rejects = max_rejects
        self._percent = percent
        self._rejects_path = rejects_path
        self._counts: dict[str, Counter[Status]] = defaultdict(Counter)
        self._rejected = 0
        self._stopping = 0
        self._passing = 0
        self._others_changed: set[str] = set()

    def __iter__(self) -> Iterator[str]:
        return iter(self._counts)

    def add(self, stream: str, result: Result) -> None:
        """Count a result."""
        self._counts[stream][result.status] += 1
        if result.rejection is None:
            return
        self._rejected += 1
        self._passing += result.rejection.code in MAY_PASS
        if result.rejection.code == OTHERS_CHANGED:
            self._others_changed.add(stream)
        else:
            self._stopping += 1

    def of(self, stream: str) -> dict[str, int]:
        """Return the counts of a stream by the name of the result."""
        counts = self._counts.get(stream, Counter())
        return {status.value: counts[status] for status in Status}

    def text(self, stream: str) -> str:
        """Return the counts of a stream, such as `3 created, 0 updated, ...`."""
        return ", ".join(f"{count:,} {name}" for name, count in self.of(stream).items())

    @property
    def has_too_many(self) -> bool:
        """Whether more records were rejected than the run tolerates before it stops.

        A percentage is that of all records, so it is known at the end.
        """
        return not self._percent and 0 <= self._max_rejects < self._stopping

    def check(self) -> None:
        """Stop when there are too many rejects.

        Raises:
            TooManyRejects: There are.
        """
        if self.has_too_many:
            raise self._failure([self._too_many()])

    def check_all(self) -> None:
        """Fail when there are too many rejects in all, or nothing but rejects in a stream.

        Raises:
            TooManyRejects: There are.
        """
        wrong = [] if self._is_tolerable else [self._too_many()]
        wrong += [
            f"Stream {stream!r}: the server changed fields that were not loaded ({OTHERS_CHANGED})."
            for stream in sorted(self._others_changed)
        ]
        for stream, counts in self._counts.items():
            if (total := counts.total()) == counts[Status.REJECTED]:
                wrong.append(f"Stream {stream!r}: all of its records were rejected ({total:,}).")
        if wrong:
            raise self._failure(wrong)

    @property
    def _is_tolerable(self) -> bool:
        """Whether no more records were rejected than the run tolerates in all."""
        if self._max_rejects < 0 or self._rejected <= self._max_rejects:
            return True
        total = sum(counts.total() for counts in self._counts.values())
        return self._rejected * 100 <= self._percent * total

    def _failure(self, wrong: list[str]) -> TooManyRejects:
        is_final = bool(self._others_changed) or not self._passing
        return TooManyRejects(" ".join(wrong), is_final=is_final)

    def _too_many(self) -> str:
        where = (
            f" They are in {self._rejects_path}. docs/reverse-etl.md shows how to correct them."
            if self._rejects_path
            else " Set `rejects_path` to get them in a file (docs/reverse-etl.md)."
        )
        limit = f"`max_rejects` ({self._max_rejects:,})"
        if self._percent:
            limit += f" and `max_rejects_percent` ({self._percent:g} %) allow"
        else:
            limit += " allows"
        return f"Rejected records: {self._rejected:,}, more than {limit}.{where}"
