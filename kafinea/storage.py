"""Places where files lie: local folders, and whatever else fsspec can open."""

from __future__ import annotations

import os
import shutil
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import fsspec  # type: ignore[import-untyped]  # it has no types
from fsspec.implementations.local import LocalFileSystem  # type: ignore[import-untyped]

from kafinea import private
from kafinea.errors import SettingsError, StorageError
from kafinea.extras import advice

_EXTRAS = {
    **dict.fromkeys(("s3", "s3a"), "s3"),
    **dict.fromkeys(("gs", "gcs"), "gcs"),
    **dict.fromkeys(("az", "abfs", "abfss", "adl"), "azure"),
}
_PIECE = 2**20


class LocalFolder:
    """A folder of this machine. Nothing in it is read or written through a link.

    Args:
        root: Its path.
        setting: The setting with this path, for warnings.
    """

    def __init__(self, root: str, setting: str) -> None:
        self._root = Path(root)
        self._setting = setting

    def read(self, name: str, most: int) -> bytes:
        """Return the first bytes of a file.

        Args:
            name: Its name, perhaps with that of a folder before it.
            most: How many at most.

        Raises:
            OSError: It cannot be read.
        """
        with private.open_to_read(self._path(name)) as file:
            return file.read(min(most, os.fstat(file.fileno()).st_size))

    def size(self, name: str) -> int:
        """Return the size of a file.

        Raises:
            OSError: There is none.
        """
        return private.size_of(self._path(name))

    def replace(self, name: str, content: BinaryIO, *, durable: bool = False) -> None:
        """Write a file that is at every moment the old or the new one.

        Args:
            name: Its name.
            content: Its contents.
            durable: Whether it has to be whole even if the machine stops.

        Raises:
            OSError: It cannot be written.
        """
        private.replace(self._path(name), content, durable=durable)

    def put(self, name: str, content: bytes) -> None:
        """Write a small file of which half a one does no harm.

        Raises:
            OSError: It cannot be written.
        """
        private.replace(self._path(name), BytesIO(content), durable=False)

    def _path(self, name: str) -> Path:
        path = self._root / name
        if path.parent != self._root:
            private.refuse_other_than_folder(path.parent)
        if self._is_anybodys:
            private.refuse_planted(path)
        return path

    @cached_property
    def _is_anybodys(self) -> bool:
        """Whether everybody may write into this folder. What leads to it is looked at once."""
        private.refuse_planted(self._root)
        private.warn_if_shared(self._root, self._setting)
        return private.is_anybodys(self._root)


class RemoteFolder:
    """A folder of another system, with the methods of `LocalFolder`; the errors are its own.

    Args:
        system: The file system.
        root: The path in it.
    """

    def __init__(self, system: Any, root: str) -> None:
        self._system = system
        self._root = root.rstrip("/")

    def read(self, name: str, most: int) -> bytes:
        """Return the first bytes of a file."""
        # By name: the second parameter is another one for S3 than for other systems.
        content: bytes = self._system.cat_file(self._path(name), start=0, end=most)
        return content

    def size(self, name: str) -> int:
        """Return the size of a file."""
        return int(self._system.info(self._path(name))["size"])

    def replace(self, name: str, content: BinaryIO, *, durable: bool = False) -> None:  # noqa: ARG002 as it is
        """Write a file that is at every moment the old or the new one."""
        path = self._path(name)
        folder, _, last = path.rpartition("/")
        part = f"{folder}/.{last}.part"
        self._system.makedirs(folder, exist_ok=True)
        with self._system.open(part, "wb") as file:
            shutil.copyfileobj(content, file, _PIECE)
        self._system.mv(part, path)

    def put(self, name: str, content: bytes) -> None:
        """Write a small file of which half a one does no harm, into a folder that is there."""
        self._system.pipe_file(self._path(name), content)

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"


Folder = LocalFolder | RemoteFolder


def open_folder(url: str, setting: str) -> tuple[Folder, str]:
    """Return the folder at a path or URL, and how it is shown.

    Args:
        url: Where it is.
        setting: The setting with this path, for messages.

    Raises:
        SettingsError: Nothing here can open it.
    """
    try:
        system, path = open_storage(url)
    except SettingsError as error:
        raise SettingsError(f"`{setting}`: {error}") from None
    # A URL may hold a password; a local path is shown as it was written.
    shown = str(system.unstrip_protocol(path)) if "://" in url else url
    is_local = isinstance(system, LocalFileSystem)
    folder = LocalFolder(path, setting) if is_local else RemoteFolder(system, path)
    return folder, shown.rstrip("/")


def open_storage(url: str) -> tuple[Any, str]:
    """Return the file system of a path or URL, and the path in it.

    Raises:
        SettingsError: Nothing here can open it. The URL may hold a password, and is not shown.
    """
    protocol = url.partition("://")[0] if "://" in url else "file"
    try:
        system, path = fsspec.url_to_fs(url)
    except ImportError as error:
        extra = _EXTRAS.get(protocol)
        todo = advice(extra) if extra else str(error)
        raise SettingsError(
            f"{protocol}:// needs a package that is not installed. {todo}"
        ) from None
    except Exception as error:  # noqa: BLE001 each kind of storage has its own errors
        raise SettingsError(f"{protocol}:// cannot be opened: {type(error).__name__}") from None
    return system, str(path)


def unusable(setting: str, error: Exception) -> StorageError:
    """Return the error for a place that cannot be read or written."""
    # A text of the system's own; those of the clouds may show a URL with a password.
    reason = getattr(error, "strerror", None) or type(error).__name__
    return StorageError(f"`{setting}` cannot be used: {reason}.")
