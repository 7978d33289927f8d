"""Pairs that go into related lists: added once, looked for before and behind, never believed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import pytest

from kafinea.load.lookup.references import References
from tests.tap.running import extract
from tests.target.running import Files, empty, load, messages, write_requests

DIALECTS = ("kafinea", "stock", "frevo")  # `legacy` has no related lists
STREAM = "visits"
TO = {"module": "Campaigns", "related": "Contacts"}
BY_NAME = {
    **TO,
    "references": {
        "source_id": {"match_on": "campaignname"},
        "related_id": {"module": "Contacts", "match_on": "email"},
    },
}


@pytest.fixture(params=DIALECTS)
def any_sandbox(request):
    with empty(dialect=request.param) as sandbox:
        yield sandbox


def campaign(sandbox, name="Fair"):
    return sandbox.insert("Campaigns", {"campaignname": name})


def contacts(sandbox, count):
    return [
        sandbox.insert("Contacts", {"lastname": f"{n}", "email": f"{n}@example.com"})
        for n in range(count)
    ]


def pair(source, related, **more):
    return {"source_id": source, "related_id": related, **more}


def bring(sandbox, *records, to=TO, **more):
    return load(sandbox, messages(STREAM, *records), streams={STREAM: to}, **more)


def number(wire_id):
    return int(wire_id.partition("x")[2])


def linked(sandbox, label="Contacts"):
    """The pairs in the database."""
    rows = sandbox.sql("SELECT source, related FROM _relation WHERE label = ?", (label,))
    return sorted((row["source"], row["related"]) for row in rows)


def numbers(*records):
    return sorted((number(one["source_id"]), number(one["related_id"])) for one in records)


def link(sandbox, source, related):
    sandbox.sql(
        "INSERT INTO _relation VALUES (?, ?, 'Contacts')", (number(source), number(related))
    )


def test_pairs_are_added_and_the_next_run_writes_nothing(any_sandbox):
    fair, other = campaign(any_sandbox), campaign(any_sandbox, "Other")
    people = contacts(any_sandbox, 130)
    records = [*(pair(fair, one) for one in people), *(pair(other, one) for one in people[:3])]
    assert bring(any_sandbox, *records).tally == {"created": 133}
    assert linked(any_sandbox) == numbers(*records)
    before = {row["id"]: row["modifiedtime"] for row in any_sandbox.rows("Campaigns")}
    any_sandbox.requests.clear()
    assert bring(any_sandbox, *records).tally == {"unchanged": 133}
    assert write_requests(any_sandbox) == []
    assert {r["id"]: r["modifiedtime"] for r in any_sandbox.rows("Campaigns")} == before
    # Of the long list two looks, of the other one.
    assert len(any_sandbox.requests.of("query_related")) == 3


def test_pairs_that_exist_are_not_added_again(any_sandbox):
    fair, people = campaign(any_sandbox), contacts(any_sandbox, 4)
    link(any_sandbox, fair, people[1])
    run = bring(any_sandbox, *(pair(fair, one) for one in people))
    assert [line["outcome"] for line in run.outcomes] == [
        *("created", "unchanged", "created", "created")
    ]
    assert write_requests(any_sandbox) == ["add_related"] * 3
    assert linked(any_sandbox) == numbers(*(pair(fair, one) for one in people))


def test_pairs_may_be_named_by_natural_keys(any_sandbox):
    fair, people = campaign(any_sandbox), contacts(any_sandbox, 3)
    records = [pair("Fair", f"{n}@example.com") for n in range(3)]
    run = bring(any_sandbox, *records, pair("Fair", people[0]), to=BY_NAME)
    assert run.tally == {"created": 3, "unchanged": 1}
    assert run.outcomes[0]["key"] == records[0]
    assert linked(any_sandbox) == numbers(*(pair(fair, one) for one in people))
    assert bring(any_sandbox, *records, to=BY_NAME).tally == {"unchanged": 3}


def test_pairs_may_have_properties_of_other_names(sandbox):
    fair, (contact,) = campaign(sandbox), contacts(sandbox, 1)
    to = {**BY_NAME, "fields": {"fair": "source_id", "visitor": "related_id", "day": None}}
    record = {"fair": "Fair", "visitor": "0@example.com", "day": "Monday"}
    assert bring(sandbox, record, to=to).tally == {"created": 1}
    assert linked(sandbox) == numbers(pair(fair, contact))


def test_pairs_may_refer_to_records_of_the_same_run(sandbox):
    run = load(
        sandbox,
        messages("Campaigns", {"campaignname": "Fair", "closingdate": "2026-01-01"}),
        messages("Contacts", {"email": "0@example.com", "lastname": "x"}),
        messages(STREAM, pair("Fair", "0@example.com")),
        streams={
            "Campaigns": {"match_on": "campaignname"},
            "Contacts": {"match_on": "email"},
            STREAM: BY_NAME,
        },
    )
    assert run.tally == {"created": 3}
    assert len(linked(sandbox)) == 1


def test_related_record_is_created_if_set(sandbox):
    fair = campaign(sandbox)
    to = {**TO, "references": {"related_id": {"match_on": "lastname", "create": True}}}
    run = bring(sandbox, pair(fair, "Roux"), pair(fair, "Roux"), to=to)
    assert run.tally == {"created": 1, "unchanged": 1}
    (contact,) = sandbox.rows("Contacts")
    assert linked(sandbox) == numbers(pair(fair, contact["id"]))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_pairs_of_the_tap_need_no_setting(dialect):
    """From one to another with the same records, whose ids are the same."""
    with empty(dialect=dialect) as one, empty(dialect=dialect) as another:
        for sandbox in (one, another):
            fair, people = campaign(sandbox), contacts(sandbox, 120)
        for contact in people:
            link(one, fair, contact)
        output = extract(
            one,
            modules=["Campaigns"],
            relations=[{"module": "Campaigns", "related": "Contacts"}],
        )
        lines = [
            json.dumps(message)
            for message in output.messages
            if message.get("stream") == "campaigns_contacts"
        ]
        assert load(another, lines).summary == {"campaigns_contacts": {"created": 120}}
        assert linked(another) == linked(one)
        assert load(another, lines).summary == {"campaigns_contacts": {"unchanged": 120}}


# What is rejected


def test_pairs_that_the_server_did_not_store_are_rejected(sandbox):
    """A list that follows a field takes nothing, and the server says that it was successful."""
    account = sandbox.insert("Accounts", {"accountname": "ACME"})
    (contact,) = contacts(sandbox, 1)
    to = {"module": "Accounts", "related": "Contacts"}
    run = bring(sandbox, pair(account, contact), to=to, max_rejects=1)
    assert run.codes == ["NOT_RELATED"]
    assert contact in run.only["message"]
    assert write_requests(sandbox) == ["add_related"]


def test_pairs_that_cannot_be_added_are_rejected_alone(any_sandbox):
    fair, (contact,) = campaign(any_sandbox), contacts(any_sandbox, 1)
    gone = campaign(any_sandbox, "Gone")
    any_sandbox.remove("Campaigns", gone)
    wrong = [
        pair(gone, contact),
        pair(fair, fair),
        pair(contact, contact),
        pair(fair, f"{contact}99"),
        pair("garbage", contact),
        pair(None, contact),
        pair(fair, ""),
        {"related_id": contact},
    ]
    run = bring(any_sandbox, *wrong, pair(fair, contact), max_rejects=-1)
    assert sorted(run.codes) == ["NO_KEY"] * 3 + ["UNRESOLVED_REFERENCE"] * 5
    assert run.tally["created"] == 1
    assert linked(any_sandbox) == numbers(pair(fair, contact))
    assert all(record in run.rejected_records for record in wrong)


def test_name_of_no_or_several_records_is_rejected(sandbox):
    campaign(sandbox)
    contacts(sandbox, 1)
    for _ in range(2):
        sandbox.insert("Contacts", {"lastname": "Twin", "email": "twin@example.com"})
    run = bring(
        sandbox,
        pair("Fair", "nobody@example.com"),
        pair("Fair", "twin@example.com"),
        pair("No fair", "0@example.com"),
        to=BY_NAME,
        max_rejects=-1,
    )
    assert run.codes == ["UNRESOLVED_REFERENCE", "AMBIGUOUS_KEY", "UNRESOLVED_REFERENCE"]
    assert write_requests(sandbox) == []


def test_value_that_is_no_id_is_rejected(sandbox):
    fair = campaign(sandbox)
    run = bring(sandbox, pair(fair, True), pair(fair, [1]), max_rejects=-1, validate_records=False)
    assert run.codes == ["INVALID_VALUE"] * 2


def test_pair_deleted_in_the_source_is_kept(sandbox):
    fair, people = campaign(sandbox), contacts(sandbox, 2)
    link(sandbox, fair, people[0])
    records = [pair(fair, one, _sdc_deleted_at="2026-01-01T00:00:00Z") for one in people]
    assert bring(sandbox, *records).tally == {"unchanged": 2}
    run = bring(sandbox, *records, hard_delete=True, max_rejects=1)
    assert run.codes == ["NOT_WRITABLE"]
    assert run.tally == {"rejected": 1, "unchanged": 1}
    assert linked(sandbox) == numbers(pair(fair, people[0]))
    assert write_requests(sandbox) == []


@pytest.mark.parametrize(
    ("to", "record", "said"),
    [
        ({**TO, "related": "Invoice"}, pair("1x1", "1x2"), "no related list 'Invoice'"),
        ({**TO, "module": "Nope"}, pair("1x1", "1x2"), "module 'Nope' not found"),
        ({"related": "Contacts"}, pair("1x1", "1x2"), "`module`"),
        (TO, {"source_id": "1x1"}, "no property 'related_id'"),
        (TO, pair("1x1", "1x2", day="Monday"), "so 'day' cannot be loaded"),
        ({**TO, "match_on": "email"}, pair("1x1", "1x2"), "`references`"),
        ({**TO, "fields": {"day": None}}, pair("1x1", "1x2"), "no property 'day'"),
        ({**TO, "references": {"email": {}}}, pair("1x1", "1x2"), "source_id and related_id"),
        (
            {**TO, "references": {"source_id": {"module": "Leads", "match_on": "email"}}},
            pair("1x1", "1x2"),
            "refers to Campaigns",
        ),
    ],
)
def test_wrong_setting_is_one_line_before_the_first_record(sandbox, to, record, said):
    run = bring(sandbox, record, to=to, check=False)
    assert run.code == 1
    assert said in run.errors[0]
    assert "Traceback" not in run.stderr
    assert write_requests(sandbox) == []


def test_server_without_related_lists_is_one_line():
    with empty(dialect="legacy") as sandbox:
        run = bring(sandbox, pair(campaign(sandbox), contacts(sandbox, 1)[0]), check=False)
        assert run.code == 1
        assert "no related list 'Contacts' that can be read" in run.errors[-1]


def test_dry_run_reports_the_same_and_writes_nothing(sandbox):
    fair, people = campaign(sandbox), contacts(sandbox, 3)
    link(sandbox, fair, people[0])
    records = [pair("Fair", f"{n}@example.com") for n in (0, 1, 1, 2)]
    new = messages("Campaigns", {"campaignname": "New", "closingdate": "2026-01-01"})
    lines = [new, messages(STREAM, *records, pair("New", "0@example.com"))]
    streams = {"Campaigns": {"match_on": "campaignname"}, STREAM: BY_NAME}
    dry = load(sandbox, *lines, streams=streams, dry_run=True)
    assert write_requests(sandbox) == []
    real = load(sandbox, *lines, streams=streams)
    assert dry.summary == real.summary
    assert real.summary[STREAM] == {"created": 3, "unchanged": 2}


# Misfortunes


@pytest.mark.parametrize(("operation", "nth"), [("add_related", 8), ("query_related", 1)])
@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "reset"},
        {"kind": "reset_after"},
        {"kind": "fatal_after"},
        {"kind": "truncate"},
        {"kind": "html"},
        {"kind": "status", "status": 502},
        {"kind": "session"},
    ],
    ids=lambda fault: fault["kind"],
)
def test_faults_cost_no_pair_and_no_false_result(sandbox, fault, operation, nth):
    names, people = "abcde", contacts(sandbox, 5)
    for name in names:
        campaign(sandbox, name)
    to = {**TO, "references": {"source_id": {"match_on": "campaignname"}}}
    records = [pair(name, one) for name in names for one in people]
    ordered = sandbox.faults.add(**fault, operation=operation, nth=nth)
    assert bring(sandbox, *records, to=to).tally == {"created": 25}
    assert ordered.hits == 1
    assert len(linked(sandbox)) == 25
    assert bring(sandbox, *records, to=to).tally == {"unchanged": 25}


@pytest.mark.parametrize("nth", range(1, 9))
def test_empty_answer_is_no_proof_that_a_pair_is_missing(sandbox, nth):
    fair, people = campaign(sandbox), contacts(sandbox, 3)
    link(sandbox, fair, people[1])
    sandbox.faults.add("empty", operation="query_related", nth=nth)
    run = bring(sandbox, *(pair(fair, one) for one in people))
    assert run.tally == {"created": 2, "unchanged": 1}
    assert write_requests(sandbox) == ["add_related"] * 2


def test_pairs_never_added_are_rejected_and_others_continue(sandbox):
    fair, people = campaign(sandbox), contacts(sandbox, 3)
    sandbox.faults.add("reset", operation="add_related", contains=people[1], times=None)
    run = bring(sandbox, *(pair(fair, one) for one in people), max_rejects=1)
    assert run.codes == ["UNKNOWN_OUTCOME"]
    assert run.tally == {"created": 2, "rejected": 1}
    sandbox.faults.clear()
    assert len(linked(sandbox)) == 2


def test_list_that_always_fails_rejects_its_pairs_only(sandbox):
    fair, other, people = campaign(sandbox), campaign(sandbox, "Other"), contacts(sandbox, 2)
    sandbox.faults.add("html", operation="query_related", contains=fair, times=None)
    records = [pair(source, one) for source in (fair, other) for one in people]
    run = bring(sandbox, *records, max_rejects=2)
    assert run.codes == ["UNAVAILABLE"] * 2
    assert linked(sandbox) == numbers(*records[2:])


def test_pairs_are_added_by_several_sessions():
    with empty(latency_ms=5) as sandbox:
        sources = [campaign(sandbox, f"{n}") for n in range(8)]
        people = contacts(sandbox, 5)
        records = [pair(source, one) for source in sources for one in people]
        assert bring(sandbox, *records, max_sessions=3).tally == {"created": 40}
        requests = sandbox.requests.of("add_related")
        assert len(requests) == 40
        assert len({request.session for request in requests}) == 3
        # Before, whether each list has them, and that it has none; behind, that it has all.
        assert len(sandbox.requests.of("query_related")) == 8 * 3


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_killed_run_is_completed_by_the_next(tmp_path, how):
    with empty(latency_ms=20) as sandbox:
        sources = [campaign(sandbox, f"{n}") for n in range(4)]
        people = contacts(sandbox, 60)
        records = [pair(source, one) for source in sources for one in people]
        lines, files = messages(STREAM, *records, state={"done": True}), Files(tmp_path)
        config = files.config(sandbox, streams={STREAM: TO})
        command = [sys.executable, "-m", "target_kafinea", "--config", config]
        with subprocess.Popen(
            [*command, "--input", files.input(lines)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            while len(linked(sandbox)) < 50:
                time.sleep(0.005)
            process.send_signal(how)
            stdout, stderr = process.communicate(timeout=60)
        assert process.returncode == (-how if how == signal.SIGKILL else 143)
        assert "Traceback" not in stderr
        there = linked(sandbox)
        assert stdout == "" or len(there) == len(records)
        run = bring(sandbox, *records)
        assert run.code == 0
        assert run.tally["unchanged"] >= len(there) >= 50
        assert sum(run.tally.values()) == len(records)
        assert linked(sandbox) == numbers(*records)


def test_unexpected_error_rejects_its_pair_only(sandbox, monkeypatch):
    def broken(self, reference, told, *more):
        if "1@example.com" in told:
            raise LookupError("a value")
        return real(self, reference, told, *more)

    real = References.learn
    monkeypatch.setattr(References, "learn", broken)
    campaign(sandbox)
    contacts(sandbox, 3)
    pairs = [pair("Fair", f"{n}@example.com") for n in range(3)]
    run = bring(sandbox, *pairs, to=BY_NAME, max_rejects=1)
    assert run.tally == {"created": 2, "rejected": 1}
    assert run.codes == ["INTERNAL_ERROR"]
