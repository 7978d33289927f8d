from __future__ import annotations

import pytest
from sandbox_api import Api, error_of

from kafinea_sandbox import Sandbox

WRONG = ("UNKOWN_ENTITY", "Relation specified is incorrect")
DONE = {"message": "successfull"}


def related(api: Api, query: str, label: str = "Contacts", wire_id: str = "11x1"):
    return api.ok("query_related", query=query, relatedLabel=label, id=wire_id)


def test_relatedtypes_are_keyed_by_label(api: Api):
    answer = api.ok("relatedtypes", elementType="Accounts")
    assert answer["types"].count("Calendar") == 2
    assert answer["information"]["Sales Order"] == {
        "name": "SalesOrder",
        "label": "Sales Order",
        "isEntity": "1",
    }
    assert api.ok("relatedtypes", elementType="SMSNotifier") == {"types": [], "information": []}
    assert api.get("relatedtypes", elementType="Groups").status_code == 500
    assert api.error("relatedtypes", elementType="Nope")[0] == "ACCESS_DENIED"


def test_query_related_has_a_maximum_of_100_rows(api: Api):
    assert len(related(api, "SELECT id FROM Contacts", wire_id="11x2")) == 20
    assert len(related(api, "SELECT id FROM Contacts")) == 100
    assert related(api, "SELECT count(*) FROM Contacts") == [{"count": "100"}]


def test_query_related_with_conditions(api: Api):
    text = "SELECT id FROM Contacts WHERE id > '12x0' ORDER BY id LIMIT 5,3"
    assert related(api, text) == [{"id": "12x16"}, {"id": "12x17"}, {"id": "12x18"}]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("SELECT id FROM Contacts;", "UNKOWN_ENTITY"),
        ("SELECT id FROM Accounts", "UNKOWN_ENTITY"),
        ("SELECT id FROM Contacts where id > '12x0'", "QUERY_SYNTAX_ERROR"),
        ("SELECT id FROM Contacts LIMIT 5", "QUERY_SYNTAX_ERROR"),
        ("SELECT id FROM Contacts ORDER BY id", "QUERY_SYNTAX_ERROR"),
        ("SELECT id FROM Contacts WHERE lastname = 'a WHERE b'", "INTERNAL_SERVER_ERROR"),
    ],
)
def test_query_related_damages_some_queries(api: Api, text: str, code: str):
    assert api.error("query_related", query=text, relatedLabel="Contacts", id="11x1")[0] == code


def test_query_related_with_or_leaks_unrelated_records(api: Api):
    text = "SELECT id FROM Contacts WHERE lastname = 'none' OR lastname LIKE 'Dupont%'"
    assert len(related(api, text, wire_id="11x2")) == 100


def test_query_related_with_a_wrong_label_or_id(api: Api):
    for label in ({}, {"relatedLabel": "Nope"}):
        asked = api.error("query_related", query="SELECT id FROM Contacts", id="11x1", **label)
        assert asked == WRONG
    unknown = api.error(
        "query_related", query="SELECT id FROM Contacts", id="11x9999", relatedLabel="Contacts"
    )
    assert unknown[0] == "ACCESS_DENIED"


def test_query_related_without_related_records(fresh_api: Api):
    lonely = fresh_api.create("Accounts", accountname="Lonely")
    assert related(fresh_api, "SELECT id FROM Contacts", wire_id=lonely["id"]) == []


def test_query_related_works_from_both_sides(api: Api):
    assert related(api, "SELECT id FROM Documents", "Documents") == [{"id": "15x5"}]
    assert related(api, "SELECT id FROM Accounts", "Accounts", "15x5") == [{"id": "11x1"}]


def test_add_related_is_idempotent_and_touches_the_source(fresh: Sandbox, fresh_api: Api):
    fresh.set_time("2026-03-01T10:00:00+00:00")
    for _ in range(2):
        answer = fresh_api.ok_post(
            "add_related",
            sourceRecordId="12x11",
            relatedRecordId="15x5",
            relationIdLabel="Documents",
        )
        assert answer == DONE
    assert related(fresh_api, "SELECT id FROM Documents", "Documents", "12x11") == [{"id": "15x5"}]
    assert fresh_api.ok("retrieve", id="12x11")["modifiedtime"] == "2026-03-01 10:00:00"


@pytest.mark.parametrize(
    "sent",
    [
        {"relatedRecordId": "15x5", "relationIdLabel": "Nope"},
        {"relatedRecordId": "15x999", "relationIdLabel": "Documents"},
        {"sourceRecordId": "11x2", "relatedRecordId": "12x11", "relationIdLabel": "Contacts"},
        {"relatedRecordId": "3x1"},
    ],
)
def test_add_related_reports_success_when_nothing_is_linked(
    fresh: Sandbox, fresh_api: Api, sent: dict
):
    before = fresh.sql("SELECT * FROM _relation")
    assert fresh_api.ok_post("add_related", **{"sourceRecordId": "12x11"} | sent) == DONE
    assert fresh.sql("SELECT * FROM _relation") == before


def test_add_related_ignores_the_documented_label_on_stock(fresh_api: Api):
    sent = {"sourceRecordId": "12x11", "relatedRecordId": "15x5", "relatedLabel": "Nope"}
    fresh_api.ok_post("add_related", **sent)
    assert related(fresh_api, "SELECT id FROM Documents", "Documents", "12x11") == [{"id": "15x5"}]


@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"sourceRecordId": "12x999", "relatedRecordId": "15x5"},
        {"sourceRecordId": "12x11", "relatedRecordId": "99x5"},
    ],
)
def test_add_related_errors(api: Api, sent: dict):
    assert api.error_post("add_related", **sent)[0] == "INTERNAL_SERVER_ERROR"


def test_add_related_accepts_the_documented_label_on_kafinea():
    with Sandbox(rows=300) as sandbox:
        api = Api(sandbox)
        account = sandbox.rows("Accounts")[0]["id"]
        document = sandbox.insert("Documents", {"notes_title": "New"})
        sent = {"sourceRecordId": account, "relatedRecordId": document}
        api.ok_post("add_related", **sent, relatedLabel="Nope")
        before = related(api, "SELECT id FROM Documents", "Documents", account)
        api.ok_post("add_related", **sent, relatedLabel="Documents")
        after = related(api, "SELECT id FROM Documents", "Documents", account)
        assert {"id": document} in after
        assert {"id": document} not in before
        assert (
            error_of(
                api.get(
                    "query_related", id=account, relatedLabel="", query="SELECT id FROM Documents"
                )
            )
            == WRONG
        )
