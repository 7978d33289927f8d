"""The place where the contents of files go.

Each file has a folder of its own, named after its id, with the file and a note beside it:

    15x5397/plan.pdf
    15x5397/.file.json

A file is written under a temporary name and is then moved, so what has its name is whole. The note
contains what the file is, and what the server reported of it when it was downloaded. While the
server reports the same and the file has the same size, it is not downloaded again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, BinaryIO

import msgspec

from kafinea.names import safe_name
from kafinea.private import InTheWay
from kafinea.storage import open_folder, unusable

_SETTING = "files.path"
_NOTE = ".file.json"
_LONGEST_NOTE = 2**20  # bytes; it is cut there, and then is no JSON

Row = dict[str, Any]


class _File(msgspec.Struct, forbid_unknown_fields=True):
    """What a file is."""

    id: str
    name: str
    mime_type: str | None
    size: int
    sha256: str


class _Note(msgspec.Struct):
    """What is kept of a file.

    Attributes:
        row: What it is.
        reported: What the server reported of it when it was downloaded.
    """

    row: _File
    reported: Row = msgspec.field(name="said")


class FileStore:
    """A folder or an fsspec URL to write files into.

    Args:
        path: Where it is.

    Raises:
        SettingsError: Nothing here can open it.
    """

    def __init__(self, path: str) -> None:
        self._folder, self._shown = open_folder(path, _SETTING)

    def known(self, file_id: str, reported: Mapping[str, Any]) -> Row | None:
        """Return what was noted of a file, if it is still there and the server still reports this.

        Args:
            file_id: The id of the file.
            reported: What the server reports of it.

        Raises:
            StorageError: The store cannot be read.
        """
        try:
            content = self._folder.read(f"{file_id}/{_NOTE}", _LONGEST_NOTE)
            note = msgspec.json.decode(content, type=_Note)
            size = self._folder.size(f"{file_id}/{safe_name(note.row.name)}")
        except (FileNotFoundError, NotADirectoryError, InTheWay, ValueError, RecursionError):
            return None
        except Exception as error:  # noqa: BLE001 each kind of storage has its own errors
            raise unusable(_SETTING, error) from None
        row = msgspec.structs.asdict(note.row)
        if (row["id"], row["size"], note.reported) != (file_id, size, reported):
            return None
        return {**row, "path": self._shown_path(file_id, row["name"])}

    def save(self, row: Row, reported: Mapping[str, Any], content: BinaryIO) -> Row:
        """Store a file, and return its row with its path.

        Args:
            row: What it is.
            reported: What the server reports of it.
            content: Its contents.

        Raises:
            StorageError: It cannot be written.
        """
        name = safe_name(row["name"])
        try:
            content.seek(0)
            # What is cut off when the machine stops has another size, and is fetched again.
            self._folder.replace(f"{row['id']}/{name}", content)
            note = msgspec.json.encode({"row": row, "said": reported})
            self._folder.put(f"{row['id']}/{_NOTE}", note)
        except Exception as error:  # noqa: BLE001 each kind of storage has its own errors
            raise unusable(_SETTING, error) from None
        return {**row, "path": self._shown_path(row["id"], row["name"])}

    def _shown_path(self, file_id: str, name: str) -> str:
        return f"{self._shown}/{file_id}/{safe_name(name)}"
