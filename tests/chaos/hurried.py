"""Runs a program of the project as a user does, with short waits between its tries.

`python -m tests.chaos.hurried tap_kafinea --config ...`. With CHAOS_LARGEST_FILE, no file can grow
beyond so many bytes, as on a full disk; pipes are no files.
"""

from __future__ import annotations

import os
import resource
import runpy
import signal
import sys
import threading
import time
from importlib import import_module

import kafinea.login
import kafinea.retry

kafinea.retry._FIRST_WAIT = 0.01
kafinea.login._SPREAD = (0.004, 0.016)


def run(program: str, *arguments: str) -> None:
    """Run a program in this process."""
    if limit := os.environ.get("CHAOS_LARGEST_FILE"):
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # the write fails with EFBIG instead
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
    if "FAKETIME" in os.environ:  # with libfaketime 0.9.10, `time.sleep` fails: Invalid argument
        time.sleep = lambda seconds: threading.Event().wait(seconds)
    sys.argv = [program, *arguments]
    if program.startswith("exact_loaders."):
        import_module(program).run()
    else:
        runpy.run_module(program, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    run(*sys.argv[1:])
