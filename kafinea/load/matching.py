"""What each record of a batch means: its values, the record that it stands for, what differs.

Records are looked up many in one request. That begins while others are still read, and ends before
anything of their batch is written.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from functools import cached_property, partial
from typing import Any

from msgspec.structs import replace

from kafinea.client import Client, Record
from kafinea.describe import LINES, Field
from kafinea.dividing import divided
from kafinea.errors import Refused
from kafinea.load import checks
from kafinea.load.asking import KEYS_AT_A_TIME
from kafinea.load.context import LoadContext
from kafinea.load.keys import KeyValues
from kafinea.load.lookup import NOTHING, Finder, Found, not_readable
from kafinea.load.merge import changed_fields, other_discount, same_lines
from kafinea.load.plan import Key, LoadPlan, Reference
from kafinea.load.records import (
    Findings,
    InputRecord,
    MatchedRecord,
    PreparedRecord,
    QueuedRecord,
    RejectedRecord,
    SettledRecord,
    WireValues,
)
from kafinea.load.rejecting import reject_unforeseen, together_or_alone
from kafinea.load.results import Rejected, Rejection, rejection_of
from kafinea.load.server_rules import AMOUNTS, TOTALS, decides_whether_kept, is_kept
from kafinea.page_query import number


class Matcher:
    """Matches the records of one stream with those of its module.

    Args:
        plan: How the records go into their module.
        context: What the streams of the run share.

    Attributes:
        looks_ahead: Whether records can be looked up before their references are resolved.
    """

    def __init__(self, plan: LoadPlan, context: LoadContext) -> None:
        self._plan = plan
        self._module = plan.module
        self._context = context
        self._options = context.options
        self._key = Key(plan.module, plan.match_on)
        # What else a key may be made of is known as soon as the record is.
        self.looks_ahead = plan.references.keys().isdisjoint(plan.match_on)

    def prepare(self, record: InputRecord) -> QueuedRecord:
        """Turn a record into wire values."""
        if record.rejection:
            return RejectedRecord(record, record.rejection)
        plan, zone, record_id = self._plan, self._context.zone, None
        try:
            with reject_unforeseen():
                record_id = checks.record_id(_value(record, plan.id_property))
                is_deleted = record.is_deleted
                values = checks.wire_values(plan, record.record, zone, key_only=is_deleted)
                key = self._key_of(values)
                checks.check_key(key, plan.match_on)
                lines = self._lines_of(record)
        except Rejected as error:
            return RejectedRecord(record, error.rejection, record_id)
        return PreparedRecord(record, record_id, values, key, lines)

    def look_ahead(self, records: Sequence[PreparedRecord]) -> Future[Findings]:
        """Begin to look up prepared records while others are still read."""
        return self._context.lookups.submit(self._look_up_unless_it_fails, records)

    def match(self, records: Sequence[QueuedRecord], found: Findings) -> list[SettledRecord]:
        """Find what is stored for each record, and what differs from it.

        Args:
            records: The records.
            found: What is known already of some; the others are looked up.
        """
        if self._plan.references:
            resolved = together_or_alone(self._resolve, records, _rejected_alone)
            pairs = zip(records, resolved, strict=True)
            found = {after: found[before] for before, after in pairs if before in found}
            records = resolved
        return together_or_alone(partial(self._match, found), records, _rejected_alone)

    def match_again(self, records: Sequence[SettledRecord]) -> list[SettledRecord]:
        """Match records once more, after something was written that they may mean."""
        matched = [one.prepared for one in records if isinstance(one, MatchedRecord)]
        again = iter(together_or_alone(partial(self._match, {}), matched, _rejected_alone))
        return [next(again) if isinstance(one, MatchedRecord) else one for one in records]

    def finding(
        self, session: Client, record: PreparedRecord
    ) -> Callable[[], Record | None] | None:
        """Return what looks a record up in a session, if it has a key."""
        finder = Finder(session, self._context.modules)

        def find() -> Record | None:
            try:
                return finder.by_single_key(self._key, record.key)
            except Rejected as error:
                text = f"its answer was lost, and it is not known what was created: {error}"
                raise Rejected("UNKNOWN_OUTCOME", text) from None

        return find if record.key else None

    def ids_by_key(self, keys: Iterable[KeyValues]) -> dict[KeyValues, list[str]]:
        """Return the ids of all records that have these keys, by key, in their order.

        A key at which the server fails, or whose records this user may not read, is left out.
        """
        found = self._context.finder.by_key(self._key, set(keys))
        return {
            key: sorted((row["id"] for row in one.equal or _only(one.record)), key=number)
            for key, one in found.items()
            if not (one.failure or one.is_unreadable)
        }

    # Preparing

    def _lines_of(self, record: InputRecord) -> list[WireValues] | None:
        told, module = _value(record, self._plan.lines_property), self._plan.lines
        if told and not module:
            text = f"{LINES}: this server offers no lines (it has no module LineItem)"
            raise Rejected("NOT_SUPPORTED", f"{text}; load the record without them")
        if told is None or not module or record.is_deleted:
            return None
        lines = checks.wire_lines(told, module, self._context.zone)
        if lines:
            checks.check_lines(lines)
        return lines

    def _key_of(self, values: Mapping[str, str | None]) -> KeyValues:
        key = tuple(values.get(name) or "" for name in self._plan.match_on)
        return key if all(value.strip() for value in key) else ()

    # Resolving

    def _resolve(self, records: Sequence[QueuedRecord]) -> list[QueuedRecord]:
        """Turn the natural keys of other records into their ids."""
        resolved = list(records)
        for name, reference in self._plan.references.items():
            told = {
                value
                for record in _alive(resolved)
                for values in _places(record, name)
                if (value := values.get(_leaf(name))) is not None
            }
            self._context.references.learn(reference, told)
            resolved = [self._resolved(record, name, reference) for record in resolved]
        return resolved

    def _resolved(self, record: QueuedRecord, name: str, reference: Reference) -> QueuedRecord:
        """Return a record with one of its references resolved."""
        if isinstance(record, RejectedRecord):
            return record
        leaf = _leaf(name)
        try:
            places = [
                {**values, leaf: self._context.references.resolve(reference, value, name)}
                if (value := values.get(leaf)) is not None
                else values
                for values in _places(record, name)
            ]
        except Rejected as error:
            return RejectedRecord(record.input, error.rejection, record.id, record)
        if leaf != name:
            return replace(record, lines=places if record.lines else record.lines)
        key = record.key if self.looks_ahead else self._key_of(places[0])
        return replace(record, values=places[0], key=key)

    # Finding

    def _look_up_unless_it_fails(self, records: Sequence[PreparedRecord]) -> Findings:
        """Look records up; where that fails unforeseen, `match` does it once more for each."""
        try:
            with reject_unforeseen():
                return self._look_up(records)
        except Rejected:
            return {}

    def _look_up_all(self, records: Sequence[PreparedRecord]) -> Findings:
        chunks = [
            records[at : at + KEYS_AT_A_TIME] for at in range(0, len(records), KEYS_AT_A_TIME)
        ]
        found: Findings = {}
        for some in self._context.lookups.map(self._look_up, chunks):
            found |= some
        return found

    def _look_up(self, records: Sequence[PreparedRecord]) -> Findings:
        """Find the records that these may mean, by id or else by their key."""
        finder, columns = self._context.finder.alone(), self._columns()
        ids = {one.id for one in records if one.id and not self._options.append_only}
        by_id = finder.by_id(self._module.name, ids, columns)
        others = {
            one.key for one in records if one.key and not _is_certain(by_id.get(one.id or ""))
        }
        by_key = finder.by_key(self._key, others, columns)
        findings: Findings = {}
        for one in records:
            found = by_id.get(one.id or "", NOTHING)
            if not _is_certain(found) and one.key:
                is_unreadable = found.is_unreadable
                found = by_key[one.key]
                if is_unreadable and not found.is_unreadable:
                    found = dataclasses.replace(found, is_unreadable=True)
            findings[one] = found
        return findings

    # Matching

    def _match(self, found: Findings, records: Sequence[QueuedRecord]) -> list[SettledRecord]:
        alive = list(_alive(records))
        found = {**found, **self._look_up_all([one for one in alive if one not in found])}
        # What seems to be there and is not given is asked for once more: it looks the same when
        # another writer creates and deletes such a record meanwhile.
        found |= self._look_up_all([one for one in alive if found[one].is_only_unreadable])
        stored: dict[PreparedRecord, Record] = {}
        rejected: dict[PreparedRecord, Rejection] = {}
        for prepared in alive:
            if why := self._why_not(prepared, found[prepared]):
                rejected[prepared] = why
            elif record := found[prepared].record:
                stored[prepared] = record
        self._retrieve_what_no_query_gives(stored, rejected)
        lines, failures = self._stored_lines(stored)
        matched: list[SettledRecord] = []
        for one in records:
            if isinstance(one, RejectedRecord):
                matched.append(replace(one, found=found[one]) if one in found else one)
                continue
            record = stored.get(one)
            if one in rejected:
                record_id = one.id or (record["id"] if record else None)
                matched.append(RejectedRecord(one.input, rejected[one], record_id, one))
            elif record and not (one.input.is_deleted or self._options.append_only):
                matched.append(self._compared(one, found[one], record, lines, failures))
            else:
                matched.append(MatchedRecord(one, found[one], record))
        self._learn_referenced(matched)
        return matched

    def _why_not(self, record: PreparedRecord, found: Found) -> Rejection | None:
        """Return why a record may be neither created nor taken for the one that was found."""
        if why := found.failure or found.ambiguity:
            return why
        if found.record:
            return None
        if found.is_unreadable:
            return not_readable()
        if record.input.is_deleted:
            return None
        if record.key or (self._options.append_only and not self._plan.match_on):
            if self._options.create_missing:
                return None
            return Rejection("NOT_FOUND", "no record has this key, and `create_missing` is off")
        if record.id and not self._options.append_only:
            return Rejection("NOT_FOUND", "no record has this id", id=record.id)
        if self._plan.match_on:
            names = ", ".join(self._plan.match_on)
            return Rejection("NO_KEY", f"there is no id, and no value in {names}")
        return Rejection("NO_KEY", "there is no id, and the stream has no `match_on`")

    def _retrieve_what_no_query_gives(
        self, stored: dict[PreparedRecord, Record], rejected: dict[PreparedRecord, Rejection]
    ) -> None:
        """Retrieve the records that are told fields which a query does not give."""
        by_query = set(self._module.queryable)
        if {known.name for known in self._plan.fields.values()} <= by_query:
            return

        def retrieve(one: PreparedRecord) -> None:
            try:
                stored[one] = self._retrieved(stored[one]["id"])
            except Rejected as error:
                rejected[one] = error.rejection

        told_more = [
            one
            for one, record in stored.items()
            if not by_query >= one.values.keys() and record["id"] not in self._context.simulated
        ]
        for _ in self._context.lookups.map(retrieve, told_more):
            pass

    def _retrieved(self, record_id: str) -> Record:
        client = self._context.client

        def retrieve(ids: Sequence[str], most_failures: int) -> Record:
            return client.giving_up_after(most_failures).retrieve(ids[0])

        try:
            answers, failures = divided([record_id], retrieve, client.listtypes)
        except Refused as error:
            raise Rejected.of(rejection_of(error, id=record_id)) from None
        for failure in failures.values():
            raise Rejected.of(rejection_of(failure, id=record_id))
        ((_, record),) = answers
        return record

    # Comparing

    def _stored_lines(
        self, stored: Mapping[PreparedRecord, Record]
    ) -> tuple[dict[str, list[Record]], dict[str, Rejection]]:
        """Return the lines of the stored records that are to be compared; or why not."""
        if self._options.append_only or not self._plan.lines_property:
            return {}, {}
        ids = {
            record["id"]
            for one, record in stored.items()
            if one.lines is not None and not one.input.is_deleted
        }
        return self._context.finder.lines_of(ids)

    def _compared(
        self,
        record: PreparedRecord,
        found: Found,
        stored: Record,
        lines_of: Mapping[str, list[Record]],
        failures: Mapping[str, Rejection],
    ) -> SettledRecord:
        """Return a record with what differs from what is stored."""
        if why := failures.get(stored["id"]):
            return RejectedRecord(record.input, why, stored["id"], record)
        changes = self._changes(record.values, stored)
        if record.lines is None:
            return MatchedRecord(record, found, stored, changes)
        stored_lines = lines_of.get(stored["id"], [])
        if stored_lines and not record.lines:
            # The server cannot take away the last line.
            why = Rejection("MANDATORY_FIELD_MISSING", f"{LINES} has no line")
            return RejectedRecord(record.input, why, stored["id"], record)
        changed_lines = self._changed_lines(record.lines, stored_lines)
        if not changed_lines and record.lines and not changes:
            changed_lines = self._lines_to_add_up(stored, stored_lines)
        return MatchedRecord(record, found, stored, changes, changed_lines)

    def _changes(self, values: WireValues, stored: Record) -> WireValues:
        fields = self._module.fields
        other = other_discount(values) if self._module.is_inventory else None
        if other and other in fields:
            values = {**values, other: None}
        changed = changed_fields(stored, values, fields)
        if not changed:
            return {}
        record = {**stored, **values}
        return {
            name: values[name] for name in changed if is_kept(fields[name], self._module, record)
        }

    def _changed_lines(
        self, lines: list[WireValues], stored: Sequence[Mapping[str, Any]]
    ) -> list[WireValues] | None:
        module = self._plan.lines
        return None if not lines or not module or same_lines(stored, lines, module) else lines

    def _lines_to_add_up(self, stored: Record, lines: Sequence[Record]) -> list[WireValues] | None:
        """Return the stored lines, where the totals are not theirs: an earlier update broke off."""
        if stored["id"] in self._context.simulated:
            return None
        if self._context.server.totals.are_right(self._module.name, {**stored, LINES: lines}):
            return None
        return [{"productid": line["productid"]} for line in lines]

    # References

    def _learn_referenced(self, records: Iterable[SettledRecord]) -> None:
        """Find out which of the records that are newly referred to exist."""
        product = self._plan.lines.fields["productid"] if self._plan.lines else None
        told: dict[str, set[str]] = defaultdict(set)
        for one in records:
            if isinstance(one, RejectedRecord):
                continue
            for name, wire in (one.changes if one.stored else one.prepared.values).items():
                if name in self._references:
                    self._note_referenced(told, self._module.fields[name], wire)
            for line in one.prepared.lines or ():
                if product:
                    self._note_referenced(told, product, line.get("productid"))
        for module, ids in told.items():
            self._context.existing.learn(module, ids)

    @cached_property
    def _references(self) -> frozenset[str]:
        fields = self._module.fields.values()
        return frozenset(field.name for field in fields if field.type == "reference")

    def _note_referenced(self, told: dict[str, set[str]], known: Field, wire: str | None) -> None:
        if known.type != "reference" or not wire:
            return
        if module := self._context.modules.of(wire, known.refers_to):
            told[module].add(wire)

    def _columns(self) -> list[str]:
        """Return the fields to compare, as far as a query gives them."""
        told = {known.name for known in self._plan.fields.values()} | set(self._plan.match_on)
        deciding = {decides_whether_kept(name, self._module.name) for name in told}
        told |= {name for name in deciding if name}
        if self._plan.lines and self._plan.lines_property:
            told |= TOTALS | AMOUNTS
        return sorted(told & set(self._module.queryable)) or ["id"]


def _value(record: InputRecord, name: str | None) -> Any:
    """Return the value of a property, if there is one: the index of a table may be named ""."""
    return None if name is None else record.record.get(name)


def _alive(records: Iterable[QueuedRecord]) -> Iterator[PreparedRecord]:
    return (one for one in records if isinstance(one, PreparedRecord))


def _rejected_alone(record: QueuedRecord, error: Rejected) -> RejectedRecord:
    return RejectedRecord(record.input, error.rejection, record.id)


def _leaf(name: str) -> str:
    """Return the field of a reference, or that of a line."""
    return name.removeprefix(f"{LINES}.")


def _places(record: PreparedRecord, name: str) -> Sequence[WireValues]:
    """Return the values that may hold a reference: the record's, or those of its lines."""
    return [record.values] if _leaf(name) == name else record.lines or []


def _is_certain(found: Found | None) -> bool:
    """Whether an id has shown which record is meant, or that it cannot be known."""
    return found is not None and (found.record is not None or found.failure is not None)


def _only(record: Record | None) -> list[Record]:
    return [record] if record else []
