"""The records as a dry run would have left them, so that what follows finds them so."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import count
from threading import Lock
from typing import Any

from kafinea.client import Record
from kafinea.describe import Field, Module
from kafinea.load.lookup.keys import KeyValues, key_of
from kafinea.page_query import number

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

    def is_new(self, record_id: str) -> bool:
        """Whether a record would be created."""
        return record_id in self._records and number(record_id) >= _FIRST_NUMBER

    def over(self, stored: Record) -> Record | None:
        """Return a stored record as it would be; None if it would be deleted.

        What is noted of it are the fields that one stream needed, and another may need more.
        """
        record = self._records.get(stored["id"], stored)
        return None if record is None else {**stored, **record}

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

    def with_key(
        self, module: str, values: KeyValues, fields: Sequence[Field], stored: Iterable[Record]
    ) -> list[Record]:
        """Return the records of a module whose natural key may be the same as this one.

        Args:
            module: The module's name.
            values: The key.
            fields: Its fields.
            stored: Records with this key as they are.
        """
        if module not in self._of_module:
            return []
        key = key_of(values, fields)
        with self._lock:
            ids = self._ids_by_key(module, tuple(fields))
            records = {one: self._records[one] for one in sorted(ids.get(key, ()))}
        records |= {row["id"]: self.over(row) for row in stored if row["id"] in self._records}
        return [one for one in records.values() if one and _key(one, fields) == key]

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
