"""An update sends the whole record, merged: nothing that was not asked for changes."""

from __future__ import annotations

import json

import pytest

from tests.target.running import empty, load, matched, messages, write_requests

STREAMS = matched("Contacts", "cf_853")
DESCRIPTION = 'Été & <b>gras</b> &amp; "x" \\ \r\n  O\'Brien  '

# Every field that a client may set, none of them blank.
FULL = {
    "salutationtype": "Mme",
    "firstname": "Zoé",
    "lastname": "O'Brien & fils",
    "phone": "1",
    "mobile": "2",
    "homephone": "3",
    "otherphone": "4",
    "fax": "5",
    "leadsource": "Trade Show",
    "title": "DAF",
    "department": "Comptabilité & paie",
    "birthday": "1990-12-31",
    "email": "zoe@example.com",
    "assistant": "Bob",
    "secondaryemail": "z@example.com",
    "assistantphone": "6",
    "donotcall": "1",
    "emailoptout": "1",
    "reference": "1",
    "notify_owner": "1",
    "cf_853": "key",
    "cf_855": "1234.570",
    "cf_857": "-42",
    "cf_859": "12.50",
    "cf_861": "-0.10",
    "cf_863": "2024-02-29",
    "cf_865": "a@b.example",
    "cf_867": "7",
    "cf_871": "https://example.com",
    "cf_873": "1",
    "cf_875": "line\nline",
    "cf_879": "skype",
    "cf_881": "14:05:00",
    "cf_887": "Été <b>",
    "cf_889": "Alpha |##| Été",
    "portal": "1",
    "support_start_date": "2024-01-01",
    "support_end_date": "2025-01-01",
    "mailingstreet": "12, quai de la Fosse\nSuite 1",
    "otherstreet": "13",
    "mailingcity": "Nantes",
    "othercity": "Rezé",
    "mailingstate": "LA",
    "otherstate": "LA",
    "mailingzip": "44000",
    "otherzip": "44400",
    "mailingcountry": "France",
    "othercountry": "France",
    "mailingpobox": "a",
    "otherpobox": "b",
    "description": DESCRIPTION,
}


@pytest.fixture
def full(any_sandbox):
    """A server with one contact that has a value in every field, references and a team as owner."""
    account = any_sandbox.insert("Accounts", {"accountname": "ACME & Cie"})
    boss = any_sandbox.insert("Contacts", {"lastname": "Boss", "cf_853": "boss"})
    owner = f"{any_sandbox.instance.tables['Groups'].prefix}x3"
    links = {"account_id": account, "contact_id": boss, "assigned_user_id": owner}
    any_sandbox.insert("Contacts", FULL | links)
    return any_sandbox


def upsert(sandbox, *records, **more):
    more.setdefault("streams", STREAMS)
    return load(sandbox, messages("Contacts", *records), **more)


def row(sandbox, key="key"):
    (only,) = (row for row in sandbox.rows("Contacts") if row["cf_853"] == key)
    traces = {"modifiedtime", "modifiedby"}
    return {name: value for name, value in only.items() if name not in traces}


def test_update_changes_the_sent_field_only(full):
    before = row(full)
    run = upsert(full, {"cf_853": "key", "phone": "99"})
    assert run.only["changed"] == ["phone"]
    assert row(full) == before | {"phone": "99"}
    assert write_requests(full) == ["revise" if full.instance.has("revise") else "update"]


def test_description_is_the_same_after_any_number_of_updates(full):
    for n in range(3):
        upsert(full, {"cf_853": "key", "phone": f"{n}"})
    assert row(full)["description"] == DESCRIPTION


def test_update_sends_the_whole_record_if_set(full):
    """The maker's documentation asks for all fields, and some servers blank what is missing."""
    upsert(full, {"cf_853": "key", "phone": "99"}, update_method="full")
    (request,) = full.requests.of("update")
    element = json.loads(request.params["element"])
    assert FULL.keys() | {"id", "account_id", "contact_id", "assigned_user_id"} <= element.keys()


def test_unchanged_record_is_not_sent(full):
    record = {name: row(full)[name] for name in (*FULL, "account_id", "contact_id")}
    assert upsert(full, record).tally == {"unchanged": 1}
    assert write_requests(full) == []


@pytest.mark.parametrize("blank", [None, ""], ids=["null", "empty text"])
@pytest.mark.parametrize(
    ("field", "wire"),
    [
        ("phone", ""),
        ("description", ""),
        ("cf_887", ""),
        ("cf_889", ""),
        ("cf_863", ""),
        ("birthday", ""),
        ("cf_881", ""),
        ("account_id", ""),
        ("contact_id", ""),
        ("cf_857", "0"),
        ("cf_855", "0.000"),
        ("cf_861", "0.00"),
        ("cf_873", "0"),
    ],
)
def test_null_clears_a_field_and_keeps_the_others(full, field, wire, blank):
    before = row(full)
    run = upsert(full, {"cf_853": "key", field: blank})
    assert run.only["changed"] == [field]
    assert row(full) == before | {field: wire}
    assert upsert(full, {"cf_853": "key", field: blank}).tally == {"unchanged": 1}


def test_empty_list_clears_a_field(full):
    assert upsert(full, {"cf_853": "key", "cf_889": []}).only["changed"] == ["cf_889"]
    assert row(full)["cf_889"] == ""


def test_changed_fields_are_reported_and_no_others(full):
    record = {"cf_853": "key", "phone": "99", "cf_873": False, "cf_855": 1234.57, "lastname": "New"}
    assert upsert(full, record).only["changed"] == ["cf_873", "lastname", "phone"]


def test_references_can_be_changed_and_stay_when_they_are_not(full):
    other = full.insert("Accounts", {"accountname": "Other"})
    before = row(full)
    upsert(full, {"cf_853": "key", "account_id": other})
    assert row(full) == before | {"account_id": other}


def test_reference_to_a_deleted_record_stops_no_change(full):
    full.remove("Accounts", row(full)["account_id"])
    run = upsert(full, {"cf_853": "key", "phone": "99"})
    assert run.only["changed"] == ["phone"]
    assert row(full)["account_id"] == ""


def test_taxes_and_prices_known_to_retrieve_only_stay(any_sandbox):
    """`query` does not give them, and a legacy server blanks what it is not sent."""
    any_sandbox.insert(
        "Products",
        {
            "productname": "Desk",
            "productcode": "D-1",
            "unit_price": "199.99000000",
            "tax1": "20.000",
            "currency2": "210.50000000",
        },
    )
    lines = messages("Products", {"productcode": "D-1", "website": "https://example.com"})
    run = load(any_sandbox, lines, streams=matched("Products", "productcode"))
    assert run.only["changed"] == ["website"]
    (stored,) = any_sandbox.sql("SELECT * FROM Products JOIN _price ON product = _number")
    assert float(stored["tax1"]) == 20
    assert float(stored["actual"]) == 210.5
    assert float(stored["unit_price"]) == 199.99


@pytest.mark.parametrize(
    ("module", "key", "values"),
    [
        ("Accounts", "accountname", {"accountname": "ACME", "annual_revenue": "5.00000000"}),
        (
            "Leads",
            "lastname",
            {"lastname": "Lead", "company": "ACME", "annualrevenue": "1.50000000"},
        ),
        ("Potentials", "potentialname", {"potentialname": "P", "closingdate": "2026-01-01"}),
        ("Services", "servicename", {"servicename": "S", "unit_price": "9.00000000"}),
        ("HelpDesk", "ticket_title", {"ticket_title": "T", "hours": "1.50000000"}),
        ("Documents", "notes_title", {"notes_title": "D", "filename": "d.pdf", "folderid": 1}),
        ("Events", "subject", {"subject": "E", "time_start": "09:00:00", "location": "here"}),
        ("Calendar", "subject", {"subject": "C", "activitytype": "Task", "time_start": "09:00:00"}),
    ],
)
def test_update_in_other_modules_changes_the_sent_field_only(any_sandbox, module, key, values):
    """Also when mandatory fields of an old record are blank: they are none of our business."""
    mandatory = {
        "Potentials": {"sales_stage": "Prospecting"},
        "HelpDesk": {"ticketstatus": "Open", "ticketpriorities": "Low"},
        "Events": {
            "date_start": "2026-01-01",
            "due_date": "2026-01-01",
            "time_end": "10:00:00",
            "duration_hours": "1",
            "eventstatus": "Planned",
            "activitytype": "Meeting",
        },
        "Calendar": {
            "date_start": "2026-01-01",
            "due_date": "2026-01-01",
            "taskstatus": "In Progress",
        },
    }.get(module, {})
    columns = any_sandbox.instance.tables[module].columns
    text = {"description": DESCRIPTION} if "description" in columns else {}
    any_sandbox.insert(module, values | mandatory | text)
    (before,) = any_sandbox.rows(module)
    changed = next(
        n for n in ("website", "nextstep", "location", "notecontent", "description") if n in columns
    )
    changed = "cf_903" if module == "Accounts" else changed
    lines = messages(module, {key: values[key], changed: "changed"})
    run = load(any_sandbox, lines, streams=matched(module, key, accept_side_effects=True))
    assert run.only["changed"] == [changed]
    (after,) = any_sandbox.rows(module)
    ignored = {"modifiedtime", "modifiedby", changed}
    assert after[changed] == "changed"
    differing = {n for n in before if before[n] != after[n]} - ignored
    assert differing == set()


def test_concurrent_write_is_not_reverted():
    """Nobody else writes while we do; what was changed since the run before is kept."""
    with empty() as sandbox:
        id_ = sandbox.insert("Contacts", {"lastname": "x", "cf_853": "key"})
        upsert(sandbox, {"cf_853": "key", "phone": "1"})
        sandbox.change("Contacts", id_, {"title": "by hand"})
        upsert(sandbox, {"cf_853": "key", "phone": "2"})
        (stored,) = sandbox.rows("Contacts")
        assert (stored["phone"], stored["title"]) == ("2", "by hand")
