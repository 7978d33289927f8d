"""Reading the input while the database writes, so that the tap need not wait."""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from threading import Condition, Thread
from typing import IO

_MOST_AHEAD = 2**22
"""Bytes that are read ahead: as many records as a tap writes while a batch is written."""
_AT_ONCE = 2**20
"""Bytes of a read, and of the pipe. Linux gives a pipe 64 KB, which would wake both ends often."""


def lines(source: IO[str]) -> Iterator[bytes]:
    """Yield the lines of a text file, without their ends.

    Raises:
        OSError: It cannot be read.
    """
    parts: list[bytes] = []  # of a line
    for data in _ReadAhead(_reader(source)):
        first, *others = data.split(b"\n")
        parts.append(first)
        if others:
            yield b"".join(parts)
            parts = [others.pop()]
            yield from others
    if last := b"".join(parts):
        yield last


def _reader(source: IO[str]) -> Callable[[], bytes]:
    """Return what reads some bytes.

    `sys.stdin` has a lock, with which a thread that waits for input would keep a process from
    ending.
    """
    try:
        number = source.fileno()
    except OSError:  # it is in memory, as in a test
        buffer = getattr(source, "buffer", None)
        return lambda: buffer.read(_AT_ONCE) if buffer else source.read(_AT_ONCE).encode()
    if sys.platform == "linux":
        with suppress(OSError):  # it is no pipe, or may not be larger
            fcntl.fcntl(number, fcntl.F_SETPIPE_SZ, _AT_ONCE)
    return lambda: os.read(number, _AT_ONCE)


class _ReadAhead:
    """Reads in a thread, and yields all that has been read since.

    Args:
        read: Returns some bytes; none at the end.
    """

    def __init__(self, read: Callable[[], bytes]) -> None:
        self._read = read
        self._changed = Condition()
        self._waiting: list[bytes] = []
        self._size = 0
        self._is_over = False
        self._error: Exception | None = None

    def __iter__(self) -> Iterator[bytes]:
        Thread(target=self._fill, daemon=True).start()
        while data := self._take():
            yield data
        if self._error:
            raise self._error

    def _take(self) -> bytes:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_over)
            waiting, self._waiting, self._size = self._waiting, [], 0
            self._changed.notify()
        return b"".join(waiting)

    def _fill(self) -> None:
        try:
            while data := self._read():
                with self._changed:
                    self._changed.wait_for(lambda: self._size < _MOST_AHEAD)
                    self._waiting.append(data)
                    self._size += len(data)
                    self._changed.notify()
        except Exception as error:  # noqa: BLE001 raised again by who reads: no end of the input
            self._error = error
        finally:
            with self._changed:
                self._is_over = True
                self._changed.notify()
