"""The writes of one stream: each record is created, updated or deleted, and then checked.

What an answer does not show is checked afterwards, a hundred records in a request: whether another
load has created the same record, and what an update did. A record that is followed by others which
may mean the same one is checked before these.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Protocol

from kafinea.client import Record
from kafinea.errors import Refused
from kafinea.load.context import LoadContext
from kafinea.load.lookup.finder import not_readable
from kafinea.load.plan import LoadPlan
from kafinea.load.records import MatchedRecord
from kafinea.load.rejecting import reject_unforeseen
from kafinea.load.results import CHANGED_SINCE, Rejected, Result, Status, rejection_of
from kafinea.load.stream.conflicts import Conflicts
from kafinea.load.stream.creations import Creations
from kafinea.load.stream.matcher import Matcher
from kafinea.load.stream.updates import Updates
from kafinea.load.writing.comparing import changed_fields
from kafinea.load.writing.record_updater import UnprovenUpdate
from kafinea.load.writing.record_writer import RecordWriter

_Written = tuple[MatchedRecord, Result]


class Writes(Protocol):
    """What writes the records of a stream. `ServerWrites` does; a dry run has `SimulatedWrites`."""

    def create(self, record: MatchedRecord, values: Mapping[str, Any]) -> Result:
        """Create a record.

        Args:
            record: The record.
            values: Its wire values by field name.

        Raises:
            Rejected: It was not created, or not as it was meant to be.
        """

    def update(self, record: MatchedRecord, record_id: str) -> Result:
        """Update a record.

        Raises:
            Rejected: It was not updated, or not as it was meant to be.
        """

    def delete(self, record: MatchedRecord, record_id: str) -> Result:
        """Delete a record.

        Raises:
            Rejected: It was not deleted.
        """

    def note(self, record: MatchedRecord, result: Result) -> None:
        """Note what was written."""

    def check(self, record: MatchedRecord, result: Result) -> Result | None:
        """Return the result of a record that was written, after it was checked.

        Returns:
            None where it is to be loaded again: another load has created the same record.
        """

    def check_later(self, record: MatchedRecord, result: Result) -> bool:
        """Keep a record until `check_all`; return False if there is nothing to check."""

    def check_all(self) -> Iterator[tuple[MatchedRecord, Result | None]]:
        """Check the records that were kept, and yield each with its result, as of `check`."""

    def take_unchecked(self) -> tuple[list[_Written], list[_Written]]:
        """Return what was created and what was updated and not checked, and forget it."""


class ServerWrites:
    """Writes the records of a stream to the server. Threads share it.

    Args:
        plan: How they go into their module.
        context: What the streams of the run share.
        matcher: Looks them up.
        conflicts: Refuses to overwrite what was changed since.
    """

    def __init__(
        self, plan: LoadPlan, context: LoadContext, matcher: Matcher, conflicts: Conflicts
    ) -> None:
        self._plan = plan
        self._context = context
        self._conflicts = conflicts
        self._creations = Creations(plan, context, matcher)
        self._updates = Updates(plan, context, conflicts)

    def create(self, record: MatchedRecord, values: Mapping[str, Any]) -> Result:
        """Create a record; see `Writes`."""
        with reject_unforeseen(is_sent=True):
            return self._creations.create(record, values)

    def update(self, record: MatchedRecord, record_id: str) -> Result:
        """Update a record; see `Writes`."""
        with reject_unforeseen(is_sent=True):
            return self._updates.update(record, record_id)

    def delete(self, record: MatchedRecord, record_id: str) -> Result:
        """Delete a record; see `Writes`."""
        with reject_unforeseen(is_sent=True), self._context.gate.session() as session:
            if self._plan.conflict_on or self._context.approved_plan:
                self._admit_deletion(record, record_id)
            return RecordWriter(session, self._plan, self._context.server).delete(record_id)

    def _admit_deletion(self, record: MatchedRecord, record_id: str) -> None:
        """Look at a record right before it is deleted.

        Raises:
            Rejected: It was changed since the row was extracted, or since it was looked up; or
                that cannot be seen.
        """
        module, stored = self._plan.module, record.stored or {}
        looked_up = {name: stored[name] for name in module.queryable if name in stored}
        find = self._context.finder.alone().by_id
        found = find(module.name, [record_id], list(looked_up))[record_id]
        if why := found.failure or (not_readable() if found.is_only_unreadable else None):
            raise Rejected.of(replace(why, id=record_id))
        now = found.record
        if now is None:  # somebody else has deleted it
            return
        if not now.keys() >= looked_up.keys():
            now = self._retrieved(record_id)
        is_changed = bool(changed_fields(now, looked_up, module.fields))
        if self._context.approved_plan and is_changed:
            text = "not written: the record to be deleted is being changed in Kafinea"
            raise Rejected(CHANGED_SINCE, f"{text}. Do the dry run again", id=record_id)
        self._conflicts.check(record, now)

    def _retrieved(self, record_id: str) -> Record:
        try:
            return self._context.client.retrieve(record_id)
        except Refused as error:
            raise Rejected.of(rejection_of(error, id=record_id)) from None

    def note(self, record: MatchedRecord, result: Result) -> None:
        """Do nothing: the server has it."""

    def check(self, record: MatchedRecord, result: Result) -> Result | None:
        """Check a record at once; see `Writes`."""
        if isinstance(result, UnprovenUpdate):
            return self._updates.prove_now(record, result)
        if _is_to_be_confirmed(record, result):
            return self._creations.confirm_now(record, result)
        return result

    def check_later(self, record: MatchedRecord, result: Result) -> bool:
        """Keep a record until `check_all`; see `Writes`."""
        if isinstance(result, UnprovenUpdate):
            self._updates.await_proof(record, result)
            return True
        if _is_to_be_confirmed(record, result):
            self._creations.await_confirmation(record, result)
            return True
        return False

    def check_all(self) -> Iterator[tuple[MatchedRecord, Result | None]]:
        """Check what was kept; see `Writes`."""
        yield from self._updates.prove()
        yield from self._creations.confirm()

    def take_unchecked(self) -> tuple[list[_Written], list[_Written]]:
        """Return what is not checked; see `Writes`."""
        return self._creations.take_unconfirmed(), [*self._updates.take_unproven()]


def _is_to_be_confirmed(record: MatchedRecord, result: Result) -> bool:
    """Whether another load may have created the same record at the same moment."""
    return result.status is Status.CREATED and record.prepared.has_key
