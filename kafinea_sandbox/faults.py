"""Misfortunes to order: what can go wrong between client and server, when a test wants it to."""

from __future__ import annotations

import threading
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
    "reset",  # the connection is cut before the work is done
    "reset_after",  # the work is done, then the connection is cut
    "fatal_after",  # the work is done, then PHP stops: an empty 500
    "drip",  # the body comes in ten pieces over `seconds`
    "hang",  # no answer within `seconds`, and no work done
    "hang_after",  # the work is done, but no answer comes within `seconds`
    "empty",  # a query answers [] although there are rows
    "redirect",  # 302 to `url`
    "echo_secrets",  # an error page that repeats the request's parameters
]

AFTER_THE_WORK = {"notices", "truncate", "reset_after", "fatal_after", "drip", "hang_after"}


@dataclass
class Fault:
    """One misfortune, and the requests it befalls."""

    kind: Kind
    operation: str | None = None
    contains: str | None = None
    """A text that a parameter (query, element, id, elementType, ...) must contain."""
    nth: int = 1
    """The first matching request that is befallen; those before it pass."""
    times: int | None = 1
    """How many are; None: all from then on."""
    seconds: float = 0.5
    code: str = "INVALID_SESSIONID"
    status: int = 503
    retry_after: str | int | None = None
    body: str = ""
    url: str = "http://127.0.0.1:9/elsewhere"
    seen: int = field(default=0, init=False)
    """How many matching requests came."""
    hits: int = field(default=0, init=False)
    """How many were befallen."""

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(f"No kind of fault: {self.kind}")

    def matches(self, operation: str, params: dict[str, str]) -> bool:
        """Whether the request is of the kind that can be befallen."""
        if self.operation is not None and self.operation.lower() != operation:
            return False
        return self.contains is None or any(self.contains in value for value in params.values())

    def strikes(self) -> bool:
        """Count one matching request and tell whether it is befallen."""
        self.seen += 1
        if self.seen < self.nth or (self.times is not None and self.hits >= self.times):
            return False
        self.hits += 1
        return True


class Faults:
    """The faults in force. A request meets the first one that strikes; latency adds to others."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, kind: Kind, **settings: Any) -> Fault:
        """Order a fault; its `hits` tell later how often it struck."""
        fault = Fault(kind, **settings)
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """Cancel all faults."""
        with self._lock:
            self._faults.clear()

    def striking(self, operation: str, params: dict[str, str]) -> list[Fault]:
        """The faults that befall a request: any latencies, and at most one other."""
        struck: list[Fault] = []
        with self._lock:
            for fault in self._faults:
                if not fault.matches(operation, params):
                    continue
                taken = any(one.kind != "latency" for one in struck)
                if (fault.kind == "latency" or not taken) and fault.strikes():
                    struck.append(fault)
        return struck

    def __iter__(self) -> Any:
        return iter(list(self._faults))
