"""Records that no answer of the server can hold, and what can be had of them all the same."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class BadRecord:
    """A record that the server counts and cannot give whole.

    Attributes:
        id: Its id.
        fields: Those that could not be had and are null; None if nothing of the record could.
        reason: What the server said.
    """

    id: str
    fields: tuple[str, ...] | None
    reason: str
