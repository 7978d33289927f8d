"""Faults: what a test lets go wrong between client and server."""

from __future__ import annotations

import threading
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

Kind = Literal[
    "latency",  # answers `seconds` later, holding the session
    "session",  # the session ends: `code` now, INVALID_SESSIONID from then on
    "status",  # HTTP `status` with `body`, and Retry-After when `retry_after` is set
    "html",  # an HTML page with status 200
    "die",  # a line of plain text with status 200
    "notices",  # PHP's warnings before the JSON, as text/html
    "truncate",  # the first half of the answer
    "reset",  # the connection is reset before the operation runs
    "reset_after",  # the operation runs, then the connection is reset
    "fatal_after",  # the operation runs, then PHP stops: an empty 500
    "drip",  # the body is sent in ten pieces over `seconds`
    "hang",  # no answer within `seconds`; the operation does not run
    "hang_after",  # the operation runs; no answer within `seconds`
    "empty",  # a query answers [] although there are rows
    "redirect",  # 302 to `url`
    "echo_secrets",  # an error page that repeats the request's parameters
]

AFTER_THE_OPERATION = {"notices", "truncate", "reset_after", "fatal_after", "drip", "hang_after"}


@dataclass
class Fault:
    """A fault, and the requests that it applies to."""

    kind: Kind
    operation: str | None = None
    contains: str | None = None
    """A text that one of the parameters (query, element, id, elementType, ...) must contain."""
    nth: int = 1
    """The first of the matching requests that it applies to."""
    times: int | None = 1
    """The number of requests that it applies to. None: all from then on."""
    seconds: float = 0.5
    code: str = "INVALID_SESSIONID"
    status: int = 503
    retry_after: str | int | None = None
    body: str = ""
    url: str = "http://127.0.0.1:9/elsewhere"
    seen: int = field(default=0, init=False)
    """The number of matching requests so far."""
    hits: int = field(default=0, init=False)
    """The number of requests that it was applied to."""

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(f"Unknown kind of fault: {self.kind}")

    def matches(self, operation: str, params: dict[str, str]) -> bool:
        """Whether the fault can apply to a request."""
        if self.operation is not None and self.operation.lower() != operation:
            return False
        return self.contains is None or any(self.contains in value for value in params.values())

    def applies_now(self) -> bool:
        """Count a matching request, and decide whether the fault applies to it."""
        self.seen += 1
        if self.seen < self.nth or (self.times is not None and self.hits >= self.times):
            return False
        self.hits += 1
        return True


class Faults:
    """The active faults. Of those that match a request the first applies, and all latencies."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, kind: Kind, **settings: Any) -> Fault:
        """Activate a fault; its `hits` count how often it was applied."""
        fault = Fault(kind, **settings)
        with self._lock:
            self._faults.append(fault)
        return fault

    def remove(self, faults: Collection[Fault]) -> None:
        """Deactivate some faults."""
        with self._lock:
            self._faults = [each for each in self._faults if all(each is not f for f in faults)]

    def clear(self) -> None:
        """Deactivate all faults."""
        with self._lock:
            self._faults.clear()

    def for_request(self, operation: str, params: dict[str, str]) -> list[Fault]:
        """The faults that apply to a request: any latencies, and at most one other."""
        applied: list[Fault] = []
        with self._lock:
            for fault in self._faults:
                if not fault.matches(operation, params):
                    continue
                taken = any(other.kind != "latency" for other in applied)
                if (fault.kind == "latency" or not taken) and fault.applies_now():
                    applied.append(fault)
        return applied

    def __iter__(self) -> Any:
        return iter(list(self._faults))
