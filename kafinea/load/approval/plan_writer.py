"""Writing a plan, during a dry run."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Mapping
from datetime import datetime, timezone
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Any
from uuid import uuid4

from msgspec import Struct

from kafinea import private
from kafinea.client import Client
from kafinea.describe import MODIFIED
from kafinea.errors import SettingsError
from kafinea.load.approval.inputs import UNKNOWN, record_digest, reference_digest
from kafinea.load.approval.plan_lines import VERSION, End, Header, PlanLine, encoder
from kafinea.load.lookup.keys import KeyValues
from kafinea.load.plan import Key
from kafinea.load.reporting.json_lines import (
    JsonLinesFile,
    cannot_write,
    is_to_be_regular,
    refuse_other_file,
)
from kafinea.load.results import Result, SimulatedCreation, Status

logger = logging.getLogger(__name__)

SETTING = "plan_path"


class PlanWriter:
    """Writes a plan over the one that was there. Threads share it.

    Args:
        path: Where it is.
        client: The instance.
        settings: The settings that decide what is written.

    Raises:
        SettingsError: It would be no regular file.
        StorageError: It cannot be written.
    """

    def __init__(self, path: str, client: Client, settings: dict[str, Any]) -> None:
        self._path = path
        self._file = _new_file(path)
        self._lines = 0
        self._digest = sha256()
        self._changed: dict[str, frozenset[str]] = {}  # fields by id
        self._kinds: dict[frozenset[str], frozenset[str]] = {}  # one of those that are alike
        self._lock = Lock()
        self._write(
            Header(
                plan=VERSION,
                run=uuid4().hex,
                time=datetime.now(timezone.utc).isoformat(timespec="seconds"),
                instance=client.url,
                username=client.username,
                settings=settings,
            )
        )

    def note(
        self,
        stream: str,
        module: str,
        key: Mapping[str, Any],
        result: Result,
        *,
        digest: str,
        keys: Mapping[str, Any],
        loaded: Collection[str] = (),
        rest: str | None = None,
    ) -> None:
        """Note the result of a record.

        Args:
            stream: The stream's name.
            module: The module.
            key: The names and values that it was looked for by.
            result: Its result.
            digest: That of the record as it came.
            keys: The natural keys that it came with instead of ids, by field name.
            loaded: The fields that are loaded: of a record to be deleted, only these are shown.
            rest: The digest of its other fields.

        Raises:
            StorageError: It cannot be written.
        """
        why, before, after = result.rejection, dict(result.before or {}), dict(result.after or {})
        whole = record_digest(before) if result.status is Status.DELETED else None
        if whole:
            before = {name: value for name, value in before.items() if name in {*loaded, MODIFIED}}
        self._add(
            PlanLine(
                stream=stream,
                module=module,
                key=dict(key),
                id=result.provisional_id if isinstance(result, SimulatedCreation) else result.id,
                outcome=result.status.value,
                before=before if why is None else {},
                after=after,
                keys={name: value for name, value in keys.items() if name in after},
                code=why.code if why else None,
                message=why.message if why else None,
                whole=whole,
                rest=rest,
                input=digest,
            )
        )

    def changed_of(self, record_id: str | None) -> frozenset[str]:
        """Return the fields of a record that the lines so far change."""
        return self._changed.get(record_id or "", frozenset())

    def note_unmapped(self, stream: str, result: Result) -> None:
        """Note a record that is rejected before it is known what would be loaded of it.

        Raises:
            StorageError: It cannot be written.
        """
        self.note(stream, "", {}, result, digest=UNKNOWN, keys={})

    def note_reference(
        self, key: Key, values: KeyValues, record_id: str, after: Mapping[str, Any]
    ) -> None:
        """Note a record that is created because others refer to it.

        Args:
            key: What it is known by.
            values: The values of that.
            record_id: Its provisional id.
            after: Its values.

        Raises:
            StorageError: It cannot be written.
        """
        self._add(
            PlanLine(
                stream=None,
                module=key.module.name,
                key=dict(zip(key.fields, values, strict=True)),
                id=record_id,
                outcome="created",
                after=dict(after),
                input=reference_digest(key, values),
            )
        )

    def complete(self) -> None:
        """End the plan: the whole input was read.

        Raises:
            StorageError: It cannot be written.
        """
        with self._lock:
            self._write(End(end=self._lines, sha256=self._digest.hexdigest()))
        logger.info("The plan is complete. To see it: kafinea diff %s", self._path)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _add(self, line: PlanLine) -> None:
        with self._lock:
            self._write(line)
            self._lines += 1
            if line.id and line.outcome == Status.UPDATED.value:
                names = self.changed_of(line.id).union(line.after)
                self._changed[line.id] = self._kinds.setdefault(names, names)

    def _write(self, line: Struct) -> None:
        content = encoder.encode(line) + b"\n"
        self._file.write_line(content)
        self._digest.update(content)


def _new_file(path: str) -> JsonLinesFile:
    """Return a new file, for this user only, in the place of one that was there."""
    try:
        if not is_to_be_regular(path):
            raise SettingsError(f"`{SETTING}` {path!r} must be the path of a regular file.")
        private.refuse_planted(Path(path))
        refuse_other_file(path, SETTING, b'{"plan":')
        Path(os.path.realpath(path)).unlink(missing_ok=True)
    except OSError as error:
        raise cannot_write(SETTING, path, error) from None
    return JsonLinesFile(path, SETTING)
