"""The summary of a run: its numbers are those of the server, and each kind of log shows it once."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from collections import Counter

import pytest

from kafinea_sandbox import Sandbox
from tests.commands import program
from tests.target.running import matched, messages

MODULES = ["Contacts", "Invoice", "Products"]
JSON = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "singer_sdk.logging.StructuredFormatter"}},
    "handlers": {
        "out": {"class": "logging.StreamHandler", "formatter": "json", "stream": "ext://sys.stderr"}
    },
    "root": {"level": "INFO", "handlers": ["out"]},
}
METRICS = {**JSON, "loggers": {"singer_sdk.metrics": {"level": "INFO"}}}


@pytest.fixture(scope="module")
def shared():
    with Sandbox(rows=500) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(shared):
    shared.requests.clear()
    return shared


@pytest.fixture
def write(tmp_path):
    def written(name: str, content: object) -> str:
        (tmp_path / name).write_text(json.dumps(content), encoding="utf-8")
        return str(tmp_path / name)

    return written


def settings(sandbox: Sandbox, **more) -> dict:
    user = {"username": sandbox.username, "access_key": sandbox.access_key}
    return {"url": sandbox.url, **user, "timezone": "UTC", **more}


def sent(sandbox: Sandbox) -> Counter[str]:
    """How many requests the server got, by the module that each is about."""
    prefixes = {
        "".join(id.partition("x")[:2]): name for name in MODULES for id in ids(sandbox, name)
    }
    counts: Counter[str] = Counter()
    for request in sandbox.requests:
        if request.operation == "logout":  # behind the summary
            continue
        query = re.search(r"FROM (\w+)", request.params.get("query", ""))
        prefix = "".join(request.params.get("id", "").partition("x")[:2])
        name = query[1] if query else request.params.get("elementType")
        counts[name or prefixes.get(prefix, "")] += 1
    return counts


def ids(sandbox: Sandbox, module: str) -> list[str]:
    return [row["id"] for row in sandbox.rows(module)]


def structured(stderr: str) -> tuple[list[dict], int]:
    """The summaries in a log of JSON, and how many metrics it has."""
    lines = [json.loads(line) for line in stderr.splitlines()]
    summaries = [line["extra"]["summary"] for line in lines if "summary" in line["extra"]]
    return summaries, len([line for line in lines if "metric_info" in line])


@pytest.mark.parametrize(("log", "has_metrics"), [(JSON, False), (METRICS, True)])
def test_summary_of_the_tap_is_one_line_of_json_with_the_requests_that_the_server_got(
    sandbox, write, log, has_metrics
):
    config = write("config.json", settings(sandbox, modules=MODULES, max_sessions=4, page_size=20))
    env = {"SINGER_SDK_LOG_CONFIG": write("log.json", log)}
    done = program("tap_kafinea", "--config", config, env=env)
    (summary,), metrics = structured(done.stderr)
    there = {name: len(ids(sandbox, name)) for name in MODULES}
    requests = sent(sandbox)
    for name, numbers in summary["streams"].items():
        assert numbers["counted"] == numbers["received"] == there[name]
        assert (numbers["unreadable"], numbers["is_complete"]) == (0, True)
        assert numbers["requests"] == requests[name]
    assert summary["total"]["requests"] == requests.total()
    assert summary["total"]["received"] == sum(there.values())
    assert metrics == (3 * len(MODULES) if has_metrics else 0)
    assert {json.loads(line)["type"] for line in done.stdout.splitlines()} >= {"RECORD", "STATE"}


def test_summary_of_the_target_is_one_line_of_json(sandbox, write, tmp_path):
    existing = sandbox.rows("Contacts")[0]
    records = [{"lastname": "Nouveau", "cf_853": "n1"}, {"lastname": "Bad", "cf_863": "no date"}]
    lines = [*messages("Contacts", *records), *messages("Leads")]
    (tmp_path / "input").write_text("".join(f"{line}\n" for line in lines))
    more = {"streams": matched("Contacts", "cf_853"), "max_rejects": -1}
    config = write("config.json", settings(sandbox, **more))
    env = {"SINGER_SDK_LOG_CONFIG": write("log.json", JSON)}
    arguments = ("--config", config, "--input", str(tmp_path / "input"))
    done = program("target_kafinea", *arguments, env=env)
    (summary,), metrics = structured(done.stderr)
    numbers = summary["streams"]["Contacts"]
    assert (numbers["created"], numbers["rejected"], metrics) == (1, 1, 0)
    assert numbers["requests"] == sent(sandbox)["Contacts"]
    assert summary["total"]["requests"] == sent(sandbox).total()
    operations = Counter(request.operation for request in sandbox.requests)
    for name in ("getchallenge", "login", "logout"):
        operations.pop(name, None)
    assert summary["operations"] == operations
    assert summary["server_seconds"] > 0
    assert f"Server: {sent(sandbox).total()} requests (" in done.stderr
    assert existing["id"] in ids(sandbox, "Contacts")


def test_terminal_shows_progress_and_a_table(sandbox, write, tmp_path):
    config = write("config.json", settings(sandbox, modules=MODULES, max_sessions=1, page_size=20))
    sandbox.faults.add("latency", operation="query", seconds=0.1, times=None)
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 80, 0, 0))
    command = [sys.executable, "-m", "tap_kafinea", "--config", config]
    with (tmp_path / "out").open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=theirs)
    os.close(theirs)
    shown = _read(ours)
    assert process.wait(timeout=60) == 0
    sandbox.faults.clear()
    assert re.search(r"Contacts  \[#+-+\]  \d+%  \d+ of \d+  \d+/s  \d+ s left", shown)
    table = shown.split("\x1b[2K")[-1].splitlines()
    contacts = len(ids(sandbox, "Contacts"))
    (row,) = [line.split() for line in table if line.startswith("Contacts ")]
    assert row[:4] == ["Contacts", f"{contacts}", f"{contacts}", "0"]
    assert max(len(re.sub(r"\x1b\[\d*m", "", line)) for line in table[-8:]) < 80
    assert b"\x1b" not in (tmp_path / "out").read_bytes()


def test_stopped_run_has_a_summary_of_what_was_done(sandbox, write):
    config = write("config.json", settings(sandbox, modules=MODULES, max_sessions=1))
    sandbox.faults.add("latency", operation="retrieve", seconds=30, times=None)
    command = [sys.executable, "-m", "tap_kafinea", "--config", config]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        while not sandbox.requests.of("retrieve"):
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        errors = process.communicate(timeout=30)[1]
    sandbox.faults.clear()
    assert process.returncode == 128 + signal.SIGTERM
    assert "Traceback" not in errors
    assert re.search(r"\| Contacts: .* 0 unreadable, ", errors)
    assert re.search(r"\| Invoice \(not complete\): ", errors)
    assert re.search(r"\| Total of \d streams?: .* requests, \d+\.\d s$", errors, re.MULTILINE)


def _read(terminal: int) -> str:
    shown = b""
    try:
        while piece := os.read(terminal, 65536):
            shown += piece
    except OSError:  # the other side was closed
        pass
    os.close(terminal)
    return shown.decode()
