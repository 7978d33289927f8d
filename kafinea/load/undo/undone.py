"""What became of each record that a load is taken back of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any


class Action(str, Enum):
    """What was done with a record; in a dry run, what would be done."""

    RESTORED = "restored"
    DELETED = "deleted"
    RECREATED = "created anew"
    NOTHING = "nothing to do"
    CONFLICT = "conflict"
    FAILED = "failed"


@dataclass(frozen=True)
class Conflict:
    """A field that does not hold what the load wrote.

    Attributes:
        field: Its name.
        before: Its value before the load.
        loaded: Its value after the load.
        now: Its value now.
    """

    field: str
    before: Any
    loaded: Any
    now: Any


@dataclass(frozen=True)
class Undone:
    """What became of a record.

    Attributes:
        action: What was done.
        module: Its module.
        id: Its id; that of the load, if it was created anew.
        fields: The fields that got their old values.
        text: What there is to know of it.
        conflicts: The fields that were left as they are.
        may_pass: Whether something is in the way that may be gone once others are taken back.
    """

    action: Action
    module: str
    id: str
    fields: Sequence[str] = ()
    text: str = ""
    conflicts: Sequence[Conflict] = ()
    may_pass: bool = False
