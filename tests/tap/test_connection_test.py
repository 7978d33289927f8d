"""`tap-kafinea --test`: a line for each stream, and the exit code."""

from __future__ import annotations

import json

import pytest

from kafinea.page_query import number
from kafinea_sandbox import Sandbox
from tests.tap.running import command, discover, settings
from tests.tap.test_line_items import company

DIALECTS = ("kafinea", "stock", "frevo", "corebos", "legacy")
DENIED = '{"success":false,"error":{"message":"denied","code":"ACCESS_DENIED"}}'


def run_test(tmp_path, config, *arguments):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config), "utf-8")
    done = command("--test", "--config", str(path), *arguments)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout.splitlines(), done.stderr


@pytest.mark.parametrize("dialect", DIALECTS)
def test_connection_test_reads_one_record_of_each_stream(dialect, tmp_path):
    with Sandbox(dialect=dialect, rows=300) as sandbox:
        more = {"deletions": "scan", "deletions_path": str(tmp_path / "ids")}
        names = ["Contacts", "Documents", "Potentials"]
        if dialect not in {"corebos", "legacy"}:  # they report neither lists nor files
            names[-1] = "Invoice"
            more["relations"] = [{"module": "Campaigns", "related": "Contacts"}]
            more["files"] = {"enabled": True, "path": str(tmp_path / "files")}
            names += ["campaigns_contacts", "files"]
        config = settings(sandbox, modules=names[:3], **more)
        code, lines, errors = run_test(tmp_path, config)
        asked = len(sandbox.requests.of("query")) + len(sandbox.requests.of("retrieve"))
    assert (code, "ERROR" in errors) == (0, False), (lines, errors)
    assert lines[0].startswith("login: ok, admin is user ")
    assert lines[1].startswith("listtypes: ok, ")
    assert sorted(lines[2:]) == [f"{name}: ok" for name in names]
    assert not (tmp_path / "ids").exists()
    assert asked <= 6 * len(names)  # a few documents are retrieved ahead


def test_connection_test_reports_failing_streams_and_exit_code(sandbox, tmp_path):
    for row in sandbox.rows("Leads"):
        sandbox.remove("Leads", row["id"])
    sandbox.change("Contacts", sandbox.rows("Contacts")[0]["id"], {"firstname": None})
    fault = {"contains": "FROM Accounts", "status": 200, "body": DENIED, "times": None}
    sandbox.faults.add("status", operation="query", **fault)
    maps = {"Contacts": {"x": "firstname.upper()"}, "Vendors": {"x": "vendorname.upper("}}
    modules = ["Accounts", "Contacts", "Leads", "Potentials", "Vendors"]
    config = settings(sandbox, modules=modules, stream_maps=maps)
    code, lines, errors = run_test(tmp_path, config)
    assert (code, "ERROR" in errors) == (1, False)
    said = dict(line.split(": ", 1) for line in lines[2:])
    assert said["Accounts"].startswith('FAILED: query of Accounts: "denied" (ACCESS_DENIED)')
    assert said["Contacts"].startswith("FAILED: `stream_maps`, property `x`: the expression fails")
    assert said["Vendors"] == (
        "FAILED: `stream_maps`, property `x`: the expression cannot be parsed."
    )
    assert (said["Leads"], said["Potentials"]) == ("ok, there are no records", "ok")


def test_connection_test_fails_for_modules_a_run_would_miss(sandbox, tmp_path):
    config = settings(sandbox, modules=["Leads", "Kontakte"])
    code, lines, _ = run_test(tmp_path, config)
    assert code == 1
    assert lines[2] == "Leads: ok"
    assert lines[3].startswith("Kontakte: FAILED: `modules`: Module 'Kontakte' not found")
    catalog = discover(sandbox, modules=["Leads"])
    for name in ("Kontacts", "ProductTaxes"):
        catalog["streams"].append({**catalog["streams"][0], "tap_stream_id": name, "stream": name})
    path = tmp_path / "catalog.json"
    path.write_text(json.dumps(catalog), "utf-8")
    config["modules"] = ["*", "Kontakte"]
    code, lines, _ = run_test(tmp_path, config, "--catalog", str(path))
    assert code == 1
    said = dict(line.split(": ", 1) for line in lines[2:])
    assert said["Leads"] == "ok"
    assert "Did you mean `Contacts`?" in said["Kontacts"]
    assert said["ProductTaxes"] == "left out, because its records have no `id`"
    assert "'Kontakte' not found" in said["Kontakte"]


def test_connection_test_is_as_short_with_environment_variables(sandbox):
    given = {**settings(sandbox, modules='["Contacts"]'), "page_size": "100", "max_sessions": "9"}
    variables = {f"TAP_KAFINEA_{name.upper()}": value for name, value in given.items()}
    sandbox.requests.clear()
    done = command("--test", "--config", "ENV", env=variables)
    assert done.returncode == 0, done.stderr
    queries = [one.params["query"] for one in sandbox.requests.of("query")]
    assert all("LIMIT 1;" in one for one in queries if "LIMIT" in one), queries


@pytest.mark.parametrize("is_last", [False, True])
def test_connection_test_follows_the_catalog(sandbox, tmp_path, is_last):
    found = discover(sandbox, modules=["Contacts", "Leads"])
    for entry in found["streams"]:
        selected = {"selected": entry["stream"] == "Leads"}
        entry["metadata"].append({"breadcrumb": [], "metadata": selected})
    catalog = tmp_path / "catalog.json"
    catalog.write_text(json.dumps(found), "utf-8")
    config = settings(sandbox)
    code, lines, _ = run_test(tmp_path, config, "--catalog", str(catalog))
    assert (code, lines[2:]) == (0, ["Leads: ok"])


@pytest.mark.parametrize("with_documents", [True, False])
@pytest.mark.parametrize(("lines", "said"), [(2, "ok"), (0, "ok, there are no records")])
def test_connection_test_makes_a_row_of_a_table_of_lines(tmp_path, with_documents, lines, said):
    with Sandbox(company=company([lines])) as sandbox:
        found = discover(sandbox, modules=["Invoice"], line_items="table")
        found["streams"] = found["streams"][0 if with_documents else 1 :]
        catalog = tmp_path / "catalog.json"
        catalog.write_text(json.dumps(found), "utf-8")
        config = settings(sandbox, line_items="table")
        code, printed, _ = run_test(tmp_path, config, "--catalog", str(catalog))
    assert code == 0
    assert printed[2:] == ["Invoice: ok"] * with_documents + [f"InvoiceLineItems: {said}"]


@pytest.mark.parametrize(
    ("metadata", "line"),
    [
        ({"selected": False}, "No stream is selected."),
        ({"replication-key": "id", "replication-method": "INCREMENTAL"}, "Leads: FAILED: The cat"),
        ({}, "Leads: FAILED: {first}: query of Leads: HTTP 500"),
    ],
)
def test_connection_test_says_why_nothing_can_be_read(tmp_path, metadata, line):
    with Sandbox(rows=50) as probe:
        first = probe.rows("Leads")[0]["id"]
        found = discover(probe, modules=["Leads"])
    (root,) = (one for one in found["streams"][0]["metadata"] if not one["breadcrumb"])
    root["metadata"] |= metadata
    catalog = tmp_path / "catalog.json"
    catalog.write_text(json.dumps(found), "utf-8")
    with Sandbox(rows=50, unencodable={"Leads": [number(first)]}) as sandbox:
        code, printed, _ = run_test(tmp_path, settings(sandbox), "--catalog", str(catalog))
    assert code == 1
    (told,) = printed[2:]
    assert told.startswith(line.format(first=first))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"access_key": "wrong"}, "does not accept this access key for user 'admin'"),
        ({"username": None}, "'username' is a required property"),
    ],
)
def test_connection_test_with_failed_login_is_one_error(sandbox, tmp_path, change, said):
    config = {name: one for name, one in (settings(sandbox) | change).items() if one}
    code, lines, errors = run_test(tmp_path, config)
    assert (code, lines) == (1, [])
    assert [said in line for line in errors.splitlines() if "ERROR" in line] == [True]
