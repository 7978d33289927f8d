"""Scans: which records were deleted, found by comparing a module's ids with those known before.

No deletion of a record that the warehouse has may be lost. So a module is scanned right before its
records are written out, and those that the scan did not have are noted as well. What a scan finds
is in the file before it is reported, and stays there; the state keeps up to which scan it was
reported. A run that ends anywhere between leads to the same records being reported again.
"""

from __future__ import annotations

import logging
from array import array
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any

from kafinea.client import Client
from kafinea.errors import IncompleteRead, KafineaError, Refused, Unavailable
from kafinea.extract.checkpoint import now
from kafinea.extract.hidden_records import Brake, Withheld, deleted
from kafinea.extract.id_snapshots import IF_LOST, Change, IdSnapshot, SnapshotStore
from kafinea.module_reader import ModuleReader
from kafinea.page_query import Page, number
from kafinea.parsing import moment
from kafinea.progress import Progress
from kafinea.recovery import Recovery

logger = logging.getLogger(__name__)

_TICK = timedelta(microseconds=1)

TrackIds = Callable[[Page], None]
"""Takes note of the ids of records before they are written."""


@dataclass(frozen=True)
class Scan:
    """A scan that is complete.

    Attributes:
        at: When it was.
        prefix: The part before the x of the module's ids.
        changes: What it and scans before it found, and was not reported yet.
    """

    at: datetime
    prefix: str
    changes: list[Change]


class IdsLost(KafineaError):
    """The ids of the last scan are gone, so nothing can be compared with them."""


class DeletionDetector:
    """Scans modules, and keeps what they find.

    Args:
        kafinea: The client.
        store: Where the ids are kept.
        url: The instance, as the files name it.
        user: The user, as the files name them.
        reported: For each module, the time of the last scan whose findings were reported, from the
            state.
        page_size: Ids to request at a time.
        limit: Maximum percentage of a module's records that are reported at once.
        limit_setting: How messages name the setting of this limit.

    Attributes:
        done: The scans of this run, by module.
        failures: What went wrong, by module.
    """

    def __init__(
        self,
        kafinea: Client,
        store: SnapshotStore,
        *,
        url: str,
        user: str,
        reported: Mapping[str, Any],
        page_size: int,
        limit: float,
        limit_setting: str = "`deletions_limit`",
    ) -> None:
        self.done: dict[str, Scan] = {}
        self.failures: dict[str, KafineaError] = {}
        self._lost: set[str] = set()
        self._kafinea = kafinea
        self._store = store
        self._url, self._user = url, user
        self._reported = reported
        self._page_size = page_size
        self._brake = Brake(kafinea, user, limit, limit_setting)

    def scan(self, module: str) -> IdTracker:
        """Scan a module, and return what tracks the records that are then written.

        Raises:
            SettingsError: `deletions_path` cannot be used.
        """
        known = self._scan(module)
        return IdTracker(known, partial(self._add, module), saves_each_page=module in self.done)

    def _scan(self, module: str) -> Sequence[int]:
        """Return the ids that are known of a module, now that it is scanned if that is possible."""
        known = self._load(module)
        try:
            there = self._read(module)
            if there is not None:
                known = self._compared(known, there)
        except (Refused, IncompleteRead, Unavailable, Withheld, IdsLost) as error:
            if isinstance(error, Unavailable):
                self._kafinea.listtypes()  # fails as well when the server is away
            # A matter of this module alone: the others are scanned, and the run fails at its end.
            self.failures[module] = error
            logger.error("Deletion detection failed for %s: %s", module, error)  # noqa: TRY400 one line is enough
        return array("Q", known.ids if known else [])

    def _read(self, module: str) -> IdSnapshot | None:
        """Return the ids that there are; None when they are not all."""
        reading = ModuleReader(
            self._kafinea,
            module,
            ["id"],
            page_size=self._page_size,
            sessions=self._kafinea.max_sessions,
            recovery=Recovery(self._kafinea, module),
        )
        there = self._nothing_known(module)
        pages = iter(reading)
        page = next(pages, [])  # which counts
        with Progress(f"Ids of {module}", reading.total, logger) as progress:
            while page:
                there.append(record["id"] for record in page)
                progress.advance(len(page))
                page = next(pages, [])
        if not reading.unreadable:
            return there
        logger.warning(
            "Deletion detection skipped for %s: %s records cannot be read by this user and would "
            "look deleted. Use a user who can read all records.",
            module,
            f"{reading.unreadable:,}",
        )
        return None

    def _compared(self, known: IdSnapshot | None, there: IdSnapshot) -> IdSnapshot:
        """Return what is known now, stored, and note that this scan is done."""
        module, reported = there.module, self._reported_at(there.module)
        if known is None and reported:
            self._lost.add(module)
            raise IdsLost(
                f"`deletions_path` has no ids of {module}, but the state says that they were "
                f"stored there at {reported:%Y-%m-%d %H:%M} UTC. Deletions since then would never "
                f"be reported. Restore the folder, or correct its path. {IF_LOST}"
            )
        changes = known.changes if known else []
        at = max(
            [
                now(),
                *(change.at + _TICK for change in changes),
                *([reported + _TICK] if reported else []),
            ]
        )
        if known is None:
            known = there
            self._store.save(known)
        elif self._takes_in(known, there, at):
            self._store.save(known)
        news = [change for change in known.changes if reported is None or change.at > reported]
        self.done[module] = Scan(at, known.prefix, news)
        return known

    def _takes_in(self, known: IdSnapshot, there: IdSnapshot, at: datetime) -> bool:
        """Compare, and return whether anything is new."""
        if there.prefix:
            known.take_prefix(there.prefix)
        before, present = known.ids, set(there.ids)
        looked_for = sorted({*before, *known.hidden}) if self._brake.is_off else before
        absent = [
            f"{known.prefix}x{id_number}" for id_number in looked_for if id_number not in present
        ]
        missing = [*deleted(self._kafinea.query, known.module, absent)]
        hidden = self._hidden_of(known, missing)
        gone = {*map(number, missing)} - hidden
        back = known.gone & present
        known.ids = sorted(present.union(map(number, absent)) - gone - hidden)
        known.hidden = sorted(hidden.union(known.hidden) - present - gone)
        known.change(at, gone, back)
        return bool(gone or back or known.ids != before)

    def _hidden_of(self, known: IdSnapshot, missing: Sequence[str]) -> set[int]:
        """Return those of some missing records that this user only may not see any more.

        Raises:
            Withheld: There are too many to find out.
        """
        missing = sorted(missing, key=number)
        hidden = self._brake.hidden(known.module, missing, known=len(known.ids))
        if hidden:
            logger.warning(
                "%s: user %r may no longer see %s records, such as %s. They are not reported as "
                "deleted, and their rows stay as they are. %s",
                known.module,
                self._user,
                f"{len(hidden):,}",
                hidden[0],
                self._brake.how_to_let_through,
            )
        return {*map(number, hidden)}

    def _add(self, module: str, ids: Sequence[str]) -> None:
        """Add ids to those that are known of a module."""
        if module in self._lost:
            return  # the next scan would take a file with these alone for all ids
        known = self._load(module) or self._nothing_known(module)
        known.add(ids)
        self._store.save(known)

    def _load(self, module: str) -> IdSnapshot | None:
        return self._store.load(self._url, self._user, module)

    def _nothing_known(self, module: str) -> IdSnapshot:
        return IdSnapshot(self._url, self._user, module)

    def _reported_at(self, module: str) -> datetime | None:
        text = self._reported.get(module)
        return moment(text).astimezone(timezone.utc) if text else None


class IdTracker:
    """Keeps the ids of the records that are written after the scan of their module.

    Records may be created after the scan, or deleted before it and written all the same.

    Args:
        known: The ids that the file has, ascending.
        add: Adds ids to the file.
        saves_each_page: Whether the file must have the ids of a page before it is written: then
            they are few, and no state may contain them before the file does. Else they are added
            at the end.
    """

    def __init__(
        self, known: Sequence[int], add: Callable[[Sequence[str]], None], *, saves_each_page: bool
    ) -> None:
        self._known = known
        self._add = add
        self._saves_each_page = saves_each_page
        self._unsaved: list[str] = []

    def __enter__(self) -> TrackIds:
        return self.track

    def __exit__(self, *_: object) -> None:
        self._save()

    def track(self, page: Page) -> None:
        """Take note of the records of a page, before they are written."""
        written = (record["id"] for record in page)
        self._unsaved += [
            record_id for record_id in written if not _is_in(self._known, number(record_id))
        ]
        if self._saves_each_page:
            self._save()

    def _save(self) -> None:
        if self._unsaved:
            self._add(self._unsaved)
            self._unsaved = []


def _is_in(ids: Sequence[int], id_number: int) -> bool:
    place = bisect_left(ids, id_number)
    return place < len(ids) and ids[place] == id_number
