"""Writing one record: create, update or delete, and what to do when the answer is lost.

`create` is not idempotent, and the server may have done what it never confirmed. So a write whose
answer was lost is looked up before anything else, in the same session: the server runs the requests
of a session one after the other, so the look-up is answered when the write has ended.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kafinea.chain import count
from kafinea.client import Client, Record
from kafinea.describe import LINES, Module
from kafinea.errors import Code, OutcomeUnknown, Refused
from kafinea.query import Condition
from target_kafinea.merge import (
    changed_fields,
    lines_to_add_up,
    merged,
    merged_lines,
    same_lines,
    with_lines,
)
from target_kafinea.outcomes import Kind, Outcome, Rejection

_TRIES = 3
Find = Callable[[], Record | None]
Lines = Sequence[Mapping[str, Any]]


class Writer:
    """Writes records of one module in one session.

    Args:
        client: One session of the instance.
        module: The module.
        line: The module of lines, for modules that have them.
    """

    def __init__(self, client: Client, module: Module, line: Module | None = None) -> None:
        self._client = client
        self._module = module
        self._line = line
        self._line_fields = line.fields if line else {}

    def create(self, values: Mapping[str, Any], lines: Lines | None, find: Find | None) -> Outcome:
        """Create a record, once.

        Args:
            values: Wire values by field name.
            lines: Its lines, if it has any.
            find: Looks the record up by its key; None if it has no key.

        Raises:
            Rejection: The server refused it, or it is not known whether it exists.
        """
        element = {name: value for name, value in values.items() if value is not None}
        if lines is not None:
            element = with_lines(element, merged_lines([], lines, self._line_fields))
        for _ in range(_TRIES):
            try:
                answer = self._client.create(self._module.name, element)
            except Refused as error:
                raise _refused(error) from None
            except OutcomeUnknown as error:
                if find is None:
                    raise _unknown(f"{error} There is no key to look it up by.") from None
                if found := find():
                    return self._complete(found["id"], values, lines)
                continue
            altered = self._altered(answer, values, lines)
            return Outcome(Kind.CREATED, id=answer["id"], altered=altered)
        raise _unknown(f"the server failed {_TRIES} times to create it, and it does not exist")

    def update(
        self, record_id: str, changes: Mapping[str, Any], lines: Lines | None = None
    ) -> Outcome:
        """Update a record: send it whole, with the changes over it.

        Args:
            record_id: Its id.
            changes: New wire values by field name; None clears.
            lines: New lines, if they change.

        Raises:
            Rejection: The server refused it, or it is not known whether it was done.
        """
        for attempt in range(_TRIES + 1):
            try:
                stored = self._client.retrieve(record_id)
                if not self._differs(stored, changes, lines):
                    return self._updated(record_id, changes, lines) if attempt else _same(record_id)
                if attempt == _TRIES:
                    break
                element = merged(stored, changes, self._module)
                stored_lines = stored.get(LINES) or []
                told = lines_to_add_up(stored_lines, changes) if lines is None else lines
                if told is not None:
                    if not all(line["productid"] for line in told):
                        text = f"{LINES}: the product of a stored line was deleted; tell all lines"
                        raise Rejection("UNRESOLVED_REFERENCE", text, id=record_id)
                    told = merged_lines(stored_lines, told, self._line_fields)
                    element = with_lines(element, told)
                answer = self._client.update(self._module.name, element)
            except Refused as error:
                raise _refused(error, record_id) from None
            except OutcomeUnknown:
                continue
            return self._updated(record_id, changes, lines, answer)
        raise _unknown(f"the server failed {_TRIES} times to update it", record_id)

    def delete(self, record_id: str) -> Outcome:
        """Delete a record.

        Raises:
            Rejection: The server refused it, or it is not known whether it was done.
        """
        for _ in range(_TRIES):
            try:
                self._client.delete(record_id)
            except Refused as error:
                if self._exists(record_id):
                    raise _refused(error, record_id) from None
            except OutcomeUnknown:
                if self._exists(record_id):
                    continue
            return Outcome(Kind.DELETED, id=record_id)
        raise _unknown(f"the server failed {_TRIES} times to delete it", record_id)

    def _complete(self, record_id: str, values: Mapping[str, Any], lines: Lines | None) -> Outcome:
        """Finish a record whose creation gave no answer: it may lack its lines."""
        stored = self._client.retrieve(record_id)
        if self._differs(stored, values, lines):
            altered = changed_fields(stored, values, self._module.fields)
            self.update(record_id, {name: values[name] for name in altered}, lines)
        return Outcome(Kind.CREATED, id=record_id)

    def _updated(
        self,
        record_id: str,
        changes: Mapping[str, Any],
        lines: Lines | None,
        answer: Mapping[str, Any] | None = None,
    ) -> Outcome:
        changed = (*changes, *([LINES] if lines is not None else []))
        altered = self._altered(answer or {}, changes, lines)
        return Outcome(Kind.UPDATED, id=record_id, changed=changed, altered=altered)

    def _altered(
        self, answer: Mapping[str, Any], values: Mapping[str, Any], lines: Lines | None
    ) -> tuple[str, ...]:
        """Return what the server stored otherwise, as far as its answer shows it."""
        shown = {name: value for name, value in values.items() if name in answer}
        altered = changed_fields(answer, shown, self._module.fields)
        return (*altered, LINES) if self._has_other_lines(answer, lines) else tuple(altered)

    def _differs(self, stored: Record, changes: Mapping[str, Any], lines: Lines | None) -> bool:
        if changed_fields(stored, changes, self._module.fields):
            return True
        return self._has_other_lines({LINES: [], **stored}, lines)

    def _has_other_lines(self, record: Mapping[str, Any], lines: Lines | None) -> bool:
        """Whether a record shows other lines than those told."""
        if lines is None or self._line is None or LINES not in record:
            return False
        return not same_lines(record[LINES] or [], lines, self._line)

    def _exists(self, record_id: str) -> bool:
        where = [Condition("id", "=", record_id)]
        return count(self._client.query, self._module.name, where) > 0


def _same(record_id: str) -> Outcome:
    return Outcome(Kind.UNCHANGED, id=record_id)


def _refused(error: Refused, record_id: str | None = None) -> Rejection:
    text = str(error)
    if error.code == Code.DUPLICATE:
        text = "another record has the same value in a field that must be unique"
    return Rejection(error.code, text, id=record_id)


def _unknown(text: str, record_id: str | None = None) -> Rejection:
    return Rejection("UNKNOWN_OUTCOME", text, id=record_id)
