"""`kafinea modules`, and what all commands do with their output."""

from __future__ import annotations

import csv
import io
import json
import re
import signal
import subprocess
import time

import pytest

from kafinea_sandbox import Sandbox
from tests.cli.running import COMMAND, on_terminal, run, variables
from tests.conftest import DIALECTS, connect


@pytest.mark.parametrize("dialect", DIALECTS)
def test_json_has_what_the_server_reports(dialect, tmp_path):
    with Sandbox(dialect=dialect, rows=100) as sandbox:
        done = run(["modules", "--json"], variables(sandbox), tmp_path)
        with connect(sandbox) as client:
            described = {name: client.describe(name) for name in client.listtypes()}
    assert (done.returncode, done.stderr) == (0, "")
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert rows.keys() == described.keys()
    for name, module in described.items():
        assert rows[name] | {"label": ""} == {
            "name": name, "label": "", "id_prefix": module.id_prefix,
            "fields": len(module.fields), "read": "id" in module.fields,
            "create": module.createable, "update": module.updateable,
            "delete": module.deleteable, "lines": module.is_inventory,
        }  # fmt: skip


def test_module_that_the_server_fails_to_describe_is_not_readable(tmp_path, quick):
    with Sandbox(rows=100) as sandbox:
        sandbox.faults.add("status", operation="describe", contains="Leads", status=500, times=None)
        rows = json.loads(run(["modules", "--json"], variables(sandbox), tmp_path).stdout)
        with connect(sandbox) as client:
            shown = len(client.listtypes())
    assert len(rows) == shown
    assert {"name": "Leads", "label": "Leads", "read": False} in rows


def test_csv_has_the_rows_of_json(environment, tmp_path):
    rows = json.loads(run(["modules", "--json"], environment, tmp_path).stdout)
    lines = csv.DictReader(io.StringIO(run(["modules", "--csv"], environment, tmp_path).stdout))
    assert [(line["name"], line["fields"]) for line in lines] == [
        (row["name"], str(row["fields"])) for row in rows
    ]


def test_table_in_a_pipe_is_plain_and_whole(environment, tmp_path):
    done = run(["modules"], environment, tmp_path)
    heading, *lines = done.stdout.splitlines()
    assert heading.split() == [
        *("Module", "Label", "Ids", "Fields", "Read", "Create", "Update", "Delete", "Lines")
    ]
    assert any(re.fullmatch(r"Invoice +Invoices +\d+ +\d+( +yes){5}", line) for line in lines)
    assert "\x1b" not in done.stdout


def test_table_on_a_narrow_terminal_says_what_is_left_out(environment, tmp_path):
    code, shown = on_terminal(["modules"], environment, tmp_path, columns=50)
    assert code == 0
    lines = [re.sub(r"\x1b\[[\d;]*m", "", line) for line in shown.splitlines()]
    assert max(map(len, lines[:-1])) <= 50
    assert "columns are not shown: the terminal is too narrow" in lines[-1]
    assert "\x1b[1mModule" in shown


def test_names_and_numbers_are_whole_on_a_terminal(environment, tmp_path):
    described = json.loads(run(["describe", "Contacts", "--json"], environment, tmp_path).stdout)
    _, shown = on_terminal(["describe", "Contacts"], environment, tmp_path)
    names = [line.split(" ")[0] for line in shown.splitlines()[1:]]
    assert names[: len(described)] == [field["name"] for field in described]
    fields = "subject,hdnGrandTotal,bill_street,bill_city,terms_conditions"
    command = ["records", "Invoice", "--fields", fields, "--limit", "3"]
    rows = json.loads(run([*command, "--json"], environment, tmp_path).stdout, parse_float=str)
    _, shown = on_terminal(command, environment, tmp_path, columns=60)
    assert len(rows) == 3
    for row, line in zip(rows, shown.splitlines()[1:], strict=False):
        assert row["hdnGrandTotal"] in line.split()


@pytest.mark.parametrize(
    ("where", "start", "message"),
    [
        ("| head -1", "Module ", ""),
        (">&-", "", "ERROR The output cannot be written: it is closed.\n"),
    ],
)
def test_output_that_nobody_reads_is_no_bug(where, start, message, environment, tmp_path):
    command = subprocess.list2cmdline([*COMMAND, "modules"])
    done = subprocess.run(
        ["bash", "-c", f"{command} {where}"], env=environment, cwd=tmp_path,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout.startswith(start)
    assert done.stderr == message


def test_interrupt_is_one_line_and_exit_code_130(company, environment, tmp_path):
    hanging = company.faults.add("hang", operation="describe", seconds=60, times=None)
    process = subprocess.Popen(
        [*COMMAND, "modules"], env=environment, cwd=tmp_path,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while not hanging.hits:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    company.faults.clear()
    assert (process.returncode, out, err) == (130, "", "Interrupted.\n")


def test_json_and_csv_together_are_wrong_usage(environment, tmp_path):
    done = run(["modules", "--json", "--csv"], environment, tmp_path)
    assert done.returncode == 2
    assert "Use either --json or --csv." in done.stderr


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("KAFINEA_ACCESS_KEY", "", "`access_key` (KAFINEA_ACCESS_KEY). Run `kafinea init`"),
        ("KAFINEA_ACCESS_KEY", "secretsecret", "does not accept this access key"),
        ("KAFINEA_URL", "ftp://nowhere", "YourKafinea (TAP_KAFINEA_URL)"),
    ],
)  # fmt: skip
def test_wrong_connection_is_one_line(environment, tmp_path, variable, value, message):
    done = run(["modules"], {**environment, variable: value}, tmp_path)
    assert done.returncode == 1
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "secretsecret" not in done.stderr
