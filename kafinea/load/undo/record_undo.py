"""Taking back what a load did with one record."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from kafinea.client import Client, Record
from kafinea.describe import LINES
from kafinea.errors import IncompleteRead, Refused
from kafinea.load.context import LoadContext
from kafinea.load.lookup.finder import NOTHING, not_readable
from kafinea.load.plan import LoadPlan, module_of_lines
from kafinea.load.records import InputRecord, MatchedRecord, PreparedRecord
from kafinea.load.rejecting import reject_unavailable, reject_unforeseen
from kafinea.load.results import Rejected
from kafinea.load.server.server_rules import is_sent, side_effects
from kafinea.load.stream.conflicts import Conflicts
from kafinea.load.stream.updates import Updates
from kafinea.load.undo.notes import Change, History, UndoNotes
from kafinea.load.undo.referrers import Referrers
from kafinea.load.undo.reversal import (
    OtherRecords,
    Reversal,
    changed_since,
    lines_to_write,
    required_and_not_kept,
    reversal,
    touched,
    unlike,
    wire,
)
from kafinea.load.undo.undone import Action, Conflict, Undone
from kafinea.load.writing.comparing import full_element
from kafinea.load.writing.new_records import Sought, find_new, highest_number
from kafinea.load.writing.record_updater import UnprovenUpdate
from kafinea.load.writing.record_writer import RecordWriter
from kafinea.load.writing.unintended_changes import other_changes
from kafinea.refusals import is_refused
from kafinea.suggestions import listed

_FILES = "imageattachmentids"
_FILE_SENT = "the load has sent it a file, which the API cannot take back"


class RecordUndo:
    """Takes back what a load did, record by record. Threads share it.

    Args:
        context: The instance, and what was learned of it.
        notes: The undo file.

    Attributes:
        gone: The records that do not exist any more; in a dry run, that would not.
    """

    def __init__(self, context: LoadContext, notes: UndoNotes) -> None:
        self._context = context
        self._notes = notes
        self._user = notes.header.user if notes.header else ""
        self._others = OtherRecords(frozenset(), notes.recreated)
        linked = {frozenset((one.id, one.related)) for one in notes.links}
        self._referrers = Referrers(context.client, context.modules, linked, context.lookups.map)
        self._referred: dict[str, set[str]] = {}
        self._plans: dict[str, LoadPlan] = {}
        self._updates: dict[str, Updates] = {}
        self.gone: set[str] = set()

    def prepare(self, histories: Iterable[History]) -> None:
        """Learn which records there are, before the first is taken back."""
        by_module: defaultdict[str, list[History]] = defaultdict(list)
        for history in histories:
            by_module[history.module].append(history)
        created = {one.id for some in by_module.values() for one in some if one.created}
        self._others = OtherRecords(created, self._notes.recreated)
        for module, some in by_module.items():
            with suppress(Refused):  # this user may not see it
                self._plans[module] = plan = self._plan_of(module, some)
                self._updates[module] = Updates(plan, self._context, Conflicts(plan, self._context))

    def _plan_of(self, module: str, histories: Iterable[History]) -> LoadPlan:
        modules = self._context.modules
        described = modules.get(module)
        plan = LoadPlan("undo", described, lines=module_of_lines(described, modules))
        # What changed with the load may change with its undo. It is listed if it does.
        changed = {
            name
            for history in histories
            if not history.created
            for name in touched(self._notes.changes(history), plan)
        }
        # The load has accepted the side effects.
        return replace(plan, allow_changes=frozenset(changed), accept_side_effects=True)

    def look_for_referrers(self, histories: Sequence[History]) -> None:
        """Find out, before new records of one module are taken back, which others refer to them."""
        module = histories[0].module
        ids = [one.id for one in histories if one.created and module in self._plans]
        if ids:
            found = self._context.finder.by_id(module, ids)
            there = [record_id for record_id, each in found.items() if each != NOTHING]
            self._referred = self._referrers.of(module, there) if there else {}

    def undo(self, history: History, changes: Sequence[Change]) -> Undone:
        """Take back what the load did with a record.

        Args:
            history: What it did.
            changes: The same, with the values.
        """
        if history.module not in self._plans:
            text = "this user may not see its module"
            return Undone(Action.FAILED, history.module, history.id, text=text)
        try:
            with reject_unforeseen(is_sent=True), reject_unavailable(self._context.client):
                return self._undo(history, changes)
        except Rejected as error:
            text = str(error)
        except (Refused, IncompleteRead) as error:
            text = str(error)
        return Undone(Action.FAILED, history.module, history.id, text=text, may_pass=True)

    def _undo(self, history: History, changes: Sequence[Change]) -> Undone:
        if history.created:
            return self._delete(history, changes)
        record_id = self._notes.recreated.get(history.id, history.id)
        now = self._record(self._context.client, history.module, record_id)
        if now is not None:
            return self._restore(history, changes, now)
        if history.deleted:
            return self._create_anew(history, changes)
        text = "the record was deleted since, so its old values cannot be restored"
        return Undone(Action.CONFLICT, history.module, history.id, text=text)

    # A new record

    def _delete(self, history: History, changes: Sequence[Change]) -> Undone:
        module, record_id = history.module, history.id
        plan = self._plans[module]
        with self._context.gate.session() as session:
            now = self._record(session, module, record_id)
            if now is None:
                self.gone.add(record_id)
                return Undone(Action.NOTHING, module, record_id)
            conflicts = changed_since(now, changes, plan, self._others)
            conflicts += self._written_by_another(now, changes)
            if conflicts:
                text = "the load has created it, and it was changed since, so it is kept"
                return Undone(Action.CONFLICT, module, record_id, text=text, conflicts=conflicts)
            if referring := self._referred.get(record_id, set()) - self.gone:
                text = f"it is kept, because other records refer to it: {listed(referring)}"
                return Undone(Action.CONFLICT, module, record_id, text=text, may_pass=True)
            _refuse_unless(plan, "delete")
            if not self._context.options.dry_run:
                RecordWriter(session, plan, self._context.server).delete(record_id)
        self.gone.add(record_id)
        is_gapless = self._context.rollback.is_gapless(plan.module)
        text = "its document number is not given again" if is_gapless else ""
        return Undone(Action.DELETED, module, record_id, text=text)

    def _written_by_another(self, now: Record, changes: Sequence[Change]) -> list[Conflict]:
        """Return that another user has written a record last; a workflow may have done so too."""
        writers = [(one.after or {}).get("modifiedby") for one in changes]
        *_, left = (self._user, *filter(None, writers))
        writer = now.get("modifiedby") or left
        return [] if writer == left else [Conflict("modifiedby", None, left, writer)]

    # A record that was there before

    def _restore(self, history: History, changes: Sequence[Change], now: Record) -> Undone:
        plan = self._plans[history.module]
        if LINES in touched(changes, plan):
            _refuse_without_lines(plan)
        found = reversal(now, changes, plan, self._others)
        texts = [_FILE_SENT] if history.has_file else []
        fields = found.fields
        if fields:
            _refuse_unless(plan, "update")
        if fields and not self._context.options.dry_run:
            kept = self._write(plan, now, found, changes[0].write.before or {})
            found.conflicts += kept
            names = [one.field for one in kept]
            fields = tuple(name for name in fields if name not in names)
            texts += [f"the server does not keep the old values of {listed(names)}"] if kept else []
        if fields and (lost := side_effects(plan.module.name, has_lines=LINES in fields)):
            texts.append(f"side effect: {lost}")
        action = Action.RESTORED if fields else Action.NOTHING
        if found.conflicts or history.has_file:
            action = Action.CONFLICT
        return Undone(action, history.module, history.id, fields, "; ".join(texts), found.conflicts)

    def _write(
        self, plan: LoadPlan, now: Record, found: Reversal, before: Record
    ) -> list[Conflict]:
        """Write the old values; return the fields that the server does not let have them.

        Args:
            plan: How records go into the module.
            now: The whole record as it is.
            found: What has to be written.
            before: The whole record before the load.

        Raises:
            Rejected: They cannot be written.
        """
        kept = self._take_out_numbers(plan, now, found)
        if not found.fields:
            return kept
        prepared = PreparedRecord(InputRecord({}, 0), now["id"], required_and_not_kept(now, plan))
        record = MatchedRecord(
            prepared, NOTHING, stored=now, changes=found.changes, changed_lines=found.lines
        )
        updates = self._updates[plan.module.name]
        result = updates.update(record, now["id"])
        if isinstance(result, UnprovenUpdate):
            result = updates.prove_now(record, result)
        if result.rejection:
            raise Rejected.of(result.rejection)
        if result.also_changed:
            # What the server derives by itself may have its old value again.
            after = self._context.client.retrieve(now["id"])
            old = {**before, **found.changes}
            wanted, stored = ({n: row.get(n) for n in result.also_changed} for row in (old, after))
            unlike = other_changes(wanted, stored, (), plan.module)
            kept += [Conflict(n, old.get(n), now.get(n), after.get(n)) for n in unlike]
        return kept

    def _take_out_numbers(self, plan: LoadPlan, now: Record, found: Reversal) -> list[Conflict]:
        """Take out the numbers that the server is known not to keep; the rest can be written."""
        kept = []
        for name, value in list(found.changes.items()):
            try:
                self._context.server.check_numbers(plan.module, {name: value}, now)
            except Rejected:
                kept.append(Conflict(name, value, now.get(name), now.get(name)))
                del found.changes[name]
        return kept

    # A record that the load has deleted

    def _create_anew(self, history: History, changes: Sequence[Change]) -> Undone:
        module = history.module
        plan = self._plans[module]
        _refuse_unless(plan, "create")
        deletion = next(one.write for one in reversed(changes) if one.write.operation == "delete")
        state = deletion.before or {}
        found = reversal(state, changes, plan, self._others)
        values = self._values(state, found, plan)
        lines = found.lines
        if plan.module.is_inventory:
            _refuse_without_lines(plan)
            if lines is None:
                lines = lines_to_write(state.get(LINES) or [], plan, self._others)
            if not lines:
                raise Rejected("NOT_SUPPORTED", f"{module} cannot be created without lines")
        if self._context.options.dry_run:
            return Undone(Action.RECREATED, module, history.id, text="with a new id")
        with self._context.gate.session() as session:
            new = self._created(session, plan, values, lines, deletion.above)
        self._notes.note_recreated(history.id, new["id"])
        other = unlike(new, {**state, **found.changes}, plan)
        texts = [f"it is now {new['id']}"]
        texts += [f"the server stored other values in {', '.join(other)}"] if other else []
        texts += ["its files are lost"] if state.get(_FILES) else []
        return Undone(Action.RECREATED, module, history.id, text="; ".join(texts))

    def _created(
        self, session: Client, plan: LoadPlan, values: dict[str, Any], lines: Any, above: int | None
    ) -> Record:
        """Create a record and return it. An undo that was killed may have created it already."""
        module, known = plan.module, {*self._others.created, *self._notes.recreated.values()}

        def find(over: int) -> Record | None:
            (found,) = find_new(session, module, [Sought(values, over)], known)
            if found.certain:
                return session.retrieve(found.certain)
            if found.all:
                text = "it is not certain whether it exists again: "
                raise Rejected("AMBIGUOUS", f"{text}{', '.join(found.all)}")
            return None

        if above is not None and (earlier := find(above)):
            return earlier
        highest = max(above or 0, highest_number(session.query, module.name))
        described = {name: value for name, value in values.items() if name in module.fields}
        self._context.server.check_numbers(module, described, {})
        writer = RecordWriter(session, plan, self._context.server)
        return writer.create(values, lines, lambda: find(highest)).record

    def _values(self, state: Record, found: Reversal, plan: LoadPlan) -> dict[str, Any]:
        """Return the values of a deleted record, to create it anew."""
        values = full_element(state, found.changes, plan.module)
        values |= required_and_not_kept(state, plan)
        values |= {name: state.get(name) for name in ("source",) if name in plan.module.fields}
        left_out = {"id", *plan.module.line_columns}
        filled = {
            name: self._others.renamed(text)
            for name, value in values.items()
            if name not in left_out and (text := wire(value)) is not None
        }
        # Some servers set a date that they are not sent to today's (measured).
        dates = [one.name for one in plan.module.fields.values() if one.type == "date"]
        return {**{name: "" for name in dates if is_sent(name, plan.module)}, **filled}

    # Parts

    def _record(self, session: Client, module: str, record_id: str) -> Record | None:
        """Return the whole record as it is; None if it does not exist.

        Raises:
            Refused: A query gives it, and the server refuses it.
            Rejected: It exists, and this user may not read it.
        """
        try:
            return session.retrieve(record_id)
        except Refused:
            found = self._context.finder.alone().by_id(module, [record_id])[record_id]
            if found.record or found.is_unreadable or found.failure:
                raise
            if is_refused(session, record_id):
                raise Rejected.of(not_readable()) from None
            return None


def _refuse_without_lines(plan: LoadPlan) -> None:
    if plan.lines is None:
        text = "its lines cannot be written: this server offers none, or not to this user"
        raise Rejected("NOT_WRITABLE", text)


def _refuse_unless(plan: LoadPlan, write: Any) -> None:
    if why := plan.why_not(write):
        raise Rejected("NOT_WRITABLE", why)
