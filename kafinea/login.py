"""The challenge login, and what the sessions of a user share of it.

A login is two requests: `getchallenge` gives a token, `login` takes md5(token + access key) and
gives a session id. As a rule a token serves any number of logins: sessions that share one log in
with one request each. Where it serves only one, or another process has taken a challenge since, a
session takes one of its own.
"""

from __future__ import annotations

import hashlib
import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from kafinea import masking
from kafinea.describe import SECRET_FIELDS
from kafinea.errors import (
    PERHAPS_PASSING,
    Code,
    CredentialsRefused,
    NotReachable,
    Refused,
    SessionEnded,
    Unavailable,
)
from kafinea.login_lock import only_login
from kafinea.parsing import whole

Send = Callable[..., Any]
"""Sends an operation of the login and returns its result: `send("GET", "getchallenge", ...)`."""

_TOKEN_SECONDS = 20
"""How long to use a token whose server does not report how long it lives. Known servers: 300 to
7,200."""
_LONGEST_TOKEN = 86_400
_TOKEN_MARGIN = 5
"""Seconds of its life in which a token is no longer used: a login takes time to arrive."""

_MOST_REFUSALS = 2
"""Logins that may be refused one after the other, in all sessions together: some servers lock an
account after a few more."""
_MOST_OF_A_KNOWN_KEY = 3
"""The same for a key that the server has accepted before: the first may be due to its token."""
_SPREAD = (0.5, 2.5)
"""Seconds within which the next login is sent, times the refusals so far.

A server keeps one token for each user, so logins of two machines at the same moment spoil each
other's. They must not try again at the same moment. `login_lock` is for those of one machine."""

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


@dataclass(frozen=True)
class Grant:
    """A session that the server has granted.

    Attributes:
        session_name: The session id.
        user_id: The id of the user, such as 19x1.
        profile: What the server reported besides: versions, and on some servers the user's own
            formats (`date_format`, `time_zone`, ...).
        token: The token that the login used.
    """

    session_name: str
    user_id: str
    profile: Mapping[str, str]
    token: str


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
            asked: When it was requested, by the monotonic clock: the server's may be wrong.
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


class Login:
    """Logs the sessions of one user in.

    Its sessions share their challenges: as long as a token lives, a login is a single request. And
    what the server has refused to one of them, the others do not try. What is known changes only
    while a thread holds the line.

    Args:
        address: The full address of `webservice.php`.
        username: The user's name.
        access_key: The user's access key.

    Attributes:
        is_reached: Whether the API has answered anything yet.
    """

    def __init__(self, address: str, username: str, access_key: str) -> None:
        self.username = username
        self.is_reached = False
        self._address = address
        self.access_key = access_key
        self._line = _login_lines[address, username.casefold()]
        self._token = _Token()
        self._wasted = 0  # tokens in a row that were refused when they were used a second time
        # Logins in a row that were refused. Tokens that several sessions used at the same time
        # count once.
        self._refusals = 0
        self._is_known = False  # whether the server has accepted the key
        self._final: str | None = None  # what is wrong, once no other login is to be tried
        masking.remember(access_key)

    def server_time(self) -> datetime | None:
        """Return the time by the server's clock; None before a login, or if it gave none."""
        return self._token.server_time()

    def open(self, send: Send, *, instead_of: Grant | None = None) -> Grant:
        """Log in, with a token that others have used if there is one.

        The first session takes a challenge, the second one shows whether its token may be used
        again, and further ones need not wait for each other.

        Args:
            send: Sends the requests of the login, on the connection of the session.
            instead_of: The session that has ended, if there was one.

        Raises:
            CredentialsRefused: The server does not accept the user and key; it is final.
            Unavailable: The server gave no proper answer.
        """
        with self._line:
            token = self._usable()
            if instead_of and token == instead_of.token:
                self._token.logins = 1  # its session has ended; perhaps the key has changed
            if token is None or self._token.logins == 1:
                return self._open_in_line(send)
        if granted := self._with_shared_token(send, token):
            return granted
        with self._line:
            self._lost(token)
            return self._open_in_line(send)

    def _open_in_line(self, send: Send) -> Grant:
        """Log in while no other session of this user does."""
        if self._final:
            raise CredentialsRefused(self._final)
        if token := self._usable():
            if granted := self._with_shared_token(send, token):
                self._token.logins += 1
                self._wasted = self._refusals = 0
                return granted
            self._lost(token)
        try:
            return self._with_own_token(send)
        except CredentialsRefused as error:
            self._final = str(error)
            raise

    def _usable(self) -> str | None:
        """Return a token that another session has used, unless this server takes each one once."""
        return self._token.fresh() if self._wasted < 2 else None

    def _lost(self, token: str) -> None:
        """Note that a token was refused that another session had used."""
        self._refusals = max(self._refusals, 1)
        if self._token.fresh() == token:
            self._wasted += self._token.logins == 1
            self._token.drop()

    def _with_shared_token(self, send: Send, token: str) -> Grant | None:
        """Log in with a token that another session has used.

        Returns:
            None when it was refused, whatever the code is: another process may have taken a
            challenge since, or this server takes each token once.
        """
        try:
            return self._with_token(send, token)
        except (Refused, SessionEnded):
            return None

    def _with_own_token(self, send: Send) -> Grant:
        """Log in with a challenge of its own, and again while another process may be the reason."""
        while True:
            time.sleep(self._refusals * random.uniform(*_SPREAD))
            try:
                with only_login(self._address, self.username):
                    granted = self._challenge(send)
            except (Refused, SessionEnded) as error:
                _raise_if_passing(error)
                self._refusals += 1
                most = _MOST_OF_A_KNOWN_KEY if self._is_known else _MOST_REFUSALS
                if error.code in _FINAL or self._refusals >= most:
                    raise self._refused(error.code) from None
            else:
                self._refusals = 0
                self._is_known = True
                return granted

    def _challenge(self, send: Send) -> Grant:
        asked = time.monotonic()
        try:
            challenge = send("GET", "getchallenge", username=self.username)
        except (Refused, SessionEnded) as error:
            _raise_if_passing(error)
            raise self._unknown_user(error.code) from None
        granted = self._with_token(send, _text(challenge, "token"))
        self._token.keep(challenge, asked)
        return granted

    def _with_token(self, send: Send, token: str) -> Grant:
        # What is sent is md5 because the API says so; it is no protection of ours.
        digest = hashlib.md5((token + self.access_key).encode(), usedforsecurity=False).hexdigest()
        masking.remember(token, digest, self.access_key)  # with each login, for the oldest go
        answer = send("POST", "login", username=self.username, accessKey=digest)
        session_name = _text(answer, *_SESSION_KEYS)
        masking.remember(session_name)
        profile = {
            name: value
            for name, value in answer.items()
            if isinstance(value, str) and name not in {*_SESSION_KEYS, _USER_KEY, *SECRET_FIELDS}
        }
        return Grant(session_name, _text(answer, _USER_KEY), profile, token)

    def _refused(self, code: str) -> CredentialsRefused:
        if code == Code.AUTHENTICATION_REQUIRED:
            return self._unknown_user(code)
        return CredentialsRefused(
            f"Kafinea does not accept this access key for user {self.username!r} ({code}). Check "
            '`username` and `access_key`. The access key is in Kafinea under "My preferences"; '
            "it is not the password."
        )

    def _unknown_user(self, code: str) -> CredentialsRefused:
        return CredentialsRefused(
            f"Kafinea has no active user {self.username!r} ({code}). Check `username`, and that "
            "the user is active in Kafinea."
        )


def _raise_if_passing(error: Refused | SessionEnded) -> None:
    """Raise if the server fails, and does not refuse.

    Raises:
        Unavailable: It fails.
    """
    if error.code in PERHAPS_PASSING:
        raise Unavailable(str(error), nothing_done=True) from None


def _text(answer: Any, *keys: str) -> str:
    """Return the first of the keys that a login answer has.

    Raises:
        NotReachable: It has none; this is not an API that we know.
    """
    for key in keys:
        value = answer.get(key) if isinstance(answer, dict) else None
        if isinstance(value, str) and 0 < len(value) <= _LONGEST_TEXT:
            return value
    raise NotReachable(
        f"The server at `url` answered the login without {' or '.join(keys)}. Check that `url` is "
        "the address of your Kafinea."
    )
