"""`conflict_on`: what was changed in Kafinea since the row was extracted is not overwritten."""

from __future__ import annotations

import threading
import time
from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafinea import Client
from kafinea.load import Load
from kafinea.values import ServerZone
from tests.small_server import Raw, SmallServer, serving
from tests.target.running import empty, load, messages, write_requests

OLD, LATER, LATEST = "2026-01-31 08:00:00", "2026-01-31 08:00:01", "2026-01-31 09:00:00"
STREAMS = {"Contacts": {"match_on": "cf_853", "conflict_on": "modifiedtime"}}


def contact(sandbox, key="a", modifiedtime=OLD, **values):
    values = {"cf_853": key, "lastname": "Stored", **values}
    return sandbox.insert("Contacts", values, modifiedtime=modifiedtime)


def upsert(sandbox, *records, **more):
    return load(sandbox, messages("Contacts", *records), **{"streams": STREAMS, **more})


def row(extracted, key="a", name="Loaded", **more):
    return {"cf_853": key, "lastname": name, "modifiedtime": extracted, **more}


def names(sandbox):
    return sorted(one["lastname"] for one in sandbox.rows("Contacts"))


def is_conflict(run):
    return run.codes == ["CONFLICT"]


def test_record_changed_since_is_not_overwritten(any_sandbox):
    changed = contact(any_sandbox, "a", LATER)
    contact(any_sandbox, "b", OLD)
    records = [row(OLD, key) for key in "abc"]
    run = upsert(any_sandbox, *records, max_rejects=1, outcomes_values=True)
    assert run.tally == {"rejected": 1, "updated": 1, "created": 1}
    assert names(any_sandbox) == ["Loaded", "Loaded", "Stored"]
    (line,) = run.of("a")
    assert (line["code"], line["id"]) == ("CONFLICT", changed)
    values = {
        "lastname": {"stored": "Stored", "loaded": "Loaded"},
        "modifiedtime": {"stored": LATER, "loaded": OLD},
    }
    assert line["conflict"] == values
    assert run.rejects[-1]["conflict"] == values
    assert "Stored" not in run.stderr + line["message"]
    assert "Loaded" not in run.stderr + line["message"]
    assert "lastname" in line["message"]


def test_outcome_shows_no_values_unless_they_are_asked_for(sandbox):
    contact(sandbox, "a", LATER)
    assert "conflict" not in upsert(sandbox, row(OLD)).only


def test_record_that_differs_in_nothing_is_unchanged(sandbox):
    contact(sandbox, "a", LATEST)
    assert upsert(sandbox, row(OLD, name="Stored")).tally == {"unchanged": 1}
    run = upsert(sandbox, row("no time", name="Stored"))
    assert run.tally == {"unchanged": 1}


@pytest.fixture(scope="module")
def in_paris():
    with empty(timezone="Europe/Paris") as sandbox:
        contact(sandbox)
        yield sandbox


@pytest.mark.parametrize(
    ("extracted", "stored", "end"),
    [
        (OLD, OLD, "updated"),
        ("2026-01-31T08:00:00", OLD, "updated"),
        ("2026-01-31 08:00:00.999999", OLD, "updated"),
        ("2026-01-31 07:59:59.999999", OLD, "CONFLICT"),
        ("2026-01-31T07:00:00Z", OLD, "updated"),
        ("2026-01-31T07:00:00+00:00", LATER, "CONFLICT"),
        ("2026-01-31T06:59:59+00:00", OLD, "CONFLICT"),
        ("2026-01-31 07:00:00.5+00", OLD, "updated"),
        ("2026-01-31 06:59:59.5+00", OLD, "CONFLICT"),
        ("2026-01-31T02:00:00.500000-05:00", OLD, "updated"),
        ("2026-02-01", OLD, "updated"),
        ("2026-01-31", OLD, "CONFLICT"),
        (None, OLD, "CONFLICT"),
        ("", OLD, "CONFLICT"),
        (None, "", "updated"),
        (None, "0000-00-00 00:00:00", "updated"),
        ("yesterday", OLD, "INVALID_VALUE"),
        ("0001-01-01T00:00:00+14:00", OLD, "INVALID_VALUE"),
        (5, OLD, "INVALID_VALUE"),
        # The clock shows this hour twice.
        ("2026-10-25T02:30:00+02:00", "2026-10-25 02:30:00", "updated"),
        ("2026-10-25T02:30:00+01:00", "2026-10-25 02:30:00", "updated"),
        ("2026-10-25T02:45:00+02:00", "2026-10-25 02:30:00", "CONFLICT"),
        ("2026-10-25T02:45:00+01:00", "2026-10-25 02:30:00", "updated"),
    ],
)
def test_times_are_compared_on_the_servers_clock_by_the_second(in_paris, extracted, stored, end):
    values = {"modifiedtime": stored, "lastname": "Stored"}
    in_paris.change("Contacts", 1, values)
    run = upsert(in_paris, row(extracted), timezone="Europe/Paris")
    assert "`timezone`" not in run.stderr
    assert run.only.get("code", run.only["outcome"]) == end


@given(st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31)), st.integers(-7200, 7200))
def test_no_later_time_is_passed_over(local, seconds):
    """What was extracted before the second in which a record was changed is a conflict."""
    zone = ServerZone("Europe/Paris")
    changed = local.replace(microsecond=0, tzinfo=timezone.utc)
    wire = zone.wire(changed)
    extracted = datetime.fromtimestamp(changed.timestamp() + seconds, timezone.utc)
    is_same_wire = zone.aware(wire) == extracted
    if seconds < 0 and not is_same_wire:
        assert zone.may_be_later(wire, extracted)
    if seconds >= 0 and not zone.is_repeated(wire):
        assert not zone.may_be_later(wire, extracted)


@pytest.mark.parametrize("dry_run", [False, True])
def test_what_the_run_wrote_itself_is_no_conflict(any_sandbox, dry_run):
    contact(any_sandbox, "a", OLD)
    records = [row(OLD, key, name) for name in ("First", "Second") for key in "ab"]
    run = upsert(any_sandbox, *records, dry_run=dry_run)
    assert run.tally == {"updated": 3, "created": 1}
    assert names(any_sandbox) == (["Stored"] if dry_run else ["Second", "Second"])


def test_what_another_stream_of_the_run_wrote_is_no_conflict(sandbox):
    """Also its pairs, and the records that it refers to and creates."""
    campaign = sandbox.insert("Campaigns", {"campaignname": "Spring"}, modifiedtime=OLD)
    contact(sandbox, "a", OLD)
    reference = {"module": "Accounts", "match_on": "accountname", "create": True}
    streams = {
        "people": {
            "module": "Contacts",
            "match_on": "cf_853",
            "references": {"account_id": reference},
        },
        "pairs": {
            "module": "Campaigns",
            "related": "Contacts",
            "references": {"related_id": {"match_on": "cf_853"}},
        },
        "Contacts": STREAMS["Contacts"],
        "Campaigns": {"match_on": "campaignname", "conflict_on": "modifiedtime"},
        "Accounts": {"match_on": "accountname", "conflict_on": "modifiedtime"},
    }
    run = load(
        sandbox,
        messages("people", {"cf_853": "a", "lastname": "First", "account_id": "ACME"}),
        messages("pairs", {"source_id": campaign, "related_id": "a"}),
        messages("Contacts", row(OLD, name="Second")),
        messages("Campaigns", {"campaignname": "Spring", "modifiedtime": OLD, "description": "x"}),
        messages("Accounts", {"accountname": "ACME", "modifiedtime": OLD, "phone": "1"}),
        streams=streams,
    )
    assert run.codes == []
    assert names(sandbox) == ["Second"]


@pytest.mark.parametrize(
    ("operation", "number", "more"),
    [("retrieve", 1, {}), ("query", 2, {"_sdc_deleted_at": "2026-01-31T08:00:00Z"})],
    ids=["update", "delete"],
)
def test_change_between_look_up_and_write_is_a_conflict(sandbox, operation, number, more):
    """The record is read once more right before it is written."""
    contact(sandbox, "a", OLD)
    sandbox.faults.add("latency", operation=operation, nth=number, seconds=1)

    def change():
        while len(sandbox.requests.of(operation)) < number:
            time.sleep(0.005)
        sandbox.change("Contacts", 1, {"lastname": "Theirs"}, LATEST)

    colleague = threading.Thread(target=change)
    colleague.start()
    run = upsert(sandbox, row(OLD, **more), hard_delete=True)
    colleague.join()
    assert is_conflict(run)
    assert names(sandbox) == ["Theirs"]


def gone(server):
    server.rows.clear()


def fails(_):
    raise Raw(500)


def hidden(_):
    raise Raw(200, b'{"success":true,"result":[]}')


@pytest.mark.parametrize(
    ("meanwhile", "end", "left"),
    [(gone, "deleted", 0), (fails, "UNAVAILABLE", 1), (hidden, "NOT_READABLE", 1)],
)
def test_record_that_cannot_be_looked_at_right_before_is_not_deleted(meanwhile, end, left):
    with serving(SmallServer()) as server:
        record_id = server.insert(code="a", lastname="Stored")

        def before(operation, said):
            if operation == "query" and "count(*)" not in said["query"] and record_id in str(said):
                meanwhile(server)

        server.before = before
        record = {"code": "a", "modifiedtime": "2026-02-01 00:00:00", "_sdc_deleted_at": LATEST}
        streams = {"Contacts": {"match_on": "code", "conflict_on": "modifiedtime"}}
        run = load(
            None, messages("Contacts", record), streams=streams, hard_delete=True, max_rejects=-1,
            url=server.url, username="admin", access_key="k",
        )  # fmt: skip
        assert (run.only.get("code", run.only["outcome"]), run.only["id"]) == (end, record_id)
        assert len(server.rows) == left


def test_change_between_two_writes_of_a_run_is_a_conflict(sandbox):
    contact(sandbox, "a", OLD)
    with Client(sandbox.url, sandbox.username, sandbox.access_key) as client:
        options = {"match_on": "cf_853", "conflict_on": "modifiedtime"}
        with Load(client, "Contacts", **options) as loading:
            (first,) = loading([row(OLD, name="First")])
            (second,) = loading([row(OLD, name="Second")])
            sandbox.change("Contacts", 1, {"title": "Theirs"}, "2027-01-01 00:00:00")
            (third,) = loading([row(OLD, name="Third")])
            (without,) = loading([{"cf_853": "a", "lastname": "Fourth"}])
    assert [first.status.value, second.status.value] == ["updated", "updated"]
    assert third.rejection.code == without.rejection.code == "CONFLICT"
    assert names(sandbox) == ["Second"]


def test_deletion_of_a_record_changed_since_is_a_conflict(any_sandbox):
    contact(any_sandbox, "a", LATER)
    contact(any_sandbox, "b", OLD)
    gone = {"_sdc_deleted_at": "2026-01-31T08:00:00Z"}
    records = [row(OLD, key, **gone) for key in "ab"]
    run = upsert(any_sandbox, *records, hard_delete=True, max_rejects=1)
    assert run.tally == {"rejected": 1, "deleted": 1}
    assert is_conflict(run)
    assert any_sandbox.count("Contacts") == 1


@pytest.mark.parametrize(
    ("name", "more"),
    [("extracted_at", {}), ("_sdc_extracted_at", {}), ("cf_905", {"fields": {"cf_905": None}})],
)
def test_time_may_be_in_any_property(sandbox, name, more):
    contact(sandbox, "a", LATER)
    streams = {"Contacts": {"match_on": "cf_853", "conflict_on": name, **more}}
    records = [{"cf_853": "a", "lastname": "Loaded", name: time} for time in (OLD, LATER)]
    run = upsert(sandbox, *records, streams=streams, max_rejects=1)
    assert run.tally == {"rejected": 1, "updated": 1}
    assert is_conflict(run)


def test_lines_changed_since_are_not_overwritten(sandbox):
    account = sandbox.insert("Accounts", {"accountname": "ACME"})
    product = sandbox.insert("Products", {"productname": "Desk", "unit_price": "10"})
    quote = {
        "subject": "Q-1",
        "account_id": account,
        "quotestage": "Created",
        "bill_street": "a",
        "ship_street": "b",
        "hdnTaxType": "group",
        "LineItems": [{"productid": product, "quantity": 1, "listprice": 10}],
    }
    streams = {"Quotes": {"match_on": "subject", "conflict_on": "modifiedtime"}}
    assert (
        load(sandbox, messages("Quotes", quote), streams={"Quotes": {"match_on": "subject"}}).code
        == 0
    )
    more = {**quote, "LineItems": [*quote["LineItems"], *quote["LineItems"]], "modifiedtime": OLD}
    sandbox.requests.clear()
    run = load(sandbox, messages("Quotes", more), streams=streams, outcomes_values=True)
    assert is_conflict(run)
    assert "LineItems" in run.only["message"]
    assert len(run.only["conflict"]["LineItems"]["loaded"]) == 2
    assert write_requests(sandbox) == []


def test_files_of_a_record_changed_since_are_not_replaced(sandbox):
    document = {"notes_title": "Contract", "_file_base64": "YQ==", "filename": "a.txt"}
    options = {"Documents": {"match_on": "notes_title"}}
    assert load(sandbox, messages("Documents", document), streams=options).code == 0
    options["Documents"]["conflict_on"] = "modifiedtime"
    for content, end in (("YQ==", "unchanged"), ("Yg==", "rejected")):
        changed = {**document, "_file_base64": content, "modifiedtime": OLD}
        run = load(sandbox, messages("Documents", changed), streams=options)
        assert run.tally == {end: 1}
    assert is_conflict(run)


@pytest.mark.parametrize(
    ("module", "settings", "named"),
    [
        (
            "Contacts",
            {"conflict_on": "modified"},
            ["`conflict_on`", "'modified'", "`modifiedtime`"],
        ),
        ("Users", {"conflict_on": "modifiedtime"}, ["`conflict_on`", "Users has no modifiedtime"]),
        ("Campaigns", {"related": "Contacts", "conflict_on": "x"}, ["related list"]),
        ("Campaigns", {"related": "Contacts", "write": "never"}, ["related list"]),
    ],
)
def test_wrong_setting_stops_the_run(sandbox, module, settings, named):
    record = {"lastname": "x", "modifiedtime": OLD}
    streams = {"s": {"module": module, **settings}}
    run = load(sandbox, messages("s", record), streams=streams, check=False)
    assert run.code == 1
    (error,) = run.errors
    assert all(one in error for one in ["'s'", "TARGET_KAFINEA_STREAMS", *named])
