"""How the commands end: at once, whatever other threads still do, and with the right exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest

from kafinea_sandbox import Sandbox
from tests.tap.running import settings

# A command whose other threads are inside requests that are not answered.
THREADS = """
import logging, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
import click
from kafinea import Client, SettingsError
from singer_kafinea import command
from singer_kafinea.connection import connect
end = sys.argv[1]
config = dict(zip(["url", "username", "access_key"], sys.argv[2:]))
del sys.argv[1:]
logging.basicConfig(format="%(levelname)s %(message)s")

def work():
    cleanup = ExitStack()
    click.get_current_context().call_on_close(cleanup.close)
    more = {"max_sessions": 4, "request_timeout": 100, "allow_http": False}
    client = connect({**config, **more}, cleanup)
    threads = ThreadPoolExecutor(3)
    with client.one_session() as session:
        session.listtypes()
        for _ in range(3):
            threads.submit(client.query, "SELECT id FROM Contacts LIMIT 1;")
        while client._sessions._under_way < 3:
            time.sleep(0.01)
    sys.stdout.write("all is said")

def success():
    work()

def error():
    work()
    raise SettingsError("what is wrong")

def mistake():
    work()
    raise ZeroDivisionError

def stopped():
    work()
    sys.exit(143)

command.run(click.command()(globals()[end]), logging.getLogger())
"""
ENDS = {"success": 0, "error": 1, "mistake": 1, "stopped": 143}


@pytest.fixture
def hanging():
    with Sandbox(rows=50) as sandbox:
        sandbox.faults.add("hang", operation="query", seconds=100, times=None)
        yield sandbox


@pytest.mark.parametrize(("how", "code"), ENDS.items())
def test_command_does_not_wait_for_its_threads(hanging, how, code):
    facts = settings(hanging)
    done = subprocess.run(
        [sys.executable, "-c", THREADS, how, *facts.values()],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert done.stdout == "all is said"
    assert ("ERROR what is wrong" in done.stderr) == (how == "error")
    assert ("ZeroDivisionError" in done.stderr) == (how == "mistake")
    assert "Traceback" not in done.stderr
    assert len(hanging.requests.of("logout")) == 1  # of the session that nobody used


def started(plugin, tmp_path, sandbox, *arguments, **more):
    config = tmp_path / "config.json"
    config.write_text(json.dumps(settings(sandbox, **more)))
    return subprocess.Popen(
        [sys.executable, "-m", f"{plugin}_kafinea", "--config", str(config), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_tap_ends_at_once_on_sigterm_while_the_server_hangs(hanging, tmp_path):
    process = started("tap", tmp_path, hanging, modules=["Contacts"])
    while not hanging.requests.of("query"):
        time.sleep(0.01)
    process.terminate()
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "Stopped by signal 15" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_that_nobody_reads_is_an_error(unbuffered):
    """The reader goes away when all is written but not all is sent."""
    program = "import logging, sys; from singer_kafinea import command; "
    program += "command.run(lambda: sys.stdout.write('x'), logging.getLogger())"
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-c", program],
        stdout=write,
        stderr=subprocess.PIPE,
        check=False,
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
    )
    os.close(write)
    assert done.returncode == 1
    assert done.stderr == b""


@pytest.mark.parametrize("plugin", ["tap", "target"])
@pytest.mark.parametrize(
    ("variables", "config", "said", "code"),
    [
        ({}, None, ": Is a directory.", 2),
        (
            {},
            {"url": "https://kafinea.invalid"},
            "The host name kafinea.invalid cannot be resolved.",
            1,  # the name server may be away
        ),
        ({"HTTPS_PROXY": "no address"}, {}, "The proxy in HTTPS_PROXY is not a valid address", 2),
        ({"REQUESTS_CA_BUNDLE": "/nowhere"}, {}, "REQUESTS_CA_BUNDLE is '/nowhere'", 2),
    ],
)
def test_mistake_of_the_user_is_one_line(plugin, variables, config, said, code, tmp_path):
    path = tmp_path
    if config is not None:
        path = tmp_path / "config.json"
        user = {"url": "https://kafinea.example", "username": "ada", "access_key": "secret"}
        path.write_text(json.dumps(user | config))
    schema = {"type": "SCHEMA", "stream": "Contacts", "key_properties": []}
    schema["schema"] = {"properties": {"lastname": {"type": "string"}}}
    record = {"type": "RECORD", "stream": "Contacts", "record": {"lastname": "Roux"}}
    done = subprocess.run(
        [sys.executable, "-m", f"{plugin}_kafinea", "--config", str(path)],
        input="\n".join(json.dumps(one) for one in (schema, record)),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **variables},
    )
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    errors = [line for line in done.stderr.splitlines() if "ERROR" in line]
    assert [said in line for line in errors] == [True], done.stderr


@pytest.mark.parametrize(
    ("plugin", "option", "depth"),
    [
        ("tap", "config", 900),
        ("tap", "state", 100_000),
        ("tap", "catalog", 900),
        ("tap", "catalog", 100_000),
        ("target", "config", 100_000),
    ],
)
def test_file_that_is_nested_too_deep_is_named(plugin, option, depth, tmp_path):
    config, deep = tmp_path / "config.json", tmp_path / "deep.json"
    user = {"url": "https://kafinea.invalid", "username": "ada", "access_key": "secret"}
    config.write_text(json.dumps(user))
    deep.write_text('{"bookmarks": ' + "[" * depth + "]" * depth + "}")
    files = {"config": config, option: deep}
    done = subprocess.run(
        [sys.executable, "-m", f"{plugin}_kafinea"]
        + [text for name, path in files.items() for text in (f"--{name}", str(path))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.count("ERROR") == 1
    assert f"--{option} {deep}: objects and lists are nested too deep." in done.stderr


@pytest.mark.parametrize("plugin", ["tap", "target"])
@pytest.mark.parametrize("variable", ["LOGLEVEL", "SINGER_SDK_LOG_CONFIG"])
def test_log_that_cannot_be_set_up_is_one_line(plugin, variable, tmp_path):
    path = tmp_path / "log.yaml"
    path.write_text("handlers: [")
    done = subprocess.run(
        [sys.executable, "-m", f"{plugin}_kafinea", "--config", str(path)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, variable: str(path)},
    )
    assert done.returncode == 2
    assert "The log cannot be set up" in done.stderr
    assert len(done.stderr.splitlines()) == 1


# The tap, which waits less for a server that is away.
IMPATIENT = (
    "from tap_kafinea import __main__; from kafinea import retry; retry._FIRST_WAIT = 0.01; "
)
IMPATIENT += "__main__.main()"
REFUSED = {"operation": "query", "status": 200, "times": None, "contains": "FROM Products"}
DENIED = '{"success":false,"error":{"message":"x","code":"ACCESS_DENIED"}}'


@pytest.mark.parametrize(
    ("faults", "key", "code"),
    [
        ([], "wr0ngKey", 2),
        ([REFUSED | {"body": DENIED}], None, 2),  # a right is missing
        ([REFUSED | {"status": 403}], None, 2),
        ([REFUSED | {"status": 503}], None, 1),  # an outage
        ([REFUSED | {"body": DENIED}, REFUSED | {"status": 503, "contains": "Leads"}], None, 1),
    ],
)
def test_exit_code_of_the_tap_tells_whether_a_retry_makes_sense(faults, key, code, tmp_path):
    with Sandbox(rows=20) as sandbox:
        for fault in faults:
            sandbox.faults.add("status", **fault)
        config = settings(sandbox) | {"modules": ["Products", "Leads", "Contacts"]}
        path = tmp_path / "config.json"
        path.write_text(json.dumps(config | ({"access_key": key} if key else {})))
        done = subprocess.run(
            [sys.executable, "-c", IMPATIENT, "--config", str(path)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stderr
        refused = [login for login in sandbox.requests.of("login") if login.code]
        assert len(refused) <= 2


@pytest.mark.parametrize(("is_away", "code"), [(False, 2), (True, 1)])
def test_exit_code_of_the_target_tells_whether_a_retry_makes_sense(is_away, code, tmp_path):
    """Whether the data was the reason for a reject, or the server."""
    schema = {"type": "SCHEMA", "stream": "Contacts", "key_properties": []}
    schema["schema"] = {"properties": {"lastname": {"type": "string"}}}
    names = ["Roux", "Away" if is_away else ""]
    records = [
        {"type": "RECORD", "stream": "Contacts", "record": {"lastname": name}} for name in names
    ]
    with Sandbox(rows=20) as sandbox:
        fault = {"status": 500, "operation": "create", "contains": "Away", "times": None}
        sandbox.faults.add("status", **fault)
        path = tmp_path / "config.json"
        path.write_text(
            json.dumps(settings(sandbox) | {"streams": {"Contacts": {"match_on": "lastname"}}})
        )
        done = subprocess.run(
            [sys.executable, "-c", IMPATIENT.replace("tap_", "target_"), "--config", str(path)],
            input="\n".join(json.dumps(one) for one in (schema, *records)),
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == code, done.stderr
