"""The ids of a module that the warehouse may have, kept in a file from one run to the next.

The file of a module is JSON, compressed, each id as its distance from the one before: 1,000,000 ids
take up to 1 MB. It also keeps what scans have found. So a run can tell everything that was found
since the state it was given, whatever became of the runs between.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import accumulate, chain

import msgspec

from kafinea.answers import prefix_of
from kafinea.errors import IncompleteRead, SettingsError
from kafinea.selection import number
from singer_kafinea.storage import open_storage


class Change(msgspec.Struct):
    """What one scan found. Ids are the numbers behind the x.

    Attributes:
        at: When.
        gone: Records that were deleted.
        back: Records that an earlier scan found deleted, and that are there again.
    """

    at: datetime
    gone: list[int]
    back: list[int]


class KnownIds(msgspec.Struct):
    """The ids of one module, as one user of one instance sees them.

    Attributes:
        url: The instance.
        user: The user.
        module: The module.
        prefix: What stands before the x of its ids; empty while there was none.
        ids: The numbers behind it, ascending.
        changes: What scans have found, the oldest first. An id is in the last that concerns it.
        hidden: The numbers of records that exist and that the user may not see any more.
    """

    url: str
    user: str
    module: str
    prefix: str = ""
    ids: list[int] = []
    changes: list[Change] = []
    hidden: list[int] = []

    @property
    def gone(self) -> set[int]:
        """The ids that were found deleted and did not come back."""
        return {number for change in self.changes for number in change.gone}

    def append(self, ids: Iterable[str]) -> None:
        """Take in ids that ascend, behind those that are there.

        Raises:
            IncompleteRead: Their prefix is another than that of those before.
        """
        for one in ids:
            self.take_prefix(prefix_of(one))
            self.ids.append(number(one))

    def add(self, ids: Iterable[str]) -> None:
        """Take in ids in any order.

        Raises:
            IncompleteRead: Their prefix is another than that of those before.
        """
        self.append(ids)
        self.ids = sorted(set(self.ids))

    def take_prefix(self, prefix: str) -> None:
        """Take note of the prefix of ids.

        Raises:
            IncompleteRead: It is another than before.
        """
        self.prefix = self.prefix or prefix
        if prefix != self.prefix:
            raise IncompleteRead(
                f"The ids of {self.module} began with {self.prefix}x and now begin with "
                f"{prefix}x. If this is a new instance, set another `deletions_path`."
            )

    def change(self, at: datetime, gone: set[int], back: set[int]) -> None:
        """Note what a scan found, in place of what was found before of the same ids."""
        newer = gone | back
        older = [
            Change(
                change.at,
                [number for number in change.gone if number not in newer],
                [number for number in change.back if number not in newer],
            )
            for change in self.changes
        ]
        if newer:
            older.append(Change(at, sorted(gone), sorted(back)))
        self.changes = [change for change in older if change.gone or change.back]


class Folder:
    """The folder of these files.

    Args:
        path: A local folder or an fsspec URL.

    Raises:
        SettingsError: Nothing here can open such a place.
    """

    def __init__(self, path: str) -> None:
        try:
            self._files, root = open_storage(path)
        except SettingsError as error:
            raise SettingsError(f"`deletions_path`: {error}") from None
        self._root = root.rstrip("/")

    def load(self, url: str, user: str, module: str) -> KnownIds | None:
        """Return what is known of a module; None when there is no file.

        Raises:
            SettingsError: The file is damaged, or of another instance or user.
        """
        try:
            content = self._files.cat_file(self._path(module))
        except FileNotFoundError:
            return None
        except Exception as error:  # noqa: BLE001 each kind of storage has its own errors
            raise _failed(error) from None
        known = _decoded(content, self._name(module))
        if (known.url, known.user, known.module) != (url, user, module):
            raise SettingsError(
                f"`deletions_path`: {self._name(module)} holds the ids of {known.module} that "
                f"user {known.user!r} sees at {known.url}. They cannot be compared with these: "
                "set another `deletions_path`."
            )
        return known

    def save(self, known: KnownIds) -> None:
        """Store what is known of a module; the file is at every moment the old or the new one.

        Raises:
            SettingsError: It cannot be written.
        """
        path = self._path(known.module)
        try:
            self._files.makedirs(self._root, exist_ok=True)
            self._files.pipe_file(f"{path}.new", _encoded(known))
            self._files.mv(f"{path}.new", path)
        except Exception as error:  # noqa: BLE001 each kind of storage has its own errors
            raise _failed(error) from None

    def _path(self, module: str) -> str:
        return f"{self._root}/{self._name(module)}"

    @staticmethod
    def _name(module: str) -> str:
        return f"{module}.json.gz"


def _failed(error: Exception) -> SettingsError:
    # The text of the error may show a URL, which may hold a password.
    why = getattr(error, "strerror", None) or "it cannot be read or written"
    return SettingsError(f"`deletions_path`: {type(error).__name__}: {why}.")


def _encoded(known: KnownIds) -> bytes:
    changes = [Change(one.at, _steps(one.gone), _steps(one.back)) for one in known.changes]
    content = msgspec.structs.replace(known, ids=_steps(known.ids), changes=changes)
    return gzip.compress(msgspec.json.encode(content), compresslevel=6, mtime=0)


def _decoded(content: bytes, name: str) -> KnownIds:
    try:
        known = msgspec.json.decode(gzip.decompress(content), type=KnownIds)
    except (OSError, EOFError, ValueError, zlib.error):
        raise SettingsError(
            f"`deletions_path`: {name} is damaged. Remove it to begin anew; what was deleted "
            "since the last scan is then not found."
        ) from None
    known.ids = [*accumulate(known.ids)]
    for change in known.changes:
        change.gone, change.back = [*accumulate(change.gone)], [*accumulate(change.back)]
    return known


def _steps(numbers: Sequence[int]) -> list[int]:
    """Return each number as its distance from the one before."""
    return [one - before for before, one in zip(chain([0], numbers), numbers, strict=False)]
