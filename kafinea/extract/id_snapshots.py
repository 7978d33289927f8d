"""The ids of a module that the warehouse may have, kept in a file from one run to the next.

The file of a module is JSON, compressed, each id as its distance from the one before: 1,000,000 ids
take up to 1 MB. It also keeps what scans have found. So a run can report everything that was found
since its state, whatever happened to the runs between.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from io import BytesIO
from itertools import accumulate, chain
from typing import Annotated

import msgspec

from kafinea.errors import IncompleteRead, StateError
from kafinea.names import safe_name
from kafinea.page_query import number
from kafinea.parsing import prefix_of
from kafinea.shown import shown
from kafinea.storage import open_folder, unusable

_SETTING = "deletions_path"
_LARGEST = 64 * 2**20
"""Bytes of such a file when it is decompressed, those of 20,000,000 ids. It is cut there."""

IF_LOST = (
    "If there are no such ids, extract the module again without its state (`meltano run "
    "--full-refresh`); `kafinea verify` then finds the rows of records that were deleted meanwhile."
)
"""What to do in place of comparing."""

_MOST = 2**63  # ids are numbers of 64 bits


class Change(msgspec.Struct):
    """What one scan found. Ids are the numbers after the x.

    Attributes:
        at: When.
        gone: Records that were deleted.
        back: Records that an earlier scan found deleted, and that are there again.
    """

    at: Annotated[datetime, msgspec.Meta(tz=True)]
    gone: list[int]
    back: list[int]


class IdSnapshot(msgspec.Struct):
    """The ids of one module, as one user of one instance sees them.

    Attributes:
        url: The instance.
        user: The user.
        module: The module.
        prefix: The part before the x of its ids; empty while there was none.
        ids: The numbers after it, ascending.
        changes: What scans have found, the oldest first. An id is in the last that concerns it.
        hidden: The numbers of records that exist and that the user may not see any more.
    """

    url: str
    user: str
    module: str
    prefix: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{0,20}\Z")] = ""
    ids: list[int] = []
    changes: list[Change] = []
    hidden: list[int] = []

    @property
    def gone(self) -> set[int]:
        """The ids that were found deleted and did not come back."""
        return {number for change in self.changes for number in change.gone}

    def append(self, ids: Iterable[str]) -> None:
        """Take in ids that ascend, after those that are there.

        Raises:
            IncompleteRead: Their prefix is another than that of those before.
        """
        for record_id in ids:
            self.take_prefix(prefix_of(record_id))
            self.ids.append(number(record_id))

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


class SnapshotStore:
    """The folder where these files are kept.

    Args:
        path: A local folder or an fsspec URL.

    Raises:
        SettingsError: Nothing here can open such a place.
    """

    def __init__(self, path: str) -> None:
        self._folder, _ = open_folder(path, _SETTING)

    def load(self, url: str, user: str, module: str) -> IdSnapshot | None:
        """Return what is known of a module; None when there is no file.

        Raises:
            StateError: The file is damaged, or of another instance or user.
        """
        name = _name(module)
        try:
            content = self._folder.read(name, _LARGEST)
        except FileNotFoundError:
            return None
        except Exception as error:  # noqa: BLE001 each kind of storage has its own errors
            raise unusable(_SETTING, error) from None
        known = _decoded(content, name)
        if (known.url, known.user, known.module) != (url, user, module):
            raise StateError(
                f"`deletions_path`: {name} contains the ids of {shown(known.module)} for user "
                f"'{shown(known.user)}' at {shown(known.url)}. They cannot be compared with the "
                f"ids of this run. Set another `deletions_path`. {IF_LOST}"
            )
        return known

    def save(self, known: IdSnapshot) -> None:
        """Store what is known of a module; the file is at every moment the old or the new one.

        Raises:
            StorageError: It cannot be written.
        """
        try:
            self._folder.replace(_name(known.module), BytesIO(_encoded(known)), durable=True)
        except Exception as error:  # noqa: BLE001 each kind of storage has its own errors
            raise unusable(_SETTING, error) from None


def _name(module: str) -> str:
    return safe_name(f"{module}.json.gz")


def _encoded(known: IdSnapshot) -> bytes:
    changes = [
        Change(change.at, _steps(change.gone), _steps(change.back)) for change in known.changes
    ]
    content = msgspec.structs.replace(known, ids=_steps(known.ids), changes=changes)
    return gzip.compress(msgspec.json.encode(content), compresslevel=6, mtime=0)


def _decoded(content: bytes, name: str) -> IdSnapshot:
    try:
        with gzip.GzipFile(fileobj=BytesIO(content)) as file:
            known = msgspec.json.decode(file.read(_LARGEST), type=IdSnapshot)
        known.ids = _numbers(known.ids)
        for change in known.changes:
            change.at = change.at.astimezone(timezone.utc)
            change.gone, change.back = _numbers(change.gone), _numbers(change.back)
        _numbers(_steps(sorted(known.hidden)))
    except (OSError, EOFError, ValueError, ArithmeticError, RecursionError, zlib.error):
        raise StateError(
            f"`deletions_path`: {name} is damaged. Restore it, or remove it. {IF_LOST}"
        ) from None
    return known


def _numbers(steps: Sequence[int]) -> list[int]:
    """Return the ids again.

    Raises:
        ValueError: They do not ascend, or are none.
    """
    numbers = [*accumulate(steps)]
    if numbers and (min(steps[1:], default=1) < 1 or numbers[0] < 0 or numbers[-1] >= _MOST):
        raise ValueError("no ids")
    return numbers


def _steps(numbers: Sequence[int]) -> list[int]:
    """Return each number as its distance from the one before."""
    return [number - before for before, number in zip(chain([0], numbers), numbers, strict=False)]
