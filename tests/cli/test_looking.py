"""`kafinea describe`, `count`, `get` and `query`."""

from __future__ import annotations

import csv
import io
import json
from decimal import Decimal

import pytest

from kafinea_sandbox import Sandbox
from tests.cli.running import on_terminal, run, variables
from tests.conftest import DIALECTS, connect
from tests.tap.running import extract


def json_of(arguments, environment, folder):
    done = run([*arguments, "--json"], environment, folder)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout, parse_float=Decimal)


# describe


def test_describe_has_all_fields_with_labels_and_values(company, environment, tmp_path):
    rows = {row["name"]: row for row in json_of(["describe", "Leads"], environment, tmp_path)}
    with connect(company) as client:
        module = client.describe("Leads")
    assert [*rows] == [*module.fields]
    source = module.fields["leadsource"]
    assert [one["value"] for one in rows["leadsource"]["picklist"]] == [*source.picklist]
    assert rows["lastname"] | {"default": ""} == {
        "name": "lastname", "label": module.fields["lastname"].label, "type": "string",
        "mandatory": True, "editable": True, "unique": False, "default": "", "refers_to": [],
        "picklist": [],
    }  # fmt: skip


@pytest.mark.parametrize("command", ["describe", "count", "records"])
def test_module_that_does_not_exist_is_named_with_a_suggestion(command, environment, tmp_path):
    done = run([command, "contacts"], environment, tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "Module 'contacts' not found" in done.stderr
    assert "Did you mean `Contacts`?" in done.stderr


# count


@pytest.mark.parametrize("dialect", DIALECTS)
def test_count_is_the_number_of_records(dialect, tmp_path):
    with Sandbox(dialect=dialect, rows=100) as sandbox:
        environment = variables(sandbox)
        rows = json_of(["count", "Contacts", "Invoice"], environment, tmp_path)
        counts = {name: sandbox.count(name) for name in ("Contacts", "Invoice")}
    assert {row["name"]: row["records"] for row in rows} == counts


def test_count_without_names_counts_what_the_tap_selects(company, environment, tmp_path):
    environment["TAP_KAFINEA_MODULES"] = '["Project*", "!ProjectTask"]'
    rows = json_of(["count"], environment, tmp_path)
    assert [row["name"] for row in rows] == ["ProjectMilestone", "Project"]


def test_module_that_cannot_be_counted_is_named_at_the_end(tmp_path, quick):
    with Sandbox(rows=100) as sandbox:
        sandbox.faults.add(
            "status", operation="query", contains="FROM Leads", status=500, times=None
        )
        done = run(["count", "Leads", "Contacts"], variables(sandbox), tmp_path)
        contacts = sandbox.count("Contacts")
    assert done.returncode == 1
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["Module", "Label", "Records"], ["Leads", "Leads"], ["Contacts", "Contacts", str(contacts)]
    ]  # fmt: skip
    assert "Leads cannot be counted: " in done.stderr


def test_server_that_is_away_ends_the_count(tmp_path, quick):
    with Sandbox(rows=100) as sandbox:
        sandbox.faults.add("status", operation="query", status=503, times=None)
        sandbox.faults.add("status", operation="listtypes", status=503, nth=2, times=None)
        done = run(["count"], variables(sandbox, TAP_KAFINEA_MAX_SESSIONS="1"), tmp_path)
        counted = {request.params.get("query") for request in sandbox.requests}
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "ERROR listtypes: HTTP 503, an empty body."
    assert len(counted) < 5


# get


@pytest.mark.parametrize("dialect", DIALECTS)
def test_get_is_the_record_as_the_tap_extracts_it(dialect, tmp_path):
    with Sandbox(dialect=dialect, rows=200) as sandbox:
        tapped = extract(sandbox, modules=["Invoice"], timezone="UTC").records("Invoice")[-1]
        (row,) = json_of(["get", tapped["id"]], variables(sandbox), tmp_path)
    assert row == tapped
    assert row["LineItems"]


def test_get_shows_labels_whole_texts_and_lines(company, environment, tmp_path):
    invoice = company.rows("Invoice")[0]["id"]
    long = "\n".join(["first", "x" * 500, "\x1b[31mred"])
    company.change("Invoice", invoice, {"description": long})
    done = run(["get", invoice], environment, tmp_path)
    shown = done.stdout.splitlines()
    assert shown[0] == f"Invoice {invoice}"
    start = next(n for n, line in enumerate(shown) if line.startswith("Description"))
    assert shown[start].split() == ["Description", "description", "first"]
    assert [line.strip() for line in shown[start + 1 : start + 3]] == ["x" * 500, r"\x1b[31mred"]
    assert any(line.startswith("Total ") and " hdnGrandTotal " in line for line in shown)
    lines = next(n for n, line in enumerate(shown) if line.startswith("LineItems: "))
    assert shown[lines + 1].split()[:2] == ["id", "parent_id"]
    assert shown[lines + 2].split()[1] == invoice


@pytest.mark.parametrize(
    ("record_id", "code", "message"),
    [
        ("{}x999999", 1, "Contacts has no record"),
        ("999x1", 1, "No module has ids that begin with 999x"),
        ("nothing", 2, "'nothing' is not an id, such as 3x18"),
    ],
)
def test_record_that_does_not_exist(record_id, code, message, company, environment, tmp_path):
    prefix = company.rows("Contacts")[0]["id"].partition("x")[0]
    done = run(["get", record_id.format(prefix)], environment, tmp_path)
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr


# query


@pytest.fixture(scope="module")
def leads():
    """A company with more leads than a page has."""
    with Sandbox(rows=100) as sandbox:
        _add_leads(sandbox, 130)
        yield sandbox


def _add_leads(sandbox, count):
    for number in range(count):
        sandbox.insert("Leads", {"lastname": f"{'AB'[number % 2]} {number}", "city": "Lyon"})


WANTED = {
    "": lambda _: True,
    " WHERE lastname LIKE 'A %'": lambda row: row["lastname"].startswith("A "),
    # A further condition on `id` must not be one of the second half only.
    " WHERE lastname LIKE 'A %' OR lastname LIKE 'B %' AND city = 'Lyon'": lambda row: (
        row["lastname"][:2] in {"A ", "B "}
    ),
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_query_all_returns_each_record_once(dialect, tmp_path):
    with Sandbox(dialect=dialect, rows=100) as sandbox:
        _add_leads(sandbox, 1030)
        leads = sandbox.rows("Leads")
        for where, is_wanted in WANTED.items():
            asked = ["query", "--all", f"SELECT lastname, city FROM Leads{where};"]
            rows = json_of(asked, variables(sandbox), tmp_path)
            assert [row["id"] for row in rows] == [row["id"] for row in leads if is_wanted(row)]
            assert len(rows) > 500


def test_query_returns_a_page_and_says_that_there_may_be_more(leads, tmp_path):
    done = run(["query", "SELECT lastname FROM Leads", "--csv"], variables(leads), tmp_path)
    assert len(list(csv.DictReader(io.StringIO(done.stdout)))) == 100
    assert done.stderr == "100 records are shown. There may be more: use --all.\n"
    limited = run(["query", "SELECT lastname FROM Leads LIMIT 100;"], variables(leads), tmp_path)
    assert limited.stderr == ""


def test_query_shows_values_as_the_server_has_them(company, environment, tmp_path):
    (row,) = json_of(["query", "SELECT count(*) FROM Contacts"], environment, tmp_path)
    assert row == {"count": str(company.count("Contacts"))}


def test_query_that_failed_in_the_database_is_not_an_empty_result(company, environment, tmp_path):
    done = run(["query", "SELECT id FROM Contacts ORDER BY mailingcity"], environment, tmp_path)
    assert done.returncode == 1
    counted = f"{company.count('Contacts'):,}"
    assert f"returned no records, but counts {counted}: the query failed" in done.stderr
    none = run(["query", "SELECT id FROM Contacts WHERE id < '1x1'"], environment, tmp_path)
    assert (none.returncode, none.stdout, none.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT id FROM Contacts LIMIT 3", "Remove LIMIT"),
        ("SELECT id FROM Contacts ORDER BY lastname", "Remove ORDER BY"),
        ("SELECT count(*) FROM Contacts", "Leave out --all"),
        ("DELETE FROM Contacts", "Expected SELECT at character 1"),
        ("SELECT id FROM Contacts WHERE", "ends where a name is expected"),
    ],
)
def test_query_that_cannot_be_paged_is_explained(query, message, environment, tmp_path):
    done = run(["query", "--all", query], environment, tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in " ".join(done.stderr.split())


def test_query_that_the_server_refuses_is_one_line(environment, tmp_path):
    done = run(["query", "SELECT nothing FROM Contacts"], environment, tmp_path)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1


def test_secrets_of_users_are_not_shown(company, environment, tmp_path):
    for arguments in (["query", "SELECT * FROM Users"], ["records", "Users"]):
        done = run([*arguments, "--json"], environment, tmp_path)
        assert done.returncode == 0
        assert company.access_key not in done.stdout
        assert "user_password" not in done.stdout


def test_table_on_a_terminal_shows_no_control_characters(company, environment, tmp_path):
    lead = company.insert("Leads", {"lastname": "\x1b]0;title\x07田中", "city": "x" * 200})
    _, shown = on_terminal(
        ["records", "Leads", "--fields", "lastname,city", "--where", f"id = {lead}"],
        environment, tmp_path, columns=60,
    )  # fmt: skip
    _, line = shown.splitlines()[:2]
    assert r"\x1b]0;title\x07田中" in line
    assert "\x1b]0" not in shown
    assert line.endswith("…")


@pytest.mark.parametrize("form", ["--json", "--csv"])
def test_exact_values_on_a_terminal_do_not_act_on_it(form, company, environment, tmp_path):
    name = 'a\x1b]0;x\x07\x9b1m\u202e"b'
    lead = company.insert("Leads", {"lastname": name})
    asked = ["records", "Leads", "--fields", "lastname", "--where", f"id = {lead}", form]
    _, shown = on_terminal(asked, environment, tmp_path, columns=60)
    assert not set("\x1b\x07\x9b\u202e") & set(shown)
    if form == "--json":
        assert json.loads(shown)[0]["lastname"] == name
    assert name.replace('"', '""' if form == "--csv" else '"') in (
        json.loads(run(asked, environment, tmp_path).stdout)[0]["lastname"]
        if form == "--json" else run(asked, environment, tmp_path).stdout
    )  # fmt: skip


def test_table_in_a_pipe_cuts_no_value(tmp_path):
    with Sandbox(rows=100) as sandbox:
        for number in range(120):
            sandbox.insert("Leads", {"lastname": "x" * number or "-", "city": "Lyon"})
        done = run(["records", "Leads", "--fields", "lastname,city"], variables(sandbox), tmp_path)
        rows = [(row["id"], row["lastname"], row["city"]) for row in sandbox.rows("Leads")]
    shown = [tuple(line.split(None, 2)) for line in done.stdout.splitlines()[1:]]
    assert [line for line in shown if line[2:] == ("Lyon",)] == [r for r in rows if r[2] == "Lyon"]
