"""Programs that start at once: they are forked from a process that has imported them already.

Importing is most of what a short run costs. A forked program is a process as any other, with pipes
and signals of its own. What it cannot show is what happens during the imports.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parents[2]
_IMPORTED = (
    *("tap_kafinea.tap", "target_kafinea.target", "kafinea_cli.verify.command"),
    *("exact_loaders.target", "psycopg"),
)
"""Not DuckDB, nor what imports it, nor numpy: they start threads, which no fork has."""
_NUMBER = struct.Struct("i")
_LONGEST_JOB = 2**16


class Forked:
    """A program that runs, to be used as a `subprocess.Popen`.

    Args:
        report: Where its number comes from, and then its exit code.
        stdout: What it writes.
        stderr: The same.
    """

    returncode: int | None = None

    def __init__(self, report: socket.socket, stdout: int, stderr: int) -> None:
        self.stdout: IO[bytes] = open(stdout, "rb")  # noqa: SIM115 who has started it closes them
        self.stderr: IO[bytes] = open(stderr, "rb")  # noqa: SIM115
        (self.pid,) = _NUMBER.unpack(report.recv(_NUMBER.size))
        self._report = report
        self._waiting = threading.Thread(target=self._wait, daemon=True)
        self._waiting.start()

    def _wait(self) -> None:
        with self._report:
            (self.returncode,) = _NUMBER.unpack(self._report.recv(_NUMBER.size))

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code once the program has ended."""
        self._waiting.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired("a program", timeout or 0)
        return self.returncode

    def poll(self) -> int | None:
        """Return the exit code, if it has ended."""
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended: its number may be another program's by now."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)


class Preloaded:
    """The process that has imported the programs. It ends with this one."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair()
        self._lock = threading.Lock()
        with theirs:
            # With pipes, as its children have: what is imported keeps `sys.stdin` and others.
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.chaos.preloaded", str(theirs.fileno())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=[theirs.fileno()],
                env=os.environ | {"PYTHONUTF8": "1"},
                cwd=ROOT,
            )
        atexit.register(self._end)

    def _end(self) -> None:
        self._control.close()
        self._process.communicate()

    def start(self, program: list[str], environment: dict[str, str], stdin: int) -> Forked:
        """Start a program.

        Args:
            program: Its name and arguments.
            environment: Variables, besides those of this process.
            stdin: The file that it reads.
        """
        ours, report = socket.socketpair()
        stdout, its_stdout = os.pipe()
        stderr, its_stderr = os.pipe()
        job = json.dumps([program, environment]).encode()
        with self._lock:
            files = [report.fileno(), stdin, its_stdout, its_stderr]
            socket.send_fds(self._control, [job], files)
            report.close()
            os.close(its_stdout)
            os.close(its_stderr)
            return Forked(ours, stdout, stderr)  # which waits until the job was taken


@cache
def preloaded() -> Preloaded:
    """The one of this process."""
    return Preloaded()


def _next_program(control: socket.socket) -> list[str]:
    """Start what is asked for; return, in its process, the name and arguments of a program."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the keepers
    while True:
        job, sent, *_ = socket.recv_fds(control, _LONGEST_JOB, 4)
        if not job:
            sys.exit()
        report, *files = sent
        if os.fork() == 0:
            break
        for file in (report, *files):
            os.close(file)
    control.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _keep(socket.socket(fileno=report), files)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    program, environment = json.loads(job)
    os.environ.update(environment)
    return [*program]


def _keep(report: socket.socket, files: list[int]) -> None:
    """Fork once more: wait for the program in this process, and return in the other."""
    if pid := os.fork():
        for file in files:  # only the program has them now, so that its end closes the pipes
            os.close(file)
        report.sendall(_NUMBER.pack(pid))
        _, status = os.waitpid(pid, 0)
        report.sendall(_NUMBER.pack(os.waitstatus_to_exitcode(status)))
        os._exit(0)
    report.close()
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)


if __name__ == "__main__":
    from singer_kafinea.importing import quick_imports
    from tests.chaos.hurried import run

    with quick_imports():
        for _name in _IMPORTED:
            import_module(_name)
    run(*_next_program(socket.socket(fileno=int(sys.argv[1]))))
