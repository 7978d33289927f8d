"""The result of each record: what was done, or why the record was rejected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from typing_extensions import Self

from kafinea.errors import Code, Refused, Unavailable

OTHERS_CHANGED = "OTHER_FIELDS_CHANGED"
"""The server changed fields that were not loaded. It stops the updates of its stream and nothing
else, so it does not count when `max_rejects` decides whether the run continues; the run fails."""

CONFLICT = "CONFLICT"
"""The record was changed in Kafinea since it was extracted, or since it was looked up."""

CHANGED_SINCE = "CHANGED_SINCE_PLAN"
"""The record is not in Kafinea as it was when the approved plan was made."""

NOT_READABLE = "NOT_READABLE"
"""The record is there, and this user may not read it."""

MAY_PASS = frozenset({"UNAVAILABLE", "UNKNOWN_OUTCOME", "FILE_NOT_READABLE"})
"""Codes of records that a later run may load as they are: the server, or the storage of a file, may
have been away."""

Error = Refused | Unavailable
"""What the server answers that may be the fault of one record."""


class Status(str, Enum):
    """What was done with a record."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    DELETED = "deleted"
    REJECTED = "rejected"


@dataclass(frozen=True)
class Rejection:
    """Why a record is not written.

    Attributes:
        code: One of our own codes, such as `INVALID_VALUE`, or the server's.
        message: What is wrong, without values of the record.
        id: The Kafinea id, where it is known.
        before: Values that fields had before the server changed them. They are personal data:
            only the rejects file shows them.
        conflict: For each field in conflict, its value as it is stored and as it was loaded. They
            are personal data, too.
    """

    code: str
    message: str
    id: str | None = None
    before: Mapping[str, Any] | None = None
    conflict: Mapping[str, Any] | None = None


class Rejected(Exception):
    """Reject the record at hand; the run continues with the others.

    Attributes:
        rejection: Why.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        id: str | None = None,
        before: Mapping[str, Any] | None = None,
        conflict: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.rejection = Rejection(code, message, id, before, conflict)

    @classmethod
    def of(cls, rejection: Rejection) -> Self:
        """Return the error that rejects a record for a reason that is known already."""
        error = cls(rejection.code, rejection.message)
        error.rejection = rejection
        return error


class FilledIn(Rejected):
    """Do not write a record: fields that it may only fill in were filled in since.

    Args:
        record_id: The record.
        names: The fields.
    """

    def __init__(self, record_id: str, names: Sequence[str]) -> None:
        text = f"not written: filled in by others while it was loaded: {', '.join(names)}"
        super().__init__(CONFLICT, text, id=record_id)


@dataclass(frozen=True)
class Result:
    """What was done with one record.

    Attributes:
        status: The kind of result.
        id: The Kafinea id, where it is known.
        changed: The fields that an update changed.
        altered: The fields of a new record that the server stored otherwise than they were sent.
        also_changed: The fields that the server changed besides, and that `allow_changes` allows.
        rejection: Why it was rejected.
        before: Values that the changed fields had before.
        after: Values that these fields got; of a new record, all that were sent.
        matched_on: The fields of the key that found the record, or `id`; empty for a new record,
            and where the stream has no more than one key.
        modifiedtime: The `modifiedtime` of the record after an update, where the server shows it.
    """

    status: Status
    id: str | None = None
    changed: tuple[str, ...] = ()
    altered: tuple[str, ...] = ()
    also_changed: tuple[str, ...] = ()
    rejection: Rejection | None = None
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    matched_on: tuple[str, ...] = ()
    modifiedtime: str | None = None


@dataclass(frozen=True, kw_only=True)
class SimulatedCreation(Result):
    """A record that a dry run would have created.

    Attributes:
        provisional_id: The id by which others of the dry run refer to it.
    """

    provisional_id: str


def rejected(rejection: Rejection, *, id: str | None = None) -> Result:
    """Return the result of a rejected record.

    Args:
        rejection: Why.
        id: Its Kafinea id, if the rejection has none.
    """
    return Result(Status.REJECTED, id=rejection.id or id, rejection=rejection)


def rejection_of(error: Error, *, id: str | None = None) -> Rejection:
    """Return the rejection of a record that the server refused, or at which it fails."""
    if isinstance(error, Unavailable):
        return Rejection("UNAVAILABLE", str(error), id=id)
    text = str(error)
    if error.code == Code.DUPLICATE:
        text = "another record has the same value in a field that must be unique"
    return Rejection(error.code, text, id=id)
