"""Updating one record, and the proof that nothing else of it changed.

What servers do to the fields that an update was not meant for depends on the server, the module and
the user (measured). So as little is sent as the server takes, the whole record is compared before
and after, and what was damaged is reported and restored where possible.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from kafinea.client import Client, Record
from kafinea.describe import LINES, MODIFIED
from kafinea.errors import Refused
from kafinea.load.plan import LoadPlan
from kafinea.load.results import (
    NOT_READABLE,
    OTHERS_CHANGED,
    Rejected,
    Rejection,
    Result,
    Status,
    rejection_of,
)
from kafinea.load.server.behavior import ServerBehavior
from kafinea.load.server.formats import advice, cause_of
from kafinea.load.writing.checks import check_amounts
from kafinea.load.writing.comparing import altered_fields, own_currency, same_lines
from kafinea.load.writing.unintended_changes import (
    NOT_ANSWERED,
    holds_the_record,
    other_changes,
)
from kafinea.load.writing.update_sender import Lines, UpdateSender, Wires
from kafinea.refusals import is_refused

_NOBODY = re.compile(r"\d+", re.ASCII)
"""How an owner reads whose user was removed: a number without the prefix of an id."""


@dataclass(frozen=True, kw_only=True)
class UnprovenUpdate(Result):
    """An update whose answer does not show what it did.

    Attributes:
        whole_before: The whole record before the update.
    """

    whole_before: dict[str, Any]


class RecordUpdater:
    """Updates records of one module in one session.

    Args:
        session: One session of the instance.
        plan: How the stream's records go into their module.
        server: What is known of the server.
        update_method: `auto` or `full`.
    """

    def __init__(
        self, session: Client, plan: LoadPlan, server: ServerBehavior, update_method: str
    ) -> None:
        self._session = session
        self._plan = plan
        self._module = plan.module
        self._server = server
        self._sender = UpdateSender(session, plan, server, update_method)

    @property
    def revises(self) -> bool:
        """Whether only changed fields are sent, of a record whose lines do not change."""
        return self._sender.revises

    def update(
        self,
        record_id: str,
        changes: Wires,
        lines: Lines | None = None,
        *,
        before: Record | None = None,
        loaded: Wires | None = None,
        is_first: bool = False,
        admit: Callable[[Record], None],
    ) -> Result:
        """Update a record, and prove that it became what it was meant to be.

        Args:
            record_id: Its id.
            changes: New wire values by field name; None clears.
            lines: New lines, if they change or are to be added up again.
            before: The whole record, if it was read just now.
            loaded: All values that the record came with, for what is mandatory and empty.
            is_first: Whether no update of this run has changed these fields before; then the
                record is read again whatever the answer shows.
            admit: Is shown the whole record right before it is written, and may refuse that.

        Raises:
            Rejected: The server refused it, changed more or less than it should, or it is not
                known whether it was done.
            WritesFail: The server fails at every write.
        """
        before = before or self.retrieve(record_id)
        self._check_owner(before, changes)
        if self._is_done(before, changes, lines):
            return Result(Status.UNCHANGED, id=record_id)
        admit(before)
        sent_lines = self._sender.lines_to_send(before, changes, lines)
        after = self._write(before, changes, sent_lines, loaded or {}, is_first=is_first)
        if after is None:
            changed = tuple(changes)
            return UnprovenUpdate(
                Status.UPDATED, id=record_id, changed=changed, whole_before=before
            )
        return self._judged(before, after, changes, sent_lines, has_lines=lines is not None)

    def prove(self, before: Record, changes: Wires, loaded: Wires) -> Result:
        """Prove an update that was sent some time ago and whose answer did not show the record.

        The record is read again, for others may have changed it since: what they wrote must not be
        undone by a full update of what it was before.

        Args:
            before: The whole record before the update.
            changes: The changes.
            loaded: All values that the record came with, for what is mandatory and empty.

        Raises:
            Rejected: It changed more or less than it should.
        """
        after = self._read_back(before["id"])
        if altered_fields(after, changes, self._module):
            after = self._write(after, changes, None, loaded, is_first=True) or after
        return self._judged(before, after, changes, None, has_lines=False)

    def write_lines(self, stored: Record, loaded: Wires, lines: Lines) -> Record:
        """Write the lines of a record that was just created without some, and return it.

        Raises:
            Rejected: It still has others.
        """
        try:
            after = self._write(stored, {}, lines, loaded, is_first=False) or stored
        except Rejected as error:
            text = f"{LINES}: the record was created, but lines are missing: {error}"
            raise Rejected("NOT_AS_SENT", text, id=stored["id"]) from None
        self._judged(stored, after, {}, lines, has_lines=True)
        return after

    # Writing

    def _write(
        self, before: Record, changes: Wires, lines: Lines | None, loaded: Wires, *, is_first: bool
    ) -> Record | None:
        """Send an update until it is done, and return the record as it is then.

        Returns:
            None when the answer does not show it: many such records are read back at a time.
        """
        sent, tries, repeated = dict(changes), 0, False
        stored = before
        while True:
            tries += 1
            # A server may fail at `revise` for a record whose owner is gone, and update it.
            may_revise = tries == 1 or not self._owners_gone(before)
            answer = self._sender.send(stored, sent, lines, loaded, may_revise=may_revise)
            is_shown = answer is not None and not is_first and holds_the_record(answer, before)
            if answer is not None and not is_shown and not is_first and lines is None:
                return None
            stored = answer if answer is not None and is_shown else self._read_back(before["id"])
            if is_shown and not self._is_sound(before, stored, changes, lines):
                stored = self._read_back(before["id"])  # the answer may leave something out
            if self._is_done(stored, changes, lines):
                break
            if answer is None and not self._has_all_but_totals(stored, changes, lines):
                operation = "revise" if lines is None and self.revises else "update"
                patience, is_busy = self._server.retries, self._sender.was_busy
                if patience.tries_again(self._session, operation, tries, is_busy=is_busy):
                    continue
                if lines is not None and stored.get(LINES) != before.get(LINES):
                    break  # they were written, and some are missing
                text = f"the server failed {tries} times to update the record"
                raise Rejected("UNKNOWN_OUTCOME", text, id=before["id"])
            decoded = self._decoded(stored, sent)
            if repeated or not (decoded or lines is not None):
                break
            sent |= {name: _encoded(sent[name]) for name in decoded}
            repeated = True
        return stored

    # Looking

    def retrieve(self, record_id: str) -> Record:
        """Return a record as it is.

        Raises:
            Rejected: The server refuses it.
        """
        try:
            return self._session.retrieve(record_id)
        except Refused as error:
            raise Rejected.of(rejection_of(error, id=record_id)) from None

    def _read_back(self, record_id: str) -> Record:
        """Return a record after an update of it was sent.

        Raises:
            Rejected: The server refuses it: as a rule, it now belongs to somebody else.
        """
        try:
            return self._session.retrieve(record_id)
        except Refused as error:
            if not is_refused(self._session, record_id):  # somebody else has deleted it
                raise Rejected.of(rejection_of(error, id=record_id)) from None
            text = f"the update was sent, and this user may not read the record any more: {error}"
            raise Rejected(NOT_READABLE, text, id=record_id) from None

    def _is_done(self, stored: Record, changes: Wires, lines: Lines | None) -> bool:
        """Whether a record is as it was meant to be, its totals included."""
        return self._has_all_but_totals(stored, changes, lines) and (
            lines is None or self._server.totals.are_right(self._module.name, stored)
        )

    def _has_all_but_totals(self, stored: Record, changes: Wires, lines: Lines | None) -> bool:
        return not altered_fields(stored, changes, self._module) and self._has_lines(stored, lines)

    def _has_lines(self, stored: Record, lines: Lines | None) -> bool:
        if lines is None or self._plan.lines is None:
            return True
        return same_lines(stored.get(LINES) or [], lines, self._plan.lines)

    def _decoded(self, stored: Record, changes: Wires) -> list[str]:
        """Return the fields of which the server has turned HTML entities into characters."""
        return [
            name
            for name in altered_fields(stored, changes, self._module)
            if isinstance(text := changes[name], str) and stored.get(name) == html.unescape(text)
        ]

    def _is_sound(self, before: Record, after: Record, changes: Wires, lines: Lines | None) -> bool:
        if not self._is_done(after, changes, lines):
            return False
        return not self._others(before, {**_not_answered(before), **after}, changes, lines)

    def is_proven(self, before: Record, row: Record, changes: Wires) -> bool:
        """Whether what a query gives of a record shows that an update did what it was meant to.

        Args:
            before: The whole record before the update.
            row: The record now, as far as a query gives it.
            changes: The changes.
        """
        if not changes.keys() <= row.keys() or altered_fields(row, changes, self._module):
            return False
        return not self._others({name: before.get(name) for name in row}, row, changes, None)

    # Judging

    def _others(
        self, before: Record, after: Record, changes: Wires, lines: Lines | None
    ) -> dict[str, Any]:
        """Return what else changed, with the values before."""
        changed = {*changes, *([LINES] if lines is not None else [])}
        if "unit_price" in changes and self._module.has_prices:
            changed.add(own_currency(before))
        return other_changes(before, after, changed, self._module)

    def _judged(
        self, before: Record, after: Record, changes: Wires, lines: Lines | None, *, has_lines: bool
    ) -> Result:
        """Return what became of a record.

        Raises:
            Rejected: Not what was meant.
        """
        others = self._others(before, after, changes, lines)
        refused = {name: old for name, old in others.items() if not self._plan.allows_change(name)}
        if refused:
            # What was not sent, somebody else has changed: restoring it would undo what they did.
            is_damage = lines is not None or not self.revises
            raise self._other_fields_changed(before, after, changes, refused, is_damage=is_damage)
        altered = altered_fields(after, changes, self._module)
        if missing := [name for name in altered if not self._plan.allows_change(name)]:
            raise self._not_as_sent(after, changes, missing)
        if not self._has_lines(after, lines):
            text = "lines are missing or differ from those sent, after two tries"
            raise Rejected("NOT_AS_SENT", f"{LINES}: {text}", id=before["id"])
        check_amounts(after, lines if self._plan.lines else None)
        if lines is not None and not self._server.totals.are_right(self._module.name, after):
            text = "subtotal and total do not match the lines, after two tries"
            raise Rejected("TOTALS_WRONG", text, id=before["id"])
        return Result(
            Status.UPDATED,
            id=before["id"],
            changed=(*changes, *([LINES] if has_lines else [])),
            also_changed=(*others, *altered),
            before={name: before.get(name) for name in (*changes, *others)},
            modifiedtime=after.get(MODIFIED),
        )

    def _is_someone_elses(self, record: Record) -> bool:
        """Whether another user has written a record since this one did."""
        writer = record.get("modifiedby")
        return bool(writer) and writer != self._session.user_id()

    def _other_fields_changed(
        self, before: Record, after: Record, changes: Wires, others: Wires, *, is_damage: bool
    ) -> Rejected:
        names = ", ".join(sorted(others))
        fields = self._module.fields
        causes = {cause_of(fields.get(name), old, after.get(name)) for name, old in others.items()}
        if not is_damage or self._is_someone_elses(after):
            restored = (
                "Another user or a workflow has changed the record since, so nothing was restored."
            )
        elif self._is_restored(before, others, changes):
            restored = "The old values were restored."
        else:
            restored = "The old values could not be restored."
        text = (
            f"the server also changed fields that were not loaded: {names}. {restored} "
            f"{advice(causes)} If this is intended, add the fields to `allow_changes`."
        )
        return Rejected(OTHERS_CHANGED, text, id=before["id"], before=dict(others))

    def _is_restored(self, before: Record, others: Wires, changes: Wires) -> bool:
        """Try once to give fields the values that they had; return whether that held."""
        known = {name: others[name] for name in others if name in self._module.fields}
        try:
            if len(known) == len(others) and LINES not in others:
                self._sender.send(before, {**changes, **known}, None, {})
            return not others.keys() & other_changes(
                before, self.retrieve(before["id"]), changes, self._module
            )
        except Rejected:
            return False

    def _not_as_sent(self, after: Record, changes: Wires, names: Sequence[str]) -> Rejected:
        for name in names:
            field = self._module.fields[name]
            self._server.limits.note(self._module.name, field, changes[name], after.get(name))
        return Rejected.of(not_as_sent(self._plan, after, changes, names))

    def _check_owner(self, before: Record, changes: Wires) -> None:
        """Refuse a record whose owner is gone: an update would make it the API user's."""
        if names := [name for name in self._owners_gone(before) if name not in changes]:
            text = (
                f"{names[0]}: the owner no longer exists, so the record would be assigned to the "
                f"API user. Load {names[0]} to set the owner"
            )
            raise Rejected("OWNER_GONE", text, id=before["id"])

    def _owners_gone(self, record: Record) -> list[str]:
        """Return the fields whose owner is no user any more."""
        return [
            field.name
            for field in self._module.fields.values()
            if field.type == "owner" and _NOBODY.fullmatch(str(record.get(field.name)))
        ]


def not_as_sent(plan: LoadPlan, stored: Wires, sent: Wires, names: Sequence[str]) -> Rejection:
    """Return the rejection of a record of which the server stored other values than were sent."""
    causes = {cause_of(plan.module.fields[name], sent[name], stored.get(name)) for name in names}
    text = (
        f"the server stored other values than those sent in {', '.join(sorted(names))}. "
        f"{advice(causes)} If this is intended, add the fields to `allow_changes`."
    )
    return Rejection("NOT_AS_SENT", text, id=stored.get("id"))


def _not_answered(before: Record) -> Record:
    """Return what answers leave out, as it was: only `retrieve` can show that it changed."""
    return {name: value for name, value in before.items() if name in NOT_ANSWERED}


def _encoded(text: str) -> str:
    """Return a text of which the server decodes the HTML entities, so that it ends as it was."""
    return re.sub(r"&(?=#?\w+;)", "&amp;", text)
