"""Which states may be passed on: those whose records all have their result."""

from __future__ import annotations

from threading import Lock
from typing import Any

from kafinea.load.stream.look_ahead import HEAVY


class States:
    """The states that were read and not passed on, and the records without a result.

    The SDK writes a state when everything before it is loaded. When a run breaks off, `last_true`
    is the last one that can still be written. Threads share it.
    """

    def __init__(self) -> None:
        self._open: set[tuple[int, str]] = set()
        self._states: list[tuple[int, dict[str, Any]]] = []
        self._weight = 0  # bytes of the input
        self._lock = Lock()

    def expect(self, stream: str, line: int) -> None:
        """Note that a record was read whose result is to come."""
        with self._lock:
            self._open.add((line, stream))

    def done(self, stream: str, line: int) -> None:
        """Note that a record has its result, and that it is written down."""
        with self._lock:
            self._open.discard((line, stream))

    def add(self, state: dict[str, Any], line: int, size: int) -> None:
        """Take a state that was read.

        Args:
            state: The state.
            line: The line of the input that it stood in.
            size: How many bytes that line has.
        """
        if self._first_open() is None:
            self.clear()  # the last one claims as much
        self._states.append((line, state))
        self._weight += size

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
        true = [state for line, state in self._states if end is None or line < end]
        return true[-1] if true else None

    def _first_open(self) -> int | None:
        """Return the first line of the input whose record has no result yet."""
        with self._lock:
            return min(self._open)[0] if self._open else None
