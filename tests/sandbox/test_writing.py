from __future__ import annotations

import threading
from datetime import datetime, timezone
from typing import Any

import pytest
from sandbox_api import Api, error_of, small_company

from kafinea_sandbox import Sandbox

DENIED = ("ACCESS_DENIED", "Permission to perform the operation is denied")
GHOST = "Sorry! Attempt to access restricted file."


def test_create_answers_the_same_record_as_retrieve(api: Api):
    created = api.contact(firstname="Zoé <b>", lastname="O'Brien & Co")
    assert created == api.ok("retrieve", id=created["id"])
    assert list(created)[-2:] == ["id", "label"]
    queried = api.query(f"SELECT * FROM Contacts WHERE id = '{created['id']}';")[0]
    assert queried == {name: value for name, value in created.items() if name != "label"}


def test_label_is_html_escaped(api: Api):
    created = api.contact(firstname="Zoé <b>", lastname='O\'B & "C"')
    assert created["label"] == "Zo&eacute; &lt;b&gt; O&#039;B &amp; &quot;C&quot;"
    assert created["firstname"] == "Zoé <b>"


def test_create_fills_unset_fields(api: Api):
    created = api.contact()
    expected = {
        "cf_855": "0.000",
        "cf_857": "0",
        "cf_861": "0.00",
        "cf_873": "0",
        "cf_863": "",
        "account_id": "",
        "firstname": "",
        "source": "WEBSERVICE",
    }
    assert {name: created[name] for name in expected} == expected
    assert api.create("Products", productname="P")["unit_price"] == "0.00000000"


@pytest.mark.parametrize("missing", [{}, {"lastname": ""}, {"lastname": None}])
def test_mandatory_fields(api: Api, missing: dict):
    error = api.create_error("Contacts", firstname="x", **missing)
    assert error == ("MANDATORY_FIELDS_MISSING", "lastname does not have a value")


def test_mandatory_fields_error_names_the_first(api: Api):
    error = error_of(api.write("create", {}, elementType="Contacts"))
    assert error == ("MANDATORY_FIELDS_MISSING", "lastname does not have a value")


def test_unknown_and_read_only_fields_are_ignored(api: Api):
    created = api.contact(
        nope="x", createdtime="2001-01-01 00:00:00", contact_no="MINE", modifiedby="19x5", id="12x1"
    )
    assert "nope" not in created
    assert created["createdtime"] > "2020"
    assert created["contact_no"].startswith("CON")
    assert created["modifiedby"] == "19x1"
    assert created["id"] != "12x1"
    assert api.contact(source="IMPORT")["source"] == "IMPORT"


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ("3", ("REFERENCE_INVALID", "Invalid reference specified for account_id")),
        ("12x3", ("REFERENCE_INVALID", "Invalid reference specified for account_id")),
        ("0", ("ACCESS_DENIED", f"{DENIED[1]} for id")),
        ("garbage", ("ACCESS_DENIED", f"{DENIED[1]} for id")),
        ("99x3", ("ACCESS_DENIED", f"{DENIED[1]} for id")),
    ],
)
def test_references_of_a_wrong_module_are_refused(api: Api, value: str, error: tuple):
    assert api.create_error("Contacts", lastname="x", account_id=value) == error


def test_references_to_no_record_read_empty(api: Api):
    assert api.contact(account_id="11x1")["account_id"] == "11x1"
    assert api.contact(account_id="11x999999")["account_id"] == ""


def test_references_to_deleted_and_inactive_records_read_empty(fresh: Sandbox, fresh_api: Api):
    boss = fresh_api.contact(lastname="Boss")
    person = fresh_api.contact(contact_id=boss["id"])
    fresh_api.ok_post("delete", id=boss["id"])
    assert fresh_api.ok("retrieve", id=person["id"])["contact_id"] == ""
    still = f"SELECT id FROM Contacts WHERE contact_id = '{boss['id']}';"
    assert fresh_api.column(still) == [person["id"]]
    fresh.change("Contacts", person["id"], {"modifiedby": 6, "assigned_user_id": 6})
    read = fresh_api.ok("retrieve", id=person["id"])
    assert (read["modifiedby"], read["assigned_user_id"]) == ("", "19x6")


@pytest.mark.parametrize(
    ("sent", "stored"),
    [("19x5", "19x5"), ("20x2", "20x2"), ("12x2", "20x2"), ("1", "19x1"), ("x", "19x1")],
)
def test_owner_prefix_does_not_matter(api: Api, sent: str, stored: str):
    assert api.contact(assigned_user_id=sent)["assigned_user_id"] == stored


def test_unknown_owner_fails_the_answer_after_the_create(fresh: Sandbox, fresh_api: Api):
    element = {"lastname": "Ghost", "assigned_user_id": "19x999"}
    response = fresh_api.write("create", element, elementType="Contacts")
    assert (response.status_code, response.text) == (200, GHOST)
    assert response.headers["content-type"].startswith("text/html")
    ghost = fresh_api.query("SELECT * FROM Contacts WHERE lastname = 'Ghost';")
    assert [row["assigned_user_id"] for row in ghost] == ["999"]
    assert fresh.count("Contacts") == 131


@pytest.mark.parametrize(
    ("field", "sent", "stored"),
    [
        ("leadsource", "No such value", "No such value"),
        ("cf_889", ["Alpha", "Été"], "Alpha |##| Été"),
        ("cf_889", "Alpha |##| Beta", "Alpha |##| Beta"),
        ("cf_863", "2024-02-29", "2024-02-29"),
        ("cf_863", "29-02-2024", "2024-02-29"),  # as the user writes dates
        ("cf_863", "2024-02-29 10:00:00", "2024-02-29"),
        ("cf_863", "2024-02-29T10:00:00Z", ""),
        ("cf_863", "29/02/2024", ""),
        ("cf_863", 20240229, ""),
        ("cf_863", "2023-02-29", "0000-00-00"),
        ("cf_873", 1, "1"),
        ("cf_873", True, "1"),
        ("cf_873", False, "0"),
        ("cf_873", "on", "1"),
        ("cf_873", "true", "0"),
        ("cf_873", "yes", "0"),
        ("cf_857", "42", "42"),
        ("cf_857", "4.9", "5"),
        ("cf_857", "abc", "0"),
        ("cf_857", 99999999999, "2147483647"),
        ("cf_855", "12345.678", "12345.680"),
        ("cf_861", "1234.567", "1234.57"),
        ("cf_861", "1234,56", "1234.00"),
        ("cf_881", "14:05", "14:05:00"),
        ("cf_881", "2:05 PM", "02:05:00"),
        ("email", "not an address", "not an address"),
        ("title", "x" * 60, "x" * 50),
        ("lastname", "  a\x00b", "  a\x00b"),
        ("lastname", "漢字 \U0001f600 end", "漢字 ???? end"),
        ("description", "a\tb\r\nc \\ \"q\" 'a' &amp; <b> ", "a\tb\r\nc \\ \"q\" 'a' &amp; <b> "),
        ("description", "<script>x</script><p>", "&lt;script&gt;x&lt;/script&gt;&lt;p&gt;"),
    ],
)
def test_values_as_they_are_stored(api: Api, field: str, sent: Any, stored: str):
    created = api.contact(**{field: sent})
    assert created[field] == stored
    assert api.ok("retrieve", id=created["id"])[field] == stored


@pytest.mark.parametrize("value", ["1,5", "abc"])
def test_bad_decimal_is_fatal_and_nothing_is_saved(api: Api, value: str):
    before = api.sandbox.count("Contacts")
    element = {"lastname": "x", "assigned_user_id": "19x1", "cf_855": value}
    response = api.write("create", element, elementType="Contacts")
    assert (response.status_code, response.content) == (500, b"")
    assert api.sandbox.count("Contacts") == before


def test_amounts_are_rounded_as_the_user_prefers(fresh: Sandbox):
    assert Api(fresh, "joe").contact(cf_861="1234.567")["cf_861"] == "1234.56"


def test_text_of_three_megabytes(api: Api):
    text = "Longer than a varchar. " * 130_000
    assert api.contact(description=text)["description"] == text


def test_duplicates_have_the_integer_code_zero(fresh_api: Api):
    expected = (0, "Duplicate(s) detected!")
    again = fresh_api.create_error("Accounts", accountname="societe 000 & FILS ")
    assert again == expected
    assert isinstance(again[0], int)
    element = {"id": "11x2", "accountname": "Société 000 & Fils", "assigned_user_id": "19x1"}
    assert error_of(fresh_api.write("update", element)) == expected
    fresh_api.ok_post("delete", id="11x1")
    assert fresh_api.create("Accounts", accountname="Société 000 & Fils")


def test_record_numbers_are_one_sequence(fresh_api: Api):
    first = fresh_api.contact()
    second = fresh_api.create("Accounts", accountname="New")
    assert int(second["id"][3:]) == int(first["id"][3:]) + 1
    assert first["contact_no"] == "CON131"
    assert second["account_no"] == "ACC3"


def test_creates_in_parallel_get_different_ids(fresh: Sandbox):
    apis = [Api(fresh) for _ in range(4)]
    created: list[str] = []

    def work(api: Api) -> None:
        created.extend(api.contact()["id"] for _ in range(10))

    threads = [threading.Thread(target=work, args=(api,)) for api in apis]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(created)) == 40


def test_times_are_in_the_servers_zone():
    moment = datetime(2026, 7, 1, 10, 0, 0, tzinfo=timezone.utc)
    for zone, hour in (("UTC", "10"), ("Europe/Paris", "12")):
        with Sandbox(dialect="stock", company=small_company(), timezone=zone) as sandbox:
            sandbox.set_time(moment)
            assert Api(sandbox).contact()["modifiedtime"] == f"2026-07-01 {hour}:00:00"
            assert Api(sandbox, "joe").contact()["createdtime"] == f"2026-07-01 {hour}:00:00"


def test_update_needs_all_mandatory_fields_and_keeps_the_others(api: Api):
    created = api.contact(firstname="Kept", cf_857="7")
    error = error_of(api.write("update", {"id": created["id"], "firstname": "x"}))
    assert error == ("MANDATORY_FIELDS_MISSING", "lastname does not have a value")
    changed = api.update(id=created["id"], lastname="New", assigned_user_id="19x1")
    assert (changed["lastname"], changed["firstname"], changed["cf_857"]) == ("New", "Kept", "7")


def test_update_changes_modifiedtime_without_a_change(fresh: Sandbox, fresh_api: Api):
    contact = fresh_api.ok("retrieve", id="12x11")
    fresh.set_time("2026-03-01T10:00:00+00:00")
    first = fresh_api.update(**contact)
    second = fresh_api.update(**contact)
    assert first["modifiedtime"] == second["modifiedtime"] == "2026-03-01 10:00:00"
    times = {"modifiedtime", "modifiedby"}
    assert {n: v for n, v in second.items() if n not in times} == {
        n: v for n, v in contact.items() if n not in times
    }


def test_update_without_the_description_damages_it(fresh_api: Api):
    created = fresh_api.contact(description="é & co")
    base = {"id": created["id"], "lastname": "x", "assigned_user_id": "19x1"}
    seen = []
    for _ in range(2):
        fresh_api.update(**base)
        seen.append(fresh_api.ok("retrieve", id=created["id"])["description"])
    assert seen == ["&eacute; &amp; co", "&amp;eacute; &amp;amp; co"]
    fresh_api.update(**base, description="é & co")
    assert fresh_api.ok("retrieve", id=created["id"])["description"] == "é & co"


def test_update_with_empty_values(api: Api):
    full = {"firstname": "F", "cf_863": "2024-01-01", "cf_855": "1.5", "leadsource": "Other"}
    created = api.contact(**full, account_id="11x1")
    base = {"id": created["id"], "lastname": "x", "assigned_user_id": "19x1"}
    blanked = api.update(**base, **dict.fromkeys(full, ""))
    assert [blanked[name] for name in full] == ["", "", "0.000", ""]
    assert api.update(**base, account_id="")["account_id"] == "11x1"
    assert api.update(**base, account_id=None)["account_id"] == ""
    api.update(**base, account_id="11x1")
    assert api.update(**base, account_id="11x0")["account_id"] == ""


def test_revise_changes_only_fields_that_are_sent(api: Api):
    created = api.contact(firstname="F", description="é", account_id="11x1")
    changed = api.revise(id=created["id"], title="Boss &amp; more")
    assert changed["title"] == "Boss & more"
    assert (changed["firstname"], changed["description"]) == ("F", "é")
    assert api.revise(id=created["id"], account_id="")["account_id"] == ""
    error = error_of(api.write("revise", {"id": created["id"], "lastname": ""}))
    assert error[0] == "MANDATORY_FIELDS_MISSING"


def test_update_of_no_record(api: Api):
    element = {"id": "12x999999", "lastname": "x", "assigned_user_id": "19x1"}
    assert error_of(api.write("update", element)) == DENIED


def test_delete_twice(api: Api):
    created = api.contact()
    assert api.ok_post("delete", id=created["id"]) == {"status": "successful"}
    assert api.error_post("delete", id=created["id"]) == DENIED
    assert api.error("retrieve", id=created["id"]) == DENIED


def test_legacy_update_blanks_what_is_not_sent():
    with Sandbox(dialect="legacy", company=small_company()) as sandbox:
        api = Api(sandbox)
        created = api.contact(firstname="Lost", cf_857="7", description="Lost too")
        changed = api.update(id=created["id"], lastname="New", assigned_user_id="19x1")
        lost = (changed["firstname"], changed["cf_857"], changed["description"])
        assert lost == ("", "0", "")
        assert changed["contact_no"] == created["contact_no"]
        assert changed["createdtime"] == created["createdtime"]


def test_groups_are_created_with_their_raw_key(fresh_api: Api):
    created = fresh_api.create("Groups", groupname="Équipe B", description="x & y")
    number = created["id"].partition("x")[2]
    assert created == {
        "groupid": number,
        "id": f"20x{number}",
        "groupname": "Équipe B",
        "description": "x & y",
    }


def test_document_folders_cannot_be_created(api: Api):
    element = {"foldername": "New", "createdby": "19x1"}
    assert error_of(api.write("create", element, elementType="DocumentFolders")) == (
        "REFERENCE_INVALID",
        "Invalid reference specified for createdby",
    )


def test_untyped_task_is_an_event(fresh_api: Api):
    task = {
        "subject": "Untyped",
        "date_start": "2026-01-15",
        "time_start": "10:00",
        "due_date": "2026-01-15",
        "taskstatus": "Planned",
    }
    created = fresh_api.create("Calendar", **task)
    assert created["id"].startswith("9x")
    assert fresh_api.query("SELECT id FROM Calendar WHERE subject = 'Untyped';") == []
    assert len(fresh_api.query("SELECT id FROM Events WHERE subject = 'Untyped';")) == 1
    fresh_api.create("Calendar", **task | {"subject": "Typed", "activitytype": "Task"})
    assert len(fresh_api.query("SELECT id FROM Calendar WHERE subject = 'Typed';")) == 1


def test_comment_changes_modifiedtime_of_its_record(fresh: Sandbox, fresh_api: Api):
    fresh.set_time("2026-03-01T10:00:00+00:00")
    fresh_api.create("ModComments", commentcontent="Hello", related_to="12x11")
    fresh_api.contact(account_id="11x1")
    read = fresh_api.ok("retrieve", id="12x11")
    assert read["modifiedtime"] == "2026-03-01 10:00:00"
    account = fresh_api.ok("retrieve", id="11x1")
    assert account["modifiedtime"] == "2026-01-01 08:00:00"  # a new contact does not touch it


def test_products_are_retrieved_with_taxes_and_prices(api: Api):
    product = api.ok("retrieve", id="14x3")
    extras = ("tax1", "currency1", "currency_id", "currency2")
    assert [product[name] for name in extras] == ["20.000", 199.99, "21x1", 0]
    assert "tax2" not in product


def test_option_update_blanks():
    with Sandbox(company=small_company(), update_blanks=True) as sandbox:
        api = Api(sandbox)
        created = api.contact(firstname="Lost")
        changed = api.update(id=created["id"], lastname="New", assigned_user_id=api.me)
        assert changed["firstname"] == ""


def test_actors_and_inactive_users_are_not_found(api: Api):
    for wire_id in ("19x6", "20x99", "21x99"):
        assert api.error("retrieve", id=wire_id)[0] == "RECORD_NOT_FOUND"
