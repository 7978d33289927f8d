"""Sending an operation: in a session that is free, and until it is answered."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from copy import copy
from datetime import datetime
from types import TracebackType
from typing import Any, Protocol

from typing_extensions import Self

from kafinea import envelope, transport
from kafinea.errors import PERHAPS_PASSING, OutcomeUnknown, Refused, Unavailable
from kafinea.request_counts import RequestCounts
from kafinea.retry import TRIES, until_answered
from kafinea.sessions import Session, Sessions

logger = logging.getLogger(__name__)

_CONNECT_TIMEOUT = 10  # seconds


class Watch(Protocol):
    """What is shown each write of a client, before it is sent and once it is answered."""

    def writing(
        self, client: Any, operation: str, parameters: Mapping[str, str]
    ) -> AbstractContextManager[Callable[[Any], None]]:
        """Return a context to send a write in, which yields what takes its result.

        Args:
            client: The client that sends it.
            operation: Its name.
            parameters: Its parameters.
        """

    def has_read(self, record: dict[str, Any]) -> None:
        """Take note of a record that `retrieve` has returned."""

    def has_found(self, client: Any, record_id: str) -> None:
        """Take note of the record that the last creation of this thread, not answered, has made."""


class Caller:
    """Sends operations to an instance, as one of its users.

    Threads may share a caller. It opens as many sessions as are in use at once, up to
    `max_sessions`. A request beyond that waits for its turn, in the order of arrival. When the
    server has no room, or when more requests at once only take longer, fewer are sent at once.
    Nothing is sent before the first request. Use it in a `with` block, or call `close`, to log out.

    Args:
        url: The address of the instance, with or without `webservice.php`.
        username: The user's name.
        access_key: The user's access key ("My preferences" in Kafinea), not the password.
        max_sessions: The maximum number of concurrent sessions, and so of concurrent requests.
        request_timeout: Seconds to wait for an answer to begin or to go on.
        max_requests_per_minute: The most requests in a minute, which are sent evenly; None for
            any number. Logouts do not count.
        allow_http: Accept plain http for a host that is not this machine.

    Attributes:
        username: The user's name.
        max_sessions: The maximum number of concurrent sessions.
        requests: How many requests were sent, and what they took.

    Raises:
        SettingsError: The address cannot be used.
    """

    def __init__(
        self,
        url: str,
        username: str,
        access_key: str,
        *,
        max_sessions: int = 4,
        request_timeout: float = 120,
        max_requests_per_minute: int | None = None,
        allow_http: bool = False,
    ) -> None:
        self.username = username
        self.max_sessions = max_sessions
        self.requests = RequestCounts()
        self._address = transport.endpoint(url, allow_http=allow_http)
        self._timeout = (min(_CONNECT_TIMEOUT, request_timeout), request_timeout)
        self._sessions = Sessions(
            self._address,
            username,
            access_key,
            max_sessions,
            self._timeout,
            per_minute=max_requests_per_minute,
        )
        self._single: Session | None = None
        self._held = threading.local()
        self._most_failures = TRIES
        self._watch: Watch | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Log out of all sessions, for good; any thread may call it.

        Other threads that wait for their turn or for another try get `Closed`. A request that is
        under way is not waited for: it gets its answer, and its session expires by itself.
        """
        self._sessions.close()

    @contextmanager
    def one_session(self) -> Iterator[Self]:
        """Yield this client with a single session of its own for the time of the block.

        A server runs the requests of a session one after the other. So what is asked in the
        session of a write that gave no answer is answered only when that write has ended.

        The session counts as one of `max_sessions`. Within the block, whatever this thread asks of
        any copy of this client goes through it too: threads that hold all sessions and request one
        more would wait for ever.
        """
        with self._session() as session:
            client = copy(self)
            client.max_sessions = 1
            client._single = session  # noqa: SLF001 it is one of us
            before, self._held.session = getattr(self._held, "session", None), session
            try:
                yield client
            finally:
                self._held.session = before

    def giving_up_after(self, failures: int) -> Self:
        """Return this client for requests that may themselves be why the server fails.

        Args:
            failures: After how many failures of the server's own the last one is raised. One that
                has no room, or cannot be reached, is asked as often as ever.
        """
        client = copy(self)
        client._most_failures = failures  # noqa: SLF001 it is one of us
        return client

    def timing_out_after(self, seconds: float) -> Self:
        """Return this client, which waits so many seconds at most for an answer to begin."""
        client = copy(self)
        connecting, answering = self._timeout
        client._timeout = (min(connecting, seconds), min(answering, seconds))  # noqa: SLF001 one of us
        return client

    def watched_by(self, watch: Watch) -> Self:
        """Return this client, each of whose writes is shown to a watch first."""
        client = copy(self)
        client._watch = watch  # noqa: SLF001 it is one of us
        return client

    def note_found(self, record_id: str) -> None:
        """Say which record the last creation of this thread has made, whose answer was lost."""
        if self._watch:
            self._watch.has_found(self, record_id)

    @property
    def url(self) -> str:
        """The full address of the instance, which distinguishes it from others."""
        return self._address

    def open_sessions(self, count: int) -> None:
        """Log in to so many sessions in the background, for requests that will be sent at once."""
        self._sessions.open(count)

    def user_id(self) -> str:
        """Return the id of the user that the client works as, such as 19x1."""
        return until_answered(self._user_id, wait=self._sessions.wait)

    def profile(self) -> Mapping[str, str]:
        """Return what the login reported of the server and the user, such as `date_format`.

        Few servers report more than their version.
        """
        return until_answered(self._profile, wait=self._sessions.wait)

    @property
    def requests_sent(self) -> int:
        """How many requests were sent so far, logins and retries included."""
        return self._sessions.requests_sent

    def server_time(self) -> datetime | None:
        """Return the time by the server's clock; None before a login, or if it gives none."""
        return self._sessions.server_time()

    def wait(self, seconds: float) -> None:
        """Wait, but no longer than until the client is closed.

        Raises:
            Closed: It is.
        """
        self._sessions.wait(seconds)

    def extendsession(self) -> bool:
        """Request a longer session; return whether the server granted it."""
        with self._session() as session:
            return session.auth.extend_session()

    def call(
        self,
        method: str,
        operation: str,
        parameters: Mapping[str, str],
        *,
        of: str = "",
        kind: str = "",
        writes: bool | None = None,
        read: Callable[..., Any] = envelope.result,
        **transfer: Any,
    ) -> Any:
        """Send an operation and return its result.

        Args:
            method: GET or POST.
            operation: Its name.
            parameters: Its parameters, without the session.
            of: What it is about, for messages, such as the name of a module.
            kind: What else distinguishes requests by their duration, besides `operation` and `of`.
            writes: Whether it changes what is stored, and so is not sent again after a lost answer;
                as a rule a POST does.
            read: Makes the result of the HTTP answer.
            transfer: `upload` or `lift` of `transport.send`.

        Raises:
            KafineaError: One of `kafinea.errors`, by how to recover.
        """
        label = f"{operation} of {of}" if of else operation
        parameters = {"operation": operation, **parameters}

        def send() -> Any:
            with self._session() as session, self._sessions.request_slot(session, label + kind):
                with self.requests.adding(parameters, of):
                    response = transport.send(
                        session.http,
                        method,
                        self._address,
                        parameters,
                        auth=session.auth,
                        timeout=self._timeout,
                        **transfer,
                    )
                return read(response, label)

        return until_answered(
            send,
            wait=self._sessions.wait,
            writes=method == "POST" if writes is None else writes,
            most_failures=self._most_failures,
        )

    def write(self, operation: str, parameters: Mapping[str, str], **transfer: Any) -> Any:
        """Send an operation that writes, and return its result.

        Raises:
            OutcomeUnknown: The answer was lost; the server may have done it.
            Refused: The server refused it.
        """
        watch = self._watch
        with watch.writing(self, operation, parameters) if watch else nullcontext(_ignored) as done:
            result = self._write(operation, parameters, **transfer)
            done(result)
            return result

    def _write(self, operation: str, parameters: Mapping[str, str], **transfer: Any) -> Any:
        try:
            return self.call("POST", operation, parameters, **transfer)
        except Unavailable as error:
            if error.nothing_done:
                raise
            text = f"{error} It is unknown whether the request was carried out."
            # It is looked up and sent again, which may take minutes without another line.
            logger.warning(text)
            raise OutcomeUnknown(text, busy=error.busy, silent=error.silent) from None
        except Refused as error:
            if error.code in PERHAPS_PASSING:
                raise OutcomeUnknown(
                    f"{error} It is unknown whether the request was carried out."
                ) from None
            raise

    def _user_id(self) -> str:
        with self._session() as session:
            return session.auth.user_id()

    def _profile(self) -> Mapping[str, str]:
        with self._session() as session:
            return session.auth.profile()

    @contextmanager
    def _session(self) -> Iterator[Session]:
        if single := self._single or getattr(self._held, "session", None):
            with single.lock:
                yield single
        else:
            with self._sessions.acquire() as session:
                yield session


def _ignored(_result: Any) -> None:
    pass
