"""How a session is put into a request, and how an answer shows that it has ended."""

from __future__ import annotations

import io
import json

import pytest
import requests
from requests.adapters import HTTPAdapter

from kafinea import ChallengeAuth, transport
from kafinea.auth import _add_session, _session_has_ended
from kafinea.contents import Form
from kafinea.errors import Unavailable

ADDRESS = "http://localhost/webservice.php"


def prepared(method, *, url=ADDRESS, data=None):
    return requests.Request(method, url, data=data).prepare()


@pytest.mark.parametrize(
    ("method", "query", "data", "url", "body"),
    [
        ("GET", "?operation=query", None, "?operation=query&sessionName=a%2Bb", None),
        ("GET", "", None, "?sessionName=a%2Bb", None),
        ("POST", "", {"operation": "create"}, "", "operation=create&sessionName=a%2Bb"),
        ("POST", "?x=1", None, "?x=1&sessionName=a%2Bb", None),
        ("PUT", "?x=1", {"y": "2"}, "?x=1&sessionName=a%2Bb", "y=2"),
    ],
)
def test_session_stands_with_the_other_parameters(method, query, data, url, body):
    request = prepared(method, url=ADDRESS + query, data=data)
    _add_session(request, "a+b")
    assert (request.url, request.body) == (ADDRESS + url, body)
    assert request.headers.get("Content-Length", "0") == str(len(body or ""))


def test_session_stands_in_the_form_of_a_file():
    request = prepared("POST")
    transport.use_form(request, Form("operation=fileupload", "contents", io.BytesIO(b"abc")))
    _add_session(request, "a+b")
    body = b"".join(request.body)
    assert (request.url, body) == (
        ADDRESS,
        b"operation=fileupload&sessionName=a%2Bb&contents=YWJj",
    )
    assert request.headers["Content-Length"] == str(len(body))


def refusal(code, message="x"):
    return json.dumps({"success": False, "error": {"code": code, "message": message}})


@pytest.mark.parametrize(
    ("content", "has_ended"),
    [
        (refusal("INVALID_SESSIONID"), True),
        (refusal("SESSION_EXPIRED"), True),
        (refusal("SESSION_LEFT_IDLE"), True),
        (refusal("AUTHENTICATION_REQUIRED"), True),
        (refusal("SESSION_EXPIRED", "\u30bb" * 200), True),
        (refusal("SESSION_EXPIRED").replace("}}", ', "trace": "' + "x" * 9999 + '"}}'), True),
        (refusal("ACCESS_DENIED"), False),
        (refusal("ACCESS_DENIED", "INVALID_SESSIONID"), False),
        ('{"success":true,"result":"INVALID_SESSIONID"}', False),
        ("<html>INVALID_SESSIONID</html>", False),
        ("", False),
    ],
)
def test_session_has_ended_if_the_answer_says_so(content, has_ended):
    response = requests.Response()
    response.status_code, response._content = 200, content.encode()
    response.headers["Content-Type"] = "application/json"
    response.request = prepared("GET")
    assert _session_has_ended(response) is has_ended


class Noting(HTTPAdapter):
    """A connection that notes what is sent on it."""

    def __init__(self):
        super().__init__()
        self.timeouts = []

    def send(self, request, **options):
        self.timeouts.append(options["timeout"])
        return super().send(request, **options)


def test_further_session_logs_in_on_its_own_connection_by_the_same_rules(sandbox):
    address, before = sandbox.url + "/webservice.php", []
    auth = ChallengeAuth(
        address, sandbox.username, sandbox.access_key,
        timeout=(7, 8), before_sending=lambda: before.append(1),
    )  # fmt: skip
    http, noting = requests.Session(), Noting()
    http.mount("http://", noting)
    other = auth.new_session(http)
    assert other.user_id() == auth.user_id()
    assert noting.timeouts == [(7, 8)] * 2
    assert len(before) == 3  # a challenge and a login, and a login with the same token


def test_answer_after_a_new_login_is_that_of_the_request_with_the_new_session(sandbox):
    address = sandbox.url + "/webservice.php"
    auth = ChallengeAuth(address, sandbox.username, sandbox.access_key)
    asked = {"params": {"operation": "listtypes"}, "auth": auth, "timeout": 60}
    first = requests.get(address, **asked)
    sandbox.expire_sessions()
    second = requests.get(address, **asked)
    assert second.json() == first.json()
    (ended,) = second.history
    assert ended.request.url == first.request.url != second.request.url


def test_logout_ends_the_session_and_waits_for_seconds_only(sandbox):
    address, http, noting = sandbox.url + "/webservice.php", requests.Session(), Noting()
    http.mount("http://", noting)
    before = []
    auth = ChallengeAuth(
        address, sandbox.username, sandbox.access_key,
        http=http, before_sending=lambda: before.append(1),
    )  # fmt: skip
    request = auth(prepared("GET", url=f"{address}?operation=listtypes"))
    auth.logout()
    answer = requests.get(request.url, timeout=60).json()
    assert answer["error"]["code"] == "INVALID_SESSIONID"
    assert noting.timeouts[-1] == (5, 5)
    auth.logout()
    assert len(noting.timeouts) == 3  # a challenge, a login and a logout
    assert len(before) == 2  # nothing waits with a logout


def test_request_that_waits_for_a_login_was_not_sent_if_that_fails(sandbox):
    sandbox.faults.add("status", operation="login", status=503)
    auth = ChallengeAuth(sandbox.url + "/webservice.php", sandbox.username, sandbox.access_key)
    with pytest.raises(Unavailable) as caught:
        auth(prepared("POST"))
    assert caught.value.nothing_done is True
