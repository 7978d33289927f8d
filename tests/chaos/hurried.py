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

import kafinea.login
import kafinea.retry

kafinea.retry._FIRST_WAIT = 0.01
kafinea.login._SPREAD = (0.004, 0.016)

if limit := os.environ.get("CHAOS_LARGEST_FILE"):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # the write fails with EFBIG instead
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))

program = sys.argv.pop(1)
if program.startswith("exact_loaders."):
    from importlib import import_module

    import_module(program).run()
else:
    runpy.run_module(program, run_name="__main__", alter_sys=True)
