"""The updates of one stream: which go first, and what stops the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from kafinea.client import Client, Record
from kafinea.describe import LINES
from kafinea.errors import KafineaError, Unavailable
from kafinea.load.canary import Canary
from kafinea.load.context import LoadContext
from kafinea.load.lookup import NOTHING
from kafinea.load.matching import InputRecord, Policy
from kafinea.load.merge import has_foreign_prices
from kafinea.load.outcomes import (
    OTHERS_CHANGED,
    Outcome,
    Rejection,
    Status,
    rejection_of,
    unforeseen,
)
from kafinea.load.plan import LoadPlan
from kafinea.load.proof import exposed
from kafinea.load.server_rules import AMOUNTS, PRICES_MULTIPLIED, side_effects
from kafinea.load.updating import Updater


class Updates:
    """Updates the records of one stream. Threads share it.

    Args:
        plan: How they go into their module.
        instance: The instance.
        policy: What may be written.
    """

    def __init__(self, plan: LoadPlan, instance: LoadContext, policy: Policy) -> None:
        self._plan = plan
        self._instance = instance
        self._method = policy.update_method
        self._canary = Canary()
        self._unproven: list[tuple[InputRecord, Outcome]] = []

    def refuse_side_effects(
        self,
        record_id: str,
        changes: Mapping[str, Any],
        lines: Sequence[Mapping[str, Any]] | None,
    ) -> None:
        """Refuse an update that changes what the API does not show.

        Raises:
            Rejection: It does, and the stream does not accept it.
        """
        module = self._plan.module
        adds_up = module.is_inventory and not AMOUNTS.isdisjoint(changes)
        if adds_up and self._plan.lines is None:
            text = "this server offers no lines, so it cannot add up new amounts"
            raise Rejection("NOT_SUPPORTED", text, id=record_id)
        if lost := side_effects(module.name, has_lines=bool(lines) or adds_up):
            self._refuse_side_effect(record_id, lost)

    def _refuse_side_effect(self, record_id: str, lost: str) -> None:
        if self._plan.accept_side_effects:
            return
        text = (
            f"it would have a side effect that the API does not show: {lost}. "
            "If that is no harm, set `accept_side_effects` of the stream"
        )
        raise Rejection("SIDE_EFFECTS", text, id=record_id)

    def update(self, one: InputRecord, record_id: str) -> Outcome:
        """Update a record, alone when it is the first with such changes.

        Raises:
            Rejection: It was not updated, or not as it was meant to be.
        """
        changes, lines, module = one.changes, one.changed_lines, self._plan.module
        features = {*changes, *([LINES] if lines else [])}
        # Only a full update exposes more than it changes, and it is told by what is stored.
        before = None
        if lines or not AMOUNTS.isdisjoint(changes) or not self._updater().revises:
            self._canary.check()
            before = self._updater().retrieve(record_id)
            groups_with_point = self._instance.server.formats.grouping_separator == "."
            if module.has_prices and groups_with_point and has_foreign_prices(before):
                self._refuse_side_effect(record_id, PRICES_MULTIPLIED)
            features |= exposed(before, module)
        with self._canary.trying(features) as trial, self._instance.writing() as session:
            self._instance.server.check_numbers(module, changes, one.stored or {})
            updater = self._updater(session)
            try:
                outcome = updater.update(
                    record_id,
                    changes,
                    lines,
                    before=None if trial.has_waited else before,
                    loaded=one.values,
                    is_first=trial.is_first,
                )
            except Rejection as rejection:
                self._stop_others(record_id, rejection)  # before any of them may begin
                raise
            trial.is_sound = bool(outcome.changed)
        return outcome

    def await_proof(self, one: InputRecord, outcome: Outcome) -> None:
        """Keep a record whose update is still to be proven, until `prove`."""
        self._unproven.append((one, outcome))

    def prove(self) -> Iterator[tuple[InputRecord, Outcome]]:
        """Read back what the answers to updates did not show, a hundred records at a time.

        Yields:
            Each of these records, with its outcome.
        """
        module = self._plan.module
        ids = [outcome.id or "" for _, outcome in self._unproven]
        try:
            found = self._instance.finder.by_id(module.name, ids, module.queryable) if ids else {}
        except (KafineaError, OSError):
            raise
        except Exception:  # noqa: BLE001 see `unforeseen`; each is looked at alone
            found = dict.fromkeys(ids, NOTHING)
        self._unproven.reverse()  # they are taken from the end, in the order of the input
        while self._unproven:
            one, outcome = self._unproven.pop()
            yield one, self._proven(one, outcome, found[outcome.id or ""].record)

    def prove_now(self, one: InputRecord, outcome: Outcome) -> Outcome:
        """Return the outcome of one record, as `prove` does for many."""
        return self._proven(one, outcome, None)

    def take_unproven(self) -> list[tuple[InputRecord, Outcome]]:
        """Return what is not proven, and forget it."""
        taken, self._unproven = self._unproven, []
        return taken

    def _proven(self, one: InputRecord, outcome: Outcome, row: Record | None) -> Outcome:
        """Return the outcome of a record; where a query does not prove it, look at it alone."""
        before, record_id = outcome.unproven or {}, outcome.id or ""
        try:
            if row and self._updater().is_proven(before, row, one.changes):
                return replace(outcome, unproven=None)
            with self._instance.writing() as session:
                return self._updater(session).prove(before, one.changes, one.values)
        except Rejection as rejection:
            self._stop_others(record_id, rejection)
            return Outcome(Status.REJECTED, id=record_id, rejection=rejection)
        except Unavailable as error:
            if error.nothing_done:
                raise
            self._instance.client.listtypes()  # else it is the server, not the record
            return Outcome(
                Status.REJECTED, id=record_id, rejection=rejection_of(error, id=record_id)
            )
        except Exception as error:  # noqa: BLE001 see `unforeseen`
            why = unforeseen(error, is_sent=True)
            return Outcome(Status.REJECTED, id=record_id, rejection=why)

    def _updater(self, session: Client | None = None) -> Updater:
        """Return what updates in a session; without one, it can only look."""
        instance = self._instance
        return Updater(session or instance.client, self._plan, instance.server, self._method)

    def _stop_others(self, record_id: str, rejection: Rejection) -> None:
        if rejection.code == OTHERS_CHANGED and rejection.before:
            names = ", ".join(sorted(rejection.before))
            text = f"not sent: the update of {record_id} also changed {names}"
            self._canary.stop(OTHERS_CHANGED, text)
