from __future__ import annotations

from typing import Any

import pytest
from sandbox_api import Api, error_of, result_of, small_company

from kafinea_sandbox import Sandbox

HEAD = {
    "subject": "Inv 1",
    "account_id": "11x1",
    "bill_street": "1 rue A",
    "ship_street": "1 rue A",
    "productid": "14x3",
    "hdnTaxType": "group",
}
PRODUCT = {"productid": "14x3", "quantity": "2", "listprice": "100"}
SERVICE = {"productid": "26x4", "quantity": "1.5", "listprice": "50", "discount_percent": "10"}


def invoice(api: Api, *lines: dict, **head: Any) -> dict:
    return api.create("Invoice", **HEAD | head, LineItems=list(lines))


def read(api: Api, created: dict) -> dict:
    return api.ok("retrieve", id=created["id"])


def test_create_needs_lines_with_products(api: Api):
    head = {name: value for name, value in HEAD.items() if name != "productid"}
    missing = ("MANDATORY_FIELDS_MISSING", "productid does not have a value")
    assert api.create_error("Invoice", **head) == missing
    for lines in ({}, {"LineItems": []}):
        error = api.create_error("Invoice", **HEAD, **lines)
        assert error == ("MANDATORY_FIELDS_MISSING", "Mandatory Fields Missing..")


def test_lines_sent_as_text_or_object(api: Api):
    assert api.create("Invoice", **HEAD, LineItems="[{}]")["LineItems"] == []
    element = HEAD | {"assigned_user_id": "19x1", "LineItems": {"productid": "14x3"}}
    assert api.write("create", element, elementType="Invoice").status_code == 500


def test_totals_with_a_group_tax(api: Api):
    created = invoice(api, PRODUCT, SERVICE)
    assert next(iter(created)) == "id"
    assert created["hdnSubTotal"] == created["hdnGrandTotal"] == created["pre_tax_total"] == 267.5
    taxed = invoice(api, PRODUCT | {"tax1": "20"}, SERVICE | {"tax1": "20"}, tax1="99")
    assert (taxed["hdnSubTotal"], taxed["hdnGrandTotal"]) == (267.5, 321)


def test_totals_with_individual_taxes(api: Api):
    lines = (PRODUCT | {"tax1": "20"}, SERVICE | {"tax2": "15"})
    created = invoice(api, *lines, hdnTaxType="individual")
    assert created["hdnSubTotal"] == 307.5  # the service is subject to no tax
    untaxed = invoice(api, PRODUCT, hdnTaxType="individual")
    assert untaxed["hdnSubTotal"] == 240  # the product's own tax
    assert untaxed["LineItems"][0]["tax1"] == "20.000"


def test_totals_that_are_sent_are_ignored(api: Api):
    created = invoice(
        api,
        PRODUCT,
        hdnSubTotal="1",
        hdnGrandTotal="2",
        pre_tax_total="3",
        hdnDiscountAmount="50",
        txtAdjustment="5",
        received="100",
    )
    stored = read(api, created)
    names = ("hdnSubTotal", "pre_tax_total", "hdnGrandTotal", "balance")
    assert [stored[name] for name in names] == [
        *("200.00000000", "150.00000000", "155.00000000", "55.00000000")
    ]


def test_balance_in_the_answer_of_create_is_stale(api: Api):
    created = invoice(api, PRODUCT)
    assert created["balance"] == "0.00000000"
    assert read(api, created)["balance"] == "200.00000000"


def test_answer_types_of_create_and_retrieve(api: Api):
    created = invoice(api, PRODUCT)
    assert (created["new"], created["productid"], created["shipping_&_handling"]) == (
        True,
        None,
        None,
    )
    assert created["shipping_&_handling_shtax1"] == 0
    assert isinstance(created["hdnSubTotal"], int)
    stored = read(api, created)
    assert stored["hdnSubTotal"] == "200.00000000"
    assert stored["productid"] == "14x3"
    assert "new" not in stored
    assert stored["LineItems_FinalDetails"]["1"]["final_details"]["hdnSubTotal"] == "200.00"
    line = stored["LineItems"][0]
    assert (line["parent_id"], line["quantity"], line["listprice"]) == (
        *("7xArray", "2.000", "100.00000000"),
    )
    assert (line["product_name"], line["entity_type"]) == ("&Eacute;cran 27&quot;", "Products")
    assert (line["deleted"], line["id"][:3]) == ("0", "33x")


def test_lines_with_missing_fields_get_defaults(api: Api):
    lines = ({"productid": "14x3"}, {"productid": "14x999", "quantity": "1", "listprice": "2"})
    first, second = invoice(api, *lines)["LineItems"]
    assert (first["quantity"], first["listprice"]) == ("0.000", "199.99000000")
    assert second["productid"] == ""


def test_line_ids_are_reused(fresh_api: Api):
    created = invoice(fresh_api, PRODUCT, SERVICE)
    other = invoice(fresh_api, PRODUCT)
    ids = [line["id"] for line in created["LineItems"]]
    element = {"id": created["id"], "assigned_user_id": "19x1", **HEAD, "LineItems": [PRODUCT]}
    changed = fresh_api.update(**element)
    assert [line["id"] for line in changed["LineItems"]] != ids[:1]
    freed = changed["LineItems"][0]["id"]
    fresh_api.ok_post("delete", id=created["id"])
    assert invoice(fresh_api, PRODUCT)["LineItems"][0]["id"] == freed
    assert other["LineItems"][0]["id"] != freed


def test_update_without_lines_echoes_and_keeps_them(api: Api):
    created = invoice(api, PRODUCT, SERVICE)
    element = HEAD | {"id": created["id"], "assigned_user_id": "19x1", "subject": "New"}
    assert api.update(**element) == element
    stored = read(api, created)
    assert stored["subject"] == "New"
    assert [line["id"] for line in stored["LineItems"]] == [
        line["id"] for line in created["LineItems"]
    ]
    del element["productid"]
    error = error_of(api.write("update", element))
    assert error == ("MANDATORY_FIELDS_MISSING", "productid does not have a value")


def test_revise_keeps_the_lines(api: Api):
    created = invoice(api, PRODUCT)
    changed = api.revise(id=created["id"], subject="Revised")
    assert changed["subject"] == "Revised"
    assert len(changed["LineItems"]) == 1


def test_update_with_a_whole_retrieved_record_is_fatal(api: Api):
    stored = read(api, invoice(api, PRODUCT, SERVICE))
    response = api.write("update", stored)
    assert (response.status_code, response.content) == (500, b"")
    assert read(api, stored) == stored
    cleaned = {name: value for name, value in stored.items() if value not in ("", None)}
    for name in ("label", "LineItems_FinalDetails"):
        del cleaned[name]
    assert result_of(api.write("update", cleaned))["hdnSubTotal"] == "267.50000000"


def test_lines_by_query(fresh_api: Api):
    created = invoice(fresh_api, PRODUCT | {"comment": "é & <b>"}, SERVICE)
    text = f"SELECT * FROM LineItem WHERE parent_id = '{created['id']}';"
    rows = fresh_api.query(text)
    assert [(row["parent_id"], row["productid"]) for row in rows] == [
        (created["id"], "14x3"),
        (created["id"], "26x4"),
    ]
    assert rows[0]["comment"] == "é & <b>"
    fresh_api.ok_post("delete", id=created["id"])
    assert fresh_api.query(text) == []


def test_query_shows_the_last_line_in_fields_of_the_record(api: Api):
    created = invoice(api, PRODUCT, SERVICE, hdnDiscountPercent="5")
    row = api.query(f"SELECT * FROM Invoice WHERE id = '{created['id']}';")[0]
    assert (row["productid"], row["quantity"], row["discount_percent"]) == (
        *("26x4", "1.500", "10.000"),
    )
    assert not {"hdnDiscountPercent", "hdnDiscountAmount", "LineItems"} & set(row)
    names = list(row)
    assert names.index("discount_percent") == names.index("hdnTaxType") + 1
    text = f"SELECT hdnDiscountPercent FROM Invoice WHERE id = '{created['id']}';"
    assert api.query(text)[0]["discount_percent"] == "5.000"


@pytest.mark.parametrize(("dialect", "sizes"), [("stock", [34, 18, 0]), ("frevo", [100, 50, 0])])
def test_query_pages_are_short_before_the_end(dialect: str, sizes: list[int]):
    with Sandbox(dialect=dialect, company=small_company()) as sandbox:
        api = Api(sandbox)
        for number in range(50):
            parent = sandbox.insert("Invoice", {"subject": f"I{number}"})
            for _ in range(2 + number % 3):
                sandbox.insert("LineItem", {"parent_id": parent, "quantity": "1.000"})
        sandbox.insert("Invoice", {"subject": "without lines"})
        assert api.query("SELECT count(*) FROM Invoice;") == [{"count": "51"}]
        pages = [
            api.column(f"SELECT * FROM Invoice ORDER BY id LIMIT {offset},100;")
            for offset in (0, 100, 200)
        ]
        seen = [wire_id for page in pages for wire_id in page]
        assert len(set(seen)) == 51
        assert len(api.query("SELECT id, subject FROM Invoice ORDER BY id LIMIT 100;")) == 51
        assert [len(page) for page in pages] == sizes


def test_line_item_writes_damage_the_record(fresh_api: Api):
    created = invoice(fresh_api, PRODUCT, SERVICE)
    first, second = (line["id"] for line in created["LineItems"])
    assert fresh_api.post("delete", id=first).status_code == 500
    element = {"id": second, "quantity": "5", "productid": "14x3"}
    assert error_of(fresh_api.write("update", element))[0] == "RECORD_NOT_FOUND"
    assert read(fresh_api, created)["LineItems"] == []
    line = PRODUCT | {"parent_id": created["id"]}
    result_of(fresh_api.write("create", line, elementType="LineItem"))
    assert read(fresh_api, created)["hdnSubTotal"] == "267.50000000"


def test_unknown_owner_leaves_an_invoice_without_lines(fresh_api: Api):
    element = HEAD | {"subject": "Ghost", "assigned_user_id": "19x999", "LineItems": [PRODUCT]}
    response = fresh_api.write("create", element, elementType="Invoice")
    assert response.text == "Sorry! Attempt to access restricted file."
    ghost = fresh_api.query("SELECT * FROM Invoice WHERE subject = 'Ghost';")
    assert [(row["assigned_user_id"], row["quantity"]) for row in ghost] == [("999", "")]
