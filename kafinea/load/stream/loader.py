"""Loading the records of a batch: in their order, and several at a time.

A record is written only where it differs from what is stored. Records that may mean the same one
are written one after the other, and each sees what those before it have written. Meanwhile, the
records that follow are looked up (see `look_ahead`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import chain
from typing import Any

from kafinea.client import Record
from kafinea.errors import Code
from kafinea.load.approval.changes import Change, creation_of, deletion_of, update_of
from kafinea.load.context import LoadContext
from kafinea.load.lookup.finder import Found
from kafinea.load.lookup.keys import key_of, listed
from kafinea.load.plan import LoadPlan
from kafinea.load.records import (
    InputRecord,
    MatchedRecord,
    PreparedRecord,
    QueuedRecord,
    RejectedRecord,
    SettledRecord,
)
from kafinea.load.rejecting import reject_unavailable, reject_unforeseen
from kafinea.load.results import FilledIn, Rejected, Rejection, Result, Status, rejected
from kafinea.load.server.server_rules import AMOUNTS
from kafinea.load.stream.approved_writes import ApprovedWrites
from kafinea.load.stream.conflicts import Conflicts
from kafinea.load.stream.files import Files
from kafinea.load.stream.grouping import grouped
from kafinea.load.stream.look_ahead import Batch, LookAheadQueue
from kafinea.load.stream.matcher import Matcher
from kafinea.load.stream.preparer import Preparer
from kafinea.load.stream.record_checks import RecordChecks
from kafinea.load.stream.simulation import SimulatedWrites
from kafinea.load.stream.writes import ServerWrites, Writes

logger = logging.getLogger(__name__)

_UNRESOLVED = "UNRESOLVED_REFERENCE"
_PERHAPS_OTHER_KEY = frozenset({"KEY_ALTERED", "NOT_AS_SENT", "UNKNOWN_OUTCOME"})
"""Rejections of records that may have been written, with another key than they came with."""
_WRITTEN = frozenset({Status.CREATED, Status.UPDATED, Status.DELETED})

Done = Callable[[InputRecord, Mapping[str, Any], Result], None]
"""Is called with each record, the key it was looked for by, and its result."""


class Loader:
    """Loads the records of one stream.

    Args:
        plan: How its records go into their module.
        context: What the streams of the run share.
        done: Is called with each result, in the thread that wrote the record.

    Attributes:
        queue: The records that wait to be loaded.
    """

    def __init__(self, plan: LoadPlan, context: LoadContext, done: Done) -> None:
        self._plan = plan
        self._module = plan.module
        self._context = context
        self._done = done
        self._matcher = matcher = Matcher(plan, context)
        self._preparer = Preparer(plan, context.zone)
        self._checks = RecordChecks(plan, context)
        self._conflicts = conflicts = Conflicts(plan, context)
        self._files = Files(plan, context, conflicts)
        is_dry = context.options.dry_run
        self._writes: Writes = (
            SimulatedWrites(plan, context)
            if is_dry
            else ServerWrites(plan, context, matcher, conflicts)
        )
        if context.approved_plan:
            self._writes = ApprovedWrites(self._writes, plan, context.approved_plan)
        self._plan_notes = context.plan_notes(plan)
        self.queue = LookAheadQueue(
            matcher.look_ahead if matcher.looks_ahead else None,
            is_halved=not plan.refers_to_itself,
        )
        self._key_fields = [key.described for key in plan.keys]
        properties = {known.name: name for name, known in plan.fields.items()}
        shown = [name for name in (plan.id_property, *plan.match_on) if name]
        self._shown = [(name, properties.get(name, name)) for name in shown]
        self._written: set[Any] = set()
        self._may_be_any = False  # it is not known by which key a written record is known now
        self._pauses = context.pauses.count  # when the records of the batch were looked up

    def add(self, record: InputRecord) -> None:
        """Put a record into the queue."""
        self.queue.add(self._preparer.prepare(record))

    def load(self, batch: Batch) -> Iterator[int]:
        """Load the records of a batch; yield how many more have their result, again and again."""
        waiting, found = batch.records, batch.found
        while waiting:
            if (pauses := self._context.pauses.keep()) != self._pauses:
                self._pauses, self._may_be_any, found = pauses, True, {}  # people have worked since
            groups = grouped(self._matcher.match(waiting, found), self._names)
            ready, later = self._part(groups)
            try:
                yield from self._load_groups(ready)
                self._check_what_was_written()
            finally:
                self._note_what_was_not_checked()
            records = sorted(chain.from_iterable(later), key=lambda one: one.input.number)
            waiting, found = [_as_queued(record) for record in records], {}
        self._forget_what_was_found_too_early()

    # In which order

    def _names(self, record: SettledRecord) -> set[Any]:
        """Return all that a record may be known by: its ids and its keys, old and new."""
        if record.prepared and (record.may_match_otherwise or _is_unresolved(record)):
            return self._names_of(record.prepared, record.found)
        return set()

    def _names_of(self, record: PreparedRecord, found: Found) -> set[Any]:
        names: set[Any] = {record.id} if record.id else set()
        rows = found.rows
        names.update(row["id"] for row in rows)
        for place, fields in enumerate(self._key_fields):
            keys = {record.keys[place]} if record.keys[place] else set()
            for row in rows:
                old = [row.get(field.name) for field in fields]
                new = [record.values.get(field.name, row.get(field.name)) for field in fields]
                keys |= {tuple(map(str, key)) for key in (old, new) if all(key)}
            names.update((place, key_of(key, fields)) for key in keys)
        return names

    def _part(self, groups: list[list[SettledRecord]]) -> tuple[list[list[SettledRecord]], ...]:
        """Part the groups that can be loaded from those that wait for others of this batch."""
        if not self._plan.refers_to_itself:
            return groups, []
        ready = [group for group in groups if not any(map(_is_unresolved, group))]
        later = [group for group in groups if any(map(_is_unresolved, group))]
        return (ready, later) if ready else (later, [])

    def _load_groups(self, groups: Sequence[list[SettledRecord]]) -> Iterator[int]:
        """Load the groups: those that may write several at a time, the others at once."""
        sessions = 1 if self._is_serial else self._context.client.max_sessions
        workers = ThreadPoolExecutor(sessions)
        writing: list[Future[int]] = []
        try:
            for group in groups:
                if not self._plan.files and all(map(_is_left, group)):
                    yield self._load_group(group)
                else:
                    self._written.update(*map(self._names, group))
                    writing.append(workers.submit(self._load_group, group))
            for future in writing:
                yield future.result()
        finally:
            workers.shutdown(cancel_futures=True)

    @property
    def _is_serial(self) -> bool:
        """Whether records are written one at a time.

        Servers number documents with a race, and give lines their ids with one: of two records
        with lines that are written at the same time, one may lack lines (measured).
        """
        writes_lines = self._plan.lines_property or not AMOUNTS.isdisjoint(
            known.name for known in self._plan.fields.values()
        )
        has_lines = self._module.is_inventory and bool(writes_lines)
        return has_lines or self._module.name in self._context.options.serial_modules

    def _load_group(self, group: list[SettledRecord]) -> int:
        """Load records that may mean the same one, one after the other."""
        writes = self._plan.files or not all(map(_is_left, group))
        if writes and self._context.pauses.keep() != self._pauses:
            group[:] = self._matcher.match_again(group)
        for position, record in enumerate(group):
            is_last = position + 1 == len(group)
            if isinstance(record, RejectedRecord):
                self._note(record, rejected(record.rejection, id=record.id))
                continue
            result = self._load_record(record)
            if not is_last:
                result = self._writes.check(record, result) or self._load_again(record)
            if not (is_last and self._writes.check_later(record, result)):
                self._note(record, result)
            self._note_written(record, result)
            # A record may be rejected because it is not known what became of it.
            if result.status is not Status.UNCHANGED and not is_last:
                group[position + 1 :] = self._matcher.match_again(group[position + 1 :])
        return len(group)

    def _load_again(self, record: MatchedRecord) -> Result:
        """Load a record that another load has created as well, and that we have deleted again."""
        (again,) = self._matcher.match_again([record])
        if isinstance(again, RejectedRecord):
            return rejected(again.rejection, id=again.id)
        result = self._writes.check(again, self._load_record(again))
        if result is None:
            text = "another load created the same record at the same time: ours was deleted, twice"
            return rejected(Rejection("CREATED_TWICE", f"{text}. Load the record once more"))
        return _with_key(result, again)

    # One record

    def _load_record(self, record: MatchedRecord) -> Result:
        if record.is_left and not self._plan.files:
            return Result(Status.UNCHANGED, id=record.id)
        try:
            with reject_unforeseen(), reject_unavailable(self._context.client):
                if record.input.is_deleted:
                    return self._delete(record)
                if self._plan.files:
                    return self._files.load(record, self._write)
                return self._write(record)
        except Rejected as error:
            return rejected(error.rejection, id=record.prepared.id or record.id)

    def _write(self, record: MatchedRecord) -> Result:
        try:
            return self._update(record, record.stored) if record.stored else self._create(record)
        except Rejected as error:
            # Another load may have created it since, where the server takes a value only once.
            is_taken = error.rejection.code == Code.DUPLICATE and record.prepared.has_key
            if not (isinstance(error, FilledIn) or (is_taken and not record.stored)):
                raise
            (again,) = self._matcher.match_again([record])
            if isinstance(again, RejectedRecord) or not again.stored:
                raise
            return _with_key(self._update(again, again.stored), again)

    def _create(self, record: MatchedRecord) -> Result:
        self._checks.refuse_unwritable("create")
        values = self._context.owners.with_owner(self._module, record.prepared.values)
        self._checks.check_creation(values, record.prepared.lines)
        return _with_change(self._writes.create(record, values), creation_of(record, values))

    def _update(self, record: MatchedRecord, stored: Record) -> Result:
        record_id: str = stored["id"]
        if not (record.changes or record.changed_lines):
            return Result(Status.UNCHANGED, id=record_id)
        self._conflicts.check(record, stored)
        self._checks.refuse_unwritable("update", record_id)
        self._checks.check_update(record_id, record.changes, record.changed_lines)
        return _with_change(self._writes.update(record, record_id), update_of(record))

    def _delete(self, record: MatchedRecord) -> Result:
        options = self._context.options
        if not record.stored or options.append_only or not options.hard_delete:
            return Result(Status.UNCHANGED, id=record.id)
        self._conflicts.check(record, record.stored)
        self._checks.refuse_unwritable("delete", record.id)
        result = self._writes.delete(record, record.stored["id"])
        return _with_change(result, deletion_of(record))

    # Afterwards

    def _check_what_was_written(self) -> None:
        """Check what no answer has shown, a hundred records at a time."""
        for record, result in self._writes.check_all():
            if result and result.id and result.status is Status.UPDATED:
                self._context.own_writes.note(result.id, result.modifiedtime)
            self._note(record, result or self._load_again(record))

    def _note_what_was_not_checked(self) -> None:
        """Note what was written when the run ends before it is checked, and log it."""
        created, updated = self._writes.take_unchecked()
        for record, result in (*created, *updated):
            self._note(record, result)
        if created or updated:
            ids = [str(result.id) for _, result in (*created, *updated)]
            logger.warning(
                "%s: the run ended before %d created and %d updated records were checked: %s. "
                "The updates may have changed fields that were not loaded, and another load may "
                "have created the same records.",
                self._module.name,
                len(created),
                len(updated),
                listed(ids),
            )

    def _note(self, record: SettledRecord, result: Result) -> None:
        values = record.input.record
        key = {name: values.get(source) for name, source in self._shown}
        shown = {name: value for name, value in key.items() if value is not None}
        if isinstance(record, MatchedRecord):
            result = _with_key(result, record)
        if self._plan_notes:
            self._plan_notes.note(record.input, shown, result)
        self._done(record.input, shown, result)

    def _note_written(self, record: MatchedRecord, result: Result) -> None:
        """Let what comes later see what was written."""
        if result.status in _WRITTEN:
            self._writes.note(record, result)
            if result.id:
                self._written.add(result.id)
                self._context.own_writes.note(result.id, result.modifiedtime)
                self._context.forget(result.id, is_deleted=result.status is Status.DELETED)
        elif result.rejection and result.rejection.code in _PERHAPS_OTHER_KEY:
            self._may_be_any = True

    def _forget_what_was_found_too_early(self) -> None:
        """Look up again what may mean a record that was written since it was looked up."""
        if self._written or self._may_be_any:
            self.queue.forget(
                lambda record, found: (
                    self._may_be_any or not self._written.isdisjoint(self._names_of(record, found))
                )
            )
        self._written.clear()
        self._may_be_any = False


def _with_change(result: Result, change: Change) -> Result:
    """Return the result of a write that shows the values before and after."""
    if result.status not in _WRITTEN:
        return result
    before = change.before if result.before is None else result.before
    return replace(result, before=before or None, after=change.after or None)


def _with_key(result: Result, record: MatchedRecord) -> Result:
    """Return a result that shows by which of several keys the record was found, if it was."""
    if record.stored and record.found.matched_on and not result.matched_on:
        return replace(result, matched_on=record.found.matched_on)
    return result


def _as_queued(record: SettledRecord) -> QueuedRecord:
    """Return a record as it was before it was matched."""
    return record.prepared or record if isinstance(record, RejectedRecord) else record.prepared


def _is_unresolved(record: SettledRecord) -> bool:
    return isinstance(record, RejectedRecord) and record.rejection.code == _UNRESOLVED


def _is_left(record: SettledRecord) -> bool:
    """Whether nothing will be written for a record, as far as is known before it is checked."""
    return isinstance(record, RejectedRecord) or record.is_left
