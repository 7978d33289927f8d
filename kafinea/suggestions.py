"""Names that somebody may have meant who wrote another."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from difflib import get_close_matches

_LISTED = 40


def nearest(name: str, names: Collection[str], *, cutoff: float = 0.6) -> list[str]:
    """Return those of the names that somebody may have meant, the most likely first."""
    by_letters = {_letters(known): known for known in names}
    if same := by_letters.get(_letters(name)):
        return [same]
    close = get_close_matches(_letters(name), list(by_letters), n=3, cutoff=cutoff)
    return [by_letters[known] for known in close]


def did_you_mean(name: str, names: Collection[str]) -> str:
    """Return the question whether something near was meant, or nothing."""
    near = [f"`{known}`" for known in nearest(name, names)]
    return f" Did you mean {' or '.join(near)}?" if near else ""


def suggestion(name: str, names: Collection[str]) -> str:
    """Return the question whether something near was meant, or else the names that there are."""
    return did_you_mean(name, names) or f" Available: {listed(names)}."


def listed(names: Iterable[str]) -> str:
    """Return names for a message: the first ones, and how many more there are."""
    known = sorted(names)
    more = f" and {len(known) - _LISTED:,} more" if len(known) > _LISTED else ""
    return (", ".join(known[:_LISTED]) or "none") + more


def _letters(name: str) -> str:
    return re.sub(r"[\W_]", "", name).casefold() or name
