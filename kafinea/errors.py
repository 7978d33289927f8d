"""What can go wrong, one exception for each way to recover.

Nothing here ever holds a secret or the content of a record: messages are made of operation
names, module names, record ids, error codes and the server's own short message.
"""

from __future__ import annotations

from enum import Enum

from typing_extensions import override

from kafinea.shown import LONGEST_LINE, shown


class Code(str, Enum):
    """The error codes of `webservice.php`. Match codes only: messages are translated."""

    SESSION_EXPIRED = "SESSION_EXPIRED"
    """The session has reached its life span."""
    SESSION_LEFT_IDLE = "SESSION_LEFT_IDLE"
    """The session was not used for too long."""
    INVALID_SESSIONID = "INVALID_SESSIONID"
    """The server does not know this session (ended, logged out, or collected)."""
    AUTHENTICATION_REQUIRED = "AUTHENTICATION_REQUIRED"
    """No session was sent. As the answer to a login: the user is unknown or inactive."""
    AUTHENTICATION_FAILURE = "AUTHENTICATION_FAILURE"
    """`extendsession` found no session to extend."""
    INVALID_AUTH_TOKEN = "INVALID_AUTH_TOKEN"  # noqa: S105 a code, no password
    """The challenge token has expired or was replaced, or the user is unknown.

    Members of the family say INVALID_TOKEN, AUTHENTICATION_FAILURE or ACCESS_DENIED instead.
    """
    INVALID_USER_CREDENTIALS = "INVALID_USER_CREDENTIALS"
    """Wrong access key, or a newer challenge of the same user replaced the token."""
    ACCESSKEY_UNDEFINED = "ACCESSKEY_UNDEFINED"
    """The user has no access key."""
    ACCESS_DENIED = "ACCESS_DENIED"
    """Not permitted, not found, deleted, unknown module, unknown field, missing parameter."""
    REFERENCE_INVALID = "REFERENCE_INVALID"
    """A reference points to a module that the field does not accept."""
    MANDATORY_FIELDS_MISSING = "MANDATORY_FIELDS_MISSING"
    """A mandatory field has no value. Only the first one is named."""
    INVALID_ID_ATTRIBUTE = "INVALID_ID_ATTRIBUTE"
    """An id is not of the form 12x34, or belongs to another module."""
    QUERY_SYNTAX_ERROR = "QUERY_SYNTAX_ERROR"
    """The query does not parse."""
    RECORD_NOT_FOUND = "RECORD_NOT_FOUND"
    """No such record or file."""
    UNKOWN_ENTITY = "UNKOWN_ENTITY"
    """No such relation. The spelling is the server's."""
    OPERATION_NOT_SUPPORTED = "OPERATION_NOT_SUPPORTED"
    """The operation wants the other HTTP method."""
    UNKNOWN_OPERATION = "UNKNOWN_OPERATION"
    """The server has no such operation."""
    DATABASE_QUERY_ERROR = "DATABASE_QUERY_ERROR"
    """The database refused a statement."""
    INTERNAL_SERVER_ERROR = "INTERNAL_SERVER_ERROR"
    """An unforeseen failure. Nearly always text that the query language cannot read."""
    CURRENCY_INACTIVE = "CURRENCY_INACTIVE"
    """The currency is switched off."""
    DUPLICATE = "0"
    """Another record has the same value in a unique field. The server sends the number 0."""


SESSION_ENDED = frozenset(
    {
        Code.SESSION_EXPIRED,
        Code.SESSION_LEFT_IDLE,
        Code.INVALID_SESSIONID,
        Code.AUTHENTICATION_REQUIRED,
    }
)
"""The four codes that a new login cures. The server did nothing, so any request may be resent."""

PERHAPS_PASSING = frozenset({Code.DATABASE_QUERY_ERROR, Code.INTERNAL_SERVER_ERROR})
"""Codes that may pass: a read is tried once more, and what a write has done is not known."""

_PERMANENT = frozenset(code.value for code in {*Code} - SESSION_ENDED - PERHAPS_PASSING)
"""Codes that another try does not change. Of one that is not known, nobody can say."""

NO_OPERATION = frozenset({Code.UNKNOWN_OPERATION, Code.OPERATION_NOT_SUPPORTED})
"""Codes with which a server says that it does not have an operation, or not in this way."""


class KafineaError(Exception):
    """Base of all errors of this package.

    Attributes:
        is_logged: Whether it was logged already.
        is_final: Whether the same run fails again, until a person has corrected something: a
            setting, a right, the data. An outage is not final.
    """

    is_logged = False
    is_final = False

    @override
    def __str__(self) -> str:
        # Servers and inputs name modules, fields and streams.
        return shown(super().__str__(), LONGEST_LINE)


class FatalError(KafineaError):
    """Stop the run: it fails again until a person has corrected something."""


class SettingsError(FatalError, ValueError):
    """Correct a setting."""

    is_final = True


class CredentialsRefused(FatalError, PermissionError):
    """Correct the user or the access key: the server does not accept them."""

    is_final = True


class NotReachable(FatalError):
    """Correct the address, the proxy or the certificates: no Kafinea API answers there.

    Args:
        is_final: False where an outage looks the same, such as that of a name server.
    """

    def __init__(self, message: str, *, is_final: bool = True) -> None:
        super().__init__(message)
        self.is_final = is_final


class StateError(FatalError):
    """Correct or remove the state, or a file of ids: it is damaged, or of another instance."""

    is_final = True


class StorageError(FatalError):
    """Make room or give access: a file or folder cannot be read or written."""


class Closed(KafineaError):
    """Stop: the client was closed, perhaps by another thread; the request was not sent."""


class SessionEnded(KafineaError):
    """Log in again and send the same request again; the server did nothing.

    Attributes:
        code: Which of `SESSION_ENDED` it was, as text.
    """

    def __init__(self, message: str, *, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class Unavailable(KafineaError):
    """Try again later: no answer, or none that the API itself made.

    Attributes:
        retry_after: Seconds the server asked to wait, if it did.
        nothing_done: True when the request certainly never reached the API.
        busy: True when the server, or a proxy before it, was too busy for the request.
        silent: True when no answer began: the server is slow, or the connection was cut.
        advice: What to check when nothing has worked before, for then waiting does not help. Empty
            where it may.
    """

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        nothing_done: bool = False,
        busy: bool = False,
        silent: bool = False,
        advice: str = "",
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.nothing_done = nothing_done
        self.busy = busy
        self.advice = advice
        self.silent = silent


class WrongAnswer(Unavailable):
    """The server answers in another form than its API has, whatever the reason."""


class TooLong(Unavailable):
    """An answer, or a record of it, is larger than anything real: request less at a time."""


class NotCounted(WrongAnswer):
    """A `count(*)` gets no number, however often it is asked: this query fails, others may not."""


class OutcomeUnknown(KafineaError):
    """Look the record up first: a write was sent and its answer was lost.

    Attributes:
        busy: True when the server, or a proxy before it, reported that it was busy.
        silent: True when no answer began. The server may still be at work on the write.
    """

    def __init__(self, message: str, *, busy: bool = False, silent: bool = False) -> None:
        super().__init__(message)
        self.busy = busy
        self.silent = silent


class Refused(KafineaError):
    """The API understood the request and refused it; the same request will be refused again.

    Attributes:
        code: The API's error code as text (see `Code`); `0` for duplicates.
    """

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code
        self.is_final = code in _PERMANENT


class TooLarge(KafineaError):
    """Leave the file: it is larger than it may be.

    Attributes:
        size: How large it is at least, in bytes.
    """

    def __init__(self, size: int) -> None:
        super().__init__(f"The file is larger than the limit: {size:,} bytes.")
        self.size = size


class QueryError(KafineaError, ValueError):
    """The query language cannot say this."""

    is_final = True


class IncompleteRead(KafineaError):
    """The server counted records, or bytes of a file, that it then did not give."""


class NoneGiven(IncompleteRead):
    """The server counts records and gives none: the query fails, or this user may not see them."""
