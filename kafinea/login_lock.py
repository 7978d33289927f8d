"""One login at a time on this machine, also of several processes.

A server keeps one token for each user, so of two logins at the same moment one is refused, as if
the access key were wrong.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from zlib import crc32

from kafinea import private

_PATIENCE = 5
"""Seconds to wait for the other processes. Then one of them waits for a server that hangs."""
_PAUSE = 0.02
_FILES = 100
"""Most files that are left in the folder for temporary files. Users may share one."""


@contextmanager
def only_login(address: str, username: str) -> Iterator[None]:
    """Let no other process of this user log in to an instance during the block, if possible."""
    number = crc32(f"{address} {username.casefold()}".encode()) % _FILES
    account = getattr(os, "getuid", int)()
    name = f"kafinea-login-{account}-{number}"
    try:
        file = private.open_to_append(Path(tempfile.gettempdir(), name), through_links=False)
    except OSError:  # of another user, or nothing can be written
        yield
        return
    with file:
        end = time.monotonic() + _PATIENCE
        while not private.lock(file) and time.monotonic() < end:
            time.sleep(_PAUSE)
        yield
