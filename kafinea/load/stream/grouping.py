"""Which of many items belong together, because they share a name with each other."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TypeVar

Item = TypeVar("Item")


class DisjointSets:
    """A union-find over the numbers from 0: each set is known by its least member.

    Args:
        size: How many numbers there are.
    """

    def __init__(self, size: int) -> None:
        self._parents = list(range(size))

    def least(self, member: int) -> int:
        """Return the least member of the set that a number is in."""
        parents = self._parents
        while parents[member] != member:
            parents[member] = member = parents[parents[member]]  # halves the path
        return member

    def unite(self, left: int, right: int) -> None:
        """Make one set of the sets that two numbers are in."""
        left, right = self.least(left), self.least(right)
        self._parents[max(left, right)] = min(left, right)


def grouped(
    items: Sequence[Item], names_of: Callable[[Item], Iterable[Hashable]]
) -> list[list[Item]]:
    """Group items that share a name, directly or through others.

    Args:
        items: The items.
        names_of: Returns the names of an item. An item without any belongs to no other.

    Returns:
        The groups in the order of their first items; the items of each in their order.
    """
    sets = DisjointSets(len(items))
    first_with: dict[Hashable, int] = {}
    for position, item in enumerate(items):
        for name in names_of(item):
            first = first_with.setdefault(name, position)
            if first != position:
                sets.unite(first, position)
    groups: dict[int, list[Item]] = {}
    for position, item in enumerate(items):
        groups.setdefault(sets.least(position), []).append(item)
    return list(groups.values())
