"""`kafinea verify`: what is wrong in a warehouse is found and repaired, and nothing else is."""

from __future__ import annotations

import json
import threading
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import pytest

from kafinea_sandbox import Sandbox
from tests.cli.verifying import Company
from tests.loaders.conftest import DuckDB, PostgreSQL
from tests.mutating_proxy import mutating
from tests.tap.test_deletions import fill, hide, number, restore, there
from tests.target.running import empty

OLD = "2020-01-01 00:00:00"
LATER_ROWS = (
    "Not yet extracted: 1, changed at or after the newest row of their table. If the next run "
    "does not extract them, they are lost: verify with --state."
)
LATER = "2021-01-01 00:00:00"


@pytest.fixture(params=[("kafinea", "duckdb"), ("frevo", "postgres")])
def any_company(request, tmp_path):
    """A company in each kind of warehouse, on the servers whose answers differ most."""
    dialect, kind = request.param
    with ExitStack() as stack:
        if kind == "postgres":
            database = stack.enter_context(request.getfixturevalue("postgres").fresh())
            warehouse = PostgreSQL(tmp_path, database)
        else:
            warehouse = DuckDB(tmp_path)
        sandbox = stack.enter_context(Sandbox(dialect=dialect, rows=100, timezone="Europe/Paris"))
        yield Company(sandbox, warehouse, tmp_path)


@pytest.fixture
def company(tmp_path):
    """Contacts, all older than the newest, and their DuckDB file."""
    with empty() as sandbox:
        fill(sandbox, 120)
        sandbox.insert("Contacts", {"lastname": "newest"}, modifiedtime=LATER)
        yield Company(sandbox, DuckDB(tmp_path), tmp_path, modules=["Contacts"])


def test_every_module_is_equal_then_damaged_found_and_repaired(any_company):
    company = any_company
    company.run()
    found = company.verify("--deep", "10000")
    assert found.code == 0, found.stderr
    assert found.document["equal"]
    assert {one["module"]: one["records"] for one in found.modules} == {
        one["module"]: company.count(one["module"]) for one in found.modules
    }
    assert sum(one["sampled"] for one in found.modules) > 60
    assert not any(one["different"] for one in found.modules)

    missing, stale, different = company.old("Contacts")[:3]
    (invoice,) = company.old("Invoice")[:1]
    company.sql(f"DELETE FROM kafinea.\"Contacts\" WHERE id = '{missing}'")
    company.sql(
        "UPDATE kafinea.\"Contacts\" SET modifiedtime = modifiedtime - INTERVAL '1 second'"
        f" WHERE id = '{stale}'"
    )
    company.sql(f"UPDATE kafinea.\"Contacts\" SET lastname = 'x' WHERE id = '{different}'")
    company.sql(f'UPDATE kafinea."Invoice" SET "LineItems" = NULL WHERE id = \'{invoice}\'')
    added = f"{missing.partition('x')[0]}x99999"
    company.sql(f"INSERT INTO kafinea.\"Contacts\" (id) VALUES ('{added}')")

    repair = str(company.path / "repair.singer")
    found = company.verify("--deep", "10000", "--repair", repair, "Contacts", "Invoice")
    assert found.code == 1
    assert found.wrong == {
        "Contacts": {
            "missing": [missing],
            "stale": [stale],
            "superfluous": [added],
            "different": {different: ["lastname"]},
        },
        "Invoice": {"different": {invoice: ["LineItems"]}},
    }
    assert sum(one["repaired"] for one in found.modules) == 5
    company.load(company.path / "repair.singer")
    found = company.verify("--deep", "10000", "Contacts", "Invoice")
    assert (found.code, found.wrong) == (0, {})

    # The next run of the tap, which knows nothing of this, extracts what it would have anyway.
    new = company.sandbox.insert("Contacts", {"lastname": "new"})
    assert new in company.run(modules=["Contacts"]).ids("Contacts")
    found = company.verify("--deep", "10000", "Contacts", "Invoice")
    assert (found.code, found.wrong) == (0, {})


def test_findings_are_shown_as_a_table_and_as_csv(company):
    company.run()
    ids = company.old("Contacts")
    company.sql(f"DELETE FROM kafinea.\"Contacts\" WHERE id = '{ids[0]}'")
    company.sql(f'INSERT INTO kafinea."Contacts" FROM kafinea."Contacts" WHERE id = \'{ids[1]}\'')
    company.sandbox.insert("Contacts", {"lastname": "new"})
    done = company.verify_as("table")
    assert done.code == 1
    assert done.stdout.splitlines() == [
        "Module    Kafinea  Warehouse  Missing  Superfluous  Stale  Duplicate  Not yet",
        "Contacts      122        120        1            0      0          1        1",
        "",
        f"Contacts: 1 missing (no row in the warehouse): {ids[0]}",
        f"Contacts: 1 duplicate (several rows): {ids[1]}",
        LATER_ROWS,
        "Not equal: 2 wrong in 1 of 1 module.",
    ]
    assert company.verify_as("csv").stdout.splitlines()[1] == "Contacts,122,120,1,0,0,1,0,1,0,0"


# What is not wrong


def test_records_changed_meanwhile_are_not_wrong(company):
    """Whatever is written between the two looks, and in the middle of the first."""
    company.run()
    sandbox = company.sandbox
    ids = there(sandbox)  # these are in the first page
    for one in ids[:20]:  # looks wrong at first
        company.sql(f"DELETE FROM kafinea.\"Contacts\" WHERE id = '{one}'")
    company.sql(
        "UPDATE kafinea.\"Contacts\" SET modifiedtime = TIMESTAMPTZ '2019-01-01'"
        f" WHERE id IN ('{ids[20]}', '{ids[21]}')"
    )

    looks = []

    def write(operation, parameters, result):
        query = parameters.get("query", "")
        if operation == "query" and "count" not in query and "IN (" in query and not looks:
            looks.append(query)
        elif operation == "query" and query.startswith("SELECT id,modifiedtime") and not looks:
            for one in (*ids[:19], ids[20]):
                sandbox.change("Contacts", one, {"lastname": "changed"})
            for one in (ids[19], ids[21]):
                sandbox.remove("Contacts", one)
            for _ in range(3):
                sandbox.insert("Contacts", {"lastname": "new"})
            looks.append(query)
        return result

    with mutating(sandbox.url, write) as url:
        found = company.verify(url=url)
    assert looks
    assert (found.code, found.wrong) == (0, {}), found.modules
    assert found.modules[0]["later"] >= 20


def test_records_changed_twice_in_a_second_are_not_wrong(company):
    """The second change has no new `modifiedtime`. The next run reads it, within the lookback."""
    company.run()
    newest = there(company.sandbox)[-1]
    company.sandbox.change("Contacts", newest, {"lastname": "again"}, modifiedtime=LATER)
    for arguments in ([], ["--state", company.state_file()]):
        found = company.verify("--deep", "1000", *arguments)
        assert (found.code, found.modules[0]["later"]) == (0, 1)
    assert newest in company.run().ids("Contacts")
    assert company.verify("--deep", "1000").modules[0]["later"] == 0


def test_loader_that_writes_meanwhile_changes_nothing(postgres, tmp_path):
    with postgres.fresh() as database, empty() as sandbox:
        fill(sandbox, 3)
        company = Company(sandbox, PostgreSQL(tmp_path, database), tmp_path, modules=["Contacts"])
        company.run()

        def write(operation, parameters, result):
            if "FROM Contacts" in parameters.get("query", ""):
                company.sql('DELETE FROM kafinea."Contacts"')
            return result

        with mutating(sandbox.url, write) as url:
            found = company.verify("--deep", "10", url=url)
        assert (found.code, found.modules[0]["rows"], found.modules[0]["sampled"]) == (0, 3, 3)
        assert company.verify().code == 1


def test_verifying_while_others_write(company):
    """Of what was extracted nothing is wrong, however much is changed and created meanwhile."""
    company.run()
    ids, stop = company.old("Contacts"), threading.Event()

    def write():
        for one in ids:
            if stop.is_set():
                return
            company.sandbox.change("Contacts", one, {"lastname": "changed"})
            company.sandbox.insert("Contacts", {"lastname": "new"})

    writer = threading.Thread(target=write)
    writer.start()
    try:
        found = [company.verify("--deep", "50") for _ in range(3)]
    finally:
        stop.set()
        writer.join()
    assert [(one.code, one.wrong) for one in found] == [(0, {})] * 3


def test_deleted_records_count_as_absent(company):
    sandbox = company.sandbox
    company.settings |= {"deletions": "scan", "deletions_path": str(company.path / "ids")}
    company.run()
    gone, restored, unreported = company.old("Contacts")[:3]
    for one in (gone, restored):
        sandbox.remove("Contacts", one)
    company.run()
    assert company.verify().code == 0
    restore(sandbox, [restored])
    sandbox.change("Contacts", restored, {"lastname": "restored"}, modifiedtime=OLD)
    sandbox.remove("Contacts", unreported)
    found = company.verify("--repair", str(company.path / "repair.singer"))
    assert found.wrong == {"Contacts": {"missing": [restored], "superfluous": [unreported]}}
    company.load(company.path / "repair.singer")
    assert company.verify().code == 0
    company.run()  # reports both as well
    assert company.verify().code == 0


def test_hidden_records_are_not_superfluous(company, quick):
    company.run()
    hidden, gone = company.old("Contacts")[:2]
    hide(company.sandbox, [number(hidden)])
    company.sandbox.remove("Contacts", gone)
    found = company.verify()
    assert found.wrong == {"Contacts": {"superfluous": [gone]}}
    assert found.modules[0]["hidden"] == 1


@contextmanager
def company_of_joe(tmp_path):
    """A company whose server does not count what Joe may not read; all contacts are his."""
    with Sandbox(rows=50, private=["Contacts"]) as sandbox:
        fill(sandbox, 60)
        joe = sandbox.instance.user_named("joe").number
        sandbox.sql("UPDATE Contacts SET assigned_user_id = ?", [joe])
        company = Company(sandbox, DuckDB(tmp_path), tmp_path, modules=["Contacts"], user="joe")
        company.run()
        yield company


def test_records_given_away_are_not_superfluous(tmp_path):
    with company_of_joe(tmp_path) as company:
        sandbox = company.sandbox
        ids = company.old("Contacts")
        for one in ids[:30]:
            sandbox.change("Contacts", one, {"assigned_user_id": 1}, modifiedtime=OLD)
        for one in ids[30:33]:
            sandbox.remove("Contacts", one)
        found = company.verify()
    assert found.wrong == {"Contacts": {"superfluous": ids[30:33]}}
    assert found.modules[0]["hidden"] == 30


def test_repair_deletes_no_hidden_record_among_many_deleted(tmp_path):
    with company_of_joe(tmp_path) as company:
        sandbox = company.sandbox
        ids = sorted(company.old("Contacts"), key=number)
        sandbox.change("Contacts", ids[1], {"assigned_user_id": 1}, modifiedtime=OLD)
        for one in ids[:50:2]:
            sandbox.remove("Contacts", one)
        repair = str(company.path / "repair.singer")
        found = company.verify("--repair", repair, deletions_limit="50")
        company.load(company.path / "repair.singer")
    assert found.wrong == {"Contacts": {"superfluous": ids[:50:2]}}
    assert found.modules[0]["hidden"] == 1
    assert company.sql("SELECT count(*) FROM kafinea.deleted_records") == [(25,)]


def test_state_tells_lost_records_from_those_not_yet_extracted(company):
    """A table that is restored from a backup looks like one that was loaded last at that time."""
    company.run()
    company.state["bookmarks"]["Contacts"]["seen_at"] = "2021-01-02T00:00:00+00:00"
    company.run()  # up to date
    newest = there(company.sandbox)[-1]
    company.sql(f"DELETE FROM kafinea.\"Contacts\" WHERE id = '{newest}'")
    assert company.verify().modules[0]["later"] == 1
    elsewhere = company.path / "of-others.json"
    elsewhere.write_text('{"singer_state": {"bookmarks": {"Leads": {}}}}')
    assert company.verify("--state", str(elsewhere)).modules[0]["later"] == 1
    found = company.verify("--state", company.state_file())
    assert (found.code, found.wrong) == (1, {"Contacts": {"missing": [newest]}})
    company.sandbox.insert("Contacts", {"lastname": "new"})
    (module,) = company.verify("--state", company.state_file()).modules
    assert (module["missing"], module["later"]) == ([newest], 1)


def test_empty_table_lacks_what_is_older_than_the_newest_row_of_all(tmp_path):
    with empty() as sandbox:
        contacts = fill(sandbox, 2)
        sandbox.insert("Contacts", {"lastname": "new"}, modifiedtime="2021-01-02 00:00:00")
        sandbox.insert("Accounts", {"accountname": "new"}, modifiedtime=LATER)
        future = sandbox.insert(
            "Accounts", {"accountname": "x"}, modifiedtime="2100-01-01 00:00:00"
        )
        company = Company(sandbox, DuckDB(tmp_path), tmp_path, modules=["Contacts", "Accounts"])
        company.run()
        company.sql('DELETE FROM kafinea."Contacts"')
        found = company.verify()
        assert found.wrong == {"Contacts": {"missing": contacts}}
        company.sql(f"DELETE FROM kafinea.\"Accounts\" WHERE id = '{future}'")
        assert company.verify().wrong == found.wrong  # a date in the future counts for nothing
        assert len(company.verify("Contacts").wrong["Contacts"]["missing"]) == 3  # no row at all


def test_module_without_modifiedtime_is_compared_by_ids(tmp_path):
    with Sandbox(rows=50) as sandbox:
        company = Company(sandbox, DuckDB(tmp_path), tmp_path, modules=["Currency"])
        company.run()
        ids = company.old("Currency", by="id")
        company.sql(f"DELETE FROM kafinea.\"Currency\" WHERE id = '{ids[0]}'")
        sandbox.insert("Currency", {"currency_name": "Franc"})
        found = company.verify("--repair", str(company.path / "repair.singer"))
        assert found.wrong == {"Currency": {"missing": [ids[0]]}}
        assert found.modules[0]["later"] == 1
        company.load(company.path / "repair.singer")
        assert company.verify().code == 0
        company.run()  # reads all, as a new version
        assert company.verify().modules[0]["later"] == 0
        company.sql('DELETE FROM kafinea."Currency"')
        assert len(company.verify().wrong["Currency"]["missing"]) == len(ids) + 1


def test_records_before_start_date_are_not_missing(company):
    company.settings["start_date"] = "2020-06-01"
    company.run()
    found = company.verify(start_date="2020-06-01")
    assert (found.code, found.modules[0]["records"]) == (0, 1)
    assert company.verify().modules[0]["missing"]


# Faults


def test_module_that_fails_stops_no_other(company, quick):
    company.settings["modules"] = ["Contacts", "Users"]
    company.run()
    company.sandbox.faults.add("status", status=500, contains="FROM Users", times=None)
    found = company.verify()
    assert found.code == 1
    assert [one["error"] is None for one in sorted(found.modules, key=lambda m: m["module"])] == [
        True,
        False,
    ]
    company.sandbox.faults.clear()
    assert company.verify().code == 0


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "empty", "operation": "query", "times": 3},
        {"kind": "reset", "times": 2},
        {"kind": "session", "nth": 4},
        {"kind": "truncate", "operation": "query", "nth": 3},
    ],
)
def test_faults_make_nothing_wrong(company, quick, fault):
    company.run()
    (gone,) = company.old("Contacts")[:1]
    company.sql(f"DELETE FROM kafinea.\"Contacts\" WHERE id = '{gone}'")
    added = company.sandbox.faults.add(**fault)
    found = company.verify("--deep", "10")
    assert added.hits
    assert found.wrong == {"Contacts": {"missing": [gone]}}


def test_second_look_that_is_empty_proves_nothing(company, quick):
    company.run()
    (gone,) = company.old("Contacts")[:1]
    company.sql(f"DELETE FROM kafinea.\"Contacts\" WHERE id = '{gone}'")
    query = f"FROM Contacts WHERE id IN ('{gone}') ORDER BY id"
    company.sandbox.faults.add("empty", contains=query, times=None)
    done = company.verify_as("table")
    assert done.code == 1
    assert done.stdout.splitlines()[-2:] == [
        "Unreadable: 1. The server counts these records, but returns none.",
        "Not proven: 1 of 1 module could not be compared.",
    ]


def test_server_that_is_away_is_one_line(company, quick):
    company.run()
    company.sandbox.faults.add("status", status=503, operation="query", times=None)
    company.sandbox.faults.add("status", status=503, operation="listtypes", nth=2, times=None)
    done = company.verify_as("table")
    assert (done.code, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1] == "ERROR listtypes: HTTP 503, an empty body."


@pytest.mark.parametrize(("field", "code"), [("title", 0), ("modifiedtime", 1)])
def test_record_that_the_server_cannot_return_is_not_compared(tmp_path, quick, field, code):
    with empty(unencodable_fields=[field]) as sandbox:
        ids = fill(sandbox, 110)
        company = Company(sandbox, DuckDB(tmp_path), tmp_path, modules=["Contacts"])
        company.run()
        options = sandbox.instance.options
        bad = {"Contacts": [number(ids[50])]}
        sandbox.instance.options = replace(options, unencodable=bad)
        found = company.verify("--deep", "1000")
    assert (found.code, found.wrong) == (code, {})
    assert found.modules[0]["unreadable"] == code
    assert found.modules[0]["sampled"] == 109


# Other warehouses


def test_types_and_names_of_other_loaders(tmp_path):
    """Names in snake case; times as text, or without their zone; numbers as doubles."""
    with Sandbox(rows=300, timezone="Europe/Paris") as sandbox:
        company = Company(sandbox, DuckDB(tmp_path), tmp_path, modules=["SalesOrder", "Contacts"])
        company.run()
        company.sql(
            "CREATE TABLE main.contacts AS SELECT * REPLACE (modifiedtime::TIMESTAMP AS"
            ' modifiedtime, birthday::TIMESTAMP AS birthday) FROM kafinea."Contacts"'
        )
        company.sql(
            'CREATE TABLE main.sales_order AS SELECT * REPLACE ("hdnGrandTotal"::DOUBLE AS'
            " \"hdnGrandTotal\", strftime(modifiedtime, '%Y-%m-%dT%H:%M:%SZ') AS modifiedtime)"
            ' FROM kafinea."SalesOrder"'
        )
        company.sql('ALTER TABLE main.sales_order RENAME "hdnGrandTotal" TO hdn_grand_total')
        found = company.verify("--deep", "1000", schema="main")
        assert (found.code, found.wrong) == (0, {})
        order, lost = company.rows("SELECT id FROM main.sales_order ORDER BY modifiedtime LIMIT 2")
        company.sql(f"UPDATE main.sales_order SET hdn_grand_total = 0.5 WHERE id = '{order[0]}'")
        company.sql(f"DELETE FROM main.sales_order WHERE id = '{lost[0]}'")
        found = company.verify("--deep", "1000", "SalesOrder", schema="main")
        assert found.wrong == {
            "SalesOrder": {"missing": [lost[0]], "different": {order[0]: ["hdnGrandTotal"]}}
        }


def test_repair_brings_the_table_of_lines(tmp_path):
    with Sandbox(rows=300) as sandbox:
        company = Company(
            sandbox, DuckDB(tmp_path), tmp_path, modules=["Invoice"], line_items="table"
        )
        company.run()
        query = "SELECT COLUMNS(c -> c NOT LIKE '_sdc%') FROM kafinea.\"InvoiceLineItems\""
        query += " WHERE _sdc_deleted_at IS NULL ORDER BY document_id, line_number"
        lines = company.rows(query)
        lost, long = company.old("Invoice")[:2]
        company.sql(f"DELETE FROM kafinea.\"Invoice\" WHERE id = '{lost}'")
        company.sql(f"DELETE FROM kafinea.\"InvoiceLineItems\" WHERE document_id = '{lost}'")
        company.sql(f"UPDATE kafinea.\"Invoice\" SET modifiedtime = NULL WHERE id = '{long}'")
        company.sql(
            'INSERT INTO kafinea."InvoiceLineItems" (document_id, line_number)'
            f" VALUES ('{long}', 99)"
        )
        assert company.rows(query) != lines
        found = company.verify("--repair", str(company.path / "repair.singer"))
        assert found.wrong == {"Invoice": {"missing": [lost], "stale": [long]}}
        company.load(company.path / "repair.singer")
        assert company.rows(query) == lines
        assert "InvoiceLineItems (lines of documents)" in company.verify_as("table").stdout


def test_many_deletions_are_repaired_only_where_the_limit_is_off(company):
    company.run()
    missing, *gone = sorted(company.old("Contacts")[:22], key=number)
    company.sql(f"DELETE FROM kafinea.\"Contacts\" WHERE id = '{missing}'")
    for record_id in gone:
        company.sandbox.remove("Contacts", record_id)
    path = company.path / "repair.singer"
    done = company.verify_as("table", "--repair", str(path))
    assert "Repair: 1 of 22, written to " in done.stdout
    assert "Not 21 superfluous rows, more than `deletions_limit` allows at once." in done.stdout
    assert "meanwhile" not in done.stdout
    company.load(path)
    assert company.verify().wrong == {"Contacts": {"superfluous": gone}}
    company.verify_as("table", "--repair", str(path), deletions_limit="100")
    company.load(path)
    assert company.verify().wrong == {}


def test_repair_to_stdout_is_singer_and_nothing_else(company):
    company.run()
    (gone,) = company.old("Contacts")[:1]
    company.sql(f"DELETE FROM kafinea.\"Contacts\" WHERE id = '{gone}'")
    done = company.verify_as("table", "--repair", "-")
    messages = [json.loads(line) for line in done.stdout.splitlines()]
    assert [message["type"] for message in messages] == ["SCHEMA", "RECORD"]
    assert messages[1]["record"]["id"] == gone
    assert done.stderr.splitlines()[-1] == "Not equal: 1 wrong in 1 of 1 module."
    assert done.code == 1
