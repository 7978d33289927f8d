"""The programs as processes, which may have pipes between them."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, NamedTuple

from tests.chaos.preloaded import ROOT, Forked, preloaded
from tests.chaos.server import Chaos

LONGEST_RUN = 120
"""Seconds after which a run hangs: with all its retries, none takes a third of it."""
_STARTED_IN_FULL = 0.1
"""Of the programs. The others are forked from a process that has imported them."""
_FAKE_CLOCK = (
    Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"),
    Path("/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1"),
)
Process = subprocess.Popen[bytes] | Forked


class Failure(AssertionError):
    """A promise that was not kept."""


class Done(NamedTuple):
    """A program that has ended."""

    code: int
    stdout: str
    stderr: str


def command(name: str, config: Path, *arguments: str) -> list[str]:
    """A program and its arguments."""
    return [name, "--config", str(config), *arguments]


def write_json(path: Path, content: Any) -> Path:
    """Write a settings file."""
    path.write_text(json.dumps(content), "utf-8")
    return path


class Programs:
    """Runs programs at the same time.

    Args:
        chaos: It sends them signals, and knows the conditions of this run.
    """

    def __init__(self, chaos: Chaos) -> None:
        self._chaos = chaos
        self._chance = random.Random(str(chaos.world))

    def run(
        self, commands: dict[str, list[str]], *, piped: bool = False, **variables: str
    ) -> dict[str, Done]:
        """Run programs until all have ended; each must end in time and without a traceback.

        Args:
            commands: The programs.
            piped: Whether each reads what the one before it writes.
            variables: Of the environment.
        """
        environment = self._environment() | variables
        processes: dict[str, Process] = {}
        with ExitStack() as sources:  # then only the readers have them: their end closes the pipes
            source = sources.enter_context(Path(os.devnull).open("rb"))
            for name, arguments in commands.items():
                processes[name] = self._start(arguments, environment, source.fileno())
                if piped and len(processes) < len(commands):
                    source = sources.enter_context(processes[name].stdout)
        self._chaos.programs = processes
        done = self._ended(processes)
        self._chaos.programs = {}
        self._chaos.disk.free()
        for name, one in done.items():
            errors = [line for line in one.stderr.splitlines() if "| ERROR" in line]
            last = errors[-1].partition("|")[2] if errors else ""
            self._chaos.log.append(f"{self._chaos.count:5} {name} ended with {one.code} {last}")
            if _is_broken(one):
                raise Failure(f"{name} ended with {one.code}:\n{one.stderr}")
        return done

    def _start(self, program: list[str], environment: dict[str, str], stdin: int) -> Process:
        if "LD_PRELOAD" not in environment and self._chance.random() > _STARTED_IN_FULL:
            return preloaded().start(program, environment, stdin)
        return subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.hurried", *program],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | environment,
            cwd=ROOT,
        )

    def _environment(self) -> dict[str, str]:
        conditions = self._chaos.conditions
        environment = {"PYTHONUTF8": "1", "TMPDIR": str(self._chaos.disk.path)}
        limit = conditions.pop("largest_file", None)
        if limit is not None:
            environment["CHAOS_LARGEST_FILE"] = str(limit)
        error = conditions.pop("clock_error", 0)
        library = next((path for path in _FAKE_CLOCK if path.exists()), None)
        if error and library:
            environment |= {
                "LD_PRELOAD": str(library),
                "FAKETIME": f"{error:+d}",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            }
        return environment

    def _ended(self, processes: dict[str, Process]) -> dict[str, Done]:
        texts: dict[tuple[str, str], bytes] = {}

        def read(key: tuple[str, str], stream: IO[bytes]) -> None:
            with stream:
                texts[key] = stream.read()

        readers = []
        for name, process in processes.items():
            streams = {"stderr": process.stderr}
            if not process.stdout.closed:
                streams["stdout"] = process.stdout
            readers += [
                threading.Thread(target=read, args=((name, kind), stream))
                for kind, stream in streams.items()
            ]
        for reader in readers:
            reader.start()
        hanging = []
        for name, process in processes.items():
            try:
                process.wait(LONGEST_RUN)
            except subprocess.TimeoutExpired:
                hanging.append(name)
                process.kill()
                process.wait()
        for reader in readers:
            reader.join()
        said = {
            name: Done(
                process.wait(),
                texts.get((name, "stdout"), b"").decode(),
                texts[name, "stderr"].decode(errors="replace"),
            )
            for name, process in processes.items()
        }
        if hanging:
            log = "\n".join(one.stderr[-3000:] for one in said.values())
            raise Failure(f"Still running after {LONGEST_RUN} s: {', '.join(hanging)}\n{log}")
        return said


def _is_broken(done: Done) -> bool:
    """Whether a program has crashed, or shows a traceback."""
    # Python itself answers SIGINT while it still imports the program; DuckDB then may crash.
    if "KeyboardInterrupt" in done.stderr and "<frozen importlib." in done.stderr:
        return False
    is_crash = done.code in {-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS}
    return is_crash or ("Traceback" in done.stderr and done.code != -signal.SIGINT)
