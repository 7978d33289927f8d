"""What a write does besides what it was asked to do, by the kind of server.

Sources: API-FACTS, "What an update does to the fields it was not meant for" and "coreBOS".
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Habits:
    """How writes of one kind of server behave."""

    revises: bool = True
    """The operation `revise` exists."""
    revise_names_id: bool = False
    """`revise` without an id answers INVALID_ID_ATTRIBUTE, not ACCESS_DENIED."""
    checks_assignment: bool = True
    """A user may name nobody above them, in any reference to a user."""
    races_for_line_ids: bool = False
    """Of two writes of lines at the same time, the later one loses a line."""
    dies_at_totals: bool = False
    """An update with lines dies after it has written them and before it adds up."""
    muddles_charges: bool = True
    """An update with lines leaves the amount of the charges in the field of their percentage."""
    own_formats: bool = False
    """Numbers and custom moments are read in the user's format; see `formats`."""


HABITS = {
    "kafinea": Habits(),
    "stock": Habits(races_for_line_ids=True),
    "frevo": Habits(races_for_line_ids=True, dies_at_totals=True),
    "corebos": Habits(
        revise_names_id=True, checks_assignment=False, muddles_charges=False, own_formats=True
    ),
    "legacy": Habits(revises=False, checks_assignment=False),
}
