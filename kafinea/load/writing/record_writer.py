"""Creating and deleting one record, and what to do when the answer is lost.

`create` is not idempotent, and the server may have done what it never confirmed. So a write whose
answer was lost is looked up before anything else, in the same session: the server runs the requests
of a session one after the other, so the look-up is answered when the write has ended.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from kafinea.client import Client, Record
from kafinea.describe import LINES
from kafinea.errors import Code, OutcomeUnknown, Refused, Unavailable
from kafinea.load.plan import LoadPlan
from kafinea.load.results import NOT_READABLE, Rejected, Result, Status, rejection_of
from kafinea.load.server.behavior import ServerBehavior
from kafinea.load.server.server_rules import side_effects
from kafinea.load.writing.checks import check_amounts
from kafinea.load.writing.comparing import altered_fields, same_lines, with_lines
from kafinea.load.writing.merged_lines import merged_lines
from kafinea.load.writing.record_updater import RecordUpdater
from kafinea.parsing import is_id, prefix_of
from kafinea.refusals import exists

_CHECKED_BEFORE = frozenset(
    {Code.DUPLICATE, Code.MANDATORY_FIELDS_MISSING, Code.REFERENCE_INVALID, Code.CURRENCY_INACTIVE}
)
"""Why servers refuse a record before they store it. Other errors may come after that: coreBOS
stores a record with an unknown owner, and then refuses it (measured)."""

Find = Callable[[], Record | None]
Lines = Sequence[Mapping[str, Any]]


class MayExist(Rejected):
    """It is not certain whether a record was created, and no look-up by its key would find it."""


class _NamesNoRecord(OutcomeUnknown):
    """A creation was answered, but the answer does not say which record it has made."""


class Created(NamedTuple):
    """A new record.

    Attributes:
        record: The record as the server showed it.
        altered: The fields that the server stored otherwise than they were sent.
    """

    record: Record
    altered: tuple[str, ...]


class RecordWriter:
    """Creates and deletes records of one module in one session.

    Args:
        session: One session of the instance.
        plan: How the stream's records go into their module.
        server: What is known of the server.
    """

    def __init__(self, session: Client, plan: LoadPlan, server: ServerBehavior) -> None:
        self._session = session
        self._plan = plan
        self._module = plan.module
        self._server = server
        self._line_fields = plan.lines.fields if plan.lines else {}

    def create(self, values: Mapping[str, Any], lines: Lines | None, find: Find | None) -> Created:
        """Create a record, once.

        Args:
            values: Wire values by field name.
            lines: Its lines, if it has any.
            find: Looks the record up after a lost answer; None if it has no key.

        Returns:
            The record as it is stored, and the fields that were not stored as they were sent.

        Raises:
            Rejected: The server refused it, or it is not known whether it exists.
            WritesFail: The server fails at every creation.
        """
        element = {name: value for name, value in values.items() if value is not None}
        if lines is not None:
            lines = merged_lines([], lines, self._line_fields)
            element = with_lines(element, lines)
        stored = self._create(element, find)
        if self._differs(stored, values, lines):
            stored = self._retrieve(stored["id"])  # the answer was lost, or leaves something out
        if self._lacks_lines(stored, lines):
            stored = self._repaired(stored, values, lines or [])
        check_amounts(stored, lines if self._plan.lines else None)
        altered = altered_fields(stored, values, self._module)
        for name in altered:
            field = self._module.fields[name]
            self._server.limits.note(self._module.name, field, values[name], stored.get(name))
        return Created(stored, tuple(altered))

    def delete(self, record_id: str) -> Result:
        """Delete a record.

        Raises:
            Rejected: The server refused it, or it is not known whether it was done.
            WritesFail: The server fails at every write.
        """
        tries = 0
        while True:
            tries += 1
            try:
                self._session.delete(record_id)
            except Refused as error:
                if self._exists(record_id):
                    raise Rejected.of(rejection_of(error, id=record_id)) from None
            except OutcomeUnknown as error:
                self._server.retries.lost(self._session, "delete", error)
                if self._exists(record_id):
                    if self._tries_again("delete", tries, error):
                        continue
                    text = f"the server failed {tries} times to delete the record"
                    raise Rejected("UNKNOWN_OUTCOME", text, id=record_id) from None
            self._server.retries.succeeded()
            return Result(Status.DELETED, id=record_id)

    def _create(self, element: Mapping[str, Any], find: Find | None) -> Record:
        """Send a creation until the record exists; return the answer, or what a look-up found."""
        tries = 0
        while True:
            tries += 1
            try:
                return self._created(self._session.create(self._module.name, element))
            except Refused as error:
                raise self._refused(error, find) from None
            except OutcomeUnknown as error:
                self._server.retries.lost(self._session, "create", error)
                if find is None:
                    self._server.retries.await_server(self._session, "create")
                    text = f"{error} The record has no key to look it up by."
                    raise Rejected("UNKNOWN_OUTCOME", text) from None
                if found := find():
                    self._session.note_found(found["id"])
                    return found
                if isinstance(error, _NamesNoRecord):
                    text = f"{error} The record was not sent again, and is not found by its key"
                    raise MayExist("UNKNOWN_OUTCOME", text) from None
                if self._tries_again("create", tries, error):
                    continue
                text = f"the server failed {tries} times to create the record; none was found"
                raise Rejected("UNKNOWN_OUTCOME", text) from None

    def _refused(self, error: Refused, find: Find | None) -> Rejected:
        """Return the rejection of a creation that was refused, perhaps after it was done."""
        rejection = rejection_of(error)
        if find is None or error.code in _CHECKED_BEFORE:
            return Rejected.of(rejection)
        try:
            found = find()
        except (Refused, Unavailable, Rejected):
            found = None
        if found:
            text = f"{rejection.message}. The record exists all the same: {found['id']}"
            return Rejected(rejection.code, text, id=found["id"])
        return Rejected.of(rejection)

    def _created(self, answer: Record) -> Record:
        """Return the answer to a creation.

        Raises:
            _NamesNoRecord: It does not say which record was created.
        """
        record_id = answer.get("id")
        if not (is_id(record_id) and prefix_of(str(record_id)) == self._module.id_prefix):
            found = f"{record_id}, which is" if is_id(record_id) else ""
            text = f"create: the response contains {found} no id of {self._module.name}."
            raise _NamesNoRecord(" ".join(text.split()))
        self._server.retries.succeeded()
        return answer

    def _tries_again(self, operation: str, tries: int, error: OutcomeUnknown) -> bool:
        patience = self._server.retries
        return patience.tries_again(self._session, operation, tries, is_busy=error.busy)

    def _retrieve(self, record_id: str) -> Record:
        try:
            return self._session.retrieve(record_id)
        except Refused as error:
            text = f"the record was created, but cannot be read back: {error}"
            raise Rejected(NOT_READABLE, text, id=record_id) from None

    def _repaired(self, stored: Record, values: Mapping[str, Any], lines: Lines) -> Record:
        """Write the lines of a record that was created without some of them.

        Raises:
            Rejected: They cannot be written.
        """
        lost = side_effects(self._module.name, has_lines=True)
        if lost and not self._plan.accept_side_effects:
            text = (
                f"{LINES}: the record was created, but lines are missing. Writing them again has a "
                f"side effect: {lost}. Set `accept_side_effects`, or correct the record in Kafinea"
            )
            raise Rejected("NOT_AS_SENT", text, id=stored["id"])
        updater = RecordUpdater(self._session, self._plan, self._server, "auto")
        return updater.write_lines(stored, values, lines)

    def _differs(self, stored: Record, values: Mapping[str, Any], lines: Lines | None) -> bool:
        # An answer may only repeat what was sent, and `modifiedtime` never is.
        is_own = "modifiedtime" in stored or "modifiedtime" not in self._module.fields
        shown = is_own and all(name in stored for name in values)
        altered = altered_fields(stored, values, self._module)
        return not shown or bool(altered) or self._lacks_lines(stored, lines)

    def _lacks_lines(self, stored: Record, lines: Lines | None) -> bool:
        """Whether a record has other lines than it was sent, or totals of other lines."""
        if lines is None or self._plan.lines is None:
            return False
        has_all = same_lines(stored.get(LINES) or [], lines, self._plan.lines)
        return not has_all or not self._server.totals.are_right(self._module.name, stored)

    def _exists(self, record_id: str) -> bool:
        return exists(self._session, self._module.name, record_id)
