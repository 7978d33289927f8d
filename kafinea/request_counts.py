"""How many requests were sent, by module and by operation, and how long they took."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from kafinea.parsing import prefix_of

_OF_A_RECORD = ("id", "sourceRecordId")


class RequestCounts:
    """Counts requests. Threads may share it.

    A request about a record counts for the record's module, also while only the prefix of its ids
    is known. A request about no module, such as `listtypes`, counts for none.

    Attributes:
        seconds: How long the server took to answer, all requests together.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()  # by module, or by prefix of ids
        self._modules: dict[str, str] = {}  # by prefix of ids
        self._operations: Counter[str] = Counter()
        self.seconds = 0.0

    @contextmanager
    def adding(self, parameters: Mapping[str, str], module: str) -> Iterator[None]:
        """Count a request that is sent in the block.

        Args:
            parameters: Its parameters.
            module: The module that it names besides, such as that of a query.
        """
        record_id = next(filter(None, map(parameters.get, _OF_A_RECORD)), "")
        about = prefix_of(record_id) or parameters.get("elementType") or module
        with self._lock:
            self._counts[about] += 1
            self._operations[parameters["operation"]] += 1
        began = time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                self.seconds += time.monotonic() - began

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

    def by_operation(self) -> dict[str, int]:
        """Return how many requests were sent of each operation, the most frequent first."""
        with self._lock:
            return dict(self._operations.most_common())
