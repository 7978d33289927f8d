"""What writes do that nobody asked them to do, and what they refuse."""

from __future__ import annotations

import pytest
import requests
from sandbox_api import Api, error_of, result_of, small_company

from kafinea_sandbox import Sandbox
from kafinea_sandbox.dialects import DIALECTS


@pytest.mark.parametrize(
    ("dialect", "option", "present"),
    [
        *((name, None, name != "legacy") for name in DIALECTS),
        ("stock", False, False),
        ("legacy", True, True),
    ],
)
def test_revise_exists_by_dialect_or_option(dialect: str, option: bool | None, present: bool):
    with Sandbox(dialect=dialect, company=small_company(), revise=option) as sandbox:
        api = Api(sandbox)
        unknown, answer = api.post("nope"), api.write("revise", {})
        assert (answer.content != unknown.content) == present
        if present:
            code, message = error_of(answer)
            corebos = ("INVALID_ID_ATTRIBUTE", "Id specified is incorrect")
            assert dialect != "corebos" or (code, message) == corebos
            assert dialect == "corebos" or message.endswith("denied for id")


@pytest.mark.parametrize("dialect", ["kafinea", "stock", "frevo"])
def test_assignment_to_an_administrator_is_refused(dialect: str):
    with Sandbox(dialect=dialect, company=small_company()) as sandbox:
        joe = Api(sandbox, "joe")
        contact = joe.ok("retrieve", id=joe.id("Contacts", 11))
        refused = ("ACCESS_DENIED", "Cannot assign record to the given user")
        for operation in ("update", "revise"):
            assert error_of(joe.write(operation, contact)) == refused
        del contact["modifiedby"]
        assert contact["assigned_user_id"] == joe.me
        assert result_of(joe.write("update", contact))["modifiedby"] == joe.id("Users", 5)
        mine = {"id": contact["id"], "modifiedby": joe.id("Users", 5)}
        result_of(joe.write("revise", mine))


@pytest.fixture
def joe(fresh: Sandbox) -> Api:
    return Api(fresh, "joe")


@pytest.mark.parametrize("operation", ["update", "revise"])
def test_events_lose_hidden_data_on_update(fresh: Sandbox, fresh_api: Api, operation: str):
    number = int(fresh.insert("Events", EVENT).partition("x")[2])
    other = int(fresh.insert("Events", EVENT).partition("x")[2])
    for event in (number, other):
        fresh.sql("INSERT INTO _invitee VALUES (?, 5)", [event])
        fresh.sql("INSERT INTO _further_contact VALUES (?, 12)", [event])
        fresh.sql("INSERT INTO _recurrence VALUES (?, 'Weekly', '2026-12-31')", [event])
        fresh.sql("INSERT INTO _reminder VALUES (?, 15, 1)", [event])
    element = fresh_api.ok("retrieve", id=f"18x{number}") | {"subject": "New"}
    result_of(fresh_api.write(operation, element))
    for name in ("_invitee", "_further_contact", "_recurrence"):
        assert [row["event"] for row in fresh.sql(f"SELECT event FROM {name}")] == [other]
    assert fresh.sql("SELECT minutes, sent FROM _reminder WHERE event = ?", [number]) == [
        {"minutes": 0, "sent": 0}
    ]


EVENT = {
    "subject": "Demo",
    "date_start": "2026-01-15",
    "time_start": "10:00",
    "due_date": "2026-01-15",
    "time_end": "11:00",
    "duration_hours": "1",
    "eventstatus": "Planned",
    "activitytype": "Meeting",
}


def test_hidden_owner_is_the_user_of_the_last_write(fresh: Sandbox, joe: Api):
    wire_id = fresh.insert("Faq", {"question": "Q", "faq_answer": "A", "faqstatus": "Draft"})
    owner = "SELECT _owner FROM Faq"
    assert fresh.sql(owner) == [{"_owner": 1}]
    joe.revise(id=wire_id, question="New")
    assert fresh.sql(owner) == [{"_owner": 5}]


def test_lost_owner_is_replaced_by_update_and_fails_revise(fresh: Sandbox, fresh_api: Api):
    for number in (11, 12):
        fresh.change("Contacts", number, {"assigned_user_id": 999})
    contact = fresh_api.ok("retrieve", id="12x11")
    assert contact["assigned_user_id"] == "999"
    assert fresh_api.update(**contact)["assigned_user_id"] == "19x1"
    answer = fresh_api.write("revise", {"id": "12x12", "title": "x"})
    assert (answer.status_code, answer.text) == (200, "Sorry! Attempt to access restricted file.")
    assert fresh_api.revise(id="12x12", assigned_user_id="19x5")["assigned_user_id"] == "19x5"


def test_workflows_set_fields_on_each_save():
    with Sandbox(company=small_company(), workflows={"Contacts": {"cf_887": "touched"}}) as sandbox:
        api = Api(sandbox)
        contact = api.contact(cf_887="mine")
        assert contact["cf_887"] == "touched"
        sandbox.change("Contacts", contact["id"], {"cf_887": "x"})
        assert api.revise(id=contact["id"], title="y")["cf_887"] == "touched"


@pytest.mark.parametrize(
    ("rule", "sent", "stored"),
    [
        ("upper", " Société ", " SOCIÉTÉ "),
        ("trim", " Société ", "Société"),
        ("cut:4", "Société", "Soci"),
        ("phone", "+33 (0)2.40", "+330240"),
        ("drop4", "a\U0001f600b", "ab"),
    ],
)
def test_alterations_change_text_when_it_is_stored(rule: str, sent: str, stored: str):
    with Sandbox(company=small_company(), alters={"Accounts.accountname": rule}) as sandbox:
        account = Api(sandbox).create("Accounts", accountname=sent, ownership=" Kept ")
        assert (account["accountname"], account["ownership"]) == (stored, " Kept ")


def test_binary_collation_distinguishes_text():
    with Sandbox(dialect="stock", company=small_company(), collation="binary") as sandbox:
        api = Api(sandbox)
        names = ("Zebra", "zebra", "Zébra", "Zebra ")
        for name in names[1:]:
            api.create("Accounts", accountname=name)
        assert api.create_error("Accounts", accountname="Zebra")[0] == 0
        for name in names:
            text = f"SELECT accountname FROM Accounts WHERE accountname = '{name}';"
            assert api.column(text, "accountname") == [name]
        text = "SELECT id FROM Accounts WHERE accountname IN ('zebra', 'ZEBRA');"
        assert len(api.column(text)) == 1


@pytest.mark.parametrize("dialect", ["kafinea", "frevo"])
def test_unencodable_text_fails_the_answer(dialect: str):
    unencodable = {"Contacts": [20]}
    with Sandbox(dialect=dialect, company=small_company(), unencodable=unencodable) as sandbox:
        api = Api(sandbox)

        def fails(answer: requests.Response) -> bool:
            if dialect == "frevo":
                return answer.text.startswith("<br />\n<b>Fatal error</b>")
            return (answer.status_code, answer.content) == (500, b"")

        bad, good = api.id("Contacts", 20), api.id("Contacts", 21)
        assert fails(api.get("retrieve", id=bad))
        for columns in ("*", "id, lastname"):
            text = f"SELECT {columns} FROM Contacts WHERE id IN ('{{}}', '{good}');"
            assert fails(api.get("query", query=text.format(bad)))
            assert len(api.query(text.format(good))) == 1
        text = f"SELECT id, modifiedtime, cf_857 FROM Contacts WHERE id = '{bad}';"
        assert api.column(text) == [bad]
        assert fails(api.write("revise", {"id": bad, "cf_857": "77"}))  # it is written
        assert api.column(text, "cf_857") == ["77"]


def test_legacy_update_blanks_a_reference_that_reads_empty():
    with Sandbox(dialect="legacy", company=small_company()) as sandbox:
        api = Api(sandbox)
        contact = api.contact(account_id=api.id("Accounts", 2))
        sandbox.remove("Accounts", 2)
        contact = api.ok("retrieve", id=contact["id"])
        assert contact["account_id"] == ""
        api.update(**contact)
        number = int(contact["id"].partition("x")[2])
        sql = "SELECT account_id FROM Contacts WHERE _number = ?"
        assert sandbox.sql(sql, [number]) == [{"account_id": 0}]
