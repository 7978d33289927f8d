"""The challenge login, as a `requests` authenticator.

The session id goes with each request as `sessionName`. Like the HTTPDigestAuth of `requests`, the
authenticator answers a refused response by logging in and sending again. `kafinea.login` logs in.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote_plus

import requests
from requests.auth import AuthBase

from kafinea import envelope, transport
from kafinea.connection import open_http
from kafinea.contents import Form
from kafinea.errors import (
    SESSION_ENDED,
    KafineaError,
    Refused,
    SessionEnded,
    Unavailable,
)
from kafinea.login import Grant, Login
from kafinea.unanswered import at_first

logger = logging.getLogger(__name__)

_LONGEST_ERROR = 2**16
"""Bytes of an answer that refuses. Some servers put more behind its code than a message."""
_ENDED = [code.value.encode() for code in SESSION_ENDED]
_LOGOUT_TIMEOUT = (5, 5)
"""Seconds. Nobody waits for a logout; the server forgets the session by itself."""


class ChallengeAuth(AuthBase):
    """Adds a session to each request, and a new session when the old one has ended.

    One object is one session of the server. A session answers one request at a time, so use one
    object for each connection that works in parallel (see `new_session`). Threads may share one.

    Args:
        address: The full address of `webservice.php`.
        username: The user's name.
        access_key: The user's access key ("My preferences" in Kafinea). Not the password.
        http: The connection that sends the login; a new one by default.
        timeout: Seconds to connect, and seconds to wait for the answer.
        before_sending: Is called before each request but a logout; it may wait.
    """

    def __init__(
        self,
        address: str,
        username: str,
        access_key: str,
        *,
        http: requests.Session | None = None,
        timeout: transport.Timeout = (10, 120),
        before_sending: Callable[[], None] = lambda: None,
    ) -> None:
        self._address = address
        self._login = Login(address, username, access_key)
        self._http = http or open_http(address)
        self._timeout = timeout
        self._before_sending = before_sending
        self._lock = threading.Lock()
        self._session: Grant | None = None
        self._latest: Grant | None = None  # the same, also when it has been logged out

    def new_session(self, http: requests.Session) -> ChallengeAuth:
        """Return one more session of this user, for another connection.

        The two share what they know of logging in (see `Login`).
        """
        login = self._login
        other = ChallengeAuth(
            self._address,
            login.username,
            login.access_key,
            http=http,
            timeout=self._timeout,
            before_sending=self._before_sending,
        )
        other._login = login
        return other

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the session to a request that is about to be sent.

        Raises:
            CredentialsRefused: The server does not accept the user and key.
            Unavailable: The server gave no proper answer to the login; nothing was sent yet.
        """
        plain = request.copy()
        session_name = self._granted().session_name
        _add_session(request, session_name)

        def resend_if_ended(response: requests.Response, **kwargs: Any) -> requests.Response:
            if response.is_redirect:
                response.close()
                raise envelope.redirected(response)
            # Nothing was executed when a session has ended, so even a write may be sent again.
            if not _session_has_ended(response):
                return response
            again = plain.copy()
            _add_session(again, self._granted(instead_of=session_name).session_name)
            self._before_sending()
            fresh: requests.Response = response.connection.send(again, **kwargs)
            fresh.history.append(response)
            fresh.request = again
            return fresh

        request.hooks["response"].append(resend_if_ended)
        return request

    def user_id(self) -> str:
        """Return the id of the user, such as 19x1, after a login if there was none yet."""
        return self._granted().user_id

    def profile(self) -> Mapping[str, str]:
        """Return what the server reported at the login, after one if there was none yet."""
        return self._granted().profile

    def server_time(self) -> datetime | None:
        """Return the time by the server's clock; None before a login, or if it gave none."""
        return self._login.server_time()

    def extend_session(self) -> bool:
        """Request a longer session; return whether the server granted it.

        The maker's document sends a GET; other servers of the family want a POST, and some
        grant it never. Do not depend on it: every request keeps the session alive.
        """
        session_name = self._granted().session_name
        for method in ("GET", "POST"):
            try:
                self._send(method, "extendsession", sessionName=session_name)
            except (Refused, SessionEnded, Unavailable):
                continue
            return True
        return False

    def logout(self) -> None:
        """End the session. A server that fails to do so forgets it by itself after a while."""
        with self._lock:
            session, self._session = self._session, None
        if session is None:
            return
        parameters = {"sessionName": session.session_name}
        try:
            self._send("POST", "logout", timeout=_LOGOUT_TIMEOUT, **parameters)
        except KafineaError as error:
            # Some servers answer logout with a fatal error although all is well.
            logger.debug(
                "The session of %s could not be ended and will expire by itself: %s",
                self._login.username,
                error,
            )

    def _granted(self, *, instead_of: str | None = None) -> Grant:
        """Return the session, after a login if there is none but the given one, which has ended."""
        with self._lock:
            if self._session is None or self._session.session_name == instead_of:
                self._session = self._login.open(self._send, instead_of=self._latest)
                self._latest = self._session
            return self._session

    def _send(
        self,
        method: str,
        operation: str,
        *,
        timeout: transport.Timeout | None = None,
        **parameters: str,
    ) -> Any:
        """Send a request of the login.

        Raises:
            NotReachable: Nothing has worked yet, and waiting does not help.
            Unavailable: The server gave no proper answer.
        """
        if operation != "logout":
            self._before_sending()
        try:
            response = transport.send(
                self._http,
                method,
                self._address,
                {"operation": operation, **parameters},
                timeout=timeout or self._timeout,
            )
            answer = envelope.result(response, operation)
        except Unavailable as error:
            # Whatever request waits for this login has not been sent.
            error.nothing_done = True
            raise error if self._login.is_reached else at_first(error, self._address) from None
        except (Refused, SessionEnded):
            self._login.is_reached = True
            raise
        self._login.is_reached = True
        return answer


def _add_session(request: requests.PreparedRequest, session_name: str) -> None:
    """Put the session where the operation's other parameters are: the form, or else the URL."""
    pair = "sessionName=" + quote_plus(session_name)
    if isinstance(request.body, Form):
        transport.use_form(request, request.body.with_field(pair))
    elif isinstance(request.body, str) and request.method == "POST":
        request.body = f"{request.body}&{pair}"
        request.prepare_content_length(request.body)
    else:
        url = request.url or ""
        request.url = f"{url}{'&' if '?' in url else '?'}{pair}"


def _session_has_ended(response: requests.Response) -> bool:
    # A page of records is not read twice for this.
    content = response.content
    if len(content) > _LONGEST_ERROR or not any(code in content for code in _ENDED):
        return False
    try:
        envelope.result(response, "")
    except SessionEnded:
        return True
    except KafineaError:
        return False
    return False
