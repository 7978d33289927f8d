"""Runs Meltano as a process: passes its log on, waits for a lock, and finds out why it failed.

It does not need Airflow. `docs/scheduling.md` shows the messages.
"""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, Protocol

PROJECT = Path(os.environ.get("MELTANO_PROJECT_ROOT") or Path(__file__).resolve().parents[2])

_CORRECT_FIRST = 2
"""Exit code of a tap or target after which a retry fails again. README.md describes it."""

_LONGEST_WAIT = 1800
_LOCKED = 300
"""Seconds to wait for the lock of a run, and how long that of a killed run lasts."""
_LOCK = re.compile(r"Another '(.+)' pipeline is already running .* Wait until (\S+ \S+) when")
_DISCOVERY = re.compile(r"returned (-?\d+) with stderr")
_WRONG_SETTING = re.compile(
    r"invalid literal for int|ConversionSyntax|is not a valid choice for|Failed to parse"
)
"""What Meltano reports of a setting whose value it cannot read."""
# During a discovery, Meltano logs each line of the tap at level info, as text.
_TEXT = re.compile(r"(DEBUG|INFO|WARNING|ERROR|CRITICAL) ")
_FACTS = ("run_id", "name", "job_name", "summary", "metric_info", "exit_codes", "duration_seconds")
"""What is logged besides the message: `name` is the plugin, `summary` are the counts by stream."""
_LONGEST_REASON = 1000
_text_file = partial(TemporaryFile, "w+", encoding="utf-8")


class Log(Protocol):
    """Logs a message with facts, as structlog does."""

    def __call__(self, level: int, event: str, /, **facts: Any) -> Any:
        """Log a message."""


class MeltanoFailed(Exception):
    """Meltano failed.

    Attributes:
        reason: The last error of the plugin that failed. It contains no contents of records.
        is_final: Whether a retry would fail as well, until a person has corrected something.
    """

    def __init__(self, reason: str, *, is_final: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_final = is_final


class Locked(MeltanoFailed):
    """Another run of the same state is under way, or was killed.

    Attributes:
        until: When the lock ends if that run was killed.
    """

    def __init__(self, state_id: str, until: datetime) -> None:
        super().__init__(f"Another run of {state_id} has not ended.")
        self.state_id = state_id
        self.until = until


class MeltanoRun:
    """A command of Meltano.

    Args:
        command: The arguments of `meltano`.
        settings: Settings that override those of the project.
        log: Where its log goes, line by line.
    """

    def __init__(self, command: Sequence[str], settings: Mapping[str, str], log: Log) -> None:
        self._command = [str(PROJECT / "orchestrate/meltano"), "--log-format=json", *command]
        self._settings = settings
        self._log = log
        self._process: subprocess.Popen[str] | None = None

    def run(self, given: str = "") -> str:
        """Run it to its end, and return its output. Wait for a lock if there is one.

        Args:
            given: The input of the command.

        Raises:
            MeltanoFailed: It failed.
        """
        end = time.monotonic() + _LONGEST_WAIT
        while True:
            try:
                return self._run_once(given)
            except Locked as lock:
                if time.monotonic() > end:
                    raise
                # A run that is not dead renews its lock every second, so the end may be later.
                text = "Another run of %s is under way, or was killed. Waiting until %s UTC."
                until = f"{lock.until.astimezone(timezone.utc):%H:%M:%S}"
                self._log(logging.WARNING, text % (lock.state_id, until))
                seconds = (lock.until - datetime.now(timezone.utc)).total_seconds() + 1
                time.sleep(min(max(seconds, 1), _LOCKED))  # clocks may differ

    def stop(self) -> None:
        """End it, so that the plugins can write what they have."""
        if self._process:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGTERM)

    def _run_once(self, given: str) -> str:
        found = _Findings()
        with _text_file() as output, _text_file() as stdin:
            stdin.write(given)
            stdin.seek(0)
            self._process = subprocess.Popen(  # noqa: S603 our own command
                self._command,
                cwd=PROJECT,
                env=os.environ | dict(self._settings),
                stdin=stdin,
                stdout=output,
                stderr=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                errors="replace",
                start_new_session=True,
            )
            with self._process as process:
                for level, event, facts in _events(process.stderr or ()):
                    found.add(level, event, facts)
                    if line := event.strip().partition("\n")[0]:
                        known = {name: facts[name] for name in _FACTS if name in facts}
                        self._log(level, line, **known)
            if self._process.returncode:
                raise found.failure(self._process.returncode)
            output.seek(0)
            return output.read()


@dataclass
class _Findings:
    """What a log contains about a failure."""

    errors: dict[str, str] = field(default_factory=dict)  # the last one of each plugin
    plugins: dict[str, str] = field(default_factory=dict)  # by what they are: extractors, loaders
    codes: Mapping[str, int] = field(default_factory=dict)  # exit codes, as above
    is_final: bool = False  # whether a plugin reports that a retry would fail too
    own: str = ""  # what Meltano reports itself
    last: str = ""

    def add(self, level: int, event: str, facts: Mapping[str, Any]) -> None:
        self.last = event.strip() or self.last
        plugin = facts.get("name")
        if plugin:
            self.plugins["loaders" if facts.get("consumer") else "extractors"] = plugin
        if level < logging.ERROR:
            return
        if plugin:
            self.errors[plugin] = event
            self.is_final |= facts.get("is_final") is True
        elif event or facts.get("err"):
            self.own = facts.get("err") or event
            self.codes = facts.get("exit_codes") or {}

    def failure(self, exit_code: int) -> MeltanoFailed:
        """Return the error of a run that has failed."""
        if text := _killed("Meltano", exit_code):
            return MeltanoFailed(text)
        if lock := _LOCK.search(self.own):
            return Locked(lock[1], datetime.fromisoformat(lock[2]))
        ends = [*self.codes.values(), *map(int, _DISCOVERY.findall(self.own))]
        wrong = self.is_final or bool(_WRONG_SETTING.search(self.own))
        reason = " ".join(self._reasons()) or self.own.partition("\n")[0] or self.last
        reason = reason or f"Meltano ended with exit code {exit_code}."
        return MeltanoFailed(_cut(reason), is_final=wrong or _CORRECT_FIRST in ends)

    def _reasons(self) -> Iterator[str]:
        """Yield why each plugin failed; if Meltano does not report which did, the last errors."""
        if not self.codes:
            yield from self.errors.values()
        for kind, code in self.codes.items():
            plugin = self.plugins.get(kind, kind)
            if reason := _killed(plugin, code) or self.errors.get(plugin):
                yield reason


def _events(lines: IO[str] | Sequence[str]) -> Iterator[tuple[int, str, Mapping[str, Any]]]:
    """Yield level, message and facts of each line of a log. Some lines may not be JSON."""
    for line in lines:
        try:
            facts = json.loads(line)
            level, event = logging.getLevelName(facts["level"].upper()), str(facts["event"])
        except (ValueError, TypeError, KeyError, AttributeError):
            level, event, facts = logging.INFO, line.rstrip(), {}
        if facts.get("type") == "discovery" and (prefix := _TEXT.match(event)):
            level, event = logging.getLevelName(prefix[1]), event[prefix.end() :]
        yield level if isinstance(level, int) else logging.INFO, event, facts


def _killed(what: str, exit_code: int) -> str:
    """Return that a process was killed, if its exit code says so: as Python's, or as a shell's."""
    if exit_code in {-signal.SIGKILL, 128 + signal.SIGKILL}:
        return f"{what} was killed, perhaps because memory ran out."
    return ""


def _cut(text: str) -> str:
    """Return text as one line of limited length."""
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]}…"
