"""Which states may be passed on: those whose records all have their result."""

from __future__ import annotations

from collections import Counter
from threading import Lock
from typing import Any

from kafinea.load.stream.look_ahead import HEAVY


class States:
    """The states that were read and not passed on, and the records without a result.

    The SDK writes a state when everything before it is loaded. When a run breaks off, `last_true`
    is the last one that can still be written. Threads share it.
    """

    def __init__(self) -> None:
        # A line may bring several records of a stream: those nested in its record.
        self._open: Counter[tuple[int, str]] = Counter()
        self._waiting_since: int | None = None
        self._states: list[tuple[int, dict[str, Any], int]] = []  # each with its line and size
        self._weight = 0  # bytes of the input
        self._lock = Lock()

    def expect(self, stream: str, line: int) -> None:
        """Note that a record was read whose result is to come."""
        with self._lock:
            self._open[line, stream] += 1

    def done(self, stream: str, line: int) -> None:
        """Note that a record has its result, and that it is written down."""
        with self._lock:
            self._open[line, stream] -= 1
            if self._open[line, stream] <= 0:
                del self._open[line, stream]

    def wait(self, line: int | None) -> None:
        """Note since which line records wait until the end of the input; None if none waits."""
        with self._lock:
            if line is None or self._waiting_since is None:
                self._waiting_since = line

    @property
    def are_to_wait(self) -> bool:
        """Whether records wait until the end of the input, so that no state is true now."""
        return self._waiting_since is not None

    def add(self, state: dict[str, Any], line: int, size: int) -> None:
        """Take a state that was read.

        Args:
            state: The state.
            line: The line of the input that it stood in.
            size: How many bytes that line has.
        """
        if self._first_open() is None:
            self.clear()  # the last one claims as much
        if self._since_then(line):  # none of these is true before the last of them is
            self._weight -= self._states.pop()[2]
        self._states.append((line, state, size))
        self._weight += size

    def _since_then(self, line: int) -> bool:
        """Whether records have waited since before the last state, which another one follows."""
        since = self._waiting_since
        return since is not None and bool(self._states) and since < self._states[-1][0] < line

    @property
    def is_heavy(self) -> bool:
        """Whether the states take much memory."""
        return self._weight >= HEAVY

    def clear(self) -> None:
        """Forget the states: a later one was passed on."""
        self._states.clear()
        self._weight = 0

    def last_true(self) -> dict[str, Any] | None:
        """Return the last state whose records all have their result, if there is one."""
        end = self._first_open()
        true = [state for line, state, _ in self._states if end is None or line < end]
        return true[-1] if true else None

    def _first_open(self) -> int | None:
        """Return the first line of the input of which a record has no result yet."""
        with self._lock:
            lines = [min(self._open)[0]] if self._open else []
            lines += [] if self._waiting_since is None else [self._waiting_since]
            return min(lines, default=None)
