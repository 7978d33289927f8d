"""When a write failed: try again, give the record up, or stop the run.

One cheap request distinguishes a record that cannot be written from a server that cannot write:
a write of nothing, which a sound server refuses. A server that fails at it is waited for, as long
as for a read, and then the run stops: the state covers what is done, and the next run looks the
rest up. So does one that fails at a few records in a row.
"""

from __future__ import annotations

import logging
from threading import Lock

from kafinea.client import Client
from kafinea.errors import KafineaError, OutcomeUnknown
from kafinea.retry import TRIES, seconds_before_next

logger = logging.getLogger(__name__)

_TRIES_OF_A_RECORD = 3
_FEW = 5


class WritesFail(KafineaError):
    """Stop the run: the server fails at every write. What was done is covered by the state."""


class WriteRetries:
    """What the writes of a run have met so far. Threads share it.

    Args:
        client: The instance.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._given_up_in_a_row = 0
        self._failed: WritesFail | None = None
        self._lock = Lock()

    def check(self) -> None:
        """Begin no other write once the run has stopped: each would be waited for as long.

        Raises:
            WritesFail: The server fails at every write.
        """
        if self._failed:
            raise self._failed

    def succeeded(self) -> None:
        """Note that the server has answered a write."""
        with self._lock:
            self._given_up_in_a_row = 0

    def lost(self, session: Client, operation: str, error: OutcomeUnknown) -> None:
        """Take note of a write whose answer was lost, before its record is looked up.

        If no answer began, wait until such a write is answered in this session. Before, the look-up
        would not be answered either, and it is patient: it may find out about this record only.

        Raises:
            WritesFail: The server answers no write.
        """
        if error.silent:
            self.await_server(session, operation)

    def tries_again(
        self, session: Client, operation: str, tries: int, *, is_busy: bool = False
    ) -> bool:
        """Wait, and return whether to write the record once more.

        Args:
            session: The session of the write.
            operation: `create`, `update`, `revise` or `delete`.
            tries: How often it was tried.
            is_busy: Whether the server had no room the last time, which is not the record's fault.

        Raises:
            WritesFail: The server fails at every write.
        """
        was_down = self.await_server(session, operation)
        if tries >= (TRIES if was_down or is_busy else _TRIES_OF_A_RECORD):
            self._give_up(operation)
            return False
        self._client.wait(seconds_before_next(tries))
        return True

    def await_server(self, session: Client, operation: str) -> bool:
        """Wait until the server answers such a write, and return whether it did not at first.

        Raises:
            WritesFail: It does not.
        """
        for tries in range(1, TRIES + 1):
            if session.is_answered(operation):
                return tries > 1
            if tries < TRIES:
                text = "Kafinea fails at every %s. Waiting for it (%d of %d)."
                logger.warning(text, operation, tries, TRIES - 1)
                self._client.wait(seconds_before_next(tries))
        raise self._server_fails(operation)

    def _give_up(self, operation: str) -> None:
        with self._lock:
            self._given_up_in_a_row += 1
            if self._given_up_in_a_row >= _FEW:
                raise self._server_fails(operation)

    def _server_fails(self, operation: str) -> WritesFail:
        self._failed = WritesFail(
            f"{operation}: writes to Kafinea failed repeatedly, so the run stopped. When Kafinea "
            "works again, load the same input again: records that were written are found."
        )
        return self._failed
