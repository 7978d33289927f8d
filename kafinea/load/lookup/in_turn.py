"""Finding records by several natural keys in turn: the first that finds exactly one decides.

Only what a key leaves open is looked up by the next one. A key that finds several records leaves
it open, too; but when no other finds exactly one, none of them may be taken, nor one be created.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from kafinea.load.lookup.finder import NOTHING, Finder, Found
from kafinea.load.lookup.keys import KeyValues
from kafinea.load.plan import Key
from kafinea.load.results import Rejection

_Item = TypeVar("_Item", bound=Hashable)


def find_in_turn(
    finder: Finder,
    keys: Sequence[Key],
    wanted: Mapping[_Item, Sequence[KeyValues]],
    columns: Sequence[str] = (),
) -> dict[_Item, Found]:
    """Return what there is for each item.

    Args:
        finder: Looks records up.
        keys: The keys, in their order.
        wanted: The values of the keys of each item; one that is not complete is empty, and passed
            over.
        columns: The fields to give.
    """
    found: dict[_Item, Found] = dict.fromkeys(wanted, NOTHING)
    for place, key in enumerate(keys):
        values = {
            item: of_keys[place]
            for item, of_keys in wanted.items()
            if of_keys[place] and not _is_settled(found[item])
        }
        by_key = finder.by_key(key, set(values.values()), columns)
        if len(keys) == 1:
            return found | {item: by_key[value] for item, value in values.items()}
        found |= {
            item: _after(found[item], by_key[value], key.fields) for item, value in values.items()
        }
    return found


def _is_settled(found: Found) -> bool:
    """Whether no further key is asked: a record that may be the one must not be passed over."""
    return bool(found.record or found.failure or found.is_unreadable)


def _after(before: Found, found: Found, names: Sequence[str]) -> Found:
    """Return what is known after one more key."""
    if _is_settled(found):
        return replace(found, matched_on=tuple(names))
    if not found.ambiguity:
        return before
    message = f"{' + '.join(names)}: {found.ambiguity.message}"
    if before.ambiguity:
        message = f"{before.ambiguity.message}; {message}"
    return Found(
        equal=[*before.equal, *found.equal],
        near=[*before.near, *found.near],
        ambiguity=Rejection(found.ambiguity.code, message),
    )
