"""What the commands log, and write into their reports: no secret, no value, no fake line."""

from __future__ import annotations

import html
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.small_server import Raw, Refusal, SmallServer, serving
from tests.target.running import Files, matched, messages

SECRETS = {"token": "5f3e2d1c0b9a8", "session": "0a1b2c3d4e5f6", "access_key": "kEy0123456789abc"}
PEOPLE = [
    {"lastname": f"Geheim{n} Vérité-Ünal", "phone": f"+33 6 98 76 54 {n}", "code": f"K&{n} 'x'"}
    for n in range(6)
]
VALUES = ("Geheim", "geheim", "Vérité", "Verit", "Ünal", "U00dcnal", "98 76")
EVIL = "\x1b]0;owned\x07\x9b2J\r\n2026-01-01 00:00:00,000 | ERROR    | tap-kafinea | fake\u202e\x7f"

CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+ +\| (DEBUG|INFO|WARNING|ERROR) ")

STRUCTURED = """
version: 1
disable_existing_loggers: false
formatters: {json: {"()": singer_sdk.logging.StructuredFormatter}}
handlers: {out: {class: logging.StreamHandler, formatter: json, stream: "ext://sys.stderr"}}
loggers: {urllib3: {level: DEBUG, handlers: [out], propagate: false}}
root: {level: DEBUG, handlers: [out]}
"""
LOGS = {"default": {}, "debug": {"LOGLEVEL": "DEBUG"}, "structured": {"LOGLEVEL": "DEBUG"}}


class Echo(SmallServer):
    """Repeats all that it is sent: in messages, codes, pages and lines of the header."""

    def __init__(self):
        super().__init__()
        self.fields |= {f"cf{EVIL}": "string", "label": f"type{EVIL}"}
        self.reads = 0
        self.failures: dict[int, str] = {}

    def do(self, operation, said):
        answer = super().do(operation, said)
        if operation == "getchallenge":
            return {**answer, "token": SECRETS["token"]}
        return {**answer, "sessionName": SECRETS["session"]} if operation == "login" else answer

    def _listtypes(self, said):
        answer = super()._listtypes(said)
        answer["types"].append(f"Odd{EVIL}")
        answer["information"]["Contacts"]["label"] = EVIL
        return answer

    def _create(self, said):
        self._repeat(said, json.loads(said["element"]))
        return super()._create(said)

    def _query(self, said):
        rows = super()._query(said)
        self.reads += 1
        if how := self.failures.get(self.reads):
            self._repeat(said, {"lastname": f"{how} {said}"}, rows)
        return rows

    def _repeat(self, said, record, result=None):
        name, whole = record.get("lastname", ""), f"{said} {SECRETS}"
        if "0" in name[:7]:
            raise Refusal("QUERY_SYNTAX_ERROR", f"Error at {json.dumps(record)} of {whole}")
        if "1" in name[:7]:
            raise Refusal(f"{name} {EVIL}", f"{html.escape(name)} and {record} are refused{EVIL}")
        if "2" in name[:7]:
            raise Raw(
                500, f"<b>Fatal error</b> {EVIL} {html.escape(whole)} {name} {whole}".encode()
            )
        if "3" in name[:7]:
            header = f"a\r\nno colon {whole.replace(':', ' ')}\r\nX-{name}{EVIL}: {whole}"
            body = json.dumps({"success": result is not None, "result": result, "error": {}})
            first = {"Content_Length": "", "X": header.encode("ascii", "replace").decode()}
            raise Raw(200, body.encode(), **first)  # what follows the line is not read
        if "4" in name[:7]:
            raise Refusal(name, f"Le nom {name.upper()} n'existe pas")  # in other letters


@pytest.fixture(params=LOGS)
def log(request, tmp_path):
    """The variables that set the log, as the name of a kind of log and the variables."""
    path = tmp_path / "log.yaml"
    path.write_text(STRUCTURED)
    more = {"SINGER_SDK_LOG_CONFIG": str(path)} if request.param == "structured" else {}
    return request.param, {**os.environ, **LOGS[request.param], **more}


def run(plugin, server, log, tmp_path, *arguments, **more):
    user = {"url": server.url, "username": "admin", "access_key": SECRETS["access_key"]}
    config = Files(tmp_path).write("config.json", {**user, "timezone": "UTC", **more})
    done = subprocess.run(
        [sys.executable, "-m", f"{plugin}_kafinea", "--config", config, *arguments],
        capture_output=True,
        timeout=60,
        check=False,
        env=log[1],
    )
    said = done.stderr.decode()
    assert not [secret for secret in SECRETS.values() if secret in said]
    assert not [value for value in VALUES if value in said]
    assert CONTROL.findall(said) == []
    if log[0] == "structured":
        assert all(json.loads(line)["level"] for line in said.splitlines())
    elif log[0] == "default":
        assert [line for line in said.splitlines() if not LINE.match(line)] == []
    return done.returncode, said


def test_log_of_the_target_has_no_value_that_the_server_repeats(log, tmp_path):
    files = Files(tmp_path)
    paths = {f"{name}_path": str(files.path(name)) for name in ("outcomes", "rejects")}
    input_path = files.input([messages("Contacts", *PEOPLE)])
    with serving(Echo()) as server:
        server.failures = {1: "3", 2: "2"}
        code, said = run(
            *("target", server, log, tmp_path, "--input", input_path),
            **(paths | {"streams": matched("Contacts", "code"), "max_rejects": -1}),
        )
    outcomes = files.lines("outcomes")
    assert [line["outcome"] for line in outcomes].count("rejected") == 5, said
    assert code == 0
    for line in outcomes:
        assert not [
            value for value in VALUES if value in str((line.get("message"), line.get("code")))
        ]
    for line in files.lines("rejects"):
        told = str({name: value for name, value in line.items() if name != "record"})
        assert not [value for value in VALUES if value in told]
    for path in paths.values():
        text = Path(path).read_text()
        assert not [secret for secret in SECRETS.values() if secret in text]


def test_log_has_the_reason_of_a_reject(log, tmp_path):
    input_path = Files(tmp_path).input([messages("Contacts", {"code": "a", "born": "no date"})])
    settings = {"streams": matched("Contacts", "code"), "rejects_path": str(tmp_path / "rejects")}
    with serving(SmallServer()) as server:
        _, said = run("target", server, log, tmp_path, "--input", input_path, **settings)
    why = "born: the value is not of type date (INVALID_VALUE)"
    assert f"Contacts, line 2 of the input rejected: {why}" in said


def test_log_of_the_tap_has_no_value_that_the_server_repeats(log, tmp_path):
    with serving(Echo()) as server:
        server.failures = {1: "3", 2: "2", 3: "4", 5: "0", 6: "1"}
        for person in PEOPLE:
            server.insert(**person)
        code, said = run("tap", server, log, tmp_path, max_sessions=1)
    assert code == 1
    assert "Odd\\x1b" in said or "Odd\\\\x1b" in said
    assert "Failed to parse headers" in said


MISTAKES = """
import logging, sys, threading, warnings
from singer_kafinea import command

CONTENT = "Confid" + "ential"  # lines of a traceback do not hold it

class Dying:
    def __del__(self):
        raise ValueError(CONTENT)

def recurse():
    recurse()

def fail():
    thread = threading.Thread(target=lambda: int(CONTENT))
    thread.start()
    thread.join()
    Dying()
    warnings.warn("deprecated\\r\\n2026 ERROR fake")
    logging.getLogger("s3fs").warning("put %s %s", {"Body": CONTENT.encode()}, OSError(CONTENT))
    logging.getLogger("odd").warning("%d", CONTENT)
    logging.getLogger("named").warning("get %(key)s %(body)s", {"key": "k", "body": [CONTENT]})
    logging.getLogger("whole").warning("get %s", {"key": CONTENT})
    url = f"s3://me:{CONTENT}@host/?sig={CONTENT}"
    logging.getLogger("x").error("url %s", url, extra={"e": [CONTENT]})
    try:
        int(CONTENT)
    except ValueError:
        {"recursion": recurse, "error": lambda: {}[CONTENT], "memory": exhaust}[sys.argv[1]]()

def exhaust():
    raise MemoryError(CONTENT)

logging.basicConfig(level=sys.argv[2], format="%(levelname)s %(name)s %(message)s")
command.run(fail, logging.getLogger("tap-kafinea"))
"""


@pytest.mark.parametrize("level", ["INFO", "DEBUG"])
@pytest.mark.parametrize(
    ("how", "what"), [("error", "KeyError"), ("recursion", "RecursionError"), ("memory", "Memory")]
)
def test_unexpected_error_is_one_line_with_a_traceback_at_debug(how, what, level):
    done = subprocess.run(
        [sys.executable, "-c", MISTAKES, how, level], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "Confidential" not in done.stderr
    assert ("Traceback" in done.stderr) == (level == "DEBUG")
    assert f"ERROR tap-kafinea {what}" in done.stderr
    assert done.stderr.count("ERROR tap-kafinea ValueError, <string>, line ") == 1
    assert ("Ignored: ValueError, <string>, line " in done.stderr) == (level == "DEBUG")
    assert r"UserWarning: deprecated\x0d\x0a2026 ERROR fake (<string>" in done.stderr
    assert "put dict OSError" in done.stderr
    assert "get k list" in done.stderr
    assert "get dict" in done.stderr
    assert "url s3://***@host/?..." in done.stderr
