"""The files that a run leaves: lines of JSON that stay whole, whatever ends the run.

They hold personal data: those that are made are for this user only.

What is not a regular file (a pipe, a device, a link) is written to as it is. To rename another file
over `/dev/null`, which a container's root may do, would replace the device.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any

import msgspec

from kafinea import private
from kafinea.errors import SettingsError

# Numbers came as Decimals and go with all their digits.
_encoder = msgspec.json.Encoder(decimal_format="number", enc_hook=str)

_STDOUT, _STDERR = 1, 2
_NOT_RENAMED = {errno.EBUSY, errno.EXDEV}
"""A file that is itself a mount, as containers have it, can be written to but not renamed."""


class LineFile:
    """A file that lines of JSON are appended to, each of them whole or not at all.

    Args:
        path: Where it is.
        setting: The setting that says so, for messages.
        part_of: The path that the setting has, if this is a part of that file.

    Raises:
        SettingsError: It cannot be written, or another user has put it there.
    """

    def __init__(self, path: str | Path, setting: str, part_of: str | Path = "") -> None:
        self._setting = setting
        self._failure: SettingsError | None = None
        try:
            self._file = _open(path, through_links=not part_of)
            mode = os.fstat(self._file.fileno()).st_mode
            self._is_regular = stat.S_ISREG(mode)
            if self._is_regular:
                private.warn_if_shared(Path(os.path.realpath(path)).parent, setting)
                private.warn_if_read_by_others(Path(path), mode, setting)
                with suppress(PermissionError):  # it may be for writing only
                    _end_whole(Path(path))
        except OSError as error:
            raise _cannot_write(setting, part_of or path, error) from None

    def write(self, message: Mapping[str, Any]) -> None:
        """Append a line.

        Raises:
            SettingsError: It cannot be written. What was written before stays as it is.
        """
        self.write_line(_encoder.encode(message) + b"\n")

    def write_line(self, line: bytes) -> None:
        """Append a line as it is.

        Raises:
            SettingsError: As `write`.
        """
        if self._failure:
            raise self._failure
        written = 0
        try:
            # Without a buffer: a run that is killed must not lose what it has said.
            while written < len(line):
                written += self._file.write(line[written:]) or 0
        except OSError as error:
            self._cut(written)
            self._failure = SettingsError(
                f"`{self._setting}` cannot be written any more: {error.strerror}. What was written "
                "until then is complete."
            )
            raise self._failure from None

    def lock(self) -> bool:
        """Keep other runs from using the file until it is closed; False if one has it."""
        return private.lock(self._file)

    def sync(self) -> None:
        """Have the lines on the disk.

        Raises:
            OSError: They are not.
        """
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        with suppress(OSError):  # nothing is buffered
            self._file.close()

    def _cut(self, written: int) -> None:
        """Take away the half of a line that was written last."""
        if self._is_regular and written:
            with suppress(OSError):
                os.ftruncate(self._file.fileno(), os.fstat(self._file.fileno()).st_size - written)


class RejectsFile:
    """The rejects file. It takes its place when it is closed.

    So the rejects of an earlier run can be read as input while those of this run are written, and
    what is read does not grow meanwhile. What stood in its place is put aside under the time it was
    written; where the path is a link, the rejects are appended to the file behind it.

    Args:
        path: Where it is.
        run: The id of the run.

    Attributes:
        put_aside: Where the rejects of an earlier run are now, if there were any.

    Raises:
        SettingsError: It cannot be written.
    """

    _SETTING = "rejects_path"

    def __init__(self, path: str, run: str) -> None:
        self._path = Path(path)
        self._real = Path(os.path.realpath(path))
        self._part: Path | None = None
        self._is_empty = True
        self.put_aside: Path | None = None
        try:
            private.refuse_planted(self._path)
            is_regular = _is_to_be_regular(path)
            self._lines = self._open_part(run) if is_regular else LineFile(path, self._SETTING)
        except OSError as error:
            raise _cannot_write(self._SETTING, path, error) from None

    def write(self, message: Mapping[str, Any]) -> None:
        """Append a message.

        Raises:
            SettingsError: It cannot be written.
        """
        self._lines.write(message)
        self._is_empty = False

    def close(self, *, is_complete: bool) -> None:
        """Let the file take its place.

        Args:
            is_complete: Whether the input was read to its end. If not, and nothing was rejected,
                what stands in its place stays: perhaps it is the input, and is to be loaded again.

        Raises:
            SettingsError: It cannot.
        """
        if self._part is None:
            self._lines.close()
            return
        try:
            self._lines.sync()
            self._lines.close()
            if self._is_empty and not is_complete:
                self._part.unlink()
            elif self._path.is_symlink():
                self._append(self._part)
            else:
                self._replace(self._part)
        except OSError as error:
            raise SettingsError(
                f"`{self._SETTING}` cannot be written: {error.strerror}. The rejected records are "
                f"in {self._part}."
            ) from None

    def _open_part(self, run: str) -> LineFile:
        """Open what becomes the file; a run that is at work with the same path has its own."""
        for suffix in ("part", f"{run}.part"):
            self._part = self._real.with_name(f"{self._real.name}.{suffix}")
            self._rescue(self._part)
            lines = LineFile(self._part, self._SETTING, self._path)
            if lines.lock():
                break
            lines.close()
        return lines

    def _rescue(self, part: Path) -> None:
        """Put aside what a run that was killed has left."""
        if not os.path.lexists(part):
            return
        private.refuse_planted(part)
        with private.open_to_read(part) as left:
            is_left = private.lock(left)
        if is_left:
            _end_whole(part)
            self._put_aside(part)

    def _replace(self, part: Path) -> None:
        try:
            self._put_aside(self._path)
            part.replace(self._path)
        except OSError as error:
            if error.errno not in _NOT_RENAMED:
                raise
            self._append(part)

    def _append(self, part: Path) -> None:
        lines = LineFile(self._path, self._SETTING)
        with part.open("rb") as rejects:
            for line in rejects:
                lines.write_line(line)
        lines.close()
        part.unlink()

    def _put_aside(self, path: Path) -> None:
        if path.exists() and path.stat().st_size:
            written = datetime.fromtimestamp(path.stat().st_mtime, timezone.utc)
            aside = self._real.with_name(f"{self._real.name}.{written:%Y%m%dT%H%M%S%f}")
            path.replace(aside)
            self.put_aside = aside


def is_stdout(path: str) -> bool:
    """Whether a path leads to the standard output, and the standard output leads anywhere."""
    return _is_same(path, _STDOUT) and not Path(path).samefile(os.devnull)


def is_same_file(path: str, other: str) -> bool:
    """Whether two paths lead to one file that keeps what is written to it."""
    same = os.path.realpath(path) == os.path.realpath(other)
    try:
        return same and _is_to_be_regular(path)
    except OSError:
        return False


def _is_to_be_regular(path: str) -> bool:
    """Whether a path is that of a regular file, or of none yet.

    Raises:
        OSError: It cannot be looked at.
    """
    try:
        mode = Path(path).stat().st_mode
    except FileNotFoundError:
        return True
    return stat.S_ISREG(mode) and not (_is_same(path, _STDOUT) or _is_same(path, _STDERR))


def _open(path: str | Path, *, through_links: bool) -> IO[bytes]:
    for standard in (_STDOUT, _STDERR):
        if _is_same(path, standard):
            # Opened again, a file would be written from its beginning, over what is there.
            return os.fdopen(os.dup(standard), "wb", buffering=0)
    return private.open_to_append(Path(path), through_links=through_links)


def _is_same(path: str | Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(Path(path).stat(), os.fstat(descriptor))
    except OSError:
        return False


def _end_whole(path: Path) -> None:
    """Complete the last line of a file, or take it away where a run was killed in the middle."""
    with path.open("r+b") as file:
        size = at = file.seek(0, os.SEEK_END)
        tail = b""
        while at and b"\n" not in tail:
            at = max(0, at - 2**16)
            file.seek(at)
            tail = file.read(size - at)
        rest = tail.rpartition(b"\n")[2]
        if not rest:
            return
        try:
            msgspec.json.decode(rest)
            file.write(b"\n")  # somebody has edited it
        except msgspec.DecodeError:
            file.truncate(size - len(rest))


def _cannot_write(setting: str, path: str | Path, error: OSError) -> SettingsError:
    return SettingsError(f"`{setting}` {str(path)!r} cannot be written: {error.strerror}.")
