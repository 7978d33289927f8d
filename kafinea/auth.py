"""The challenge login, as a `requests` authenticator.

A login is two requests: `getchallenge` gives a token, `login` takes md5(token + access key) and
gives a session id, which then goes with each request as `sessionName`. Like the HTTPDigestAuth of
`requests`, the authenticator answers a refused response by logging in and sending again.

The server does not take a token back when it has served: sessions that share one log in with one
request each, all at once.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus

import backoff
import requests
from requests.auth import AuthBase

from kafinea import transport
from kafinea.contents import Form
from kafinea.errors import (
    PERHAPS_PASSING,
    SESSION_ENDED,
    Code,
    CredentialsRefused,
    KafineaError,
    Refused,
    SessionEnded,
    SettingsError,
    Unavailable,
)

logger = logging.getLogger(__name__)

_LOGOUT_TIMEOUT = (5, 5)
"""Seconds. Nobody waits for a logout; the server forgets the session by itself."""

_TOKEN_LOST = frozenset({Code.INVALID_USER_CREDENTIALS, Code.INVALID_AUTH_TOKEN})

_TOKEN_SECONDS = 20
"""How long to use a token whose server does not say how long it lives; all known say 300."""
_TOKEN_MARGIN = 5
"""Seconds of its life in which a token is no longer used: a login takes time to arrive."""

# A server keeps one token for each user: a second challenge makes the first one useless. Within a
# process those who take a challenge stand in line here, and log in before the next one does.
_login_lines: defaultdict[tuple[str, str], threading.Lock] = defaultdict(threading.Lock)


class _Token:
    """The token of the last challenge that led to a session, for as long as it surely lives."""

    def __init__(self) -> None:
        self._text: str | None = None
        self._until = 0.0

    def keep(self, challenge: Any, asked: float) -> None:
        """Keep the token of a challenge.

        Args:
            challenge: The server's answer.
            asked: When it was asked for, by the monotonic clock: the server's may be wrong.
        """
        try:
            seconds = int(challenge["expireTime"]) - int(challenge["serverTime"])
        except (KeyError, TypeError, ValueError):
            seconds = 0
        if not 0 < seconds <= 3600:
            seconds = _TOKEN_SECONDS
        self._text = challenge["token"]
        self._until = asked + seconds - _TOKEN_MARGIN

    def fresh(self) -> str | None:
        """Return the token, or None when it may have expired or there is none."""
        return self._text if time.monotonic() < self._until else None


@dataclass
class _Verdict:
    """What the server thinks of the user and key, which sessions share.

    Attributes:
        awaited: Held during a login until one has succeeded.
        accepted: Whether one has.
        refused: What is wrong, if the first one was refused.
    """

    awaited: threading.Lock = field(default_factory=threading.Lock)
    accepted: bool = False
    refused: str | None = None


class ChallengeAuth(AuthBase):
    """Adds a session to each request, and a new session when the old one has ended.

    One object is one session of the server. A session answers one request at a time, so use one
    object for each connection that works in parallel (see `another`). Sharing one between threads
    is safe.

    Args:
        address: The full address of `webservice.php`.
        username: The user's name.
        access_key: The user's access key ("My preferences" in Kafinea). Not the password.
        http: The connection that sends the login; a new one by default.
        timeout: Seconds to connect, and seconds to wait for the answer.
    """

    def __init__(
        self,
        address: str,
        username: str,
        access_key: str,
        *,
        http: requests.Session | None = None,
        timeout: transport.Timeout = (10, 120),
    ) -> None:
        self._address = address
        self._username = username
        self._access_key = access_key
        self._http = http or transport.open_http(address)
        self._timeout = timeout
        self._session_name: str | None = None
        self._user_id = ""
        self._lock = threading.Lock()
        self._token = _Token()
        self._verdict = _Verdict()
        self.secrets = {access_key}

    def another(self, http: requests.Session) -> ChallengeAuth:
        """Return one more session of this user, for another connection.

        The two share their challenges: as long as a token lives, a login is a single request. And
        what the server has refused to one of them, the other does not try.
        """
        other = ChallengeAuth(
            self._address, self._username, self._access_key, http=http, timeout=self._timeout
        )
        other._token, other._verdict = self._token, self._verdict
        return other

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the session to a request that is about to be sent.

        Raises:
            CredentialsRefused: The server does not accept the user and key.
            Unavailable: The server gave no proper answer to the login; nothing was sent yet.
        """
        plain = request.copy()
        session_name = self._open_session()
        _add_session(request, session_name)

        def resend_if_ended(response: requests.Response, **kwargs: Any) -> requests.Response:
            if response.is_redirect:
                response.close()
                raise transport.redirected(response)
            # Nothing was executed when a session has ended, so even a write may be sent again.
            if not _session_has_ended(response):
                return response
            again = plain.copy()
            _add_session(again, self._open_session(instead_of=session_name))
            fresh: requests.Response = response.connection.send(again, **kwargs)
            fresh.history.append(response)
            fresh.request = again
            return fresh

        request.hooks["response"].append(resend_if_ended)
        return request

    def user_id(self) -> str:
        """Return the id of the user, such as 19x1, after a login if there was none yet."""
        self._open_session()
        return self._user_id

    def extend_session(self) -> bool:
        """Ask for a longer session; return whether the server granted it.

        The maker's document sends a GET; other servers of the family want a POST, and some
        grant it never. Do not depend on it: every request keeps the session alive.
        """
        session_name = self._open_session()
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
            session_name, self._session_name = self._session_name, None
        if session_name is None:
            return
        try:
            self._send("POST", "logout", timeout=_LOGOUT_TIMEOUT, sessionName=session_name)
        except KafineaError as error:
            # Some servers answer logout with a fatal error although all is well.
            logger.debug("The session of %s was left to expire: %s", self._username, error)

    def _open_session(self, *, instead_of: str | None = None) -> str:
        """Return the session, after a login if there is none but the given one, which has ended."""
        with self._lock:
            if self._session_name is None or self._session_name == instead_of:
                self._session_name = self._login()
            return self._session_name

    def _login(self) -> str:
        verdict = self._verdict
        if verdict.accepted:
            return self._login_patiently()
        # However many sessions there are, a wrong key is tried as often as by one.
        with verdict.awaited:
            if verdict.refused:
                raise CredentialsRefused(verdict.refused)
            try:
                session_name = self._login_patiently()
            except CredentialsRefused as error:
                verdict.refused = str(error)
                raise
            verdict.accepted = True
            return session_name

    def _login_patiently(self) -> str:
        try:
            return self._login_sharing() or self._login_in_line()
        except Refused as error:
            if error.code in PERHAPS_PASSING:
                raise Unavailable(str(error), nothing_done=True) from None
            raise CredentialsRefused(
                f"Kafinea does not accept the user {self._username!r} with this access key "
                f"({error.code}). Check `username` and `access_key`: the key stands in Kafinea "
                'under "My preferences" and is not the password.'
            ) from None

    def _login_sharing(self) -> str | None:
        """Log in with the token that another session has used, or be the first to take one.

        Returns:
            The session. None when the token was lost: somebody has taken a challenge since, or
            this server takes each token once.
        """
        try:
            with self._line:
                token = self._token.fresh()
                if token is None:
                    return self._challenge_and_login()
            return self._login_with(token)
        except Refused as error:
            if error.code in _TOKEN_LOST:
                return None
            raise

    # A wrong key and a token that another process's login of the same user has replaced are
    # answered alike. So this is tried a few times, at moments that spread.
    @backoff.on_exception(
        backoff.expo,
        Refused,
        giveup=lambda error: getattr(error, "code", None) not in _TOKEN_LOST,
        max_tries=7,
        factor=0.15,
        logger=None,
    )
    def _login_in_line(self) -> str:
        with self._line:
            return self._challenge_and_login()

    @property
    def _line(self) -> threading.Lock:
        return _login_lines[self._address, self._username.casefold()]

    def _challenge_and_login(self) -> str:
        asked = time.monotonic()
        challenge = self._send("GET", "getchallenge", username=self._username)
        session_name = self._login_with(_text(challenge, "token"))
        self._token.keep(challenge, asked)
        return session_name

    def _login_with(self, token: str) -> str:
        # What is sent is md5 because the API says so; it is no protection of ours.
        digest = hashlib.md5((token + self._access_key).encode(), usedforsecurity=False).hexdigest()
        self.secrets |= {token, digest}
        answer = self._send("POST", "login", username=self._username, accessKey=digest)
        # The maker's document calls it sessionId, the servers of the family sessionName.
        session_name = _text(answer, "sessionName", "sessionId")
        self._user_id = _text(answer, "userId")
        self.secrets = {self._access_key, session_name}
        return session_name

    def _send(
        self,
        method: str,
        operation: str,
        *,
        timeout: transport.Timeout | None = None,
        **parameters: str,
    ) -> Any:
        try:
            response = transport.send(
                self._http,
                method,
                self._address,
                {"operation": operation, **parameters},
                timeout=timeout or self._timeout,
            )
            return transport.result(response, operation, self.secrets)
        except Unavailable as error:
            # Whatever request waits for this login has not been sent.
            error.nothing_done = True
            raise


def _text(answer: Any, *keys: str) -> str:
    """Return the first of the keys that a login answer has.

    Raises:
        SettingsError: It has none; this is not an API that we know.
    """
    for key in keys:
        if isinstance(answer, dict) and isinstance(value := answer.get(key), str) and value:
            return value
    raise SettingsError(
        f"The server at `url` answers the login without {' or '.join(keys)}; is it a Kafinea?"
    )


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
    # The code stands at the end of a short answer; a page of records is not read twice for this.
    if not any(code.value.encode() in response.content[-300:] for code in SESSION_ENDED):
        return False
    try:
        transport.result(response, "")
    except SessionEnded:
        return True
    except KafineaError:
        return False
    return False
