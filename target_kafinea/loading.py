"""A batch of a stream's records, each on its way to its outcome.

All of a batch is prepared, its references resolved and its records looked up, many in one request.
Then each is compared with what is stored, and written only where it differs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from kafinea.client import Client, Record
from kafinea.describe import LINES, Field
from kafinea.errors import Refused, Unavailable
from target_kafinea import checks
from target_kafinea.instance import Instance
from target_kafinea.lookup import Finder, KeyValues
from target_kafinea.merge import changed_fields, key_of, other_discount, same_lines
from target_kafinea.outcomes import Kind, Outcome, Rejection
from target_kafinea.plan import Key, Plan
from target_kafinea.writer import Writer

_UNRESOLVED = "UNRESOLVED_REFERENCE"


@dataclass(frozen=True)
class Policy:
    """The settings that decide what is written.

    Attributes:
        append_only: Leave records that are found as they are.
        create_missing: Create records that are not found.
        hard_delete: Delete records that the source has deleted.
        unknown_picklist: `reject` or `allow` values that a picklist does not have.
        serial_modules: Modules whose records are written one after the other.
    """

    append_only: bool
    create_missing: bool
    hard_delete: bool
    unknown_picklist: str
    serial_modules: frozenset[str]


@dataclass
class Incoming:
    """A record on its way.

    Attributes:
        record: The record, after stream maps.
        message: The RECORD message as it came.
        line: The line of the input that it stood in.
        rejection: Why it is not written, as soon as that is known.
        id: The Kafinea id that it came with.
        values: Its wire values by field name; None clears.
        lines: Its lines, when it told any.
        stored: The record that was found.
        stored_lines: The lines of the record that was found.
    """

    record: Mapping[str, Any]
    message: Mapping[str, Any]
    line: int
    rejection: Rejection | None = None
    id: str | None = None
    values: dict[str, str | None] = field(default_factory=dict)
    lines: list[dict[str, str | None]] | None = None
    stored: Record | None = None
    stored_lines: Sequence[Mapping[str, Any]] = ()

    @property
    def deleted(self) -> bool:
        """Whether the source has deleted it."""
        return bool(self.record.get("_sdc_deleted_at"))


Done = Callable[[Incoming, Mapping[str, Any], Outcome], None]
"""Takes note of a record, the key it was looked for by, and its outcome."""


class Loader:
    """Loads the batches of one stream.

    Args:
        plan: How its records go into their module.
        instance: The instance.
        policy: What may be written.
        done: Takes note of each outcome.
    """

    def __init__(self, plan: Plan, instance: Instance, policy: Policy, done: Done) -> None:
        self._plan = plan
        self._module = plan.module
        self._instance = instance
        self._policy = policy
        self._done = done
        self._key = Key(plan.module, plan.match_on)
        self._key_fields = [plan.module.fields[name] for name in plan.match_on]

    def load(self, batch: Sequence[Incoming]) -> Iterator[int]:
        """Bring every record to its outcome; yield how many more have theirs, again and again."""
        for one in batch:
            self._prepare(one)
        waiting: Sequence[Incoming] = batch
        while waiting:
            self._resolve_references(waiting)
            self._find(waiting)
            self._find_lines(waiting)
            self._find_referenced(waiting)
            groups = self._groups(waiting)
            ready, later = self._part(groups)
            yield from self._settle(ready)
            waiting = [one for group in later for one in group]
            for one in waiting:
                one.rejection = None

    # Before anything is written

    def _prepare(self, one: Incoming) -> None:
        """Turn the record into wire values."""
        plan, zone = self._plan, self._instance.zone
        try:
            if one.rejection is None:
                one.id = checks.record_id(one.record.get(plan.id_property or ""))
                one.values = checks.wire_values(plan, one.record, zone, key_only=one.deleted)
                checks.check_key(self._key_of(one), plan.match_on)
                told = one.record.get(plan.lines_property or "")
                if plan.lines and told is not None and not one.deleted:
                    one.lines = checks.wire_lines(told, plan.lines, zone)
                    if one.lines:
                        checks.check_lines(one.lines)
        except Rejection as rejection:
            one.rejection = rejection

    def _resolve_references(self, batch: Sequence[Incoming]) -> None:
        """Turn natural keys into ids."""
        references = self._instance.references
        for name, reference in self._plan.references.items():
            leaf = name.removeprefix(f"{LINES}.")
            places = [
                (one, values)
                for one in _alive(batch)
                for values in ([one.values] if leaf == name else one.lines or [])
                if values.get(leaf) is not None
            ]
            told = {value for _, values in places if (value := values[leaf])}
            references.learn(self._instance.finder, reference, told)
            for one, values in places:
                try:
                    values[leaf] = references.resolve(reference, values[leaf] or "", name)
                except Rejection as rejection:
                    one.rejection = one.rejection or rejection

    def _find(self, batch: Sequence[Incoming]) -> None:
        """Find the records that exist, by id or else by their key."""
        finder, columns = self._instance.finder, self._columns()
        if not self._policy.append_only:
            ids = {one.id for one in _alive(batch) if one.id}
            by_id = finder.by_id(self._module.name, ids, columns)
            for one in _alive(batch):
                one.stored = by_id.get(one.id or "")
        others = [one for one in _alive(batch) if one.stored is None and self._key_of(one)]
        by_key = finder.by_key(self._key, {self._key_of(one) for one in others}, columns)
        for one in others:
            rows = by_key[self._key_of(one)]
            one.stored = rows[0] if rows else None
            if len(rows) > 1:
                ids_text = ", ".join(row["id"] for row in rows)
                text = f"several records have this key: {ids_text}"
                one.rejection = Rejection("AMBIGUOUS_KEY", text)
        for one in _alive(batch):
            one.rejection = self._why_not_created(one)
        self._find_what_no_query_gives(batch)

    def _why_not_created(self, one: Incoming) -> Rejection | None:
        """Return why a record that was not found may not be created either."""
        if one.stored is not None:
            return None
        if self._is_hidden(one, self._instance.finder):
            return Rejection("NOT_READABLE", "there is such a record that this user may not read")
        if one.deleted:
            return None
        if self._key_of(one) or (self._policy.append_only and not self._plan.match_on):
            if self._policy.create_missing:
                return None
            return Rejection("NOT_FOUND", "no record has this key, and `create_missing` is off")
        if one.id and not self._policy.append_only:
            return Rejection("NOT_FOUND", "no record has this id", id=one.id)
        if self._plan.match_on:
            names = ", ".join(self._plan.match_on)
            return Rejection("NO_KEY", f"there is no id, and no value in {names}")
        return Rejection("NO_KEY", "there is no id, and the stream has no `match_on`")

    def _is_hidden(self, one: Incoming, finder: Finder) -> bool:
        module, key = self._module.name, self._key_of(one)
        told = [*zip(self._plan.match_on, key, strict=False), *([("id", one.id)] if one.id else [])]
        return any(finder.is_hidden(module, name, value) for name, value in told)

    def _find_what_no_query_gives(self, batch: Sequence[Incoming]) -> None:
        """Retrieve the records that are told fields which a query does not give."""
        told_by_query = set(self._module.queryable)
        if {known.name for known in self._plan.fields.values()} <= told_by_query:
            return
        for one in _alive(batch):
            pretended = one.stored and self._instance.is_pretended(one.stored["id"])
            if one.stored and not pretended and not told_by_query >= one.values.keys():
                try:
                    one.stored = self._instance.client.retrieve(one.stored["id"])
                except Refused as error:
                    one.rejection = Rejection(error.code, str(error), id=one.stored["id"])

    def _find_lines(self, batch: Sequence[Incoming]) -> None:
        """Find the lines of the records that are told lines, or to have none."""
        told = [one for one in _alive(batch) if one.stored and one.lines is not None]
        found = {one.stored["id"] for one in told if one.stored}
        lines = self._instance.finder.lines_of(found) if found else {}
        for one in told:
            one.stored_lines = lines[one.stored["id"]] if one.stored else ()
            if one.stored_lines and not one.lines:
                # The server cannot take away the last line.
                one.rejection = Rejection("MANDATORY_FIELD_MISSING", f"{LINES} has no line")

    def _find_referenced(self, batch: Sequence[Incoming]) -> None:
        """Find out which of the records that are newly referred to exist."""
        told: dict[str, set[str]] = defaultdict(set)
        for one in _alive(batch):
            for name, wire in one.values.items():
                if wire and (one.stored or {}).get(name) != wire:
                    self._note_referenced(told, self._module.fields[name], wire)
            for line in one.lines or ():
                if self._plan.lines and (wire := line.get("productid")):
                    self._note_referenced(told, self._plan.lines.fields["productid"], wire)
        for module, ids in told.items():
            self._instance.learn_existing(module, ids)

    def _note_referenced(self, told: dict[str, set[str]], known: Field, wire: str) -> None:
        if known.type == "reference" and (module := self._module_of(known, wire)):
            told[module].add(wire)

    # Writing

    def _groups(self, batch: Sequence[Incoming]) -> list[list[Incoming]]:
        """Group the records that may mean the same one, each group in the order of the input."""
        group_of: dict[Any, list[Incoming]] = {}
        for one in batch:
            known = [group_of[name] for name in self._names(one) & group_of.keys()]
            met = {id(group): group for group in known}
            group = sorted([*chain(*met.values()), one], key=lambda each: each.line)
            for member in group:
                group_of.update(dict.fromkeys(self._names(member), group))
        return list({id(group): group for group in group_of.values()}.values())

    def _names(self, one: Incoming) -> set[Any]:
        """Return all that a record may be known by: its ids and its keys, old and new."""
        if one.rejection and one.rejection.code != _UNRESOLVED:
            return {("alone", id(one))}
        names: set[Any] = {("id", one.id)} if one.id else set()
        if key := self._key_of(one):
            names.add(("key", key_of(key, self._key_fields)))
        if one.stored:
            names.add(("id", one.stored["id"]))
            old = [one.stored.get(name) for name in self._plan.match_on]
            if old and all(old):
                names.add(("key", key_of(old, self._key_fields)))
        return names or {("alone", id(one))}

    def _part(self, groups: list[list[Incoming]]) -> tuple[list[list[Incoming]], ...]:
        """Part the groups that can be settled from those that wait for others of this batch."""
        if not self._plan.refers_to_itself:
            return groups, []
        ready = [group for group in groups if not any(map(_is_unresolved, group))]
        later = [group for group in groups if any(map(_is_unresolved, group))]
        return (ready, later) if ready else (later, [])

    def _settle(self, groups: Sequence[list[Incoming]]) -> Iterator[int]:
        """Settle the groups, several at a time."""
        serial = self._module.name in self._policy.serial_modules
        workers = ThreadPoolExecutor(1 if serial else self._instance.client.max_sessions)
        try:
            for future in [workers.submit(self._settle_group, group) for group in groups]:
                yield future.result()
        finally:
            workers.shutdown(cancel_futures=True)

    def _settle_group(self, group: Sequence[Incoming]) -> int:
        for position, one in enumerate(group):
            outcome = self._settle_one(one)
            self._done(one, self._shown_key(one), outcome)
            if outcome.kind in {Kind.CREATED, Kind.UPDATED, Kind.DELETED}:
                self._note_written(one, outcome, group[position + 1 :])
        return len(group)

    def _settle_one(self, one: Incoming) -> Outcome:
        try:
            if one.rejection:
                raise one.rejection
            if one.deleted:
                return self._delete(one)
            return self._update(one, one.stored) if one.stored else self._create(one)
        except Unavailable as error:
            # A server that fails at this record and not at others must not stop at it for ever.
            if error.nothing_done:
                raise
            self._instance.client.listtypes()
            return self._rejected(one, Rejection("UNAVAILABLE", str(error)))
        except Rejection as rejection:
            return self._rejected(one, rejection)

    def _rejected(self, one: Incoming, rejection: Rejection) -> Outcome:
        return Outcome(Kind.REJECTED, id=rejection.id or one.id, rejection=rejection)

    def _note_written(self, one: Incoming, outcome: Outcome, later: Sequence[Incoming]) -> None:
        """Let what comes later see what was written: the rest of the group, and references."""
        deleted = outcome.kind is Kind.DELETED
        if self._instance.dry_run:
            record = {**(one.stored or {}), **one.values}
            self._instance.pretend(self._module, outcome.id, None if deleted else record)
        if outcome.id:
            self._instance.forget(outcome.id, deleted=deleted)
        rest = [each for each in later if not each.rejection]
        if not rest:
            return
        self._find(rest)
        self._find_lines(rest)
        if self._instance.dry_run:
            for each in rest:
                each.stored_lines = one.lines or each.stored_lines

    def _create(self, one: Incoming) -> Outcome:
        self._refuse_unwritable()
        values = self._instance.with_owner(one.values, self._key)
        checks.check_mandatory(self._module, values, complete=True)
        if self._module.is_inventory:
            checks.check_lines(one.lines or [])
        self._check(values, one.lines)
        if self._instance.dry_run:
            return Outcome(Kind.CREATED)
        with self._instance.writing() as session:
            writer = Writer(session, self._module, self._plan.lines)
            outcome = writer.create(values, one.lines, self._finding(session, one))
        if altered := sorted({*outcome.altered} & {*self._plan.match_on}):
            text = f"it was created, but the server cut or changed its key in {', '.join(altered)}"
            raise Rejection("KEY_ALTERED", text, id=outcome.id)
        return outcome

    def _update(self, one: Incoming, stored: Record) -> Outcome:
        record_id: str = stored["id"]
        changes, lines = self._differences(one, stored)
        if self._policy.append_only or not (changes or lines):
            return Outcome(Kind.UNCHANGED, id=record_id)
        self._refuse_unwritable()
        checks.check_mandatory(self._module, changes, complete=False)
        self._check(changes, lines)
        if self._instance.dry_run:
            changed = (*changes, LINES) if lines else tuple(changes)
            return Outcome(Kind.UPDATED, id=record_id, changed=changed)
        with self._instance.writing() as session:
            writer = Writer(session, self._module, self._plan.lines)
            return writer.update(record_id, changes, lines)

    def _delete(self, one: Incoming) -> Outcome:
        if not one.stored or not self._policy.hard_delete:
            return Outcome(Kind.UNCHANGED, id=one.stored["id"] if one.stored else one.id)
        self._refuse_unwritable()
        if self._instance.dry_run:
            return Outcome(Kind.DELETED, id=one.stored["id"])
        with self._instance.writing() as session:
            return Writer(session, self._module).delete(one.stored["id"])

    def _differences(
        self, one: Incoming, stored: Record
    ) -> tuple[dict[str, str | None], list[dict[str, str | None]] | None]:
        """Return the values that differ from those stored, and the lines if they differ."""
        values = dict(one.values)
        if (other := other_discount(values)) and other in self._module.fields:
            values[other] = None
        names = changed_fields(stored, values, self._module.fields)
        lines = one.lines or None
        if lines and self._plan.lines and same_lines(one.stored_lines, lines, self._plan.lines):
            lines = None
        return {name: values[name] for name in names}, lines

    # Checking

    def _refuse_unwritable(self) -> None:
        if self._plan.not_writable:
            raise Rejection("NOT_WRITABLE", self._plan.not_writable)

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
            if known.type == "owner":
                owners, prefixes = self._instance.owners, self._instance.owner_prefixes
                checks.check_owner(known, wire, owners, prefixes)
            self._check_reference(known, wire)
        for line in lines or ():
            if self._plan.lines:
                self._check_reference(self._plan.lines.fields["productid"], line["productid"])

    def _check_reference(self, known: Field, wire: str | None) -> None:
        if known.type != "reference" or wire is None:
            return
        checks.check_reference(known, wire, self._instance.modules.prefixes(known.refers_to))
        module = self._module_of(known, wire)
        if module and not self._instance.exists(module, wire):
            raise Rejection("UNRESOLVED_REFERENCE", f"{known.name}: no {module} has this id")

    def _module_of(self, known: Field, wire: str) -> str | None:
        """Return the module that an id belongs to, of those that the field may refer to."""
        prefixes = self._instance.modules.prefixes(known.refers_to)
        return prefixes.get(wire.partition("x")[0])

    # Keys

    def _key_of(self, one: Incoming) -> KeyValues:
        """Return the wire values of the record's key; none if it has no complete one."""
        values = tuple(one.values.get(name) or "" for name in self._plan.match_on)
        return values if all(value.strip() for value in values) else ()

    def _shown_key(self, one: Incoming) -> dict[str, Any]:
        """Return the key as it came, for the file of outcomes."""
        names = (self._plan.id_property, *self._plan.match_on)
        properties = {known.name: name for name, known in self._plan.fields.items()}
        shown = {name: one.record.get(properties.get(name, name)) for name in names if name}
        return {name: value for name, value in shown.items() if value is not None}

    def _finding(self, session: Client, one: Incoming) -> Callable[[], Record | None] | None:
        """Return what looks for the record in a session, if it has a key."""
        values = self._key_of(one)
        finder = Finder(session, self._instance.modules)

        def find() -> Record | None:
            found = finder.one(self._key, values)
            if found is None and self._is_hidden(one, finder):
                text = "its answer was lost, and this user may not read what was created"
                raise Rejection("UNKNOWN_OUTCOME", text)
            return found

        return find if values else None

    def _columns(self) -> list[str]:
        """Return the fields to compare, as far as a query gives them."""
        told = {known.name for known in self._plan.fields.values()} | set(self._plan.match_on)
        return sorted(told & set(self._module.queryable)) or ["id"]


def _is_unresolved(one: Incoming) -> bool:
    return one.rejection is not None and one.rejection.code == _UNRESOLVED


def _alive(batch: Iterable[Incoming]) -> Iterator[Incoming]:
    return (one for one in batch if one.rejection is None)
