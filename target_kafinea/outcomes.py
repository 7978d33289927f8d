"""What became of each record: counted, said, and written down."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from enum import Enum
from logging import Logger
from pathlib import Path
from threading import Lock
from typing import IO, Any, Protocol

import msgspec

from kafinea.errors import KafineaError, SettingsError

# Numbers came as Decimals and go with all their digits.
_encoder = msgspec.json.Encoder(decimal_format="number", enc_hook=str)

_INTERVAL = 5  # seconds between two lines of the log that say how far a stream is

Message = Mapping[str, Any]
"""A Singer message."""


class Line(Protocol):
    """A RECORD message and where it stood."""

    message: Message
    line: int


class Kind(str, Enum):
    """The five ends a record can come to."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    DELETED = "deleted"
    REJECTED = "rejected"


class Rejection(Exception):
    """A record that is not written, and why.

    Attributes:
        code: One of our own codes, such as `INVALID_VALUE`, or the server's.
        id: The Kafinea id, where it is known.
        before: Values that fields had before the server changed them; only the rejects file
            shows them.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        id: str | None = None,
        before: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.id = id
        self.before = before


@dataclass(frozen=True)
class Outcome:
    """The end of one record.

    Attributes:
        id: The Kafinea id, where it is known.
        changed: The fields that an update changed.
        altered: The fields that the server stored otherwise than they were sent.
        also_changed: The fields that the server changed besides, and that `allow_changes` allows.
        rejection: Why it was rejected.
        stored: The record as the server showed it, where that was needed.
    """

    kind: Kind
    id: str | None = None
    changed: tuple[str, ...] = ()
    altered: tuple[str, ...] = ()
    also_changed: tuple[str, ...] = ()
    rejection: Rejection | None = None
    stored: Mapping[str, Any] | None = None


class TooManyRejects(KafineaError):
    """Stop the run: more records were rejected than `max_rejects` allows."""


@dataclass
class Report:
    """All outcomes of a run. Threads may share it.

    Args:
        logger: Where to say what was counted.
        max_rejects: How many rejects are borne; -1 for any number.
        outcomes_path: A file for a line of JSON for each record, or None.
        rejects_path: A file for the rejected records, or None.

    Raises:
        SettingsError: A file cannot be written.
    """

    logger: Logger
    max_rejects: int = 0
    outcomes_path: str | None = None
    rejects_path: str | None = None
    _counts: dict[str, Counter[Kind]] = field(default_factory=lambda: defaultdict(Counter))
    _lock: Lock = field(default_factory=Lock)
    _said: float = field(default_factory=time.monotonic)
    _rejected: int = 0
    _rejected_schemas: dict[str, Message] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._outcomes = _File(self.outcomes_path, "outcomes_path")
        try:
            self._rejects = _File(self.rejects_path, "rejects_path", keep=True)
        except SettingsError:
            self._outcomes.close()
            raise

    def add(
        self,
        stream: str,
        key: Mapping[str, Any],
        outcome: Outcome,
        schema: Message,
        record: Line,
    ) -> None:
        """Note the outcome of a record.

        Args:
            stream: The stream's name, as the plan has it.
            key: The names and values that the record was looked for by.
            outcome: What became of it.
            schema: The SCHEMA message of its stream, as it came.
            record: Its RECORD message as it came, and the line of the input it stood in.
        """
        with self._lock:
            self._counts[stream][outcome.kind] += 1
            if time.monotonic() - self._said >= _INTERVAL:
                self._say(stream)
            self._outcomes.write(_outcome_line(stream, key, outcome))
            if outcome.rejection:
                self._reject(outcome.rejection, schema, record.message)
        if outcome.rejection:
            self.logger.warning(
                "%s, line %s of the input rejected: %s (%s)",
                stream,
                f"{record.line:,}",
                outcome.rejection,
                outcome.rejection.code,
            )
        if outcome.altered:
            self.logger.warning(
                "%s %s: the server stored other values than it was sent in %s.",
                stream,
                outcome.id,
                ", ".join(outcome.altered),
            )

    @property
    def has_too_many(self) -> bool:
        """Whether more records were rejected than the run bears."""
        return 0 <= self.max_rejects < self._rejected

    def check(self) -> None:
        """Stop when there are too many rejects.

        Raises:
            TooManyRejects: There are.
        """
        if self.has_too_many:
            where = f" They are in {self.rejects_path}." if self.rejects_path else ""
            raise TooManyRejects(
                f"Rejected records: {self._rejected:,}, more than `max_rejects` "
                f"({self.max_rejects:,}) allows.{where}"
            )

    def close(self) -> None:
        """Say what was counted, a line for each stream, and close the files."""
        for stream in self._counts:
            self._say(stream)
        self._outcomes.close()
        self._rejects.close()

    def _say(self, stream: str) -> None:
        self._said = time.monotonic()
        counts = self._counts[stream]
        said = ", ".join(f"{counts[kind]:,} {kind.value}" for kind in Kind)
        self.logger.info("%s: %s", stream, said)

    def _reject(self, rejection: Rejection, schema: Message, record: Message) -> None:
        """Write a rejected record so that the file can be loaded again once it is corrected."""
        self._rejected += 1
        if self._rejected_schemas.get(schema["stream"]) != schema:
            self._rejected_schemas[schema["stream"]] = schema
            self._rejects.write(schema)
        before = {"before": rejection.before} if rejection.before else {}
        self._rejects.write({**record, "code": rejection.code, "message": str(rejection), **before})


def _outcome_line(stream: str, key: Mapping[str, Any], outcome: Outcome) -> dict[str, Any]:
    line: dict[str, Any] = {
        "stream": stream,
        "key": key,
        "id": outcome.id,
        "outcome": outcome.kind.value,
        "changed": sorted(outcome.changed),
    }
    if outcome.altered:
        line["altered"] = sorted(outcome.altered)
    if outcome.also_changed:
        line["also_changed"] = sorted(outcome.also_changed)
    if outcome.rejection:
        line |= {"code": outcome.rejection.code, "message": str(outcome.rejection)}
    return line


class _File:
    """A file of JSON lines. It takes its place when it is closed.

    So the rejects of the last run can be read as input while those of this run are written.

    Args:
        path: Where it is, or None for no file.
        setting: The setting that says so, for messages.
        keep: Put a file of an earlier run aside instead of replacing it, unless it is empty.
    """

    def __init__(self, path: str | None, setting: str, *, keep: bool = False) -> None:
        self._path = Path(path) if path else None
        self._keep = keep
        self._setting = setting
        self._file: IO[bytes] | None = None
        if self._path:
            self._part = self._path.with_name(f"{self._path.name}.part")
            try:
                self._put_aside(self._part)  # of a run that was killed
                self._file = self._part.open("wb")
            except OSError as error:
                raise SettingsError(
                    f"`{setting}` {path!r} cannot be written: {error.strerror}."
                ) from None

    def write(self, line: Message) -> None:
        if self._file:
            try:
                self._file.write(_encoder.encode(line) + b"\n")
                self._file.flush()
            except OSError as error:
                raise SettingsError(
                    f"`{self._setting}` cannot be written any more: {error.strerror}."
                ) from None

    def close(self) -> None:
        if self._file and self._path:
            self._file.close()
            self._put_aside(self._path)
            self._part.replace(self._path)

    def _put_aside(self, path: Path) -> None:
        if self._keep and path.exists() and path.stat().st_size:
            written = datetime.fromtimestamp(path.stat().st_mtime, timezone.utc)
            path.replace(path.with_name(f"{path.name}.{written:%Y%m%dT%H%M%S%f}"))
