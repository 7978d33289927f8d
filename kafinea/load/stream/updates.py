"""The updates of one stream: which go first, and what stops the others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from kafinea.client import Client, Record
from kafinea.describe import LINES, MODIFIED
from kafinea.load.context import LoadContext
from kafinea.load.lookup.finder import NOTHING
from kafinea.load.plan import LoadPlan
from kafinea.load.records import MatchedRecord, WireValues
from kafinea.load.rejecting import reject_unavailable, reject_unforeseen
from kafinea.load.results import (
    CHANGED_SINCE,
    NOT_READABLE,
    OTHERS_CHANGED,
    FilledIn,
    Rejected,
    Rejection,
    Result,
    Status,
    rejected,
)
from kafinea.load.server.server_rules import AMOUNTS, PRICES_MULTIPLIED
from kafinea.load.stream.comparer import may_overwrite
from kafinea.load.stream.conflicts import Conflicts
from kafinea.load.stream.record_checks import refuse_side_effect
from kafinea.load.stream.trial_writes import TrialWrites, owner_in
from kafinea.load.writing.comparing import has_foreign_prices
from kafinea.load.writing.record_updater import RecordUpdater, UnprovenUpdate
from kafinea.load.writing.unintended_changes import (
    changed_meanwhile,
    exposed,
    lines_changed_meanwhile,
)


class Updates:
    """Updates the records of one stream. Threads share it.

    Args:
        plan: How they go into their module.
        context: What the streams of the run share.
        conflicts: Refuses to overwrite what was changed since.
    """

    def __init__(self, plan: LoadPlan, context: LoadContext, conflicts: Conflicts) -> None:
        self._plan = plan
        self._context = context
        self._conflicts = conflicts
        self._method = context.options.update_method
        self._trials = TrialWrites()
        self._unproven: list[tuple[MatchedRecord, UnprovenUpdate]] = []

    def update(self, record: MatchedRecord, record_id: str) -> Result:
        """Update a record, alone when it is the first with such changes.

        Raises:
            Rejected: It was not updated, or not as it was meant to be.
        """
        changes, lines, module = record.changes, record.changed_lines, self._plan.module
        features = {*changes, *([LINES] if lines else []), *owner_in(changes)}
        # Only a full update exposes more than it changes, and what is stored shows what.
        before = None
        if lines or not AMOUNTS.isdisjoint(changes) or not self._updater().revises:
            self._trials.check()
            before = self._updater().retrieve(record_id)
            groups_with_point = self._context.server.formats.grouping_separator == "."
            if module.has_prices and groups_with_point and has_foreign_prices(before):
                refuse_side_effect(self._plan, record_id, PRICES_MULTIPLIED)
            features |= exposed(before, module)
        with self._trials.trying(features) as trial, self._context.gate.session() as session:
            may_alter, stored = self._plan.allows_change, record.stored or {}
            self._context.server.check_numbers(module, changes, stored, may_alter)
            updater = self._updater(session)
            try:
                result = updater.update(
                    record_id,
                    changes,
                    lines,
                    before=None if trial.has_waited else before,
                    loaded=self._loaded(record),
                    is_first=trial.is_first,
                    admit=partial(self._admit, record),
                )
            except Rejected as error:
                self._stop_others(record_id, error.rejection)  # before any of them may begin
                raise
            trial.is_sound = bool(result.changed)
        return result

    def await_proof(self, record: MatchedRecord, result: UnprovenUpdate) -> None:
        """Keep a record whose update is still to be proven, until `prove`."""
        self._unproven.append((record, result))

    def prove(self) -> Iterator[tuple[MatchedRecord, Result]]:
        """Read back what the answers to updates did not show, a hundred records at a time.

        Yields:
            Each of these records, with its result.
        """
        module = self._plan.module
        ids = [result.id or "" for _, result in self._unproven]
        try:
            with reject_unforeseen():
                find = self._context.finder.by_id
                found = find(module.name, ids, module.queryable) if ids else {}
        except Rejected:
            found = dict.fromkeys(ids, NOTHING)  # each is looked at alone
        self._unproven.reverse()  # they are taken from the end, in the order of the input
        while self._unproven:
            record, result = self._unproven.pop()
            yield record, self._proven(record, result, found[result.id or ""].record)

    def prove_now(self, record: MatchedRecord, result: UnprovenUpdate) -> Result:
        """Return the result of one record, as `prove` does for many."""
        return self._proven(record, result, None)

    def take_unproven(self) -> list[tuple[MatchedRecord, UnprovenUpdate]]:
        """Return what is not proven, and forget it."""
        taken, self._unproven = self._unproven, []
        return taken

    def _proven(self, record: MatchedRecord, result: UnprovenUpdate, row: Record | None) -> Result:
        """Return the result of a record; where a query does not prove it, look at it alone."""
        before, record_id = result.whole_before, result.id or ""
        client, loaded = self._context.client, self._loaded(record)
        try:
            with reject_unforeseen(is_sent=True), reject_unavailable(client, record_id):
                if row and self._updater().is_proven(before, row, record.changes):
                    return Result(
                        Status.UPDATED,
                        id=record_id,
                        changed=result.changed,
                        before=result.before,
                        after=result.after,
                        modifiedtime=row.get(MODIFIED),
                    )
                with self._context.gate.session() as session:
                    proven = self._updater(session).prove(before, record.changes, loaded)
                    return replace(proven, after=result.after)
        except Rejected as error:
            self._stop_others(record_id, error.rejection)
            return rejected(replace(error.rejection, id=record_id))

    def _loaded(self, record: MatchedRecord) -> WireValues:
        """Return the loaded values that an update may write where nothing is stored."""
        may_write = self._plan.policies.may_write
        values = record.prepared.values.items()
        return {name: value for name, value in values if may_write(name, is_empty=True)}

    def _admit(self, record: MatchedRecord, before: Record) -> None:
        """Refuse to overwrite what was changed since the record was looked up.

        Raises:
            FilledIn: A field that was empty is not any more.
            Rejected: The stream or the approved plan does not allow it.
        """
        if self._plan.policies.write and (filled_in := self._filled_in(record, before)):
            raise FilledIn(before["id"], filled_in)
        self._conflicts.admit(record, before)
        if self._context.approved_plan and record.stored:
            names = changed_meanwhile(before, record.stored, record.changes, self._plan.module)
            if record.changed_lines and self._plan.lines:
                lines = record.stored_lines
                names += [LINES] * lines_changed_meanwhile(before, lines, self._plan.lines)
            if names:
                text = f"not written: the record is being changed in Kafinea: {', '.join(names)}"
                raise Rejected(CHANGED_SINCE, f"{text}. Do the dry run again", id=before["id"])

    def _filled_in(self, record: MatchedRecord, before: Record) -> list[str]:
        """Return the fields that were empty when the record was looked up, and are not any more."""
        names = [name for name in record.changes if name in record.prepared.values]
        names += [LINES] if record.changed_lines else []
        return [name for name in names if not may_overwrite(self._plan, name, before)]

    def _updater(self, session: Client | None = None) -> RecordUpdater:
        """Return what updates in a session; without one, it can only look."""
        context = self._context
        return RecordUpdater(session or context.client, self._plan, context.server, self._method)

    def _stop_others(self, record_id: str, rejection: Rejection) -> None:
        if rejection.code == OTHERS_CHANGED and rejection.before:
            names = ", ".join(sorted(rejection.before))
            text = f"not sent: the update of {record_id} also changed other fields: {names}"
            self._trials.stop(OTHERS_CHANGED, text)
        elif rejection.code == NOT_READABLE:
            text = f"not sent: after the update of {record_id}, this user may not read it any more"
            self._trials.stop(NOT_READABLE, text)
