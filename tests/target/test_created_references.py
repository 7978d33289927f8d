"""`create` of a reference: what is not created as it should be is not created again and again."""

from __future__ import annotations

import json
import threading
import time

import pytest

from tests.target.running import empty, load, matched, messages, write_requests

LONG = "A name that is longer than twenty characters"
TO_ACCOUNT = {"account_id": {"module": "Accounts", "match_on": "accountname", "create": True}}
PERSON = {"match_on": "lastname", "create": True}
STREAMS = matched("Contacts", "cf_853", references=TO_ACCOUNT)
NO_DELETION = {"closed": {"Accounts": ["delete"]}}


def upsert(sandbox, *names, **more):
    records = [
        {"cf_853": f"{n}", "lastname": "x", "account_id": name} for n, name in enumerate(names)
    ]
    lines = messages("Contacts", *records)
    return load(sandbox, lines, **{"streams": STREAMS, "max_rejects": -1, "max_sessions": 1} | more)


@pytest.mark.parametrize(
    ("options", "names", "created", "left"),
    [
        ({}, [LONG] * 4, 1, 0),
        (NO_DELETION, [LONG] * 4, 1, 1),
        (NO_DELETION, [f"{n} {LONG}" for n in range(9)], 3, 3),
    ],
)
def test_altered_key_of_a_reference_leaves_few_records(options, names, created, left):
    with empty(alters={"Accounts.accountname": "cut:20"}, **options) as sandbox:
        run = upsert(sandbox, *names, batch_size_rows=2)
        assert run.codes == ["KEY_ALTERED"] * len(names)
        assert write_requests(sandbox).count("create") == created
        assert sandbox.count("Accounts") == left
        end = "it was kept as" if left else "it was deleted again"
        assert run.outcomes[0]["message"].startswith("account_id: accountname: the server altered")
        assert end in run.outcomes[0]["message"]
        assert {one["id"] for one in run.outcomes} == {None}  # none of them is a contact


GONE = "2026-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("stream", "settings", "row"),
    [
        (
            "Contacts",
            {"match_on": ["account_id", "lastname"], "references": TO_ACCOUNT},
            {"lastname": "x", "account_id": "ACME"},
        ),
        (
            "visits",
            {
                "module": "Campaigns",
                "related": "Contacts",
                "references": {"source_id": {"match_on": "campaignname"}, "related_id": PERSON},
            },
            {"source_id": "Fair", "related_id": "Roux"},
        ),
    ],
    ids=["record", "pair"],
)
def test_a_row_that_was_deleted_creates_nothing_that_it_refers_to(sandbox, stream, settings, row):
    """Its account was deleted with it: it would rise again."""
    sandbox.insert("Campaigns", {"campaignname": "Fair"})
    lines = messages(stream, row | {"_sdc_deleted_at": GONE})
    run = load(sandbox, lines, streams={stream: settings}, hard_delete=True, max_rejects=-1)
    assert run.codes == ["UNRESOLVED_REFERENCE"]
    assert write_requests(sandbox) == []


def test_altered_keys_of_some_references_stop_no_others():
    """Three names that are too long, among others that are not."""
    names = [name for n in range(5) for name in (f"{n} {LONG}", f"Short {n}")]
    with empty(alters={"Accounts.accountname": "cut:20"}, **NO_DELETION) as sandbox:
        run = upsert(sandbox, *names)
        assert run.tally == {"rejected": 5, "created": 5}
        assert sandbox.count("Accounts") == len(names)


def test_reference_that_is_not_found_by_its_key_is_not_kept(sandbox):
    """The answer shows what was sent, and the server has stored something else."""
    none = '{"success":true,"result":[{"count":"0"}]}'
    asked = {"operation": "query", "times": None}
    sandbox.faults.add(
        "status", contains="count(*) FROM Accounts WHERE acc", status=200, body=none, **asked
    )
    sandbox.faults.add("empty", contains="accountname IN", **asked)
    run = upsert(sandbox, "ACME", "ACME")
    assert run.codes == ["KEY_ALTERED"] * 2
    assert (sandbox.count("Accounts"), write_requests(sandbox)) == (0, ["create", "delete"])


def test_reference_that_is_refused_as_a_duplicate_and_not_found_is_sent_once(sandbox):
    """Another field may have to be unique, too."""
    error = {"message": "Duplicate(s) detected!", "code": 0}
    body = json.dumps({"success": False, "error": error})
    sandbox.faults.add(
        "status", operation="create", contains="ACME", status=200, body=body, times=None
    )
    run = upsert(sandbox, "ACME", "ACME", "Other")
    assert [one["outcome"] for one in run.outcomes] == ["rejected", "rejected", "created"]
    assert "account_id: another record has the same value" in run.outcomes[0]["message"]
    assert write_requests(sandbox) == ["create"] * 3


def test_reference_created_twice_is_reported_and_not_created_a_third_time():
    """Another load has created it at the same moment, and ours may not be deleted."""
    references = {"vendor_id": {"module": "Vendors", "match_on": "vendorname", "create": True}}
    with empty(closed={"Vendors": ["delete"]}) as sandbox:
        sandbox.faults.add("latency", operation="create", seconds=1)

        def another_load():
            while not sandbox.requests.of("create"):
                time.sleep(0.005)
            sandbox.insert("Vendors", {"vendorname": "ACME"})

        writer = threading.Thread(target=another_load)
        writer.start()
        records = [{"productname": f"{n}", "vendor_id": "ACME"} for n in range(3)]
        streams = matched("Products", "productname", references=references)
        run = load(sandbox, messages("Products", *records), streams=streams, max_rejects=-1)
        writer.join()
        assert run.codes == ["CREATED_TWICE"] * 3
        vendors = [row["id"] for row in sandbox.rows("Vendors")]
        assert len(vendors) == 2
        assert all(one in run.outcomes[0]["message"] for one in vendors)
