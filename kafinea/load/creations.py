"""The creations of one stream: the first goes alone, and each is looked up once more.

Two loads may create the same record at the same moment. So when a batch is written, its new records
are looked up by their keys: where another one with the same key has the lower id, ours is deleted
again and the input is loaded into the other. A window remains: a record that was numbered before
ours and is not yet committed when we look.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kafinea.errors import KafineaError
from kafinea.load.canary import Canary
from kafinea.load.context import LoadContext
from kafinea.load.keys import KeyValues
from kafinea.load.matching import InputRecord, Matcher
from kafinea.load.outcomes import Outcome, Rejection, Status, unforeseen
from kafinea.load.plan import LoadPlan
from kafinea.load.twins import Twins
from kafinea.load.updating import not_as_sent
from kafinea.load.writer import Writer
from kafinea.page_query import number

_CREATE = "create"


class Creations:
    """Creates the records of one stream. Threads share it.

    Args:
        plan: How they go into their module.
        instance: The instance.
        matcher: Looks them up.
    """

    def __init__(self, plan: LoadPlan, instance: LoadContext, matcher: Matcher) -> None:
        self._plan = plan
        self._instance = instance
        self._matcher = matcher
        self._canary = Canary()
        self._twins = Twins(instance.client, plan)
        self._unconfirmed: list[tuple[InputRecord, Outcome]] = []

    def create(self, one: InputRecord, values: Mapping[str, Any]) -> Outcome:
        """Create a record, alone if it is the first of the stream.

        Args:
            one: The record.
            values: Its wire values.

        Raises:
            Rejection: It was not created, or not as it was meant to be.
        """
        with self._canary.trying({_CREATE}) as trial:
            self._refuse_twin(values)
            self._instance.server.check_numbers(self._plan.module, values, {})
            with self._instance.writing() as session:
                writer = Writer(session, self._plan, self._instance.server)
                find = self._matcher.finding(session, one)
                outcome = writer.create(values, one.lines, find)
            if altered_key := sorted({*outcome.altered} & {*self._plan.match_on}):
                raise self._key_altered(outcome, altered_key)
            altered = [name for name in outcome.altered if not self._plan.allows_change(name)]
            if altered:
                rejection = not_as_sent(self._plan, outcome.stored or {}, values, altered)
                if trial.is_first:
                    names = ", ".join(altered)
                    text = f"not sent: the first creation, {outcome.id}, was altered in {names}"
                    self._canary.stop(rejection.code, text)
                raise rejection
            trial.is_sound = True
        self._twins.note_kept(values)
        return outcome

    def await_confirmation(self, one: InputRecord, outcome: Outcome) -> None:
        """Keep a record that was created until `confirm`."""
        self._unconfirmed.append((one, outcome))

    def take_unconfirmed(self) -> list[tuple[InputRecord, Outcome]]:
        """Return what was created and not confirmed, and forget it."""
        taken, self._unconfirmed = self._unconfirmed, []
        return taken

    def confirm(self) -> Iterator[tuple[InputRecord, Outcome | None]]:
        """Yield what was created, with its outcome; none where another record is to be updated."""
        try:
            ids = self._matcher.ids_by_key([one for one, _ in self._unconfirmed])
        except (KafineaError, OSError):
            raise
        except Exception:  # noqa: BLE001 see `unforeseen`
            ids = None
        self._unconfirmed.reverse()  # they are taken from the end, in the order of the input
        while self._unconfirmed:
            one, outcome = self._unconfirmed.pop()
            yield one, self.confirm_now(one, outcome, ids)

    def confirm_now(
        self, one: InputRecord, outcome: Outcome, ids: Mapping[KeyValues, list[str]] | None = None
    ) -> Outcome | None:
        """Return the outcome of a record that was created, as `confirm` does for many.

        Args:
            one: The record.
            outcome: Its outcome so far.
            ids: The ids that there are by key, if it was looked up.
        """
        try:
            known = self._matcher.ids_by_key([one]) if ids is None else ids
            return self._confirmed(outcome, known[one.key]) if one.key in known else outcome
        except Exception as error:  # noqa: BLE001 see `unforeseen`
            why = unforeseen(error, is_sent=True)
            return Outcome(Status.REJECTED, id=outcome.id, rejection=why)

    def _refuse_twin(self, values: Mapping[str, Any]) -> None:
        """Refuse what is there already with an altered key, where that cannot be deleted again."""
        if not self._plan.match_on or not self._instance.is_gapless(self._plan.module):
            return
        if twin := self._twins.find(values):
            names = ", ".join(self._plan.match_on)
            text = f"not created: {twin} is the same record, with a key ({names}) that was altered"
            raise Rejection("KEY_ALTERED", text, id=twin)

    def _confirmed(self, outcome: Outcome, ids: list[str]) -> Outcome | None:
        record_id = outcome.id or ""
        if record_id not in ids:
            return Outcome(
                Status.REJECTED, id=record_id, rejection=self._not_found_again(record_id)
            )
        older = [other for other in ids if number(other) < number(record_id)]
        if not older:
            return outcome
        if self._instance.undo(self._plan, record_id):
            return None
        text = f"another load created the same record at the same moment: {older[0]}, {record_id}"
        rejection = Rejection("CREATED_TWICE", text, id=record_id)
        return Outcome(Status.REJECTED, id=record_id, rejection=rejection)

    def _key_altered(self, outcome: Outcome, names: list[str]) -> Rejection:
        text = f"it was created, but the server altered its key in {', '.join(names)}"
        return self._undone(outcome.id or "", text)

    def _not_found_again(self, record_id: str) -> Rejection:
        return self._undone(record_id, "it was created, but cannot be found by its key again")

    def _undone(self, record_id: str, text: str) -> Rejection:
        """Delete what cannot be found again, so that no later run creates it once more."""
        is_gone = self._instance.undo(self._plan, record_id)
        text += "; it was deleted again" if is_gone else f"; it is {record_id} and was kept"
        self._canary.note_bad("KEY_ALTERED", f"not sent: the server alters keys. The last: {text}")
        return Rejection("KEY_ALTERED", text, id=None if is_gone else record_id)
