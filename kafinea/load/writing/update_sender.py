"""Sending one update: by which operation, and with which fields of the record.

`revise` takes the changed fields only, so it harms least. Not every server has it, and it damages
the prices of products; lines go with the whole record, by `update` (measured).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kafinea.client import Client, Record
from kafinea.describe import LINES
from kafinea.errors import Code, OutcomeUnknown, Refused
from kafinea.load.plan import LoadPlan
from kafinea.load.results import Rejected, rejection_of
from kafinea.load.server.behavior import ServerBehavior
from kafinea.load.writing.comparing import (
    full_element,
    lines_to_add_up,
    merged_lines,
    revision,
    with_lines,
)

Wires = Mapping[str, Any]
Lines = Sequence[Wires]


class UpdateSender:
    """Sends updates of records of one module in one session.

    Args:
        session: One session of the instance.
        plan: How the stream's records go into their module.
        server: What is known of the server.
        update_method: `auto` or `full`.

    Attributes:
        was_busy: Whether the last answer was lost because the server had no room.
    """

    def __init__(
        self, session: Client, plan: LoadPlan, server: ServerBehavior, update_method: str
    ) -> None:
        self._session = session
        self._module = plan.module
        self._server = server
        self._line_fields = plan.lines.fields if plan.lines else {}
        self._update_method = update_method
        self.was_busy = False

    @property
    def revises(self) -> bool:
        """Whether only changed fields are sent: `revise` damages the prices of products."""
        is_wanted = self._update_method == "auto" and not self._module.has_prices
        return is_wanted and self._server.can_revise

    def send(
        self,
        stored: Record,
        changes: Wires,
        lines: Lines | None,
        loaded: Wires,
        *,
        may_revise: bool = True,
    ) -> Record | None:
        """Send an update; return the answer, or None when it was lost."""
        is_revision = lines is None and may_revise and self.revises
        if is_revision:
            element = revision(stored["id"], changes, self._module)
        else:
            element = full_element(stored, changes, self._module)
            element |= self._mandatory_and_empty(element, loaded)
            if lines is not None:
                element = with_lines(element, lines)
        send = self._session.revise if is_revision else self._session.update
        try:
            answer = send(self._module.name, element)
        except Refused as error:
            users = [] if is_revision else self._users_sent_back(element, changes)
            if error.code == Code.ACCESS_DENIED and users and self._server.can_revise:
                # It may be one whom this user may not name. Servers that check that keep what an
                # update leaves out (measured).
                kept = {name: value for name, value in stored.items() if name not in users}
                return self.send(kept, changes, lines, loaded, may_revise=may_revise)
            raise self._refused(error, stored["id"], element) from None
        except OutcomeUnknown as error:
            operation = "revise" if is_revision else "update"
            self._server.retries.lost(self._session, operation, error)
            self.was_busy = error.busy
            return None
        self._server.retries.succeeded()
        return answer

    def lines_to_send(
        self, before: Record, changes: Wires, lines: Lines | None
    ) -> list[dict[str, Any]] | None:
        """Return all lines, if some change or the server is to add up."""
        stored: Lines = before.get(LINES) or []
        wanted = lines_to_add_up(stored, changes) if lines is None else lines
        if wanted is None:
            return None
        if not all(line["productid"] for line in wanted):
            text = f"{LINES}: the product of a stored line was deleted. Load all lines"
            raise Rejected("UNRESOLVED_REFERENCE", text, id=before["id"])
        return merged_lines(stored, wanted, self._line_fields)

    def _users_sent_back(self, element: Wires, changes: Wires) -> list[str]:
        """Return the references to users that an update only sends back."""
        return [
            name
            for name, field in self._module.fields.items()
            if field.refers_to == ("Users",) and element.get(name) and name not in changes
        ]

    def _mandatory_and_empty(self, element: Wires, loaded: Wires) -> dict[str, Any]:
        """Return the loaded values of mandatory fields that the stored record holds empty."""
        return {
            name: value
            for name in self._empty_mandatory(element)
            if (value := loaded.get(name)) not in ("", None)
        }

    def _empty_mandatory(self, element: Wires) -> list[str]:
        return [
            field.name
            for field in self._module.fields.values()
            if field.mandatory and element.get(field.name) in ("", None)
        ]

    def _refused(self, error: Refused, record_id: str, element: Wires) -> Rejected:
        rejection = rejection_of(error, id=record_id)
        if error.code != Code.MANDATORY_FIELDS_MISSING:
            return Rejected.of(rejection)
        names = ", ".join(self._empty_mandatory(element))
        empty = f"These mandatory fields are empty in Kafinea: {names}. Load values for them"
        text = f"{rejection.message} {empty}"
        return Rejected(error.code, text, id=record_id)
