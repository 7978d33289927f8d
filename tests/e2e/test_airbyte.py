"""`source-kafinea`, run by PyAirbyte into its DuckDB cache, and by Airbyte's protocol."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import pytest

from kafinea_sandbox import Sandbox

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-airbyte/bin/python"
ZONE = "Europe/Paris"
MODULES = ["Contacts", "Invoice", "Currency"]
OLD = "2020-01-01 00:00:00"

pytestmark = pytest.mark.e2e

PROGRAM = """
import json, sys
from pathlib import Path
import airbyte
from airbyte.caches import DuckDBCache

config, executable, database = sys.argv[1:]
source = airbyte.get_source(
    "source-kafinea", config=json.loads(config), local_executable=Path(executable)
)
source.check()
source.select_all_streams()
source.read(cache=DuckDBCache(db_path=database))
"""


@pytest.fixture
def sandbox():
    with Sandbox(rows=300, timezone=ZONE) as sandbox:
        yield sandbox


def settings(sandbox, **more):
    where = {"url": sandbox.url, "username": sandbox.username, "access_key": sandbox.access_key}
    return where | {"timezone": ZONE, "modules": MODULES} | more


@pytest.fixture
def run(tmp_path):
    """Runs a command of the source, with files for its options; returns messages by type."""

    def run(command, *, code=0, **files):
        options = []
        for name, content in files.items():
            path = tmp_path / f"{name}.json"
            path.write_text(json.dumps(content))
            options += [f"--{name}", str(path)]
        done = subprocess.run(
            [sys.executable, "-m", "airbyte_kafinea", command, *options],
            capture_output=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (code, b"")
        messages = {}
        for line in done.stdout.splitlines():
            message = json.loads(line, parse_float=Decimal)
            messages.setdefault(message["type"], []).append(message)
        return messages

    return run


@pytest.mark.operate
def test_pyairbyte_loads_all_records_and_then_the_changes(sandbox, tmp_path):
    executable, database = tmp_path / "source-kafinea", tmp_path / "cache.duckdb"
    executable.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m airbyte_kafinea "$@"\n')
    executable.chmod(0o755)
    for module in ("Contacts", "Invoice"):
        sandbox.sql(f"UPDATE {module} SET modifiedtime = ?", [OLD])
    for run in range(2):
        if run:
            sandbox.insert("Contacts", {"lastname": "New"})
            sandbox.change("Contacts", sandbox.rows("Contacts")[0]["id"], {"cf_861": "0.10"})
            sandbox.requests.clear()
        command = [PYTHON, "-c", PROGRAM, json.dumps(settings(sandbox)), executable, database]
        done = subprocess.run(
            command,
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}
            | {"AIRBYTE_OFFLINE_MODE": "1", "DO_NOT_TRACK": "1"},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    asked = [request.params.get("query", "") for request in sandbox.requests]
    assert any("FROM Contacts WHERE modifiedtime >=" in query for query in asked)
    with duckdb.connect(database, read_only=True) as warehouse:
        rows = warehouse.execute("SELECT id, lastname, cf_861, modifiedtime FROM contacts")
        contacts = {row[0]: row[1:] for row in rows.fetchall()}
        total = warehouse.execute("SELECT sum(hdngrandtotal) FROM invoice").fetchone()
        lines = warehouse.execute("SELECT sum(json_array_length(lineitems)) FROM invoice")
        assert lines.fetchone()[0] > 12
    there = {
        row["id"]: (row["lastname"], Decimal(row["cf_861"] or 0), utc(row["modifiedtime"]))
        for row in sandbox.rows("Contacts")
    }
    assert {
        key: (name, amount or 0, time) for key, (name, amount, time) in contacts.items()
    } == there
    assert total == (sum(Decimal(row["hdnGrandTotal"]) for row in sandbox.rows("Invoice")),)


def utc(wire):
    """The moment as PyAirbyte stores it: in UTC, without a zone."""
    local = datetime.fromisoformat(wire).replace(tzinfo=ZoneInfo(ZONE))
    return local.astimezone(timezone.utc).replace(tzinfo=None)


def test_commands_speak_the_protocol(sandbox, run):
    spec = run("spec")["SPEC"][0]["spec"]
    assert spec["connectionSpecification"]["properties"]["access_key"]["airbyte_secret"]
    config = settings(sandbox)
    status = run("check", config=config)["CONNECTION_STATUS"][0]["connectionStatus"]
    assert status == {"status": "SUCCEEDED"}
    (catalog,) = run("discover", config=config)["CATALOG"]
    streams = catalog["catalog"]["streams"]
    chosen = {
        "streams": [
            {"stream": one, "sync_mode": one["supported_sync_modes"][-1]} for one in streams
        ]
    }
    read = run("read", config=config, catalog=chosen)
    ids = [one["record"]["data"]["id"] for one in read["RECORD"]]
    assert sorted(ids) == sorted(row["id"] for module in MODULES for row in sandbox.rows(module))
    # An interrupted run: the state in the middle of a module.
    statuses = [one["trace"]["stream_status"]["status"] for one in read["TRACE"]]
    assert statuses == ["STARTED", "COMPLETE"] * 3
    state = {
        one["state"]["stream"]["stream_descriptor"]["name"]: one["state"] for one in read["STATE"]
    }
    assert state.keys() == {"Contacts", "Invoice"}
    again = run("read", config=config, catalog=chosen, state=[*state.values()])
    assert len(again["RECORD"]) < len(ids)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"access_key": "wrong-key"}, "access key"),
        ({"max_sessions": 0}, "The setting `max_sessions` cannot be used. minimum: 1."),
        ({"modules": ["Contact"]}, "Module 'Contact' not found"),
    ],
)
def test_check_names_what_is_wrong(sandbox, run, change, message):
    answer = run("check", config=settings(sandbox) | change)["CONNECTION_STATUS"][0]
    assert answer["connectionStatus"]["status"] == "FAILED"
    assert message in answer["connectionStatus"]["message"]
    assert "wrong-key" not in json.dumps(answer)


def test_stream_that_fails_does_not_stop_the_others(sandbox, run):
    config = settings(sandbox)
    streams = run("discover", config=config)["CATALOG"][0]["catalog"]["streams"]
    chosen = {"streams": [{"stream": one, "sync_mode": "full_refresh"} for one in streams]}
    denied = '{"success":false,"error":{"message":"denied","code":"ACCESS_DENIED"}}'
    fault = {"operation": "query", "contains": "FROM Contacts", "times": None}
    sandbox.faults.add("status", status=200, body=denied, **fault)
    read = run("read", code=1, config=config, catalog=chosen)
    traces = [one["trace"] for one in read["TRACE"]]
    (error,) = (one["error"]["message"] for one in traces if one["type"] == "ERROR")
    assert "To extract without it, remove it from `modules`" in error
    ends = [one["stream_status"]["status"] for one in traces if one["type"] == "STREAM_STATUS"]
    assert sorted(ends) == ["COMPLETE"] * 2 + ["INCOMPLETE"] + ["STARTED"] * 3
    assert "STATE" not in read
