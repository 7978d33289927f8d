"""The place where the contents of files go.

Each file has a folder of its own, named after its id, with the file and a note beside it:

    15x5397/plan.pdf
    15x5397/.file.json

A file comes under a temporary name and is then moved, so what has its name is whole. The note says
what the file is, and what the server said of it when it was fetched: as long as the server says the
same and the file is still as long, it is not fetched again.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, BinaryIO

import msgspec

from kafinea.errors import SettingsError
from singer_kafinea.storage import open_storage

_ID = re.compile(r"\d+x\d+", re.ASCII)
_LONGEST_NAME = 200  # bytes; most systems take 255
_LONGEST_SUFFIX = 20
_UNSAFE = re.compile(r'[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff/\\:*?"<>|]')
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|\Z)", re.ASCII | re.IGNORECASE)
# Names that begin with a dot are ours: no file gets such a name.
_PART = ".part"
_NOTE = ".file.json"

Row = dict[str, Any]


class FileStore:
    """A folder or an fsspec URL to write files into.

    Args:
        path: Where it is.

    Raises:
        SettingsError: Nothing here can open it.
    """

    def __init__(self, path: str) -> None:
        try:
            self._system, root = open_storage(path)
        except SettingsError as error:
            raise SettingsError(f"`files.path`: {error}") from None
        self._root = root.rstrip("/")
        # A URL may hold a password; a local path is shown as it was written.
        shown = self._system.unstrip_protocol(root) if "://" in path else path
        self._shown = shown.rstrip("/")

    def known(self, file_id: str, said: Mapping[str, Any]) -> Row | None:
        """Return what was noted of a file, if it is still there and the server still says this.

        Args:
            file_id: The id of the file.
            said: What the server says of it.
        """
        try:
            note = msgspec.json.decode(self._system.cat_file(f"{self._root}/{file_id}/{_NOTE}"))
            row: Row = note["row"]
            path = f"{self._root}/{file_id}/{safe_name(row['name'])}"
            is_whole = self._system.info(path)["size"] == row["size"]
        except (FileNotFoundError, NotADirectoryError, LookupError, TypeError, ValueError):
            return None
        except Exception as error:  # noqa: BLE001 each kind of storage has its own errors
            raise _failed(error) from None
        if not is_whole or note.get("said") != said:
            return None
        return {**row, "path": self._shown_path(file_id, row["name"])}

    def save(self, row: Row, said: Mapping[str, Any], content: BinaryIO) -> Row:
        """Store a file, and return its row with its path.

        Args:
            row: What it is.
            said: What the server says of it.
            content: Its contents.

        Raises:
            SettingsError: It cannot be written.
        """
        folder = f"{self._root}/{row['id']}"
        try:
            self._system.makedirs(folder, exist_ok=True)
            content.seek(0)
            with self._system.open(f"{folder}/{_PART}", "wb") as part:
                shutil.copyfileobj(content, part, 2**20)
            self._system.mv(f"{folder}/{_PART}", f"{folder}/{safe_name(row['name'])}")
            note = {"row": row, "said": said}
            self._system.pipe_file(f"{folder}/{_NOTE}", msgspec.json.encode(note))
        except Exception as error:  # noqa: BLE001 each kind of storage has its own errors
            raise _failed(error) from None
        return {**row, "path": self._shown_path(row["id"], row["name"])}

    def _shown_path(self, file_id: str, name: str) -> str:
        return f"{self._shown}/{file_id}/{safe_name(name)}"


def is_file_id(text: str) -> bool:
    """Whether a text has the form of an id, and so can be the name of a folder."""
    return _ID.fullmatch(text) is not None


def safe_name(name: str) -> str:
    """Return a name that is as near to the given one as every system takes it."""
    text = _UNSAFE.sub("_", name).strip(". ")
    if not text or _RESERVED.match(text):
        text = f"_{text}"
    suffix = PurePosixPath(text).suffix
    if len(suffix.encode()) > _LONGEST_SUFFIX:
        suffix = ""
    stem = text.removesuffix(suffix).encode()[: _LONGEST_NAME - len(suffix.encode())]
    return stem.decode(errors="ignore").rstrip(". ") + suffix


def _failed(error: Exception) -> SettingsError:
    # A text of the system's own; those of the clouds may show more than is good.
    reason = getattr(error, "strerror", None) or type(error).__name__
    return SettingsError(f"`files.path` cannot be used: {reason}.")
