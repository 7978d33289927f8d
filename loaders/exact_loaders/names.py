"""Names of tables and columns: as the tap has them, unless a database would confuse two."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from hashlib import sha256

LONGEST = 63
"""Bytes that PostgreSQL keeps of a name. DuckDB keeps them all, but the names shall be the same."""


def names_of(properties: Iterable[str]) -> dict[str, str]:
    """Return the column of each property.

    A name of more than 63 bytes is cut, and of names that differ in case only, all but the one in
    lower case (or the first in the alphabet) are changed: DuckDB takes them for the same. What is
    cut or changed ends in six digits that depend on the property's name alone.
    """
    same: dict[str, list[str]] = defaultdict(list)
    for name in properties:
        same[name.lower()].append(name)
    names = {}
    for group in same.values():
        kept = min(group, key=lambda name: (name != name.lower(), name))
        names.update({name: name if name == kept else marked(name) for name in group})
    return {name: short(chosen, name) for name, chosen in names.items()}


def short(name: str, source: str) -> str:
    """Return a name that PostgreSQL keeps."""
    return name if len(name.encode()) <= LONGEST else marked(source)


def marked(name: str) -> str:
    """Return a name with a suffix that depends on it alone."""
    suffix = "_" + sha256(name.encode()).hexdigest()[:6]
    kept = name.encode()[: LONGEST - len(suffix)].decode(errors="ignore")
    return kept + suffix
