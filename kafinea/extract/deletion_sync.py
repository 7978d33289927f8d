"""Which records were deleted, by the server's own list of them: the undocumented `sync`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone

from kafinea.client import Client
from kafinea.deletion_feed import Deletions, deleted_since
from kafinea.errors import IncompleteRead, KafineaError, Unavailable
from kafinea.extract.clock import future_of
from kafinea.extract.hidden_records import deleted
from kafinea.values import ServerZone

INSTEAD = "Set `deletions` to `scan`, which works with every server and user."


class NoSuchOperation(KafineaError):
    """The server has no list of deletions, or not for this user."""


@dataclass(frozen=True)
class DeletionList:
    """The deletions that the server knows of.

    Args:
        client: The instance.
        zone: The server's time zone.
        lookback: Seconds to read again before the bookmark.
    """

    client: Client
    zone: ServerZone
    lookback: float

    def of(self, module: str, bookmark: int | None) -> Iterator[tuple[list[str], int | None]]:
        """Yield the deleted records of a module since a bookmark, a page at a time.

        Args:
            module: The module.
            bookmark: Seconds since 1970; None for all.

        Yields:
            Ids, and the bookmark after them; None where it stays.

        Raises:
            Refused: The user may not ask.
            NoSuchOperation: The server fails at it.
            IncompleteRead: The server repeats the same page.
        """
        since, reached = self._since(bookmark), bookmark or 0
        while True:
            page = self._page(module, since)
            ids = [*deleted(self.client.query, module, page.ids)]
            if page.until > future_of(self.client.server_time(), self.lookback).timestamp():
                yield ids, None
                return  # a record dated in the future must not hide what is deleted until then
            reached = max(reached, page.until)
            yield ids, reached
            if not page.more:
                return
            if page.until <= since:
                raise IncompleteRead(f"sync of {module}: the server repeats the same page.")
            since = page.until

    def _page(self, module: str, since: int) -> Deletions:
        try:
            return deleted_since(self.client, module, since)
        except Unavailable as error:
            raise NoSuchOperation(
                f"{error} Many servers do not have `sync`, or it fails there. {INSTEAD}"
            ) from None

    def _since(self, bookmark: int | None) -> int:
        """Return from when on to ask; 0 is no moment for the server.

        As `modifiedtime` is in passes, some seconds are read again, and the hour that the clock
        shows twice.
        """
        if bookmark is None:
            return 1
        wire = self.zone.wire(datetime.fromtimestamp(bookmark, timezone.utc))
        earlier = self.zone.earlier(wire, max(self.lookback, 1))
        return max(int(self.zone.aware(earlier).timestamp()), 1)
