"""Neither credentials nor files get into what the programs say, whatever server repeats them."""

from __future__ import annotations

import html
import json
import subprocess
import sys
import time
from base64 import b64encode
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafinea import masking
from kafinea_sandbox import Sandbox
from tap_kafinea.tap import TapKafinea
from target_kafinea.target import TargetKafinea
from tests import commands
from tests.hostile.server import AnyServer
from tests.hostile.shapes import examples, success
from tests.small_server import serving
from tests.stored_documents import add_document
from tests.tap.running import command as tap
from tests.target.running import Files, matched, messages, state
from tests.target.running import in_process as target

_LETTERS = "abcXYZ0189" * 3 + "-_.~!*'\"\\<>&%+/=:;,?#@()[]{}|^`$ \u00e9\u20ac\U0001f511"
_secrets = st.text(_LETTERS, min_size=12, max_size=40).filter(lambda text: text == text.strip())

FORMS = {
    "as it is": str,
    "JSON": lambda text: json.dumps(text)[1:-1],
    "JSON, not ASCII": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "HTML": html.escape,
    "HTML numbers": lambda text: text.encode("ascii", "xmlcharrefreplace").decode(),
    "a URL": quote,
    "a form": quote_plus,
    "Python": lambda text: repr(text)[1:-1],
    "JSON in JSON": lambda text: json.dumps(json.dumps(text)),
}
KEY = "s3cretKey0123456"
PLACES = ("message", "code", "page", "fatal", "header", "no answer")
OPERATIONS = (
    "getchallenge",
    "login",
    "listtypes",
    "describe",
    "query",
    "create",
    "retrieve",
    "logout",
)


def repeating(place, text):
    """Return an answer that has a text somewhere."""
    if place == "message":
        return json.dumps(
            {"success": False, "error": {"code": "ODD", "message": f"Bad {text} here"}}
        ).encode()
    if place == "code":
        return json.dumps({"success": False, "error": {"code": text, "message": "x"}}).encode()
    if place == "page":
        return 200, f"<html><p>Sorry {text} is wrong".encode(), {}
    if place == "fatal":
        return 500, f"<b>Fatal error</b>: {text}".encode(), {}
    if place == "header":
        odd = text.encode("ascii", "backslashreplace").decode().replace("\n", " ")
        return 302, b"", {"Location": f"https://{odd}.example/{odd}?{odd}"}
    return success(json.dumps({"error": text}))


def forms(secret):
    return {make(secret) for make in FORMS.values()}


@pytest.fixture(scope="module")
def server():
    with serving(AnyServer()) as server:
        yield server


@pytest.fixture(autouse=True)
def debug(monkeypatch):
    monkeypatch.setenv("TARGET_KAFINEA_LOGLEVEL", "DEBUG")
    monkeypatch.setenv("TAP_KAFINEA_LOGLEVEL", "DEBUG")


@examples(25)
@given(
    st.tuples(_secrets, _secrets, _secrets),
    st.sampled_from(OPERATIONS),
    st.sampled_from(PLACES),
    st.sampled_from(list(FORMS)),
    st.sampled_from([tap, target]),
)
def test_secrets_that_a_server_repeats_are_nowhere(
    server, tmp_path_factory, secrets, operation, place, form, program
):
    key, token, session = secrets
    masking._secrets.clear()
    # A secret that the server repeats before it has given it away is not known to be one.
    known = secrets[: {"getchallenge": 1, "login": 2}.get(operation, 3)]
    text = " ".join(map(FORMS[form], known))
    served = {
        "getchallenge": lambda *_: success(
            json.dumps({"token": token, "serverTime": 1, "expireTime": 301})
        ),
        "login": lambda *_: success(json.dumps({"sessionName": session, "userId": "19x1"})),
    }
    server.begin(**{**served, operation: lambda *_: repeating(place, text)})
    server.rows.clear()
    server.insert(lastname="x", code="s")
    files = Files(tmp_path_factory.mktemp("run"))
    where = {"url": server.url, "username": "admin", "access_key": key, "timezone": "UTC"}
    if program is tap:
        path = files.write("config.json", where)
        done = tap("--config", path)
        said = [done.stderr, done.stdout]
    else:
        lines = [
            *messages("Contacts", {"code": "a", "lastname": "b"}, {"code": "s", "lastname": "c"}),
            state({"a": 1}),
        ]
        config = files.config(
            None, **{**where, "streams": matched("Contacts", "code"), "max_rejects": -1}
        )
        run = files.read(*target(["--config", config, "--input", files.input(lines)]))
        said = [run.stderr, run.stdout, json.dumps(run.outcomes), json.dumps(run.rejects)]
    for secret in known:
        for shown in forms(secret):
            assert not [text for text in said if shown in text], (secret, said)


@pytest.mark.parametrize("plugin", [TapKafinea, TargetKafinea])
@pytest.mark.parametrize("arguments", [[], ["--format=json"], ["--format=markdown"]], ids=str)
def test_about_shows_no_access_key(plugin, arguments, tmp_path):
    where = {"url": "http://127.0.0.1:9", "username": "admin", "access_key": KEY}
    path = Files(tmp_path).write("config.json", where)
    env = {f"{plugin.name.upper().replace('-', '_')}_ACCESS_KEY": KEY}
    options = ["--config", path, "--config=ENV", "--about", *arguments]
    done = commands.in_process(plugin, *options, env=env)
    assert done.returncode == 0
    assert "access_key" in done.stdout
    assert KEY not in done.stdout + done.stderr


def process(number):
    """Return what other users of this machine see of a process."""
    folder = Path(f"/proc/{number}")
    texts = [folder / "cmdline", folder / "comm", folder / "status", *folder.glob("task/*/comm")]
    return "".join(path.read_text("utf-8", "replace") for path in texts)


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="only Linux shows processes so")
@pytest.mark.parametrize("package", ["tap_kafinea", "target_kafinea"])
def test_process_list_shows_no_secret(package, tmp_path):
    with serving(AnyServer()) as server:
        server.before = lambda *_: time.sleep(0.2)
        files = Files(tmp_path)
        where = {"url": server.url, "username": "admin", "access_key": KEY}
        config = files.write("config.json", where)
        source = Path(files.input(messages("Contacts", {"lastname": "x"})))
        command = [sys.executable, "-m", package, "--config", config]
        output = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        with source.open() as stdin, subprocess.Popen(command, stdin=stdin, **output) as running:
            while not server.count("describe") and running.poll() is None:
                time.sleep(0.02)
            seen = process(running.pid)
            running.kill()
        sessions = {said["sessionName"] for _, said in server.requests if "sessionName" in said}
    assert package in seen
    assert sessions
    assert not [secret for secret in {KEY, *sessions} if secret in seen]


FAULTS = [
    {"kind": "echo_secrets", "times": 2},
    {"kind": "status", "status": 500, "body": "<b>Fatal error</b>: {content} in", "times": 2},
    {
        "kind": "status",
        "status": 200,
        "body": '{{"success":true,"result":["{content}"]}}',
        "times": 2,
    },
    {"kind": "truncate", "times": 2},
    {"kind": "reset_after", "times": 2},
]


@pytest.mark.parametrize(
    "fault", FAULTS, ids=lambda fault: f"{fault['kind']} {fault.get('status', '')}"
)
def test_contents_of_files_are_in_no_log_and_no_report(fault, tmp_path):
    content = b"Geheim: the minutes of the board, 1,234,567.89 EUR. " * 40
    marks = [
        content[:20].decode(),
        *(b64encode(content[start:])[:40].decode() for start in range(3)),
    ]
    marks += [quote_plus(mark) for mark in marks]
    (tmp_path / "minutes.txt").write_bytes(content)
    with Sandbox(rows=50) as sandbox:
        add_document(sandbox, ("stored.txt", content))
        body = fault.get("body", "").format(content=content.decode()[:200] + marks[1])
        faults = [
            sandbox.faults.add(**{**fault, "body": body, "operation": operation})
            for operation in ("fileupload", "files_retrieve")
        ]
        files = Files(tmp_path)
        record = {"notes_title": "new", "_file_path": str(tmp_path / "minutes.txt")}
        config = files.config(
            sandbox,
            streams=matched("Documents", "notes_title"),
            files_path=str(tmp_path),
            max_rejects=-1,
        )
        run = files.read(
            *target(["--config", config, "--input", files.input(messages("Documents", record))])
        )
        said = [run.stderr, run.stdout, json.dumps(run.outcomes), json.dumps(run.rejects)]
        settings = {
            "url": sandbox.url,
            "username": sandbox.username,
            "access_key": sandbox.access_key,
            "modules": ["Documents"],
        }
        path = files.write(
            "config.json", {**settings, "files": {"enabled": True, "path": str(tmp_path / "files")}}
        )
        done = tap("--config", path)
        said += [done.stderr, done.stdout]
        assert all(each.hits for each in faults)
    assert not [(mark, text) for mark in marks for text in said if mark in text]
