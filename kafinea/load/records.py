"""The stages of a record: input, prepared, matched, or rejected.

Each stage is a frozen value that the next one holds, so what a function may rely on is in its
signature. They are msgspec structs: several are made for each record, and these cost a tenth of a
frozen dataclass.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from kafinea.client import Record
from kafinea.load.lookup.finder import NOTHING, Found
from kafinea.load.lookup.keys import KeyValues
from kafinea.load.results import Rejection

WireValues = dict[str, str | None]
"""Values by field name as the wire has them; None clears a field."""


class InputRecord(Struct, frozen=True, eq=False):
    """A record as it came.

    Attributes:
        record: Its values by property.
        number: Its place in the input: records are written in this order.
        source: What the caller wants back with the result.
        size: How many bytes it takes in the input.
        is_deleted: Whether the source has deleted it.
        rejection: Why it is not to be written, where the caller has found a reason.
    """

    record: Mapping[str, Any]
    number: int
    source: Any = None
    size: int = 0
    is_deleted: bool = False
    rejection: Rejection | None = None


class PreparedRecord(Struct, frozen=True, eq=False):
    """A record whose values are checked and typed.

    Attributes:
        input: The record as it came.
        id: The Kafinea id that it came with.
        values: Its values.
        keys: The wire values of its natural keys, as many as its plan has; each empty where it is
            not complete.
        lines: Its lines, when it has any.
    """

    input: InputRecord
    id: str | None
    values: WireValues
    keys: tuple[KeyValues, ...] = ()
    lines: list[WireValues] | None = None

    @property
    def has_key(self) -> bool:
        """Whether one of its natural keys is complete."""
        return any(self.keys)


class MatchedRecord(Struct, frozen=True, eq=False):
    """A record of which it is known what is stored.

    Attributes:
        prepared: Its values, all references resolved.
        found: What it may mean.
        stored: The stored record that it means; None if there is none.
        changes: The values that differ from those stored.
        changed_lines: Its lines, if they differ from those stored.
        stored_lines: The stored lines, if it has lines to compare with them.
    """

    prepared: PreparedRecord
    found: Found
    stored: Record | None = None
    changes: WireValues = {}
    changed_lines: list[WireValues] | None = None
    stored_lines: list[Record] = []

    @property
    def input(self) -> InputRecord:
        """The record as it came."""
        return self.prepared.input

    @property
    def id(self) -> str | None:
        """Its Kafinea id, as far as it is known."""
        return self.stored["id"] if self.stored else self.prepared.id

    @property
    def may_match_otherwise(self) -> bool:
        """Whether it may mean another record, or none, after something was written."""
        return True

    @property
    def is_left(self) -> bool:
        """Whether nothing is to be written, as far as is known before it is checked."""
        is_different = self.changes or self.changed_lines or self.prepared.input.is_deleted
        return self.stored is not None and not is_different


class RejectedRecord(Struct, frozen=True, eq=False):
    """A record that is not written.

    Attributes:
        input: The record as it came.
        rejection: Why.
        id: Its Kafinea id, where it is known.
        prepared: The record before it was rejected, if it was prepared. So it can be tried again.
        found: What it may mean, if it was looked up.
    """

    input: InputRecord
    rejection: Rejection
    id: str | None = None
    prepared: PreparedRecord | None = None
    found: Found = NOTHING

    @property
    def may_match_otherwise(self) -> bool:
        """Whether a write may end what it was rejected for: several records that it may mean."""
        return self.prepared is not None and self.rejection is self.found.ambiguity


QueuedRecord = PreparedRecord | RejectedRecord
"""A record before it is matched."""
SettledRecord = MatchedRecord | RejectedRecord
"""A record of which it is known what is to be done."""
Findings = dict[QueuedRecord, Found]
"""What a look-up gave for each record that was looked up."""
