"""What goes wrong between target and server: after a rerun, one record per key and nothing lost."""

from __future__ import annotations

import time
from collections import Counter

import pytest

from tests.target.running import empty, load, matched, messages, state, write_requests

STREAMS = matched("Contacts", "cf_853")
GONE = "2026-01-01T00:00:00Z"

BEFORE = {
    "a gateway says no": {"kind": "status", "status": 502},
    "too many requests": {"kind": "status", "status": 429, "retry_after": 0},
    "an empty 500": {"kind": "status", "status": 500},
    "a page of HTML": {"kind": "html"},
    "a line of text": {"kind": "die"},
    "reset before": {"kind": "reset"},
    "the session ends": {"kind": "session"},
    "no answer and no work": {"kind": "hang", "seconds": 0.7},
    "an error page that repeats the request": {"kind": "echo_secrets"},
}
AFTER = {
    "notices before the answer": {"kind": "notices"},
    "half an answer": {"kind": "truncate"},
    "reset after": {"kind": "reset_after"},
    "dead after": {"kind": "fatal_after"},
    "an answer in drips": {"kind": "drip", "seconds": 0.2},
    "done and no answer": {"kind": "hang_after", "seconds": 0.7},
    "done later than we wait": {"kind": "latency", "seconds": 0.7},
}
FAULTS = BEFORE | AFTER
LOST = [name for name in FAULTS if name not in {"too many requests", "the session ends"}]
QUICK_LOSSES = ["an empty 500", "reset before", "reset after", "dead after", "half an answer"]
TIMEOUT = 0.3  # seconds; the slow faults take longer


@pytest.fixture(params=["kafinea", "stock"])
def server(request):
    with empty(dialect=request.param) as sandbox:
        yield sandbox


@pytest.fixture
def one_server():
    with empty() as sandbox:
        yield sandbox


def upsert(sandbox, *records, check=True, **more):
    options = {"streams": STREAMS, "request_timeout": TIMEOUT, "max_rejects": -1} | more
    return load(sandbox, messages("Contacts", *records), check=check, **options)


def keys(sandbox):
    return {row["cf_853"]: row["lastname"] for row in sandbox.rows("Contacts")}


def settle(sandbox, fault):
    """Let the server end what it still does for requests that nobody waits for."""
    if fault.kind in {"hang", "hang_after", "latency"} and fault.hits:
        time.sleep(fault.seconds)
    sandbox.faults.clear()


def there_once(sandbox):
    rows = sandbox.rows("Contacts")
    assert max(Counter(row["cf_853"] for row in rows).values(), default=0) <= 1
    return keys(sandbox)


@pytest.mark.parametrize(
    ("dialect", "name"),
    [*(("kafinea", name) for name in FAULTS), *(("stock", name) for name in QUICK_LOSSES)],
)
@pytest.mark.parametrize("operation", ["create", "update"])
def test_rerun_after_a_fault_leaves_each_key_once(dialect, operation, name):
    with empty(dialect=dialect) as server:
        _after_a_fault_and_a_rerun(server, operation, name)


def _after_a_fault_and_a_rerun(server, operation, name):
    wanted = {key: f"New {key}" for key in "abc"}
    if operation == "update":
        for key in wanted:
            server.insert("Contacts", {"cf_853": key, "lastname": "Old", "phone": "1"})
    records = [{"cf_853": key, "lastname": value} for key, value in wanted.items()]
    sent_as = {"create": "create", "update": "revise"}[operation]
    fault = server.faults.add(operation=sent_as, contains="lastname", nth=2, **FAULTS[name])
    first = upsert(server, *records, max_sessions=2)
    assert fault.hits == 1
    settle(server, fault)
    there = there_once(server)
    for line in first.outcomes:
        (key,) = line["key"].values()
        if line["outcome"] != "rejected":
            assert there[key] == wanted[key], line
    second = upsert(server, *records)
    assert "rejected" not in second.tally
    assert there_once(server) == wanted
    if operation == "update":
        assert {row["phone"] for row in server.rows("Contacts")} == {"1"}


@pytest.mark.parametrize("name", FAULTS)
def test_rerun_after_a_fault_completes_deletions(one_server, name):
    for key in "abc":
        one_server.insert("Contacts", {"cf_853": key, "lastname": "Old"})
    one_server.insert("Contacts", {"cf_853": "d", "lastname": "Stays"})
    records = [{"cf_853": key, "lastname": "Old", "_sdc_deleted_at": GONE} for key in "abc"]
    fault = one_server.faults.add(operation="delete", nth=2, **FAULTS[name])
    first = upsert(one_server, *records, hard_delete=True)
    assert fault.hits == 1
    settle(one_server, fault)
    for line in first.outcomes:
        if line["outcome"] == "deleted":
            assert line["key"]["cf_853"] not in keys(one_server)
    second = upsert(one_server, *records, hard_delete=True)
    assert "rejected" not in second.tally
    assert keys(one_server) == {"d": "Stays"}


@pytest.mark.parametrize(
    ("operation", "name"),
    [
        *(("query", name) for name in FAULTS),
        *(
            (operation, name)
            for operation in ("describe", "retrieve", "login")
            for name in [*QUICK_LOSSES, "the session ends", "a page of HTML"]
        ),
    ],
)
def test_fault_in_a_read_is_retried_within_the_run(one_server, operation, name):
    one_server.insert("Contacts", {"cf_853": "a", "lastname": "Old"})
    records = [{"cf_853": "a", "lastname": "New"}, {"cf_853": "b", "lastname": "New"}]
    one_server.faults.add(operation=operation, **FAULTS[name])
    run = upsert(one_server, *records)
    assert run.tally == {"updated": 1, "created": 1}
    assert there_once(one_server) == {"a": "New", "b": "New"}


@pytest.mark.parametrize("name", LOST)
def test_lost_create_is_looked_up_before_it_is_sent_again(one_server, name):
    fault = one_server.faults.add(operation="create", **FAULTS[name])
    run = upsert(one_server, {"cf_853": "a", "lastname": "x"}, max_sessions=1)
    asked = list(one_server.requests)
    creates = [
        n
        for n, r in enumerate(asked)
        if r.operation == "create" and r.params["element"] != "{}"  # which asks and writes nothing
    ]
    if len(creates) > 1:
        between = asked[creates[0] + 1 : creates[1]]
        assert any("'a'" in r.params.get("query", "") for r in between)
    settle(one_server, fault)
    there_once(one_server)
    if run.only["outcome"] == "created":
        (row,) = one_server.rows("Contacts")
        assert run.only["id"] == row["id"]


@pytest.mark.parametrize("dialect", ["kafinea", "stock", "frevo"])
def test_timed_out_create_that_the_server_completes_later_is_not_duplicated(dialect):
    """The first look finds nothing, for the server has not got that far."""
    with empty(dialect=dialect) as sandbox:
        fault = sandbox.faults.add("latency", operation="create", seconds=0.8)
        record = {"cf_853": "a", "lastname": "x"}
        upsert(sandbox, record)
        time.sleep(fault.seconds)
        assert there_once(sandbox) in ({"a": "x"}, {})
        run = upsert(sandbox, record)
        assert run.code == 0
        assert there_once(sandbox) == {"a": "x"}
        assert sandbox.count("Contacts") == 1


@pytest.mark.parametrize("name", LOST)
def test_create_without_a_key_is_never_sent_twice(one_server, name):
    fault = one_server.faults.add(operation="create", **FAULTS[name])
    options = {"streams": {}, "load_method": "append-only"}
    run = upsert(one_server, {"lastname": "Keyless"}, **options)
    assert fault.hits == 1
    settle(one_server, fault)
    assert write_requests(one_server) == ["create"]
    assert one_server.count("Contacts") in {0, 1}
    if run.tally != {"created": 1}:
        assert run.codes == ["UNKNOWN_OUTCOME"]
    else:
        assert one_server.count("Contacts") == 1
    if name not in {"notices before the answer", "an answer in drips"}:
        assert run.codes == ["UNKNOWN_OUTCOME"]


@pytest.mark.parametrize("name", ["too many requests", "the session ends"])
def test_create_that_did_not_happen_is_sent_again(one_server, name):
    one_server.faults.add(operation="create", **FAULTS[name])
    run = upsert(one_server, {"lastname": "x"}, streams={}, load_method="append-only")
    assert run.tally == {"created": 1}
    assert one_server.count("Contacts") == 1


@pytest.mark.parametrize("name", ["reset after", "dead after", "half an answer"])
def test_lost_create_that_happened_is_reported_with_its_id(one_server, name):
    one_server.faults.add(operation="create", **FAULTS[name])
    run = upsert(one_server, {"cf_853": "a", "lastname": "x"})
    (row,) = one_server.rows("Contacts")
    assert (run.only["outcome"], run.only["id"]) == ("created", row["id"])
    assert run.code == 0


@pytest.mark.parametrize("name", ["reset before", "reset after", "dead after", "an empty 500"])
def test_lost_update_is_repeated_within_the_run(one_server, name):
    one_server.insert("Contacts", {"cf_853": "a", "lastname": "Old"})
    one_server.faults.add(operation="update", **FAULTS[name])
    run = upsert(one_server, {"cf_853": "a", "lastname": "New"})
    assert run.tally == {"updated": 1}
    assert keys(one_server) == {"a": "New"}


@pytest.mark.parametrize("name", ["reset before", "reset after", "dead after", "an empty 500"])
def test_lost_delete_is_repeated_within_the_run(one_server, name):
    one_server.insert("Contacts", {"cf_853": "a", "lastname": "Old"})
    one_server.faults.add(operation="delete", **FAULTS[name])
    run = upsert(one_server, {"cf_853": "a", "_sdc_deleted_at": GONE}, hard_delete=True)
    assert run.tally == {"deleted": 1}
    assert keys(one_server) == {}


def test_records_of_one_key_wait_for_the_result_of_the_first(one_server):
    one_server.faults.add(operation="create", **FAULTS["reset after"])
    records = [{"cf_853": "a", "lastname": f"v{n}"} for n in range(3)]
    run = upsert(one_server, *records)
    assert [line["outcome"] for line in run.outcomes] == ["created", "updated", "updated"]
    assert there_once(one_server) == {"a": "v2"}


@pytest.mark.parametrize("name", ["reset after", "dead after", "done later than we wait"])
def test_lost_invoice_is_neither_duplicated_nor_left_without_lines(server, name):
    account = server.insert("Accounts", {"accountname": "ACME"})
    product = server.insert("Products", {"productname": "Desk", "unit_price": "10"})
    lines = [{"productid": product, "quantity": n, "listprice": 10} for n in (1, 2)]
    record = {"cf_911": "F-1", "subject": "s", "account_id": account, "LineItems": lines}
    record |= {"bill_street": "a", "ship_street": "b", "hdnTaxType": "group"}
    fault = server.faults.add(operation="create", **FAULTS[name])
    options = {
        "streams": matched("Invoice", "cf_911", accept_side_effects=True),
        "request_timeout": TIMEOUT,
    }
    load(server, messages("Invoice", record), max_rejects=-1, **options)
    settle(server, fault)
    load(server, messages("Invoice", record), **options)
    assert [row["hdnSubTotal"] for row in server.rows("Invoice")] == ["30.00000000"]
    assert server.count("LineItem") == 2


def test_document_without_lines_is_completed(server):
    """What a fatal error leaves after the head was saved."""
    account = server.insert("Accounts", {"accountname": "ACME"})
    product = server.insert("Products", {"productname": "Desk", "unit_price": "10"})
    server.insert("Invoice", {"cf_911": "F-1", "subject": "s", "account_id": account})
    record = {"cf_911": "F-1", "subject": "s", "account_id": account}
    record |= {"bill_street": "a", "ship_street": "b", "hdnTaxType": "group"}
    record |= {"LineItems": [{"productid": product, "quantity": 3, "listprice": 10}]}
    options = {"streams": matched("Invoice", "cf_911", accept_side_effects=True)}
    assert load(server, messages("Invoice", record), **options).tally == {"updated": 1}
    assert load(server, messages("Invoice", record), **options).tally == {"unchanged": 1}
    assert server.count("LineItem") == 1


@pytest.mark.parametrize("name", ["reset before", "reset after", "dead after"])
def test_lost_create_of_a_reference_makes_no_duplicate(one_server, name):
    to_account = {"module": "Accounts", "match_on": "accountname", "create": True}
    streams = matched("Contacts", "cf_853", references={"account_id": to_account})
    one_server.faults.add(operation="create", contains="accountname", **FAULTS[name])
    records = [{"cf_853": f"{n}", "lastname": "x", "account_id": "ACME"} for n in range(5)]
    upsert(one_server, *records, streams=streams)
    upsert(one_server, *records, streams=streams)
    assert one_server.count("Accounts") == 1
    assert one_server.count("Contacts") == 5


@pytest.mark.parametrize("operation", ["create", "query", None])
@pytest.mark.parametrize("name", ["a gateway says no", "reset before"])
def test_server_that_stays_down_ends_the_run_without_false_state(one_server, operation, name):
    records = [{"cf_853": f"{n}", "lastname": "x"} for n in range(20)]
    lines = [line for n, record in enumerate(records) for line in _step(n, record)]
    fault = FAULTS[name] | {"nth": 2 if operation == "query" else 9, "times": None}
    one_server.faults.add(operation=operation, **fault)
    run = load(one_server, lines, streams=STREAMS, check=False)
    assert run.code == 1
    assert "Traceback" not in run.stderr
    one_server.faults.clear()
    claimed = max((one["done"] for one in run.states), default=-1)
    with_outcome = {line["key"]["cf_853"] for line in run.outcomes}
    assert {f"{n}" for n in range(claimed + 1)} <= with_outcome
    there_once(one_server)
    again = load(one_server, lines, streams=STREAMS)
    assert again.code == 0
    assert there_once(one_server) == {f"{n}": "x" for n in range(20)}


def _step(n, record):
    schema, line = messages("Contacts", record)
    return [schema, line, state({"done": n})] if n == 0 else [line, state({"done": n})]


def test_refused_record_is_rejected_with_the_code_of_the_server(one_server):
    """Account names are unique, and the server says so with the number 0."""
    one_server.insert("Accounts", {"accountname": "ACME", "cf_901": "old"})
    lines = messages(
        "Accounts",
        {"cf_901": "new", "accountname": "ACME"},
        {"cf_901": "other", "accountname": "Other"},
    )
    run = load(one_server, lines, streams=matched("Accounts", "cf_901"), max_rejects=1)
    assert run.codes == ["0"]
    assert run.of("other")[0]["outcome"] == "created"
    assert one_server.count("Accounts") == 2


def test_record_that_the_user_may_not_write_is_rejected(one_server):
    joe = {"username": "joe", "access_key": one_server.access_key_of("joe")}
    run = upsert(one_server, {"cf_853": "a", "lastname": "x"}, **joe)
    assert run.tally == {"created": 1}
    (row,) = one_server.rows("Contacts")
    assert row["assigned_user_id"].endswith("x2")


def test_records_of_one_key_are_looked_up_again_after_an_unknown_result(one_server):
    one_server.faults.add("fatal_after", operation="create")
    one_server.faults.add("status", operation="query", status=500, nth=3, times=7)
    upsert(one_server, {"cf_853": "k", "lastname": "A"}, {"cf_853": "k", "lastname": "B"})
    assert there_once(one_server) == {"k": "B"}
