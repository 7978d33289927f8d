"""The challenge login within the process: which requests are sent, and when it stops."""

from __future__ import annotations

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from itertools import count
from types import SimpleNamespace

import pytest

from kafinea import masking
from kafinea.errors import CredentialsRefused, NotReachable, Refused, SessionEnded, Unavailable
from kafinea.login import Grant, Login

KEY = "theAccessKey"
START = datetime(2026, 7, 1, tzinfo=timezone.utc)
LIFE = {"serverTime": int(START.timestamp()), "expireTime": int(START.timestamp()) + 300}


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """A clock that stands still, unless somebody sleeps. It notes for how long they do."""
    clock = SimpleNamespace(now=1000.0, waits=[])

    def sleep(seconds):
        clock.waits.append(seconds)
        clock.now += seconds

    timing = SimpleNamespace(monotonic=lambda: clock.now, sleep=sleep)
    monkeypatch.setattr("kafinea.login.time", timing)
    monkeypatch.setattr(
        "kafinea.login.random", SimpleNamespace(uniform=lambda *spread: max(spread))
    )
    return clock


class Server:
    """What answers the requests of a login."""

    def __init__(self, **challenge):
        self.challenge = {**LIFE, **challenge}
        self.session = {"sessionName": "session-{}", "userId": "19x1", "version": "0.22"}
        self.refuse = lambda _: None  # returns the code with which a login is refused
        self.sent = []
        self.tokens = (f"token-no-{n}" for n in count(1))
        self.logins = count(1)

    def send(self, method, operation, **parameters):
        self.sent.append(operation)
        if operation == "getchallenge":
            assert (method, parameters) == ("GET", {"username": "Ada"})
            self._fail_with(self.refuse(operation))
            return {"token": next(self.tokens), **self.challenge}
        assert (method, parameters.keys()) == ("POST", {"username", "accessKey"})
        assert parameters["username"] == "Ada"
        self._fail_with(self.refuse(parameters["accessKey"]))
        number = next(self.logins)
        texts = {name: str(text).format(number) for name, text in self.session.items()}
        return {**texts, "number": 5}

    def _fail_with(self, code):
        if code:
            error = (
                SessionEnded
                if code in {"AUTHENTICATION_REQUIRED", "INVALID_SESSIONID"}
                else Refused
            )
            raise error("said the server", code=code)


def login_of(name, key=KEY):
    """A login to a server of its own, for those of one server stand in line."""
    return Login(f"http://{name}/webservice.php", "Ada", key)


def digest(token, key=KEY):
    return hashlib.md5((token + key).encode()).hexdigest()


@pytest.fixture
def login(request):
    return login_of(request.node.name)


def test_first_login_takes_a_challenge_and_others_use_its_token(login):
    server = Server()
    server.session |= {"accesskey": "secret", "user_hash": "x", "sessionId": "y"}
    first = login.open(server.send)
    assert first == Grant("session-1", "19x1", {"version": "0.22"}, "token-no-1")
    others = [login.open(server.send) for _ in range(3)]
    assert [one.session_name for one in others] == ["session-2", "session-3", "session-4"]
    assert server.sent == ["getchallenge", "login", "login", "login", "login"]


def test_login_sends_the_digest_of_token_and_key_and_nothing_of_it_is_shown(login):
    server, digests = Server(token="the-only-token"), []
    server.refuse = digests.append
    granted = login.open(server.send)
    assert digests == ["getchallenge", digest("the-only-token")]
    shown = masking.masked(f"<{KEY}> <the-only-token> <{digests[1]}> <{granted.session_name}>")
    assert shown == "<***> <***> <***> <***>"


@pytest.mark.parametrize(
    ("session", "challenge", "message"),
    [
        ({"sessionName": ""}, {}, "sessionName or sessionId"),
        ({"sessionName": "x" * 4097}, {}, "sessionName or sessionId"),
        ({"userId": ""}, {}, "userId"),
        ({}, {"token": None}, "token"),
        ({}, {"token": "x" * 4097}, "token"),
    ],
)
def test_answer_without_what_a_login_needs_is_of_another_server(login, session, challenge, message):
    server = Server(**challenge)
    server.session |= session
    with pytest.raises(NotReachable, match=f"answered the login without {message}. Check"):
        login.open(server.send)


def test_answer_that_is_no_map_is_of_another_server(login):
    with pytest.raises(NotReachable, match="without token"):
        login.open(lambda *_, **__: ["token"])


@pytest.mark.parametrize(
    "session", [{"sessionId": "other-{}"}, {"sessionName": "", "sessionId": "other-{}"}]
)
def test_session_has_either_name(login, session):
    server = Server(token="x" * 4096)
    server.session = {"userId": "19x1", **session}
    assert login.open(server.send).session_name == "other-1"


REFUSED = (
    "Kafinea does not accept this access key for user 'Ada' ({}). Check `username` and "
    '`access_key`. The access key is in Kafinea under "My preferences"; it is not the password.'
)
UNKNOWN = (
    "Kafinea has no active user 'Ada' ({}). Check `username`, and that the user is active in "
    "Kafinea."
)


@pytest.mark.parametrize(
    ("code", "where", "message", "sent"),
    [
        ("INVALID_USER_CREDENTIALS", "login", REFUSED, ["getchallenge", "login"] * 2),
        ("INVALID_AUTH_TOKEN", "login", REFUSED, ["getchallenge", "login"] * 2),
        ("INVALID_SESSIONID", "login", REFUSED, ["getchallenge", "login"] * 2),
        ("ACCESSKEY_UNDEFINED", "login", REFUSED, ["getchallenge", "login"]),
        ("AUTHENTICATION_REQUIRED", "login", UNKNOWN, ["getchallenge", "login"]),
        ("ACCESS_DENIED", "getchallenge", UNKNOWN, ["getchallenge"]),
        ("AUTHENTICATION_REQUIRED", "getchallenge", UNKNOWN, ["getchallenge"]),
    ],
)
def test_refusal_is_final_after_two_attempts_at_most(login, clock, code, where, message, sent):
    server = Server()
    server.refuse = lambda what: code if (what == "getchallenge") == (where != "login") else None
    for _ in range(3):
        with pytest.raises(CredentialsRefused) as caught:
            login.open(server.send)
        assert str(caught.value) == message.format(code)
    assert server.sent == sent
    assert clock.waits == [0, 2.5][: len(sent) // 2 or 1]


@pytest.mark.parametrize("where", ["getchallenge", "login"])
@pytest.mark.parametrize("code", ["DATABASE_QUERY_ERROR", "INTERNAL_SERVER_ERROR"])
def test_failure_of_the_server_is_no_refusal(login, where, code):
    server = Server()
    server.refuse = lambda what: code if (what == "getchallenge") == (where != "login") else None
    for _ in range(5):
        with pytest.raises(Unavailable) as caught:
            login.open(server.send)
        assert caught.value.nothing_done
    server.refuse = lambda _: None
    assert login.open(server.send).session_name == "session-1"


def test_key_that_was_accepted_before_is_tried_three_times(login, clock):
    server = Server()
    first = login.open(server.send)
    server.refuse = lambda what: "INVALID_USER_CREDENTIALS" if what != "getchallenge" else None
    server.sent.clear()
    with pytest.raises(CredentialsRefused):
        login.open(server.send, instead_of=first)
    # Once with the token of the others, and twice with one of its own.
    assert server.sent == ["login", *["getchallenge", "login"] * 2]
    assert clock.waits == [0, 2.5, 5.0]


def test_refusal_counts_no_more_after_a_login(login, clock):
    server, answers = Server(), iter(["INVALID_AUTH_TOKEN", None] * 3)
    server.refuse = lambda what: next(answers) if what != "getchallenge" else None
    for _ in range(3):
        login.open(server.send)
        clock.now += 300  # the token is no longer used
    assert server.sent == ["getchallenge", "login"] * 6
    assert clock.waits == [0, 2.5] * 3


def test_server_that_takes_each_token_once_is_known_after_two_refusals(login):
    server, used = Server(), set()

    def once(what):
        if what == "getchallenge":
            return None
        known = what in used
        used.add(what)
        return "INVALID_AUTH_TOKEN" if known else None

    server.refuse = once
    for _ in range(5):
        login.open(server.send)
    logins = ["getchallenge", "login"]
    assert server.sent == [*logins, "login", *logins, "login", *logins, *logins, *logins]


def test_token_that_another_process_has_replaced_is_lost_and_the_next_one_shared(login):
    server, lost = Server(), set()
    server.refuse = lambda what: "INVALID_AUTH_TOKEN" if what in lost else None
    for round_ in range(1, 5):
        for _ in range(3):
            login.open(server.send)
        lost.add(digest(f"token-no-{round_}"))
    # The first one that is refused takes a challenge, and the others its token.
    round_of = ["login", "getchallenge", "login", "login", "login"]
    assert server.sent == ["getchallenge", "login", "login", "login", *round_of * 3]


def test_token_that_was_shared_says_that_the_server_shares(login):
    server, lost = Server(), set()
    server.refuse = lambda what: "INVALID_AUTH_TOKEN" if what in lost else None
    for opened, token in [(2, 1), (1, 2), (2, 3)]:
        for _ in range(opened):
            login.open(server.send)
        lost.add(digest(f"token-no-{token}"))
    # The second token was replaced before anybody shared it, which says nothing yet.
    again = ["login", "getchallenge", "login"]
    assert server.sent == ["getchallenge", "login", "login", *again, *again, "login"]


def test_refusal_counts_no_more_after_a_token_was_shared(login, clock):
    server = Server()
    for seconds in (0, 300, 0):
        login.open(server.send)
        clock.now += seconds
    assert server.sent == ["getchallenge", "login", "login", "getchallenge", "login"]
    assert clock.waits == [0, 0]


def test_sessions_that_share_a_token_do_not_wait_for_each_other(login):
    server, both = Server(), threading.Barrier(2, timeout=60)
    for _ in range(3):
        login.open(server.send)

    def send(*request, **parameters):
        both.wait()
        return server.send(*request, **parameters)

    with ThreadPoolExecutor() as pool:
        granted = list(pool.map(login.open, [send, send]))
    assert len({one.session_name for one in granted}) == 2
    assert server.sent == ["getchallenge", *["login"] * 5]


@pytest.mark.parametrize(
    ("life", "seconds"),
    [
        ({}, 295),
        ({"expireTime": LIFE["serverTime"] + 6}, 1),
        ({"expireTime": LIFE["serverTime"] + 86_400}, 86_395),
        ({"expireTime": LIFE["serverTime"] + 86_401}, 15),
        ({"expireTime": LIFE["serverTime"]}, 15),
        ({"expireTime": LIFE["serverTime"] - 9}, 15),
        ({"expireTime": None}, 15),
        ({"serverTime": None, "expireTime": None}, 15),
        ({"serverTime": "soon", "expireTime": 60}, 55),
    ],
)
def test_token_is_used_as_long_as_it_surely_lives(login, clock, life, seconds):
    server = Server(**life)
    login.open(server.send)
    clock.now += seconds - 0.5
    login.open(server.send)
    assert server.sent == ["getchallenge", "login", "login"]
    clock.now += 0.5
    login.open(server.send)
    assert server.sent[3:] == ["getchallenge", "login"]


@pytest.mark.parametrize("seconds", [1, 5])
def test_token_that_may_expire_on_its_way_serves_one_login(login, seconds):
    server = Server(expireTime=LIFE["serverTime"] + seconds)
    for _ in range(3):
        login.open(server.send)
    assert server.sent == ["getchallenge", "login"] * 3


@pytest.mark.parametrize("server_time", ["soon", -1, None, 10**17])
def test_server_without_a_clock_has_no_time(login, server_time):
    login.open(Server(serverTime=server_time).send)
    assert login.server_time() is None


def test_time_of_the_server_goes_on(login, clock):
    assert login.server_time() is None
    login.open(Server().send)
    clock.now += 60
    assert login.server_time() == START.replace(minute=1)
