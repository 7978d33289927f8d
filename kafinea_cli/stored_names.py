"""The names that the exact loaders give to tables and columns.

The loaders are a distribution of their own, which this one does not need. A test compares both.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from hashlib import sha256

LONGEST = 63
"""Bytes that PostgreSQL keeps of a name."""


def stored_columns(fields: Iterable[str]) -> dict[str, str]:
    """Return the column of each field in the warehouse.

    Of names that differ in case only, the one in lower case, or the first in the alphabet, is kept.
    """
    same: dict[str, list[str]] = defaultdict(list)
    for field in fields:
        same[field.lower()].append(field)
    names = {}
    for group in same.values():
        kept = min(group, key=lambda field: (field != field.lower(), field))
        names.update({field: field if field == kept else marked(field) for field in group})
    return {field: stored(name, field) for field, name in names.items()}


def stored(name: str, source: str | None = None) -> str:
    """Return a name as PostgreSQL can keep it.

    Args:
        name: The name.
        source: What the end of a name that is cut depends on. If not given: the name.
    """
    return name if len(name.encode()) <= LONGEST else marked(source or name)


def marked(name: str) -> str:
    """Return a name with an end of six digits that depends on it alone."""
    suffix = "_" + sha256(name.encode()).hexdigest()[:6]
    kept = name.encode()[: LONGEST - len(suffix)].decode(errors="ignore")
    return kept + suffix
