"""Where the files of records are read: in one folder, which the setting `files_path` names.

The author of a record is not trusted, and the load may read more than the author may:
`/etc/passwd`, its own environment with the access key, another host's metadata. So only regular
files in this folder are opened.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote

from kafinea.errors import SettingsError
from kafinea.load.results import Rejected
from kafinea.storage import open_storage

_TO_READ = os.O_RDONLY | getattr(os, "O_BINARY", 0)
# None of the three is there on Windows, which has no such files and links below a folder either.
_AS_IT_IS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0)


class SourceFiles:
    """The folder, or the place that fsspec opens, in which the files of records lie.

    Args:
        path: Its path or URL; None where no file may be read.

    Raises:
        SettingsError: Nothing here can open it.
    """

    def __init__(self, path: str | None) -> None:
        self._folder = _without_protocol(path.rstrip("/") or "/") if path else None
        self._system: Any = None
        if not path or "://" not in (self._folder or ""):
            return
        if "::" in path:
            raise SettingsError("`files_path`: chained URLs (with `::`) are not supported.")
        try:
            self._system, root = open_storage(path)
        except SettingsError as error:
            raise SettingsError(f"`files_path`: {error}") from None
        self._root = root.rstrip("/")
        # The second as the tap's stream `files` shows it, without a password.
        shown = self._system.unstrip_protocol(root).rstrip("/")
        self._prefixes = (f"{self._folder}/", f"{shown}/")

    def open(self, location: str) -> tuple[IO[bytes], str]:
        """Open a file; return it and its name.

        Args:
            location: Its path or URL: below the folder, or relative to it.

        Raises:
            Rejected: It is not below the folder, or no regular file.
            OSError: It cannot be opened.
        """
        if self._folder is None:
            raise Rejected("FILE_NOT_ALLOWED", "no file may be read: set `files_path`")
        name = location.rstrip("/").rpartition("/")[2]
        if self._system:
            return self._system.open(f"{self._root}/{self._below(location)}", "rb"), name
        return _open_local(self._folder, _without_protocol(location)), name

    def _below(self, location: str) -> str:
        """Return the part of a URL after that of the folder.

        Raises:
            Rejected: It is the URL of another place, or may become one.
        """
        for prefix in self._prefixes:
            if location.startswith(prefix):
                location = location.removeprefix(prefix)
                break
        decoded = unquote(location).replace("\\", "/")  # as some storages understand it
        if {"", ".", ".."} & {*decoded.split("/")} or "::" in decoded or "\0" in decoded:
            raise _outside()
        return location


def _without_protocol(path: str) -> str:
    return path.removeprefix("file://").removeprefix("local://")


def _open_local(folder: str, path: str) -> IO[bytes]:
    """Open a file below a folder of this machine, after all links are resolved."""
    if "://" in path or "\0" in path:
        raise _outside()
    root = Path(folder).expanduser().resolve()
    # A relative path may begin with the folder as it was set: so the tap shows it. Who puts paths
    # together may leave two slashes.
    if path.startswith(f"{folder}/"):
        path = path.removeprefix(folder).lstrip("/")
    real = (root / path).resolve()
    if not real.is_relative_to(root):
        raise _outside()
    return _open_regular(root, real.relative_to(root).parts)


def _open_regular(root: Path, parts: tuple[str, ...]) -> IO[bytes]:
    """Open a file by its place below a folder, through no link that was made since it was checked.

    Raises:
        Rejected: It is no regular file.
    """
    if not parts:
        raise _irregular()
    if os.open not in os.supports_dir_fd:  # Windows
        return _regular(os.open(root.joinpath(*parts), _TO_READ))
    folder = os.open(root, _FOLDER)
    try:
        for part in parts[:-1]:
            inner = os.open(part, _FOLDER | _AS_IT_IS, dir_fd=folder)
            os.close(folder)
            folder = inner
        # Looked at before it is opened: to open a device may do something.
        if not stat.S_ISREG(os.stat(parts[-1], dir_fd=folder, follow_symlinks=False).st_mode):
            raise _irregular()
        return _regular(os.open(parts[-1], _TO_READ | _AS_IT_IS, dir_fd=folder))
    finally:
        os.close(folder)


def _regular(descriptor: int) -> IO[bytes]:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _irregular()
    return os.fdopen(descriptor, "rb")


def _outside() -> Rejected:
    return Rejected("FILE_NOT_ALLOWED", "the file is outside `files_path`")


def _irregular() -> Rejected:
    return Rejected("FILE_NOT_READABLE", "it is not a regular file")
