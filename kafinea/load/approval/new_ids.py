"""The ids of records that a plan creates: provisional in the plan, real once they are created."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Lock
from typing import Any


class NewIds:
    """Which real id each provisional one stands for. Threads share it."""

    def __init__(self) -> None:
        self._ids: dict[str, str | None] = {}
        self._created: set[str] = set()
        self._lock = Lock()

    def add(self, provisional: str) -> None:
        """Take a provisional id, of which the real one is not known yet."""
        self._ids[provisional] = None

    def note_created(self, provisional: str, record_id: str) -> None:
        """Note the id of a record that this run has created."""
        with self._lock:
            self._ids[provisional] = record_id
            self._created.add(provisional)

    def is_created_now(self, record_id: str | None) -> bool:
        """Whether this run has created the record of a provisional id."""
        return record_id in self._created

    def real(self, planned: Any) -> Any:
        """Return a value of the plan with the real ids, as far as they are known."""
        if isinstance(planned, Mapping):
            return {name: self.real(value) for name, value in planned.items()}
        if isinstance(planned, list):
            return list(map(self.real, planned))
        return (self._ids.get(planned) or planned) if isinstance(planned, str) else planned

    def match(self, planned: Any, actual: Any) -> bool:
        """Whether a value is that of the plan, ids of new records included.

        A new record that this run did not create was created by an earlier try, or has been created
        by others under the same natural key. So the first id that comes for it is its id.
        """
        if isinstance(planned, Mapping):
            return (
                isinstance(actual, Mapping)
                and planned.keys() == actual.keys()
                and all(self.match(value, actual[name]) for name, value in planned.items())
            )
        if isinstance(planned, list):
            return (
                isinstance(actual, (list, tuple))
                and len(planned) == len(actual)
                and all(map(self.match, planned, actual))
            )
        if isinstance(planned, str) and isinstance(actual, str) and planned in self._ids:
            return self._is_bound(planned, actual)
        return bool(planned == actual)

    def _is_bound(self, provisional: str, actual: str) -> bool:
        with self._lock:
            bound = self._ids[provisional]
            if bound is None and _module(provisional) == _module(actual):
                self._ids[provisional] = bound = actual
        return bound == actual


def _module(record_id: str) -> str:
    return record_id.partition("x")[0]
