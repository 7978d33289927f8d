"""The challenge login over a real socket."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from types import SimpleNamespace

import pytest
import requests

from kafinea import ChallengeAuth, Client, CredentialsRefused, SettingsError
from kafinea.errors import NotReachable
from kafinea.login import _Token
from kafinea_sandbox import Sandbox
from kafinea_sandbox.errors import ApiError
from kafinea_sandbox.instance import sessions
from tests import raw_server
from tests.conftest import connect
from tests.raw_server import Endless, serving

ENDED = ["INVALID_SESSIONID", "SESSION_EXPIRED", "SESSION_LEFT_IDLE", "AUTHENTICATION_REQUIRED"]


def operations(sandbox):
    return [request.operation for request in sandbox.requests]


def test_login_works_whatever_the_server_calls_the_session(any_sandbox, any_client):
    any_sandbox.requests.clear()
    assert any_client.query("SELECT id FROM Currency LIMIT 1;")
    assert any_client.query("SELECT id FROM Currency LIMIT 1;")
    assert operations(any_sandbox) == ["getchallenge", "login", "query", "query"]


def test_nothing_is_sent_before_the_first_request(sandbox):
    sandbox.requests.clear()
    with connect(sandbox):
        pass
    assert operations(sandbox) == []


@pytest.mark.parametrize("code", ENDED)
def test_a_read_goes_on_after_the_session_has_ended(sandbox, client, code):
    expected = client.query("SELECT id FROM Contacts ORDER BY id;")
    sandbox.faults.add("session", operation="query", code=code)
    sandbox.requests.clear()
    assert client.query("SELECT id FROM Contacts ORDER BY id;") == expected
    assert operations(sandbox) == ["query", "login", "query"]


@pytest.mark.parametrize("code", ENDED)
def test_a_create_is_sent_again_after_the_session_has_ended_and_done_once(sandbox, client, code):
    client.listtypes()
    before = sandbox.count("Contacts")
    sandbox.faults.add("session", operation="create", code=code)
    client.create("Contacts", {"lastname": "Once", "assigned_user_id": user_id(client)})
    assert sandbox.count("Contacts") == before + 1


def user_id(client: Client) -> str:
    return client.query("SELECT id FROM Users LIMIT 1;")[0]["id"]


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("kind", ["reset", "truncate", "html"])
def test_a_login_that_fails_once_is_tried_again_whatever_needs_it(sandbox, client, kind):
    sandbox.faults.add(kind, operation="login")
    assert client.user_id() == user_id(client)


def test_sessions_that_end_again_and_again_are_opened_again_and_again(sandbox, client):
    for _ in range(10):
        client.query("SELECT id FROM Currency LIMIT 1;")
        sandbox.expire_sessions()
    assert client.query("SELECT id FROM Currency LIMIT 1;")


def test_a_wrong_access_key_is_said_in_one_clear_line(any_sandbox):
    with (
        Client(any_sandbox.url, any_sandbox.username, "wr0ngKey") as client,
        pytest.raises(CredentialsRefused) as caught,
    ):
        client.listtypes()
    assert "access_key" in str(caught.value)
    assert any_sandbox.username in str(caught.value)
    assert "wr0ngKey" not in str(caught.value)


def refusals(client, sessions, times=20):
    """What so many requests are answered by as many sessions, each of them a refusal."""

    def refusal(_):
        with pytest.raises(CredentialsRefused) as caught, client.one_session() as session:
            session.listtypes()
        return str(caught.value)

    with ThreadPoolExecutor(sessions) as threads:
        return set(threads.map(refusal, range(times)))


@pytest.mark.parametrize("count", [1, 8])
def test_a_wrong_access_key_is_tried_twice_in_all(sandbox, count, monkeypatch):
    waits = []
    monkeypatch.setattr(
        "kafinea.login.time", SimpleNamespace(**vars(time) | {"sleep": waits.append})
    )
    sandbox.requests.clear()
    with Client(sandbox.url, sandbox.username, "wr0ngKey", max_sessions=count) as client:
        client.open_sessions(count)
        assert len(refusals(client, count)) == 1
    assert sum(waits) <= 2.5
    assert Counter(operations(sandbox)) == {"getchallenge": 2, "login": 2}


@pytest.mark.usefixtures("quick")
def test_a_key_that_is_changed_during_the_run_is_tried_three_times_in_all(sandbox):
    with connect(sandbox, max_sessions=8) as client:
        assert all(all_at_once(client, 8))
        sandbox.change("Users", 1, {"accesskey": "anotherKey"})
        sandbox.expire_sessions()
        sandbox.requests.clear()
        assert len(refusals(client, 8)) == 1
        assert len(sandbox.requests.of("login")) == 3


def test_an_unknown_user_is_refused_at_once(sandbox):
    sandbox.requests.clear()
    with Client(sandbox.url, "nobody", "key") as client, pytest.raises(CredentialsRefused):
        client.listtypes()
    assert operations(sandbox) == ["getchallenge"]


REFUSAL = '{"success":false,"error":{"message":"x","code":"%s"}}'


def refuse(sandbox, code, operation="login", times=1):
    body = REFUSAL % code
    return sandbox.faults.add("status", operation=operation, times=times, status=200, body=body)


@pytest.mark.parametrize("operation", ["getchallenge", "login"])
def test_authentication_required_at_a_login_is_an_unknown_user(sandbox, operation):
    """So coreBOS answers unknown and inactive users; as an answer to others it ends a session."""
    sandbox.requests.clear()
    refuse(sandbox, "AUTHENTICATION_REQUIRED", operation, times=None)
    with connect(sandbox, max_sessions=4) as client:
        (message,) = refusals(client, 4)
    assert f"no active user '{sandbox.username}' (AUTHENTICATION_REQUIRED)" in message
    assert operations(sandbox) == ["getchallenge", "login"][: 1 + (operation == "login")]


def test_a_user_without_a_key_is_refused_at_once(sandbox):
    sandbox.requests.clear()
    refuse(sandbox, "ACCESSKEY_UNDEFINED", times=None)
    with connect(sandbox) as client:
        assert len(refusals(client, 1, times=2)) == 1
    assert operations(sandbox) == ["getchallenge", "login"]


# What servers of the family answer to a token that was used or replaced.
LOST = [
    *("INVALID_AUTH_TOKEN", "INVALID_TOKEN", "AUTHENTICATION_FAILURE", "ACCESS_DENIED"),
    *("INVALID_USER_CREDENTIALS", "AUTHENTICATION_REQUIRED", "INTERNAL_SERVER_ERROR"),
]


@pytest.mark.parametrize("code", LOST)
def test_a_server_that_takes_each_token_once_opens_all_sessions(sandbox, monkeypatch, code):
    login, used = sessions.Sessions.login, set()

    def login_once(self, user, key):
        if key in used:
            raise ApiError(code, "x")
        used.add(key)
        return login(self, user, key)

    monkeypatch.setattr(sessions.Sessions, "login", login_once)
    sandbox.requests.clear()
    with connect(sandbox, max_sessions=8) as client:
        assert all(all_at_once(client, 8))
        assert all(all_at_once(client, 8))
    refused = [login for login in sandbox.requests.of("login") if login.code]
    assert len(refused) == 2  # then it is known, and no token is used twice


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("code", LOST[:-2])
@pytest.mark.parametrize("times", [1, None])
def test_a_fresh_token_that_is_refused_is_tried_twice_whatever_the_code(sandbox, code, times):
    refuse(sandbox, code, times=times)
    with connect(sandbox) as client:
        if times:
            assert client.listtypes()
        else:
            assert code in refusals(client, 1, times=1).pop()
    assert len(sandbox.requests.of("login")) == 2


def test_the_login_reports_the_users_formats(any_sandbox, any_client):
    profile = any_client.profile()
    if any_sandbox.instance.dialect.profile:
        assert profile["time_zone"]
        assert profile["date_format"]
    assert profile["version"]
    assert not profile.keys() & {"sessionName", "sessionId", "userId"}
    with any_client.one_session() as session:
        assert session.profile() == profile
    secrets = {any_sandbox.access_key, *(r.session for r in any_sandbox.requests)}
    assert not secrets & set(profile.values())


def test_a_token_taken_away_by_another_login_is_fetched_again(sandbox, client):
    # What a server answers when a second getchallenge of the user has replaced the token.
    sandbox.faults.add(
        "status",
        operation="login",
        times=1,
        status=200,
        body='{"success":false,"error":{"message":"x","code":"INVALID_USER_CREDENTIALS"}}',
    )
    assert client.listtypes()


def test_threads_that_share_a_session_log_in_once(sandbox):
    address = sandbox.url + "/webservice.php"
    auth = ChallengeAuth(address, sandbox.username, sandbox.access_key)
    sandbox.requests.clear()

    def ask(_):
        return requests.get(
            address, params={"operation": "listtypes"}, auth=auth, timeout=60
        ).json()

    with ThreadPoolExecutor(8) as threads:
        assert all(answer["success"] for answer in threads.map(ask, range(8)))
        sandbox.expire_sessions()
        assert all(answer["success"] for answer in threads.map(ask, range(8)))
    assert operations(sandbox).count("login") == 2


def test_threads_with_a_session_each_all_log_in(sandbox):
    with connect(sandbox, max_sessions=8) as client, ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: client.query("SELECT id FROM Currency;"), range(32)))
    assert all(answers)


def all_at_once(client, sessions):
    """Use so many sessions of a client at once; what each was answered."""
    here = Barrier(sessions)

    def ask(_):
        with client.one_session() as session:
            here.wait(60)
            return session.query("SELECT id FROM Currency LIMIT 1;")

    with ThreadPoolExecutor(sessions) as threads:
        return list(threads.map(ask, range(sessions)))


def test_sessions_share_one_challenge(any_sandbox):
    any_sandbox.requests.clear()
    with connect(any_sandbox, max_sessions=8) as client:
        assert all(all_at_once(client, 8))
        asked = Counter(operations(any_sandbox))
        assert asked == {"getchallenge": 1, "login": 8, "query": 8}
        assert len({request.session for request in any_sandbox.requests.of("query")}) == 8
        any_sandbox.requests.clear()
        any_sandbox.expire_sessions()
        assert all(all_at_once(client, 8))
        assert Counter(operations(any_sandbox)) == {"login": 8, "query": 16}


@pytest.mark.parametrize("moment", ["2001-02-03 04:05:06", "2090-02-03 04:05:06"])
def test_the_clock_of_the_server_does_not_matter(sandbox, moment):
    sandbox.set_time(moment)
    sandbox.requests.clear()
    with connect(sandbox, max_sessions=4) as client:
        assert all(all_at_once(client, 4))
        assert operations(sandbox).count("getchallenge") == 1


def test_a_token_that_does_not_live_long_serves_one_login(sandbox, monkeypatch):
    monkeypatch.setattr(sessions, "TOKEN_SECONDS", 5)
    sandbox.requests.clear()
    with connect(sandbox, max_sessions=4) as client:
        assert all(all_at_once(client, 4))
    asked = Counter(operations(sandbox))
    assert asked["getchallenge"] == asked["login"] == 4


def test_a_challenge_of_another_process_costs_a_retry_and_no_failure(any_sandbox):
    with connect(any_sandbox, max_sessions=8) as client:
        client.listtypes()
        address = any_sandbox.url + "/webservice.php"
        asked = {"operation": "getchallenge", "username": any_sandbox.username}
        assert requests.get(address, params=asked, timeout=60).json()["success"]
        any_sandbox.requests.clear()
        assert all(all_at_once(client, 8))
        logins = any_sandbox.requests.of("login")
        assert len([login for login in logins if login.code is None]) == 7
        assert len(logins) <= 14
        assert len(any_sandbox.requests.of("getchallenge")) <= 7


@pytest.mark.parametrize(
    "said", [{}, {"expireTime": "soon", "serverTime": 1}, {"expireTime": 10**9, "serverTime": 1}]
)
def test_a_token_whose_life_is_not_said_is_used_for_a_short_time(said):
    token = _Token()
    token.keep({"token": "x", **said}, asked=time.monotonic())
    assert token.fresh() == "x"
    token.keep({"token": "x", **said}, asked=time.monotonic() - 60)
    assert token.fresh() is None


LOGIN = """
import sys
from kafinea import Client
for _ in range(5):
    with Client(*sys.argv[1:]) as client:
        print(len(client.query("SELECT id FROM Currency;")))
"""


def test_processes_that_log_the_same_user_in_at_once_all_succeed(sandbox):
    arguments = [sandbox.url, sandbox.username, sandbox.access_key]
    processes = [
        subprocess.Popen([sys.executable, "-c", LOGIN, *arguments], stdout=subprocess.PIPE)
        for _ in range(4)
    ]
    outputs = [process.communicate(timeout=60)[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0] * 4
    assert all(len(output) == 5 for output in outputs)


def test_leaving_logs_out_of_every_session(any_sandbox):
    with connect(any_sandbox, max_sessions=3) as client, ThreadPoolExecutor(3) as threads:
        list(threads.map(lambda _: client.listtypes(), range(12)))
        any_sandbox.requests.clear()
    assert set(operations(any_sandbox)) == {"logout"}


@pytest.mark.parametrize("fault", ["status", "hang", "reset"])
def test_a_logout_that_fails_does_no_harm(sandbox, fault):
    sandbox.faults.add(fault, operation="logout", status=500, seconds=1)
    with connect(sandbox) as client:
        client.listtypes()


def test_extendsession_is_granted_by_get_or_by_post_or_not_at_all(any_sandbox, any_client):
    granted = {"kafinea", "stock"}
    any_client.listtypes()
    any_sandbox.requests.clear()
    assert any_client.extendsession() is (any_sandbox.instance.options.dialect in granted)
    assert any_client.query("SELECT id FROM Currency LIMIT 1;")
    assert "login" not in operations(any_sandbox)


def test_no_credential_follows_a_redirect(sandbox):
    with Sandbox(rows=50) as elsewhere:
        elsewhere.requests.clear()
        for operation in ["getchallenge", "login", "query", "create"]:
            sandbox.faults.clear()
            sandbox.faults.add(
                "redirect", operation=operation, url=elsewhere.url + "/webservice.php"
            )
            with connect(sandbox) as client, pytest.raises(NotReachable, match="another address"):
                client.create("Contacts", {"lastname": str(client.query("SELECT id FROM Tax;"))})
        assert operations(elsewhere) == []


@pytest.mark.parametrize(
    "url",
    [
        "http://kafinea.example.com/x",
        "ftp://kafinea.example.com",
        "kafinea.example.com",
        "",
        "https://user:pass@kafinea.example.com",
        "http://localhost.example.com",
    ],
)
def test_addresses_that_are_not_safe_or_no_addresses_are_refused(url):
    with pytest.raises(SettingsError):
        Client(url, "ada", "key")


@pytest.mark.parametrize(
    ("url", "allow_http"),
    [
        ("https://kafinea.example.com/x", False),
        ("http://127.0.0.1:1/x/", False),
        ("http://localhost/webservice.php", False),
        ("http://[::1]:80", False),
        ("http://kafinea.example.com", True),
    ],
)
def test_https_loopback_and_what_the_user_allowed_are_accepted(url, allow_http):
    Client(url, "ada", "key", allow_http=allow_http)


def test_the_address_may_name_the_script_or_not(sandbox):
    for url in [sandbox.url, sandbox.url + "/", sandbox.url + "/MyCompany/webservice.php"]:
        with Client(url, sandbox.username, sandbox.access_key) as client:
            assert client.listtypes()


def test_one_session_is_never_asked_two_things_at_once(sandbox):
    with connect(sandbox, max_sessions=3) as client, ThreadPoolExecutor(12) as threads:
        list(threads.map(lambda _: client.query("SELECT * FROM Contacts;"), range(60)))
    assert len({request.session for request in sandbox.requests.of("query")}) == 3
    assert max(request.at_once for request in sandbox.requests) <= 3
    assert not any(request.overlapped for request in sandbox.requests)


def test_a_logout_that_hangs_does_not_hold_the_user_up(sandbox):
    sandbox.faults.add("hang", operation="logout", seconds=30)
    client = connect(sandbox)
    client.listtypes()
    began = time.monotonic()
    client.close()
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("operation", ["getchallenge", "login", "listtypes"])
@pytest.mark.parametrize("place", [b"http://[", b"http://h\xe9/", "http://\u2100.c/".encode()])
def test_a_redirect_to_no_address_is_a_redirect(operation, place):
    head = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: %b\r\n\r\n" % place
    with (
        serving(Endless(**{operation: lambda: [head]})) as url,
        Client(url, "ada", "key") as client,
        pytest.raises(NotReachable, match="redirects to another address"),
    ):
        client.listtypes()


@pytest.mark.parametrize(
    ("operation", "name"), [("getchallenge", "token"), ("login", "sessionName")]
)
def test_a_token_or_session_of_megabytes_is_none(operation, name):
    honest = {"getchallenge": raw_server.TOKEN, "login": raw_server.LOGIN}[operation]
    said = raw_server.answer({**honest, name: "x" * 2**22})
    server = Endless(**{operation: lambda: [said]})
    with (
        serving(server) as url,
        Client(url, "ada", "key") as client,
        pytest.raises(NotReachable, match=f"answered the login without {name}"),
    ):
        client.listtypes()
    assert server.longest < 10_000
