"""Reading a plan: whole and as it was written, or not at all.

Of each record, only the place of its line is kept: the lines hold values, which may be long.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import TypeVar

from kafinea import private
from kafinea.errors import SettingsError, StorageError
from kafinea.load.approval.plan_lines import (
    VERSION,
    End,
    Header,
    PlanLine,
    end_decoder,
    header_decoder,
    line_decoder,
)
from kafinea.parsing import NOT_JSON

Line = TypeVar("Line")

_AGAIN = "Do the dry run again"


class PlanReader:
    """A plan that was written.

    Args:
        path: Where it is.
        where: What names the file, for messages.
        each: Is called with each line and its place.

    Attributes:
        header: Its first line.

    Raises:
        SettingsError: There is none, or it is not complete, or not as it was written.
    """

    def __init__(
        self, path: str | Path, where: str, each: Callable[[PlanLine, int], object]
    ) -> None:
        self._where = f"{where} {str(path)!r}"
        try:
            self._file = private.open_to_read(Path(os.path.realpath(path)))
        except FileNotFoundError:
            text = f"{self._where}: there is no such file. A dry run (`dry_run`) with `plan_path`"
            raise SettingsError(f"{text} writes the plan.") from None
        except OSError as error:
            raise SettingsError(f"{self._where} cannot be read: {error.strerror}.") from None
        self._lock = Lock()
        try:
            self._state = self._changed_at()
            self.header = self._read(each)
        except BaseException:
            self.close()
            raise

    def line_at(self, place: int) -> PlanLine:
        """Return a line by its place.

        Raises:
            StorageError: The file was changed since it was opened.
        """
        with self._lock:
            if self._changed_at() != self._state:
                raise StorageError(f"{self._where} was changed during the run. {_AGAIN}.")
            self._file.seek(place)
            return line_decoder.decode(self._file.readline())

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _read(self, each: Callable[[PlanLine, int], object]) -> Header:
        header = self._header()
        digest, count, end = sha256(), 0, None
        for place, line in self._lines():
            if not line.endswith(b"\n"):
                break  # the dry run was killed, or the file was cut on its way
            if end is not None:
                raise SettingsError(f"{self._where} goes on after its end. {_AGAIN}.")
            if line.startswith(b'{"end":'):
                end = self._decoded(line, end_decoder.decode)
                continue
            digest.update(line)
            if place:
                each(self._decoded(line, line_decoder.decode), place)
                count += 1
        if end is None:
            text = f"{self._where} is not complete: the dry run did not reach the end of its input."
            raise SettingsError(f"{text} {_AGAIN}; `max_rejects` may have stopped it.")
        if end != End(end=count, sha256=digest.hexdigest()):
            text = f"{self._where} is not as the dry run wrote it, so it is not what was approved."
            raise SettingsError(f"{text} {_AGAIN}.")
        return header

    def _header(self) -> Header:
        try:
            header = header_decoder.decode(self._file.readline())
        except NOT_JSON:
            text = f"{self._where} is not a plan. A dry run (`dry_run`) with `plan_path` writes one"
            raise SettingsError(f"{text}.") from None
        if header.plan != VERSION:
            raise SettingsError(f"{self._where} is of another version. {_AGAIN} with this one.")
        return header

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        self._file.seek(0)
        place = 0
        for line in self._file:
            yield place, line
            place += len(line)

    def _decoded(self, line: bytes, decode: Callable[[bytes], Line]) -> Line:
        try:
            return decode(line)
        except NOT_JSON:
            text = f"{self._where} has a line that is none of a plan"
            raise SettingsError(f"{text}. {_AGAIN}.") from None

    def _changed_at(self) -> tuple[int, int]:
        info = os.fstat(self._file.fileno())
        return info.st_size, info.st_mtime_ns
