"""Which records of a module were deleted, by comparing ids (`scan`) or by the server (`sync`)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dlt_kafinea.settings import Settings
from kafinea import Client
from kafinea.errors import IncompleteRead, Refused
from kafinea.extract.clock import Clock
from kafinea.extract.deletion_scan import DeletionDetector
from kafinea.extract.deletion_sync import INSTEAD, DeletionList, NoSuchOperation
from kafinea.extract.id_snapshots import SnapshotStore

logger = logging.getLogger(__name__)

_SCANNED, _SYNCED = "scanned", "synced"
"""Keys of a resource's state: up to where its deletions are in the destination."""
_FAILURES_OF_ALL = 2
"""When `sync` fails at so many modules and has worked at none, it is not sent for others."""


@dataclass(frozen=True)
class Found:
    """What was found of the records of a module.

    Attributes:
        deleted: Which of them were deleted; false of those that exist again.
        news: What the state contains once that is loaded.
    """

    deleted: Mapping[str, bool]
    news: Mapping[str, Any]


class Deletions:
    """Finds deleted records in one extraction, as the settings require.

    Args:
        settings: The settings.
        client: The connection.
        clock: The server's time zone.
        states: The state of each resource.

    Attributes:
        detector: Compares ids; None if the settings do not require that.
    """

    def __init__(
        self,
        settings: Settings,
        client: Client,
        clock: Clock,
        states: Mapping[str, Mapping[str, Any]],
    ) -> None:
        self._states = states
        self._failures = 0
        self._works = False
        self._list = (
            DeletionList(client, clock.zone, settings.lookback_seconds)
            if settings.deletions == "sync"
            else None
        )
        self.detector = (
            DeletionDetector(
                client,
                SnapshotStore(settings.deletions_path),
                url=client.url,
                user=settings.username.casefold(),
                reported={name: state.get(_SCANNED) for name, state in states.items()},
                page_size=settings.page_size,
                limit=settings.deletions_limit,
            )
            if settings.deletions == "scan"
            else None
        )

    def synced(self, module: str) -> Found | None:
        """Return what the server reports; to be called before the records are read.

        So a record that is read afterwards exists.
        """
        if self._list is None or (self._failures == _FAILURES_OF_ALL and not self._works):
            return None
        deleted: list[str] = []
        bookmark = self._states[module].get(_SYNCED)
        try:
            for ids, reached in self._list.of(module, bookmark):
                deleted += ids
                bookmark = bookmark if reached is None else reached
            self._works = True
        except (IncompleteRead, NoSuchOperation, Refused) as error:
            self._failures += 1
            text = "Deletion detection failed for %s: %s%s"
            hint = f" Only administrators may use `sync`. {INSTEAD}"
            logger.error(text, module, error, hint if isinstance(error, Refused) else "")  # noqa: TRY400 one line is enough
        return Found(dict.fromkeys(deleted, True), {_SYNCED: bookmark})

    def scanned(self, module: str) -> Found | None:
        """Return what the scan found that was made before the records were read."""
        scan = self.detector.done.get(module) if self.detector else None
        if scan is None:
            return None
        deleted: dict[str, bool] = {}
        for change in scan.changes:
            for numbers, is_gone in ((change.gone, True), (change.back, False)):
                deleted |= dict.fromkeys((f"{scan.prefix}x{number}" for number in numbers), is_gone)
        return Found(deleted, {_SCANNED: scan.at.isoformat()})
