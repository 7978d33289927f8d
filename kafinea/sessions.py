"""The sessions of a client: who may use one, and who may send a request, when.

A server runs the requests of a session one after the other, so each session has a connection of
its own and one user at a time. Requests of several sessions run at once: at most as many as there
may be sessions, and fewer while the server has no room for so many (see `kafinea.concurrency`).
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime

import requests

from kafinea import transport
from kafinea.auth import ChallengeAuth
from kafinea.concurrency import ConcurrencyLimit
from kafinea.connection import open_http, requests_sent
from kafinea.errors import Closed, KafineaError, Unavailable
from kafinea.pace import Pace
from kafinea.retry import LONGEST_WAIT

logger = logging.getLogger(__name__)

_NO_ROOM = (
    "Kafinea is too busy for %d concurrent requests. Sending %d at a time, and more again when "
    "Kafinea allows it."
)
_NO_USE = (
    "Kafinea is no faster with %d concurrent requests than with %d. Sending fewer, and trying "
    "more from time to time. You can lower `max_sessions`."
)


class Session:
    """A kept-alive connection with its own session.

    Attributes:
        http: The connection.
        auth: The session.
        lock: Held while it is used, for threads that share a client of one session.
        broken_off: Whether a request may still run of which nobody awaits the answer.
    """

    def __init__(self, http: requests.Session, auth: ChallengeAuth) -> None:
        self.http = http
        self.auth = auth
        self.lock = threading.RLock()
        self.broken_off = False

    def close(self) -> None:
        """Log out, and close the connection."""
        self.auth.logout()
        self.http.close()


class Sessions:
    """Up to `most` sessions of one user, opened when they are needed.

    Threads share it. Those who wait are served in the order in which they came.

    Args:
        address: The full address of `webservice.php`.
        username: The user's name.
        access_key: The user's access key.
        most: The most sessions.
        timeout: Seconds to connect, and seconds to wait for an answer.
        per_minute: How many requests may be sent in a minute; None for any number.
    """

    def __init__(
        self,
        address: str,
        username: str,
        access_key: str,
        most: int,
        timeout: transport.Timeout,
        *,
        per_minute: int | None = None,
    ) -> None:
        self._address = address
        self._most = most
        http = open_http(address)
        self._opened = [http]
        self._pace = Pace(per_minute, self.wait)
        self._auth = ChallengeAuth(
            address,
            username,
            access_key,
            http=http,
            timeout=timeout,
            before_sending=self._pace.await_turn,
        )
        # Last in, first out: few requests at a time use few sessions.
        self._free = [Session(http, self._auth)]
        self._in_use = 0
        self._wanting_session: deque[object] = deque()
        self._limit = ConcurrencyLimit(most)
        self._under_way = 0
        self._not_before = 0.0
        self._wanting_turn: deque[object] = deque()
        self._logged: set[str] = set()
        self._closed = threading.Event()
        self._changed = threading.Condition()  # guards all that changes

    # Sessions

    @contextmanager
    def acquire(self) -> Iterator[Session]:
        """Yield a session that nobody else uses for the time of the block.

        Raises:
            Closed: The client was closed.
        """
        with self._changed:
            self._stand_in(self._wanting_session, lambda: self._in_use < self._most)
            session = self._free.pop() if self._free else self._new_session()
            self._in_use += 1
        try:
            yield session
        except (KeyboardInterrupt, SystemExit):
            session.broken_off = True
            raise
        finally:
            self._give_back(session)

    def open(self, count: int) -> None:
        """Log in to so many sessions in all, those in use included, without waiting for it."""
        with self._changed:
            missing = min(count, self._limit.baseline) - self._in_use - len(self._free)
            new = [self._new_session() for _ in range(missing)]
            self._in_use += len(new)
        if new:
            threads = ThreadPoolExecutor(len(new), thread_name_prefix="kafinea-login")
            for session in new:
                threads.submit(self._log_in, session)
            threads.shutdown(wait=False)

    def _log_in(self, session: Session) -> None:
        try:
            with self.request_slot(session, "login"):
                pass  # a turn begins with the login
        except KafineaError:
            pass  # the next user of the session logs in, and reports what is wrong
        finally:
            self._give_back(session)

    def _new_session(self) -> Session:
        http = open_http(self._address)
        self._opened.append(http)
        return Session(http, self._auth.new_session(http))

    def _give_back(self, session: Session) -> None:
        """Keep a session for others, unless they would wait for the end of a request in it."""
        with self._changed:
            self._in_use -= 1
            self._changed.notify_all()
            if not (self._closed.is_set() or session.broken_off):
                self._free.append(session)
                return
        session.http.close()

    def close(self) -> None:
        """Log out of all sessions that nobody uses, all at once; others expire by themselves.

        Whoever waits for a session, for a turn or for another try gets `Closed`.
        """
        with self._changed:
            self._closed.set()
            idle, self._free = self._free, []
            self._changed.notify_all()
        if idle:
            with ThreadPoolExecutor(len(idle)) as threads:
                list(threads.map(Session.close, idle))

    # Requests

    @contextmanager
    def request_slot(self, session: Session, kind: str) -> Iterator[None]:
        """Send one request in the block. It begins when the server has room for one more.

        Args:
            session: The session to send it in.
            kind: What is requested; requests of one kind take about the same time.

        Raises:
            Closed: The client was closed.
        """
        with self._changed:
            self._stand_in(self._wanting_turn, self._has_room)
            self._under_way += 1
            epoch = self._limit.epoch
        try:
            session.auth.user_id()  # if a login is due, its time is not the request's
            self._pace.await_turn()
            self._check_open()
            began = time.monotonic()
            yield
            self._note_answer(kind, time.monotonic() - began, epoch)
        except Unavailable as error:
            if error.busy:
                self._note_refusal(error.retry_after or 0, epoch)
            if error.silent and not error.nothing_done:
                session.broken_off = True
            raise
        finally:
            with self._changed:
                self._under_way -= 1
                self._changed.notify_all()

    def _has_room(self) -> bool:
        return self._under_way < self._limit.limit and time.monotonic() >= self._not_before

    def _note_answer(self, kind: str, seconds: float, epoch: int) -> None:
        with self._changed:
            before = self._limit.baseline
            self._limit.answered(kind, seconds, epoch)
            now = self._limit.baseline
        self._say_if_fewer(_NO_USE, before, now)

    def _note_refusal(self, retry_after: float, epoch: int) -> None:
        with self._changed:
            before = self._limit.limit
            self._limit.refused(epoch)
            now = self._limit.limit
            until = time.monotonic() + min(retry_after, LONGEST_WAIT)
            self._not_before = max(self._not_before, until)
        self._say_if_fewer(_NO_ROOM, before, now)

    def _say_if_fewer(self, text: str, before: int, now: int) -> None:
        """Say why fewer requests are sent, once: the number may change often."""
        if now < before and text not in self._logged:
            self._logged.add(text)
            logger.warning(text, before, now)

    @property
    def requests_sent(self) -> int:
        """How many requests were sent in all sessions, logins and retries included."""
        return sum(map(requests_sent, self._opened))

    # Waiting

    def server_time(self) -> datetime | None:
        """Return the time by the server's clock, if it has been heard."""
        return self._auth.server_time()

    def wait(self, seconds: float) -> None:
        """Wait, but no longer than until the client is closed.

        Raises:
            Closed: It is.
        """
        self._closed.wait(seconds)
        self._check_open()

    def _stand_in(self, line: deque[object], ready: Callable[[], bool]) -> None:
        """Wait until the first place in the line is ours and something is ready for us."""
        place = object()
        line.append(place)
        try:
            while not self._closed.is_set() and not (line[0] is place and ready()):
                pause = self._not_before - time.monotonic()
                self._changed.wait(pause if pause > 0 else None)
        finally:
            line.remove(place)
            self._changed.notify_all()
        self._check_open()

    def _check_open(self) -> None:
        if self._closed.is_set():
            raise Closed("The connection to Kafinea was closed; this request was not sent.")
