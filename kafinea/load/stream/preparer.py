"""Typing the values of a record as it comes, before anything is looked up for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kafinea.describe import LINES
from kafinea.load.lookup.keys import KeyValues, is_complete
from kafinea.load.plan import Key, LoadPlan
from kafinea.load.records import (
    InputRecord,
    PreparedRecord,
    QueuedRecord,
    RejectedRecord,
    WireValues,
)
from kafinea.load.rejecting import reject_unforeseen
from kafinea.load.results import Rejected
from kafinea.load.writing import checks
from kafinea.values import ServerZone


class Preparer:
    """Prepares the records of one stream.

    Args:
        plan: How they go into their module.
        zone: The server's time zone.
    """

    def __init__(self, plan: LoadPlan, zone: ServerZone) -> None:
        self._plan = plan
        self._zone = zone

    def prepare(self, record: InputRecord) -> QueuedRecord:
        """Turn a record into wire values."""
        if record.rejection:
            return RejectedRecord(record, record.rejection)
        plan, record_id = self._plan, None
        try:
            with reject_unforeseen():
                record_id = checks.record_id(_value(record, plan.id_property))
                is_deleted = record.is_deleted
                values = checks.wire_values(plan, record.record, self._zone, key_only=is_deleted)
                keys = keys_of_record(values, plan.keys)
                for key, known in zip(keys, plan.keys, strict=True):
                    checks.check_key(key, known.fields)
                lines = self._lines_of(record)
        except Rejected as error:
            return RejectedRecord(record, error.rejection, record_id)
        return PreparedRecord(record, record_id, values, keys, lines)

    def _lines_of(self, record: InputRecord) -> list[WireValues] | None:
        lines, module = _value(record, self._plan.lines_property), self._plan.lines
        if lines and not module:
            text = f"{LINES}: this server does not support lines (it has no module LineItem)"
            raise Rejected("NOT_SUPPORTED", f"{text}. Load the record without them")
        is_ignored = not lines and self._plan.policies.ignores_null(LINES)
        if lines is None or is_ignored or not module or record.is_deleted:
            return None
        wires = checks.wire_lines(lines, module, self._zone)
        if wires:
            checks.check_lines(wires)
        return wires


def keys_of_record(values: Mapping[str, str | None], keys: Sequence[Key]) -> tuple[KeyValues, ...]:
    """Return the natural keys of a record; one that is not complete is empty."""
    return tuple(_key_of_record(values, key) for key in keys)


def _key_of_record(values: Mapping[str, str | None], key: Key) -> KeyValues:
    found = tuple(values.get(name) or "" for name in key.fields)
    return found if is_complete(found, key.described) else ()


def _value(record: InputRecord, name: str | None) -> Any:
    """Return the value of a property, if there is one: the index of a table may be named ""."""
    return None if name is None else record.record.get(name)
