from __future__ import annotations

import time

import pytest
import requests
from sandbox_api import Api, result_of

from kafinea_sandbox import Sandbox

QUERY = "SELECT id FROM Contacts WHERE id = '12x11';"
FOUND = [{"id": "12x11"}]
CUT = (requests.ConnectionError, requests.exceptions.ChunkedEncodingError)


def ask(api: Api) -> requests.Response:
    return api.get("query", query=QUERY)


def test_fault_applies_once_and_counts(fresh: Sandbox, fresh_api: Api):
    fault = fresh.faults.add("status", operation="query", status=502)
    assert fresh_api.get("listtypes").status_code == 200
    assert [ask(fresh_api).status_code for _ in range(3)] == [502, 200, 200]
    assert (fault.seen, fault.hits) == (3, 1)


def test_fault_applies_to_the_nth_request_and_some_or_all_after(fresh: Sandbox, fresh_api: Api):
    fresh.faults.add("status", nth=2, times=2)
    assert [ask(fresh_api).status_code for _ in range(4)] == [200, 503, 503, 200]
    fresh.faults.add("status", times=None)
    assert [ask(fresh_api).status_code for _ in range(3)] == [503, 503, 503]
    fresh.faults.clear()
    assert ask(fresh_api).status_code == 200


def test_fault_of_one_operation_leaves_the_others(fresh: Sandbox, fresh_api: Api):
    fault = fresh.faults.add("status", operation="create", status=503, times=None)
    element = {"lastname": "New", "assigned_user_id": "19x1"}
    for _ in range(3):
        assert fresh_api.write("create", element, elementType="Contacts").status_code == 503
        assert fresh_api.query(QUERY) == FOUND
    assert fault.hits == 3
    assert fresh.count("Contacts") == 130


def test_fault_of_some_contents(fresh: Sandbox, fresh_api: Api):
    fresh.faults.add("status", contains="'12x11'", times=None)
    assert ask(fresh_api).status_code == 503
    assert fresh_api.query("SELECT id FROM Contacts WHERE id = '12x12';")
    element = {"lastname": "'12x11'", "assigned_user_id": "19x1"}
    assert fresh_api.write("create", element, elementType="Contacts").status_code == 503


@pytest.mark.parametrize(
    ("settings", "status", "retry_after"),
    [
        ({"status": 500}, 500, None),
        ({"status": 503}, 503, None),
        ({"status": 503, "retry_after": 2}, 503, "2"),
        ({"status": 504, "body": "<h1>504 Gateway Time-out</h1>"}, 504, None),
        ({"status": 429, "retry_after": 0}, 429, "0"),
    ],
)
def test_fault_status(
    fresh: Sandbox, fresh_api: Api, settings: dict, status: int, retry_after: str
):
    fresh.faults.add("status", **settings)
    response = ask(fresh_api)
    assert response.status_code == status
    assert response.headers.get("retry-after") == retry_after
    assert response.text == settings.get("body", "")


@pytest.mark.parametrize(
    "code", ["INVALID_SESSIONID", "SESSION_EXPIRED", "SESSION_LEFT_IDLE", "AUTHENTICATION_REQUIRED"]
)
def test_fault_session(fresh: Sandbox, fresh_api: Api, code: str):
    fresh.faults.add("session", nth=3, code=code)
    assert [ask(fresh_api).json()["success"] for _ in range(3)] == [True, True, False]
    assert fresh_api.error("listtypes")[0] == "INVALID_SESSIONID"
    assert fresh.requests[-2].code == code
    fresh_api.log_in()
    assert result_of(ask(fresh_api)) == FOUND


def test_fault_html_and_die(fresh: Sandbox, fresh_api: Api):
    fresh.faults.add("html")
    fresh.faults.add("die")
    page, death = ask(fresh_api), ask(fresh_api)
    assert page.status_code == death.status_code == 200
    assert page.text.startswith("<html>")
    assert death.text == "Sorry! Attempt to access restricted file."


def test_fault_notices(fresh: Sandbox, fresh_api: Api):
    fresh.faults.add("notices")
    response = ask(fresh_api)
    assert response.headers["content-type"].startswith("text/html")
    assert response.text.startswith("<br />\n<b>Deprecated</b>")
    assert len(response.text) > 9000
    assert response.text.endswith('{"success":true,"result":[{"id":"12x11"}]}')


def test_fault_truncate(fresh: Sandbox, fresh_api: Api):
    whole = ask(fresh_api).content
    fresh.faults.add("truncate")
    assert ask(fresh_api).content == whole[: len(whole) // 2]


@pytest.mark.parametrize(
    ("kind", "created"), [("reset", 0), ("reset_after", 1), ("fatal_after", 1), ("hang_after", 1)]
)
def test_faults_before_and_after_the_operation(
    fresh: Sandbox, fresh_api: Api, kind: str, created: int
):
    fresh.faults.add(kind, operation="create", seconds=0.05)
    element = {"lastname": "Once", "assigned_user_id": "19x1"}
    try:
        response = fresh_api.write("create", element, elementType="Contacts")
        assert (response.status_code, response.content) == (500, b"")
    except CUT:
        assert fresh.requests[-1].status is None
    text = "SELECT count(*) FROM Contacts WHERE lastname = 'Once';"
    assert fresh_api.query(text) == [{"count": str(created)}]
    assert fresh.requests.of("create")[-1].fault == kind


def test_fault_hang(fresh: Sandbox, fresh_api: Api):
    fresh.faults.add("hang", seconds=0.3)
    with pytest.raises(requests.Timeout):
        requests.get(f"{fresh_api.url}?operation=listtypes", timeout=0.1)


def test_fault_drip(fresh: Sandbox, fresh_api: Api):
    fresh.faults.add("drip", seconds=0.3)
    began = time.monotonic()
    assert result_of(ask(fresh_api)) == FOUND
    assert time.monotonic() - began > 0.2


def test_fault_latency_adds_to_another_fault(fresh: Sandbox, fresh_api: Api):
    fresh.faults.add("latency", seconds=0.2)
    fresh.faults.add("status")
    began = time.monotonic()
    assert ask(fresh_api).status_code == 503
    assert time.monotonic() - began > 0.15


def test_option_latency_applies_to_every_request():
    with Sandbox(rows=300, latency_ms=60) as sandbox:
        api = Api(sandbox)
        began = time.monotonic()
        api.get("listtypes")
        assert time.monotonic() - began > 0.04


def test_fault_empty(fresh: Sandbox, fresh_api: Api):
    fresh.faults.add("empty")
    assert [result_of(ask(fresh_api)) for _ in range(2)] == [[], FOUND]


def test_fault_redirect(fresh: Sandbox, fresh_api: Api):
    fresh.faults.add("redirect", url="http://127.0.0.1:9/stolen")
    response = ask(fresh_api)
    assert (response.status_code, response.headers["location"]) == (
        302,
        "http://127.0.0.1:9/stolen",
    )


def test_fault_echo_secrets(fresh: Sandbox, fresh_api: Api):
    fresh.faults.add("echo_secrets")
    response = ask(fresh_api)
    assert response.status_code == 500
    assert fresh_api.sid in response.text


def test_sandbox_stops_without_waiting_for_hanging_requests():
    with Sandbox(rows=300) as sandbox:
        sandbox.faults.add("hang", seconds=60)
        with pytest.raises(requests.Timeout):
            requests.get(f"{sandbox.url}/webservice.php?operation=x", timeout=0.1)
        began = time.monotonic()
    assert time.monotonic() - began < 30


def test_fault_of_an_unknown_kind_is_an_error(fresh: Sandbox):
    with pytest.raises(ValueError, match="Unknown kind of fault"):
        fresh.faults.add("nope")
