"""How many requests were sent, by the module that each is about."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping

from kafinea.parsing import prefix_of

_OF_A_RECORD = ("id", "sourceRecordId")


class RequestCounts:
    """Counts requests. Threads may share it.

    A request about a record counts for the record's module, also while only the prefix of its ids
    is known. A request about no module, such as `listtypes`, counts for none.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()  # by module, or by prefix of ids
        self._modules: dict[str, str] = {}  # by prefix of ids

    def add(self, parameters: Mapping[str, str], module: str) -> None:
        """Count a request that is being sent.

        Args:
            parameters: Its parameters.
            module: The module that it names besides, such as that of a query.
        """
        record_id = next(filter(None, map(parameters.get, _OF_A_RECORD)), "")
        about = prefix_of(record_id) or parameters.get("elementType") or module
        with self._lock:
            self._counts[about] += 1

    def learn(self, module: str, prefix: str) -> None:
        """Take note of the prefix that the ids of a module have."""
        if prefix:
            self._modules.setdefault(prefix, module)

    def module_of(self, record_id: str) -> str | None:
        """Return the module of a record, if the prefix of its id is known."""
        return self._modules.get(prefix_of(record_id))

    def of(self, module: str) -> int:
        """Return how many requests were about a module."""
        with self._lock:
            return sum(
                count
                for about, count in self._counts.items()
                if self._modules.get(about, about) == module
            )
