"""Runs `tap-kafinea` and `target-kafinea` within this process, or as the programs that they are."""

from __future__ import annotations

import io
import logging
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
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
