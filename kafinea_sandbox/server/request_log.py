"""The requests that the server received."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

_SECRET = {"sessionname", "accesskey", "token"}


@dataclass
class Request:
    """One request, without its secrets."""

    operation: str
    method: str
    params: dict[str, str]
    session: int | None = None
    """The ordinal of its session: 1 is the first login since the start."""
    overlapped: bool = False
    """Whether it waited for another request of its session."""
    at_once: int = 0
    """The number of concurrent requests when it arrived, itself included."""
    status: int | None = None
    """The HTTP status; None while it runs, or when the connection was cut."""
    code: str | int | None = None
    """The API's error code."""
    fault: str | None = None
    """The kind of the fault that was applied to it."""
    received: float = field(default_factory=time.time)
    """When it arrived, by the clock of this machine."""


class RequestLog:
    """All requests in the order of their arrival."""

    def __init__(self) -> None:
        self._requests: list[Request] = []
        self._lock = threading.Lock()

    def add(self, operation: str, method: str, params: dict[str, str]) -> Request:
        """Log a request."""
        shown = {name: value for name, value in params.items() if name.lower() not in _SECRET}
        shown.pop("operation", None)
        request = Request(operation, method, shown)
        with self._lock:
            self._requests.append(request)
        return request

    def clear(self) -> None:
        """Delete all entries."""
        with self._lock:
            self._requests.clear()

    def of(self, operation: str) -> list[Request]:
        """The requests of one operation."""
        return [request for request in self if request.operation == operation.lower()]

    def __iter__(self) -> Iterator[Request]:
        return iter(list(self._requests))

    def __len__(self) -> int:
        return len(self._requests)

    def __getitem__(self, index: int) -> Request:
        return self._requests[index]
