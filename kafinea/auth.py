"""The challenge login, as a `requests` authenticator.

A login is two requests: `getchallenge` gives a token, `login` takes md5(token + access key) and
gives a session id, which then goes with each request as `sessionName`. Like the HTTPDigestAuth of
`requests`, the authenticator answers a refused response by logging in and sending again.

As a rule a token serves any number of logins: sessions that share one log in with one request each.
Where it serves only one, or another process has taken a challenge since, a session takes one of its
own.
"""

from __future__ import annotations

import hashlib
import logging
import random
import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any
from urllib.parse import quote_plus

import requests
from requests.auth import AuthBase

from kafinea import envelope, masking, transport
from kafinea.answers import whole
from kafinea.connection import open_http
from kafinea.contents import Form
from kafinea.describe import SECRET_FIELDS
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
from kafinea.unanswered import at_first

logger = logging.getLogger(__name__)

_LOGOUT_TIMEOUT = (5, 5)
"""Seconds. Nobody waits for a logout; the server forgets the session by itself."""

_TOKEN_SECONDS = 20
"""How long to use a token whose server does not report how long it lives. Known servers: 300 to
7,200."""
_LONGEST_TOKEN = 86_400
_TOKEN_MARGIN = 5
"""Seconds of its life in which a token is no longer used: a login takes time to arrive."""

_MOST_REFUSALS = 3
"""Logins that may be refused one after the other, in all sessions together: some servers lock an
account after a few more."""
_SPREAD = (0.2, 0.8)
"""Seconds within which the next login is sent, times the refusals so far; 2.4 in all at most.

A server keeps one token for each user, so logins of two processes at the same moment spoil each
other's. They must not try again at the same moment."""

_FINAL = frozenset({Code.AUTHENTICATION_REQUIRED, Code.ACCESSKEY_UNDEFINED})
"""Codes after which no other login is tried: there is no active user, or the user has no key. All
others may mean that another process has replaced the token."""

_LONGEST_TEXT = 4_096
"""Characters of a token, a session or an id. It goes into each URL, and many are remembered to be
masked; real ones have up to some hundred."""

_SESSION_KEYS = ("sessionName", "sessionId")
"""The servers of the family use the first, the maker's document the second."""
_USER_KEY = "userId"

# A second challenge makes the first one useless. Within a process those who take a challenge stand
# in line here, and log in before the next one does.
_login_lines: defaultdict[tuple[str, str], threading.Lock] = defaultdict(threading.Lock)


class _Token:
    """The token of the last challenge that led to a session, for as long as it surely lives.

    Attributes:
        logins: How many logins it has served.
    """

    def __init__(self) -> None:
        self._text: str | None = None
        self.logins = 0
        self._until = 0.0
        self._clock: tuple[int, float] | None = None

    def keep(self, challenge: Any, asked: float) -> None:
        """Keep the token of a challenge.

        Args:
            challenge: The server's answer.
            asked: When it was asked for, by the monotonic clock: the server's may be wrong.
        """
        server_time = whole(challenge.get("serverTime"))
        expires = whole(challenge.get("expireTime"))
        if server_time is not None:
            self._clock = server_time, asked
        seconds = (expires or 0) - (server_time or 0)
        if not 0 < seconds <= _LONGEST_TOKEN:
            seconds = _TOKEN_SECONDS
        self._text = challenge["token"]
        self.logins = 1
        self._until = asked + seconds - _TOKEN_MARGIN

    def server_time(self) -> datetime | None:
        """Return the time by the server's clock, if it gave one with the challenge."""
        if self._clock is None:
            return None
        server_time, asked = self._clock
        try:
            return datetime.fromtimestamp(server_time + time.monotonic() - asked, timezone.utc)
        except (OverflowError, OSError, ValueError):
            return None

    def fresh(self) -> str | None:
        """Return the token, or None when it may have expired or there is none."""
        return self._text if time.monotonic() < self._until else None

    def drop(self) -> None:
        """Use the token no more."""
        self._until = 0.0


@dataclass
class _Shared:
    """What the sessions of a user know of logging in. It changes in the user's line only.

    Attributes:
        token: The token that they share.
        wasted: How many tokens in a row were refused when they were used a second time.
        refusals: How many logins in a row were refused. Tokens that several sessions used at the
            same time count once.
        final: What is wrong, once no other login is to be tried.
        is_reached: Whether the API has answered anything yet.
    """

    token: _Token = field(default_factory=_Token)
    wasted: int = 0
    refusals: int = 0
    final: str | None = None
    is_reached: bool = False

    def usable(self) -> str | None:
        """Return a token that another session has used, unless this server takes each one once."""
        return self.token.fresh() if self.wasted < 2 else None

    def accepted(self) -> None:
        """Note that the token was accepted from one more session."""
        self.token.logins += 1
        self.wasted = self.refusals = 0

    def lost(self, token: str) -> None:
        """Note that a token was refused that another session had used."""
        self.refusals = max(self.refusals, 1)
        if self.token.fresh() == token:
            self.wasted += self.token.logins == 1
            self.token.drop()


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

    Attributes:
        profile: What the server reported at the login besides the session: versions, and on some
            servers the user's own formats (`date_format`, `time_zone`, ...).
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
        self._http = http or open_http(address)
        self._timeout = timeout
        self._session_name: str | None = None
        self._user_id = ""
        self._token_used: str | None = None
        self._lock = threading.Lock()
        self._shared = _Shared()
        self.profile: Mapping[str, str] = {}
        masking.remember(access_key)

    def another(self, http: requests.Session) -> ChallengeAuth:
        """Return one more session of this user, for another connection.

        The two share their challenges: as long as a token lives, a login is a single request. And
        what the server has refused to one of them, the other does not try.
        """
        other = ChallengeAuth(
            self._address, self._username, self._access_key, http=http, timeout=self._timeout
        )
        other._shared = self._shared
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
                raise envelope.redirected(response)
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

    def server_time(self) -> datetime | None:
        """Return the time by the server's clock; None before a login, or if it gave none."""
        return self._token.server_time()

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
        """Log in, with a token that others have used if there is one.

        The first session takes a challenge, the second one shows whether its token may be used
        again, and further ones need not wait for each other.

        Raises:
            CredentialsRefused: The server does not accept the user and key; it is final.
            Unavailable: The server gave no proper answer.
        """
        shared = self._shared
        with self._line:
            token = shared.usable()
            if token == self._token_used:
                self._token.logins = 1  # its session has ended; perhaps the key has changed
            if token is None or self._token.logins == 1:
                return self._login_in_line()
        return self._login_sharing(token) or self._login_after_loss(token)

    def _login_after_loss(self, token: str) -> str:
        with self._line:
            self._shared.lost(token)
            return self._login_in_line()

    def _login_in_line(self) -> str:
        """Log in while no other session of this user does."""
        shared = self._shared
        if shared.final:
            raise CredentialsRefused(shared.final)
        if token := shared.usable():
            if session_name := self._login_sharing(token):
                shared.accepted()
                return session_name
            shared.lost(token)
        try:
            return self._login_patiently()
        except CredentialsRefused as error:
            shared.final = str(error)
            raise

    def _login_sharing(self, token: str) -> str | None:
        """Log in with a token that another session has used.

        Returns:
            The session. None when it was refused, whatever the code is: another process may have
            taken a challenge since, or this server takes each token once.
        """
        try:
            return self._login_with(token)
        except (Refused, SessionEnded):
            return None

    def _login_patiently(self) -> str:
        """Log in with a challenge of its own, and again while another process may be the reason."""
        shared = self._shared
        while True:
            time.sleep(shared.refusals * random.uniform(*_SPREAD))
            try:
                session_name = self._challenge_and_login()
            except (Refused, SessionEnded) as error:
                _raise_if_passing(error)
                shared.refusals += 1
                if error.code in _FINAL or shared.refusals >= _MOST_REFUSALS:
                    raise self._refused(error.code) from None
            else:
                shared.refusals = 0
                return session_name

    @property
    def _token(self) -> _Token:
        return self._shared.token

    @property
    def _line(self) -> threading.Lock:
        return _login_lines[self._address, self._username.casefold()]

    def _challenge_and_login(self) -> str:
        asked = time.monotonic()
        try:
            challenge = self._send("GET", "getchallenge", username=self._username)
        except (Refused, SessionEnded) as error:
            _raise_if_passing(error)
            raise self._unknown_user(error.code) from None
        session_name = self._login_with(_text(challenge, "token"))
        self._token.keep(challenge, asked)
        return session_name

    def _login_with(self, token: str) -> str:
        # What is sent is md5 because the API says so; it is no protection of ours.
        digest = hashlib.md5((token + self._access_key).encode(), usedforsecurity=False).hexdigest()
        masking.remember(token, digest, self._access_key)  # with each login, for the oldest go
        answer = self._send("POST", "login", username=self._username, accessKey=digest)
        session_name = _text(answer, *_SESSION_KEYS)
        masking.remember(session_name)
        self._user_id = _text(answer, _USER_KEY)
        self._token_used = token
        self.profile = {
            name: value
            for name, value in answer.items()
            if isinstance(value, str) and name not in {*_SESSION_KEYS, _USER_KEY, *SECRET_FIELDS}
        }
        return session_name

    def _refused(self, code: str) -> CredentialsRefused:
        if code == Code.AUTHENTICATION_REQUIRED:
            return self._unknown_user(code)
        return CredentialsRefused(
            f"Kafinea does not accept the user {self._username!r} with this access key "
            f"({code}). Check `username` and `access_key`: the key stands in Kafinea "
            'under "My preferences" and is not the password.'
        )

    def _unknown_user(self, code: str) -> CredentialsRefused:
        return CredentialsRefused(
            f"Kafinea has no active user {self._username!r} ({code}). Check `username`, and that "
            "the user is active in Kafinea."
        )

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
            SettingsError: Nothing has worked yet, and waiting does not help.
            Unavailable: The server gave no proper answer.
        """
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
            raise error if self._shared.is_reached else at_first(error, self._address) from None
        except (Refused, SessionEnded):
            self._shared.is_reached = True
            raise
        self._shared.is_reached = True
        return answer


def _raise_if_passing(error: Refused | SessionEnded) -> None:
    """Tell a server that fails from one that refuses.

    Raises:
        Unavailable: It fails.
    """
    if error.code in PERHAPS_PASSING:
        raise Unavailable(str(error), nothing_done=True) from None


def _text(answer: Any, *keys: str) -> str:
    """Return the first of the keys that a login answer has.

    Raises:
        SettingsError: It has none; this is not an API that we know.
    """
    for key in keys:
        value = answer.get(key) if isinstance(answer, dict) else None
        if isinstance(value, str) and 0 < len(value) <= _LONGEST_TEXT:
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
        envelope.result(response, "")
    except SessionEnded:
        return True
    except KafineaError:
        return False
    return False
