"""Finding the record that a creation has made of which no answer is known.

Ids only grow, so a record that was created since a note has a higher number than all before it. Of
these, it is the one that holds all that was sent. Where several do, or one that the server may have
altered, it is not certain which, and none is taken for it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kafinea.client import Client, Record
from kafinea.describe import Module
from kafinea.errors import IncompleteRead
from kafinea.load.writing.comparing import altered_fields, may_come_from
from kafinea.page_query import count, number
from kafinea.query import Condition, select
from kafinea.values import ValueType, value_type_of


@dataclass(frozen=True)
class Sought:
    """A creation that may have made a record.

    Attributes:
        values: What was sent.
        above: The number of the highest id before it.
    """

    values: Mapping[str, Any]
    above: int


@dataclass
class Candidates:
    """The records that a creation may have made.

    Attributes:
        equal: Those that hold all that was sent.
        near: Those that hold it, if the server has altered texts.
    """

    equal: list[str] = field(default_factory=list)
    near: list[str] = field(default_factory=list)

    @property
    def certain(self) -> str | None:
        """The record that it has made, if that is certain."""
        return self.equal[0] if len(self.equal) == 1 else None

    @property
    def all(self) -> list[str]:
        """All that it may have made."""
        return self.equal or self.near


def highest_number(query: Callable[[str], list[Record]], module: str) -> int:
    """Return the highest number of an id in a module; what is created later has a higher one.

    Raises:
        IncompleteRead: The server counts records and returns none.
    """
    rows = query(select(module, ["id"], order_by=["id"], descending=True, limit=1))
    if not rows and count(query, module):
        raise IncompleteRead(f"{module}: the server counts records and does not return the newest.")
    return number(rows[0]["id"]) if rows else 0


def find_new(
    client: Client, module: Module, sought: Sequence[Sought], known: Collection[str]
) -> list[Candidates]:
    """Return the records that each of these creations may have made.

    They are read once for all. Where some creations that are alike have made no more records than
    they are, each is given one.

    Args:
        client: The instance.
        module: The module.
        sought: The creations.
        known: Ids of which it is known what has made them.
    """
    found = [Candidates() for _ in sought]
    sent = {name for one in sought for name in one.values}
    columns = ["id", *(name for name in module.queryable if name in sent)]
    lowest = min(one.above for one in sought)
    where = [Condition("id", ">", f"{module.id_prefix}x{lowest}")]
    for row in client.records(module.name, list(dict.fromkeys(columns)), where):
        if row["id"] in known:
            continue
        for one, candidates in zip(sought, found, strict=True):
            if number(row["id"]) > one.above:
                _compare(row, one, module, candidates)
    _share_out([candidates.equal for candidates in found])
    return found


def may_have_made(sought: Sought, rows: Iterable[Record], module: Module) -> Candidates:
    """Return which of some records a creation may have made, by what they held afterwards."""
    candidates = Candidates()
    for row in rows:
        if number(row["id"]) > sought.above:
            _compare(row, sought, module, candidates)
    return candidates


def _compare(row: Record, sought: Sought, module: Module, candidates: Candidates) -> None:
    values = {n: v for n, v in sought.values.items() if n in row and n in module.fields}
    if not values:
        return
    altered = altered_fields(row, values, module)
    if not altered:
        candidates.equal.append(row["id"])
    elif all(
        value_type_of(module.fields[name].type) is ValueType.TEXT
        and may_come_from(row[name], values[name])
        for name in altered
    ):
        candidates.near.append(row["id"])


def _share_out(found: Sequence[list[str]]) -> None:
    """Leave each creation one record, where creations that are alike have made them all."""
    alike: defaultdict[tuple[str, ...], list[list[str]]] = defaultdict(list)
    for own in found:
        alike[tuple(own)].append(own)
    for ids, creations in alike.items():
        if len(ids) <= len(creations):
            for place, own in enumerate(creations):
                own[:] = [*ids[place : place + 1]]
