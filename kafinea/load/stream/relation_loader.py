"""Loading pairs of records into a related list, instead of records into a module.

The server reports success for nearly everything, so each pair is looked up in the list of its
source before it is added, and again after that. Adding twice does no harm, so after a lost
response the pair is added again.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from msgspec.structs import replace

from kafinea.dividing import divided
from kafinea.errors import IncompleteRead, Refused
from kafinea.load.approval.inputs import InputDigests
from kafinea.load.context import LoadContext
from kafinea.load.records import InputRecord, PreparedRecord, QueuedRecord, RejectedRecord
from kafinea.load.rejecting import reject_unavailable, reject_unforeseen, together_or_alone
from kafinea.load.relation_plan import RelationPlan
from kafinea.load.results import Rejected, Rejection, Result, Status, rejected, rejection_of
from kafinea.load.stream.list_writes import ListWrites, ServerListWrites
from kafinea.load.stream.loader import Done
from kafinea.load.stream.look_ahead import Batch, LookAheadQueue
from kafinea.load.stream.simulation import SimulatedListWrites
from kafinea.query import Condition, select
from kafinea.related import MOST_AT_A_TIME, RELATED, SOURCE, related_ids


class RelationLoader:
    """Loads the records of one stream into a related list.

    Args:
        plan: How they go into it.
        context: What the streams of the run share.
        done: Is called with each result, in the thread that wrote the record.

    Attributes:
        queue: The records that wait to be loaded.
    """

    def __init__(self, plan: RelationPlan, context: LoadContext, done: Done) -> None:
        self._plan = plan
        self._context = context
        self._done = done
        is_dry = context.options.dry_run
        self._writes: ListWrites = (
            SimulatedListWrites() if is_dry else ServerListWrites(plan.related_list, context.gate)
        )
        self._plan_notes = context.plan_notes(plan)
        self._digests = InputDigests(plan)
        self.queue = LookAheadQueue()

    def add(self, record: InputRecord) -> None:
        """Put a record into the queue."""
        self.queue.add(self._prepared(record))

    def load(self, batch: Batch) -> Iterator[int]:
        """Load the records of a batch; yield how many more have their result, again and again."""
        records = list(batch.records)
        for side in self._plan.properties:
            records = together_or_alone(partial(self._resolve, side), records, _rejected_alone)
        pairs = []
        for record in records:
            if isinstance(record, PreparedRecord):
                pairs.append(record)
            else:
                self._note(record.input, rejected(record.rejection))
                yield 1
        yield from self._load_pairs(pairs)

    def _prepared(self, record: InputRecord) -> QueuedRecord:
        values: dict[str, str | None] = {}
        rejection = record.rejection
        for side, name in self._plan.properties.items():
            value = record.record.get(name)
            if rejection:
                break
            if isinstance(value, (bool, float, list, dict)):
                rejection = Rejection("INVALID_VALUE", f"{side}: the value is not an id or a key")
            elif value in {None, ""}:
                rejection = Rejection("NO_KEY", f"{side}: there is no value")
            else:
                values[side] = str(value)
        return (
            RejectedRecord(record, rejection) if rejection else PreparedRecord(record, None, values)
        )

    def _resolve(self, side: str, records: Sequence[QueuedRecord]) -> list[QueuedRecord]:
        """Turn natural keys into ids, and see whether there are such records."""
        references, reference = self._context.references, self._plan.references.get(side)
        resolved = list(records)
        if reference:
            references.learn(reference, {_value(one, side) for one in _alive(records)})

            def resolve(one: PreparedRecord) -> PreparedRecord:
                is_deleted = one.input.is_deleted
                value = _value(one, side)
                record_id = references.resolve(reference, value, side, is_deleted=is_deleted)
                return replace(one, values={**one.values, side: record_id})

            resolved = [_unless_rejected(resolve, one) for one in records]
        module = self._plan.modules[side]
        prefix = f"{module.id_prefix}x"
        own = {id_ for one in _alive(resolved) if (id_ := _value(one, side)).startswith(prefix)}
        self._context.existing.learn(module.name, own)

        def check(one: PreparedRecord) -> PreparedRecord:
            record_id = _value(one, side)
            if record_id not in own or not self._context.existing.exists(module.name, record_id):
                raise Rejected(
                    "UNRESOLVED_REFERENCE", f"{side}: no record of {module.name} has this id"
                )
            return one

        return [_unless_rejected(check, one) for one in resolved]

    def _load_pairs(self, records: Iterable[PreparedRecord]) -> Iterator[int]:
        """Load the pairs of each source, many at a time, and several sources at a time."""
        wanted: dict[str, dict[str, list[InputRecord]]] = defaultdict(lambda: defaultdict(list))
        for one in records:
            wanted[_value(one, SOURCE)][_value(one, RELATED)].append(one.input)
        parts = [
            (source, dict(list(pairs.items())[start : start + MOST_AT_A_TIME]))
            for source, pairs in wanted.items()
            for start in range(0, len(pairs), MOST_AT_A_TIME)
        ]
        workers = ThreadPoolExecutor(self._context.client.max_sessions)
        try:
            for future in [workers.submit(self._load_part, *part) for part in parts]:
                yield future.result()
        finally:
            workers.shutdown(cancel_futures=True)

    def _load_part(self, source: str, wanted: Mapping[str, list[InputRecord]]) -> int:
        """Load the pairs of one source, and return of how many records they are."""
        self._context.pauses.keep()  # before the list is read
        there: set[str] = set()
        failed: dict[str, Rejection] = {}
        try:
            with reject_unforeseen(is_sent=True), reject_unavailable(self._context.client):
                there, failed = self._add_missing(source, wanted)
        except (Refused, IncompleteRead) as error:
            code = error.code if isinstance(error, Refused) else "UNAVAILABLE"
            failed = dict.fromkeys(wanted, Rejection(code, str(error)))
        except Rejected as error:
            failed = dict.fromkeys(wanted, error.rejection)
        for related, records in wanted.items():
            is_there = related in there
            for record in records:
                result = self._result(record, failed.get(related), is_there=is_there)
                if result.status is Status.CREATED:
                    result = dataclasses.replace(result, after={SOURCE: source, RELATED: related})
                is_there = is_there or result.status is Status.CREATED
                self._note(record, result)
        return sum(map(len, wanted.values()))

    def _add_missing(
        self, source: str, wanted: Mapping[str, list[InputRecord]]
    ) -> tuple[set[str], dict[str, Rejection]]:
        """Add what is missing in the list of a source; return what was there, and what failed."""
        there, failed = self._there(source, list(wanted))
        missing = [
            related
            for related, records in wanted.items()
            if not all(record.is_deleted for record in records)
            and related not in there
            and related not in failed
        ]
        failed |= self._not_planned(source, {related: wanted[related] for related in missing})
        missing = [related for related in missing if related not in failed]
        if missing:
            failed |= self._writes.add(source, missing)
            for changed in (source, *missing):
                self._context.own_writes.note(changed)
        return there, failed

    def _not_planned(
        self, source: str, wanted: Mapping[str, list[InputRecord]]
    ) -> dict[str, Rejection]:
        """Return which pairs are not to be added, because the approved plan lacks them."""
        failed: dict[str, Rejection] = {}
        if approved := self._context.approved_plan:
            for related, records in wanted.items():
                digests = [self._digests.of(one) for one in records if not one.is_deleted]
                try:
                    approved.check_part(digests, SOURCE, source, is_missing=True)
                    approved.check_part(digests, RELATED, related, is_missing=True)
                except Rejected as error:
                    failed[related] = error.rejection
        return failed

    def _result(self, record: InputRecord, failed: Rejection | None, *, is_there: bool) -> Result:
        if failed:
            return rejected(failed)
        if record.is_deleted and is_there and self._context.options.hard_delete:
            text = "the API cannot remove a record from a related list"
            return rejected(Rejection("NOT_WRITABLE", text))
        return Result(Status.UNCHANGED if is_there or record.is_deleted else Status.CREATED)

    def _there(self, source: str, related: Sequence[str]) -> tuple[set[str], dict[str, Rejection]]:
        """Return which of the records are in the list of a source, and at which the server fails.

        Raises:
            KafineaError: The server fails at the list itself.
        """
        added = self._writes.added(source, related)
        client = self._context.client

        def read(part: Sequence[str], most_failures: int) -> set[str]:
            patient = client.giving_up_after(most_failures)
            return set(related_ids(patient, self._plan.related_list, source, part))

        try:
            answers, failures = divided(related, read, lambda: self._check_list(source))
        except Refused:
            if source in self._context.simulated:
                return added, {}
            raise
        failed = {one: rejection_of(error) for one, error in failures.items()}
        return added.union(*(there for _, there in answers)), failed

    def _check_list(self, source: str) -> None:
        """Check that the server is there, and gives the list of a source at all."""
        client, module = self._context.client, self._plan.modules[RELATED]
        client.listtypes()
        nothing = select(module.name, ["id"], where=[Condition("id", "=", f"{module.id_prefix}x0")])
        client.giving_up_after(1).query_related(source, self._plan.related_list.label, nothing)

    def _note(self, record: InputRecord, result: Result) -> None:
        key = {side: record.record.get(name) for side, name in self._plan.properties.items()}
        shown = {side: value for side, value in key.items() if value is not None}
        if self._plan_notes:
            self._plan_notes.note(record, shown, result)
        self._done(record, shown, result)


def _value(record: PreparedRecord, side: str) -> str:
    return record.values[side] or ""


def _alive(records: Iterable[QueuedRecord]) -> Iterator[PreparedRecord]:
    return (one for one in records if isinstance(one, PreparedRecord))


def _unless_rejected(
    step: Callable[[PreparedRecord], PreparedRecord], record: QueuedRecord
) -> QueuedRecord:
    """Do a step for a record that is not rejected yet; it may be then."""
    if isinstance(record, RejectedRecord):
        return record
    try:
        return step(record)
    except Rejected as error:
        return RejectedRecord(record.input, error.rejection)


def _rejected_alone(record: QueuedRecord, error: Rejected) -> RejectedRecord:
    return RejectedRecord(record.input, error.rejection)
