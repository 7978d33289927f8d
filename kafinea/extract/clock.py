"""Whether `timezone` is set, is the one of the last run, and can be right.

The server writes date-times without a zone, and no answer names its zone: the `time_zone` of the
login is the user's own.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from threading import Lock

from kafinea.extract.checkpoint import Checkpoint, now
from kafinea.parsing import moment
from kafinea.shown import shown
from kafinea.values import ServerZone

logger = logging.getLogger(__name__)

_CLOCKS_DIFFER = timedelta(minutes=5)
_MOST = timedelta(hours=26)
"""What two zones differ by at most. A record further in the future has a wrong date instead."""

_A_DAY = timedelta(days=1)


def future_of(server_time: datetime | None, lookback: float) -> datetime:
    """Return from when on a record is dated in the future: a bookmark there would hide changes.

    It is a day from now where the server's time is unknown, or wrong by more than that.

    Args:
        server_time: The server's time, if it is known.
        lookback: How many seconds before a bookmark are read again, so that they hide nothing.
    """
    if server_time is None or abs(server_time - now()) > _A_DAY:
        return now() + _A_DAY
    return server_time + timedelta(seconds=lookback)


class Clock:
    """The time zone of a run.

    Args:
        name: The setting; None if it is not set.
        server_time: Returns the server's time, if it is known.
        setting: How messages name the setting.
        full_refresh: What messages recommend to extract streams again, from the beginning.
    """

    def __init__(
        self,
        name: str | None,
        server_time: Callable[[], datetime | None],
        *,
        setting: str = "`timezone`",
        full_refresh: str = "extract them once more without their checkpoints",
    ) -> None:
        self.name = name or "UTC"
        self.zone = ServerZone(self.name)
        self._is_set = bool(name)
        self._server_time = server_time
        self._setting, self._full_refresh = setting, full_refresh
        self._lock = Lock()
        self._is_doubted = False

    def begin(self, dated: Mapping[str, Checkpoint]) -> None:
        """Warn when the setting is missing, or is another than in the last run.

        Args:
            dated: Where the incremental streams that will be read stand, by name.
        """
        if not self._is_set:
            logger.warning(
                "`timezone` is not set, so the server's date-times are read as UTC. Save a record "
                "in Kafinea, extract it, and compare its `modifiedtime` with your clock. If they "
                "differ, set %s to the zone of the server, such as Europe/Paris. If they are "
                "equal, set it to UTC.",
                self._setting,
            )
        self._warn_of_the_future(dated)
        zones = {name: checkpoint.timezone for name, checkpoint in dated.items()}
        shifted = {name: zone for name, zone in zones.items() if zone and zone != self.name}
        if shifted:
            logger.warning(
                "`timezone` is %s, and was %s in the last run. Rows that were loaded before keep "
                "date-times with the old offset until they change again: %s. To correct these "
                "rows, %s.",
                self.name,
                " or ".join(sorted(set(shifted.values()))),
                ", ".join(sorted(shifted)),
                self._full_refresh,
            )

    def _warn_of_the_future(self, dated: Mapping[str, Checkpoint]) -> None:
        """Name the streams whose bookmark lies so far ahead that they have nothing to read."""
        for name, checkpoint in dated.items():
            value = checkpoint.bookmark
            if value and self.zone.moment(moment(value)) > now() + _MOST:
                logger.warning(
                    "%s: the bookmark in the state is %s, which is in the future. No changes are "
                    "extracted until then. To extract the stream again, remove the entry of %s "
                    "from the state.",
                    name,
                    shown(value),
                    name,
                )

    def future(self, lookback: float) -> datetime:
        """Return from when on a record is dated in the server's future: see `future_of`.

        Where the zone may be wrong, a record that was saved just now may be hours ahead.
        """
        return future_of(self._server_time() if self._is_set else None, lookback)

    def check(self, module: str, newest: str) -> None:
        """Warn once when a date-time is ahead of the server's clock. Any thread may call it.

        Args:
            module: Where it was found.
            newest: The newest `modifiedtime`, as the server writes it.
        """
        ahead = self._ahead(newest)
        with self._lock:
            if self._is_doubted or not _CLOCKS_DIFFER < ahead <= _MOST:
                return
            self._is_doubted = True
        logger.warning(
            "`timezone` looks wrong: read as %s, the newest `modifiedtime` of %s is %s (h:mm) "
            "ahead of the server's clock. Set %s to a zone that is at least that far ahead of %s.",
            self.name,
            module,
            str(ahead).rpartition(":")[0],
            self._setting,
            self.name,
        )

    def _ahead(self, wire: str) -> timedelta:
        """Return by how much a date-time is ahead of the server's clock, if that is known."""
        time = self._server_time()
        try:
            return self.zone.aware(wire) - time if time else timedelta(0)
        except ValueError:  # a zero date
            return timedelta(0)
