"""What a write changes: the values before and after, as a plan shows and compares them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from kafinea.client import Record
from kafinea.describe import LINES
from kafinea.load.records import MatchedRecord
from kafinea.load.server.server_rules import LINE_SERVERS_OWN

FILE, LINKS = "_file", "_related_to"
PARTS = frozenset({FILE, LINKS})
"""What a record has besides its values, beside these in a plan."""


class Change(Struct, frozen=True):
    """The values of the fields that a write changes.

    Attributes:
        before: By field name, as they are stored.
        after: By field name, as they are to be stored.
    """

    before: Mapping[str, Any]
    after: Mapping[str, Any]


def creation_of(record: MatchedRecord, values: Mapping[str, Any]) -> Change:
    """Return what the creation of a record from wire values changes."""
    lines = record.prepared.lines
    return Change({}, {**values, LINES: lines} if lines else values)


def update_of(record: MatchedRecord) -> Change:
    """Return what the update of a record changes."""
    stored = record.stored or {}
    before: dict[str, Any] = {name: stored.get(name) for name in record.changes}
    after: dict[str, Any] = dict(record.changes)
    if record.changed_lines:
        before[LINES] = _lines(record.stored_lines)
        after[LINES] = record.changed_lines
    return Change(before, after)


def deletion_of(record: MatchedRecord) -> Change:
    """Return what the deletion of a record changes: what is known of it."""
    stored = record.stored or {}
    return Change({name: value for name, value in stored.items() if name != "id"}, {})


def _lines(stored: Sequence[Record]) -> list[Record]:
    """Return lines without what says nothing about them: the server renews it with each write."""
    return [
        {name: value for name, value in line.items() if name not in LINE_SERVERS_OWN}
        for line in stored
    ]
