"""What differs between a record and the stored record that it means."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from kafinea.client import Record
from kafinea.describe import LINES
from kafinea.load.context import LoadContext
from kafinea.load.lookup.finder import Found
from kafinea.load.plan import LoadPlan
from kafinea.load.records import (
    MatchedRecord,
    PreparedRecord,
    RejectedRecord,
    SettledRecord,
    WireValues,
)
from kafinea.load.results import Rejected, Rejection
from kafinea.load.server.server_rules import is_kept
from kafinea.load.writing.checks import check_amounts
from kafinea.load.writing.comparing import (
    changed_fields,
    discount_instead_of,
    is_empty,
    other_discount,
    same_lines,
)


class StoredLines:
    """The lines of stored records, read together.

    Args:
        lines: The lines, by the id of their record.
        failures: Why they are not known, by the id of the record at which the server fails.
    """

    def __init__(
        self, lines: Mapping[str, list[Record]], failures: Mapping[str, Rejection]
    ) -> None:
        self._lines = lines
        self._failures = failures

    def of(self, record_id: str) -> list[Record]:
        """Return the lines of a record."""
        return self._lines.get(record_id, [])

    def failure(self, record_id: str) -> Rejection | None:
        """Return why the lines of a record are not known, if they are not."""
        return self._failures.get(record_id)


class Comparer:
    """Compares the records of one stream with those that are stored.

    Args:
        plan: How they go into their module.
        context: What the streams of the run share.
    """

    def __init__(self, plan: LoadPlan, context: LoadContext) -> None:
        self._plan = plan
        self._module = plan.module
        self._context = context

    def read_lines(self, stored: Iterable[tuple[PreparedRecord, Record]]) -> StoredLines:
        """Read the lines of the stored records that are to be compared with lines."""
        may_write = self._plan.policies.may_write(LINES, is_empty=True)
        if self._context.options.append_only or not (self._plan.lines_property and may_write):
            return StoredLines({}, {})
        ids = {
            row["id"]
            for record, row in stored
            if record.lines is not None and not record.input.is_deleted
        }
        return StoredLines(*self._context.finder.lines_of(ids))

    def compare(
        self, record: PreparedRecord, found: Found, stored: Record, lines: StoredLines
    ) -> SettledRecord:
        """Return a record with what differs from what is stored.

        Args:
            record: The record.
            found: What it may mean.
            stored: The stored record that it means.
            lines: The stored lines.
        """
        if why := lines.failure(stored["id"]):
            return RejectedRecord(record.input, why, stored["id"], record)
        changes = self._changes(record.values, stored)
        if record.lines is None:
            return MatchedRecord(record, found, stored, changes)
        stored_lines = lines.of(stored["id"])
        if not self._plan.policies.may_write(LINES, is_empty=not stored_lines):
            return MatchedRecord(record, found, stored, changes)
        if stored_lines and not record.lines:
            # The server cannot take away the last line.
            why = Rejection("MANDATORY_FIELD_MISSING", f"{LINES}: the list is empty")
            return RejectedRecord(record.input, why, stored["id"], record)
        changed_lines = self._changed_lines(record.lines, stored_lines)
        if changed_lines is None and self._plan.lines:
            try:
                check_amounts({**stored, LINES: stored_lines}, record.lines)
            except Rejected as error:  # to write them again would change nothing
                return RejectedRecord(record.input, error.rejection, stored["id"], record)
        if not changed_lines and record.lines and not changes:
            changed_lines = self._lines_to_add_up(stored, stored_lines)
        return MatchedRecord(record, found, stored, changes, changed_lines, stored_lines)

    def _changes(self, values: WireValues, stored: Record) -> WireValues:
        fields = self._module.fields
        if self._plan.policies.write:
            values = {
                name: value
                for name, value in values.items()
                if may_overwrite(self._plan, name, stored)
            }
        other = other_discount(values) if self._module.is_inventory else None
        if other and other in fields:
            values = {**values, other: None}
        changed = changed_fields(stored, values, fields)
        if not changed:
            return {}
        record = {**stored, **values}
        return {
            name: values[name] for name in changed if is_kept(fields[name], self._module, record)
        }

    def _changed_lines(
        self, lines: list[WireValues], stored: Sequence[Record]
    ) -> list[WireValues] | None:
        module = self._plan.lines
        return None if not lines or not module or same_lines(stored, lines, module) else lines

    def _lines_to_add_up(self, stored: Record, lines: Sequence[Record]) -> list[WireValues] | None:
        """Return the stored lines, where the totals are not theirs: an earlier update broke off."""
        if stored["id"] in self._context.simulated:
            return None
        if self._context.server.totals.are_right(self._module.name, {**stored, LINES: lines}):
            return None
        return [{"productid": line["productid"]} for line in lines]


def may_overwrite(plan: LoadPlan, name: str, stored: Record) -> bool:
    """Whether an update may write a field; a discount is there in either of its forms."""
    if name == LINES:
        return plan.policies.may_write(LINES, is_empty=not stored.get(LINES))
    fields = plan.module.fields
    names = [each for each in (name, discount_instead_of(name)) if each and each in fields]
    is_free = all(is_empty(stored.get(each), fields[each]) for each in names)
    return plan.policies.may_write(name, is_empty=is_free)
