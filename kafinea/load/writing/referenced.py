"""Creating records that others refer to, from a natural key alone (`create` of a reference)."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from kafinea.client import Client, Record
from kafinea.errors import Code
from kafinea.load.lookup.existing import ExistingRecords
from kafinea.load.lookup.finder import Finder
from kafinea.load.lookup.keys import KeyValues
from kafinea.load.modules import Modules
from kafinea.load.plan import Key, LoadPlan
from kafinea.load.results import Rejected
from kafinea.load.writing import checks
from kafinea.load.writing.owners import Owners
from kafinea.load.writing.record_creator import RecordCreator
from kafinea.load.writing.record_writer import Created
from kafinea.load.writing.rollback import Rollback
from kafinea.load.writing.write_gate import WriteGate
from kafinea.page_query import number

_MOST_KEPT = 3
"""So many new records of a module with altered keys, which may not be deleted, and none that was
not: the server does it to all."""


class ReferencedRecords:
    """Creates records that others refer to.

    Args:
        modules: The modules of the instance.
        finder: Looks records up.
        owners: Who may own records.
        existing: Which records exist.
        gate: Gives sessions to write in.
        creator: Creates records.
        rollback: Deletes what must not stay.
    """

    def __init__(
        self,
        modules: Modules,
        finder: Finder,
        owners: Owners,
        existing: ExistingRecords,
        gate: WriteGate,
        creator: RecordCreator,
        rollback: Rollback,
    ) -> None:
        self._modules = modules
        self._finder = finder
        self._owners = owners
        self._existing = existing
        self._gate = gate
        self._creator = creator
        self._rollback = rollback
        self._kept: defaultdict[str, list[str]] = defaultdict(list)  # with altered keys, by module

    def create(self, key: Key, values: KeyValues) -> str:
        """Create a record and return its id.

        Raises:
            Rejected: It was not created, or not with this key.
        """
        plan, wanted = LoadPlan("", key.module, keys=(key,)), self.values(key, values)
        if len(kept := self._kept[key.module.name]) >= _MOST_KEPT:
            text = f"not created: the server altered the keys of new {key.module.name}, which were"
            raise Rejected("KEY_ALTERED", f"{key.fields[0]}: {text} kept: {', '.join(kept)}")
        with self._gate.session() as session:
            created = self._created(session, plan, key, values, wanted)
        if isinstance(created, str):
            return created
        made: str = created.record["id"]
        found = self._finder.by_key(key, {values})[values]
        ids = [row["id"] for row in found.equal]
        is_lost = made not in ids and not (found.failure or found.is_unreadable)
        if is_lost or not {*created.altered}.isdisjoint(key.fields):
            raise self._key_altered(plan, key, made)
        self._kept[key.module.name].clear()
        made = self._first_created(plan, key, made, ids)
        self._existing.note(made, exists=True)
        return made

    def values(self, key: Key, values: KeyValues) -> dict[str, Any]:
        """Return the values of a new record with a natural key.

        Raises:
            Rejected: Some are missing.
        """
        wanted = self._owners.with_owner(key.module, dict(zip(key.fields, values, strict=True)))
        checks.check_mandatory(key.module, wanted, complete=True)
        return wanted

    def _created(
        self, session: Client, plan: LoadPlan, key: Key, values: KeyValues, wanted: dict[str, Any]
    ) -> Created | str:
        """Create a record; return it, or the id of the one that another load has created since."""
        finder = Finder(session, self._modules)

        def find() -> Record | None:
            return finder.by_single_key(key, values)

        try:
            return self._creator.create(session, plan, wanted, None, find)
        except Rejected as error:
            # The server may take a value only once.
            is_duplicate = error.rejection.code == Code.DUPLICATE
            found = finder.by_single_key(key, values) if is_duplicate else None
            if found is None:
                raise
            return str(found["id"])

    def _key_altered(self, plan: LoadPlan, key: Key, made: str) -> Rejected:
        """Delete what no later run would find by its key, and return the rejection."""
        if self._rollback.delete(plan, made):
            end = "it was deleted again"
        else:
            end = f"it was kept as {made}"
            self._kept[key.module.name].append(made)
        text = f"{key.fields[0]}: the server altered the key of a new {key.module.name}; {end}"
        return Rejected("KEY_ALTERED", text)

    def _first_created(self, plan: LoadPlan, key: Key, made: str, ids: list[str]) -> str:
        """Return the id of the first record that has a key, which another load may have created."""
        first: str = min([made, *ids], key=number)
        if first == made or self._rollback.delete(plan, made):
            return first
        text = f"{key.fields[0]}: another load created the same {key.module.name} at the same "
        raise Rejected("CREATED_TWICE", f"{text}time: {first}, {made}")
