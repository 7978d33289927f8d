"""Concurrent writes of lines, some of which lose a line."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class LineWrites:
    """The concurrent writes of lines.

    Stock servers take line ids from a counter without a lock. Of two concurrent writes, of any
    modules, the later one fails with "Duplicate entry", and its line is lost silently.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        """How long each write takes. 0: none loses a line."""
        self._under_way = 0
        self._lock = threading.Lock()

    @contextmanager
    def write(self) -> Iterator[bool]:
        """One write, from reading the counter; yields whether another one was running."""
        with self._lock:
            self._under_way += 1
            late = self._under_way > 1
        try:
            time.sleep(self._seconds)
            yield late and self._seconds > 0
        finally:
            with self._lock:
                self._under_way -= 1
