"""A finding: one line of `kafinea check`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class Status(str, Enum):
    """What a finding means."""

    OK = "ok"
    WARNING = "warning"
    """It works, but something may be wrong later."""
    PROBLEM = "problem"
    """It does not work."""


@dataclass(frozen=True)
class Finding:
    """What was found out.

    Attributes:
        name: What was checked.
        text: What was found.
        status: What that means.
        advice: What to do; empty if nothing.
        facts: The same for programs.
    """

    name: str
    text: str
    status: Status = Status.OK
    advice: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the finding as JSON can contain it."""
        return {
            "name": self.name,
            "status": self.status.value,
            "text": self.text,
            "advice": self.advice,
            **self.facts,
        }
