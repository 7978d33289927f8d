"""Writing the undo file: each write of a load is noted before it is sent.

It watches the client, below all that writes, so no write can bypass it. Each `write` line is on the
disk (fsync) before its request is sent. The line after the answer is written at once, and is on the
disk with the next write at the latest: without it, `kafinea undo` looks at the server.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from uuid import uuid4

from kafinea import private
from kafinea.client import Client, Record
from kafinea.describe import LINES
from kafinea.errors import (
    FatalError,
    KafineaError,
    OutcomeUnknown,
    SettingsError,
    StorageError,
)
from kafinea.load.reporting.json_lines import JsonLinesFile, cannot_write, is_to_be_regular
from kafinea.load.writing.new_records import highest_number
from kafinea.load.writing.unintended_changes import NOT_ANSWERED, holds_the_record
from kafinea.load.writing.write_notes import VERSION, Header, Line, Stored, Write, encoded
from kafinea.page_query import number
from kafinea.parsing import is_id

logger = logging.getLogger(__name__)

_SETTING = "undo_path"
_NAMES_OF_IDS = ("id", "sourceRecordId", "parentId")


class UndoFile:
    """Notes the writes of one load: it is the `Watch` of its client. Threads share it.

    A file of an earlier load is renamed to the time when it was written.

    Args:
        path: Where it is.

    Raises:
        SettingsError: What is there does not keep what is written to it.
        StorageError: It cannot be written, or another run is writing it.
    """

    def __init__(self, path: str) -> None:
        self._lines = _opened(path)
        self._notes = 0
        self._highest: dict[str, int] = {}  # number of an id, by module
        self._writing = threading.Lock()
        self._learning = threading.Lock()
        self._of_thread = threading.local()

    @contextmanager
    def writing(
        self, client: Client, operation: str, parameters: Mapping[str, str]
    ) -> Iterator[Callable[[Any], None]]:
        """Note a write before the block sends it, and its result; see `Watch`.

        Raises:
            KafineaError: It cannot be noted. Nothing is sent.
        """
        sent = json.loads(parameters["element"]) if "element" in parameters else None
        named = sent or {} if operation in {"update", "revise"} else parameters
        record_id = next(filter(None, map(named.get, _NAMES_OF_IDS)), "")
        if operation != "create" and not record_id:
            yield lambda _: None  # it is about no record: a server is asked what it can do
            return
        write = self._noted(client, operation, parameters, record_id, sent)
        try:
            yield lambda result: self._note_result(client, write, result)
        except OutcomeUnknown:
            self._note_loss(client, write)
            raise

    def has_read(self, record: Record) -> None:
        """Keep a record, which this thread may write next; see `Watch`."""
        self._of_thread.read = record

    def has_found(self, client: Client, record_id: str) -> None:
        """Note which record a creation without answer has made; see `Watch`.

        One that another user has created at the same moment is not noted: it is not ours.
        """
        write, self._of_thread.lost = getattr(self._of_thread, "lost", None), None
        if write:
            self._note_as_read(client, write, record_id, writer=client.user_id())

    def close(self) -> None:
        """Close the file."""
        self._lines.close()

    # Before a write

    def _noted(
        self,
        client: Client,
        operation: str,
        parameters: Mapping[str, str],
        record_id: str,
        sent: Record | None,
    ) -> Write:
        module = parameters.get("elementType") or client.requests.module_of(record_id) or ""
        is_about_one = operation not in {"create", "add_related"}
        before = self._before(client, record_id) if is_about_one else None
        is_counted = module and operation in {"create", "delete"}
        above = self._highest_in(client, module) if is_counted else None
        user = "" if self._notes else client.user_id()
        with self._writing:
            if not self._notes:
                self._put(Header(VERSION, client.url, user, uuid4().hex, _now()))
            self._notes += 1
            write = Write(
                note=self._notes,
                operation=operation,
                module=module,
                id=record_id,
                before=before,
                sent=sent,
                above=above,
                label=parameters.get("relationIdLabel", ""),
                related=parameters.get("relatedRecordId", ""),
            )
            self._put(write)
        self._sync()
        return write

    def _before(self, client: Client, record_id: str) -> Record:
        """Return the record as it is. Who writes has just read it, as a rule."""
        read: Record | None = getattr(self._of_thread, "read", None)
        self._of_thread.read = None
        if read is None or read["id"] != record_id:
            read = client.retrieve(record_id)
            self._of_thread.read = None
        return read

    def _highest_in(self, client: Client, module: str) -> int:
        """Return the highest number of an id in a module: what is created now has a higher one."""
        with self._learning:
            if module not in self._highest:
                self._highest[module] = highest_number(client.query, module)
            return self._highest[module]

    # After a write

    def _note_result(self, client: Client, write: Write, result: Any) -> None:
        answer = result if isinstance(result, dict) else {}
        if write.operation == "create":
            new_id = str(answer.get("id"))
            if not (is_id(new_id) and client.requests.module_of(new_id) == write.module):
                self._note_loss(client, write)  # who writes does not believe it either
            elif "modifiedtime" in answer and LINES not in (write.sent or {}):
                self._put_stored(write, new_id, answer)
            else:
                self._note_as_read(client, write, new_id)
        elif write.operation in {"update", "revise"}:
            before = write.before or {}
            if holds_the_record(answer, before) and LINES not in (write.sent or {}):
                unshown = {name: value for name, value in before.items() if name in NOT_ANSWERED}
                self._put_stored(write, write.id, {**answer, **unshown})
            else:
                self._note_as_read(client, write, write.id)
        elif write.operation == "FileUpload":
            self._note_as_read(client, write, write.id)

    def _note_loss(self, client: Client, write: Write) -> None:
        """Note what can be known of a write whose answer was lost."""
        if write.operation == "create":
            self._of_thread.lost = write  # who writes looks the record up
        elif write.operation in {"update", "revise", "FileUpload"}:
            self._note_as_read(client, write, write.id)

    def _note_as_read(
        self, client: Client, write: Write, record_id: str, writer: str | None = None
    ) -> None:
        """Note a record as the server has it now. What cannot be read is left to `undo`.

        Args:
            client: The session of the write.
            write: The write.
            record_id: The record.
            writer: Who must have written it last, where it is not certain that the load has.
        """
        try:
            after = client.giving_up_after(1).retrieve(record_id)
        except FatalError:
            raise
        except KafineaError:
            if write.operation == "create" and writer is None:
                self._put_stored(write, record_id, {})
            return
        finally:
            self._of_thread.read = None
        if writer in {None, after.get("modifiedby", writer)}:
            self._put_stored(write, record_id, after)

    def _put_stored(self, write: Write, record_id: str, after: Record) -> None:
        if (before := write.before) is not None:
            names = {**before, **after}
            after = {n: after.get(n) for n in names if before.get(n) != after.get(n)}
        else:
            with self._learning:
                self._highest[write.module] = max(self._highest[write.module], number(record_id))
        with self._writing:
            self._put(Stored(write.note, record_id, after))

    def _put(self, line: Line) -> None:
        self._lines.write_line(encoded(line))

    def _sync(self) -> None:
        try:
            self._lines.sync()
        except OSError as error:
            raise StorageError(f"`{_SETTING}` cannot be written: {error.strerror}.") from None


def _opened(path: str) -> JsonLinesFile:
    """Open an empty file; rename what an earlier load has left there."""
    try:
        private.refuse_planted(Path(path))
        if not is_to_be_regular(path):
            raise SettingsError(
                f"`{_SETTING}` {path!r} must be a file: `kafinea undo` reads it again."
            )
        real = Path(os.path.realpath(path))
        if real.exists() and real.stat().st_size:
            _rename(real)
    except OSError as error:
        raise cannot_write(_SETTING, path, error) from None
    lines = JsonLinesFile(path, _SETTING)
    if not lines.lock():
        lines.close()
        raise _in_use(path)
    return lines


def _rename(path: Path) -> None:
    with private.open_to_read(path) as earlier:
        if not private.lock(earlier):
            raise _in_use(path)
    written = datetime.fromtimestamp(path.stat().st_mtime, timezone.utc)
    new = path.with_name(f"{path.name}.{written:%Y%m%dT%H%M%S%f}")
    path.replace(new)
    logger.info("`%s`: the undo file of the earlier load is now %s.", _SETTING, new)


def _in_use(path: str | Path) -> StorageError:
    text = f"`{_SETTING}` {str(path)!r} is in use by another run. Wait for its end, or set another"
    return StorageError(f"{text} path.")


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
