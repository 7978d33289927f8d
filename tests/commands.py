"""Runs `tap-kafinea` and `target-kafinea` within this process, or as the programs that they are."""

from __future__ import annotations

import io
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

from singer_sdk.plugin_base import PluginBase

from singer_kafinea.command import exit_code, invoke


def in_process(
    plugin: type[PluginBase], *arguments: str, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command within this process: a program takes most of a second to import the SDK.

    What `singer_kafinea.command.run` does to the whole process is left out: it cleans each line of
    the log, and logs warnings and errors in threads. Tests of that take `program`.
    """
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    argv = mock.patch.object(sys, "argv", [plugin.name, *arguments])
    # The SDK adds a handler in each run; those of runs before would get the lines of all behind.
    handlers = mock.patch.object(logging.root, "handlers", list(logging.root.handlers))
    variables = mock.patch.dict(os.environ, env or {})
    with argv, handlers, variables, redirect_stdout(out), redirect_stderr(err):
        code = exit_code(partial(invoke, plugin), plugin.logger)
    stdout, stderr = (stream.buffer.getvalue().decode() for stream in (out, err))  # type: ignore[attr-defined]  # set above
    return subprocess.CompletedProcess([plugin.name, *arguments], code, stdout, stderr)


def program(name: str, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command as a user does.

    Args:
        name: `tap_kafinea` or `target_kafinea`.
        arguments: Of the command line.
        options: Of `subprocess.run`; `env` is added to the variables of this process.
    """
    options["env"] = {**os.environ, **options.get("env", {})}
    return subprocess.run(
        [sys.executable, "-m", name, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        **options,
    )


def start(name: str, directory: Path, **files: Any) -> subprocess.Popen[str]:
    """Start a command as a user does; what it writes can be read from the process.

    Args:
        name: `tap_kafinea` or `target_kafinea`.
        directory: Where its files go.
        files: What the options `config`, `catalog` and `state` name.
    """
    arguments = []
    for option, content in files.items():
        path = directory / f"{option}.json"
        path.write_text(json.dumps(content), "utf-8")
        arguments += [f"--{option}", str(path)]
    return subprocess.Popen(
        [sys.executable, "-m", name, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def stop(process: subprocess.Popen[str], how: int = signal.SIGKILL) -> list[str]:
    """Send a signal to a command, and return the lines that it still writes, without a half one."""
    process.send_signal(how)
    assert process.stdout is not None
    assert process.stderr is not None
    with process:  # not `communicate`, which misses what the reader of the lines has buffered
        lines = [line for line in process.stdout if line.endswith("\n")]
        errors = process.stderr.read()
    assert process.returncode == (-how if how == signal.SIGKILL else 128 + how)
    assert "Traceback" not in errors
    return lines
