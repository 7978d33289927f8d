"""Runs a command and writes down what it took. Small itself: the peak of a process that is started
by another counts the memory of that other one too.

python -I -S launch.py MEASURED COMMAND...
"""

import json
import os
import sys
import time

measured, *command = sys.argv[1:]
began = time.monotonic()
process = os.posix_spawn(command[0], command, os.environ)
_, status, usage = os.wait4(process, 0)
ended = time.monotonic()
with open(measured, "w") as file:  # noqa: PTH123 pathlib would make this process larger
    json.dump(
        {
            "began": began,
            "ended": ended,
            "cpu": usage.ru_utime + usage.ru_stime,
            "peak_mb": usage.ru_maxrss / 1024,
        },
        file,
    )
sys.exit(os.waitstatus_to_exitcode(status))
