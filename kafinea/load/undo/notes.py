"""Reading an undo file: the writes of a load, by the record that they are about.

Only where the lines stand is kept in memory: each contains a whole record.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import msgspec

from kafinea import private
from kafinea.client import Record
from kafinea.errors import SettingsError, StorageError
from kafinea.load.reporting.json_lines import JsonLinesFile
from kafinea.load.writing.write_notes import (
    VERSION,
    Header,
    Line,
    Recreated,
    Stored,
    Write,
    decoded,
    encoded,
)
from kafinea.parsing import NOT_JSON


@dataclass(frozen=True)
class Change:
    """A write of the load.

    Attributes:
        write: What was noted before it.
        after: The whole record as the server stored it, if that is known.
    """

    write: Write
    after: Record | None


@dataclass
class History:
    """What a load did with one record.

    Attributes:
        id: The record.
        module: Its module; empty if the file does not name it.
        places: Where the lines of each write stand in the file.
        created: The number of the creation, if the load has created it.
        deleted: The number of the deletion, if the load has deleted it.
        has_file: Whether it was sent a file.
        position: When it is its turn, the highest first.
    """

    id: str
    module: str = ""
    places: list[tuple[int, int | None]] = field(default_factory=list)
    created: int | None = None
    deleted: int | None = None
    has_file: bool = False
    position: int = 0


class UndoNotes:
    """The notes of one load.

    Args:
        path: The undo file. No other run can use it until it is closed.

    Attributes:
        header: Which load it was; None if it has written nothing.
        unanswered: The creations of which it is not known which record they have made, each after
            its place in the file.
        links: What was added to related lists.
        others: Writes that nobody can take back.
        recreated: The new ids of records that were created anew, by their old ones.

    Raises:
        SettingsError: It is no undo file.
        StorageError: It cannot be read, or is in use.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        try:
            self._file = private.open_to_read(Path(path).resolve())
        except OSError as error:
            raise StorageError(f"{path} cannot be read: {error.strerror}.") from None
        self._appended: JsonLinesFile | None = None
        self.header: Header | None = None
        self.unanswered: list[tuple[int, Write]] = []
        self.links: list[Write] = []
        self.others: list[Write] = []
        self.recreated: dict[str, str] = {}
        self._records: dict[str, History] = {}
        try:
            self._refuse_if_in_use()
            self._read_all()
        except BaseException:
            self._file.close()
            raise

    @property
    def histories(self) -> list[History]:
        """What the load did with each record, in the order in which it is taken back."""
        return sorted(self._records.values(), key=lambda one: one.position, reverse=True)

    def close(self) -> None:
        """Let other runs use the file."""
        self._file.close()
        if self._appended:
            self._appended.close()

    def changes(self, history: History) -> list[Change]:
        """Return what the load did with a record, the first write first."""
        changes = []
        for write_place, stored_place in history.places:
            write = cast(Write, self._line_at(write_place))
            after = None
            if stored_place is not None:
                stored = cast(Stored, self._line_at(stored_place)).after
                after = {**write.before, **stored} if write.before is not None else stored or None
            changes.append(Change(write, after))
        return changes

    def note_recreated(self, old_id: str, new_id: str) -> None:
        """Append that a deleted record exists again, for a second `kafinea undo` of the file.

        Raises:
            StorageError: It cannot be written.
        """
        if self._appended is None:
            self._appended = JsonLinesFile(self._path, "FILE")
        self._appended.write_line(encoded(Recreated(old_id, new_id)))
        self.recreated[old_id] = new_id

    def _refuse_if_in_use(self) -> None:
        if not private.lock(self._file):
            raise StorageError(f"{self._path} is in use by another run. Wait for its end.")

    def _line_at(self, place: int) -> Line:
        self._file.seek(place)
        return decoded(self._file.readline())

    def _read_all(self) -> None:
        writes: dict[int, tuple[int, Write]] = {}  # without what takes room
        stored: dict[int, tuple[int, str]] = {}
        for place, line in self._lines():
            if isinstance(line, Header):
                if self.header:
                    raise SettingsError(f"{self._path} contains several loads. Undo each alone.")
                self.header = line
                _check_version(self._path, line)
            elif isinstance(line, Write):
                if line.note != len(writes) + 1:
                    raise self._not_whole(line.note)
                kept = line if line.operation == "create" else _without_records(line)
                writes[line.note] = (place, kept)
            elif isinstance(line, Stored):
                if line.note not in writes:
                    raise self._not_whole(line.note)
                stored[line.note] = (place, line.id)
                first, write = writes[line.note]
                writes[line.note] = (first, _without_records(write))
            else:
                self.recreated[line.id] = line.new_id
        if writes and self.header is None:
            raise self._no_undo_file(1)
        for place, write in writes.values():
            self._add(place, write, stored.get(write.note))

    def _add(self, place: int, write: Write, stored: tuple[int, str] | None) -> None:
        if write.operation == "add_related":
            self.links.append(write)
            return
        if write.operation == "create" and stored is None:
            self.unanswered.append((place, write))
            return
        if write.operation not in {"create", "update", "revise", "delete", "FileUpload"}:
            self.others.append(write)
            return
        record_id = stored[1] if stored else write.id
        self.assign(write, record_id, place, stored[0] if stored else None)

    def assign(self, write: Write, record_id: str, place: int, stored_place: int | None) -> None:
        """Note which record a write is about, also after later ones."""
        history = self._records.setdefault(record_id, History(record_id, position=write.note))
        history.module = history.module or write.module
        insort(history.places, (place, stored_place))
        if write.operation == "create":
            history.created = history.position = write.note
        elif write.operation == "delete":
            history.deleted = history.position = write.note
        elif write.operation == "FileUpload":
            history.has_file = True

    def _lines(self) -> Iterator[tuple[int, Line]]:
        """Yield the whole lines, each with its place. A half one was being written: not sent."""
        place = 0
        for count, line in enumerate(self._file, start=1):
            if not line.endswith(b"\n"):
                return
            try:
                yield place, decoded(line)
            except NOT_JSON:
                raise self._no_undo_file(count) from None
            place += len(line)

    def _no_undo_file(self, line: int) -> SettingsError:
        return SettingsError(
            f"{self._path} is not an undo file: see its line {line:,}. Set `undo_path` "
            "(TARGET_KAFINEA_UNDO_PATH) in a load to write one."
        )

    def _not_whole(self, note: int) -> SettingsError:
        return SettingsError(
            f"{self._path} is not complete: lines are missing before note {note:,}. Use the file "
            "as the load has written it."
        )


def _without_records(write: Write) -> Write:
    return msgspec.structs.replace(write, before=None, sent=None)


def _check_version(path: str, header: Header) -> None:
    if header.version > VERSION:
        raise SettingsError(
            f"{path} was written by a newer version of singer-kafinea. Use that version."
        )
