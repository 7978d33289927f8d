"""The creations of one stream: the first goes alone, and each is looked up once more.

Two loads may create the same record at the same moment. So when a batch is written, its new records
are looked up by their keys: where another one with the same key has the lower id, ours is deleted
again and the input is loaded into the other. A window remains: a record that was numbered before
ours and is not yet committed when we look.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from kafinea.errors import Refused, Unavailable
from kafinea.load.context import LoadContext
from kafinea.load.plan import LoadPlan
from kafinea.load.records import MatchedRecord, PreparedRecord
from kafinea.load.rejecting import reject_unforeseen
from kafinea.load.results import NOT_READABLE, Rejected, Rejection, Result, Status, rejected
from kafinea.load.stream.altered_keys import AlteredKeys
from kafinea.load.stream.matcher import Matcher
from kafinea.load.stream.trial_writes import TrialWrites, owner_in
from kafinea.load.writing.record_updater import not_as_sent
from kafinea.load.writing.record_writer import Created, MayExist
from kafinea.page_query import is_there, number
from kafinea.refusals import is_refused

_CREATE = "create"


class Creations:
    """Creates the records of one stream. Threads share it.

    Args:
        plan: How they go into their module.
        context: What the streams of the run share.
        matcher: Looks them up.
    """

    def __init__(self, plan: LoadPlan, context: LoadContext, matcher: Matcher) -> None:
        self._plan = plan
        self._context = context
        self._matcher = matcher
        self._trials = TrialWrites()
        self._twins = AlteredKeys(context.client, plan)
        self._unconfirmed: list[tuple[MatchedRecord, Result]] = []

    def create(self, record: MatchedRecord, values: Mapping[str, Any]) -> Result:
        """Create a record, alone if it is the first of the stream.

        Args:
            record: The record.
            values: Its wire values.

        Raises:
            Rejected: It was not created, or not as it was meant to be.
        """
        with self._trials.trying({_CREATE, *owner_in(values)}) as trial:
            self._refuse_twin(values)
            module, may_alter = self._plan.module, self._plan.allows_change
            self._context.server.check_numbers(module, values, {}, may_alter)
            created = self._created(record.prepared, values)
            record_id = created.record["id"]
            if altered_key := self._altered_key(record.prepared, created.altered):
                raise Rejected.of(self._key_altered(record_id, altered_key))
            altered = [name for name in created.altered if not self._plan.allows_change(name)]
            if altered:
                rejection = not_as_sent(self._plan, created.record, values, altered)
                if _CREATE in trial.unproven:
                    names = ", ".join(altered)
                    text = (
                        f"not sent: the server altered {names} of the first new record, {record_id}"
                    )
                    self._trials.stop(rejection.code, text)
                raise Rejected.of(rejection)
            if trial.is_first and not self._is_found_again(record.prepared, record_id):
                raise Rejected.of(self._not_found_again(record_id))
            trial.is_sound = True
        self._twins.note_kept(values)
        return Result(Status.CREATED, id=record_id, altered=created.altered)

    def await_confirmation(self, record: MatchedRecord, result: Result) -> None:
        """Keep a record that was created until `confirm`."""
        self._unconfirmed.append((record, result))

    def take_unconfirmed(self) -> list[tuple[MatchedRecord, Result]]:
        """Return what was created and not confirmed, and forget it."""
        taken, self._unconfirmed = self._unconfirmed, []
        return taken

    def confirm(self) -> Iterator[tuple[MatchedRecord, Result | None]]:
        """Yield what was created, with its result; none where another record is to be updated."""
        try:
            with reject_unforeseen():
                records = [record.prepared for record, _ in self._unconfirmed]
                ids: Mapping[PreparedRecord, list[str]] | None = self._matcher.ids_by_key(records)
        except Rejected:
            ids = None  # each is looked up alone
        self._unconfirmed.reverse()  # they are taken from the end, in the order of the input
        while self._unconfirmed:
            record, result = self._unconfirmed.pop()
            yield record, self.confirm_now(record, result, ids)

    def confirm_now(
        self,
        record: MatchedRecord,
        result: Result,
        ids: Mapping[PreparedRecord, list[str]] | None = None,
    ) -> Result | None:
        """Return the result of a record that was created, as `confirm` does for many.

        Args:
            record: The record.
            result: Its result so far.
            ids: The ids of all records that have one of its keys, if they were looked up.
        """
        prepared = record.prepared
        try:
            with reject_unforeseen(is_sent=True):
                known = self._matcher.ids_by_key([prepared]) if ids is None else ids
                return self._confirmed(result, known[prepared]) if prepared in known else result
        except Rejected as error:
            return rejected(error.rejection, id=result.id)

    def _created(self, record: PreparedRecord, values: Mapping[str, Any]) -> Created:
        try:
            with self._context.gate.session() as session:
                find = self._matcher.finding(session, record)
                create = self._context.creator.create
                return create(session, self._plan, values, record.lines, find)
        except MayExist as error:
            text = f"not sent: several records in a row may exist without their key. Last: {error}"
            self._trials.note_bad(error.rejection.code, text)
            raise
        except Rejected as error:
            if error.rejection.code == NOT_READABLE and error.rejection.id:
                self._stop_if_hidden(error.rejection.id)
            raise

    def _is_found_again(self, record: PreparedRecord, record_id: str) -> bool:
        """Whether a query finds a new record by its key, or cannot tell: `confirm` looks again."""
        try:
            with reject_unforeseen():
                ids = self._matcher.ids_by_key([record]) if record.has_key else {}
        except (Rejected, Refused, Unavailable):
            return True
        return record not in ids or record_id in ids[record]

    def _refuse_twin(self, values: Mapping[str, Any]) -> None:
        """Refuse what is there already with an altered key, where that cannot be deleted again."""
        if not self._plan.keys or not self._context.rollback.is_gapless(self._plan.module):
            return
        if twin := self._twins.find(values):
            text = (
                f"not created: {twin} is the same record, but the server altered its key "
                f"({self._plan.keys_shown})"
            )
            raise Rejected("KEY_ALTERED", text, id=twin)

    def _altered_key(self, record: PreparedRecord, altered: Collection[str]) -> list[str]:
        """Return the altered fields of the keys, where none is left that finds the record again."""
        complete = [
            key.fields for key, values in zip(self._plan.keys, record.keys, strict=True) if values
        ]
        if any(set(names).isdisjoint(altered) for names in complete):
            return []
        return sorted({*altered} & {*self._plan.match_on})

    def _confirmed(self, result: Result, ids: list[str]) -> Result | None:
        record_id = result.id or ""
        if record_id not in ids:
            return rejected(self._not_found_again(record_id), id=record_id)
        older = [other for other in ids if number(other) < number(record_id)]
        if not older:
            return result
        if self._context.roll_back(self._plan, record_id):
            return None
        text = f"another load created the same record at the same time: {older[0]}, {record_id}"
        return rejected(Rejection("CREATED_TWICE", text, id=record_id))

    def _key_altered(self, record_id: str, names: list[str]) -> Rejection:
        text = f"the record was created, but the server altered its key ({', '.join(names)})"
        return self._undone(record_id, text)

    def _not_found_again(self, record_id: str) -> Rejection:
        return self._undone(record_id, "the record was created, but is not found by its key")

    def _undone(self, record_id: str, text: str) -> Rejection:
        """Delete what cannot be found again, so that no later run creates it once more."""
        is_gone = self._context.roll_back(self._plan, record_id)
        if not is_gone and self._stop_if_hidden(record_id):
            text = f"the record was created, but this user may not read it; it is kept: {record_id}"
            return Rejection(NOT_READABLE, text, id=record_id)
        text += "; it was deleted again" if is_gone else f"; it was kept as {record_id}"
        stopped = f"not sent: the server altered the keys of several records in a row. Last: {text}"
        self._trials.note_bad("KEY_ALTERED", stopped)
        return Rejection("KEY_ALTERED", text, id=None if is_gone else record_id)

    def _stop_if_hidden(self, record_id: str) -> bool:
        """Whether this user may not read a new record: the others would be created in each run."""
        client = self._context.client
        try:
            if is_there(client.query, self._plan.module.name, record_id):
                return False
            if not is_refused(client, record_id):
                return False
        except (Refused, Unavailable):
            return False
        text = f"not sent: this user may not read {record_id}, which was created before"
        self._trials.stop(NOT_READABLE, text)
        return True
