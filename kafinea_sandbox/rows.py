"""What a database is filled with: records, files, and the relations between records."""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """One record.

    Values are wire texts. A reference or an owner is the bare record number (the part after
    the `x`): entity numbers are one sequence over all modules, users and groups share another.
    """

    module: str
    number: int
    values: dict[str, str | int | None]


class File(NamedTuple):
    """A stored file: its number comes from the entity sequence, its parent is a record number."""

    number: int
    parent: int
    name: str
    mime: str
    content: bytes


class Relation(NamedTuple):
    """A many-to-many link as `add_related` makes it, between two record numbers."""

    source: int
    related: int
    label: str
