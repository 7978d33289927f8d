"""What a plan refuses when its input or what it refers to is no longer what was approved."""

from __future__ import annotations

import base64
import os
from itertools import count

import pytest

from kafinea.errors import StorageError
from tests.target.running import empty, load, messages, write_requests
from tests.target.test_plan import (
    QUOTE,
    Company,
    applied,
    everything,
    loading,
    planned,
)

_keys = count()


@pytest.fixture(scope="module")
def shared():
    with empty() as sandbox:
        yield sandbox


@pytest.fixture
def path(tmp_path):
    return tmp_path / "plan.jsonl"


@pytest.fixture
def company(tmp_path):
    with empty() as sandbox:
        yield Company(sandbox, tmp_path)


def of_key(sandbox, key):
    return [row for row in sandbox.rows("Contacts") if row["cf_853"] == key]


# The account of a contact is replaced by another of the same name, or is there no more.
REFERENCES = {
    "new contact, another account": (False, True, "CHANGED_SINCE_PLAN", "get other values than"),
    "contact, another account": (
        *(True, True, "CHANGED_SINCE_PLAN"),
        "the record would get other values than in the plan: account_id",
    ),
    "new contact, no account": (False, False, "NOT_IN_PLAN", "does not create this record of Acc"),
    "contact, no account": (True, False, "NOT_IN_PLAN", "does not create this record of Accounts"),
}


@pytest.mark.parametrize("name", REFERENCES)
def test_reference_that_leads_elsewhere_since_the_plan_is_not_written(shared, path, name):
    is_stored, is_replaced, code, why = REFERENCES[name]
    key = f"reference {next(_keys)}"
    account = shared.insert("Accounts", {"accountname": key})
    if is_stored:
        shared.insert("Contacts", {"cf_853": key, "lastname": "A"})
    records = [{"cf_853": key, "lastname": "A", "account_id": key}]
    planned(shared, records, path)
    shared.remove("Accounts", account)
    if is_replaced:
        shared.insert("Accounts", {"accountname": key})
    before, accounts = of_key(shared, key), shared.count("Accounts")
    (result,) = applied(shared, records, path)
    assert result.rejection.code == code
    assert why in result.rejection.message
    assert (of_key(shared, key), shared.count("Accounts")) == (before, accounts)


@pytest.mark.parametrize("changed", [False, True])
def test_what_the_server_writes_its_own_way_is_still_what_the_plan_gave(company, changed):
    """The second line of a record is planned upon what the first one gives it."""
    line = {"productid": "D-1", "listprice": 100}
    company.sandbox.insert("Accounts", {"accountname": "Acme", "annual_revenue": "1"})

    def lines(*numbers):
        accounts = [{"accountname": "Acme", "annual_revenue": n} for n in numbers]
        quotes = [{**QUOTE, "LineItems": [{**line, "quantity": n}]} for n in numbers]
        return [*messages("Accounts", *accounts), *messages("Quotes", *quotes)]

    assert company.run(lines(1), plan_path=None).code == 0
    assert company.run(lines(2.5, 4), dry_run=True).tally == {"updated": 4}
    if changed:
        company.sandbox.sql("UPDATE Accounts SET annual_revenue = 9")
        company.sandbox.sql("UPDATE LineItem SET quantity = 9")
    run = company.run(lines(2.5, 4), max_rejects=9)
    (quote,), (account,) = (company.sandbox.rows(name) for name in ("LineItem", "Accounts"))
    assert run.codes == (["CHANGED_SINCE_PLAN"] * 4 if changed else []), run.stderr
    assert float(quote["quantity"]) == float(account["annual_revenue"]) == (9 if changed else 4)


def test_file_or_pair_of_a_record_that_is_not_in_the_plan_is_not_sent(company):
    """The record itself is in Kafinea as it came, so nothing of its values is written."""
    company.run(everything(), plan_path=None)
    company.run(everything(), dry_run=True)
    writes = write_requests(company.sandbox)
    lines = everything(content="QUJE")
    lines[-2] = lines[-2].replace("a@x.example", "b@x.example")
    run = company.run(lines, max_rejects=9)
    rejected = {line["stream"]: line["code"] for line in run.outcomes if "code" in line}
    assert rejected == dict.fromkeys(("Documents", "visits"), "NOT_IN_PLAN")
    assert [w for w in write_requests(company.sandbox)[len(writes) :] if w != "fileupload"] == []
    assert company.linked()[0]["n"] == 1


def test_file_with_another_content_than_that_of_the_plan_is_not_sent(company, tmp_path):
    (tmp_path / "d.txt").write_text("approved")
    lines = messages("Documents", {"notes_title": "D", "filename": "d.txt", "_file_path": "d.txt"})
    more = {"files_path": str(tmp_path)}
    company.run(lines, dry_run=True, **more)
    (tmp_path / "d.txt").write_text("other")
    run = company.run(lines, max_rejects=9, **more)
    assert run.codes == ["NOT_IN_PLAN"], run.stderr
    assert "_file is not that of the plan" in run.only["message"]
    assert b"other" not in base64.b64decode("".join(files_of(company.sandbox)))


def files_of(sandbox):
    return [row["content"] for row in sandbox.sql("SELECT content FROM _file")]


def test_pair_whose_record_was_replaced_since_the_plan_is_not_added(company):
    lines = everything()
    company.run(lines, dry_run=True)
    (fair,) = company.sandbox.rows("Campaigns")
    company.sandbox.remove("Campaigns", fair["id"])
    company.sandbox.insert("Campaigns", {"campaignname": "Fair"})
    run = company.run(lines, max_rejects=9)
    rejected = {line["stream"]: line["code"] for line in run.outcomes if "code" in line}
    assert rejected == {"visits": "NOT_IN_PLAN"}, run.stderr
    assert company.linked()[0]["n"] == 0


def test_plan_that_was_edited_after_it_was_read_writes_nothing(shared, path):
    records = [{"cf_853": f"edited {n}", "lastname": "Approved"} for n in range(3)]
    planned(shared, records, path)
    stored = shared.count("Contacts")
    with loading(shared, path) as load:
        path.write_text(path.read_text().replace("Approved", "Smuggled"))
        with pytest.raises(StorageError, match="was changed during the run"):
            list(load(records))
    assert shared.count("Contacts") == stored


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_plan_is_written_to_a_file_or_not_at_all(shared, path, make):
    make(path)
    records = messages("Contacts", {"lastname": "A"})
    run = load(shared, records, dry_run=True, plan_path=str(path), check=False)
    assert (run.code, path.is_file()) == (1, False)
    assert f"`plan_path` {str(path)!r} must be the path of a regular file." in run.errors[0]


@pytest.mark.parametrize(
    ("module", "name", "value", "since", "code"),
    [
        ("Accounts", "annual_revenue", 1000, {}, None),  # stored as 1000.00000000
        ("Accounts", "phone", None, {}, None),
        ("Accounts", "phone", None, {"website": "x.example"}, "CHANGED_SINCE_PLAN"),
        ("Potentials", "amount", 1000, {"forecast_amount": "500.00000000"}, None),  # a workflow
    ],
)
def test_record_that_one_stream_updates_and_another_deletes(module, name, value, since, code, path):
    label = {"Accounts": "accountname", "Potentials": "potentialname"}[module]
    with empty() as sandbox:
        record_id = sandbox.insert(module, {label: "A", "description": "d", name: "9"})
        lines = [
            *messages("updates", {"description": "d", name: value}),
            *messages("deletions", {label: "A", "_sdc_deleted_at": "2026-01-01T00:00:00Z"}),
        ]
        streams = {
            "updates": {"module": module, "match_on": "description"},
            "deletions": {"module": module, "match_on": label},
        }
        options = {"streams": streams, "plan_path": str(path), "hard_delete": True, "check": False}
        load(sandbox, lines, dry_run=True, **options)
        sandbox.change(module, record_id, since)
        run = load(sandbox, lines, max_rejects=-1, **options)
        assert run.codes == ([code] if code else [])
        assert sandbox.count(module) == len(run.codes)
