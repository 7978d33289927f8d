"""Bringing the records of a batch to their outcomes: in their order, and several at a time.

A record is written only where it differs from what is stored. Records that may mean the same one
are written one after the other, and each sees what those before it have written. So while the older
half of a batch is settled, the younger one is looked up; and again, where the older one wrote what
a record of the younger one may mean.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain
from typing import Any

from kafinea.client import Record
from kafinea.describe import LINES, Field
from kafinea.errors import Code, Unavailable
from kafinea.load import checks
from kafinea.load.asking import KEYS_AT_A_TIME
from kafinea.load.context import LoadContext
from kafinea.load.creations import Creations
from kafinea.load.files import Files
from kafinea.load.keys import key_of, listed
from kafinea.load.matching import InputRecord, Matcher, Policy, carefully
from kafinea.load.outcomes import Outcome, Rejection, Status, unforeseen
from kafinea.load.plan import Key, LoadPlan, Write
from kafinea.load.server_rules import AMOUNTS
from kafinea.load.updates import Updates
from kafinea.load.writer import Writer

logger = logging.getLogger("target-kafinea")

_UNRESOLVED = "UNRESOLVED_REFERENCE"
HEAVY = 2**24  # bytes of the input
_ANY = "any"
"""Stands for all names when it is not known by which one a record is known now."""
_PERHAPS_OTHER_KEY = frozenset({"KEY_ALTERED", "NOT_AS_SENT", "UNKNOWN_OUTCOME"})
"""Rejections of records that may have been written, with another key than they came with."""

Done = Callable[[InputRecord, Mapping[str, Any], Outcome], None]
"""Takes note of a record, the key it was looked for by, and its outcome."""


class Loader:
    """Loads the records of one stream.

    Args:
        plan: How its records go into their module.
        instance: The instance.
        policy: What may be written.
        done: Takes note of each outcome.
    """

    def __init__(self, plan: LoadPlan, instance: LoadContext, policy: Policy, done: Done) -> None:
        self._plan = plan
        self._module = plan.module
        self._instance = instance
        self._policy = policy
        self._done = done
        self._matcher = Matcher(plan, instance, policy)
        self._files = Files(plan, instance, policy)
        self._key = Key(plan.module, plan.match_on)
        self._key_fields = [plan.module.fields[name] for name in plan.match_on]
        properties = {known.name: name for name, known in plan.fields.items()}
        shown = [name for name in (plan.id_property, *plan.match_on) if name]
        self._shown = [(name, properties.get(name, name)) for name in shown]
        self._batch: list[InputRecord] = []
        self._weight = 0
        self._begun: list[Future[None]] = []
        self._written: set[Any] = set()
        self._creations = Creations(plan, instance, self._matcher)
        self._updates = Updates(plan, instance, policy)

    @property
    def size(self) -> int:
        """How many records wait for their outcome."""
        return len(self._batch)

    @property
    def is_heavy(self) -> bool:
        """Whether the records that wait take much memory."""
        return self._weight >= HEAVY

    def add(self, one: InputRecord) -> None:
        """Take a record into the batch, and begin to look it up together with others."""
        self._matcher.prepare(one)
        self._batch.append(one)
        self._weight += one.size
        if self.size == self._asked + KEYS_AT_A_TIME:
            self._look_ahead()

    def take(self, *, everything: bool) -> list[InputRecord]:
        """Take what is to be loaded next out of the batch, as soon as it is looked up.

        Args:
            everything: Else only the older half, while the younger one is looked up.
        """
        look_ups = len(self._begun) // 2
        records = look_ups * KEYS_AT_A_TIME
        # What stays is never full: that tells the SDK's last drain, of everything, from others.
        is_heavy = self._weigh(self._batch[records:]) >= HEAVY
        if everything or not look_ups or is_heavy or self._plan.refers_to_itself:
            self._look_ahead()
            look_ups, records = len(self._begun), self.size
        for begun in self._begun[:look_ups]:
            begun.result()
        taken, self._batch = self._batch[:records], self._batch[records:]
        self._begun = self._begun[look_ups:]
        self._weight = self._weigh(self._batch)
        return taken

    def load(self, batch: list[InputRecord]) -> Iterator[int]:
        """Bring every record to its outcome; yield how many more have theirs, again and again."""
        waiting = batch
        while waiting:
            carefully(self._matcher.resolve, waiting)
            carefully(self._matcher.match, waiting)
            ready, later = self._part(self._groups(waiting))
            try:
                yield from self._settle(ready)
                self._look_at_what_was_written()
            finally:
                self._note_what_was_not_looked_at()
            waiting = sorted(chain.from_iterable(later), key=lambda one: one.line)
            for one in waiting:
                one.rejection = one.found = None
        self._look_again_at_what_was_written()

    def _look_at_what_was_written(self) -> None:
        """Look at what no answer has shown, a hundred records at a time.

        What was created may have been created by another load as well.
        """
        for one, proven in self._updates.prove():
            self._note(one, proven)
        for one, outcome in self._creations.confirm():
            self._note(one, outcome or self._settle_again(one))

    def _settle_again(self, one: InputRecord) -> Outcome:
        """Load a record that another load has created as well, and that we have deleted again."""
        self._match_again([one])
        outcome = self._settle_one(one)
        return self._updates.prove_now(one, outcome) if outcome.unproven else outcome

    def _note_what_was_not_looked_at(self) -> None:
        """Note what was written when the run ends before it is looked at, and say so."""
        created, updated = self._creations.take_unconfirmed(), self._updates.take_unproven()
        for one, outcome in (*created, *updated):
            self._note(one, outcome)
        if created or updated:
            ids = [str(outcome.id) for _, outcome in (*created, *updated)]
            logger.warning(
                "%s: the run ended before %d created and %d updated records were checked: %s. "
                "The updates may have changed fields that were not loaded, and another load may "
                "have created the same records.",
                self._module.name,
                len(created),
                len(updated),
                listed(ids),
            )

    @property
    def _asked(self) -> int:
        """How many of the first records of the batch are looked up, or about to be."""
        return len(self._begun) * KEYS_AT_A_TIME

    def _look_ahead(self) -> None:
        chunk = self._batch[self._asked :]
        if chunk and self._matcher.looks_ahead:
            self._begun.append(self._matcher.look_ahead(chunk))

    def _look_again_at_what_was_written(self) -> None:
        """Forget what was found ahead for records that may mean one that was written since."""
        if self._written:
            for begun in self._begun:
                begun.result()
            for one in self._batch[: self._asked]:
                if _ANY in self._written or not self._written.isdisjoint(self._names(one)):
                    one.found = None
        self._written.clear()

    def _weigh(self, records: Sequence[InputRecord]) -> int:
        return sum(one.size for one in records)

    # In which order

    def _groups(self, batch: Sequence[InputRecord]) -> list[list[InputRecord]]:
        """Group the records that may mean the same one, each group in the order of the input."""
        group_of: dict[Any, list[InputRecord]] = {}
        for one in batch:
            names = self._names(one)
            met = {id(group_of[name]): group_of[name] for name in names if name in group_of}
            group = met.popitem()[1] if met else []
            group.append(one)
            if met:  # it is what several groups have in common
                group.extend(chain.from_iterable(met.values()))
                group.sort(key=lambda each: each.line)
                names = {name for each in group for name in self._names(each)}
            group_of.update(dict.fromkeys(names, group))
        return list({id(group): group for group in group_of.values()}.values())

    def _names(self, one: InputRecord) -> set[Any]:
        """Return all that a record may be known by: its ids and its keys, old and new."""
        if one.rejection and one.rejection.code != _UNRESOLVED:
            return {id(one)}
        names: set[Any] = {one.id} if one.id else set()
        if one.key:
            names.add(key_of(one.key, self._key_fields))
        for found in one.found.rows if one.found else ():
            names.add(found["id"])
            old = tuple(found.get(name) for name in self._plan.match_on)
            if old and all(old) and old != one.key:
                names.add(key_of(old, self._key_fields))
        return names or {id(one)}

    def _part(self, groups: list[list[InputRecord]]) -> tuple[list[list[InputRecord]], ...]:
        """Part the groups that can be settled from those that wait for others of this batch."""
        if not self._plan.refers_to_itself:
            return groups, []
        ready = [group for group in groups if not any(map(_is_unresolved, group))]
        later = [group for group in groups if any(map(_is_unresolved, group))]
        return (ready, later) if ready else (later, [])

    def _settle(self, groups: Sequence[list[InputRecord]]) -> Iterator[int]:
        """Settle the groups: those that may write several at a time, the others at once."""
        sessions = 1 if self._is_serial else self._instance.client.max_sessions
        workers = ThreadPoolExecutor(sessions)
        writing: list[Future[int]] = []
        try:
            for group in groups:
                if not self._plan.files and all(map(_is_left, group)):
                    yield self._settle_group(group)
                else:
                    self._written.update(*map(self._names, group))
                    writing.append(workers.submit(self._settle_group, group))
            for future in writing:
                yield future.result()
        finally:
            workers.shutdown(cancel_futures=True)

    def _settle_group(self, group: Sequence[InputRecord]) -> int:
        for position, one in enumerate(group):
            rest = group[position + 1 :]
            outcome = self._settle_one(one)
            is_new = outcome.kind is Status.CREATED and one.key and not self._instance.dry_run
            if is_new and rest:
                outcome = self._creations.confirm_now(one, outcome) or self._settle_again(one)
            if outcome.unproven and rest:
                outcome = self._updates.prove_now(one, outcome)
            if outcome.unproven:
                self._updates.await_proof(one, outcome)
            elif is_new and not rest:
                self._creations.await_confirmation(one, outcome)
            else:
                self._note(one, outcome)
            if outcome.kind in {Status.CREATED, Status.UPDATED, Status.DELETED}:
                self._note_written(one, outcome)
            if outcome.rejection and outcome.rejection.code in _PERHAPS_OTHER_KEY:
                self._written.add(_ANY)
            # A record may be rejected because it is not known what became of it.
            if outcome.kind is not Status.UNCHANGED and not one.rejection:
                self._match_again(rest)
        return len(group)

    @property
    def _is_serial(self) -> bool:
        """Whether records are written one at a time.

        Servers number documents with a race, and give lines their ids with one: of two records
        with lines that are written at the same time, one may lack lines (API-FACTS).
        """
        writes_lines = self._plan.lines_property or not AMOUNTS.isdisjoint(
            known.name for known in self._plan.fields.values()
        )
        has_lines = self._module.is_inventory and bool(writes_lines)
        return has_lines or self._module.name in self._policy.serial_modules

    def _note(self, one: InputRecord, outcome: Outcome) -> None:
        self._done(one, self._shown_key(one), outcome)

    def _note_written(self, one: InputRecord, outcome: Outcome) -> None:
        """Let what comes later see what was written."""
        deleted = outcome.kind is Status.DELETED
        if self._instance.dry_run:
            record = {**(one.stored or {}), **one.values}
            self._instance.pretend(self._module, outcome.id, None if deleted else record, one.lines)
        if outcome.id:
            self._written.add(outcome.id)
            self._instance.forget(outcome.id, deleted=deleted)

    def _match_again(self, later: Sequence[InputRecord]) -> None:
        """Let the rest of a group see what was written."""
        if rest := [each for each in later if not each.rejection]:
            for each in rest:
                each.found = None
            carefully(self._matcher.match, rest)

    # One record

    def _settle_one(self, one: InputRecord) -> Outcome:
        if one.rejection:
            return self._rejected(one, one.rejection)
        try:
            if one.deleted:
                return self._delete(one)
            return self._files.settle(one, self._write) if self._plan.files else self._write(one)
        except Unavailable as error:
            # A server that fails at this record and not at others must not stop at it for ever.
            if error.nothing_done:
                raise
            self._instance.client.listtypes()
            return self._rejected(one, Rejection("UNAVAILABLE", str(error)))
        except Exception as error:  # noqa: BLE001 see `unforeseen`
            return self._rejected(one, unforeseen(error, is_sent=one.is_sent))

    def _write(self, one: InputRecord) -> Outcome:
        if one.stored:
            return self._update(one, one.stored)
        try:
            return self._create(one)
        except Rejection as rejection:
            # Another load may have created it since, where the server takes a value only once.
            if rejection.code != Code.DUPLICATE or not one.key:
                raise
            self._match_again([one])
            if one.rejection or not one.stored:
                raise
            return self._update(one, one.stored)

    def _rejected(self, one: InputRecord, rejection: Rejection) -> Outcome:
        record_id = rejection.id or one.id or (one.stored or {}).get("id")
        return Outcome(Status.REJECTED, id=record_id, rejection=rejection)

    def _create(self, one: InputRecord) -> Outcome:
        self._refuse_unwritable("create")
        values = self._instance.with_owner(one.values, self._key)
        checks.check_mandatory(self._module, values, complete=True)
        if self._plan.lines:
            checks.check_lines(one.lines or [])
        self._check(values, one.lines)
        if self._instance.dry_run:
            return Outcome(Status.CREATED)
        one.is_sent = True
        return self._creations.create(one, values)

    def _update(self, one: InputRecord, stored: Record) -> Outcome:
        record_id: str = stored["id"]
        changes, lines = one.changes, one.changed_lines
        if not (changes or lines):
            return Outcome(Status.UNCHANGED, id=record_id)
        self._refuse_unwritable("update", record_id)
        checks.check_mandatory(self._module, changes, complete=False)
        self._updates.refuse_side_effects(record_id, changes, lines)
        self._check(changes, lines)
        if self._instance.dry_run:
            self._instance.server.check_numbers(self._module, changes, stored)
            changed = (*changes, LINES) if lines else tuple(changes)
            return Outcome(Status.UPDATED, id=record_id, changed=changed)
        one.is_sent = True
        return self._updates.update(one, record_id)

    def _delete(self, one: InputRecord) -> Outcome:
        if not one.stored or not self._policy.hard_delete:
            return Outcome(Status.UNCHANGED, id=one.stored["id"] if one.stored else one.id)
        self._refuse_unwritable("delete", one.stored["id"])
        if self._instance.dry_run:
            return Outcome(Status.DELETED, id=one.stored["id"])
        one.is_sent = True
        with self._instance.writing() as session:
            return Writer(session, self._plan, self._instance.server).delete(one.stored["id"])

    def _shown_key(self, one: InputRecord) -> dict[str, Any]:
        """Return the key as it came, for the file of outcomes."""
        shown = {name: one.record.get(told_as) for name, told_as in self._shown}
        return {name: value for name, value in shown.items() if value is not None}

    # Checking

    def _refuse_unwritable(self, write: Write, record_id: str | None = None) -> None:
        if reason := self._plan.why_not(write):
            raise Rejection("NOT_WRITABLE", reason, id=record_id)

    def _check(
        self, values: Mapping[str, str | None], lines: Sequence[Mapping[str, Any]] | None
    ) -> None:
        """Check what the server would take and change silently.

        Raises:
            Rejection: It would.
        """
        for name, wire in values.items():
            known = self._module.fields[name]
            if self._policy.unknown_picklist == "reject":
                checks.check_picklist(known, wire)
            if known.type == "owner" and wire != self._instance.user_id:
                owners, prefixes = self._instance.owners, self._instance.owner_prefixes
                checks.check_owner(known, wire, owners, prefixes)
            self._check_reference(known, wire)
        for line in lines or ():
            if self._plan.lines:
                self._check_reference(self._plan.lines.fields["productid"], line["productid"])

    def _check_reference(self, known: Field, wire: str | None) -> None:
        if known.type != "reference" or wire is None:
            return
        modules = self._instance.modules
        checks.check_reference(known, wire, modules.prefixes(known.refers_to))
        module = modules.of(wire, known.refers_to)
        if module and not self._instance.exists(module, wire):
            raise Rejection("UNRESOLVED_REFERENCE", f"{known.name}: no {module} has this id")


def _is_unresolved(one: InputRecord) -> bool:
    return one.rejection is not None and one.rejection.code == _UNRESOLVED


def _is_left(one: InputRecord) -> bool:
    """Whether a record will not be written, as far as is known before it is checked."""
    if one.rejection:
        return True
    return one.stored is not None and not (one.deleted or one.changes or one.changed_lines)
