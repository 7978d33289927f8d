"""Runs the stand-in server and the commands, and measures both."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from typing_extensions import Self

from benchmarks.server import ACCESS_KEY, USER

ROOT = Path(__file__).parent.parent
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": str(ROOT),
    "PYTHONWARNINGS": "ignore",
    # The SDK's joblib loads the numpy of the pictures, if it is there; its threads would spin.
    "OPENBLAS_NUM_THREADS": "1",
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__LOG_LEVEL": "ERROR",
    "NORMALIZE__DATA_WRITER__DISABLE_COMPRESSION": "true",
}


class CommandFailed(Exception):
    """A command did not end well: no figure of it is worth anything."""


class WrongResult(Exception):
    """Records are missing, doubled, or not as they should be."""


@dataclass(frozen=True)
class Took:
    """What a command took.

    Attributes:
        seconds: From its start to its end.
        active: From its first request to its end: without the start of Python and its imports.
        working: From its first query or creation to the last answer.
        cpu: Seconds of user and system time.
        peak_mb: The most memory it held.
        requests: How many of each operation it sent.
        rows: How many rows it was given, those given twice included.
        page_bytes: The bytes of those rows.
        sessions: The most requests under way at once.
        server_cpu: The seconds of CPU that the server took.
    """

    seconds: float
    active: float
    working: float
    cpu: float
    peak_mb: float
    requests: dict[str, int]
    rows: int
    page_bytes: int
    sessions: int
    server_cpu: float


class Server:
    """The stand-in, in a process of its own for the time of a `with` block."""

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "benchmarks.server"]
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=ENVIRONMENT
        )
        assert self._process.stdout
        self.url = f"http://127.0.0.1:{self._process.stdout.readline().strip()}"
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()

    def order(self, do: str, **wanted: Any) -> Any:
        """Set the server up; see `benchmarks.server.Api`."""
        body = json.dumps({"do": do, **wanted}).encode()
        with urlopen(Request(f"{self.url}/bench", body, method="POST")) as answer:
            return json.load(answer)

    def ask(self, query: str = "") -> Any:
        """Return what the server counted, or the records of a module."""
        with urlopen(f"{self.url}/bench?{query}") as answer:
            return json.load(answer)


def run(
    command: Sequence[str | Path],
    directory: Path,
    server: Server | None = None,
    *,
    source: Path | None = None,
    sessions: int = 1,
    env: Mapping[str, str] = ENVIRONMENT,
) -> Took:
    """Run a command in a directory; its output goes to the files `out` and `log` there.

    Args:
        command: The command.
        directory: The directory.
        server: The server that it asks, to see what it counts.
        source: What the command reads.
        sessions: The most requests that it may have under way at once.
        env: Its environment.

    Raises:
        CommandFailed: It ended with an error.
        WrongResult: It had more requests under way than it may.
    """
    measured = directory / "measured.json"
    launcher: list[str | Path] = [
        sys.executable,
        "-I",
        "-S",
        ROOT / "benchmarks" / "launch.py",
        measured,
    ]
    with (
        (directory / "out").open("wb") as out,
        (directory / "log").open("wb") as log,
        Path(source or os.devnull).open("rb") as stdin,
    ):
        ended = subprocess.run(
            [*launcher, *command],
            stdin=stdin,
            stdout=out,
            stderr=log,
            cwd=directory,
            env=env,
            check=False,
        )
    if ended.returncode:
        tail = (directory / "log").read_text()[-2_000:]
        raise CommandFailed(f"exit code {ended.returncode}\n{tail}")
    took = json.loads(measured.read_text())
    counted = server.ask() if server else {"requests": {}, "first": took["began"]}
    if counted.get("most_under_way", 0) > sessions:
        raise WrongResult(f"{counted['most_under_way']} requests at once, {sessions} allowed")
    return Took(
        seconds=took["ended"] - took["began"],
        active=took["ended"] - (counted["first"] or took["began"]),
        working=counted.get("last", 0) - counted.get("first_work", 0),
        cpu=took["cpu"],
        peak_mb=took["peak_mb"],
        requests=counted["requests"],
        rows=counted.get("rows", 0),
        page_bytes=counted.get("page_bytes", 0),
        sessions=counted.get("most_under_way", 0),
        server_cpu=counted.get("cpu", 0),
    )


def write_config(server: Server, directory: Path, **settings: object) -> Path:
    """Write the settings of a command into its directory."""
    config = {"url": server.url, "username": USER, "access_key": ACCESS_KEY, **settings}
    path = directory / "config.json"
    path.write_text(json.dumps(config))
    return path


def emptied(directory: Path) -> Path:
    """Return a directory with nothing in it."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    return directory
