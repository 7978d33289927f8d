"""What coreBOS does unlike all others."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import datetime

import pytest
from sandbox_api import Api, error_of, md5, result_of, small_company

from kafinea_sandbox import Sandbox

INVOICE = {"subject": "S", "bill_street": "B", "ship_street": "B", "hdnTaxType": "individual"}


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    with Sandbox(dialect="corebos", company=small_company()) as sandbox:
        yield Api(sandbox)


def invoice(api: Api, **more: object) -> dict:
    return api.create("Invoice", **INVOICE | {"account_id": api.id("Accounts", 1)} | more)


def line(api: Api, quantity: int, **more: object) -> dict:
    product = api.id("Products", 3).partition("x")[2]  # a bare number, as retrieve gives it
    return {"productid": product, "qty": quantity, "listprice": "10"} | more


def test_token_is_valid_for_two_hours_and_repeated(api: Api):
    answer = api.ok("getchallenge", username="admin")
    assert answer["expireTime"] - answer["serverTime"] == pytest.approx(7200, abs=60)
    assert api.ok("getchallenge", username="admin")["token"] == answer["token"]


def test_answers_have_the_key_moreinfo(api: Api):
    assert list(api.get("listtypes").json()) == ["success", "result", "moreinfo"]
    assert list(api.get("describe").json()) == ["success", "error", "moreinfo"]
    (row,) = api.query("SELECT count(*) FROM Contacts;")
    assert next(iter(row.items())) == ("count", "130")
    assert len(row) == 2


@pytest.mark.parametrize("sid", ["", "null", "deadbeef123"])
def test_bad_session_is_authentication_required(api: Api, sid: str):
    assert api.error("listtypes", sessionName=sid)[0] == "AUTHENTICATION_REQUIRED"


def test_unknown_and_inactive_users_are_refused(api: Api):
    assert api.error("getchallenge", username="nobody")[0] == "AUTHENTICATION_REQUIRED"
    unknown = api.error_post("login", username="nobody", accessKey="x")
    assert unknown[0] == "AUTHENTICATION_REQUIRED"
    key = api.ok("getchallenge", username="gone")["token"] + api.sandbox.access_key_of("gone")
    inactive = api.error_post("login", username="gone", accessKey=md5(key))
    assert inactive[0] == "AUTHENTICATION_REQUIRED"
    api.ok("getchallenge", username="admin")
    wrong = api.error_post("login", username="admin", accessKey="x")
    assert wrong[0] == "INVALID_USER_CREDENTIALS"


def test_unknown_operation_and_bad_query_are_json_errors(api: Api):
    assert api.error("nope")[0] == "UNKNOWN_OPERATION"
    for refused in ("ORDER BY nope", "ORDER BY cf_855", "LIMIT -1"):
        asked = api.error("query", query=f"SELECT id FROM Contacts {refused};")
        assert asked[0] == "DATABASE_QUERY_ERROR"


def test_ids_have_prefixes_of_their_own(api: Api):
    with Sandbox(dialect="stock", company=small_company()) as sandbox:
        stock = sandbox.instance.tables
    own = api.sandbox.instance.tables
    assert own["Users"].prefix == "19"
    assert own["Contacts"].prefix != stock["Contacts"].prefix
    assert own["Invoice"].prefix != stock["Invoice"].prefix


def test_line_item_is_not_a_module(api: Api):
    assert "LineItem" not in api.ok("listtypes")["types"]
    assert api.error("describe", elementType="LineItem")[0] == "ACCESS_DENIED"
    assert api.error("query", query="SELECT * FROM LineItem;")[0] == "ACCESS_DENIED"
    names = {field["name"] for field in api.ok("describe", elementType="Invoice")["fields"]}
    assert names >= {"hdnTaxType", "hdnGrandTotal", "currency_id"}
    assert not names & {"productid", "quantity", "listprice", "tax1"}


def test_create_accepts_a_record_without_lines(api: Api):
    head = invoice(api)
    shown = api.ok("retrieve", id=head["id"])
    assert shown["subject"] == "S"
    assert not {"LineItems", "pdoInformation"} & set(head.keys() | shown.keys())


def test_retrieve_contains_the_lines(api: Api):
    made = invoice(api, pdoInformation=[line(api, 2), line(api, 3, comment="b")])
    shown = api.ok("retrieve", id=made["id"])
    assert [(one["qty"], one["comment"]) for one in shown["pdoInformation"]] == [
        ("2.000", ""),
        ("3.000", "b"),
    ]
    one = shown["pdoInformation"][0]
    assert one["wsproductid"] == api.id("Products", 3)
    assert (one["linetype"], one["productid"]) == ("Products", "3")
    assert float(shown["hdnSubTotal"]) == 60  # 50, and 20% of the product's own tax
    assert "LineItems" not in shown


@pytest.mark.parametrize("operation", ["update", "revise"])
def test_update_deletes_lines_that_are_not_sent(api: Api, operation: str):
    made = invoice(api, pdoInformation=[line(api, 1), line(api, 2), line(api, 3)])
    whole = made if operation == "update" else {"id": made["id"]}
    result_of(api.write(operation, whole | {"subject": "Kept"}))
    assert len(api.ok("retrieve", id=made["id"])["pdoInformation"]) == 3
    result_of(api.write(operation, whole | {"pdoInformation": [line(api, 2)]}))
    lines = api.ok("retrieve", id=made["id"])["pdoInformation"]
    assert [one["qty"] for one in lines] == ["2.000"]


def test_query_has_the_discounts_of_the_record(api: Api):
    made = invoice(api, hdnDiscountAmount="5", pdoInformation=[line(api, 1, discount=0)])
    (row,) = api.query(f"SELECT * FROM Invoice WHERE id = '{made['id']}';")
    assert float(row["hdnDiscountAmount"]) == 5
    assert "discount_amount" not in row


def test_inventory_details_are_an_entity_without_lines(api: Api):
    described = api.ok("describe", elementType="InventoryDetails")
    assert described["isEntity"]
    assert {"productid", "quantity"} < {field["name"] for field in described["fields"]}
    made = api.create("InventoryDetails", productid=api.id("Products", 3), quantity="2")
    assert "pdoInformation" not in api.ok("retrieve", id=made["id"])


def test_files_have_no_ids(api: Api):
    assert api.sandbox.sql("SELECT * FROM _file WHERE parent = 5")
    document = api.id("Documents", 5)
    assert "imageattachmentids" not in api.ok("retrieve", id=document)
    assert "imageattachmentids" not in api.query("SELECT * FROM Documents;")[0]


def test_retrievedocattachment_returns_the_files_of_documents(api: Api):
    document, link = api.id("Documents", 5), api.id("Documents", 6)
    api.sandbox.change("Documents", 5, {"filelocationtype": "I", "filename": "a.pdf"})
    (content,) = api.sandbox.sql("SELECT content FROM _file WHERE parent = 5")[0].values()

    def given(ids: str, returnfile: str = "1") -> object:
        return result_of(api.post("retrievedocattachment", id=ids, returnfile=returnfile))

    answer = given(f"{document},{link},{api.id('Documents', 999)}")
    assert answer.keys() <= {document, link}
    told = answer[document]
    assert (told["recordid"], told["filename"], told["filesize"]) == ("5", "a.pdf", len(content))
    assert base64.b64decode(told["attachment"]) == content
    assert given(document, returnfile="0")[document]["attachment"] == ""
    assert given(api.id("Documents", 999)) == []


def test_create_sets_missing_dates_to_today(api: Api):
    with Sandbox(dialect="corebos", company=small_company()) as sandbox:
        sandbox.set_time(datetime(2026, 5, 4, 12))
        made = Api(sandbox).contact()
        assert (made["birthday"], made["support_end_date"]) == ("2026-05-04", "2026-05-04")
        sent = Api(sandbox).contact(birthday="1999-12-31")
        assert sent["birthday"] == "1999-12-31"


def test_multipicklists_are_sent_as_text(api: Api):
    element = {"lastname": "x", "assigned_user_id": api.me, "cf_889": ["Alpha", "Beta"]}
    response = api.write("create", element, elementType="Contacts")
    assert (response.status_code, response.content) == (500, b"")
    assert api.contact(cf_889="Alpha |##| Beta")["cf_889"] == "Alpha |##| Beta"


def test_unknown_owner_is_an_error_after_the_create(api: Api):
    users = api.me.partition("x")[0]
    made = {"lastname": "Ownerless", "assigned_user_id": f"{users}x999"}
    error = error_of(api.write("create", made, elementType="Contacts"))
    assert error[0] == "INVALID_ID_ATTRIBUTE"
    assert len(api.query("SELECT id FROM Contacts WHERE lastname = 'Ownerless';")) == 1
