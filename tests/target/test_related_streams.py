"""Related records in one run: nested in one record, or in streams that come in any order."""

from __future__ import annotations

import base64
import json
from itertools import permutations

import pytest

from tests.stored_documents import stored_files
from tests.target.running import load, messages

ACCOUNTS = {"module": "Accounts", "match_on": "siccode"}
TO = {"stream": "accounts", "field": "account_id"}
CONTACTS = {"module": "Contacts", "match_on": "email"}
TO_ACCOUNT = {"module": "Accounts", "match_on": "siccode"}
PRODUCT = {"module": "Products", "match_on": "productcode"}
SALES = {
    "accounts": {**ACCOUNTS, "nested": {"staff": {"stream": "people", "parent": "account_id"}}},
    "people": CONTACTS,
    "invoices": {
        "module": "Invoice",
        "match_on": "subject",
        "fields": {"lines": "LineItems"},
        "references": {"LineItems.productid": PRODUCT},
        "nested": {
            "account": TO,
            "attachments": {"stream": "attachments", "parent": "_related_to"},
        },
    },
    "attachments": {"module": "Documents", "match_on": "notes_title"},
}
TEXT = base64.b64encode(b"Signed.").decode()


def invoice(number, account, *attachments, quantity=1):
    return {
        "subject": f"Invoice {number}",
        "account": account,
        "bill_street": "1 rue A",
        "ship_street": "1 rue A",
        "hdnTaxType": "group",
        "lines": [{"productid": "D", "quantity": quantity, "listprice": 10}],
        "attachments": list(attachments),
    }


def acme(**values):
    return {"siccode": "123", "accountname": "ACME", **values}


def document(title, content=TEXT):
    return {"notes_title": title, "filename": f"{title}.txt", "_file_base64": content}


def nested(sandbox, stream, *records, **more):
    # Not checked: there are more outcomes than records of the input.
    return load(sandbox, messages(stream, *records), streams=SALES, check=False, **more)


def linked(sandbox):
    names = {row["id"]: row["accountname"] for row in sandbox.rows("Accounts")}
    return {
        row["lastname"]: row["account_id"] and names[row["account_id"]]
        for row in sandbox.rows("Contacts")
    }


@pytest.fixture
def shop(any_sandbox):
    any_sandbox.insert("Products", {"productname": "Desk", "productcode": "D", "unit_price": "10"})
    return any_sandbox


def test_invoice_comes_with_its_account_and_lines_in_one_record(shop):
    records = [
        invoice(1, acme()),
        invoice(2, acme(phone="1")),
        invoice(3, {"siccode": 9, "accountname": "Other"}),
    ]
    run = nested(shop, "invoices", *records)
    assert run.code == 0, run.stderr
    accounts = {row["siccode"]: row for row in shop.rows("Accounts")}
    told = {key: (row["accountname"], row["phone"]) for key, row in accounts.items()}
    assert told == {"123": ("ACME", "1"), "9": ("Other", "")}
    ids = [accounts[key]["id"] for key in ("123", "123", "9")]
    assert [row["account_id"] for row in shop.rows("Invoice")] == ids
    assert run.summary == {"accounts": {"created": 2, "updated": 1}, "invoices": {"created": 3}}
    assert nested(shop, "invoices", *records[1:]).tally == {"unchanged": 4}


def test_file_comes_within_the_record_that_its_document_belongs_to(sandbox, tmp_path):
    sandbox.insert("Products", {"productname": "Desk", "productcode": "D", "unit_price": "10"})
    large = base64.b64encode(bytes(2**20)).decode()  # waits in a temporary file
    documents = [document("Order"), document("Plan", large)]
    records = [invoice(1, acme(), *documents), invoice(2, acme())]
    plan = str(tmp_path / "plan.json")
    dry = nested(sandbox, "invoices", *records, dry_run=True, plan_path=plan)
    run = nested(sandbox, "invoices", *records, plan_path=plan)
    assert run.summary["attachments"] == {"created": 2}, run.stderr
    assert run.summary == dry.summary
    assert {file["content"] for file in stored_files(sandbox)} == {b"Signed.", bytes(2**20)}
    (first, _second) = sandbox.rows("Invoice")
    pairs = sandbox.sql("SELECT source FROM _relation")
    assert [f"{first['id'].partition('x')[0]}x{row['source']}" for row in pairs] == [
        first["id"]
    ] * 2
    assert nested(sandbox, "invoices", *records).tally == {"unchanged": 6}


def test_records_are_nested_in_nested_ones_and_in_lists(sandbox):
    sandbox.insert("Products", {"productname": "Desk", "productcode": "D", "unit_price": "10"})
    people = [{"lastname": "Roux", "email": "r@a.example"}, {"lastname": "Petit", "email": "p@a"}]
    records = [invoice(1, acme(staff=people)), invoice(2, acme(staff=None))]
    run = nested(sandbox, "invoices", *records)
    assert run.code == 0, run.stderr
    assert linked(sandbox) == {"Roux": "ACME", "Petit": "ACME"}


@pytest.mark.parametrize(
    ("required", "said"),
    [
        (["subject", "account", "attachments"], "invoices: 1 created"),
        (["account", "bill_city"], "the record violates `required` of the stream's schema"),
        (True, "its SCHEMA cannot be used: required violates `type`"),
        (["account", {}], "its SCHEMA cannot be used: required/0 violates `type`"),
    ],
)
def test_required_of_a_schema_holds_without_its_nested_records(sandbox, required, said):
    sandbox.insert("Products", {"productname": "Desk", "productcode": "D", "unit_price": "10"})
    schema, record = map(json.loads, messages("invoices", invoice(1, acme())))
    schema["schema"]["required"] = required
    run = load(sandbox, *map(json.dumps, (schema, record)), streams=SALES, check=False)
    assert said in run.stderr
    assert "Traceback" not in run.stderr


def test_deleted_record_brings_no_nested_ones(sandbox):
    deleted = invoice(1, acme()) | {"_sdc_deleted_at": "2026-01-01"}
    run = nested(sandbox, "invoices", deleted, hard_delete=True)
    assert run.tally == {"unchanged": 1}
    assert not sandbox.rows("Accounts")


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"account": "ACME"}, "account: the value is not an object"),
        ({"account": {"accountname": "ACME"}}, "account.siccode: the key is empty"),
        ({"account": {}}, "account.siccode: the key is empty"),
        ({"account_id": ["3x1"]}, "account_id: the record has account as well"),
        ({"attachments": ["Order"]}, "attachments: the value is not a list of objects"),
        ({"subject": None, "attachments": [document("Order")]}, "subject: the key is empty"),
    ],
)
def test_record_whose_nested_ones_cannot_be_linked_is_rejected_as_a_whole(values, problem, sandbox):
    record = invoice(1, acme()) | values
    run = nested(sandbox, "invoices", record)
    assert [problem in line["message"] for line in run.outcomes] == [True], run.outcomes
    assert run.rejected_records == [record]
    assert not sandbox.rows("Accounts")


def test_rejected_nested_records_are_corrected_and_loaded_alone(sandbox):
    sandbox.insert("Products", {"productname": "Desk", "productcode": "D", "unit_price": "10"})
    records = [invoice(1, acme(accountname=None), document("Order"))]
    run = nested(sandbox, "invoices", *records, max_rejects=9)
    assert run.codes == ["MANDATORY_FIELD_MISSING", *["UNRESOLVED_REFERENCE"] * 2]
    for message in run.rejects:
        if message["stream"] == "accounts" and message["type"] == "RECORD":
            message["record"]["accountname"] = "ACME"
    lines = [json.dumps(message) for message in run.rejects]
    again = load(sandbox, lines, streams=SALES, check=False)
    assert again.tally == {"created": 3}, again.stderr
    assert [row["account_id"] for row in sandbox.rows("Invoice")] == [
        row["id"] for row in sandbox.rows("Accounts")
    ]


def test_empty_nested_record_clears_the_reference(sandbox):
    sandbox.insert("Products", {"productname": "Desk", "productcode": "D", "unit_price": "10"})
    streams = {"people": {**CONTACTS, "nested": {"at": TO}}, "accounts": ACCOUNTS}
    person = {"lastname": "Roux", "email": "r@a.example"}
    for at, account in [(acme(), "ACME"), (None, ""), (acme(), "ACME")]:
        load(sandbox, messages("people", person | {"at": at}), streams=streams, check=False)
        assert linked(sandbox) == {"Roux": account}
    load(sandbox, messages("people", person), streams=streams, check=False)
    assert linked(sandbox) == {"Roux": "ACME"}


@pytest.mark.parametrize(
    ("streams", "said"),
    [
        ({"people": {"nested": {"at": {"stream": "accounts"}}}}, "either `field`"),
        ({"people": {"nested": {"at": {**TO, "parent": "x"}}}}, "either `field`"),
        ({"people": {"nested": {"at": {**TO, "key": "x"}}}}, "unknown setting key"),
        ({"people": {"nested": {"at": TO}}}, "must contain the stream 'accounts'"),
        (
            {"people": {"nested": {"at": TO}}, "accounts": {"match_on": [["a"], ["b"]]}},
            "`match_on` of the stream 'accounts' to one field",
        ),
        (
            {
                "people": {"nested": {"at": TO}, "references": {"account_id": {}}},
                "accounts": ACCOUNTS,
            },
            "Remove it from `references`",
        ),
        (
            {
                "people": {"module": "Contacts", "nested": {"at": TO}},
                "accounts": {
                    **ACCOUNTS,
                    "references": {"cf_1": {"module": "Contacts", "match_on": "email"}},
                },
            },
            "refer to each other",
        ),
    ],
)
def test_settings_of_nested_records_say_what_is_wrong(streams, said, sandbox):
    run = load(sandbox, streams=streams, check=False)
    assert run.code == 1
    assert said in run.errors[0]


# Several streams

IN_ORDER = {
    "accounts": ACCOUNTS,
    "people": {**CONTACTS, "references": {"account_id": TO_ACCOUNT}},
    "visits": {
        "module": "Campaigns",
        "related": "Contacts",
        "references": {
            "source_id": {"match_on": "campaignname"},
            "related_id": {"match_on": "email"},
        },
    },
}
ROWS = {
    "accounts": [acme()],
    "people": [{"lastname": "Roux", "email": "r@a.example", "account_id": "123"}],
    "visits": [{"source_id": "Fair", "related_id": "r@a.example"}],
}


@pytest.mark.parametrize("order", [*permutations(ROWS)], ids="-".join)
def test_streams_are_loaded_in_the_order_of_their_references(order, sandbox):
    sandbox.insert("Campaigns", {"campaignname": "Fair"})
    lines = [messages(name, *ROWS[name], state={"after": name}) for name in order]
    dry = load(sandbox, *lines, streams=IN_ORDER, dry_run=True)
    assert dry.tally == {"created": 3}, dry.stderr
    run = load(sandbox, *lines, streams=IN_ORDER)
    assert run.tally == {"created": 3}, run.stderr
    assert run.states[-1] == {"after": order[-1]}


def test_no_state_is_written_before_the_records_that_wait_are_loaded(sandbox):
    streams = {**IN_ORDER, "Leads": {"match_on": "lastname"}}
    before = messages("Leads", {"lastname": "a", "company": "a"}, state={"at": 1})
    waits = messages("people", *ROWS["people"], state={"at": 2})
    others = messages("Leads", {"lastname": "b", "company": "b"}, state={"at": 3})
    run = load(sandbox, before, waits, others, "not JSON", streams=streams, check=False)
    assert run.states == [{"at": 1}]
    assert "Stream 'people' was not loaded completely" in run.stderr
    assert not sandbox.rows("Contacts")
    rest = messages("accounts", *ROWS["accounts"], state={"at": 4})
    run = load(sandbox, waits, others, rest, streams=streams)
    assert run.states == [{"at": 4}]
    assert linked(sandbox) == {"Roux": "ACME"}


def test_streams_that_refer_to_each_other_are_loaded_as_they_come(sandbox):
    sandbox.insert("Accounts", {"accountname": "ACME", "siccode": "123"})
    streams = {
        **IN_ORDER,
        "accounts": {
            **ACCOUNTS,
            "references": {"account_id": {"module": "Contacts", "match_on": "email"}},
        },
    }
    run = load(sandbox, messages("people", *ROWS["people"]), streams=streams)
    assert run.tally == {"created": 1}
    assert "at the end of the input" not in run.stderr


def test_schema_that_changes_while_its_stream_waits_holds_for_what_follows(sandbox):
    more = {"lastname": "Petit", "email": "p@a.example", "phone": "1", "account_id": "123"}
    lines = [messages("people", *ROWS["people"]), messages("people", more)]
    run = load(sandbox, *lines, messages("accounts", acme()), streams=IN_ORDER)
    assert run.tally == {"created": 3}
    assert [row["phone"] for row in sandbox.rows("Contacts")] == ["", "1"]
