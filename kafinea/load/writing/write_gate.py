"""The sessions in which records are written, until the run has to stop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition

from kafinea.client import Client
from kafinea.errors import KafineaError
from kafinea.load.server.behavior import ServerBehavior


class Stopped(KafineaError):
    """The run is to stop: a write was not begun."""


class WriteGate:
    """Gives out sessions to write in. Threads share it.

    Args:
        client: The instance.
        server: What is known of the server.
    """

    def __init__(self, client: Client, server: ServerBehavior) -> None:
        self._client = client
        self._server = server
        self._is_stopping = False
        self._in_flight = 0
        self._changed = Condition()

    @contextmanager
    def session(self) -> Iterator[Client]:
        """Yield a session to write in; none any more once the run is to stop.

        Raises:
            Stopped: It is.
            WritesFail: It stops because the server fails at every write.
        """
        self._server.formats  # noqa: B018 read once, before the first write
        with self._client.one_session() as session:
            if self._is_stopping:
                raise Stopped
            self._server.retries.check()
            with self._changed:
                self._in_flight += 1
            try:
                yield session
            finally:
                with self._changed:
                    self._in_flight -= 1
                    self._changed.notify_all()

    def stop(self, patience: float) -> None:
        """Begin no more writes, and wait so many seconds for those that are under way."""
        self._is_stopping = True
        with self._changed:
            self._changed.wait_for(lambda: not self._in_flight, patience)
