"""What each record of a batch means: its values, the record that it stands for, what differs.

Records are looked up many in one request. That begins while others are still read, and ends before
anything of their batch is written.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any

from kafinea.client import Client, Record
from kafinea.describe import LINES, Field
from kafinea.dividing import divided
from kafinea.errors import KafineaError, Refused
from kafinea.load import checks
from kafinea.load.asking import KEYS_AT_A_TIME
from kafinea.load.context import LoadContext
from kafinea.load.keys import KeyValues
from kafinea.load.lookup import NOTHING, Finder, Found, not_readable
from kafinea.load.merge import changed_fields, other_discount, same_lines
from kafinea.load.outcomes import Rejection, rejection_of, unforeseen
from kafinea.load.plan import Key, LoadPlan
from kafinea.load.server_rules import AMOUNTS, TOTALS, decides_whether_kept, is_kept
from kafinea.load.source_files import SourceFiles
from kafinea.page_query import number


@dataclass(frozen=True)
class Policy:
    """The settings that decide what is written, and from which files.

    Attributes:
        append_only: Leave records that are found as they are.
        update_method: `auto` or `full`.
        create_missing: Create records that are not found.
        hard_delete: Delete records that the source has deleted.
        unknown_picklist: `reject` or `allow` values that a picklist does not have.
        serial_modules: Modules whose records are written one after the other.
        source_files: Where the files of records lie.
    """

    append_only: bool
    update_method: str
    create_missing: bool
    hard_delete: bool
    unknown_picklist: str
    serial_modules: frozenset[str]
    source_files: SourceFiles


@dataclass(slots=True)
class InputRecord:
    """A record on its way.

    Attributes:
        record: The record, after stream maps.
        message: The RECORD message as it came.
        line: The line of the input that it stood in.
        size: How many bytes that line has.
        rejection: Why it is not written, as soon as that is known.
        id: The Kafinea id that it came with.
        values: Its wire values by field name; None clears.
        key: The wire values of its natural key; none if it has no complete one.
        lines: Its lines, when it told any.
        found: What it may mean; None as long as that was not looked up.
        stored: The one that it means.
        changes: The values that differ from those stored.
        changed_lines: Its lines, if they differ from those stored.
        deleted: Whether the source has deleted it.
        is_sent: Whether something of it was sent to be written.
    """

    record: Mapping[str, Any]
    message: Mapping[str, Any]
    line: int
    size: int = 0
    rejection: Rejection | None = None
    id: str | None = None
    values: dict[str, str | None] = field(default_factory=dict)
    key: KeyValues = ()
    lines: list[dict[str, str | None]] | None = None
    found: Found | None = None
    stored: Record | None = None
    changes: dict[str, str | None] = field(default_factory=dict)
    changed_lines: list[dict[str, str | None]] | None = None
    deleted: bool = field(init=False)
    is_sent: bool = False

    def __post_init__(self) -> None:
        self.deleted = bool(self.record.get("_sdc_deleted_at"))

    def told(self, name: str | None) -> Any:
        """Return what a property tells, if there is one: the index of a table may be named ""."""
        return None if name is None else self.record.get(name)


def carefully(step: Callable[[Sequence[InputRecord]], None], batch: Sequence[InputRecord]) -> None:
    """Do a step for many records; where that fails as nobody foresaw, for one after the other.

    So it costs the record at which it fails, and no other.
    """
    try:
        step(batch)
    except (KafineaError, OSError):
        raise
    except Exception:  # noqa: BLE001 see `unforeseen`
        for one in batch:
            try:
                step([one])
            except Exception as error:  # noqa: BLE001 as above
                one.rejection = unforeseen(error)


class Matcher:
    """Matches the records of one stream with those of its module.

    Args:
        plan: How the records go into their module.
        instance: The instance.
        policy: What may be written.

    Attributes:
        looks_ahead: Whether records can be looked up before their references are resolved.
    """

    def __init__(self, plan: LoadPlan, instance: LoadContext, policy: Policy) -> None:
        self._plan = plan
        self._module = plan.module
        self._instance = instance
        self._policy = policy
        self._key = Key(plan.module, plan.match_on)
        # What else a key may be made of is known as soon as the record is.
        self.looks_ahead = plan.references.keys().isdisjoint(plan.match_on)

    def prepare(self, one: InputRecord) -> None:
        """Turn a record into wire values."""
        plan, zone = self._plan, self._instance.zone
        try:
            if one.rejection is None:
                one.id = checks.record_id(one.told(plan.id_property))
                one.values = checks.wire_values(plan, one.record, zone, key_only=one.deleted)
                one.key = self._key_of(one)
                checks.check_key(one.key, plan.match_on)
                told = one.told(plan.lines_property)
                if told and not plan.lines:
                    text = f"{LINES}: this server offers no lines (it has no module LineItem)"
                    raise Rejection("NOT_SUPPORTED", f"{text}; load the record without them")  # noqa: TRY301 as the checks do
                if plan.lines and told is not None and not one.deleted:
                    one.lines = checks.wire_lines(told, plan.lines, zone)
                    if one.lines:
                        checks.check_lines(one.lines)
        except Exception as error:  # noqa: BLE001 see `unforeseen`
            one.rejection = unforeseen(error)

    def look_ahead(self, records: Sequence[InputRecord]) -> Future[None]:
        """Begin to look up prepared records while others are still read."""

        def look_up(alive: Sequence[InputRecord]) -> None:
            try:
                self._look_up(alive)
            except (KafineaError, OSError):
                raise
            except Exception:  # noqa: BLE001 see `unforeseen`; `match` looks them up again
                for one in alive:
                    one.found = None

        return self._instance.lookups.submit(look_up, list(_alive(records)))

    def resolve(self, records: Sequence[InputRecord]) -> None:
        """Turn the natural keys of other records into their ids."""
        references = self._instance.references
        for name, reference in self._plan.references.items():
            leaf = name.removeprefix(f"{LINES}.")
            places = [
                (one, values)
                for one in _alive(records)
                for values in ([one.values] if leaf == name else one.lines or [])
                if values.get(leaf) is not None
            ]
            told = {value for _, values in places if (value := values[leaf])}
            references.learn(reference, told)
            for one, values in places:
                try:
                    values[leaf] = references.resolve(reference, values[leaf] or "", name)
                except Rejection as rejection:
                    one.rejection = one.rejection or rejection
        if not self.looks_ahead:
            for one in _alive(records):
                one.key = self._key_of(one)

    def match(self, records: Sequence[InputRecord]) -> None:
        """Find what is stored for each record, and what differs from it."""
        self._look_up_the_rest(records)
        self._ask_again_for_the_unreadable(records)
        for one in _alive(records):
            self._choose(one)
        self._retrieve_what_no_query_gives(records)
        self._compare(records)
        self._learn_referenced(records)

    def finding(self, session: Client, one: InputRecord) -> Callable[[], Record | None] | None:
        """Return what looks a record up in a session, if it has a key."""
        finder = Finder(session, self._instance.modules)

        def find() -> Record | None:
            try:
                return finder.one(self._key, one.key)
            except Rejection as rejection:
                text = f"its answer was lost, and it is not known what was created: {rejection}"
                raise Rejection("UNKNOWN_OUTCOME", text) from None

        return find if one.key else None

    def ids_by_key(self, records: Sequence[InputRecord]) -> dict[KeyValues, list[str]]:
        """Return the ids of all records that have the keys of these, by key, in their order.

        A key at which the server fails, or whose records this user may not read, is left out.
        """
        found = self._instance.finder.by_key(self._key, {one.key for one in records})
        return {
            key: sorted((row["id"] for row in one.equal or _only(one.record)), key=number)
            for key, one in found.items()
            if not (one.failure or one.is_unreadable)
        }

    # Finding

    def _look_up_the_rest(self, records: Sequence[InputRecord]) -> None:
        rest = [one for one in _alive(records) if one.found is None]
        chunks = [rest[at : at + KEYS_AT_A_TIME] for at in range(0, len(rest), KEYS_AT_A_TIME)]
        for _ in self._instance.lookups.map(self._look_up, chunks):
            pass

    def _ask_again_for_the_unreadable(self, records: Sequence[InputRecord]) -> None:
        """Ask once more for what seems to be there and is not given.

        It looks the same when another writer creates and deletes such a record meanwhile.
        """
        unreadable = [one for one in _alive(records) if one.found and one.found.is_only_unreadable]
        for one in unreadable:
            one.found = None
        self._look_up_the_rest(unreadable)

    def _look_up(self, records: Sequence[InputRecord]) -> None:
        """Find the records that these may mean, by id or else by their key."""
        finder, columns = self._instance.finder.alone(), self._columns()
        ids = {one.id for one in records if one.id and not self._policy.append_only}
        by_id = finder.by_id(self._module.name, ids, columns)
        others = {
            one.key for one in records if one.key and not _is_settled(by_id.get(one.id or ""))
        }
        by_key = finder.by_key(self._key, others, columns)
        for one in records:
            found = by_id.get(one.id or "", NOTHING)
            if not _is_settled(found) and one.key:
                is_unreadable = found.is_unreadable
                found = by_key[one.key]
                found = replace(found, is_unreadable=found.is_unreadable or is_unreadable)
            one.found = found

    def _choose(self, one: InputRecord) -> None:
        found = one.found or NOTHING
        one.stored = found.record
        one.rejection = found.failure or found.ambiguity
        if not (one.stored or one.rejection):
            one.rejection = self._why_not_created(one, found)

    def _why_not_created(self, one: InputRecord, found: Found) -> Rejection | None:
        """Return why a record that was not found may not be created either."""
        if found.is_unreadable:
            return not_readable()
        if one.deleted:
            return None
        if one.key or (self._policy.append_only and not self._plan.match_on):
            if self._policy.create_missing:
                return None
            return Rejection("NOT_FOUND", "no record has this key, and `create_missing` is off")
        if one.id and not self._policy.append_only:
            return Rejection("NOT_FOUND", "no record has this id", id=one.id)
        if self._plan.match_on:
            names = ", ".join(self._plan.match_on)
            return Rejection("NO_KEY", f"there is no id, and no value in {names}")
        return Rejection("NO_KEY", "there is no id, and the stream has no `match_on`")

    def _retrieve_what_no_query_gives(self, records: Sequence[InputRecord]) -> None:
        """Retrieve the records that are told fields which a query does not give."""
        told_by_query = set(self._module.queryable)
        if {known.name for known in self._plan.fields.values()} <= told_by_query:
            return
        told_more = [
            one
            for one in _alive(records)
            if one.stored
            and not told_by_query >= one.values.keys()
            and not self._instance.is_pretended(one.stored["id"])
        ]
        for _ in self._instance.lookups.map(self._retrieve, told_more):
            pass

    def _retrieve(self, one: InputRecord) -> None:
        client = self._instance.client
        record_id = one.stored["id"] if one.stored else ""

        def retrieve(ids: Sequence[str], most_failures: int) -> Record:
            return client.giving_up_after(most_failures).retrieve(ids[0])

        try:
            answers, failures = divided([record_id], retrieve, client.listtypes)
        except Refused as error:
            one.rejection = rejection_of(error, id=record_id)
            return
        for _, one.stored in answers:
            pass
        for failure in failures.values():
            one.rejection = rejection_of(failure, id=record_id)

    # Comparing

    def _compare(self, records: Sequence[InputRecord]) -> None:
        """Note what differs from what is stored."""
        known = [one for one in _alive(records) if one.stored and not one.deleted]
        if self._policy.append_only:
            return
        told = {one.stored["id"] for one in known if one.stored and one.lines is not None}
        lines, failures = self._instance.finder.lines_of(told)
        for one in known:
            stored = one.stored or {}
            if failure := failures.get(stored["id"]):
                one.rejection = failure
                continue
            one.changes = self._changes(one, stored)
            stored_lines = lines.get(stored["id"], [])
            one.changed_lines = self._changed_lines(one, stored_lines)
            if not one.changed_lines and one.lines and not one.changes:
                one.changed_lines = self._lines_to_add_up(stored, stored_lines)
            if stored_lines and one.lines == []:
                # The server cannot take away the last line.
                one.rejection = Rejection("MANDATORY_FIELD_MISSING", f"{LINES} has no line")

    def _changes(self, one: InputRecord, stored: Record) -> dict[str, str | None]:
        values, fields = one.values, self._module.fields
        other = other_discount(values) if self._module.is_inventory else None
        if other and other in fields:
            values = {**values, other: None}
        record = {**stored, **values}
        return {
            name: values[name]
            for name in changed_fields(stored, values, fields)
            if is_kept(fields[name], self._module, record)
        }

    def _changed_lines(
        self, one: InputRecord, stored: Sequence[Mapping[str, Any]]
    ) -> list[dict[str, str | None]] | None:
        lines, module = one.lines, self._plan.lines
        return None if not lines or not module or same_lines(stored, lines, module) else lines

    def _lines_to_add_up(
        self, stored: Record, lines: Sequence[Record]
    ) -> list[dict[str, str | None]] | None:
        """Return the stored lines, where the totals are not theirs: an earlier update broke off."""
        if self._instance.is_pretended(stored["id"]):
            return None
        if self._instance.server.totals.are_right(self._module.name, {**stored, LINES: lines}):
            return None
        return [{"productid": line["productid"]} for line in lines]

    # References

    def _learn_referenced(self, records: Sequence[InputRecord]) -> None:
        """Find out which of the records that are newly referred to exist."""
        told: dict[str, set[str]] = defaultdict(set)
        for one in _alive(records):
            for name, wire in (one.changes if one.stored else one.values).items():
                self._note_referenced(told, self._module.fields[name], wire)
            for line in one.lines or ():
                if self._plan.lines:
                    product = self._plan.lines.fields["productid"]
                    self._note_referenced(told, product, line.get("productid"))
        for module, ids in told.items():
            self._instance.learn_existing(module, ids)

    def _note_referenced(self, told: dict[str, set[str]], known: Field, wire: str | None) -> None:
        if known.type != "reference" or not wire:
            return
        if module := self._instance.modules.of(wire, known.refers_to):
            told[module].add(wire)

    # Keys

    def _key_of(self, one: InputRecord) -> KeyValues:
        values = tuple(one.values.get(name) or "" for name in self._plan.match_on)
        return values if all(value.strip() for value in values) else ()

    def _columns(self) -> list[str]:
        """Return the fields to compare, as far as a query gives them."""
        told = {known.name for known in self._plan.fields.values()} | set(self._plan.match_on)
        deciding = {decides_whether_kept(name, self._module.name) for name in told}
        told |= {name for name in deciding if name}
        if self._plan.lines and self._plan.lines_property:
            told |= TOTALS | AMOUNTS
        return sorted(told & set(self._module.queryable)) or ["id"]


def _alive(records: Iterable[InputRecord]) -> Iterator[InputRecord]:
    return (one for one in records if one.rejection is None)


def _is_settled(found: Found | None) -> bool:
    """Whether an id has shown which record is meant, or that it cannot be known."""
    return found is not None and (found.record is not None or found.failure is not None)


def _only(record: Record | None) -> list[Record]:
    return [record] if record else []
