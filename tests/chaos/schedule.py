"""What goes wrong, and after which request: it follows from the seed alone."""

from __future__ import annotations

import random
import signal
from dataclasses import dataclass, field
from typing import Any

DIALECTS = ("kafinea", "stock", "frevo", "corebos", "legacy")
CODES = ("INVALID_SESSIONID", "SESSION_EXPIRED", "AUTHENTICATION_REQUIRED")
READING = (None, "query", "query", "describe", "listtypes", "getchallenge", "login", "retrieve")
WRITING = (None, "create", "update", "revise", "delete", "query", "retrieve", "login")
DELAYS = ("latency", "drip", "hang", "hang_after")
FINAL = ("redirect",)  # it ends a run, so that a second one would only cost another run
KINDS = (
    *("session", "status", "html", "die", "notices", "truncate", "reset", "reset_after"),
    *("fatal_after", "empty", "redirect", "echo_secrets", *DELAYS),
)
# 26 October 2025 at 02:30 comes twice in Paris; 30 March at 02:30 does not come.
AUTUMN, SPRING = "2025-10-26T00:10:00+00:00", "2025-03-30T00:40:00+00:00"
WRITES = ("create", "create", "change", "change", "change", "delete", "restore", "merge", "tie")
MODULES = ("Contacts", "Contacts", "Leads", "Accounts")


@dataclass(frozen=True)
class Event:
    """Something that happens when a request arrives.

    Attributes:
        at: How many requests were received before it, in all runs.
        action: The method of `Chaos` that lets it happen.
        details: Its arguments.
    """

    at: int
    action: str
    details: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        details = " ".join(f"{name}={value}" for name, value in self.details.items())
        return f"{self.at:5} {self.action} {details}".rstrip()


@dataclass(frozen=True)
class Schedule:
    """A world, and the events in the order in which they happen."""

    world: dict[str, Any]
    events: tuple[Event, ...]

    def first(self, number: int) -> Schedule:
        """The same world with the first events only."""
        return Schedule(self.world, self.events[:number])

    def __str__(self) -> str:
        world = " ".join(f"{name}={value}" for name, value in self.world.items())
        return "\n".join((f"      {world}", *map(str, self.events)))


def for_tap(seed: int, requests: int = 250) -> Schedule:
    """The schedule of an extraction."""
    chance = random.Random(f"tap {seed}")
    world = {
        "dialect": chance.choice(DIALECTS),
        "timezone": chance.choice(["UTC", "Europe/Paris"]),
        "clock": chance.choice([None, None, AUTUMN, SPRING]),
        "max_sessions": chance.choice([1, 2, 4]),
        "page_size": chance.choice([5, 7, 20]),
        "deletions": chance.choice(["scan", "scan", "sync"]),
        "warehouse": chance.choice(["duckdb", "duckdb", "postgres"]),
        "writers": chance.randint(2, 4),
    }
    if world["clock"]:
        world |= {"timezone": "Europe/Paris", "deletions": "scan"}
    happenings = [
        *([_fault] * 8),
        *([_signal] * 4),
        *(_sessions_end, _foreign_login, _restart, _slow_database),
        _full_disk,
        _locked_database if world["warehouse"] == "duckdb" else _database_fails,
        # `sync` dates deletions by this machine's clock, and restored records by the server's.
        *([_wrong_clock] if world["deletions"] == "scan" else []),
    ]
    events = [
        chance.choice(happenings)(chance, chance.randrange(requests), READING, ("tap", "loader"))
        for _ in range(chance.randint(8, 20))
    ]
    for writer in range(world["writers"]):
        events += [_write(chance, chance.randrange(requests), writer) for _ in range(15)]
    if world["clock"]:
        events += _night(chance, requests)
    return Schedule(world, _in_order(events))


def for_writers(seed: int, requests: int = 120) -> Schedule:
    """The schedule of an extraction during which nothing fails, but four people write."""
    chance = random.Random(f"writers {seed}")
    world = {
        "dialect": chance.choice(DIALECTS),
        "timezone": chance.choice(["UTC", "Europe/Paris"]),
        "clock": None,
        "max_sessions": chance.choice([1, 4]),
        "page_size": chance.choice([5, 7]),
        "deletions": "scan",
        "warehouse": "duckdb",
        "writers": 4,
    }
    events = []
    for writer in range(4):
        for _ in range(25):
            event = _write(chance, chance.randrange(requests), writer)
            if chance.random() < 0.1:
                event.details["action"] = "date_ahead"
            events.append(event)
    return Schedule(world, _in_order(events))


def for_target(seed: int, requests: int = 250) -> Schedule:
    """The schedule of a load."""
    chance = random.Random(f"target {seed}")
    world = {
        "dialect": chance.choice(DIALECTS),
        "max_sessions": chance.choice([1, 2, 4]),
        "records": chance.choice([20, 60, 120]),
        "loads": 1,
        "timezone": chance.choice(["UTC", "Europe/Paris"]),
        "clock": chance.choice([None, None, AUTUMN, SPRING]),
        "writers": chance.randint(2, 4),
    }
    if world["clock"]:
        world["timezone"] = "Europe/Paris"
    happenings = [
        *([_fault] * 8),
        *([_signal] * 4),
        *(_sessions_end, _foreign_login, _restart, _full_disk, _wrong_clock),
    ]
    events = [
        chance.choice(happenings)(chance, chance.randrange(requests), WRITING, ("target",))
        for _ in range(chance.randint(5, 14))
    ]
    for writer in range(world["writers"]):
        events += [_write(chance, chance.randrange(requests), writer) for _ in range(5)]
    if world["clock"]:
        events += _night(chance, requests)
    return Schedule(world, _in_order(events))


def for_people(seed: int, requests: int = 250) -> Schedule:
    """The schedule of a load during which nothing fails, but people change the same records."""
    chance = random.Random(f"people {seed}")
    world = {
        "dialect": chance.choice(DIALECTS),
        "max_sessions": chance.choice([1, 4]),
        "records": chance.choice([60, 120]),
        "loads": chance.choice([1, 2]),
        "timezone": chance.choice(["UTC", "Europe/Paris"]),
        "clock": None,
        "writers": 4,
    }
    edits = [
        Event(
            chance.randrange(requests),
            "write",
            {"writer": n % 4, "action": "edit", "module": "Contacts", "pick": chance.randrange(99)},
        )
        for n in range(40)
    ]
    return Schedule(world, _in_order(edits))


def _in_order(events: list[Event]) -> tuple[Event, ...]:
    return tuple(sorted(events, key=lambda event: event.at))


def _night(chance: random.Random, requests: int) -> list[Event]:
    return [
        Event(at, "clock_moves", {"seconds": chance.choice([60, 600, 1500])})
        for at in chance.sample(range(requests), 8)
    ]


def _fault(chance: random.Random, at: int, operations: Any, _: Any) -> Event:
    kind = chance.choice(KINDS)
    details: dict[str, Any] = {
        "kind": kind,
        "operation": chance.choice(operations),
        "times": 1 if kind in {*DELAYS, *FINAL} else chance.choice([1, 1, 2, 5, 9]),
    }
    if kind in DELAYS:
        details["seconds"] = 0.3 if kind in {"latency", "drip"} else 4
    if kind == "session":
        details["code"] = chance.choice(CODES)
    if kind == "status":
        details["status"] = chance.choice([429, 500, 502, 503, 504])
    return Event(at, "fault", details)


def _signal(chance: random.Random, at: int, _: Any, programs: tuple[str, ...]) -> Event:
    number = chance.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
    return Event(at, "signal", {"program": chance.choice(programs), "number": int(number)})


def _sessions_end(chance: random.Random, at: int, *_: Any) -> Event:
    return Event(at, "sessions_end", {"code": chance.choice(CODES)})


def _foreign_login(_: random.Random, at: int, *__: Any) -> Event:
    return Event(at, "foreign_challenge")


def _restart(_: random.Random, at: int, *__: Any) -> Event:
    return Event(at, "restart")


def _slow_database(_: random.Random, at: int, *__: Any) -> Event:
    return Event(at, "pause", {"program": "loader", "seconds": 0.5})


def _full_disk(chance: random.Random, at: int, *_: Any) -> Event:
    if chance.random() < 0.5:
        return Event(at, "disk_full", {"left": chance.choice([0, 4096, 2**16, 2**18])})
    return Event(at, "next_run", {"largest_file": chance.choice([0, 100, 2000])})


def _locked_database(_: random.Random, at: int, *__: Any) -> Event:
    return Event(at, "next_run", {"locked_database": True})


def _database_fails(chance: random.Random, at: int, *_: Any) -> Event:
    return Event(at, "database_fails", {"how": chance.choice(["end_connections", "restart"])})


def _wrong_clock(chance: random.Random, at: int, *_: Any) -> Event:
    return Event(at, "next_run", {"clock_error": chance.choice([-3600, 3600])})


def _write(chance: random.Random, at: int, writer: int) -> Event:
    details = {
        "writer": writer,
        "action": chance.choice(WRITES),
        "module": chance.choice(MODULES),
        "pick": chance.randrange(10_000),
    }
    return Event(at, "write", details)
