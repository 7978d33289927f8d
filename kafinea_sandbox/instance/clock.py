"""The server's clock, which tests can move and stop."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo


class Clock:
    """The time in seconds, and as the text that the database stores."""

    def __init__(self, zone: str = "UTC") -> None:
        self.zone = ZoneInfo(zone)
        self._frozen: datetime | None = None
        self._offset = timedelta(0)

    def set(self, moment: datetime | None, *, running: bool = False) -> None:
        """Stop the clock at a time, let it run from there, or (None) show the real time again.

        A time without a zone is in the server's own.
        """
        if moment is not None and moment.tzinfo is None:
            moment = moment.replace(tzinfo=self.zone)
        self._frozen = None if running else moment
        self._offset = moment - _real() if moment and running else timedelta(0)

    def now(self) -> datetime:
        """The time in the server's zone."""
        return (self._frozen or _real() + self._offset).astimezone(self.zone)

    def seconds(self) -> int:
        """Unix time."""
        return int(self.now().timestamp())

    def text(self, seconds: float | None = None) -> str:
        """A time, now by default, as stored: whole seconds in the server's zone, without offset."""
        moment = self.now() if seconds is None else datetime.fromtimestamp(seconds, self.zone)
        return moment.strftime("%Y-%m-%d %H:%M:%S")

    def unix(self, text: str) -> int:
        """The Unix time of a stored text."""
        moment = datetime.strptime(text, "%Y-%m-%d %H:%M:%S")  # noqa: DTZ007 - set below
        return int(moment.replace(tzinfo=self.zone).timestamp())


def _real() -> datetime:
    return datetime.now(timezone.utc)
