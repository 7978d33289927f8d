"""One record at which the server fails costs one record, and is named."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import datetime, timedelta
from math import log2

import pytest

from kafinea.errors import IncompleteRead, StateError
from kafinea_sandbox import Sandbox
from kafinea_sandbox.errors import Fatal
from kafinea_sandbox.operations.table import OPERATIONS
from tests.tap.running import discover, extract_through
from tests.target.running import empty

DIALECTS = ("kafinea", "stock", "frevo", "legacy", "corebos")
CONTACTS = 1000
BEGAN, MINUTE = datetime(2020, 1, 1), timedelta(minutes=1)
BAD = (350, 351, 750)
"""Which of the contacts, in their order, no answer can hold."""


def run(sandbox, state=None, **more):
    """Return what a run writes, and how it ended."""
    return extract_through(sandbox, state=state, **{"modules": ["Contacts"], **more})


def number(wire_id):
    return int(wire_id.partition("x")[2])


@contextmanager
def filled(dialect="kafinea", count=CONTACTS, bad=BAD, **options):
    """Yield a company with so many contacts, and the numbers of those no answer can hold."""
    with empty(dialect=dialect) as probe:
        first = number(probe.insert("Contacts", {"lastname": "first"}))
    numbers = [first + place for place in bad]
    unencodable = {"Contacts": list(numbers)}
    with empty(dialect=dialect, unencodable=unencodable, **options) as sandbox:
        for n in range(count):
            person = {"lastname": f"N{n}", "mailingcity": "Lyon", "title": "Dr"}
            sandbox.insert("Contacts", person, modifiedtime=f"{BEGAN + n * MINUTE}")
        yield sandbox, numbers


@pytest.fixture(scope="module", params=DIALECTS)
def company(request):
    with filled(request.param, unencodable_fields=["title", "description"]) as both:
        yield both


def queries(sandbox):
    return [one for one in sandbox.requests if one.operation in {"query", "retrieve"}]


@pytest.mark.parametrize("sessions", [1, 4])
def test_bad_records_are_named_once_and_all_others_extracted(company, caplog, sessions):
    sandbox, bad = company
    output, error = run(sandbox, max_sessions=sessions)
    records = {number(one["id"]): one for one in output.records("Contacts")}
    assert len(output.records("Contacts")) == CONTACTS
    assert sorted(records) == [number(str(row["id"])) for row in sandbox.rows("Contacts")]
    for one in bad:
        assert records[one].get("title") is None
        assert records[one]["lastname"] == f"N{one - min(records)}"
        assert records[one]["mailingcity"] == "Lyon"
    assert {one["title"] for n, one in records.items() if n not in bad} == {"Dr"}
    named = [line for line in caplog.messages if "is incomplete" in line]
    assert len(named) == len(bad)
    for one, line in zip(bad, named, strict=True):
        assert f"x{one} is incomplete" in line
        assert "title" in line
        assert "query of Contacts" in line
    assert isinstance(error, IncompleteRead)
    assert "3 records could not be read completely" in str(error)
    bookmark = output.bookmark("Contacts")
    assert bookmark["replication_key_value"]
    assert [number(one) for one in bookmark["unreadable"]] == list(bad)


def test_bad_records_alone_are_requested_again_in_the_next_run(company):
    sandbox, bad = company
    first, _ = run(sandbox)
    last = max(map(number, first.ids("Contacts")))  # that of the bookmark comes again
    second, error = run(sandbox, first.state, lookback_seconds=0)
    assert [number(one) for one in second.ids("Contacts")] == [last, *bad]
    assert "3 records could not be read completely" in str(error)
    sandbox.instance.options.unencodable["Contacts"].clear()  # mended, without a new modifiedtime
    third, error = run(sandbox, second.state, lookback_seconds=0)
    assert error is None
    assert {one["title"] for one in third.records("Contacts")} == {"Dr"}
    assert {number(one) for one in third.ids("Contacts")} - {last} == set(bad)
    assert "unreadable" not in third.bookmark("Contacts")
    fourth, error = run(sandbox, third.state, lookback_seconds=0)
    assert error is None
    assert set(map(number, fourth.ids("Contacts"))) <= {last}
    sandbox.instance.options.unencodable["Contacts"].extend(bad)


@pytest.mark.parametrize(
    ("how", "place"),
    [
        ("fatal", 0),
        ("fatal", 57),
        ("fatal", 249),
        ("empty", 57),
        ("cut", 57),
        ("latin-1", 57),
        ("INVALID_ID_ATTRIBUTE", 57),
        ("DATABASE_QUERY_ERROR", 57),
        ("INTERNAL_SERVER_ERROR", 57),
    ],
)
def test_bad_record_costs_few_requests_whatever_the_error(how, place):
    options = {"unencodable_as": how, "unencodable_fields": ["title"]}
    with filled(count=250, bad=[], **options) as (sandbox, _):
        run(sandbox, max_sessions=1)
        sound = len(sandbox.requests)
    with filled(count=250, bad=[place], **options) as (sandbox, bad):
        output, error = run(sandbox, max_sessions=1)
        assert len(output.records("Contacts")) == 250
        assert [number(one) for one in output.bookmark("Contacts")["unreadable"]] == bad
        assert error
        assert len(sandbox.requests) - sound <= 2 * log2(1000) + 13


@pytest.mark.parametrize("sessions", [1, 4])
def test_record_with_unreadable_id_is_skipped(sessions, caplog):
    with filled(count=450, bad=[0, 130, 449], unencodable_fields=["id"]) as (sandbox, bad):
        output, error = run(sandbox, max_sessions=sessions)
        numbers = [number(one) for one in output.ids("Contacts")]
        assert numbers == [n for n in range(bad[0], bad[0] + 450) if n not in bad]
        assert [number(one) for one in output.bookmark("Contacts")["unreadable"]] == bad
        assert sum("could not be read: " in line for line in caplog.messages) == 3
        assert error


@pytest.mark.parametrize("dialect", ["corebos", "legacy"])
def test_record_with_removed_owner_is_extracted_without_owner(dialect, caplog):
    with Sandbox(dialect=dialect, rows=300) as sandbox:
        ids = [row["id"] for row in sandbox.rows("Contacts")]
        for one in (ids[0], ids[17]):
            sandbox.change("Contacts", one, {"assigned_user_id": 999})
        output, error = run(sandbox)
        records = {one["id"]: one for one in output.records("Contacts")}
        assert len(records) == len(ids)
        for one in (ids[0], ids[17]):
            assert records[one].get("assigned_user_id") is None
            assert records[one]["lastname"]
            assert f"{one} is incomplete, assigned_user_id is null" in caplog.text
        assert "INVALID_ID_ATTRIBUTE" in caplog.text
        assert error


def test_module_of_bad_records_only_is_an_error(monkeypatch):
    monkeypatch.setattr("kafinea.recovery.MOST_BAD", 50)
    with filled(count=120, bad=range(120), unencodable_fields=["title"]) as (sandbox, _):
        output, error = run(sandbox, max_sessions=1)
        assert "the server failed at 50 records" in str(error)
        assert len(output.records("Contacts")) == 50
        assert len(queries(sandbox)) < 50 * 8
        again, error = run(sandbox, output.state, max_sessions=1)
        assert number(again.ids("Contacts")[0]) == number(output.ids("Contacts")[-1]) + 1


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 503, "times": 4},
        {"kind": "status", "status": 500, "times": 4},
        {"kind": "reset", "times": 4},
        {"kind": "html", "times": 4},
    ],
)
def test_server_outage_marks_no_record_as_bad(fault, caplog):
    with filled(count=250, bad=[]) as (sandbox, _):
        sandbox.faults.add(operation="query", contains="FROM Contacts", nth=3, **fault)
        output, error = run(sandbox, max_sessions=1)
        assert error is None
        assert len(output.ids("Contacts")) == 250
        assert "is incomplete" not in caplog.text
        assert "could not be read" not in caplog.text


def test_server_that_goes_away_while_an_id_is_looked_for_marks_no_other_as_bad(caplog):
    with filled(count=30, bad=[0, 10, 11, 12], unencodable_fields=["id"]) as (sandbox, bad):
        # The id after that of the first record, which is asked for to find that of the first.
        fault = {"status": 503, "contains": "SELECT id FROM Contacts ORDER BY id LIMIT 1,1"}
        ordered = sandbox.faults.add("status", operation="query", times=None, **fault)
        _, error = run(sandbox, max_sessions=1)
        assert "HTTP 503" in str(error)
        assert ordered.hits == 7
        assert "could not be read" not in caplog.text
        sandbox.faults.clear()
        output, _ = run(sandbox, max_sessions=1)
        assert {*map(number, output.ids("Contacts"))} == {bad[0] + n for n in range(30)} - {*bad}
        assert [number(one) for one in output.bookmark("Contacts")["unreadable"]] == bad


@pytest.mark.parametrize("is_deleted", [False, True])
def test_record_that_fails_in_pages_only_is_extracted_whole(is_deleted, monkeypatch, caplog):
    with filled(count=30, bad=[]) as (sandbox, _):
        bad = sandbox.rows("Contacts")[10]["id"]
        query, retrieve = OPERATIONS["query"], OPERATIONS["retrieve"]

        def fail_in_pages(call):
            rows = query.run(call)
            if "ORDER BY" in call.params["query"] and any(
                "title" in r for r in rows if r["id"] == bad
            ):
                raise Fatal("it cannot be shown")
            return rows

        def fail(call):
            if is_deleted:
                sandbox.remove("Contacts", bad)
            raise Fatal("it cannot be shown")

        monkeypatch.setitem(OPERATIONS, "query", query._replace(run=fail_in_pages))
        monkeypatch.setitem(OPERATIONS, "retrieve", retrieve._replace(run=fail))
        output, error = run(sandbox, max_sessions=1)
        assert error is None
        assert output.ids("Contacts") == [row["id"] for row in sandbox.rows("Contacts")]
        assert {one["title"] for one in output.records("Contacts")} == {"Dr"}
        assert "unreadable" not in output.bookmark("Contacts")
        assert "incomplete" not in caplog.text


def test_bad_records_above_the_limit_of_the_state_are_logged():
    with filled(count=120, bad=[3], unencodable_fields=["title"]) as (sandbox, _):
        first, _ = run(sandbox)
        many = [f"3x{n}" for n in range(10**6, 10**6 + 1000)]
        state = {"bookmarks": {"Contacts": {**first.bookmark("Contacts")}}}
        prefix = first.ids("Contacts")[0].partition("x")[0]
        state["bookmarks"]["Contacts"]["unreadable"] += [
            one.replace("3x", f"{prefix}x") for one in many
        ]
        second, error = run(sandbox, state)  # those that are not there any more are forgotten
        assert len(second.bookmark("Contacts")["unreadable"]) == 1
        assert "1 record could not be read completely" in str(error)


def test_state_with_invalid_bad_records_is_refused(sandbox):
    first, _ = run(sandbox)
    first.bookmark("Contacts")["unreadable"] = "12x3"
    with pytest.raises(StateError, match="this tap did not write"):
        run(sandbox, first.state)


def test_full_table_with_bad_record_keeps_the_loaded_rows():
    with filled(count=130, bad=[60], unencodable_fields=["id"]) as (sandbox, _):
        catalog = discover(sandbox, modules=["Contacts"])
        catalog["streams"][0]["replication_method"] = "FULL_TABLE"
        output, error = extract_through(sandbox, catalog=catalog)
        assert error
        assert len(output.ids("Contacts")) == 129
        assert not [m for m in output.messages if m["type"] == "ACTIVATE_VERSION"]
