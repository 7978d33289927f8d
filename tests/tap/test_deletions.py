"""Deleted records: each is told, none wrongly, whatever happens to the server or to the run."""

from __future__ import annotations

import gzip
import json
import re
import signal
import threading
import time
from copy import deepcopy
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import accumulate
from pathlib import Path

import duckdb
import fsspec
import pytest

from kafinea import Refused, Unavailable
from kafinea.deletion_feed import deleted_since
from kafinea.errors import IncompleteRead, KafineaError, SettingsError, StateError, StorageError
from kafinea.extract.deletion_scan import IdsLost
from kafinea.extract.hidden_records import Withheld
from kafinea.extract.id_snapshots import IdSnapshot, SnapshotStore
from kafinea.page_query import number
from kafinea_sandbox import Sandbox
from kafinea_sandbox.errors import Fatal
from kafinea_sandbox.operations.table import OPERATIONS
from tap_kafinea.tap import TapKafinea
from tests.commands import start, stop
from tests.conftest import connect
from tests.tap.running import _Collector, command, discover, extract, parse, settings

PAGE = Path(__file__).resolve().parents[2] / "docs/first-extraction.md"
OLD = "2020-01-01 00:00:00"
STREAM = "deleted_records"
DENIED = '{"success":false,"error":{"message":"denied","code":"ACCESS_DENIED"}}'


class Runs:
    """Runs that follow each other, each with the state of the one before."""

    def __init__(self, sandbox, path, modules=("Contacts",), **more):
        self.sandbox = sandbox
        self.settings = {"deletions": "scan", "deletions_path": str(path), "modules": [*modules]}
        self.settings |= more
        self.state = None

    def __call__(self, **more):
        output = extract(self.sandbox, state=deepcopy(self.state), **self.settings | more)
        self.state = output.state
        return output.records(STREAM)

    def failing(self, expected=KafineaError, **more):
        """A run that fails; what it wrote up to its last state counts."""
        writer = _Collector()
        config = settings(self.sandbox, **self.settings | more)
        tap = TapKafinea(config=config, state=deepcopy(self.state), message_writer=writer)
        with pytest.raises(expected) as raised:
            tap.sync_all()
        tap.client.close()
        output = parse(writer.lines)
        self.state = output.state if output.states else self.state
        return output.records(STREAM), str(raised.value)


@pytest.fixture
def runs(sandbox, tmp_path):
    return Runs(sandbox, tmp_path)


def there(sandbox, module="Contacts"):
    return sorted((row["id"] for row in sandbox.rows(module)), key=number)


def remove(sandbox, ids, module="Contacts"):
    for one in ids:
        sandbox.remove(module, one)


def restore(sandbox, ids, module="Contacts"):
    for one in ids:
        sandbox.sql(f'UPDATE "{module}" SET _deleted = 0 WHERE _number = ?', [number(one)])


def hide(sandbox, numbers):
    """Let nobody read some contacts, from now on."""
    instance = sandbox.instance
    instance.options = replace(instance.options, hidden={"Contacts": numbers})


def told(rows):
    assert all(datetime.fromisoformat(row["detected_at"]).tzinfo for row in rows)
    return [row["id"] for row in rows]


def file_of(path, module="Contacts"):
    return json.loads(gzip.decompress((path / f"{module}.json.gz").read_bytes()))


def fill(sandbox, count, module="Contacts"):
    field = "lastname" if module == "Contacts" else "subject"
    return [sandbox.insert(module, {field: f"{n}"}, modifiedtime=OLD) for n in range(count)]


# scan


def test_scan_reports_each_deletion_once_for_each_module(any_sandbox, tmp_path):
    fill(any_sandbox, 350)
    has_lines = "LineItem" not in any_sandbox.instance.dialect.unreachable
    modules = ["Contacts", "Invoice", *["LineItem"] * has_lines, "Leads", "Currency"]
    runs = Runs(any_sandbox, tmp_path, modules, deletions_limit=100)
    assert runs() == []
    gone = {
        "Contacts": there(any_sandbox)[::3],
        "Invoice": there(any_sandbox, "Invoice")[:2],
        "Leads": there(any_sandbox, "Leads"),
    }
    lines = set(there(any_sandbox, "LineItem"))
    for module, ids in gone.items():
        remove(any_sandbox, ids, module)
    if has_lines:
        gone["LineItem"] = sorted(lines - {*there(any_sandbox, "LineItem")}, key=number)
    any_sandbox.insert("Contacts", {"lastname": "New"})
    rows = runs()
    for module in modules:
        assert told([row for row in rows if row["module"] == module]) == gone.get(module, [])
    assert len(gone["Contacts"]) > 110
    assert runs() == []


@pytest.mark.parametrize("dialect", ["kafinea", "corebos", "legacy"])  # of different modules
def test_scan_of_all_modules(dialect, tmp_path):
    with Sandbox(dialect=dialect, rows=50) as sandbox:
        runs = Runs(sandbox, tmp_path, ["*"])
        assert runs() == runs() == []


def test_deleted_records_have_key_and_schema(sandbox, tmp_path):
    output = extract(sandbox, deletions="scan", deletions_path=str(tmp_path), modules=["Leads"])
    (schema,) = (m for m in output.messages if m["type"] == "SCHEMA" and m["stream"] == STREAM)
    assert schema["key_properties"] == ["module", "id"]
    assert schema["schema"]["properties"].keys() == {"module", "id", "detected_at"}
    assert not any(m["type"] == "ACTIVATE_VERSION" for m in output.messages)


def test_deletions_off_is_no_stream(sandbox, tmp_path):
    assert STREAM not in {s["stream"] for s in discover(sandbox)["streams"]}
    catalog = discover(sandbox, modules=["Leads"], deletions="scan")
    output = extract(sandbox, catalog=catalog, deletions_path=str(tmp_path / "x"))
    assert output.records("Leads")
    assert output.records(STREAM) == []
    assert not (tmp_path / "x").exists()


def test_scan_with_catalog_reads_selected_modules_only(sandbox, tmp_path):
    runs = Runs(sandbox, tmp_path, ["Contacts", "Leads"])
    catalog = discover(sandbox, **runs.settings)
    deselect(catalog, "Leads")
    runs(catalog=catalog)
    remove(sandbox, there(sandbox)[:1])
    remove(sandbox, there(sandbox, "Leads")[:1], "Leads")
    sandbox.requests.clear()
    assert {row["module"] for row in runs(catalog=catalog)} == {"Contacts"}
    asked = [(request.operation, request.params) for request in sandbox.requests]
    assert not {"listtypes", "describe"} & {operation for operation, _ in asked}
    assert not [params for _, params in asked if "Leads" in params.get("query", "")]
    assert [file.name for file in tmp_path.iterdir()] == ["Contacts.json.gz"]

    deselect(catalog, STREAM)
    sandbox.requests.clear()
    runs(catalog=catalog)
    assert not [r for r in sandbox.requests if "SELECT id FROM" in r.params.get("query", "")]


def deselect(catalog, name):
    stream = next(one for one in catalog["streams"] if one["stream"] == name)
    for entry in stream["metadata"]:
        if not entry["breadcrumb"]:
            entry["metadata"]["selected"] = False


def test_scan_costs_one_request_for_each_hundred_ids(sandbox, tmp_path):
    fill(sandbox, 1000)
    runs = Runs(sandbox, tmp_path, max_sessions=1, deletions_limit=100)
    runs()
    for gone in (0, 250):
        remove(sandbox, there(sandbox)[:gone])
        counted = sandbox.count("Contacts")
        sandbox.requests.clear()
        assert len(runs()) == gone
        queries = [request.params.get("query", "") for request in sandbox.requests]
        pages = [query for query in queries if query.startswith("SELECT id FROM Contacts")]
        assert len(pages) == -(-counted // 100) + 1
        confirmations = [query for query in queries if "id IN (" in query]
        assert len(confirmations) == -(-gone // 100)


def test_ids_file_is_small_and_names_instance_and_user(runs, sandbox, tmp_path):
    runs()
    content = file_of(tmp_path)
    assert content["url"] == f"{sandbox.url}/webservice.php"
    assert (content["user"], content["module"]) == ("admin", "Contacts")
    folder = SnapshotStore(str(tmp_path / "large"))
    ids = [n * 7 + n % 5 for n in range(1_000_000)]
    folder.save(IdSnapshot("u", "n", "Contacts", "12", ids))
    assert (tmp_path / "large" / "Contacts.json.gz").stat().st_size < 1_000_000
    assert folder.load("u", "n", "Contacts").ids == ids


@pytest.mark.parametrize("slash", ["", "/"])
def test_deletions_path_may_be_any_filesystem(sandbox, slash):
    runs = Runs(sandbox, f"memory://{id(sandbox)}/scans{slash}")
    runs()
    gone = there(sandbox)[:1]
    remove(sandbox, gone)
    assert told(runs()) == gone
    assert len(fsspec.filesystem("memory").ls(f"/{id(sandbox)}/scans")) == 1


@pytest.mark.parametrize(
    ("path", "error"), [("nowhere://x", SettingsError), ("/proc/none/x", StorageError)]
)
def test_deletions_path_that_cannot_be_used_is_one_error(sandbox, path, error):
    _, said = Runs(sandbox, path).failing(error)
    assert said.startswith(("`deletions_path`: nowhere", "`deletions_path` cannot be used: "))


def test_scan_reports_restored_records(runs, sandbox):
    runs()
    gone = there(sandbox)[:3]
    remove(sandbox, gone)
    assert told(runs()) == gone
    restore(sandbox, gone[1:])
    assert runs() == [{"module": "Contacts", "id": one, "detected_at": None} for one in gone[1:]]
    assert runs() == []
    remove(sandbox, gone[2:])
    assert told(runs()) == gone[2:]
    assert runs() == []


def test_sql_of_the_documentation_selects_existing_records(runs, sandbox):
    runs()
    remove(sandbox, there(sandbox)[:5])
    rows = runs()
    restore(sandbox, [row["id"] for row in rows][:2])
    loaded = {*there(sandbox), *(row["id"] for row in rows)}
    rows += runs()
    with duckdb.connect() as db:
        db.execute("CREATE TABLE contacts (id TEXT)")
        db.execute(
            "CREATE TABLE deleted_records "
            "(module TEXT, id TEXT, detected_at TIMESTAMPTZ, PRIMARY KEY (module, id))"
        )
        db.executemany("INSERT INTO contacts VALUES (?)", [[one] for one in loaded])
        insert = "INSERT OR REPLACE INTO deleted_records VALUES (?, ?, ?)"
        db.executemany(insert, [[*row.values()] for row in rows])
        page = PAGE.read_text(encoding="utf-8").replace("kafinea.", "")
        sql = re.search(r"```sql\n(SELECT \* FROM contacts .*?)```", page, re.DOTALL)
        alive = {row[0] for row in db.execute(sql[1]).fetchall()}
    assert alive == set(there(sandbox)) != loaded


def test_scan_reports_no_changed_record(runs, sandbox):
    runs()
    for one in there(sandbox)[:5]:
        sandbox.change("Contacts", one, {"assigned_user_id": "2", "lastname": "Other"})
    assert runs() == []


@pytest.mark.parametrize(
    ("contains", "sessions", "kind", "times"),
    [
        ("SELECT id FROM Contacts", 1, "empty", None),
        ("SELECT id FROM Contacts", 4, "empty", 1),
        ("SELECT id FROM Contacts", 4, "reset", None),
        ("SELECT count(*) FROM Contacts;", 1, "reset", 1),
        ("SELECT count(*) FROM Contacts;", 4, "empty", 1),
        ("id IN (", 1, "empty", None),
        ("id IN (", 4, "empty", 1),
        ("id IN (", 4, "html", 1),
    ],
)
def test_scan_with_faults_reports_nothing_wrong_and_loses_nothing(
    tmp_path, sessions, times, kind, contains
):
    with Sandbox(rows=50) as sandbox:
        fill(sandbox, 450)
        runs = Runs(sandbox, tmp_path, max_sessions=sessions)
        runs()
        gone = there(sandbox)[100:160:7]
        remove(sandbox, gone)
        nth = 3 if contains.endswith("Contacts") else 1
        fault = sandbox.faults.add(kind, operation="query", contains=contains, nth=nth, times=times)
        if times is None:
            before = (tmp_path / "Contacts.json.gz").read_bytes()
            rows, _ = runs.failing()
            assert rows == []
            assert (tmp_path / "Contacts.json.gz").read_bytes() == before
            sandbox.faults.clear()
        assert told(runs()) == gone
        assert fault.hits
        assert runs() == []


@pytest.mark.parametrize("sessions", [1, 4])
def test_scan_counts_an_unreadable_id_as_existing(tmp_path, monkeypatch, sessions):
    with Sandbox(rows=50) as sandbox:
        fill(sandbox, 450)
        runs = Runs(sandbox, tmp_path, max_sessions=sessions)
        runs()
        gone, bad = there(sandbox)[100:110], there(sandbox)[250]
        remove(sandbox, gone)
        query = OPERATIONS["query"]

        def fail_at_it(call):
            rows = query.run(call)
            if call.params["query"].startswith("SELECT id FROM Contacts") and any(
                row["id"] == bad for row in rows
            ):
                raise Fatal("it cannot be shown")
            return rows

        monkeypatch.setitem(OPERATIONS, "query", query._replace(run=fail_at_it))
        assert told(runs()) == gone
        assert number(bad) in accumulate(file_of(tmp_path)["ids"])


@pytest.mark.parametrize("contains", ["SELECT id FROM Contacts", "SELECT id FROM Contacts WHERE"])
def test_scan_with_unreadable_ids_fails_for_their_module_only(tmp_path, contains, monkeypatch):
    monkeypatch.setattr("kafinea.recovery.MOST_BAD", 50)
    with Sandbox(rows=50) as sandbox:
        fill(sandbox, 200)
        runs = Runs(sandbox, tmp_path, ["Contacts", "Leads"], max_sessions=1)
        sandbox.faults.add("status", operation="query", contains=contains, status=500, times=None)
        writer = _Collector()
        tap = TapKafinea(config=settings(sandbox, **runs.settings), message_writer=writer)
        with pytest.raises((IncompleteRead, Unavailable), match="Contacts"):
            tap.sync_all()
        tap.client.close()
        output = parse(writer.lines)
        assert len(output.records("Contacts")) == sandbox.count("Contacts")
        assert output.state["bookmarks"][STREAM]["scanned"].keys() == {"Leads"}
        assert len(sandbox.requests) < 10 * 50


def test_scan_reports_no_unreadable_record_as_deleted(tmp_path, caplog):
    with Sandbox(rows=300) as sandbox:
        runs = Runs(sandbox, tmp_path)
        runs()
        before = (tmp_path / "Contacts.json.gz").read_bytes()
        hidden = [number(one) for one in there(sandbox)[3:6]]
        gone = there(sandbox)[:1]
        hide(sandbox, hidden)
        remove(sandbox, gone)
        assert runs() == []
        assert "Deletion detection skipped for Contacts: 3 records cannot be read" in caplog.text
        assert (tmp_path / "Contacts.json.gz").read_bytes() == before
        hide(sandbox, [])
        assert told(runs()) == gone


def test_scan_reports_no_newly_hidden_record_as_deleted(tmp_path):
    """The count is right then, and the ids are not."""
    with Sandbox(rows=50, latency_ms=3) as sandbox:
        fill(sandbox, 450)
        runs = Runs(sandbox, tmp_path, max_sessions=1)
        runs()
        hidden = [number(there(sandbox)[3])]
        hide(sandbox, hidden)
        stop = threading.Event()

        def write():
            while not stop.wait(0.005):
                sandbox.insert("Contacts", {"lastname": "New"}, modifiedtime=OLD)

        writer = threading.Thread(target=write)
        writer.start()
        rows = [row for _ in range(3) for row in runs()]
        stop.set()
        writer.join()
        assert rows == []


def test_scan_reports_a_module_whose_name_comes_after_that_of_the_stream(
    runs, sandbox, monkeypatch
):
    def rename(operation, change, restore):
        known = OPERATIONS[operation]

        def answer(call):
            params = {name: restore(value) for name, value in call.params.items()}
            return change(known.run(replace(call, params=params)))

        monkeypatch.setitem(OPERATIONS, operation, known._replace(run=answer))

    def lower(answer):
        return json.loads(json.dumps(answer).replace('"Leads"', '"leads"'))

    for operation, change in {"listtypes": lower, "describe": lower, "query": list}.items():
        rename(operation, change, lambda text: re.sub(r"\bleads\b", "Leads", text))
    runs.settings["modules"] = ["leads"]
    runs()
    gone = there(sandbox, "Leads")[:2]
    remove(sandbox, gone, "Leads")
    assert told(runs()) == gone


def test_scan_failing_for_a_module_stops_no_other(runs, sandbox):
    runs.settings["modules"] = ["Accounts", "Contacts", "Leads"]
    runs()
    gone = {module: there(sandbox, module)[:2] for module in runs.settings["modules"]}
    for module, ids in gone.items():
        remove(sandbox, ids, module)
    sandbox.faults.add(
        "status",
        operation="query",
        contains="SELECT id FROM Contacts",
        status=200,
        body=DENIED,
        times=None,
    )
    rows, _ = runs.failing(Refused)
    assert told(rows) == gone["Accounts"] + gone["Leads"]
    sandbox.faults.clear()
    assert told(runs()) == gone["Contacts"]


def test_scan_never_compares_with_another_instance_or_user(runs, sandbox):
    runs()
    joe = {"username": "joe", "access_key": sandbox.access_key_of("joe")}
    rows, said = Runs(sandbox, runs.settings["deletions_path"]).failing(StateError, **joe)
    assert rows == []
    assert "user 'admin'" in said
    with Sandbox(rows=50) as other:
        rows, said = Runs(other, runs.settings["deletions_path"]).failing(StateError)
        assert rows == []
        assert sandbox.url in said


def test_scan_never_compares_ids_that_begin_with_another_number(runs, sandbox, tmp_path):
    """A new instance at the same address, say: its ids are those of other records."""
    runs.settings["modules"] = ["Contacts", "Leads"]
    runs()
    path = tmp_path / "Contacts.json.gz"
    path.write_bytes(gzip.compress(json.dumps(file_of(tmp_path) | {"prefix": "999"}).encode()))
    before = path.read_bytes()
    lead = there(sandbox, "Leads")[:1]
    remove(sandbox, lead, "Leads")
    remove(sandbox, there(sandbox)[:1])
    sandbox.insert("Contacts", {"lastname": "New"})
    rows, said = runs.failing(IncompleteRead)
    assert told(rows) == lead
    assert "The ids of Contacts began with 999x and now begin with" in said
    assert path.read_bytes() == before


def test_scan_of_private_module_sees_what_its_user_sees(tmp_path):
    with Sandbox(rows=300, private=["Contacts"]) as sandbox:
        joe = {"username": "joe", "access_key": sandbox.access_key_of("joe")}
        runs = Runs(sandbox, tmp_path, **joe)
        runs()
        mine = extract(sandbox, modules=["Contacts"], **joe).ids("Contacts")
        assert 0 < len(mine) < sandbox.count("Contacts")
        ohers = [one for one in there(sandbox) if one not in mine]
        remove(sandbox, [mine[0], ohers[0]])
        assert told(runs()) == mine[:1]


# What is missing and was not deleted


ALL = ("kafinea", "stock", "frevo", "corebos", "legacy")


def as_joe(sandbox):
    return {"username": "joe", "access_key": sandbox.access_key_of("joe")}


def make_private(sandbox, *modules):
    """Let users who are no administrators see their own records only, from now on."""
    instance = sandbox.instance
    instance.options = replace(instance.options, private=modules)


def of_others(sandbox):
    """The contacts that do not belong to `joe`."""
    joe = sandbox.instance.user_named("joe").number
    sql = "SELECT _number FROM Contacts WHERE assigned_user_id = ?"
    own = {row["_number"] for row in sandbox.sql(sql, [joe])}
    return [one for one in there(sandbox) if number(one) not in own]


def retrieved(sandbox):
    return [request.params["id"] for request in sandbox.requests.of("retrieve")]


@pytest.mark.parametrize("dialect", ALL)
def test_scan_with_reduced_rights_reports_nothing(tmp_path, dialect):
    with Sandbox(dialect=dialect, rows=300) as sandbox:
        runs = Runs(sandbox, tmp_path, ["Contacts", "Leads"], **as_joe(sandbox))
        runs()
        others = of_others(sandbox)
        assert len(others) > 30
        before = (tmp_path / "Contacts.json.gz").read_bytes()
        lead = there(sandbox, "Leads")[:1]
        remove(sandbox, lead, "Leads")
        make_private(sandbox, "Contacts")
        sandbox.requests.clear()
        rows, said = runs.failing(Withheld)
        assert told(rows) == lead
        total = sandbox.count("Contacts")
        assert f"{len(others)} of {total} known records of Contacts are missing" in said
        assert f"user 'joe' may no longer see some of them, such as {others[0]}" in said
        assert "set `deletions_limit` (TAP_KAFINEA_DELETIONS_LIMIT) to 100 for one run" in said
        assert (tmp_path / "Contacts.json.gz").read_bytes() == before
        assert len(retrieved(sandbox)) <= 22 + 2  # of Contacts and of Leads

        make_private(sandbox)
        assert runs() == []
        make_private(sandbox, "Contacts")
        assert told(runs(deletions_limit=100)) == others
        assert runs() == []
        make_private(sandbox)
        assert [row["detected_at"] for row in runs()] == [None] * len(others)


@pytest.mark.parametrize("dialect", ALL)
def test_scan_distinguishes_hidden_from_deleted_records(tmp_path, caplog, dialect):
    with Sandbox(dialect=dialect, rows=300, private=["Contacts"]) as sandbox:
        fill(sandbox, 30)
        sandbox.sql("UPDATE Contacts SET assigned_user_id = 1 WHERE assigned_user_id != 1")
        joe = sandbox.instance.user_named("joe").number
        his = there(sandbox)[:40]
        for one in his:
            sandbox.change("Contacts", one, {"assigned_user_id": joe}, modifiedtime=OLD)
        runs = Runs(sandbox, tmp_path, **as_joe(sandbox))
        runs()
        sandbox.requests.clear()
        assert runs() == []
        assert retrieved(sandbox) == []  # nothing is missing

        given_away, gone = his[1:4], his[6:8]
        for one in given_away:
            sandbox.change("Contacts", one, {"assigned_user_id": 1}, modifiedtime=OLD)
        remove(sandbox, gone)
        assert told(runs()) == gone
        assert sorted(retrieved(sandbox)[1:]) == sorted([*given_away, *gone])
        warning = f"Contacts: user 'joe' may no longer see 3 records, such as {given_away[0]}."
        assert warning in caplog.text

        caplog.clear()
        sandbox.requests.clear()
        assert runs() == []
        assert retrieved(sandbox) == []
        assert "any more" not in caplog.text  # it is said once
        sandbox.change("Contacts", given_away[0], {"assigned_user_id": joe}, modifiedtime=OLD)
        assert runs() == []
        remove(sandbox, given_away[:1])
        assert told(runs()) == given_away[:1]
        assert told(runs(deletions_limit=100)) == given_away[1:]
        assert runs() == []


def test_scan_omits_one_hidden_record_among_many_deleted(tmp_path, caplog):
    with Sandbox(rows=50, private=["Contacts"]) as sandbox:
        fill(sandbox, 300)
        joe = sandbox.instance.user_named("joe").number
        sandbox.sql("UPDATE Contacts SET assigned_user_id = ?", [joe])
        runs = Runs(sandbox, tmp_path, deletions_limit=50, **as_joe(sandbox))
        runs()
        given_away, *gone = there(sandbox)[1:101]
        gone.insert(0, there(sandbox)[0])
        sandbox.change("Contacts", given_away, {"assigned_user_id": 1}, modifiedtime=OLD)
        remove(sandbox, gone)
        assert told(runs()) == gone
        assert f"user 'joe' may no longer see 1 records, such as {given_away}" in caplog.text
        assert runs() == []


@pytest.mark.parametrize(
    ("count", "limit", "passes"),
    [(20, 0, True), (21, 10, False), (30, 10, True), (31, 10, False), (31, 10.5, True)],
)
def test_deletions_limit_applies_above_the_limit_and_above_20(tmp_path, count, limit, passes):
    with Sandbox(rows=50) as sandbox:
        present = 200 if count == 21 else 300
        fill(sandbox, present - sandbox.count("Contacts"))
        runs = Runs(sandbox, tmp_path, deletions_limit=limit)
        runs()
        before = (tmp_path / "Contacts.json.gz").read_bytes()
        gone = there(sandbox)[10 : 10 + count]
        remove(sandbox, gone)
        if not passes:
            rows, said = runs.failing(Withheld)
            assert rows == []
            assert f"{count} of {present} known records of Contacts are missing" in said
            assert f"`deletions_limit` ({limit} %)" in said
            assert f"such as {gone[0]} and {gone[-1]}" in said
            assert (tmp_path / "Contacts.json.gz").read_bytes() == before
            assert told(runs(deletions_limit=100)) == gone
        else:
            assert told(runs()) == gone
        assert runs() == []


def test_deletions_limit_does_not_apply_to_lines(runs, sandbox):
    runs.settings["modules"] = ["LineItem"]
    runs()
    gone = there(sandbox, "LineItem")[:-1]
    assert len(gone) > 20
    remove(sandbox, gone, "LineItem")
    assert told(runs()) == gone
    assert retrieved(sandbox) == []


def test_scan_stopped_by_the_limit_still_notes_new_ids(tmp_path):
    with Sandbox(rows=50) as sandbox:
        fill(sandbox, 100)
        runs = Runs(sandbox, tmp_path)
        runs()
        gone = there(sandbox)[:50]
        remove(sandbox, gone)
        gone.append(sandbox.insert("Contacts", {"lastname": "New"}))
        runs.failing(Withheld)
        remove(sandbox, gone[-1:])
        assert told(runs(deletions_limit=100)) == gone


def test_scan_confirms_in_the_next_run_what_could_not_be_confirmed(tmp_path):
    with Sandbox(rows=50) as sandbox:
        fill(sandbox, 100)
        runs = Runs(sandbox, tmp_path)
        runs()
        gone = there(sandbox)[:4]
        remove(sandbox, gone)
        fails = {"operation": "retrieve", "status": 500, "times": None}
        sandbox.faults.add("status", contains=gone[2], **fails)
        rows, said = runs.failing(Withheld)
        assert rows == []
        assert f"It is unknown whether {gone[2]} was deleted or is hidden" in said
        # Where `retrieve` fails at each record there is only the limit.
        sandbox.faults.add("status", **fails)
        assert told(runs()) == gone


@pytest.mark.parametrize(
    ("nth", "fault", "error"),
    [
        ({"retrieve": 1}, {"kind": "status", "status": 500, "times": 2}, None),
        ({"retrieve": 3}, {"kind": "reset", "times": 2}, None),
        ({"retrieve": 1}, {"kind": "status", "status": 503, "times": None}, Unavailable),
        ({"retrieve": 2}, {"kind": "status", "status": 503, "times": None}, Unavailable),
        ({"retrieve": 1, "listtypes": 2}, {"kind": "html", "times": None}, Unavailable),
    ],
)
def test_scan_reports_no_hidden_record_as_deleted_while_the_server_is_away(
    tmp_path, nth, fault, error
):
    with Sandbox(rows=50, private=["Contacts"]) as sandbox:
        joe = sandbox.instance.user_named("joe").number
        sandbox.sql("UPDATE Contacts SET assigned_user_id = ?", [joe])
        runs = Runs(sandbox, tmp_path, max_sessions=1, **as_joe(sandbox))
        runs()
        given_away, gone, *_ = there(sandbox)
        sandbox.change("Contacts", given_away, {"assigned_user_id": 1}, modifiedtime=OLD)
        remove(sandbox, [gone])
        faults = [sandbox.faults.add(operation=o, nth=n, **fault) for o, n in nth.items()]
        if error:
            rows, _ = runs.failing(error)
            assert rows == []
            sandbox.faults.clear()
        assert told(runs()) == [gone]
        assert all(ordered.hits for ordered in faults)


def test_ids_file_that_is_damaged_is_one_error(runs, tmp_path):
    runs()
    file = tmp_path / "Contacts.json.gz"
    for content in (file.read_bytes()[:50], b"", b"{}", gzip.compress(b"{}")):
        file.write_bytes(content)
        _, said = runs.failing(StateError)
        assert "Contacts.json.gz is damaged" in said


def test_scan_fails_until_the_lost_ids_are_back_or_the_state_is_new(runs, sandbox, tmp_path):
    runs()
    kept = (tmp_path / "Contacts.json.gz").rename(tmp_path / "elsewhere")
    gone = there(sandbox)[:1]
    remove(sandbox, gone)
    for name in ("One", "Two"):
        added = sandbox.insert("Contacts", {"lastname": name})
        rows, said = runs.failing(IdsLost)
        assert rows == []
        assert "has no ids of Contacts, but the state says" in said
        assert added in there(sandbox)
        assert not (tmp_path / "Contacts.json.gz").exists()
    kept.rename(tmp_path / "Contacts.json.gz")
    assert told(runs()) == gone
    (tmp_path / "Contacts.json.gz").unlink()
    runs.state = None
    assert runs() == []
    gone = there(sandbox)[:1]
    remove(sandbox, gone)
    assert told(runs()) == gone


def test_deletions_are_reported_again_for_a_lost_or_older_state(runs, sandbox):
    runs()
    states, gone = [runs.state], []
    for _ in range(3):
        gone.append(there(sandbox)[0])
        remove(sandbox, gone[-1:])
        assert told(runs()) == gone[-1:]
        states.append(runs.state)
    restore(sandbox, gone[:1])
    assert [row["detected_at"] for row in runs()] == [None]
    for n, state in enumerate(states):
        runs.state = state
        rows = {row["id"]: row["detected_at"] for row in runs()}
        assert rows.keys() == {*gone[n:], gone[0]}
        assert rows.pop(gone[0]) is None
        assert all(rows.values())
    runs.state = None
    assert {row["id"] for row in runs()} == set(gone)
    assert runs() == []


def test_deletions_reported_again_are_the_same_rows(runs, sandbox):
    runs()
    before = runs.state
    remove(sandbox, there(sandbox)[:3])
    first = runs()
    runs.state = before
    assert runs() == first != []


def test_scan_with_clock_set_back_loses_nothing(runs, sandbox, monkeypatch):
    runs()
    gone = there(sandbox)[:2]
    remove(sandbox, gone[:1])
    runs()
    earlier = datetime.fromisoformat("2020-01-01T00:00:00+00:00")
    monkeypatch.setattr("kafinea.extract.deletion_scan.now", lambda: earlier)
    remove(sandbox, gone[1:])
    assert told(runs()) == gone[1:]
    assert runs() == []


@pytest.mark.parametrize("scanned", [{"Contacts": "soon"}, {"Contacts": 3}, ["x"], "x"])
def test_scan_state_that_is_invalid_is_refused(runs, scanned):
    runs.state = {"bookmarks": {STREAM: {"scanned": scanned}}}
    with pytest.raises(StateError, match="'scanned' that this tap did not write"):
        runs()


def test_scan_knows_records_created_behind_it_and_emitted(tmp_path):
    with Sandbox(rows=50) as sandbox:
        runs = Runs(sandbox, tmp_path, ["Users"], page_size=3, max_sessions=1)
        sandbox.faults.add("latency", contains="user_name", seconds=0.3, times=None)
        late = []

        def create_when_scanned():
            while not (tmp_path / "Users.json.gz").exists():
                time.sleep(0.001)
            late.append(sandbox.insert("Users", {"user_name": "late", "status": "Active"}))

        writer = threading.Thread(target=create_when_scanned)
        writer.start()
        output = extract(sandbox, **runs.settings)
        writer.join()
        runs.state = output.state
        assert late[0] in output.ids("Users")
        remove(sandbox, late, "Users")
        sandbox.faults.clear()
        assert told(runs()) == late


def test_scan_knows_emitted_records_before_the_state_does(sandbox, tmp_path, monkeypatch):
    """A run that is killed behind that state does not read the record again."""
    query, late = OPERATIONS["query"], []

    def create_when_scanned(call):
        if not late and (tmp_path / "Users.json.gz").exists():
            late.append(sandbox.insert("Users", {"user_name": "late", "status": "Active"}))
        return query.run(call)

    monkeypatch.setitem(OPERATIONS, "query", query._replace(run=create_when_scanned))
    runs = Runs(sandbox, tmp_path, ["Users"], page_size=3, max_sessions=1)
    tap = TapKafinea(config=settings(sandbox, **runs.settings))
    rows = iter(tap.streams["Users"].get_records(None))
    assert any([row["id"]] == late for row in rows)  # and it goes no further
    assert number(late[0]) in accumulate(file_of(tmp_path, "Users")["ids"])
    tap.client.close()


@pytest.mark.parametrize(
    ("moment", "how"),
    [
        ("scan", signal.SIGKILL),
        ("confirmation", signal.SIGTERM),
        ("first", signal.SIGKILL),
        ("many", signal.SIGKILL),
    ],
)
def test_killed_run_loses_no_deletion(tmp_path, moment, how):
    """A target has what stands before the last state; the file has what was found."""
    count = 1500 if moment == "many" else 300  # a state comes every thousand records
    with Sandbox(rows=50, latency_ms=5) as sandbox:
        fill(sandbox, count + 500)
        runs = Runs(sandbox, tmp_path / "ids", deletions_limit=100)
        runs()
        gone = there(sandbox)[:count]
        remove(sandbox, gone)
        config = settings(sandbox, **runs.settings)
        sandbox.requests.clear()
        process = start("tap_kafinea", tmp_path, config=config, state=runs.state)
        lines = []
        if moment in {"scan", "confirmation"}:
            text = "SELECT id FROM" if moment == "scan" else "id IN ("
            while not [r for r in sandbox.requests if text in r.params.get("query", "")]:
                time.sleep(0.002)
        else:
            reported = 0
            while reported < (1 if moment == "first" else 1200):
                lines.append(next(process.stdout))
                reported += STREAM in lines[-1] and '"RECORD"' in lines[-1]
        lines += stop(process, how)
        last = max((n for n, line in enumerate(lines) if '"STATE"' in line[:20]), default=-1)
        killed = parse(lines[: last + 1])
        warehouse = {row["id"] for row in killed.records(STREAM)}
        runs.state = killed.state if killed.states else runs.state
        warehouse |= {row["id"] for row in runs()}
        assert warehouse == set(gone)
        assert runs() == []


def test_killed_first_run_has_noted_emitted_ids(tmp_path):
    with Sandbox(rows=50, latency_ms=10) as sandbox:
        fill(sandbox, 2000)
        runs = Runs(sandbox, tmp_path / "ids")
        process = start("tap_kafinea", tmp_path, config=settings(sandbox, **runs.settings))
        written = parse([next(process.stdout) for _ in range(1300)])
        stop(process)
        runs.state = written.state
        gone = written.ids("Contacts")[:10]
        remove(sandbox, gone)
        assert told(runs()) == gone


def test_command_exits_with_1_when_a_module_cannot_be_scanned(sandbox, tmp_path):
    sandbox.faults.add(
        "status",
        operation="query",
        contains="SELECT id FROM",
        status=200,
        body=DENIED,
        times=None,
    )
    runs = Runs(sandbox, tmp_path / "ids")
    (tmp_path / "config").write_text(json.dumps(settings(sandbox, **runs.settings)))
    done = command("--config", str(tmp_path / "config"))
    assert done.returncode == 1
    assert "Deletion detection failed for Contacts: " in done.stderr
    assert "Traceback" not in done.stderr
    assert len(parse(done.stdout.splitlines()).ids("Contacts")) == sandbox.count("Contacts")


def test_connection_test_scans_nothing(sandbox, tmp_path):
    runs = Runs(sandbox, tmp_path / "ids")
    (tmp_path / "config").write_text(json.dumps(settings(sandbox, **runs.settings)))
    assert command("--config", str(tmp_path / "config"), "--test").returncode == 0
    assert not (tmp_path / "ids").exists()
    assert not [r for r in sandbox.requests if "SELECT id FROM" in r.params.get("query", "")]


# sync


@pytest.fixture
def synced(sandbox):
    return Runs(sandbox, "unused", ["Contacts", "Leads", "Currency"], deletions="sync")


def test_sync_reports_the_deletions_of_the_server(any_sandbox):
    runs = Runs(any_sandbox, "unused", ["Contacts", "Leads", "Currency"], deletions="sync")
    fill(any_sandbox, 350)
    early = there(any_sandbox)[:2]
    remove(any_sandbox, early)
    assert told(runs()) == early
    gone = {module: there(any_sandbox, module)[:5] for module in ("Contacts", "Leads")}
    for module, ids in gone.items():
        remove(any_sandbox, ids, module)
    assert set(told(runs())) >= {*gone["Contacts"], *gone["Leads"]}
    assert {row["module"] for row in runs()} <= {"Contacts", "Leads"}
    asked = any_sandbox.requests.of("sync")
    assert {request.params["elementType"] for request in asked} == {"Contacts", "Leads"}
    assert {request.params["syncType"] for request in asked} == {"application"}


def test_sync_of_module_without_changes_costs_one_request(synced, sandbox):
    synced()
    synced.sandbox.requests.clear()
    assert synced() == []
    assert len(sandbox.requests.of("sync")) == 2


@pytest.mark.parametrize("zone", ["UTC", "Europe/Paris", "America/New_York"])
@pytest.mark.parametrize("believed", ["UTC", "Europe/Paris"])
def test_sync_misses_no_deletion_in_any_time_zone(zone, believed):
    with Sandbox(rows=50, timezone=zone) as sandbox:
        runs = Runs(sandbox, "unused", deletions="sync", timezone=believed)
        moment = datetime.fromisoformat("2027-03-01T10:00:00+00:00")
        found = set()
        for n in range(6):
            sandbox.set_time(moment + timedelta(minutes=20 * n))
            gone = there(sandbox)[0]
            remove(sandbox, [gone])
            rows = told(runs())
            assert gone in rows
            found |= {*rows}
        assert len(found) == 6


def test_sync_misses_no_deletion_when_clocks_go_back():
    with Sandbox(rows=50, timezone="Europe/Paris") as sandbox:
        runs = Runs(sandbox, "unused", deletions="sync", timezone="Europe/Paris")
        for moment in ("2027-10-31T00:50:00+00:00", "2027-10-31T01:10:00+00:00"):
            sandbox.set_time(moment)
            gone = there(sandbox)[0]
            remove(sandbox, [gone])
            assert gone in told(runs())


def test_sync_finds_deletions_in_the_second_of_the_bookmark(synced, sandbox):
    sandbox.set_time("2027-03-01T10:00:00+00:00")
    first, second = there(sandbox)[:2]
    remove(sandbox, [first])
    assert told(synced()) == [first]
    remove(sandbox, [second])
    assert second in told(synced())


def test_sync_reports_no_restored_record(synced, sandbox):
    gone = there(sandbox)[:2]
    remove(sandbox, gone)
    synced()
    restore(sandbox, gone[:1])
    assert told(synced()) == gone[1:]


def test_sync_as_ordinary_user_is_one_error_that_suggests_scan(sandbox):
    joe = {"username": "joe", "access_key": sandbox.access_key_of("joe")}
    runs = Runs(sandbox, "unused", ["Contacts", "Leads"], deletions="sync", **joe)
    _, said = runs.failing()
    assert "Contacts, Leads" in said
    assert "administrators" in said
    assert "`scan`" in said


@pytest.mark.parametrize("kind", ["status", "html", "die"])
def test_sync_missing_on_the_server_is_one_error(synced, sandbox, kind):
    synced.settings["modules"] = ["Accounts", "Contacts", "Leads"]
    sandbox.faults.add(kind, operation="sync", status=500, times=None)
    _, said = synced.failing()
    assert "`scan`" in said
    asked = {r.params["elementType"] for r in sandbox.requests.of("sync")}
    assert asked == {"Accounts", "Contacts"}  # and not Leads
    assert synced.state["bookmarks"]["Leads"]["replication_key_value"]


@pytest.mark.parametrize("broken", ["Contacts", "Leads"])
def test_sync_failing_for_a_module_stops_no_other(synced, sandbox, broken):
    synced()
    gone = {module: there(sandbox, module)[0] for module in ("Contacts", "Leads")}
    for module, one in gone.items():
        sandbox.remove(module, one)
    sandbox.faults.add("status", operation="sync", contains=broken, status=500, times=None)
    rows, said = synced.failing()
    del gone[broken]
    assert [*gone.values()] == told(rows)
    assert f"sync of {broken}" in said
    sandbox.faults.clear()
    assert {row["module"] for row in synced()} >= {broken}


def test_sync_resumes_after_a_failure(synced, sandbox):
    for n in range(450):
        moment = datetime(2021, 1, 1) + timedelta(seconds=n)
        one = sandbox.insert("Contacts", {"lastname": f"{n}"}, str(moment))
        if n % 50 == 0:
            sandbox.sql("UPDATE Contacts SET _deleted = 1 WHERE _number = ?", [number(one)])
    sandbox.faults.add("status", operation="sync", nth=4, status=500, times=None)
    rows, _ = synced.failing()
    sandbox.faults.clear()
    assert len({*told(rows)} | {*told(synced())}) == 9


def test_sync_answers_are_checked(sandbox):
    with connect(sandbox) as client:
        page = deleted_since(client, "Contacts", 1)
        assert (page.ids, page.more) == ([], False)
        assert page.until > 1
        with pytest.raises(Refused):
            deleted_since(client, "Currency", 1)
        for result in ("[]", '{"deleted":[],"more":false,"lastModifiedTime":"x"}', '"no"'):
            body = f'{{"success":true,"result":{result}}}'
            sandbox.faults.add("status", operation="sync", status=200, body=body)
            with pytest.raises(Unavailable):
                deleted_since(client, "Contacts", 1)


def test_sync_ends_when_the_server_repeats_its_answer(synced, sandbox):
    body = '{"success":true,"result":{"updated":[],"deleted":[],"more":true,"lastModifiedTime":5}}'
    sandbox.faults.add("status", operation="sync", status=200, body=body, times=None)
    synced.failing(IncompleteRead)


@pytest.mark.parametrize("bookmark", ["soon", [3], 10**20])
def test_sync_bookmark_that_is_invalid_is_refused(synced, bookmark):
    synced.state = {"bookmarks": {STREAM: {"synced": {"Contacts": bookmark}}}}
    with pytest.raises(StateError, match="'synced' that this tap did not write"):
        synced()
