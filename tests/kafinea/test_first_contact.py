"""The first request: what waiting cannot mend is told at once, and what to correct."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
import time
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from kafinea import Client, Unavailable
from kafinea.errors import FatalError
from kafinea_sandbox import Sandbox
from tests import small_server
from tests.conftest import connect
from tests.raw_server import Endless, serving, whole

PAGE = b"<html><title>Welcome</title></html>"
VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


@pytest.fixture(autouse=True)
def at_once(request, monkeypatch, caplog):
    """Nothing is tried again, except where the waits are shortened; no variable is set."""
    for name in (*VARIABLES, *BUNDLES):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    yield
    tries = [one for one in caplog.get_records("call") if "Retrying" in one.message]
    assert bool(tries) == ("quick" in request.fixturenames)


class Website(BaseHTTPRequestHandler):
    """Whatever is asked for: a page."""

    status = 200
    page = PAGE

    def do_GET(self):
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(self.page)))
        self.end_headers()
        self.wfile.write(self.page)

    def do_CONNECT(self):
        self.send_error(407)

    def log_message(self, *_):
        pass


class OtherApi(Website):
    page = b'{"status": "ok"}'


class Missing(Website):
    status = 404


class Wrong(Website):
    status = 400


class Proxy(Website):
    """A proxy on the way of plain HTTP, which wants a password."""

    status = 407


class Starting(Website):
    """A server that shows PHP's errors, while its database starts."""

    page = b"<br />\n<b>Fatal error</b>: Uncaught mysqli_sql_exception"


@contextmanager
def website(handler=Website, tls=None):
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.handle_error = lambda *_: None  # a handshake that fails is what is tested
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=[0.01])
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("certificate"))


def make_certificate(folder):
    """A certificate of `localhost` that nobody has signed, and a server's side of it."""
    openssl = shutil.which("openssl")
    if not openssl:
        pytest.skip("openssl makes the certificates, and is not here")
    made = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    made += ["-keyout", folder / "key", "-out", folder / "certificate"]
    made += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run(made, check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(folder / "certificate", folder / "key")
    return folder / "certificate", tls


def failing(url, expected=FatalError):
    """What the first request to an address that is at fault says, at once."""
    with (
        pytest.raises(expected) as raised,
        Client(url, "ada", "secret", allow_http=True) as client,
    ):
        client.listtypes()
    return str(raised.value)


@pytest.mark.parametrize("handler", [Website, Missing, Wrong, Proxy, OtherApi])
def test_a_page_that_is_no_api_is_told_at_once(handler):
    with website(handler) as port:
        said = failing(f"http://127.0.0.1:{port}")
    what = "JSON that is not an answer" if handler is OtherApi else 'not JSON: "Welcome'
    assert f"HTTP {handler.status}, {what}" in said
    assert "There is no webservice.php at this `url`" in said


SLOW = ["_" * 20_000, "<script" * 2_800, "<" * 20_000, "<p " * 6_600, "a1" * 9_999]


@pytest.mark.parametrize("page", SLOW)
def test_a_page_of_any_text_is_looked_at_quickly(page):
    with serving(Endless(getchallenge=lambda: [whole(f"<p>{page}".encode())])) as url:
        began = time.thread_time()  # other processes do not count
        assert "There is no webservice.php at this `url`" in failing(url)
        assert time.thread_time() - began < 1


@pytest.mark.parametrize(
    ("page", "shown"),
    [
        ("Désolé, l'accès n'est pas autorisé", "Désolé, l'accès n'est pas autorisé"),
        ("Duplicate entry 'Dupont' for key", "Duplicate entry"),
        ("Saved ('Dupont')", "Saved ("),
    ],
)
def test_apostrophes_within_words_are_shown_and_values_in_quotes_are_not(page, shown):
    with serving(Endless(getchallenge=lambda: [whole(f"<p>{page}".encode())])) as url:
        assert f'not JSON: "{shown}".' in failing(url)


@pytest.mark.usefixtures("quick")
def test_a_fatal_error_of_php_is_waited_for():
    with website(Starting) as port:
        said = failing(f"http://127.0.0.1:{port}", Unavailable)
    assert said == 'getchallenge: HTTP 200, not JSON: "Fatal error".'


def test_an_unknown_host_is_told_at_once():
    assert failing("https://kafinea.invalid/x") == (
        "The host name kafinea.invalid cannot be resolved. Check `url`."
    )


@pytest.mark.parametrize("host", ["*.example", "apps..example", f"{'a' * 64}.example"])
def test_a_host_that_is_none_is_told_at_once(host):
    assert failing(f"https://{host}/x") == "`url` is not a valid address."


@pytest.mark.usefixtures("quick")
def test_a_host_that_does_not_connect_has_done_nothing():
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, ExitStack() as stack:
        for _ in range(4):  # nobody accepts them
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        host = f"127.0.0.1:{full.getsockname()[1]}"
        client = stack.enter_context(Client(f"http://{host}", "ada", "secret", request_timeout=0.1))
        with pytest.raises(
            Unavailable, match=f"{host} could not be reached within 0.1 s"
        ) as raised:
            client.create("Contacts", {"lastname": "x"})
        assert raised.value.nothing_done


def test_https_to_a_port_of_http_is_told_from_a_certificate():
    with website() as port:
        said = failing(f"https://127.0.0.1:{port}")
    assert "does not use https" in said
    assert "`http://`" in said
    assert "certificate" not in said


@pytest.mark.parametrize("path", ["", "/kafinea/webservice.php"])
def test_http_to_a_port_of_https_is_told_at_once(certificate, path):
    with website(tls=certificate[1]) as port:
        said = failing(f"http://localhost:{port}{path}")
    assert said == f"localhost:{port} requires https. Write `https://` in `url`."


def test_a_certificate_that_does_not_fit_is_told_with_the_reason(certificate, monkeypatch):
    path, tls = certificate
    with website(tls=tls) as port:
        said = failing(f"https://localhost:{port}")
        assert f"The certificate of localhost:{port} is not accepted: self" in said
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(path))
        assert 'HTTP 200, not JSON: "Welcome' in failing(f"https://localhost:{port}")
        assert "not valid for '127.0.0.1'" in failing(f"https://127.0.0.1:{port}")


class Refusing(BaseHTTPRequestHandler):
    """A server whose handshake fails: the alert `handshake_failure`."""

    alert = b"\x15\x03\x03\x00\x02\x02\x28"

    def handle(self):
        self.connection.recv(65536)
        self.connection.sendall(self.alert)


class Ending(Refusing):
    alert = b""


def test_a_handshake_that_fails_is_told_at_once():
    with website(Refusing) as port:
        said = failing(f"https://127.0.0.1:{port}")
    assert said.startswith(f"No secure connection to 127.0.0.1:{port} is possible (")
    assert "HANDSHAKE_FAILURE" in said


@pytest.mark.usefixtures("quick")
def test_a_handshake_that_ends_is_tried_again():
    with website(Ending) as port:
        said = failing(f"https://127.0.0.1:{port}", Unavailable)
    assert said == f"127.0.0.1:{port} closed the connection."


@pytest.mark.parametrize("variable", BUNDLES)
def test_a_file_of_certificates_that_is_none_is_named(variable, monkeypatch, tmp_path):
    monkeypatch.setenv(variable, str(tmp_path / "nowhere"))
    said = failing("https://127.0.0.1:9")
    assert said.startswith(f"{variable} is '{tmp_path / 'nowhere'}', but there is no such file.")
    with Sandbox(rows=50) as sandbox, connect(sandbox) as client:
        assert client.listtypes()  # http needs none
        empty = tmp_path / "empty"
        empty.write_text("no certificate")
        monkeypatch.setenv(variable, str(empty))
        said = failing(sandbox.url.replace("http:", "https:"))
        assert said == f"There are no certificates in {variable} ({empty})."


def unused_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("host", ["127.0.0.1", "LocalHost", "127.1", "0177.1", "[::ffff:7f00:1]"])
def test_this_machine_is_never_reached_through_a_proxy(host, variable, monkeypatch):
    with website(Proxy) as proxy, small_server.serving(small_server.SmallServer()) as server:
        monkeypatch.setenv(variable, f"http://127.0.0.1:{proxy}")
        with Client(server.url.replace("127.0.0.1", host), "admin", "key") as client:
            assert "Contacts" in client.listtypes()


def test_a_proxy_is_used_except_for_the_hosts_in_no_proxy(monkeypatch):
    with small_server.serving(small_server.SmallServer()) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        with Client("http://kafinea.invalid", "admin", "key", allow_http=True) as client:
            assert "Contacts" in client.listtypes()
        monkeypatch.setenv("NO_PROXY", "kafinea.invalid")
        with (
            Client("http://kafinea.invalid", "admin", "key", allow_http=True) as client,
            pytest.raises(FatalError, match="cannot be resolved"),
        ):
            client.listtypes()


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_a_proxy_that_does_not_answer_is_named_and_tried_again(variable, monkeypatch, caplog):
    port = unused_port()
    monkeypatch.setenv(variable, f"http://ada:passw0rd@127.0.0.1:{port}")
    said = failing("https://kafinea.invalid", Unavailable)
    assert said == f"The proxy 127.0.0.1:{port} ({variable}) does not answer."
    assert caplog.text.count("Retrying") == 6
    assert "passw0rd" not in caplog.text
    monkeypatch.setenv("NO_PROXY", "kafinea.invalid")
    assert failing("https://kafinea.invalid") == (
        "The host name kafinea.invalid cannot be resolved. Check `url`."
    )


@pytest.mark.parametrize(
    ("proxy", "said"),
    [
        (
            "http://proxy.invalid:3128",
            "The host name proxy.invalid:3128 cannot be resolved. Check the proxy in ",
        ),
        ("no address", "is not a valid address"),
        ("http://proxy..invalid:3128", "is not a valid address"),
        ("ftp://127.0.0.1:9", "is not a valid address"),
    ],
)
def test_a_proxy_that_is_none_is_told_at_once(proxy, said, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    told = failing("https://kafinea.example")
    assert said in told
    assert "HTTPS_PROXY" in told


def test_a_proxy_that_wants_a_password_is_told_at_once(monkeypatch):
    with website() as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        said = failing("https://kafinea.example")
    assert f"The proxy 127.0.0.1:{port} (HTTPS_PROXY) refused" in said
    assert "HTTP 407" in said


@pytest.mark.usefixtures("quick")
def test_a_refused_connection_is_said_at_once_and_tried_as_long_as_ever(caplog):
    port = unused_port()
    assert "refuses the connection" in failing(f"http://127.0.0.1:{port}", Unavailable)
    first, *_ = lines = [one.message for one in caplog.records if "Retrying" in one.message]
    assert first.startswith(f"127.0.0.1:{port} refuses the connection. Retrying in ")
    assert len(lines) == 6


@pytest.mark.usefixtures("quick")
def test_a_page_is_waited_for_once_something_has_worked():
    """A server that is being updated answers with a page for a while."""
    with Sandbox(rows=50, used_token="INVALID_TOKEN") as sandbox, connect(sandbox) as client:
        client.user_id()
        sandbox.expire_sessions()
        faults = [
            sandbox.faults.add("html", operation=operation, times=2)
            for operation in ("getchallenge", "login", "listtypes")
        ]
        assert client.listtypes()
        assert [fault.hits for fault in faults] == [2, 2, 2]
