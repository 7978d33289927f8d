"""The command `tap-kafinea` as its users and their schedulers meet it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from functools import partial
from itertools import count
from types import SimpleNamespace

import pytest

from kafinea_sandbox import Sandbox, php
from tests.commands import start, stop
from tests.tap.running import command, extract, parse, program, settings

WRONG = {
    "no url": ({"url": None}, "'url' is a required property"),
    "no access key": ({"access_key": None}, "'access_key' is a required property"),
    "plain http": ({"url": "http://kafinea.example.com"}, "allow_http"),
    "no address": ({"url": "my kafinea"}, "https://apps.kafinea.com"),
    "wrong access key": ({"access_key": "wr0ngKey"}, "Check `username` and `access_key`"),
    "wrong user": ({"username": "nobody"}, "'nobody'"),
    "unknown module": ({"modules": ["Contact"]}, "Did you mean `Contacts`"),
    "a pattern for nothing": ({"modules": ["Nope*"]}, "'Nope*'"),
    "unknown zone": ({"timezone": "Paris"}, "Europe/Paris"),
    "a broken address": ({"url": "http://[bad"}, "https://apps.kafinea.com"),
    "no date": ({"start_date": "yesterday"}, "2026-01-31"),
    "no end": ({"end_date": "31/12/2026"}, "`end_date`"),
    "a size of zero": ({"page_size": 0}, "page_size"),
    "a key that is no text": ({"access_key": 31337424242}, "access_key"),
}


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(rows=300) as sandbox:
        yield sandbox


@pytest.fixture
def files(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return str(path)

    return write


@pytest.mark.parametrize(("change", "said"), WRONG.values(), ids=WRONG.keys())
@pytest.mark.parametrize("mode", [[], ["--discover"]], ids=["run", "discover"])
def test_wrong_setting_is_one_line_and_exit_code_1(sandbox, files, mode, change, said):
    config = {k: v for k, v in {**settings(sandbox), **change}.items() if v is not None}
    done = command("--config", files("config.json", config), *mode)
    errors = [line for line in done.stderr.splitlines() if "ERROR" in line]
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert len(errors) == 1, done.stderr
    assert said in errors[0]
    assert str(config.get("access_key")) not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("option", "content"),
    [
        ("--config", "{"),
        ("--state", "not json"),
        ("--catalog", "["),
        ("--state", '{"bookmarks": {"Contacts": {"replication_key_value": "soon"}}}'),
        ("--state", '{"bookmarks": {"Contacts": {"pass": {"page": 3}}}}'),
        ("--state", '{"bookmarks": []}'),
        ("--state", '{"bookmarks": {"Contacts": 3}}'),
        ("--catalog", "[]"),
        ("--catalog", '{"streams": 3}'),
        ("--catalog", '{"streams": [{"stream": "Contacts"}]}'),
        ("--catalog", '{"streams": [{"tap_stream_id": "Contacts", "schema": {}}]}'),
    ],
)
def test_invalid_file_is_one_line(sandbox, files, option, content):
    config = files("config.json", settings(sandbox, modules=["Contacts"]))
    arguments = ["--config", config] if option != "--config" else []
    done = command(*arguments, option, files("other.json", content))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_missing_config_file_is_one_line(tmp_path):
    done = command("--config", str(tmp_path / "nowhere.json"))
    assert done.returncode == 1
    assert "nowhere.json" in done.stderr
    assert "Traceback" not in done.stderr


def test_unreachable_server_is_one_line(files):
    with Sandbox(rows=50) as gone:
        config = files("config.json", settings(gone))
    done = command("--config", config)
    assert done.returncode == 1
    assert "refuses the connection" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("seconds", [30.5, 60.0, 5])
def test_request_timeout_may_have_a_fraction(sandbox, files, seconds):
    config = settings(sandbox, modules=["Tax"], request_timeout=seconds)
    assert command("--config", files("config.json", config)).returncode == 0


DENIED = '{"success":false,"error":{"message":"denied","code":"ACCESS_DENIED"}}'
FAILED_IN_SQL = '{"success":true,"result":[]}'


@pytest.mark.parametrize("answer", [DENIED, FAILED_IN_SQL], ids=["denied", "failed in SQL"])
def test_failing_module_stops_no_other_and_fails_the_run_at_its_end(files, answer):
    with Sandbox(rows=300) as sandbox:
        sandbox.faults.add(
            "status",
            operation="query",
            contains="FROM Accounts",
            status=200,
            body=answer,
            times=None,
        )
        config = settings(sandbox, modules=["Accounts", "Contacts", "Leads"])
        done = command("--config", files("config.json", config))
        output = parse(done.stdout.splitlines())
        assert done.returncode == 1
        assert "Accounts" in done.stderr.splitlines()[-1]
        assert "Traceback" not in done.stderr
        assert len(output.ids("Leads")) == sandbox.count("Leads")
        assert len(output.ids("Contacts")) == sandbox.count("Contacts")
        assert not output.bookmark("Accounts").get("replication_key_value")


def test_settings_are_read_from_the_environment(sandbox):
    env = {f"TAP_KAFINEA_{k.upper()}": v for k, v in settings(sandbox).items()}
    done = command("--config", "ENV", "--discover", env={**env, "TAP_KAFINEA_MODULES": '["Leads"]'})
    assert [stream["stream"] for stream in json.loads(done.stdout)["streams"]] == ["Leads"]


def test_dotenv_is_that_of_the_working_folder_and_the_environment_comes_first(sandbox, tmp_path):
    """The SDK would take the one above its own folder, and prefer it to the environment."""
    own = settings(sandbox, modules='["Contacts"]')
    lines = [f"TAP_KAFINEA_{name.upper()}={value}\n" for name, value in own.items()]
    (tmp_path / ".env").write_text("".join(lines), "utf-8")
    env = {"TAP_KAFINEA_MODULES": '["Leads"]'}
    done = program("--config", "ENV", "--discover", cwd=tmp_path, env=env)
    assert [stream["stream"] for stream in json.loads(done.stdout)["streams"]] == ["Leads"]


def test_about_and_version_need_no_settings():
    about = json.loads(program("--about", "--format=json").stdout)
    assert "batch" not in about["capabilities"]
    assert about["settings"]["properties"]["access_key"]["secret"] is True
    assert program("--version").returncode == 0


def test_discovery_then_two_runs(sandbox, files):
    config = files("config.json", settings(sandbox))
    catalog = files("catalog.json", program("--config", config, "--discover").stdout)
    first = program("--config", config, "--catalog", catalog)
    output = parse(first.stdout.splitlines())
    assert len(output.records("Contacts")) == sandbox.count("Contacts")
    state = files("state.json", output.state)
    second = parse(
        program("--config", config, "--catalog", catalog, "--state", state).stdout.splitlines()
    )
    assert len(second.records("Contacts")) < 10
    assert len(second.records("Users")) == len(output.records("Users"))


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_killed_run_resumes_from_its_last_state(tmp_path, how):
    with Sandbox(rows=50, latency_ms=10) as sandbox:
        for n in range(3000):
            sandbox.insert("Contacts", {"lastname": f"{n}"}, modifiedtime="2020-01-01 00:00:00")
        process = start("tap_kafinea", tmp_path, config=settings(sandbox, modules=["Contacts"]))
        lines = [next(process.stdout) for _ in range(1500)]
        lines += stop(process, how)

        # A target keeps what stands before the last state it was given, and that state.
        last_state = max(n for n, line in enumerate(lines) if '"STATE"' in line[:20])
        before = parse(lines[:last_state])
        state = parse([lines[last_state]]).state
        assert before.records("Contacts")
        after = extract(sandbox, state=state, modules=["Contacts"])
        found = before.ids("Contacts") + after.ids("Contacts")
        assert set(found) == {row["id"] for row in sandbox.rows("Contacts")}
        assert len(found) - len(set(found)) <= 25  # what the lookback reads again


def test_run_ends_when_its_reader_goes_away(sandbox, files):
    config = files("config.json", settings(sandbox))
    process = subprocess.Popen(
        [sys.executable, "-m", "tap_kafinea", "--config", config],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.readline()
    process.stdout.close()
    errors = process.stderr.read().decode()
    process.stderr.close()
    assert process.wait(timeout=60) == 1
    assert "Traceback" not in errors


def test_progress_is_logged_every_few_seconds(sandbox, files, monkeypatch):
    """By a clock that advances two seconds whenever it is read."""
    clock = SimpleNamespace(monotonic=partial(next, count(0, 2)))
    monkeypatch.setattr("kafinea.progress.time", clock)
    monkeypatch.setattr("kafinea.extract.module_rows.FEWEST", 5)
    config = settings(sandbox, modules=["Contacts"], page_size=5, max_sessions=1)
    done = command("--config", files("config.json", config))
    total = sandbox.count("Contacts")
    lines = re.findall(
        r"\| Contacts (\d+) of (\d+), \d+/s(?:, .+ left)?$", done.stderr, re.MULTILINE
    )
    assert 2 <= len(lines) < total / 5
    assert lines[-1] == (f"{total}", f"{total}")


def remembering(make, made):
    def made_and_remembered():
        made.append(make())
        return made[-1]

    return made_and_remembered


@pytest.mark.parametrize(
    "faults",
    [
        [
            {"kind": "html", "operation": "login", "times": 3},
            {"kind": "truncate", "operation": "describe", "times": 3},
            {"kind": "reset", "operation": "query", "times": 3, "nth": 3},
            {"kind": "session", "operation": "query", "times": 3, "nth": 5},
        ],
        [{"kind": "echo_secrets", "operation": "query", "times": 3}],
        [{"kind": "redirect", "operation": "query"}],
    ],
    ids=["transient faults", "echo_secrets", "redirect"],
)
def test_secrets_are_in_no_log_state_or_output(files, faults, monkeypatch):
    issued = []
    for make in ("uniqid", "session_id"):
        monkeypatch.setattr(php, make, remembering(getattr(php, make), issued))
    with Sandbox(rows=300) as sandbox:
        secrets = {sandbox.access_key, sandbox.access_key_of("joe"), "$1$", "$2y$"}
        added = [sandbox.faults.add(**fault) for fault in faults]
        config = files("config.json", settings(sandbox, modules=["Users", "Contacts"]))
        done = program("--config", config, env={"TAP_KAFINEA_LOGLEVEL": "DEBUG"})
        assert all(fault.hits for fault in added)
        assert len(issued) >= 2
        secrets |= set(issued)
        names = {row["lastname"] for row in sandbox.rows("Contacts") if len(row["lastname"]) > 6}
    assert done.stderr
    for secret in secrets:
        assert secret not in done.stdout
        assert secret not in done.stderr
    assert not [name for name in names if name in done.stderr]
