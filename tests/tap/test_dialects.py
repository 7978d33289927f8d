"""Servers of the family that go their own way: a default run brings every record, and ends well."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from kafinea.dividing import FAILURES_AT_FIRST
from kafinea_sandbox import Sandbox
from tests.conftest import DIALECTS
from tests.tap.running import discover, extract
from tests.tap.test_line_items import company, invoices, run_with_failure, sent


def streams(output):
    return {message["stream"] for message in output.messages if message["type"] == "SCHEMA"}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_default_run_extracts_every_record_on_every_server(dialect, caplog):
    with Sandbox(dialect=dialect, rows=300, custom=True) as sandbox:
        product = sandbox.rows("Products")[0]["id"]
        with_lines = [{"productid": product, "quantity": "2"}] * 2
        own = {"Equipment", "InventoryDetails"} & sandbox.instance.tables.keys()
        made = {name: [sandbox.insert(name, values) for values in with_lines] for name in own}
        output = extract(sandbox)
        # The one comes with the documents, the other refuses its own key.
        hidden = sandbox.instance.dialect.unreachable | {"LineItem", "ProductTaxes"}
        assert streams(output) == sandbox.instance.tables.keys() - hidden
        for module in streams(output) - {"Users"}:  # inactive ones are not shown
            assert output.ids(module) == [row["id"] for row in sandbox.rows(module)], module
        for name, ids in made.items():
            records = output.records(name)[-2:]
            assert [one["id"] for one in records] == ids
            assert [(one["productid"], one["quantity"]) for one in records] == [(product, 2)] * 2
            assert "LineItems" not in records[0]
        assert not [one for one in caplog.records if one.levelname == "ERROR"]


# Lines under a key of the document


def test_lines_from_retrieve_have_the_fields_of_the_server():
    with Sandbox(dialect="corebos", company=company((2, 0, 101))) as sandbox:
        found = invoices(sandbox)
        assert [len(record["LineItems"]) for record in found] == [2, 0, 101]
        product = sandbox.instance.tables["Products"].wire_id(1001)
        assert found[0]["LineItems"][1] == {
            "sequence_no": 2,
            "productid": "1001",
            "wsproductid": product,
            "linetype": "Products",
            "comment": "é & <b>",
            "qty": 2,
            "listprice": Decimal("19.99"),
            "discount": True,
            "discount_type": "amount",
            "discount_percentage": 0,
            "discount_amount": Decimal("0.01"),
        }
        (stream,) = discover(sandbox, modules=["Invoice"])["streams"]
        fields = stream["schema"]["properties"]["LineItems"]["items"]["properties"]
        assert fields.keys() == found[0]["LineItems"][0].keys()
        assert fields["qty"]["type"] == ["number", "null"]


@pytest.mark.parametrize("line_id", [None, "5", 5])
def test_lines_need_no_id(line_id):
    with Sandbox(dialect="corebos", company=company((1, 1))) as sandbox:
        first = sandbox.rows("Invoice")[0]["id"]
        lines = [{"id": line_id, "comment": comment} for comment in ("one", "two")]
        body = json.dumps({"success": True, "result": {"id": first, "pdoInformation": lines}})
        sandbox.faults.add("status", operation="retrieve", contains=first, status=200, body=body)
        found = invoices(sandbox)
        assert [line["comment"] for line in found[0]["LineItems"]] == ["one", "two"]
        assert len(found) == 2


@pytest.mark.parametrize("setting", ["embed", "off"])
def test_documents_without_lines_are_extracted_and_the_setting_is_named(setting, caplog):
    with Sandbox(dialect="corebos", company=company((0, 0, 0))) as sandbox:
        found = invoices(sandbox, line_items=setting)
        assert [record["subject"] for record in found] == ["0 lines"] * 3
        assert [record.get("LineItems") for record in found] == [
            [] if setting == "embed" else None
        ] * 3
        said = [line for line in caplog.messages if "without lines" in line]
        assert len(said) == (setting == "embed")
        assert all("set `line_items` to `off`" in line for line in said)


# What it costs


@pytest.mark.parametrize("dialect", DIALECTS)
def test_documents_retrieved_for_lines_are_logged_once_with_the_setting(dialect, caplog):
    caplog.set_level("INFO")
    with Sandbox(dialect=dialect, company=company([1] * 30)) as sandbox:
        invoices(sandbox)
        assert len(sent(sandbox, "retrieve")) == 30
        (line,) = [line for line in caplog.messages if "one at a time" in line]
        assert line.startswith(
            "Invoice: 30 documents are retrieved one at a time, which takes about "
        )
        (stream,) = discover(sandbox, modules=["Invoice"])["streams"]
        avoidable = line.partition("deselect ")[2].rstrip(".").split(", ")
        for entry in stream["metadata"]:
            if entry["breadcrumb"] and entry["breadcrumb"][1] in avoidable:
                entry["metadata"]["selected"] = False
        caplog.clear()
        sandbox.requests.clear()
        invoices(sandbox, catalog={"streams": [stream]})
        assert not sent(sandbox, "retrieve")
        assert not [line for line in caplog.messages if "one at a time" in line]


@pytest.mark.parametrize("has_discounts", [True, False])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_documents_are_not_retrieved_where_queries_give_discounts(dialect, has_discounts):
    with Sandbox(dialect=dialect, company=company([1] * 12)) as sandbox:
        if not has_discounts:
            sandbox.sql("UPDATE Invoice SET hdnDiscountAmount = NULL")
        found = invoices(sandbox, line_items="off")
        amount = Decimal("3.10000000") if has_discounts else None
        assert [record["hdnDiscountAmount"] for record in found] == [None, amount] * 6
        is_proven = dialect == "corebos" and has_discounts
        assert len(sent(sandbox, "retrieve")) == (1 if is_proven else 12)


def test_discount_that_differs_between_query_and_retrieve_is_no_proof():
    with Sandbox(dialect="corebos", company=company([1] * 12)) as sandbox:
        (first,) = [row["id"] for row in sandbox.rows("Invoice") if row["id"].endswith("x2002")]
        answer = {"id": first, "hdnDiscountAmount": "3.20"}
        body = json.dumps({"success": True, "result": answer})
        sandbox.faults.add("status", operation="retrieve", status=200, body=body)
        found = invoices(sandbox, line_items="off")
        assert [record["hdnDiscountAmount"] for record in found] == [None, Decimal("3.1")] * 6
        assert len(sent(sandbox, "retrieve")) == 1 + 12


@pytest.mark.parametrize(
    ("lost", "retrieved"), [(None, 2), ("id", 1), ("hdnDiscountPercent", 1)], ids=str
)
def test_discount_amount_in_queries_is_no_proof_for_percentages(lost, retrieved):
    with Sandbox(dialect="corebos", company=company([1] * 12)) as sandbox:
        one = sandbox.rows("Invoice")[2]["id"]
        sandbox.change("Invoice", one, {"hdnDiscountPercent": "10"})
        answer = {"id": one, "hdnDiscountAmount": "0.00", "hdnDiscountPercent": "0.00"}
        answer.pop(lost, None)
        body = json.dumps({"success": True, "result": [answer]})
        sandbox.faults.add("status", contains="hdnDiscountPercent >", status=200, body=body)
        found = invoices(sandbox, line_items="off")
        assert [record["hdnDiscountPercent"] for record in found if record["id"] == one] == [10]
        assert len(sent(sandbox, "retrieve")) == retrieved + 12


def test_document_that_cannot_be_retrieved_is_no_proof():
    with Sandbox(dialect="corebos", company=company([1] * 12)) as sandbox:
        sandbox.faults.add("die", operation="retrieve", contains="x2002", times=None)
        settings = {"modules": ["Invoice"], "line_items": "off"}
        output, _ = run_with_failure(sandbox, **settings)
        assert len(output.records("Invoice")) == 12
        assert len(sent(sandbox, "retrieve")) <= 12 + 2 * FAILURES_AT_FIRST + 1


# The module of the lines, which has no modifiedtime


@pytest.mark.parametrize(
    ("settings", "is_read"),
    [
        ({}, False),
        ({"modules": ["Invoice", "Line*"]}, False),
        ({"modules": ["Invoice", "LineItem"]}, True),
        ({"modules": ["Line*"]}, True),
        ({"line_items": "off"}, True),
    ],
)
def test_lines_are_read_once_with_or_without_their_documents(sandbox, settings, is_read):
    output = extract(sandbox, **settings)
    assert bool(output.ids("LineItem")) == is_read
    catalog = discover(sandbox, **settings)
    (lines,) = [one for one in catalog["streams"] if one["tap_stream_id"] == "LineItem"]
    (of_stream,) = [one for one in lines["metadata"] if not one["breadcrumb"]]
    assert of_stream["metadata"]["selected-by-default"] is is_read
    of_stream["metadata"]["selected"] = True
    output = extract(sandbox, catalog={"streams": [lines]}, **settings)
    assert output.ids("LineItem") == [row["id"] for row in sandbox.rows("LineItem")]
