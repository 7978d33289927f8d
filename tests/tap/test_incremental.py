"""Runs that follow each other: only what changed travels, and nothing is ever missed."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from datetime import datetime, timedelta, timezone
from itertools import count, pairwise

import pytest

from kafinea.errors import IncompleteRead, StateError, Unavailable
from kafinea.extract.discovery import NotRead
from kafinea.keyset import PATIENCE
from kafinea.page_query import number
from kafinea_sandbox import Sandbox
from kafinea_sandbox.operations.table import OPERATIONS
from tap_kafinea.tap import TapKafinea
from tests.tap.running import _Collector, discover, extract, parse, settings

OLD = "2020-01-01 00:00:00"


def old_company(**options):
    """A sandbox whose contacts were all changed long ago, each in a second of its own."""
    sandbox = Sandbox(rows=50, **options)
    start = datetime(2020, 1, 1)
    for n, row in enumerate(sandbox.rows("Contacts")):
        sandbox.change(
            "Contacts", number(row["id"]), {}, modifiedtime=str(start + timedelta(hours=n))
        )
    return sandbox


@pytest.fixture
def sandbox():
    with old_company() as sandbox:
        yield sandbox


def contacts(sandbox, state=None, **more):
    return extract(sandbox, state=state, modules=["Contacts"], **more)


def all_ids(sandbox):
    return {row["id"] for row in sandbox.rows("Contacts")}


def later(state, seconds):
    """The same state as if that many seconds had gone by since."""
    for bookmark in state["bookmarks"].values():
        if "seen_at" in bookmark:
            seen = datetime.fromisoformat(bookmark["seen_at"]) - timedelta(seconds=seconds)
            bookmark["seen_at"] = seen.isoformat()
    return state


def test_second_run_extracts_changes_only(sandbox):
    first = contacts(sandbox)
    assert set(first.ids("Contacts")) == all_ids(sandbox)
    changed = first.ids("Contacts")[3]
    sandbox.change("Contacts", number(changed), {"phone": "+33 2"})
    added = sandbox.insert("Contacts", {"lastname": "New"})
    second = contacts(sandbox, first.state)
    newest = max(first.records("Contacts"), key=lambda record: record["modifiedtime"])["id"]
    assert second.ids("Contacts") == sorted({newest, changed, added}, key=number)
    record = next(r for r in second.records("Contacts") if r["id"] == changed)
    assert record["phone"] == "+33 2"


def test_late_commits_and_changes_in_the_bookmarks_second_are_found(sandbox):
    first = contacts(sandbox)
    bookmark = datetime.fromisoformat(first.bookmark("Contacts")["replication_key_value"])
    same = sandbox.insert("Contacts", {"lastname": "same second"}, modifiedtime=wire(bookmark))
    late = sandbox.insert(
        "Contacts", {"lastname": "late"}, modifiedtime=wire(bookmark - timedelta(seconds=59))
    )
    too_late = sandbox.insert(
        "Contacts", {"lastname": "too late"}, modifiedtime=wire(bookmark - timedelta(seconds=61))
    )
    found = set(contacts(sandbox, first.state).ids("Contacts"))
    assert {same, late} <= found
    assert too_late not in found


def wire(moment):
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def test_up_to_date_module_costs_one_request(sandbox):
    catalog = discover(sandbox, modules=["Contacts"])
    state = extract(sandbox, catalog=catalog).state
    for _ in range(2):  # read again once the lookback has gone by; then settled
        state = extract(sandbox, catalog=catalog, state=later(state, 61)).state
    sandbox.requests.clear()
    output = extract(sandbox, catalog=catalog, state=state)
    assert output.records("Contacts") == []
    asked = [request.operation for request in sandbox.requests]
    assert asked == ["getchallenge", "login", "query", "logout"]
    assert output.bookmark("Contacts")["settled"] is True


def test_up_to_date_module_needs_the_lookback_to_pass(sandbox):
    state = contacts(sandbox).state
    for _ in range(3):
        state = contacts(sandbox, state).state
        assert state["bookmarks"]["Contacts"]["settled"] is False
    late = sandbox.insert(
        "Contacts",
        {"lastname": "late"},
        modifiedtime=wire(
            datetime.fromisoformat(state["bookmarks"]["Contacts"]["replication_key_value"])
        ),
    )
    assert late in contacts(sandbox, later(state, 61)).ids("Contacts")


def test_up_to_date_module_extracts_new_changes(sandbox):
    state = contacts(sandbox).state
    for _ in range(2):
        state = contacts(sandbox, later(state, 61)).state
    added = sandbox.insert("Contacts", {"lastname": "New"})
    output = contacts(sandbox, state)
    assert added in output.ids("Contacts")
    assert output.bookmark("Contacts")["settled"] is False


def test_records_of_one_second_fill_several_pages(sandbox):
    for n in range(500):
        sandbox.insert("Contacts", {"lastname": f"import {n}"}, modifiedtime="2021-05-05 05:05:05")
    first = contacts(sandbox)
    assert sorted(first.ids("Contacts")) == sorted(all_ids(sandbox))
    more = [
        sandbox.insert("Contacts", {"lastname": f"more {n}"}, modifiedtime="2021-05-05 05:05:05")
        for n in range(250)
    ]
    second = contacts(sandbox, first.state)
    assert set(more) <= set(second.ids("Contacts"))
    assert len(second.ids("Contacts")) == len(set(second.ids("Contacts")))


@contextmanager
def others_writing(sandbox):
    """Three writers, who write four times each during each query: as much on any machine."""
    numbers = [number(one) for one in all_ids(sandbox)]
    query, stopped = OPERATIONS["query"], threading.Event()
    due = [threading.Semaphore(0) for _ in range(3)]

    def query_while_others_write(call):
        for writes in due:
            writes.release(4)
        return query.run(call)

    def write(seed):
        for n in count(1):
            due[seed].acquire()
            if stopped.is_set():
                return
            target = numbers[(n * 37 + seed * 101) % len(numbers)]
            if n % 10 == 0:
                sandbox.insert("Contacts", {"lastname": f"added {seed} {n}"})
            else:
                sandbox.change("Contacts", target, {"phone": f"{seed}-{n}"})

    with ThreadPoolExecutor(3) as writers, pytest.MonkeyPatch.context() as patch:
        patch.setitem(OPERATIONS, "query", query._replace(run=query_while_others_write))
        writing = [writers.submit(write, seed) for seed in range(3)]
        try:
            yield
        finally:
            stopped.set()
            for writes in due:
                writes.release()
    assert [writer.result() for writer in writing] == [None] * 3


def test_records_are_not_lost_while_others_write():
    """Others change and add records during each run; then comes one quiet run."""
    with Sandbox(rows=50, latency_ms=5) as sandbox:
        for n in range(900):
            sandbox.insert("Contacts", {"lastname": f"start {n}"}, modifiedtime=OLD)
        warehouse, state = {}, None
        with others_writing(sandbox):
            for _ in range(4):
                output = contacts(sandbox, state, page_size=50)
                state = output.state
                warehouse |= {record["id"]: record for record in output.records("Contacts")}
        output = contacts(sandbox, state)
        warehouse |= {record["id"]: record for record in output.records("Contacts")}
        truth = {row["id"]: row["phone"] or None for row in sandbox.rows("Contacts")}
        assert {id_: record["phone"] for id_, record in warehouse.items()} == truth


def test_state_is_emitted_every_thousand_records_and_resumes(sandbox):
    for n in range(2500):
        sandbox.insert("Contacts", {"lastname": f"{n}"}, modifiedtime=OLD)
    whole = contacts(sandbox)
    lines, since = [], 0
    for message in whole.messages:
        since = 0 if message["type"] == "STATE" else since + 1
        lines.append(since)
    assert max(lines) <= 1001
    everything = whole.ids("Contacts")
    resumed = 0
    for position, message in enumerate(whole.messages):
        if message["type"] != "STATE" or "pass" not in message["value"]["bookmarks"].get(
            "Contacts", {}
        ):
            continue
        resumed += 1
        before = [m["record"]["id"] for m in whole.messages[:position] if m["type"] == "RECORD"]
        again = contacts(sandbox, message["value"])
        newest_only = len(before) + len(again.ids("Contacts")) - len(everything)
        assert set(before) | set(again.ids("Contacts")) == set(everything)
        assert newest_only <= 2  # the pass that follows looks back a minute
        assert again.bookmark("Contacts").get("pass") is None
    assert resumed >= 2


def test_module_without_modifiedtime_is_read_in_full_and_resumes(sandbox):
    first = extract(sandbox, modules=["Users"])
    second = extract(sandbox, modules=["Users"], state=first.state)
    assert first.ids("Users") == second.ids("Users") != []
    begun = {
        "bookmarks": {
            "Users": {"pass": {"since": None, "until": None, "last_id": first.ids("Users")[1]}}
        }
    }
    third = extract(sandbox, modules=["Users"], state=begun)
    assert third.ids("Users") == first.ids("Users")[2:]
    assert not third.bookmark("Users").get("pass")


def test_catalog_may_choose_full_table(sandbox):
    catalog = discover(sandbox, modules=["Contacts"])
    catalog["streams"][0]["replication_method"] = "FULL_TABLE"
    state = extract(sandbox, catalog=catalog).state
    output = extract(sandbox, catalog=catalog, state=state)
    assert set(output.ids("Contacts")) == all_ids(sandbox)


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2020-01-01T05:00:00Z", None),
        ("2020-01-01T05:00:00", "2020-01-01T08:00:00+00:00"),
        ("2020-01-01T06:00:00+01:00", "2020-01-01T09:00:00+01:00"),
        (None, "2020-01-01 08:00:00"),
        ("2020-01-01", "2020-01-02"),
    ],
)
def test_start_date_and_end_date_bound_the_records(sandbox, start, end):
    bounds = {k: v for k, v in {"start_date": start, "end_date": end}.items() if v}
    output = contacts(sandbox, **bounds)
    expected = {
        row["id"]
        for row in sandbox.rows("Contacts")
        if (moment(start) or "") <= row["modifiedtime"] < (moment(end) or "9")
    }
    assert set(output.ids("Contacts")) == expected
    assert expected


def moment(text):
    if not text:
        return None
    parsed = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return wire(parsed.astimezone(timezone.utc) if parsed.tzinfo else parsed)


def test_windows_that_touch_extract_every_record_once(sandbox):
    days = ["2019-12-31", "2020-01-01T07:00:00Z", "2020-01-01T19:00:00Z", "2100-01-01"]
    found = []
    for start, end in pairwise(days):
        found += contacts(sandbox, start_date=start, end_date=end).ids("Contacts")
    assert sorted(found) == sorted(all_ids(sandbox))


def test_incremental_run_follows_a_backfill(sandbox):
    state = contacts(sandbox, end_date="2020-01-01T07:00:00Z").state
    rest = contacts(sandbox, state)
    early = {r["id"] for r in sandbox.rows("Contacts") if r["modifiedtime"] < "2020-01-01 07:00:00"}
    assert all_ids(sandbox) - early <= set(rest.ids("Contacts"))


@pytest.mark.parametrize(("hours", "lookback"), [(2, 60), (640_000, 60), (0.02, 60), (0.01, 0)])
def test_record_from_the_future_hides_no_change(sandbox, hours, lookback):
    """It was imported, the server's clock was set back, or another machine's is ahead."""
    ahead = sandbox.instance.clock.now() + timedelta(hours=hours)
    wire = ahead.strftime("%Y-%m-%d %H:%M:%S")
    sandbox.insert("Contacts", {"lastname": "future"}, modifiedtime=wire)
    options = {"timezone": "UTC", "lookback_seconds": lookback}
    state = contacts(sandbox, **options).state
    added = sandbox.insert("Contacts", {"lastname": "New"})
    assert added in contacts(sandbox, later(state, 100), **options).ids("Contacts")


def test_timezone_moves_bookmarks_and_no_records():
    with old_company(timezone="Europe/Paris") as sandbox:
        first = contacts(sandbox, timezone="Europe/Paris")
        value = first.bookmark("Contacts")["replication_key_value"]
        assert value.endswith("+01:00")
        added = sandbox.insert("Contacts", {"lastname": "New"})
        assert added in contacts(sandbox, first.state, timezone="Europe/Paris").ids("Contacts")


def test_clocks_going_back_lose_nothing():
    with old_company(timezone="Europe/Paris") as sandbox:
        sandbox.insert("Contacts", {"lastname": "x"}, modifiedtime="2025-10-26 02:55:00")
        state = contacts(sandbox, timezone="Europe/Paris").state
        for _ in range(2):
            state = contacts(sandbox, later(state, 61), timezone="Europe/Paris").state
        # The clock went back to 2:00 at 3:00; this one is newer and looks older.
        added = sandbox.insert("Contacts", {"lastname": "y"}, modifiedtime="2025-10-26 02:10:00")
        assert added in contacts(sandbox, later(state, 61), timezone="Europe/Paris").ids("Contacts")


def test_bookmark_edited_by_hand_is_used(sandbox):
    state = {
        "bookmarks": {
            "Contacts": {
                "replication_key": "modifiedtime",
                "replication_key_value": "2020-01-01T05:00:00Z",
            }
        }
    }
    output = contacts(sandbox, state)
    expected = {
        r["id"] for r in sandbox.rows("Contacts") if r["modifiedtime"] >= "2020-01-01 04:59:00"
    }
    assert set(output.ids("Contacts")) == expected


def test_bookmark_whose_record_was_deleted_stays(sandbox):
    first = contacts(sandbox)
    value = first.bookmark("Contacts")["replication_key_value"]
    newest = max(sandbox.rows("Contacts"), key=lambda row: row["modifiedtime"])
    sandbox.remove("Contacts", newest["id"])
    second = contacts(sandbox, first.state)
    assert second.bookmark("Contacts")["replication_key_value"] == value
    assert second.records("Contacts") == []


def test_expired_sessions_and_silent_failures_cost_no_record(sandbox):
    for n in range(450):
        sandbox.insert("Contacts", {"lastname": f"{n}"}, modifiedtime=OLD)
    sandbox.faults.add("session", operation="query", nth=2)
    sandbox.faults.add("empty", operation="query", contains="ORDER BY id", nth=3)
    sandbox.faults.add("empty", operation="query", contains="DESC LIMIT 1")
    sandbox.faults.add("status", operation="query", nth=5, status=502)
    assert sorted(contacts(sandbox).ids("Contacts")) == sorted(all_ids(sandbox))


@pytest.mark.parametrize(("before", "after"), [("UTC", "Europe/Paris"), ("Europe/Paris", "UTC")])
def test_timezone_correction_loses_nothing(before, after):
    with old_company() as sandbox:
        sandbox.insert("Contacts", {"lastname": "x"}, modifiedtime="2025-06-01 12:00:00")
        state = contacts(sandbox, timezone=before).state
        added = sandbox.insert("Contacts", {"lastname": "y"}, modifiedtime="2025-06-01 12:00:30")
        assert added in contacts(sandbox, later(state, 100), timezone=after).ids("Contacts")


def test_resumed_pass_does_not_mark_the_module_up_to_date(sandbox):
    state = contacts(sandbox).state
    bookmark = state["bookmarks"]["Contacts"]
    newest = max(sandbox.rows("Contacts"), key=lambda row: row["modifiedtime"])
    low = min(sandbox.rows("Contacts"), key=lambda row: number(row["id"]))
    bookmark["pass"] = {
        "since": newest["modifiedtime"],
        "until": newest["modifiedtime"],
        "reached": newest["modifiedtime"],
        "last_id": newest["id"],
    }
    sandbox.change("Contacts", low["id"], {"phone": "late"}, modifiedtime=newest["modifiedtime"])
    resumed = contacts(sandbox, later(state, 100))
    following = contacts(sandbox, later(resumed.state, 100))
    assert low["id"] in resumed.ids("Contacts") + following.ids("Contacts")


def test_bounded_run_does_not_mark_an_older_bookmark_up_to_date(sandbox):
    state = contacts(sandbox).state
    value = datetime.fromisoformat(state["bookmarks"]["Contacts"]["replication_key_value"])
    end = (value - timedelta(seconds=30)).isoformat()
    sandbox.insert("Contacts", {"lastname": "x"}, modifiedtime=wire(value - timedelta(seconds=45)))
    state = contacts(sandbox, later(state, 100), end_date=end).state
    assert state["bookmarks"]["Contacts"]["settled"] is False
    late = sandbox.insert("Contacts", {"lastname": "late"}, modifiedtime=wire(value))
    assert late in contacts(sandbox, later(state, 100)).ids("Contacts")


def test_full_table_does_not_resume_an_incremental_pass(sandbox):
    catalog = discover(sandbox, modules=["Contacts"])
    catalog["streams"][0]["replication_method"] = "FULL_TABLE"
    some = sorted(all_ids(sandbox), key=number)[3]
    begun = {"since": None, "until": OLD, "reached": OLD, "last_id": some}
    state = {"bookmarks": {"Contacts": {"pass": begun}}}
    assert set(extract(sandbox, catalog=catalog, state=state).ids("Contacts")) == all_ids(sandbox)


def test_newest_change_that_no_page_contains_is_an_error(sandbox):
    state = contacts(sandbox).state
    sandbox.insert("Contacts", {"lastname": "New"})
    sandbox.faults.add("empty", operation="query", contains="DESC", times=None)
    with pytest.raises(IncompleteRead):
        contacts(sandbox, state)


def test_query_for_the_newest_change_that_fails_for_a_while_hides_no_record(sandbox):
    for row in sandbox.rows("Contacts")[10:]:
        sandbox.remove("Contacts", row["id"])
    empty = {"operation": "query", "contains": "DESC", "times": 1 + PATIENCE}
    sandbox.faults.add("empty", **empty)
    with pytest.raises(IncompleteRead):
        contacts(sandbox)
    first = contacts(sandbox)
    assert set(first.ids("Contacts")) == all_ids(sandbox)
    added = sandbox.insert("Contacts", {"lastname": "New"})
    sandbox.faults.add("empty", **empty)
    assert added in contacts(sandbox, first.state).ids("Contacts")


@pytest.mark.parametrize("is_away", [False, True])
def test_failing_module_stops_no_other(sandbox, is_away):
    """Only a server that answers nothing any more ends the run."""
    sandbox.faults.add("status", contains="FROM Contacts", status=500, times=None)
    if is_away:
        sandbox.faults.add("status", operation="listtypes", nth=2, status=500, times=None)
    writer = _Collector()
    config = settings(sandbox, modules=["Contacts", "Leads"])
    tap = TapKafinea(config=config, message_writer=writer)
    error, text = (Unavailable, "listtypes") if is_away else (NotRead, "query of Contacts")
    with pytest.raises(error, match=text):
        tap.sync_all()
    tap.client.close()
    assert bool(parse(writer.lines).records("Leads")) != is_away


@pytest.mark.parametrize(
    ("bookmark", "understood"),
    [
        ({"seen_at": "garbage"}, False),
        ({"seen_at": "2026-01-01T00:00:00"}, True),
        ({"wire": "garbage"}, False),
        ({"replication_key_value": "0001-01-01T00:00:00+14:00"}, False),
    ],
)
def test_state_edited_by_hand_is_understood_or_refused(sandbox, bookmark, understood):
    state = contacts(sandbox).state
    state["bookmarks"]["Contacts"] |= bookmark
    with nullcontext() if understood else pytest.raises(StateError, match="state"):
        assert contacts(sandbox, state).state


def test_state_of_another_instance_is_refused(sandbox):
    state = contacts(sandbox).state
    with Sandbox(rows=300) as other:
        with pytest.raises(StateError, match="another Kafinea"):
            contacts(other, state)
        here = contacts(other).state["bookmarks"]["Contacts"]["url"]
        state["bookmarks"]["Contacts"]["url"] = here  # it has moved
        assert contacts(other, state).state


def test_catalog_cannot_deselect_the_id(sandbox):
    catalog = discover(sandbox, modules=["Contacts"])
    for entry in catalog["streams"][0]["metadata"]:
        if entry["breadcrumb"] == ["properties", "id"]:
            entry["metadata"] = {"inclusion": "available", "selected": False}
    assert set(extract(sandbox, catalog=catalog).ids("Contacts")) == all_ids(sandbox)
