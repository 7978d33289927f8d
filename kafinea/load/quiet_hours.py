"""Quiet hours: nothing is written while people work in the instance."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, time, timedelta, timezone

from kafinea.errors import SettingsError
from kafinea.values import ServerZone

logger = logging.getLogger(__name__)

_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)", re.ASCII)
_LONGEST_WAIT = 60.0  # seconds; a machine that was asleep, or whose clock was set, looks again


@dataclass(frozen=True)
class QuietHours:
    """A time of each day.

    Attributes:
        begin: When it begins.
        end: When it ends; on the next day, if that is earlier.
    """

    begin: time
    end: time

    @classmethod
    def parse(cls, text: str) -> QuietHours:
        """Return the hours in a text such as `08:00-18:00`.

        Raises:
            SettingsError: It has no such form, or they never end.
        """
        if not (match := _HOURS.fullmatch(text)) or match.group(1, 2) == match.group(3, 4):
            raise SettingsError(
                f"`quiet_hours` {text!r} must be two different times of day, such as 08:00-18:00."
            )
        first, second, third, fourth = map(int, match.groups())
        return cls(time(first, second), time(third, fourth))

    def ending_of(self, now: datetime) -> datetime | None:
        """Return when the hours end in which a moment is, in its zone; None if it is in none."""
        clock = now.time().replace(tzinfo=None)
        if self.begin < self.end:
            is_quiet, is_tomorrow = self.begin <= clock < self.end, False
        else:
            is_quiet, is_tomorrow = not self.end <= clock < self.begin, clock >= self.begin
        day = now.date() + timedelta(days=is_tomorrow)
        return datetime.combine(day, self.end, now.tzinfo) if is_quiet else None


def _now() -> datetime:
    return datetime.now(timezone.utc)


class Pauses:
    """Holds the writes of a run until the quiet hours are over. Threads share it.

    Args:
        hours: The quiet hours, if there are any.
        zone: The zone that they are in.
        wait: Waits so many seconds.
        now: Gives the time.

    Attributes:
        count: How many pauses there were. What was looked up before the last one may be outdated.
    """

    def __init__(
        self,
        hours: QuietHours | None,
        zone: ServerZone,
        wait: Callable[[float], None],
        now: Callable[[], datetime] = _now,
    ) -> None:
        self._hours = hours
        self._zone = zone
        self._wait = wait
        self._now = now
        self._waiting = threading.Lock()
        self.count = 0

    def keep(self) -> int:
        """Wait until the quiet hours are over; return `count`."""
        with self._waiting:  # the first thread waits, the others wait for it
            if ending := self._ending():
                logger.info(
                    "Quiet hours: nothing is written until %s. The run waits.",
                    ending.strftime("%Y-%m-%d %H:%M %Z"),
                )
                while ending := self._ending():
                    left = (ending - self._zone.moment(self._now())).total_seconds()
                    self._wait(min(max(left, 1.0), _LONGEST_WAIT))
                self.count += 1
                logger.info("The quiet hours are over. The run writes again.")
            return self.count

    def _ending(self) -> datetime | None:
        return self._hours.ending_of(self._zone.moment(self._now())) if self._hours else None
