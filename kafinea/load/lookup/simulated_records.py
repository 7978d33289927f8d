"""The records as a dry run would have left them, so that what follows finds them so."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from itertools import count
from threading import Lock
from typing import Any

from kafinea.client import Record
from kafinea.describe import Field, Module
from kafinea.load.lookup.keys import KeyValues, key_of

_FIRST_NUMBER = 10**9
"""The number of the first record that a dry run creates; real ones stay far below."""

_Fields = tuple[Field, ...]


class SimulatedRecords:
    """Records that differ from those in Kafinea. Threads share it; a real run leaves it empty."""

    def __init__(self) -> None:
        self._records: dict[str, Record | None] = {}
        self._lines: dict[str, list[Record]] = {}
        self._of_module: defaultdict[str, set[str]] = defaultdict(set)
        self._by_key: dict[tuple[str, _Fields], defaultdict[KeyValues, set[str]]] = {}
        self._numbers = count(_FIRST_NUMBER)
        self._lock = Lock()

    def __contains__(self, record_id: object) -> bool:
        return record_id in self._records

    def new_id(self, module: Module) -> str:
        """Return the id of a record that would be created."""
        return f"{module.id_prefix}x{next(self._numbers)}"

    def get(self, record_id: str) -> Record | None:
        """Return a record by its id; None if it would be deleted, or is not simulated."""
        return self._records.get(record_id)

    def lines_of(self, ids: Collection[str]) -> dict[str, list[Record]]:
        """Return the lines of those of the records whose lines would be replaced."""
        return {one: self._lines[one] for one in ids if one in self._lines}

    def put(
        self,
        module: Module,
        record_id: str | None,
        values: Mapping[str, Any] | None,
        lines: Sequence[Mapping[str, Any]] | None = None,
    ) -> str:
        """Note a record as it would be, and return its id.

        Args:
            module: Its module.
            record_id: Its id; None when it would be created.
            values: Its values by field name; None when it would be deleted.
            lines: Its lines, if they would be replaced.
        """
        record_id = record_id or self.new_id(module)
        record = None if values is None else {**values, "id": record_id}
        with self._lock:
            self._records[record_id] = record
            self._of_module[module.name].add(record_id)
            if lines:
                self._lines[record_id] = [dict(line) for line in lines]
            for (name, fields), ids in self._by_key.items():
                if name == module.name:
                    ids[_key(record, fields)].add(record_id)
        return record_id

    def with_key(self, module: str, values: KeyValues, fields: Sequence[Field]) -> list[Record]:
        """Return the records of a module whose natural key may be the same as this one."""
        if module not in self._of_module:
            return []
        key = key_of(values, fields)
        with self._lock:
            ids = self._ids_by_key(module, tuple(fields))
            records = [self._records[one] for one in sorted(ids.get(key, ()))]
        return [one for one in records if one and _key(one, fields) == key]

    def _ids_by_key(self, module: str, fields: _Fields) -> defaultdict[KeyValues, set[str]]:
        """Return the ids of a module by all keys that its records have had."""
        if (module, fields) not in self._by_key:
            ids: defaultdict[KeyValues, set[str]] = defaultdict(set)
            for one in self._of_module[module]:
                ids[_key(self._records[one], fields)].add(one)
            self._by_key[module, fields] = ids
        return self._by_key[module, fields]


def _key(record: Record | None, fields: Sequence[Field]) -> KeyValues:
    """Return the key of a record in the form of `key_of`; none if it is incomplete."""
    values = [(record or {}).get(field.name) for field in fields]
    return key_of(values, fields) if all(values) else ()
