"""Records that were changed in Kafinea since the rows of the input were extracted.

A stream may bring when that was (`conflict_on`). What was changed since is not overwritten.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from kafinea.client import Record
from kafinea.describe import LINES, MODIFIED
from kafinea.load.context import LoadContext
from kafinea.load.plan import LoadPlan
from kafinea.load.records import InputRecord, MatchedRecord
from kafinea.load.results import CONFLICT, Rejected
from kafinea.parsing import moment

_NO_TIME = frozenset({"", "0000-00-00 00:00:00"})
"""As an import by SQL leaves it; whatever the application changes has a time."""


class Conflicts:
    """Looks for conflicts of the records of one stream.

    Args:
        plan: How they go into their module.
        context: What the streams of the run share.
    """

    def __init__(self, plan: LoadPlan, context: LoadContext) -> None:
        self._property = plan.conflict_on
        self._zone = context.zone
        self._own_writes = context.own_writes

    def check(self, record: MatchedRecord, stored: Record) -> None:
        """Check a record that is about to be updated or deleted.

        Args:
            record: The record.
            stored: The stored record that it means, as it was read last.

        Raises:
            Rejected: That was changed since the row was extracted, or this is not known.
        """
        if self._property is None:
            return
        changed_at = str(stored.get(MODIFIED) or "")
        if changed_at in _NO_TIME or self._own_writes.is_own(stored["id"], changed_at):
            return
        if changed_at == record.input.record.get(self._property):
            return  # whatever the clock shows twice in autumn
        extracted_at = self._extracted_at(record.input)
        if extracted_at and not self._zone.may_be_later(changed_at, extracted_at):
            return
        changes: Mapping[str, Any] = dict(record.changes)
        if record.changed_lines:
            changes = {**changes, LINES: record.changed_lines}
        names = ", ".join(sorted(changes)) or "the record"
        why = (
            f"the record was changed in Kafinea after the row was extracted ({self._property})"
            if extracted_at
            else f"the record exists, and {self._property} does not contain when it was extracted"
        )
        values = {
            name: {"stored": stored.get(name), "loaded": value} for name, value in changes.items()
        }
        values[MODIFIED] = {
            "stored": changed_at,
            "loaded": record.input.record.get(self._property),
        }
        text = f"{why}. Not overwritten: {names}"
        raise Rejected(CONFLICT, text, id=stored["id"], conflict=values)

    def admit(self, record: MatchedRecord, stored: Record) -> None:
        """Check a record right before it is written; what it is afterwards is no conflict."""
        self.check(record, stored)
        self._own_writes.note(stored["id"])

    def _extracted_at(self, record: InputRecord) -> datetime | None:
        """Return when a row was extracted; without a zone, it is on the server's clock."""
        value = record.record.get(self._property or "")
        if value is None or value == "":
            return None
        try:
            return self._zone.moment(moment(value))
        except (ValueError, TypeError, OverflowError):
            text = f"{self._property}: the value is not a date-time (`conflict_on`)"
            raise Rejected("INVALID_VALUE", text) from None
