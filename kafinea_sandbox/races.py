"""Writes of lines that get in each other's way."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class LineWrites:
    """The writes of lines that are under way.

    Stock servers take line ids from a counter without a lock: of two writes at the same time, of
    whatever modules, the later one meets "Duplicate entry", and its line is dropped in silence.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        """How long each one takes; 0: they do not race."""
        self._under_way = 0
        self._lock = threading.Lock()

    @contextmanager
    def one(self) -> Iterator[bool]:
        """One write, from reading the counter on; whether another one was under way."""
        with self._lock:
            self._under_way += 1
            late = self._under_way > 1
        try:
            time.sleep(self._seconds)
            yield late and self._seconds > 0
        finally:
            with self._lock:
                self._under_way -= 1
