"""Runs mutmut for one room: `python -m tests.mutants.room values`."""

from __future__ import annotations

import os
import sys

from mutmut.__main__ import _run
from mutmut.configuration import config

from tests.mutants.rooms import ROOMS

if __name__ == "__main__":
    room = ROOMS[sys.argv[1]]
    config().only_mutate = room["files"]
    config().pytest_add_cli_args_test_selection = room["tests"]
    _run((), 3 * (os.cpu_count() or 1))  # tests of retries mostly wait
