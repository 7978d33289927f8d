from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from typing import Any

import pytest
import requests
from sandbox_api import Api, error_of, md5, result_of, small_company

from kafinea_sandbox import Sandbox
from kafinea_sandbox.instance.call import Call
from kafinea_sandbox.operations.table import OPERATIONS

WRONG = ("INVALID_USER_CREDENTIALS", "Invalid username or password")
EXPIRED = ("INVALID_AUTH_TOKEN", "Specified token is invalid or expired")
NO_SESSION = ("INVALID_SESSIONID", "Session Identifier provided is Invalid")
NEEDED = ("AUTHENTICATION_REQUIRED", "Authencation required")


def key(api: Api, token: str) -> str:
    return md5(token + api.sandbox.access_key)


def test_challenge_expires_after_300_seconds(api: Api) -> None:
    began = int(time.time())
    answer = api.ok("getchallenge", username="admin")
    assert list(answer) == ["token", "serverTime", "expireTime"]
    assert len(answer["token"]) == 13
    int(answer["token"], 16)
    assert answer["expireTime"] - answer["serverTime"] == 300
    assert began <= answer["serverTime"] <= time.time()


def test_login_answers_profile_session_and_versions(api: Api) -> None:
    answer = api.log_in()
    assert list(answer) == [
        *("username", "first_name", "last_name", "email", "time_zone", "hour_format"),
        *("date_format", "is_admin", "call_duration", "other_event_duration"),
        *("sessionName", "userId", "version", "vtigerVersion"),
    ]
    assert answer["userId"] == "19x1"
    assert (answer["version"], answer["vtigerVersion"]) == ("0.22", "8.0.0")


def test_challenge_errors(api: Api) -> None:
    assert api.error("getchallenge", username="nobody") == (
        "ACCESS_DENIED",
        "username does not exists",
    )
    assert api.error("getchallenge") == ("ACCESS_DENIED", "No username given")
    by_post = api.error_post("getchallenge", username="admin")
    assert by_post == ("ACCESS_DENIED", "No username given")


def test_user_name_in_any_case(api: Api) -> None:
    assert api.ok("getchallenge", username="ADMIN")["token"]


def test_login_with_a_bad_key(api: Api) -> None:
    token = api.ok("getchallenge", username="admin")["token"]
    for sent in ({"accessKey": md5(token + "x")}, {}, {"accessKey": key(api, token).upper()}):
        assert api.error_post("login", username="admin", **sent) == WRONG


def test_token_is_superseded_by_a_newer_one(api: Api) -> None:
    old = api.ok("getchallenge", username="admin")["token"]
    time.sleep(0.001)
    api.ok("getchallenge", username="admin")
    assert api.error_post("login", username="admin", accessKey=key(api, old)) == WRONG


def test_token_is_not_consumed(api: Api) -> None:
    token = api.ok("getchallenge", username="admin")["token"]
    api.error_post("login", username="admin", accessKey="wrong")
    first = api.ok_post("login", username="admin", accessKey=key(api, token))
    second = api.ok_post("login", username="admin", accessKey=key(api, token))
    assert first["sessionName"] != second["sessionName"]


def test_login_without_a_challenge(api: Api) -> None:
    token = api.ok("getchallenge", username="admin")["token"]
    assert api.error_post("login", username="nobody", accessKey="x") == EXPIRED
    assert api.error("login", username="admin", accessKey=key(api, token)) == EXPIRED


def test_token_expires(fresh: Sandbox, fresh_api: Api) -> None:
    token = fresh_api.ok("getchallenge", username="admin")["token"]
    fresh.set_time(datetime.fromtimestamp(time.time() + 301, timezone.utc))
    assert (
        fresh_api.error_post("login", username="admin", accessKey=key(fresh_api, token)) == EXPIRED
    )


def test_login_of_inactive_and_keyless_users(api: Api) -> None:
    for name, expected in (("gone", WRONG[0]), ("keyless", "ACCESSKEY_UNDEFINED")):
        token = api.ok("getchallenge", username=name)["token"]
        sent = md5(token + api.sandbox.access_key_of(name))
        assert api.error_post("login", username=name, accessKey=sent)[0] == expected


def test_logins_of_one_user_invalidate_each_other(fresh: Sandbox, fresh_api: Api) -> None:
    fresh.faults.add("latency", operation="login", times=None, seconds=0.1)
    outcomes: list[bool] = []

    def log_in() -> None:
        token = fresh_api.ok("getchallenge", username="admin")["token"]
        response = requests.post(
            fresh_api.url,
            data={"operation": "login", "username": "admin", "accessKey": key(fresh_api, token)},
            timeout=9,
        )
        outcomes.append(response.json()["success"])

    threads = [threading.Thread(target=log_in) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(outcomes) < 8


def test_login_sets_no_cookie(api: Api) -> None:
    assert not api.get("listtypes").cookies


@pytest.mark.parametrize("sent", [{"sessionName": ""}, {"sessionName": "null"}])
def test_session_missing(api: Api, sent: dict) -> None:
    assert api.error("query", query="SELECT id FROM Contacts;", **sent) == NEEDED


@pytest.mark.parametrize("sid", ["deadbeef123", "../x y"])
def test_session_unknown(api: Api, sid: str) -> None:
    assert api.error("query", query="SELECT id FROM Contacts;", sessionName=sid) == NO_SESSION
    assert (
        api.error_post("create", elementType="Contacts", element="{}", sessionName=sid)
        == NO_SESSION
    )


def test_session_in_the_query_string_of_a_post(api: Api) -> None:
    data = {"operation": "create", "elementType": "Contacts", "element": "{}"}
    response = requests.post(f"{api.url}?sessionName={api.sid}", data=data, timeout=9)
    assert error_of(response)[0] == "MANDATORY_FIELDS_MISSING"


def test_session_ends_after_1440_idle_seconds(fresh: Sandbox, fresh_api: Api) -> None:
    now = time.time()
    for idle in (1400, 2800):
        fresh.set_time(datetime.fromtimestamp(now + idle, timezone.utc))
        assert fresh_api.ok("listtypes")
    fresh.set_time(datetime.fromtimestamp(now + 2800 + 1441, timezone.utc))
    assert fresh_api.error("listtypes") == NO_SESSION


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("SESSION_LEFT_IDLE", "Session has been invalidated to due lack activity"),
        ("SESSION_EXPIRED", "Session has life span over please login again"),
        ("INVALID_SESSIONID", NO_SESSION[1]),
    ],
)
def test_session_expiry_codes(fresh: Sandbox, fresh_api: Api, code: str, message: str) -> None:
    assert fresh.expire_sessions(code) == 1
    assert fresh_api.error("listtypes") == (code, message)
    assert fresh_api.error("listtypes") == NO_SESSION


def test_extendsession_by_post(api: Api) -> None:
    assert api.ok_post("extendsession") == {
        "sessionName": api.sid,
        "userId": "19x1",
        "version": "0.22",
        "vtigerVersion": "8.0.0",
    }
    assert api.error("extendsession") == NEEDED
    failed = ("AUTHENTICATION_FAILURE", "Authencation Failed")
    assert api.error_post("extendsession", sessionName="", PHPSESSID=api.sid) == failed


def test_logout(fresh_api: Api) -> None:
    assert fresh_api.error("logout")[0] == "OPERATION_NOT_SUPPORTED"
    assert fresh_api.ok_post("logout") == {"message": "successfull"}
    assert fresh_api.error_post("logout") == NO_SESSION
    assert fresh_api.error("listtypes") == NO_SESSION


def test_sessions_of_one_user_coexist(fresh: Sandbox) -> None:
    one, two = Api(fresh), Api(fresh)
    assert one.sid != two.sid
    assert one.ok("listtypes") == two.ok("listtypes")


def test_session_runs_one_request_at_a_time(
    fresh: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = Api(fresh), Api(fresh)
    query, may_end = OPERATIONS["query"], threading.Event()

    def slow_query(call: Call) -> Any:
        assert may_end.wait(60)
        return query.run(call)

    monkeypatch.setitem(OPERATIONS, "query", query._replace(run=slow_query))
    with ThreadPoolExecutor(2) as threads:
        slow = threads.submit(one.query, "SELECT id FROM Contacts LIMIT 1;")
        _until(lambda: bool(fresh.requests.of("query")))
        assert two.ok("listtypes")
        same = threads.submit(one.ok, "listtypes")
        _until(lambda: len(fresh.requests.of("listtypes")) == 2)
        assert not same.done()
        may_end.set()
        assert slow.result()
        assert same.result()
    first, second = [r for r in fresh.requests if r.operation == "listtypes"]
    assert (first.overlapped, second.overlapped) == (False, True)
    assert (first.session, second.session) == (2, 1)


def _until(condition: Callable[[], bool]) -> None:
    while not condition():  # pytest-timeout ends it
        time.sleep(0.005)


def test_session_outlives_deactivation(fresh: Sandbox, fresh_api: Api) -> None:
    fresh.change("Users", 1, {"status": "Inactive"})
    assert fresh_api.query("SELECT id FROM Contacts LIMIT 1;")


def test_login_of_kafinea_follows_its_documentation() -> None:
    with Sandbox(company=small_company()) as sandbox:
        api = Api(sandbox)
        answer = api.log_in()
        assert list(answer) == ["sessionId", "userId", "version", "kafineaVersion"]
        assert api.ok("extendsession")["sessionId"] == api.sid
        assert result_of(api.get("listtypes"))["types"]


@pytest.mark.parametrize(
    "code", ["INVALID_AUTH_TOKEN", "INVALID_TOKEN", "AUTHENTICATION_FAILURE", "ACCESS_DENIED"]
)
@pytest.mark.parametrize("dialect", ["stock", "corebos"])
def test_token_of_a_server_that_accepts_it_once(dialect: str, code: str) -> None:
    with Sandbox(dialect=dialect, company=small_company(), used_token=code) as sandbox:
        api = Api(sandbox)
        token = api.ok("getchallenge", username="admin")["token"]
        wrong = api.error_post("login", username="admin", accessKey="x")
        assert wrong[0] == "INVALID_USER_CREDENTIALS"
        api.ok_post("login", username="admin", accessKey=key(api, token))
        assert api.error_post("login", username="admin", accessKey=key(api, token))[0] == code
        time.sleep(0.001)
        newer = api.ok("getchallenge", username="admin")["token"]
        assert api.error_post("login", username="admin", accessKey=key(api, token))[0] == code
        api.ok_post("login", username="admin", accessKey=key(api, newer))
        assert len(sandbox.requests.of("getchallenge")) == 3
        assert [bool(one.code) for one in sandbox.requests.of("login")] == [
            *(False, True, False),
            *(True, True, False),
        ]
