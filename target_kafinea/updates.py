"""The updates of one stream: which go first, and what stops the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kafinea.describe import LINES
from target_kafinea.canary import Canary
from target_kafinea.instance import Instance
from target_kafinea.matching import Incoming, Policy
from target_kafinea.outcomes import Outcome, Rejection
from target_kafinea.plan import Plan
from target_kafinea.server_rules import AMOUNTS, side_effects
from target_kafinea.updating import Updater

_OTHERS = "OTHER_FIELDS_CHANGED"


class Updates:
    """Updates the records of one stream. Threads share it.

    Args:
        plan: How they go into their module.
        instance: The instance.
        policy: What may be written.
    """

    def __init__(self, plan: Plan, instance: Instance, policy: Policy) -> None:
        self._plan = plan
        self._instance = instance
        self._method = policy.update_method
        self._canary = Canary()

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
        lost = side_effects(module.name, has_lines=bool(lines) or adds_up)
        if lost and not self._plan.accept_side_effects:
            text = (
                f"it would have a side effect that the API does not show: {lost}. "
                "If that is no harm, set `accept_side_effects` of the stream"
            )
            raise Rejection("SIDE_EFFECTS", text, id=record_id)

    def update(self, one: Incoming, record_id: str) -> Outcome:
        """Update a record, alone when it is the first with such changes.

        Raises:
            Rejection: It was not updated, or not as it was meant to be.
        """
        changes, lines = one.changes, one.changed_lines
        features = {*changes, *([LINES] if lines else [])}
        try:
            with (
                self._canary.trying(features) as trial,
                self._instance.writing() as session,
            ):
                updater = Updater(session, self._plan, self._instance.server, self._method)
                outcome = updater.update(
                    record_id, changes, lines, loaded=one.values, is_first=trial.is_first
                )
                trial.is_sound = bool(outcome.changed)
        except Rejection as rejection:
            if rejection.code == _OTHERS and rejection.before:
                names = ", ".join(sorted(rejection.before))
                text = f"not sent: the update of {record_id} also changed {names}"
                self._canary.stop(_OTHERS, text)
            raise
        return outcome
