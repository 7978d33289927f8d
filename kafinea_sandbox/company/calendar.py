"""The working time of the demo company: nothing happens at night and on weekends.

A moment is a whole number of working seconds since the first day. It becomes text by two
look-ups, which is what lets a million records be written in seconds.
"""

from __future__ import annotations

from datetime import datetime, timedelta

YEARS = 3
OPENS = 7 * 3600
DAY = 12 * 3600
"""Seconds in a working day: from 7:00 to 19:00, UTC."""

_AHEAD = 800
"""The most calendar days by which a date can be after the last day."""

_WEEKDAYS = 5
_TIMES = tuple(
    f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"
    for second in range(OPENS, OPENS + DAY)
)


def days(calendar_days: float) -> int:
    """Working seconds in a number of calendar days."""
    return int(calendar_days * DAY * _WEEKDAYS / 7)


class Calendar:
    """The working days of the last three years, up to `now`."""

    def __init__(self, now: datetime) -> None:
        first = now.date() - timedelta(days=365 * YEARS)
        last = (now.date() - first).days
        dates = [first + timedelta(days=n) for n in range(last + _AHEAD)]
        self._dates = [date.isoformat() for date in dates]
        # Today counts even on a Sunday: a new sandbox contains records of today.
        self._days = [n for n in range(last + 1) if dates[n].weekday() < _WEEKDAYS or n == last]
        since_opening = now.hour * 3600 + now.minute * 60 + now.second - OPENS
        self.end = (len(self._days) - 1) * DAY + min(max(since_opening, -1), DAY - 1)
        """The last working second that is not after `now`."""

    def stamp(self, moment: int) -> str:
        """The moment as 'YYYY-MM-DD HH:MM:SS'."""
        return f"{self._dates[self._days[moment // DAY]]} {_TIMES[moment % DAY]}"

    def date(self, moment: int, plus: int = 0) -> str:
        """The day of the moment, plus a number of calendar days."""
        return self._dates[self._days[moment // DAY] + plus]
