"""The results of the bench: a file of runs, and the medians of their rounds."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import reading, writing
from benchmarks.cases import Case
from benchmarks.measure import Took
from benchmarks.reading import READERS

PATH = Path(__file__).with_name("results.jsonl")
"""Where the last whole bench left them: a line on the machine, then a line for each run."""

_PACKAGES = ("singer-sdk", "msgspec", "requests", "duckdb", "dlt", "target-duckdb", "uvloop")

Measure = Callable[[Case, Took], float]


class Results:
    """The runs of the bench.

    Attributes:
        machine: What the figures depend on, and how many rounds there were.
        failed: The runs that failed, with their error.
    """

    def __init__(self) -> None:
        with PATH.open() as lines:
            self.machine, *entries = map(json.loads, lines)
        self.failed = [one for one in entries if "error" in one]
        self._runs = [
            (Case(**one["case"]), Took(**one["took"])) for one in entries if "error" not in one
        ]

    def runs(self, kind: str, who: str, **where: int) -> list[tuple[Case, Took]]:
        """Return the runs of a case.

        Raises:
            LookupError: There is none.
        """
        wanted = {"kind": kind, "who": who, **where}.items()
        found = [(case, took) for case, took in self._runs if wanted <= vars(case).items()]
        if not found:
            raise LookupError(f"{kind}, {who}, {where}")
        return found

    def median(self, measure: Measure, kind: str, who: str, **where: int) -> float:
        """Return the median over a case's rounds."""
        return median(measure(case, took) for case, took in self.runs(kind, who, **where))

    def read(self, measure: Measure, who: str, latency_ms: int, sessions: int) -> float:
        """Return the median of reading with so many sessions, or with the one that `who` has."""
        sessions = sessions if READERS[who].is_parallel else 1
        return self.median(measure, "read", who, latency_ms=latency_ms, sessions=sessions)


def first_line(rounds: int) -> str:
    """Return the line on the machine."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    machine = {
        "rounds": rounds,
        "processor": f"{len(names)} x {names[0]}" if names else platform.machine(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": ", ".join(f"{name} {version(name)}" for name in _PACKAGES),
    }
    return json.dumps(machine) + "\n"


def line_of(case: Case, number: int, outcome: Took | Exception) -> str:
    """Return the line of a run."""
    entry: dict[str, Any] = {"case": vars(case), "round": number}
    if isinstance(outcome, Took):
        took = {name: _rounded(value) for name, value in vars(outcome).items()}
        return json.dumps({**entry, "took": took}) + "\n"
    return json.dumps({**entry, "error": str(outcome).splitlines()[0]}) + "\n"


def _rounded(value: Any) -> Any:
    return round(value, 4) if isinstance(value, float) else value


def rate(case: Case, took: Took) -> float:
    """Records a second: of a limit without its logins, of all others with, but without Python's
    start.
    """
    is_limit = case.who in {reading.LIMIT, writing.LIMIT}
    return case.rows / (took.working if is_limit else took.active)


def whole_rate(case: Case, took: Took) -> float:
    """Records a second, with all of it."""
    return case.rows / took.seconds


def requests(_: Case, took: Took) -> float:
    """All requests, logins included."""
    return sum(took.requests.values())


def queries(_: Case, took: Took) -> float:
    """The requests for records."""
    return took.requests["query"]


def writes(_: Case, took: Took) -> float:
    """The requests that write."""
    return sum(took.requests.get(name, 0) for name in ("create", "update", "revise", "delete"))


def cpu(case: Case, took: Took) -> float:
    """Microseconds of CPU for a record, Python's start included."""
    return took.cpu / case.rows * 1e6


def seconds(_: Case, took: Took) -> float:
    """Seconds, with all of it."""
    return took.seconds


def active(_: Case, took: Took) -> float:
    """Seconds, without Python's start."""
    return took.active


def peak(_: Case, took: Took) -> float:
    """The most megabytes."""
    return took.peak_mb


def sessions(_: Case, took: Took) -> float:
    """The most requests at once."""
    return took.sessions


def server_share(_: Case, took: Took) -> float:
    """How much of the time the server's processor was busy."""
    return took.server_cpu / took.working
