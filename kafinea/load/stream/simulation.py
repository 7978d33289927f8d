"""A dry run: what takes the place of the writes.

Everything is looked up, compared and checked as in a real run. Where that would write, these
classes note in `SimulatedRecords` what would be there, so that later records find it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from kafinea.client import Client
from kafinea.describe import LINES
from kafinea.load.context import LoadContext
from kafinea.load.plan import LoadPlan
from kafinea.load.records import MatchedRecord
from kafinea.load.results import Rejection, Result, SimulatedCreation, Status
from kafinea.load.stream.record_files import RecordFile


class SimulatedWrites:
    """Takes the place of `ServerWrites`.

    Args:
        plan: How the records of the stream go into their module.
        context: What the streams of the run share.
    """

    def __init__(self, plan: LoadPlan, context: LoadContext) -> None:
        self._plan = plan
        self._module = plan.module
        self._context = context

    def create(self, record: MatchedRecord, values: Mapping[str, Any]) -> Result:  # noqa: ARG002 as of `Writes`
        """Return what a creation would give."""
        new_id = self._context.simulated.new_id(self._module)
        return SimulatedCreation(Status.CREATED, provisional_id=new_id)

    def update(self, record: MatchedRecord, record_id: str) -> Result:
        """Return what an update would give.

        Raises:
            Rejected: The server is known to change a number of it.
        """
        changes = record.changes
        stored, may_alter = record.stored or {}, self._plan.allows_change
        self._context.server.check_numbers(self._module, changes, stored, may_alter)
        changed = (*changes, LINES) if record.changed_lines else tuple(changes)
        return Result(Status.UPDATED, id=record_id, changed=changed)

    def delete(self, record: MatchedRecord, record_id: str) -> Result:  # noqa: ARG002 as of `Writes`
        """Return what a deletion would give."""
        return Result(Status.DELETED, id=record_id)

    def note(self, record: MatchedRecord, result: Result) -> None:
        """Let what follows find a record as it would have been written."""
        is_deleted = result.status is Status.DELETED
        written = record.changes if record.stored else record.prepared.values
        values = None if is_deleted else {**(record.stored or {}), **written}
        lines = None if record.stored and not record.changed_lines else record.prepared.lines
        new_id = result.provisional_id if isinstance(result, SimulatedCreation) else None
        record_id = self._context.simulated.put(self._module, new_id or result.id, values, lines)
        self._context.existing.note(record_id, exists=not is_deleted)

    def check(self, record: MatchedRecord, result: Result) -> Result | None:  # noqa: ARG002 as of `Writes`
        """Return the result: there is nothing to check."""
        return result

    def check_later(self, record: MatchedRecord, result: Result) -> bool:  # noqa: ARG002 as of `Writes`
        """Return that the result is final."""
        return False

    def check_all(self) -> Iterator[tuple[MatchedRecord, Result | None]]:
        """Yield nothing."""
        return iter(())

    def take_unchecked(
        self,
    ) -> tuple[list[tuple[MatchedRecord, Result]], list[tuple[MatchedRecord, Result]]]:
        """Return nothing."""
        return [], []


class SimulatedUploads:
    """Takes the place of `ServerUploads`.

    Args:
        context: What the streams of the run share.
    """

    def __init__(self, context: LoadContext) -> None:
        self._client = context.client

    def check_support(self) -> None:
        """Do nothing: to find out, something would be sent."""

    def session(self) -> AbstractContextManager[Client]:
        """Return what to look in."""
        return nullcontext(self._client)

    def upload(self, session: Client, record_id: str, file: RecordFile) -> None:
        """Do nothing."""

    def relate(self, session: Client, source: str, document_id: str) -> None:
        """Do nothing."""


class SimulatedListWrites:
    """Takes the place of `ServerListWrites`."""

    def __init__(self) -> None:
        self._pairs: set[tuple[str, str]] = set()

    def add(self, source: str, missing: Sequence[str]) -> dict[str, Rejection]:
        """Note the records that would be in the list of a source; none fails."""
        self._pairs.update((source, related) for related in missing)
        return {}

    def added(self, source: str, related: Iterable[str]) -> set[str]:
        """Return those of the records that would be in the list of a source."""
        return {one for one in related if (source, one) in self._pairs}
