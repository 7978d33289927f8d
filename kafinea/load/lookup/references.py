"""References by natural key: each is looked up once, and stands for one id or for none."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection

from kafinea.load.lookup import keys
from kafinea.load.lookup.finder import Finder, Found, not_readable
from kafinea.load.lookup.keys import KeyValues
from kafinea.load.plan import Key, Reference
from kafinea.load.results import Rejected, Rejection
from kafinea.parsing import is_id
from kafinea.values import ServerZone, encode, value_type_of

_Slot = tuple[str, tuple[str, ...], KeyValues]


class References:
    """Turns natural keys into ids, and remembers them.

    Args:
        finder: Looks records up.
        create: Creates a record of a module from wire values and returns its id.
    """

    def __init__(self, finder: Finder, create: Callable[[Key, KeyValues], str]) -> None:
        self._finder = finder
        self._create = create
        self._ids: dict[_Slot, str | Rejection] = {}
        self._slots: dict[str, list[_Slot]] = defaultdict(list)
        self._created: set[_Slot] = set()
        self._not_created: dict[_Slot, Rejection] = {}

    def forget(self, record_id: str) -> None:
        """Forget a record that was changed or deleted: its key may stand for another now."""
        for slot in self._slots.pop(record_id, ()):
            self._ids.pop(slot, None)

    def learn(self, reference: Reference, values: Collection[str]) -> None:
        """Look up the values that are not known yet."""
        for key in reference.keys:
            unknown = {
                (value,)
                for value in values
                if not isinstance(self._known(key, value), str) and self._may_be_asked(key, value)
            }
            found = self._finder.by_key(key, unknown)
            # What this user may not read, or another writer is at work on, is looked up again.
            if again := {one for one in unknown if found[one].is_only_unreadable}:
                found |= self._finder.by_key(key, again)
            for (value,) in unknown:
                self._note(key, value, found[(value,)])

    def resolve(
        self, reference: Reference, value: str, field: str, *, is_deleted: bool = False
    ) -> str:
        """Return the id that a natural key stands for; an id stands for itself.

        Args:
            reference: Where to look.
            value: The natural key.
            field: The field that refers, for messages.
            is_deleted: Whether the source has deleted what refers: nothing is created for it.

        Raises:
            Rejected: There is none, or it is not certain which.
        """
        first = reference.keys[0]
        if reference.create and _folded_slot(first, value) in self._created:
            # One that may mean the same was created since it was looked for.
            self.learn(reference, {value})
        for key in reference.keys:
            known = self._known(key, value)
            if isinstance(known, str):
                return known
            if known is not None:
                raise Rejected(known.code, f"{field}: {known.message}")
        if is_id(value):
            return value
        if reference.create and not is_deleted:
            return self._new(first, value, field)
        where = " or ".join(f"{key.module.name}.{key.fields[0]}" for key in reference.keys)
        raise Rejected("UNRESOLVED_REFERENCE", f"{field}: no record has this value in {where}")

    def _new(self, key: Key, value: str, field: str) -> str:
        """Create a record, and return its id.

        What was rejected once is not sent again for each record that names it: the server may have
        stored it all the same, so that each time would leave one more.
        """
        why = self._not_created.get(_slot(key, value))
        if why is None:
            try:
                made = self._create(key, (value,))
            except Rejected as error:
                why = self._not_created[_slot(key, value)] = error.rejection
            else:
                self._created.add(_folded_slot(key, value))
                self._remember(key, value, made)
                return made
        raise Rejected(why.code, f"{field}: {why.message}")

    def _may_be_asked(self, key: Key, value: str) -> bool:
        """Whether a value may be one of the key's field, and a query can hold it."""
        try:
            encode(value, value_type_of(key.described[0].type), ServerZone())
            _check(key, value)
        except (ValueError, ArithmeticError):
            return False
        except Rejected as error:
            self._remember(key, value, error.rejection)
            return False
        return True

    def _note(self, key: Key, value: str, found: Found) -> None:
        if why := found.failure or found.ambiguity:
            text = f"{key.module.name}.{key.fields[0]}: {why.message}"
            self._remember(key, value, Rejection(why.code, text))
        elif found.record:
            self._remember(key, value, found.record["id"])
        elif found.is_unreadable:
            self._remember(key, value, not_readable())
        else:
            self._ids.pop(_slot(key, value), None)

    def _known(self, key: Key, value: str) -> str | Rejection | None:
        return self._ids.get(_slot(key, value))

    def _remember(self, key: Key, value: str, known: str | Rejection) -> None:
        slot = _slot(key, value)
        self._ids[slot] = known
        if isinstance(known, str):
            self._slots[known].append(slot)


def _check(key: Key, value: str) -> None:
    """Check that a value finds the record that it means, and no record without a value.

    Raises:
        Rejected: It does not.
    """
    name = f"{key.module.name}.{key.fields[0]}"
    keys.check(name, value)
    if not keys.is_complete((value,), key.described):
        raise Rejected("INVALID_KEY", f"{name}: records without a value have this one")


def _slot(key: Key, value: str) -> _Slot:
    return key.module.name, key.fields, (value,)


def _folded_slot(key: Key, value: str) -> _Slot:
    return key.module.name, key.fields, keys.key_of((value,), key.described)
