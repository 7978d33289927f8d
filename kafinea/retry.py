"""Sending a request again: when, how often, and after what wait. The only place that decides.

But `keyset` requests a page again that is empty although the server counts records.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from typing import TypeVar

from kafinea.errors import (
    PERHAPS_PASSING,
    KafineaError,
    Refused,
    SessionEnded,
    TooLong,
    Unavailable,
)

logger = logging.getLogger(__name__)

LONGEST_WAIT = 60
"""Seconds to wait before another try at most, also when the server requires more."""

TRIES = 7
"""How often a request is sent at most."""

_FIRST_WAIT = 0.5  # seconds; doubled each time

Result = TypeVar("Result")


def until_answered(
    send: Callable[[], Result],
    *,
    wait: Callable[[float], None],
    writes: bool = False,
    most_failures: int = TRIES,
) -> Result:
    """Send a request, and again after a failure that may pass.

    Args:
        send: Sends it once.
        wait: Waits so many seconds, but no longer than somebody wants the answer.
        writes: Whether it changes what is stored.
        most_failures: After how many failures of the server's own the last one is the answer: few
            where the request itself may be the cause, as for an operation that the server may not
            have, or for a record that no answer can hold. A server that has no room, or that did
            not get the request, is asked as often as ever.

    Raises:
        KafineaError: The last failure.
    """
    tries = 0
    while True:
        tries += 1
        try:
            return send()
        except KafineaError as error:
            may_pass = _may_pass(error, tries, writes=writes, most_failures=most_failures)
            if tries == TRIES or not may_pass:
                raise
            seconds = _seconds_before_next(error, tries)
            text = "%s Retrying in %.1f s (%d of %d)."
            logger.warning(text, error, seconds, tries, TRIES - 1)
        wait(seconds)


def _may_pass(error: KafineaError, tries: int, *, writes: bool, most_failures: int) -> bool:
    """Decide whether to send a request again.

    What only reads is sent again after any failure that may pass. What writes is sent again only
    when the server certainly did nothing: the connection was not made, the session had ended, it
    turned the request away with 429, or the login before it failed. After an error page, a 502 or
    a 503, a write may have happened.
    """
    if isinstance(error, SessionEnded):
        return True
    if isinstance(error, TooLong):
        return False  # the next answer would be as long
    if isinstance(error, Unavailable):
        return error.nothing_done or (not writes and (error.busy or tries < most_failures))
    if isinstance(error, Refused):
        is_first = tries == 1 < most_failures
        return not writes and error.code in PERHAPS_PASSING and is_first
    return False


def seconds_before_next(tries: int) -> float:
    """Return the seconds to wait after so many tries: doubling, with full jitter."""
    return random.uniform(0, min(_FIRST_WAIT * 2 ** (tries - 1), LONGEST_WAIT))


def _seconds_before_next(error: KafineaError, tries: int) -> float:
    """Return the seconds to wait, which are at least those that the server requires."""
    asked = getattr(error, "retry_after", None)
    jittered = seconds_before_next(tries)
    return min(asked, LONGEST_WAIT) + jittered / 10 if asked else jittered
