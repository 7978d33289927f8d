"""What became of each record: counted, said, and written down."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from enum import Enum
from logging import Logger
from threading import Lock
from typing import Any, Protocol
from uuid import uuid4

from kafinea.errors import Code, KafineaError, Refused, SettingsError, Unavailable
from kafinea.load.line_files import LineFile, RejectsFile, is_same_file, is_stdout
from kafinea.shown import place_of

OTHERS_CHANGED = "OTHER_FIELDS_CHANGED"
"""The server changed fields that were not loaded. It stops the updates of its stream and nothing
else, so it does not count when `max_rejects` decides whether the run goes on; the run fails."""

_INTERVAL = 5  # seconds between two lines of the log that say how far a stream is

Message = Mapping[str, Any]
"""A Singer message."""

Error = Refused | Unavailable
"""What the server answers that may be the fault of one record."""


class Line(Protocol):
    """A RECORD message and where it stood."""

    message: Message
    line: int


class Status(str, Enum):
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


def rejection_of(error: Error, *, id: str | None = None) -> Rejection:
    """Return the rejection of a record that the server refused, or at which it fails."""
    if isinstance(error, Unavailable):
        return Rejection("UNAVAILABLE", str(error), id=id)
    text = str(error)
    if error.code == Code.DUPLICATE:
        text = "another record has the same value in a field that must be unique"
    return Rejection(error.code, text, id=id)


def unforeseen(error: Exception, *, is_sent: bool = False) -> Rejection:
    """Return the rejection of the one record at which an error came up that nobody foresaw.

    Args:
        error: The error.
        is_sent: Whether something of the record was sent before.

    Raises:
        KafineaError: It is one: each of these says how to go on.
        OSError: It is one, of this machine.
    """
    if isinstance(error, Rejection):
        return error
    if isinstance(error, (KafineaError, OSError)):
        raise error
    where = f"{place_of(error)}. Please report this as a mistake of target-kafinea"
    if is_sent:
        return Rejection("UNKNOWN_OUTCOME", f"it was sent, and may be written: {where}")
    return Rejection("INTERNAL_ERROR", f"it was not sent: {where}")


@dataclass(frozen=True)
class Outcome:
    """The end of one record.

    Attributes:
        id: The Kafinea id, where it is known.
        changed: The fields that an update changed.
        altered: The fields that the server stored otherwise than they were sent.
        also_changed: The fields that the server changed besides, and that `allow_changes` allows.
        rejection: Why it was rejected.
        before: Values that the changed fields had before.
        stored: The record as the server showed it, where that was needed.
        unproven: The whole record before an update whose answer does not show what it did.
    """

    kind: Status
    id: str | None = None
    changed: tuple[str, ...] = ()
    altered: tuple[str, ...] = ()
    also_changed: tuple[str, ...] = ()
    rejection: Rejection | None = None
    before: Mapping[str, Any] | None = None
    stored: Mapping[str, Any] | None = None
    unproven: dict[str, Any] | None = None


class TooManyRejects(KafineaError):
    """The run fails: too many records were rejected, or all of a stream."""


@dataclass
class Report:
    """All outcomes of a run. Threads may share it.

    Args:
        logger: Where to say what was counted.
        max_rejects: How many rejects are tolerated; -1 for any number.
        outcomes_path: A file to which the load report is appended, a line for each record; or None.
        rejects_path: A file for the rejected records, or None.
        outcomes_values: Whether the load report shows the old values of changed fields.
        dry_run: Whether nothing is written to Kafinea.

    Attributes:
        run: The id of the run, in each line of the load report.
        is_complete: Whether the input was read to its end.

    Raises:
        SettingsError: A file cannot be written.
    """

    logger: Logger
    max_rejects: int = 0
    outcomes_path: str | None = None
    rejects_path: str | None = None
    outcomes_values: bool = False
    dry_run: bool = False
    run: str = field(default_factory=lambda: uuid4().hex)
    is_complete: bool = False
    _counts: dict[str, Counter[Status]] = field(default_factory=lambda: defaultdict(Counter))
    _open: set[tuple[int, str]] = field(default_factory=set)
    _lock: Lock = field(default_factory=Lock)
    _said: float = field(default_factory=time.monotonic)
    _rejected: int = 0
    _stopping: int = 0
    _others_changed: set[str] = field(default_factory=set)
    _rejected_schemas: dict[str, Message] = field(default_factory=dict)
    _is_closed: bool = False

    def __post_init__(self) -> None:
        path = self.outcomes_path
        if path and self.rejects_path and is_same_file(path, self.rejects_path):
            raise SettingsError("`outcomes_path` and `rejects_path` are the same file.")
        self._outcomes = LineFile(path, "outcomes_path") if path else None
        try:
            self._rejects = RejectsFile(self.rejects_path, self.run) if self.rejects_path else None
        except SettingsError:
            if self._outcomes:
                self._outcomes.close()
            raise
        if self.dry_run:
            self.logger.info("This is a dry run: nothing will be written to Kafinea.")

    def expect(self, stream: str, line: int) -> None:
        """Note that a record was read whose outcome is to come."""
        with self._lock:
            self._open.add((line, stream))

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

        Raises:
            SettingsError: It cannot be written down.
        """
        with self._lock:
            self._counts[stream][outcome.kind] += 1
            if time.monotonic() - self._said >= _INTERVAL:
                self._say(stream)
            if self._outcomes:
                self._outcomes.write(self._outcome_line(stream, key, outcome))
            if outcome.rejection:
                self._reject(stream, outcome.rejection, schema, record.message)
            self._open.discard((record.line, stream))
        if outcome.rejection:
            self.logger.warning(
                "%s, line %s of the input rejected: %s (%s)",
                stream,
                f"{record.line:,}",
                str(outcome.rejection),  # the log shows of an error only what kind it is
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
    def first_open(self) -> int | None:
        """The first line of the input whose record has no outcome yet; None if all have theirs."""
        with self._lock:
            return min(self._open)[0] if self._open else None

    @property
    def on_stdout(self) -> str | None:
        """The setting that has a file on the standard output, where states are too."""
        paths = {"outcomes_path": self.outcomes_path, "rejects_path": self.rejects_path}
        return next((name for name, path in paths.items() if path and is_stdout(path)), None)

    @property
    def has_too_many(self) -> bool:
        """Whether more records were rejected than the run tolerates before it stops."""
        return 0 <= self.max_rejects < self._stopping

    def check(self) -> None:
        """Stop when there are too many rejects.

        Raises:
            TooManyRejects: There are.
        """
        if self.has_too_many:
            raise TooManyRejects(self._too_many())

    def check_all(self) -> None:
        """Fail when there are too many rejects in all, or nothing but rejects in a stream.

        Raises:
            TooManyRejects: There are.
        """
        wrong = [self._too_many()] if 0 <= self.max_rejects < self._rejected else []
        wrong += [
            f"Stream {stream!r}: the server changed fields that were not loaded ({OTHERS_CHANGED})."
            for stream in sorted(self._others_changed)
        ]
        for stream, counts in self._counts.items():
            if (total := counts.total()) == counts[Status.REJECTED]:
                wrong.append(f"Stream {stream!r}: all of its records were rejected ({total:,}).")
        if wrong:
            raise TooManyRejects(" ".join(wrong))

    def close(self) -> None:
        """Say what was counted, a line for each stream, and close the files.

        Raises:
            SettingsError: The rejects cannot take their place.
        """
        if self._is_closed:
            return
        self._is_closed = True
        for stream in self._counts:
            self._say(stream)
        if self.dry_run:
            self.logger.info("End of the dry run: nothing was written to Kafinea.")
        if self._outcomes:
            self._outcomes.close()
        if self._rejects:
            self._rejects.close(is_complete=self.is_complete)
            if aside := self._rejects.put_aside:
                self.logger.info("The rejects of an earlier run are now in %s.", aside)

    def _too_many(self) -> str:
        where = f" They are in {self.rejects_path}." if self.rejects_path else ""
        return (
            f"Rejected records: {self._rejected:,}, more than `max_rejects` "
            f"({self.max_rejects:,}) allows.{where}"
        )

    def _say(self, stream: str) -> None:
        self._said = time.monotonic()
        counts = self._counts[stream]
        said = ", ".join(f"{counts[kind]:,} {kind.value}" for kind in Status)
        self.logger.info("%s%s: %s", "dry run: " if self.dry_run else "", stream, said)

    def _reject(self, stream: str, rejection: Rejection, schema: Message, record: Message) -> None:
        """Write a rejected record so that the file can be loaded again once it is corrected."""
        self._rejected += 1
        if rejection.code == OTHERS_CHANGED:
            self._others_changed.add(stream)
        else:
            self._stopping += 1
        if not self._rejects:
            return
        if self._rejected_schemas.get(schema["stream"]) != schema:
            self._rejects.write(schema)
            self._rejected_schemas[schema["stream"]] = schema
        before = {"before": rejection.before} if rejection.before else {}
        self._rejects.write({**record, "code": rejection.code, "message": str(rejection), **before})

    def _outcome_line(
        self, stream: str, key: Mapping[str, Any], outcome: Outcome
    ) -> dict[str, Any]:
        line: dict[str, Any] = {
            "time": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
            "run": self.run,
            "stream": stream,
            "key": key,
            "id": outcome.id,
            "outcome": outcome.kind.value,
            "changed": sorted(outcome.changed),
        }
        if self.dry_run:
            line["dry_run"] = True
        if outcome.altered:
            line["altered"] = sorted(outcome.altered)
        if outcome.also_changed:
            line["also_changed"] = sorted(outcome.also_changed)
        if outcome.rejection:
            line |= {"code": outcome.rejection.code, "message": str(outcome.rejection)}
        if self.outcomes_values and outcome.before:
            shown = {*outcome.changed, *outcome.also_changed} or outcome.before.keys()
            line["before"] = {k: v for k, v in outcome.before.items() if k in shown}
        return line
