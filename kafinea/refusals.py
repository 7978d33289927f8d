"""Whether a record that no query gives exists and is hidden from this user.

Where the server leaves hidden records out of its counts, no query shows this. `retrieve` does: it
refuses a deleted record with the same text as one that never existed, and a hidden one with
another text.
(`include/Webservices/Retrieve.php` of vtiger and coreBOS: a deleted record has no module, so the
right to use the module is missing; the right to read the record is only checked later.)
"""

from __future__ import annotations

import re

from kafinea.client import Client
from kafinea.dividing import FAILURES_AT_FIRST
from kafinea.errors import Code, KafineaError, Refused, Unavailable
from kafinea.page_query import is_there
from kafinea.parsing import prefix_of

_NEVER_THERE = 2**31 - 1  # the largest number that an id can have
_FAILS = "fails"


class NotRetrieved(KafineaError):
    """The server fails at a record, although it is there."""


def refusal(client: Client, record_id: str) -> str | None:
    """Return in which words a record is refused, without its id; None if it is returned.

    They are compared only with those of `refusal_of_none`, because they may be in any language. The
    text is empty for a record that is found nowhere (a user who was deactivated), or that now
    belongs to another module.

    Raises:
        NotRetrieved: The server fails at this record.
        Unavailable: It is away.
    """
    try:
        return _refusal(client, record_id)
    except Unavailable:
        client.listtypes()  # waits until the server is there again, or fails as well
    try:
        return _refusal(client, record_id)
    except Unavailable as error:
        if error.busy or error.nothing_done:
            raise
        raise NotRetrieved(str(error)) from None


def _refusal(client: Client, record_id: str) -> str | None:
    try:
        client.giving_up_after(FAILURES_AT_FIRST).retrieve(record_id)
    except Refused as error:
        return re.sub(r"\d+", "", str(error)) if error.code == Code.ACCESS_DENIED else ""
    return None


def refusal_of_none(client: Client, prefix: str) -> str | None:
    """Return in which words a record is refused that never existed, as `refusal` does.

    Args:
        client: The instance.
        prefix: The prefix of its id.
    """
    return refusal(client, f"{prefix}x{_NEVER_THERE}")


def exists(client: Client, module: str, record_id: str) -> bool:
    """Whether there is such a record, also one that this user may not read.

    Raises:
        Refused: The server does not count.
        Unavailable: It fails.
    """
    return is_there(client.query, module, record_id) or is_refused(client, record_id)


def is_refused(client: Client, record_id: str) -> bool:
    """Whether the server refuses a record otherwise than one that does not exist.

    Args:
        client: The instance.
        record_id: A record that no query gives.

    Raises:
        Unavailable: The server is away.
    """
    return _words(client, record_id) != _words(client, f"{prefix_of(record_id)}x{_NEVER_THERE}")


def _words(client: Client, record_id: str) -> str | None:
    try:
        return refusal(client, record_id)
    except NotRetrieved:
        return _FAILS
