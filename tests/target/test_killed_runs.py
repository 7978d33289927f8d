"""Runs that are killed: the next run of the same input leaves exactly one record per key."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager

import pytest
import requests

from tests.target.running import Files, empty, load, matched, messages, state

STREAMS = matched("Contacts", "cf_853")
RECORDS = 120


def steps(records=RECORDS):
    """Records, each followed by a state that claims it."""
    lines = []
    for n in range(records):
        schema, line = messages("Contacts", {"cf_853": f"{n}", "lastname": f"Name {n}"})
        lines += [schema, line, state({"done": n})] if n == 0 else [line, state({"done": n})]
    return lines


@contextmanager
def running(config, *arguments, **options):
    process = subprocess.Popen(
        [sys.executable, "-m", "target_kafinea", "--config", config, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def until(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def proven(sandbox, outcomes, stdout):
    """What the state lines claim has its outcome, and what has an outcome is true."""
    claimed = [json.loads(line)["done"] for line in stdout.splitlines()]
    with_outcome = {line["key"]["cf_853"] for line in outcomes}
    assert {f"{n}" for n in range(max(claimed, default=-1) + 1)} <= with_outcome
    there = Counter(row["cf_853"] for row in sandbox.rows("Contacts"))
    assert all(there[key] == 1 for key in with_outcome)
    assert max(there.values(), default=0) <= 1


def complete_after_a_rerun(sandbox, lines, **more):
    run = load(sandbox, lines, streams=STREAMS, **more)
    assert run.code == 0
    wanted = {f"{n}": f"Name {n}" for n in range(RECORDS)}
    rows = sandbox.rows("Contacts")
    assert len(rows) == len(wanted)
    assert {row["cf_853"]: row["lastname"] for row in rows} == wanted
    assert run.states[-1] == {"done": RECORDS - 1}


@pytest.mark.parametrize("after", [1, 30, 100])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_run_killed_while_it_writes_is_completed_by_the_next(tmp_path, how, after):
    with empty(latency_ms=20) as sandbox:
        files, lines = Files(tmp_path), steps()
        config = files.config(sandbox, streams=STREAMS)
        with running(config, "--input", files.input(lines)) as process:
            until(lambda: sandbox.count("Contacts") >= after)
            process.send_signal(how)
            stdout, stderr = process.communicate(timeout=60)
        assert process.returncode == (-how if how == signal.SIGKILL else 143)
        assert "Traceback" not in stderr
        proven(sandbox, files.lines("outcomes"), stdout)
        if how == signal.SIGKILL:
            assert sandbox.count("Contacts") < RECORDS
        complete_after_a_rerun(sandbox, lines)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_run_killed_while_its_tap_still_writes(tmp_path, how):
    with empty(latency_ms=10) as sandbox:
        files, lines = Files(tmp_path), steps()
        config = files.config(sandbox, streams=STREAMS)
        with running(config, stdin=subprocess.PIPE) as process:
            process.stdin.write("".join(f"{line}\n" for line in lines[:150]))
            process.stdin.flush()
            until(lambda: len(sandbox.requests) >= 3)
            time.sleep(0.2)
            process.send_signal(how)
            stdout, stderr = process.communicate(timeout=60)
        assert process.returncode == (-how if how == signal.SIGKILL else 143)
        assert "Traceback" not in stderr
        proven(sandbox, files.lines("outcomes"), stdout)
        complete_after_a_rerun(sandbox, lines)


def test_second_sigterm_writes_no_false_state(tmp_path):
    with empty(latency_ms=40) as sandbox:
        files, lines = Files(tmp_path), steps()
        config = files.config(sandbox, streams=STREAMS)
        with running(config, "--input", files.input(lines)) as process:
            until(lambda: sandbox.count("Contacts") >= 20)
            for _ in range(2):
                process.send_signal(signal.SIGTERM)
                time.sleep(0.05)
            stdout, stderr = process.communicate(timeout=60)
        assert process.returncode == 143
        assert "Traceback" not in stderr
        proven(sandbox, files.lines("outcomes"), stdout)
        complete_after_a_rerun(sandbox, lines)


def test_sigterm_while_the_server_hangs_ends_the_run(tmp_path):
    """Schedulers send SIGKILL some seconds later."""
    with empty() as sandbox:
        files, lines = Files(tmp_path), steps()
        sandbox.faults.add("hang", operation="create", nth=10, seconds=300, times=None)
        config = files.config(sandbox, streams=STREAMS)
        with running(config, "--input", files.input(lines)) as process:
            until(lambda: len(sandbox.requests.of("create")) >= 12)
            process.send_signal(signal.SIGTERM)
            stdout, _ = process.communicate(timeout=200)  # and not for as long as the server hangs
        assert process.returncode == 143
        proven(sandbox, files.lines("outcomes"), stdout)
        sandbox.faults.clear()
        complete_after_a_rerun(sandbox, lines)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_run_killed_while_it_deletes_and_updates(tmp_path, how):
    with empty(latency_ms=20) as sandbox:
        for n in range(RECORDS):
            sandbox.insert("Contacts", {"cf_853": f"{n}", "lastname": "Old", "phone": "1"})
        records = [
            {
                "cf_853": f"{n}",
                "lastname": "New",
                "_sdc_deleted_at": "2026-01-01T00:00:00Z" if n % 2 else None,
            }
            for n in range(RECORDS)
        ]
        lines, files = messages("Contacts", *records), Files(tmp_path)
        options = {"streams": STREAMS, "hard_delete": True}
        config = files.config(sandbox, **options)
        with running(config, "--input", files.input(lines)) as process:
            until(lambda: sandbox.count("Contacts") < RECORDS - 10)
            process.send_signal(how)
            process.communicate(timeout=60)
        run = load(sandbox, lines, **options)
        assert run.code == 0
        assert {row["cf_853"]: row["lastname"] for row in sandbox.rows("Contacts")} == {
            f"{n}": "New" for n in range(0, RECORDS, 2)
        }
        assert {row["phone"] for row in sandbox.rows("Contacts")} == {"1"}


def test_unreachable_server_ends_the_run_with_one_line(tmp_path):
    """In a process of its own, so that its connections go away with it."""
    lines, data = steps(), tmp_path / "data"
    with empty(data=data):
        pass
    serve = [sys.executable, "-m", "kafinea_cli", "sandbox"]
    with subprocess.Popen(
        [*serve, "--data", str(data), "--latency-ms", "20"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        facts = json.loads(server.stdout.readline())
        control = facts.pop("control")
        token = {"Authorization": f"Bearer {facts.pop('control_token')}"}

        def go_away():
            asked = {"json": {"module": "Contacts"}, "headers": token, "timeout": 10}
            until(lambda: requests.post(f"{control}/count", **asked).json()["result"] >= 20)
            server.kill()

        going = threading.Thread(target=go_away)
        going.start()
        run = load(None, lines, **facts, streams=STREAMS)
        going.join()
    assert run.code == 1
    assert "Traceback" not in run.stderr
    assert "refuses the connection" in run.errors[0]
    with empty(data=data) as sandbox:
        proven(sandbox, run.outcomes, run.stdout)
        complete_after_a_rerun(sandbox, lines)


def test_create_under_way_at_a_sigterm_is_found_by_the_next_run(tmp_path):
    with empty() as sandbox:
        sandbox.faults.add("latency", operation="create", seconds=2)
        files = Files(tmp_path)
        config = files.config(sandbox, streams=STREAMS)
        lines = messages("Contacts", {"cf_853": "a", "lastname": "x"})
        with running(config, "--input", files.input(lines)) as process:
            until(lambda: sandbox.requests.of("create"))
            process.terminate()
            assert process.wait(timeout=60) == 143
        run = load(sandbox, lines, streams=STREAMS)
        assert run.code == 0
        assert sandbox.count("Contacts") == 1


def test_states_are_emitted_in_order_after_their_records(tmp_path):
    """Also within a run that is not disturbed: at each state line, what it claims is there."""
    with empty(latency_ms=5) as sandbox:
        files, lines = Files(tmp_path), steps()
        config = files.config(sandbox, streams=STREAMS)
        seen = []
        with running(config, "--input", files.input(lines)) as process:
            for line in process.stdout:
                done = json.loads(line)["done"]
                there = {row["cf_853"] for row in sandbox.rows("Contacts")}
                assert {f"{n}" for n in range(done + 1)} <= there, (done, sorted(there))
                seen.append(done)
        assert seen == sorted(seen)
        assert seen[-1] == RECORDS - 1
