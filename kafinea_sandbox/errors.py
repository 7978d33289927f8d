"""The ways in which an operation of the server can fail."""

from __future__ import annotations

from kafinea_sandbox.dialects import Dialect


class ApiError(Exception):
    """An error the API reports in its envelope, with HTTP status 200."""

    def __init__(self, code: str | int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Fatal(Exception):
    """PHP stops: an empty 500, or an HTML page with status 200 where errors are displayed."""


class Died(Exception):
    """PHP's `die("text")`: plain text with status 200."""


class Garbled(Exception):
    """The answer is damaged: its body is not valid JSON."""

    def __init__(self, body: bytes) -> None:
        super().__init__()
        self.body = body


class QueryFails(Exception):
    """MariaDB refuses the statement; the API of most servers answers success with an empty list."""


def unencodable(how: str) -> Exception:
    """The error of an answer with a text that is not UTF-8. Another word is an error code."""
    bodies = {
        "empty": b"",
        "cut": b'{"success":true,"result":[{"id":"12x3","lastname":"Mart',
        "latin-1": b'{"success":true,"result":[{"id":"12x3","lastname":"L\xe9a"}]}',
    }
    if how in bodies:
        return Garbled(bodies[how])
    if how == "fatal":
        return Fatal("JsonException: Malformed UTF-8 characters, possibly incorrectly encoded")
    return ApiError(how, "The record cannot be shown")


def no_owner(dialect: Dialect) -> Exception:
    """The error of an owner who is neither a user nor a group."""
    if dialect.owners_looked_up:
        return ApiError("INVALID_ID_ATTRIBUTE", "Invalid owner of the record")
    return Died("Sorry! Attempt to access restricted file.")


DENIED = "Permission to perform the operation is denied"


def denied(what: str = "") -> ApiError:
    """The catch-all: not found, deleted, unknown module, missing parameter, no right."""
    return ApiError("ACCESS_DENIED", f"{DENIED} {what}" if what else DENIED)
