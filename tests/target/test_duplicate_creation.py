"""Nothing is created twice, also by two loads at once; a server that fails is waited for."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest

from tests.target.running import Files, empty, load, matched, messages, write_requests

STREAMS = matched("Contacts", "cf_853")


def contact(key, **more):
    return {"cf_853": key, "lastname": "x", **more}


def upsert(sandbox, *records, **more):
    return load(sandbox, messages("Contacts", *records), **{"streams": STREAMS} | more)


@contextmanager
def another_writer(sandbox, write):
    """Write as another load would: when our creation is on its way and not yet done."""
    sandbox.faults.add("latency", operation="create", seconds=1)

    def wait_and_write():
        while not sandbox.requests.of("create"):
            time.sleep(0.005)
        write()

    writer = threading.Thread(target=wait_and_write)
    writer.start()
    yield
    writer.join()


def test_record_created_by_another_load_is_updated_and_ours_deleted(any_sandbox):
    def write():
        any_sandbox.insert("Contacts", {"cf_853": "a", "lastname": "Theirs", "title": "stays"})

    with another_writer(any_sandbox, write):
        run = upsert(any_sandbox, {"cf_853": "a", "lastname": "Ours"})
    (row,) = any_sandbox.rows("Contacts")
    assert (row["lastname"], row["title"]) == ("Ours", "stays")
    assert (run.only["outcome"], run.only["id"]) == ("updated", row["id"])
    assert run.code == 0


def test_records_after_a_double_creation_update_the_other_one(sandbox):
    records = [{"cf_853": "a", "lastname": name} for name in ("First", "Second")]
    with another_writer(sandbox, lambda: sandbox.insert("Contacts", contact("a"))):
        run = upsert(sandbox, *records)
    (row,) = sandbox.rows("Contacts")
    assert row["lastname"] == "Second"
    assert [line["outcome"] for line in run.outcomes] == ["updated", "updated"]
    assert {line["id"] for line in run.outcomes} == {row["id"]}


def bill(sandbox, **more):
    account = sandbox.insert("Accounts", {"accountname": "ACME"})
    product = sandbox.insert("Products", {"productname": "Desk", "unit_price": "10"})
    record = {"cf_911": "F-1", "subject": "s", "account_id": account, "hdnTaxType": "group"}
    lines = [{"productid": product, "quantity": 1, "listprice": 10}]
    return record | {"bill_street": "a", "ship_street": "b", "LineItems": lines} | more


def test_invoice_created_twice_is_reported_with_both_ids(sandbox):
    """Numbers of invoices may have no gaps, so none is deleted."""
    record, others = bill(sandbox), []

    def write():
        others.append(sandbox.insert("Invoice", {"cf_911": "F-1", "subject": "s"}))

    with another_writer(sandbox, write):
        run = load(sandbox, messages("Invoice", record), streams=matched("Invoice", "cf_911"))
    assert run.codes == ["CREATED_TWICE"]
    assert sandbox.count("Invoice") == 2
    assert all(row["id"] in run.only["message"] for row in sandbox.rows("Invoice"))


def test_two_concurrent_loads_leave_each_key_once(tmp_path):
    keys = [f"k{n}" for n in range(60)]
    with empty(latency_ms=10) as sandbox:
        loads = []
        for name in "ab":
            directory = tmp_path / name
            directory.mkdir()
            files = Files(directory)
            records = [contact(key, title=name) for key in keys]
            config = files.config(sandbox, streams=STREAMS, max_rejects=-1)
            arguments = ["--config", config, "--input", files.input(messages("Contacts", *records))]
            command = [sys.executable, "-m", "target_kafinea", *arguments]
            loads.append((files, subprocess.Popen(command, stderr=subprocess.PIPE)))
        for _, process in loads:
            process.communicate(timeout=120)
        assert [process.returncode for _, process in loads] == [0, 0]
        assert sorted(row["cf_853"] for row in sandbox.rows("Contacts")) == sorted(keys)
        for files, _ in loads:
            assert {line["outcome"] for line in files.lines("outcomes")} <= {
                *("created", "updated", "unchanged")
            }


LONG = "A key that is longer than twenty characters"


@pytest.mark.parametrize(
    ("alters", "key"),
    [
        ("upper", "a key"),
        ("trim", " a key "),
        ("cut:20", LONG),
        ("phone", "+33 (0)1.23-45"),
        ("drop4", "a \U0001f600 key"),
    ],
)
@pytest.mark.parametrize("module", ["Contacts", "Invoice"])
def test_altered_key_exists_once_at_most_after_three_runs(module, alters, key):
    name = {"Contacts": "cf_853", "Invoice": "cf_911"}[module]
    with empty(alters={f"{module}.{name}": alters}) as sandbox:
        record = contact(key) if module == "Contacts" else bill(sandbox, cf_911=key)
        for _ in range(3):
            run = load(sandbox, messages(module, record), streams=matched(module, name))
            assert run.code == 1
            assert run.codes
            assert sandbox.count(module) <= 1


def test_altered_key_rejects_its_record_only(sandbox):
    run = upsert(sandbox, contact("k" * 300), contact("good"), contact("fine"), max_rejects=1)
    assert run.codes == ["KEY_ALTERED"]
    assert sorted(row["cf_853"] for row in sandbox.rows("Contacts")) == ["fine", "good"]


def test_altered_keys_stop_further_creations():
    with empty(alters={"Contacts.cf_853": "cut:3"}) as sandbox:
        run = upsert(sandbox, *[contact(f"long {n}") for n in range(30)], max_rejects=-1)
        assert run.codes == ["KEY_ALTERED"] * 30
        assert write_requests(sandbox).count("create") == 3
        assert sandbox.count("Contacts") == 0


def test_short_keys_with_a_common_prefix_are_different_invoices(sandbox):
    first = bill(sandbox)
    records = [first | {"cf_911": f"F-{n}"} for n in (1, 10, 100)]
    run = load(sandbox, messages("Invoice", *records), streams=matched("Invoice", "cf_911"))
    assert run.tally == {"created": 3}


# A server that fails


@pytest.mark.parametrize(
    ("operation", "fault"),
    [
        ("create", {"kind": "status", "status": 500}),
        ("create", {"kind": "status", "status": 503}),
        ("revise", {"kind": "status", "status": 503}),
        ("create", {"kind": "hang", "seconds": 1}),
    ],
)
def test_failing_writes_are_retried_and_then_stop_the_run(operation, fault):
    with empty() as sandbox:
        records = [contact(f"{n}", title="new") for n in range(60)]
        if operation == "revise":
            for n in range(60):
                sandbox.insert("Contacts", contact(f"{n}"))
        sandbox.faults.add(operation=operation, times=None, **fault)
        run = upsert(sandbox, *records, check=False, request_timeout=0.3)
        assert run.code == 1
        assert run.outcomes == []
        assert "Traceback" not in run.stderr
        sent = [request.params["element"] for request in sandbox.requests.of(operation)]
        records_sent = [element for element in sent if element != "{}"]
        assert len(records_sent) == len(set(records_sent))  # it is asked with nothing to write
        assert len(records_sent) <= 1  # others wait for the first one, and are not begun
        if fault["kind"] == "hang":  # a look-up would wait, too, and longer
            first = [request.operation for request in sandbox.requests].index(operation)
            after = {one.operation for one in list(sandbox.requests)[first:]}
            assert after <= {operation, "getchallenge", "login", "logout"}
        sandbox.faults.clear()
        again = upsert(sandbox, *records)
        assert again.tally == {"created" if operation == "create" else "updated": 60}
        assert sandbox.count("Contacts") == 60


def test_failing_writes_of_successive_records_stop_the_run(sandbox):
    sandbox.faults.add("status", operation="create", contains="lastname", status=500, times=None)
    run = upsert(sandbox, *[contact(f"{n}") for n in range(60)], max_rejects=-1, check=False)
    assert run.code == 1
    assert "writes to Kafinea failed repeatedly" in run.stderr
    assert len(run.outcomes) < 10


def test_failing_writes_that_recover_lose_nothing(sandbox):
    sandbox.faults.add("status", operation="create", status=503, nth=3, times=8)
    run = upsert(sandbox, *[contact(f"{n}") for n in range(40)])
    assert run.tally == {"created": 40}
    assert sandbox.count("Contacts") == 40


def test_failing_write_rejects_its_record_only(sandbox):
    sandbox.faults.add("status", operation="create", contains="poison", status=500, times=None)
    records = [contact(f"{n}", title="poison" if n == 7 else "good") for n in range(30)]
    run = upsert(sandbox, *records, max_rejects=1)
    assert run.tally == {"created": 29, "rejected": 1}
    assert run.codes == ["UNKNOWN_OUTCOME"]


@pytest.mark.parametrize(
    ("module", "key", "field", "referred", "named"),
    [
        ("Contacts", "lastname", "account_id", "Accounts", "accountname"),  # takes a name once
        ("Products", "productname", "vendor_id", "Vendors", "vendorname"),
    ],
)
def test_reference_created_by_another_load_is_used(sandbox, module, key, field, referred, named):
    reference = {"module": referred, "match_on": named, "create": True}
    streams = matched(module, key, references={field: reference})
    with another_writer(sandbox, lambda: sandbox.insert(referred, {named: "ACME"})):
        run = load(sandbox, messages(module, {key: "x", field: "ACME"}), streams=streams)
    (one,) = sandbox.rows(referred)
    assert run.tally == {"created": 1}
    assert sandbox.rows(module)[0][field] == one["id"]


def test_record_created_by_another_load_is_updated_where_names_are_unique(sandbox):
    with another_writer(sandbox, lambda: sandbox.insert("Accounts", {"accountname": "ACME"})):
        lines = messages("Accounts", {"accountname": "ACME", "phone": "1"})
        run = load(sandbox, lines, streams=matched("Accounts", "accountname"))
    (row,) = sandbox.rows("Accounts")
    assert (run.tally, row["phone"]) == ({"updated": 1}, "1")
