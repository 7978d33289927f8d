"""Who can ask a sandbox, and what nobody can make it do."""

from __future__ import annotations

import http.client
import json
import socket
import sqlite3
import stat
from pathlib import Path

import pytest
import requests
from sandbox_api import Api, small_company

from kafinea_sandbox import Sandbox
from kafinea_sandbox.server import gate

JSON = {"Content-Type": "application/json"}


def ask(sandbox: Sandbox, headers: object, path: str, method: str = "GET", body: bytes = b""):
    """The status and the body of an answer to exactly these headers."""
    connection = http.client.HTTPConnection(*address(sandbox), timeout=60)
    connection.putrequest(method, path, skip_host=True)
    for name, value in dict(headers).items():
        for one in [value] if isinstance(value, str) else value:
            connection.putheader(name, one)
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, content


def address(sandbox: Sandbox) -> tuple[str, int]:
    host, _, port = sandbox.url.removeprefix("http://").partition(":")
    return host, int(port)


def steering(sandbox: Sandbox, **headers: str) -> dict[str, str]:
    token = {"Authorization": f"Bearer {sandbox.control_token}"}
    return {"Host": f"localhost:{address(sandbox)[1]}", **JSON, **token} | headers


LOGIN = "/x/webservice.php?operation=getchallenge&username=admin"


@pytest.mark.parametrize("path", [LOGIN, "/_control/count"])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example:{port}"}, 421),
        ({"Host": "evil.example"}, 421),
        ({"Host": "127.0.0.1.evil.example:{port}"}, 421),
        ({"Host": "127.0.0.1:{port}.evil.example"}, 421),
        ({"Host": "127.0.0.1:{port}@evil.example"}, 421),
        ({"Host": "127a0.0.1:{port}"}, 421),
        ({"Host": ""}, 421),
        ({"Host": "0.0.0.0:{port}"}, 421),
        ({"Host": "127.0.0.1:{port}", "Origin": "http://evil.example"}, 403),
        ({"Host": "127.0.0.1:{port}", "Origin": "null"}, 403),
        ({"Host": "127.0.0.1:{port}", "Origin": "http://127.0.0.1:1"}, 403),
        ({"Host": "127.0.0.1:{port}", "Sec-Fetch-Site": "cross-site"}, 403),
        ({"Host": "127.0.0.1:{port}", "Sec-Fetch-Site": "same-site"}, 403),
        ({"Host": "LocalHost:{port}", "Origin": "http://localhost:{port}"}, 200),
        ({"Host": "[::1]:{port}", "Sec-Fetch-Site": "none"}, 200),
        ({"Host": "localhost:1"}, 200),  # ssh -L 1:localhost:{port}
        ({"Host": "127.0.0.1"}, 200),
    ],
)
def test_gate_refuses_web_pages(stock: Sandbox, path: str, headers: dict, status: int):
    port = str(address(stock)[1])
    headers = {name: value.replace("{port}", port) for name, value in headers.items()}
    is_control = "_control" in path
    if is_control:
        headers = steering(stock) | headers
    method, body = ("POST", b'{"module": "Contacts"}') if is_control else ("GET", b"")
    before = len(stock.requests)
    assert ask(stock, headers, path, method, body)[0] == status
    assert (len(stock.requests) == before) == (status != 200 or is_control)


@pytest.mark.parametrize("headers", [[], ["127.0.0.1:{port}", "evil.example"]])
def test_gate_refuses_other_hosts(stock: Sandbox, headers: list[str]):
    hosts = [host.replace("{port}", str(address(stock)[1])) for host in headers]
    assert ask(stock, {"Host": hosts}, LOGIN)[0] in {400, 421}


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("GET", {}, 405),
        ("PUT", {}, 405),
        ("POST", {"Authorization": ""}, 401),
        ("POST", {"Authorization": "Bearer "}, 401),
        ("POST", {"Authorization": "Bearer é"}, 401),
        ("POST", {"Content-Type": "text/plain"}, 415),
        ("POST", {"Content-Type": "text/plain;application/json"}, 415),
        ("POST", {"Content-Type": "application/json; charset=utf-8"}, 200),
        ("POST", {}, 200),
    ],
)
@pytest.mark.parametrize("path", ["/_control/remove", "/x/_control/remove/", "/%5Fcontrol/remove"])
def test_control_needs_the_token(
    stock: Sandbox, path: str, method: str, headers: dict, status: int
):
    number = stock.insert("Contacts", {"lastname": "Perhaps"})
    body = b'{"module": "Contacts", "number": "%s"}' % number.encode()
    before = stock.count("Contacts")
    got, answer = ask(stock, steering(stock) | headers, path, method, body)
    assert got == status
    assert stock.count("Contacts") == before - (status == 200)
    assert stock.control_token.encode() not in answer


def test_control_token_differs_between_sandboxes(stock: Sandbox, fresh: Sandbox):
    assert stock.control_token != fresh.control_token
    assert len(stock.control_token) > 40


STATEMENTS = [
    "ATTACH '{path}' AS x",
    "attach database '{path}' as x",
    "/* SELECT */ ATTACH '{path}' AS x",
    "DETACH main",
    "VACUUM INTO '{path}'",
    "VACUUM",
    "PRAGMA temp_store_directory = '{path}'",
    "PRAGMA writable_schema = 1",
    "PRAGMA journal_mode = DELETE",
    "SELECT * FROM pragma_database_list",
    "SELECT load_extension('{path}')",
    "SELECT writefile('{path}', 'x')",
    "SELECT readfile('{path}')",
    "CREATE VIRTUAL TABLE x USING csv(filename='{path}')",
    "CREATE VIRTUAL TABLE x USING fts5(y)",
    "COMMIT",
    "ROLLBACK",
    "SAVEPOINT x",
    ".backup '{path}'",
    "SELECT 1; ATTACH '{path}' AS x",
]


@pytest.mark.parametrize("statement", STATEMENTS)
def test_control_sql_reaches_the_database_only(stock: Sandbox, tmp_path: Path, statement: str):
    text = statement.replace("{path}", str(tmp_path / "written"))
    with pytest.raises((sqlite3.Error, sqlite3.Warning)):
        stock.sql(text)
    token = {"Authorization": f"Bearer {stock.control_token}"}
    answer = requests.post(
        f"{stock.url}/_control/sql", json={"text": text}, headers=token, timeout=60
    )
    assert answer.status_code == 400
    assert list(tmp_path.iterdir()) == []
    assert stock.sql("SELECT 1 AS one") == [{"one": 1}]
    assert stock.instance.store.value("PRAGMA journal_mode") == "wal"


def test_request_body_has_a_maximum_size(fresh: Sandbox, monkeypatch: pytest.MonkeyPatch):
    api = Api(fresh)
    monkeypatch.setattr(gate, "LARGEST_BODY", 100_000)
    large = b'{"module": "' + b"x" * 200_000 + b'"}'
    assert ask(fresh, steering(fresh), "/_control/count", "POST", large)[0] == 413
    assert api.post("create", elementType="Contacts", element="x" * 200_000).status_code == 413
    deep = b'{"module": ' + b"[" * 90_000
    assert ask(fresh, steering(fresh), "/_control/count", "POST", deep)[0] == 400
    assert api.contact()["lastname"] == "Test"


@pytest.mark.parametrize(
    ("action", "body"),
    [
        ("count", b'{"module": "Contacts\\" UNION SELECT 1 --"}'),
        ("change", b'{"module": "Contacts", "number": %s, "values": {}}' % (b"9" * 40)),
        ("insert", b'{"module": "Contacts", "values": [1]}'),
        ("insert", b'{"module": "Contacts", "values": {"lastname) --": "x"}}'),
        ("set_time", b'{"moment": 5}'),
        ("sql", b'{"text": "SELECT x\'00ff\'"}'),
        ("sql", b'{"text": "SELECT ?", "params": [%s]}' % (b"9" * 40)),
        ("sql", b"[1]"),
        ("faults", b"\xff"),
    ],
)
def test_control_reports_a_wrong_argument(stock: Sandbox, action: str, body: bytes):
    status, answer = ask(stock, steering(stock), f"/_control/{action}", "POST", body)
    assert (status, list(json.loads(answer))) == (400, ["error"])


def test_sandbox_listens_on_loopback_only(stock: Sandbox):
    host, port = address(stock)
    assert host == "127.0.0.1"
    assert stock._socket.getsockname() == (host, port)
    with pytest.raises(OSError, match=r"refused|assign"):  # 127.0.0.2 is not on every system
        socket.create_connection(("127.0.0.2", port), timeout=60)


def test_data_directory_is_private(tmp_path: Path):
    data = tmp_path / "kept" / "here"
    with Sandbox(dialect="stock", data=data, company=small_company()) as sandbox:
        Api(sandbox).contact()
        there = list(data.iterdir())
        assert {stat.S_IMODE(path.stat().st_mode) for path in there} == {0o600}
        assert stat.S_IMODE(data.stat().st_mode) == 0o700
