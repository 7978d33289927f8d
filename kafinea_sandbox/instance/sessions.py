"""Challenges and sessions."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import threading
from dataclasses import dataclass, field
from typing import Any

from kafinea_sandbox import php
from kafinea_sandbox.dialects import Dialect
from kafinea_sandbox.errors import ApiError
from kafinea_sandbox.instance.clock import Clock
from kafinea_sandbox.instance.options import Options
from kafinea_sandbox.instance.users import User

TOKEN_SECONDS = 300
"""How long a challenge can be answered, unless the dialect says otherwise."""

EXPIRY = {
    "INVALID_SESSIONID": "Session Identifier provided is Invalid",
    "SESSION_LEFT_IDLE": "Session has been invalidated to due lack activity",
    "SESSION_EXPIRED": "Session has life span over please login again",
    "AUTHENTICATION_REQUIRED": "Authencation required",
}
"""The errors after which a client must log in again."""

_REFUSED = "Specified token is invalid or expired"


def expired(code: str = "INVALID_SESSIONID") -> ApiError:
    """The answer to a request whose session has ended."""
    return ApiError(code, EXPIRY[code])


@dataclass
class Session:
    """One login."""

    id: str
    ordinal: int
    """1 for the first login since the start, 2 for the second, ..."""
    user: User
    used: int
    """Unix time of the last request."""
    ends_with: str | None = None
    """The error code of the answer to the next request."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """PHP locks a session's file: its requests run one after the other."""


@dataclass
class _Token:
    """The text of a challenge."""

    text: str
    expires: int
    spent: bool = False


class Sessions:
    """The open sessions, and the challenges that can be answered."""

    def __init__(self, clock: Clock, dialect: Dialect, options: Options) -> None:
        self._clock = clock
        self._dialect = dialect
        self._options = options
        self._open: dict[str, Session] = {}
        self._tokens: dict[int, list[_Token]] = {}
        self._checking = threading.Lock()
        self._logins = itertools.count(1)  # sessions are opened in several threads

    def challenge(self, user: User) -> dict[str, Any]:
        """A new token. Each user has one: the previous token is no longer valid."""
        now, dialect = self._clock.seconds(), self._dialect
        tokens = self._tokens.setdefault(user.number, [])
        lasts = tokens and tokens[-1].expires > now and not tokens[-1].spent
        if not (dialect.repeats_token and lasts):
            seconds = dialect.token_seconds or TOKEN_SECONDS
            tokens.append(_Token(php.uniqid(), now + seconds))
        return {"token": tokens[-1].text, "serverTime": now, "expireTime": tokens[-1].expires}

    def login(self, user: User | None, key: str) -> Session:
        """Open a session."""
        now = self._clock.seconds()
        if user is None and self._dialect.one_refusal:
            raise ApiError("AUTHENTICATION_REQUIRED", "Given user cannot be found")
        tokens = self._tokens.get(user.number) if user else None
        if user is None or not tokens or tokens[-1].expires < now:
            raise ApiError("INVALID_AUTH_TOKEN", _REFUSED)
        if not user.access_key:
            raise ApiError("ACCESSKEY_UNDEFINED", "Access key for the user is undefined")
        with self._checking:
            self._check(user, tokens, key)
        session = Session(php.session_id(), next(self._logins), user, now)
        self._open[session.id] = session
        return session

    def _check(self, user: User, tokens: list[_Token], key: str) -> None:
        """Check a key against the user's tokens.

        As a rule the token is not consumed: it can be used again until it expires. Servers that
        take each once have a code of their own for one that was used or replaced.
        """
        code = self._options.used_token
        answered = next(
            (token for token in tokens if key == md5(token.text + user.access_key)), None
        )
        if code and answered and (answered.spent or answered is not tokens[-1]):
            raise ApiError(code, _REFUSED)
        if self._dialect.one_refusal and answered and not user.is_active:
            raise ApiError("AUTHENTICATION_REQUIRED", "Given user is inactive")
        if answered is None or answered is not tokens[-1] or not user.is_active:
            raise ApiError("INVALID_USER_CREDENTIALS", "Invalid username or password")
        answered.spent = code is not None

    def peek(self, session_id: str) -> Session | None:
        """The session of an id, whether or not it has ended."""
        return self._open.get(session_id)

    def use(self, session_id: str) -> Session:
        """The session of a request that is received now."""
        if session_id in {"", "null"}:
            raise expired("AUTHENTICATION_REQUIRED")
        refusal = self._dialect.one_refusal and "AUTHENTICATION_REQUIRED"
        session = self._open.get(session_id)
        if session is None:
            raise expired(refusal or "INVALID_SESSIONID")
        now = self._clock.seconds()
        if session.ends_with or now - session.used > self._options.idle_seconds:
            self.close(session)
            raise expired(session.ends_with or refusal or "INVALID_SESSIONID")
        session.used = now
        return session

    def close(self, session: Session) -> None:
        """End a session."""
        self._open.pop(session.id, None)

    def expire(self, code: str = "INVALID_SESSIONID") -> int:
        """End all sessions: each answers `code` once and INVALID_SESSIONID from then on."""
        for session in self._open.values():
            session.ends_with = code
        return len(self._open)


def md5(text: str) -> str:
    """The digest of a login."""
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
