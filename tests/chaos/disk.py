"""The disk with the files of the programs: a small one of its own, where this user may mount it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_BYTES = 2**26
_PIECE = 2**20


class Disk:
    """A disk that can be full.

    Args:
        path: Where its files are.
        is_small: Whether it is one of its own. Otherwise, it is never full.
    """

    def __init__(self, path: Path, *, is_small: bool) -> None:
        self.path = path
        self._is_small = is_small
        self._filler = path / "filler"

    def fill(self, left: int) -> None:
        """Leave only so many bytes."""
        if not self._is_small:
            return
        with self._filler.open("ab", buffering=0) as file:
            for piece in (_PIECE, 4096):
                try:
                    while file.write(bytes(piece)) == piece:
                        pass
                except OSError:  # it is full
                    continue
            os.truncate(file.fileno(), max(0, file.tell() - left))

    def free(self) -> None:
        """Make room again."""
        self._filler.unlink(missing_ok=True)


@contextmanager
def mounted(path: Path) -> Iterator[Disk]:
    """A small disk, if this user may mount one; otherwise a folder."""
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={_BYTES}", "tmpfs", str(path)]
    is_small = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    try:
        yield Disk(path, is_small=is_small)
    finally:
        if is_small:
            subprocess.run(["umount", "--lazy", str(path)], check=True)
