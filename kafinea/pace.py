"""How many requests a client sends in a minute, evenly: people may work in the instance."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from kafinea.errors import SettingsError

_MINUTE = 60.0


class Pace:
    """Gives each request its turn. Threads share it.

    Args:
        per_minute: How many requests may be sent in a minute; None for any number.
        wait: Waits so many seconds.
        clock: Gives seconds that only grow.

    Raises:
        SettingsError: The number is less than 1.
    """

    def __init__(
        self,
        per_minute: int | None,
        wait: Callable[[float], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if per_minute is not None and per_minute < 1:
            raise SettingsError("`max_requests_per_minute` must be 1 or more.")
        self._interval = _MINUTE / per_minute if per_minute else 0.0
        self._wait = wait
        self._clock = clock
        self._next = 0.0
        self._lock = threading.Lock()

    def await_turn(self) -> None:
        """Wait until one more request may be sent."""
        if not self._interval:
            return
        with self._lock:
            now = self._clock()
            turn = max(now, self._next)
            self._next = turn + self._interval
        if turn > now:
            self._wait(turn - now)
