"""Files to which a run appends lines of JSON that stay whole, whatever ends the run.

They hold personal data: those that are made are for this user only.

What is not a regular file (a pipe, a device, a link) is written to as it is. To rename another file
over `/dev/null`, which a container's root may do, would replace the device.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import msgspec

from kafinea import private
from kafinea.errors import SettingsError, StorageError

# Numbers came as Decimals and go with all their digits.
_encoder = msgspec.json.Encoder(decimal_format="number", enc_hook=str)

_STDOUT, _STDERR = 1, 2


class JsonLinesFile:
    """A file that lines of JSON are appended to, each of them whole or not at all.

    Args:
        path: Where it is.
        setting: The setting that says so, for messages.
        part_of: The path that the setting has, if this is a part of that file.

    Raises:
        StorageError: It cannot be written, or another user has put it there.
    """

    def __init__(self, path: str | Path, setting: str, part_of: str | Path = "") -> None:
        self._setting = setting
        self._failure: StorageError | None = None
        try:
            self._file = _open(path, through_links=not part_of)
            mode = os.fstat(self._file.fileno()).st_mode
            self._is_regular = stat.S_ISREG(mode)
            if self._is_regular:
                private.warn_if_shared(Path(os.path.realpath(path)).parent, setting)
                private.warn_if_read_by_others(Path(path), mode, setting)
                with suppress(PermissionError):  # it may be for writing only
                    end_whole(Path(path))
        except OSError as error:
            raise cannot_write(setting, part_of or path, error) from None

    def write(self, message: Mapping[str, Any]) -> None:
        """Append a line.

        Raises:
            StorageError: It cannot be written. What was written before stays as it is.
        """
        self.write_line(_encoder.encode(message) + b"\n")

    def write_line(self, line: bytes) -> None:
        """Append a line as it is.

        Raises:
            StorageError: As `write`.
        """
        if self._failure:
            raise self._failure
        written = 0
        try:
            # Without a buffer: a run that is killed must not lose lines.
            while written < len(line):
                written += self._file.write(line[written:]) or 0
        except OSError as error:
            self._cut(written)
            self._failure = StorageError(
                f"`{self._setting}` can no longer be written: {error.strerror}. The lines "
                "that were written before are complete."
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


def is_stdout(path: str) -> bool:
    """Whether a path leads to the standard output, and the standard output leads anywhere."""
    return _is_same(path, _STDOUT) and not Path(path).samefile(os.devnull)


def is_same_file(path: str, other: str) -> bool:
    """Whether two paths lead to one file that keeps what is written to it."""
    same = os.path.realpath(path) == os.path.realpath(other)
    try:
        return same and is_to_be_regular(path)
    except OSError:
        return False


def is_to_be_regular(path: str) -> bool:
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


def refuse_other_file(path: str, setting: str, beginning: bytes) -> None:
    """Refuse to replace a file that no run has written.

    Args:
        path: Where it is; there may be none.
        setting: The setting that says so.
        beginning: What the files of the setting begin with.

    Raises:
        SettingsError: It is another file.
        OSError: It cannot be read.
    """
    try:
        with private.open_to_read(Path(os.path.realpath(path))) as file:
            found = file.read(len(beginning))
    except FileNotFoundError:
        return
    if found and found != beginning:
        raise SettingsError(
            f"`{setting}` {path!r} is another file, which is not replaced. Set another path, or "
            "delete it."
        )


def end_whole(path: Path) -> None:
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


def cannot_write(setting: str, path: str | Path, error: OSError) -> StorageError:
    """Return the error that the file of a setting cannot be written."""
    return StorageError(f"`{setting}` {str(path)!r} cannot be written: {error.strerror}.")
