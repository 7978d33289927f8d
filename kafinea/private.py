"""Files that hold personal data: for this user only, and never through a link of somebody else.

Windows has neither these modes nor owners, and there the folder decides who reads and writes.
"""

from __future__ import annotations

import errno
import logging
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO, BinaryIO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

logger = logging.getLogger(__name__)

_HAS_OWNERS = hasattr(os, "geteuid")
_MODE = 0o600
_FOLDER_MODE = 0o700
# Windows has only some of these.
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_NO_WAITING = getattr(os, "O_NONBLOCK", 0)  # for somebody at the other end of a pipe
_PLAIN = getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
_PIECE = 2**20


class InTheWay(OSError):
    """Something stands where a file of ours belongs, and is none."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(errno.EEXIST, f"{path} {what}. Remove it")


def open_to_append(path: Path, *, through_links: bool) -> IO[bytes]:
    """Open a file to append to it, without a buffer; make it if there is none.

    Args:
        path: Where it is.
        through_links: Whether it may be a link, as a path may be that a user has set.

    Raises:
        OSError: It cannot be opened, or another user has put it there.
    """
    refuse_planted(path)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | _PLAIN
    if not (through_links and path.is_symlink()):
        flags |= _NO_LINK  # nor one that is planted at this moment
    descriptor = os.open(path, flags, _MODE)
    return os.fdopen(descriptor, "ab", buffering=0)


def open_to_read(path: Path) -> BinaryIO:
    """Open a file that an earlier run has written.

    Raises:
        OSError: It cannot be opened.
        InTheWay: It is no regular file.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | _NO_LINK | _NO_WAITING | _PLAIN)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise InTheWay(path, "is a link") from None
    file = os.fdopen(descriptor, "rb")
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        file.close()
        raise InTheWay(path, "is no regular file")
    return file


def size_of(path: Path) -> int:
    """Return the size of a file that an earlier run has written.

    Raises:
        OSError: It cannot be looked at.
        InTheWay: It is no regular file.
    """
    info = path.lstat()
    if not stat.S_ISREG(info.st_mode):
        raise InTheWay(path, "is no regular file")
    return info.st_size


def replace(path: Path, content: BinaryIO, *, durable: bool) -> None:
    """Write a file that is at every moment the old or the new one; make its folder.

    Args:
        path: Where it is.
        content: Its contents.
        durable: Whether it has to be whole even if the machine stops; that takes time.

    Raises:
        OSError: It cannot be written.
    """
    part = path.with_name(f".{path.name}.part")
    if _is_written(part):
        part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with os.fdopen(_new(part), "wb") as file:
            lock(file)
            shutil.copyfileobj(content, file, _PIECE)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        part.replace(path)
    except OSError:
        with suppress(OSError):
            part.unlink()
        raise


def lock(file: IO[bytes]) -> bool:
    """Keep other runs from using a file until it is closed; False if one has it."""
    if fcntl:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return error.errno not in {errno.EWOULDBLOCK, errno.EACCES}
    return True


def _is_written(part: Path) -> bool:
    """Whether a run that is at work writes this file."""
    try:
        with open_to_read(part) as file:
            return not lock(file)
    except OSError:  # there is none, or it is no file of ours
        return False


def _new(path: Path) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINK | _PLAIN
    try:
        return os.open(path, flags, _MODE)
    except FileExistsError:
        path.unlink()  # a run that was killed has left it, or somebody has planted it
    except FileNotFoundError:
        _make_folder(path.parent)
    return os.open(path, flags, _MODE)


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(_FOLDER_MODE, exist_ok=True)
    except FileNotFoundError:
        _make_folder(path.parent)
        path.mkdir(_FOLDER_MODE, exist_ok=True)


def refuse_other_than_folder(path: Path) -> None:
    """Refuse a link, or what else is no folder, in the place of a folder that we name.

    Raises:
        InTheWay: It is that.
    """
    with suppress(FileNotFoundError):
        if not stat.S_ISDIR(path.lstat().st_mode):
            raise InTheWay(path, "is no folder")


def is_anybodys(folder: Path) -> bool:
    """Whether all users may write into a folder, if there is one."""
    with suppress(OSError):
        return _HAS_OWNERS and bool(folder.stat().st_mode & stat.S_IWOTH)
    return False


def refuse_planted(path: Path) -> None:
    """Refuse what a stranger has put on the way to a file, where everybody may write.

    These are the rules of Linux's `fs.protected_symlinks`, `fs.protected_regular` and
    `fs.protected_hardlinks`, which are not on everywhere.

    Raises:
        OSError: It cannot be looked at.
        InTheWay: It is that.
    """
    if not _HAS_OWNERS:
        return
    whole = path.absolute()
    for place in (whole, *whole.parents):
        with suppress(FileNotFoundError):
            folder, info = place.parent.stat(), place.lstat()
            if not folder.st_mode & stat.S_IWOTH:
                continue
            if info.st_uid not in {os.geteuid(), 0, folder.st_uid}:
                raise InTheWay(place, "belongs to another user")
            if stat.S_ISREG(info.st_mode) and info.st_nlink > 1:
                raise InTheWay(place, "is a hard link")


@cache
def warn_if_shared(folder: Path, setting: str) -> None:
    """Say once which folder on the way to a file other users may write to, and so swap the file."""
    for shared in _shared(folder):
        logger.warning(
            "`%s`: other users of this machine can write to the folder %s, and so read or replace "
            "what is stored there. Run: chmod o-w %s",
            setting,
            *(shared, shared),
        )


def warn_if_read_by_others(path: Path, mode: int, setting: str) -> None:
    """Say that other users may read a file that was there already; its mode stays as it is."""
    if _HAS_OWNERS and mode & stat.S_IROTH:
        logger.warning(
            "`%s`: other users of this machine can read %s. Run: chmod o-rwx %s",
            setting,
            *(path, path),
        )


def _shared(folder: Path) -> Iterator[Path]:
    """Yield the folders in which others may rename and delete what is this user's."""
    real = Path(os.path.realpath(folder))
    for place in (real, *real.parents) if _HAS_OWNERS else ():
        with suppress(OSError):
            mode = place.stat().st_mode
            if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
                yield place
