"""Runs the command `kafinea` as users do: with pipes, or on a terminal."""

from __future__ import annotations

import fcntl
import io
import logging
import os
import pty
import select
import struct
import subprocess
import sys
import termios
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path
from unittest import mock

from kafinea_cli.__main__ import cli
from kafinea_sandbox import Sandbox
from singer_kafinea.command import exit_code

INTERRUPT = b"\x03"
_PATIENCE = 60  # seconds
COMMAND = (sys.executable, "-m", "kafinea_cli")


def variables(sandbox: Sandbox, **others: str) -> dict[str, str]:
    """Return the environment of somebody who has set the connection to a sandbox."""
    own = {k: v for k, v in os.environ.items() if not k.startswith(("KAFINEA_", "TAP_", "COLUMNS"))}
    return {
        **own,
        "KAFINEA_URL": sandbox.url,
        "KAFINEA_USERNAME": sandbox.username,
        "KAFINEA_ACCESS_KEY": sandbox.access_key,
        "TAP_KAFINEA_TIMEZONE": "UTC",
        **others,
    }


def run(
    arguments: Sequence[str], environment: dict[str, str], folder: Path
) -> subprocess.CompletedProcess[str]:
    """Run a command within this process: a program takes a second more."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    log = logging.StreamHandler(err)
    log.setLevel(logging.WARNING)  # tests of the tap lower that of the root
    log.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    before = Path.cwd()
    os.chdir(folder)
    try:
        with (
            mock.patch.dict(os.environ, environment, clear=True),
            mock.patch.object(logging.root, "handlers", [log]),
            mock.patch.object(sys, "argv", ["kafinea", *arguments]),
            mock.patch.object(sys, "stdin", io.StringIO()),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            code = exit_code(partial(cli, prog_name="kafinea"), logging.getLogger("kafinea"))
    finally:
        os.chdir(before)
    stdout, stderr = (stream.buffer.getvalue().decode() for stream in (out, err))  # type: ignore[attr-defined]  # set above
    return subprocess.CompletedProcess([*arguments], code, stdout, stderr)


def on_terminal(
    arguments: Sequence[str], environment: dict[str, str], folder: Path,
    *, columns: int = 80, typed: Sequence[tuple[str, str]] = (),
) -> tuple[int, str]:  # fmt: skip
    """Run a command on a pseudo-terminal.

    Args:
        arguments: Of the command.
        environment: Its variables.
        folder: Where it runs.
        columns: The width of the terminal.
        typed: What is typed, each once the text before it has been shown, after the last answer.

    Returns:
        The exit code, and all that the terminal has shown.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    environment = {"TERM": "xterm-256color", **environment}
    process = subprocess.Popen(
        [*COMMAND, *arguments], env=environment, cwd=folder, stdin=theirs, stdout=theirs,
        stderr=theirs, start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 ^C is a signal
    )  # fmt: skip
    os.close(theirs)
    shown, waiting, answered, last = b"", list(typed), 0, b""
    silent = 0
    while True:
        if not select.select([ours], [], [], 1)[0]:
            silent += 1
            if last == INTERRUPT:  # Python misses one that comes just before it reads a line
                os.write(ours, last)
            if silent == _PATIENCE:
                process.kill()
                raise AssertionError(f"Nothing more is shown:\n{shown.decode()}")
            continue
        silent = 0
        try:
            piece = os.read(ours, 65536)
        except OSError:  # Linux: the other end is closed
            break
        if not piece:
            break
        shown += piece
        if waiting and waiting[0][0].encode() in shown[answered:]:
            answered = len(shown)
            last = waiting.pop(0)[1].encode()
            os.write(ours, last)
    os.close(ours)
    return process.wait(timeout=60), shown.decode().replace("\r\n", "\n")
