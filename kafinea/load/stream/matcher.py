"""Which stored record each record of a batch means.

Records are looked up many in one request. That begins while others are still read, and ends before
anything of their batch is written.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from functools import partial

from msgspec.structs import replace

from kafinea.client import Client, Record
from kafinea.describe import MODIFIED
from kafinea.dividing import divided
from kafinea.errors import Refused
from kafinea.load.context import LoadContext
from kafinea.load.lookup.finder import NOTHING, Finder, Found, not_readable
from kafinea.load.lookup.in_turn import find_in_turn
from kafinea.load.lookup.value_lookup import KEYS_AT_A_TIME
from kafinea.load.plan import LoadPlan
from kafinea.load.records import (
    Findings,
    MatchedRecord,
    PreparedRecord,
    QueuedRecord,
    RejectedRecord,
    SettledRecord,
)
from kafinea.load.rejecting import reject_unforeseen, together_or_alone
from kafinea.load.results import Rejected, Rejection, rejection_of
from kafinea.load.server.server_rules import AMOUNTS, TOTALS, decides_whether_kept
from kafinea.load.stream.comparer import Comparer
from kafinea.load.stream.resolver import Resolver
from kafinea.load.writing.comparing import discount_instead_of
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
        self._resolver = Resolver(plan, context)
        self._comparer = Comparer(plan, context)
        self.looks_ahead = not self._resolver.resolves_keys

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
            resolved = together_or_alone(self._resolver.resolve, records, _rejected_alone)
            pairs = zip(records, resolved, strict=True)
            found = {after: found[before] for before, after in pairs if before in found}
            records = resolved
        return together_or_alone(partial(self._match, found), records, _rejected_alone)

    def match_again(self, records: Sequence[SettledRecord]) -> list[SettledRecord]:
        """Match records once more, after something was written that they may mean."""
        asked = [each.prepared for each in records if each.may_match_otherwise and each.prepared]
        again = iter(together_or_alone(partial(self._match, {}), asked, _rejected_alone))
        return [next(again) if each.may_match_otherwise else each for each in records]

    def finding(
        self, session: Client, record: PreparedRecord
    ) -> Callable[[], Record | None] | None:
        """Return what looks a record up in a session, if it has a key."""
        finder = Finder(session, self._context.modules)

        def find() -> Record | None:
            doubt = None
            for key, values in zip(self._plan.keys, record.keys, strict=True):
                try:
                    if values and (found := finder.by_single_key(key, values)):
                        return found
                except Rejected as error:
                    doubt = error
            if doubt:
                text = f"the response was lost, and it is unknown what was created: {doubt}"
                raise Rejected("UNKNOWN_OUTCOME", text)
            return None

        return find if record.has_key else None

    def ids_by_key(self, records: Collection[PreparedRecord]) -> dict[PreparedRecord, list[str]]:
        """Return the ids of all records that have one of the keys of these, in their order.

        A key at which the server fails, or whose records this user may not read, is left out; a
        record of which that leaves no key, too.
        """
        ids: defaultdict[PreparedRecord, set[str]] = defaultdict(set)
        for place, key in enumerate(self._plan.keys):
            wanted = {record: record.keys[place] for record in records if record.keys[place]}
            found = self._context.finder.by_key(key, set(wanted.values()))
            for record, values in wanted.items():
                one = found[values]
                if not (one.failure or one.is_unreadable):
                    ids[record].update(row["id"] for row in one.equal or _only(one.record))
        return {record: sorted(some, key=number) for record, some in ids.items()}

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
        ids = {record.id for record in records if record.id and not self._options.append_only}
        by_id = finder.by_id(self._module.name, ids, columns)
        wanted = {
            record: record.keys
            for record in records
            if record.has_key and not _is_certain(by_id.get(record.id or ""))
        }
        by_key = find_in_turn(finder, self._plan.keys, wanted, columns)
        findings: Findings = {}
        for record in records:
            found = by_id.get(record.id or "", NOTHING)
            if record in by_key:
                is_unreadable = found.is_unreadable
                found = by_key[record]
                if is_unreadable and not found.is_unreadable:
                    found = dataclasses.replace(found, is_unreadable=True)
            elif len(self._plan.keys) > 1 and found.record:
                found = dataclasses.replace(found, matched_on=("id",))
            findings[record] = found
        return findings

    # Matching

    def _match(self, found: Findings, records: Sequence[QueuedRecord]) -> list[SettledRecord]:
        alive = [record for record in records if isinstance(record, PreparedRecord)]
        found = {**found, **self._look_up_all([one for one in alive if one not in found])}
        # What is counted and not returned is looked up once more: it looks the same when
        # another writer creates and deletes such a record meanwhile.
        found |= self._look_up_all([one for one in alive if found[one].is_only_unreadable])
        stored: dict[PreparedRecord, Record] = {}
        rejected: dict[PreparedRecord, Rejection] = {}
        for prepared in alive:
            if why := self._why_not(prepared, found[prepared]):
                rejected[prepared] = why
            elif row := found[prepared].record:
                stored[prepared] = row
        self._retrieve_what_no_query_gives(stored, rejected)
        lines = self._comparer.read_lines(stored.items())
        matched: list[SettledRecord] = []
        for record in records:
            if isinstance(record, RejectedRecord):
                is_found = record in found
                matched.append(replace(record, found=found[record]) if is_found else record)
                continue
            row = stored.get(record)
            if record in rejected:
                record_id = record.id or (row["id"] if row else None)
                matched.append(
                    RejectedRecord(record.input, rejected[record], record_id, record, found[record])
                )
            elif row and not (record.input.is_deleted or self._options.append_only):
                matched.append(self._comparer.compare(record, found[record], row, lines))
            else:
                matched.append(MatchedRecord(record, found[record], row))
        self._resolver.learn_referenced(matched)
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
        if record.has_key or (self._options.append_only and not self._plan.match_on):
            if self._options.create_missing:
                return None
            return Rejection("NOT_FOUND", "no record has this key, and `create_missing` is off")
        if record.id and not self._options.append_only:
            return Rejection("NOT_FOUND", "no record has this id", id=record.id)
        if self._plan.keys:
            what = "no value in" if len(self._plan.keys) == 1 else "values for none of"
            text = f"the record has no `id`, and {what} {self._plan.keys_shown} (`match_on`)"
            return Rejection("NO_KEY", text)
        text = "the record has no `id`. Set `match_on` to the fields that identify a record"
        return Rejection("NO_KEY", text)

    def _retrieve_what_no_query_gives(
        self, stored: dict[PreparedRecord, Record], rejected: dict[PreparedRecord, Rejection]
    ) -> None:
        """Retrieve the records of which fields are needed that a query does not give."""
        by_query, needed = set(self._module.queryable), set(self._columns())
        simulated = self._context.simulated

        def retrieve(record: PreparedRecord) -> None:
            try:
                row = self._retrieved(stored[record]["id"])
                stored[record] = simulated.over(row) or row
            except Rejected as error:
                rejected[record] = error.rejection

        incomplete = [
            record
            for record, row in stored.items()
            if not (by_query >= record.values.keys() and row.keys() >= needed)
            and not simulated.is_new(row["id"])
        ]
        for _ in self._context.lookups.map(retrieve, incomplete):
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

    def _columns(self) -> list[str]:
        """Return the fields to compare, as far as a query gives them."""
        names = {known.name for known in self._plan.fields.values()} | set(self._plan.match_on)
        deciding = {decides_whether_kept(name, self._module.name) for name in names}
        names |= {name for name in deciding if name}
        if self._options.plan_path:
            names.add(MODIFIED)
            if self._options.hard_delete:  # what is deleted must be as it was in all its fields
                names.update(self._module.queryable)
        if self._plan.lines and self._plan.lines_property:
            names |= TOTALS | AMOUNTS
        if self._plan.conflict_on:
            names.add(MODIFIED)
        if self._plan.policies.write:
            names |= {other for name in names if (other := discount_instead_of(name))}
        return sorted(names & set(self._module.queryable)) or ["id"]


def _rejected_alone(record: QueuedRecord, error: Rejected) -> RejectedRecord:
    return RejectedRecord(record.input, error.rejection, record.id)


def _is_certain(found: Found | None) -> bool:
    """Whether an id has shown which record is meant, or that it cannot be known."""
    return found is not None and (found.record is not None or found.failure is not None)


def _only(record: Record | None) -> list[Record]:
    return [record] if record else []
