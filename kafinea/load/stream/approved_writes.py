"""Writing only what an approved plan contains."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kafinea.load.approval.approved_plan import ApprovedPlan
from kafinea.load.approval.changes import Change, creation_of, deletion_of, update_of
from kafinea.load.approval.inputs import InputDigests
from kafinea.load.approval.intended_writes import IntendedWrite
from kafinea.load.approval.stored_values import StoredValues
from kafinea.load.plan import LoadPlan
from kafinea.load.records import MatchedRecord
from kafinea.load.results import Result, Status
from kafinea.load.stream.writes import Writes


class ApprovedWrites:
    """Stands before other writes, and lets through what the plan contains; see `Writes`.

    Args:
        writes: What writes.
        plan: How the records of the stream go into their module.
        approved: The approved plan.
    """

    def __init__(self, writes: Writes, plan: LoadPlan, approved: ApprovedPlan) -> None:
        self._writes = writes
        self._approved = approved
        self._digests = InputDigests(plan)
        self._values = StoredValues(plan)

    def create(self, record: MatchedRecord, values: Mapping[str, Any]) -> Result:
        """Create a record, if it is planned."""
        if not self._allows(record, Status.CREATED, None, creation_of(record, values)):
            return Result(Status.UNCHANGED)
        result = self._writes.create(record, values)
        if result.id:
            self._approved.note_created(self._digests.of(record.input), result.id)
        return result

    def update(self, record: MatchedRecord, record_id: str) -> Result:
        """Update a record, if it is planned."""
        if not self._allows(record, Status.UPDATED, record_id, update_of(record)):
            return Result(Status.UNCHANGED, id=record_id)
        return self._writes.update(record, record_id)

    def delete(self, record: MatchedRecord, record_id: str) -> Result:
        """Delete a record, if it is planned."""
        if not self._allows(record, Status.DELETED, record_id, deletion_of(record)):
            return Result(Status.UNCHANGED, id=record_id)
        return self._writes.delete(record, record_id)

    def note(self, record: MatchedRecord, result: Result) -> None:
        """Note what was written."""
        self._writes.note(record, result)

    def check(self, record: MatchedRecord, result: Result) -> Result | None:
        """Return the result of a record after it was checked."""
        return self._writes.check(record, result)

    def check_later(self, record: MatchedRecord, result: Result) -> bool:
        """Keep a record until `check_all`."""
        return self._writes.check_later(record, result)

    def check_all(self) -> Iterator[tuple[MatchedRecord, Result | None]]:
        """Check what was kept."""
        return self._writes.check_all()

    def take_unchecked(
        self,
    ) -> tuple[list[tuple[MatchedRecord, Result]], list[tuple[MatchedRecord, Result]]]:
        """Return what is not checked."""
        return self._writes.take_unchecked()

    def _allows(
        self, record: MatchedRecord, status: Status, record_id: str | None, change: Change
    ) -> bool:
        write = IntendedWrite(self._digests.of(record.input), status, record_id, change)
        return self._approved.allows(write, self._values)
