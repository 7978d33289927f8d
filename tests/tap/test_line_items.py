"""Documents and their lines: every line with its document, once, to the cent, on every server."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from decimal import Decimal

import pytest

from kafinea.extract.line_items import Documents
from kafinea.page_query import number
from kafinea.recovery import Recovery
from kafinea_sandbox import Sandbox
from kafinea_sandbox.company import settings as demo_settings
from kafinea_sandbox.operations.table import OPERATIONS
from kafinea_sandbox.rows import Row
from tests import conftest
from tests.conftest import connect
from tests.tap import running
from tests.tap.running import discover, extract

# coreBOS has no module of lines: see test_other_servers.py.
DIALECTS = [name for name in conftest.DIALECTS if name != "corebos"]
DOCUMENTS = ("Quotes", "SalesOrder", "PurchaseOrder", "Invoice", "CreditNotes")
HEADER_DISCOUNTS = {"hdnDiscountAmount", "hdnDiscountPercent"}
SIZES = (0, 1, 99, 100, 101, 250)


def is_retrieved(name):
    return name in HEADER_DISCOUNTS or "&" in name


def by_queries(sandbox, *modules, without=is_retrieved):
    """A catalog without the fields that only `retrieve` gives."""
    catalog = discover(sandbox, modules=list(modules))
    for stream in catalog["streams"]:
        for entry in stream["metadata"]:
            if entry["breadcrumb"] and without(entry["breadcrumb"][1]):
                entry["metadata"]["selected"] = False
    return catalog


def sent(sandbox, contains=""):
    """What was asked: `retrieve`, and the texts of queries."""
    asked = [
        request.params.get("query", request.operation)
        for request in sandbox.requests
        if request.operation in {"query", "retrieve"}
    ]
    return [text for text in asked if contains in text]


def truth(sandbox, module):
    """The lines of each document in the database, in their order, by the document's id."""
    table = sandbox.instance.tables[module]
    lines = defaultdict(list)
    rows = sandbox.sql("SELECT * FROM LineItem ORDER BY CAST(sequence_no AS INT), _number")
    for row in rows:
        lines[f"{table.prefix}x{row['parent_id']}"].append(row)
    return lines


def assert_lines(sandbox, module, records):
    wanted = truth(sandbox, module)
    prefix = sandbox.instance.tables["LineItem"].prefix
    assert [r["id"] for r in records] == [row["id"] for row in sandbox.rows(module)]
    for record in records:
        lines = wanted[record["id"]]
        assert [line["id"] for line in record["LineItems"]] == [
            f"{prefix}x{line['_number']}" for line in lines
        ]
        for line, row in zip(record["LineItems"], lines, strict=True):
            assert line["parent_id"] == record["id"]
            assert line["sequence_no"] == int(row["sequence_no"])
            assert line["productid"].partition("x")[2] == str(row["productid"])
            assert (line["comment"] or "") == row["comment"]
            for name in ("quantity", "listprice", "discount_percent", "discount_amount", "tax1"):
                assert str(line[name]) == str(Decimal(row[name]))


def company(sizes=SIZES):
    """The items of a company whose invoices have so many lines, some stored in another order."""
    yield from demo_settings.rows()
    yield Row("Products", 1001, {"productname": "Desk", "assigned_user_id": 1})
    first = 1
    for n, size in enumerate(sizes):
        invoice = 2001 + n
        yield Row(
            "Invoice",
            invoice,
            {
                "subject": f"{size} lines",
                "assigned_user_id": 1,
                "modifiedtime": f"2026-01-{5 + n % 20:02d} 08:00:00",
                "hdnDiscountAmount": "3.10000000" if n % 2 else None,
            },
        )
        for place in range(size):
            yield Row(
                "LineItem",
                first + place,
                {
                    "parent_id": invoice,
                    "productid": 1001,
                    "sequence_no": str(size - place if n % 2 else place + 1),
                    "quantity": f"{place + 1}.000",
                    "listprice": "19.99000000",
                    "discount_percent": "0.000",
                    "discount_amount": "0.01000000",
                    "comment": "é & <b>" if place % 3 else "",
                    "tax1": "20.000",
                },
            )
        first += size


@pytest.fixture(params=DIALECTS)
def any_sandbox(request):
    with Sandbox(dialect=request.param, rows=300) as sandbox:
        yield sandbox


@pytest.fixture(params=DIALECTS)
def shop(request):
    with Sandbox(dialect=request.param, company=company()) as sandbox:
        yield sandbox


AS_MOST = {"page_size": 100}
"""Servers that give more at once need fewer requests."""


def invoices(sandbox, **more):
    return extract(sandbox, **{"modules": ["Invoice"], **AS_MOST, **more}).records("Invoice")


# What comes


def test_documents_have_their_lines_typed_and_in_order(any_sandbox):
    modules = [name for name in DOCUMENTS if name in any_sandbox.instance.tables]
    output = extract(any_sandbox, modules=modules)
    lines = 0
    for module in modules:
        assert_lines(any_sandbox, module, output.records(module))
        lines += sum(len(record["LineItems"]) for record in output.records(module))
    assert lines > 100


def test_lines_of_queries_equal_those_of_retrieve(any_sandbox):
    retrieved = invoices(any_sandbox)
    any_sandbox.requests.clear()
    queried = invoices(any_sandbox, catalog=by_queries(any_sandbox, "Invoice"))
    assert not sent(any_sandbox, "retrieve")
    for record in retrieved:
        for name in [name for name in record if is_retrieved(name)]:
            del record[name]
    assert queried == retrieved
    assert len(queried) > 5


def test_lines_are_complete_whatever_their_number(shop):
    assert_lines(shop, "Invoice", invoices(shop))
    shop.requests.clear()
    assert_lines(shop, "Invoice", invoices(shop, catalog=by_queries(shop, "Invoice")))
    assert not sent(shop, "retrieve")
    count, *pages = sent(shop, "FROM LineItem")
    assert count.startswith("SELECT count(*)")
    assert len(pages) == 6  # 551 lines


@pytest.mark.parametrize(("page_size", "retrieves"), [(3, True), (3, False), (1000, False)])
def test_lines_are_complete_with_any_page_size_and_several_sessions(shop, page_size, retrieves):
    catalog = None if retrieves else by_queries(shop, "Invoice")
    shop.requests.clear()
    found = invoices(shop, catalog=catalog, page_size=page_size, max_sessions=8)
    assert_lines(shop, "Invoice", found)
    assert len(sent(shop, "retrieve")) == (len(SIZES) if retrieves else 0)


@pytest.mark.parametrize(("dialect", "sessions"), [("kafinea", 1), ("kafinea", 8), ("legacy", 8)])
def test_documents_are_retrieved_once(dialect, sessions):
    sizes = [number % 4 for number in range(250)]
    with Sandbox(dialect=dialect, company=company(sizes)) as sandbox:
        assert_lines(sandbox, "Invoice", invoices(sandbox, max_sessions=sessions))
        assert len(sent(sandbox, "retrieve")) == 250
        sandbox.requests.clear()
        catalog = by_queries(sandbox, "Invoice")
        found = invoices(sandbox, max_sessions=sessions, catalog=catalog)
        assert_lines(sandbox, "Invoice", found)
        assert not sent(sandbox, "retrieve")
        of_lines = sent(sandbox, "FROM LineItem")
        # A hundred documents (98, when they are read ahead) have 150 lines; the last have fewer.
        assert len([text for text in of_lines if "count(*)" in text]) == 3
        assert len(of_lines) == 2 * 3 + 2


def test_line_query_fits_into_a_url(shop):
    invoices(shop, catalog=by_queries(shop, "Invoice"))
    assert all(len(request.params.get("query", "")) < 7000 for request in shop.requests)


def test_schema_has_each_field_of_a_line_with_its_type(sandbox):
    (stream,) = discover(sandbox, modules=["Invoice"])["streams"]
    lines = stream["schema"]["properties"]["LineItems"]
    fields = lines["items"]["properties"]
    assert lines["type"] == ["array", "null"]
    assert fields["quantity"]["type"] == ["number", "null"]
    assert fields["sequence_no"]["type"] == ["integer", "null"]
    assert "Products" in fields["productid"]["description"]
    assert next(iter(fields)) == "id"
    assert fields["id"] == {"type": "string", "description": "LineItem id, such as 12x34"}
    assert {"productid", "quantity"}.isdisjoint(stream["schema"]["properties"])


# Discounts and charges of the header


@pytest.mark.parametrize("dialect", DIALECTS)
def test_header_discounts_are_right_where_totals_do_not_show_them(dialect):
    with Sandbox(dialect=dialect, rows=300) as sandbox:
        stale = sandbox.rows("Invoice")[0]["id"]
        with connect(sandbox) as client:  # as any program may
            element = client.retrieve(stale)
            before = element["pre_tax_total"]
            kept = {n: v for n, v in element.items() if v not in ("", None)}
            del kept["LineItems"], kept["LineItems_FinalDetails"]
            client.update("Invoice", {**kept, "hdnDiscountPercent": "2.5"})
            assert client.retrieve(stale)["pre_tax_total"] == before
        found = {record["id"]: record for record in invoices(sandbox)}
        assert found[stale]["hdnDiscountPercent"] == Decimal("2.5")
        for row in sandbox.rows("Invoice"):
            for name in HEADER_DISCOUNTS:
                assert found[row["id"]][name] == (Decimal(row[name]) if row[name] else None)
        assert any(record["hdnDiscountAmount"] for record in found.values())


def test_charges_have_their_own_names(sandbox):
    (record, *_) = invoices(sandbox)
    charges = {name: value for name, value in record.items() if "&" in name}
    assert charges == {
        "shipping_&_handling": None,
        **{f"shipping_&_handling_shtax{n}": 0 for n in (1, 2, 3)},
    }


# What is asked


def test_documents_retrieved_need_no_line_query(shop):
    invoices(shop)
    assert len(sent(shop, "retrieve")) == len(SIZES)
    assert not sent(shop, "FROM LineItem")
    (page, *_) = sent(shop, "ORDER BY id")
    assert page.startswith("SELECT id FROM Invoice")


@pytest.mark.parametrize(("setting", "deselected"), [("off", ""), ("embed", "LineItems")])
def test_lines_that_are_deselected_are_not_requested(shop, setting, deselected):
    def unwanted(name):
        return is_retrieved(name) or name == deselected

    catalog = by_queries(shop, "Invoice", without=unwanted)
    shop.requests.clear()
    found = invoices(shop, catalog=catalog, line_items=setting)
    assert len(found) == len(SIZES)
    assert "LineItems" not in found[0]
    assert not sent(shop, "LineItem")
    assert not sent(shop, "retrieve")


def test_header_discounts_are_extracted_without_lines(shop):
    found = invoices(shop, line_items="off")
    assert [record["hdnDiscountAmount"] for record in found] == [None, Decimal("3.10000000")] * 3
    assert "LineItems" not in found[0]
    assert len(sent(shop, "retrieve")) == len(SIZES)


def test_catalog_is_enough_for_a_run_with_lines(shop):
    catalog = discover(shop, modules=["Invoice"])
    shop.requests.clear()
    assert_lines(shop, "Invoice", invoices(shop, catalog=catalog))
    assert not {"listtypes", "describe"} & {request.operation for request in shop.requests}


def test_catalog_without_lines_still_works(shop):
    catalog = discover(shop, modules=["Invoice"])
    properties = catalog["streams"][0]["schema"]["properties"]
    for name in [name for name in properties if is_retrieved(name) or name == "LineItems"]:
        del properties[name]
    catalog["streams"][0]["metadata"] = [
        entry
        for entry in catalog["streams"][0]["metadata"]
        if not entry["breadcrumb"] or entry["breadcrumb"][1] in properties
    ]
    shop.requests.clear()
    found = invoices(shop, catalog=catalog)
    assert len(found) == len(SIZES)
    assert found[0].keys() == properties.keys()
    assert not sent(shop, "LineItem")
    assert not sent(shop, "retrieve")


def test_lines_of_unchanged_documents_are_not_requested_again(shop):
    catalog = by_queries(shop, "Invoice")
    first = extract(shop, modules=["Invoice"], catalog=catalog, **AS_MOST)
    _, changed, *_, newest = first.ids("Invoice")
    shop.change("Invoice", changed, {"subject": "New"})
    shop.requests.clear()
    again = extract(shop, modules=["Invoice"], catalog=catalog, state=first.state, **AS_MOST)
    assert again.ids("Invoice") == [changed, newest]  # the newest may have had company
    asked = sent(shop, "FROM LineItem")
    assert len(asked) == 1 + 3  # 251 lines, counted
    assert all(f"parent_id IN ('{changed}','{newest}')" in text for text in asked)


# When something goes wrong


@pytest.mark.parametrize("shop", ["kafinea", "legacy"], indirect=True)  # faults of the network
@pytest.mark.parametrize("nth", [1, 4])
@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "empty"},
        {"kind": "empty", "times": 2},
        {"kind": "reset"},
        {"kind": "session"},
        {"kind": "status"},
        {"kind": "truncate"},
    ],
)
def test_lines_are_complete_after_a_fault_in_their_query(shop, fault, nth):
    catalog = by_queries(shop, "Invoice")
    ordered = shop.faults.add(operation="query", contains="FROM LineItem", nth=nth, **fault)
    assert_lines(shop, "Invoice", invoices(shop, catalog=catalog, max_sessions=8))
    assert ordered.hits


@pytest.mark.parametrize(
    ("sizes", "most"),
    [((0, 1, 99, 100, 101, 250), 100), ((0, 1, 90), 100), ((0, 1, 40), 50), ((0, 1, 18), 20)],
)
def test_lines_inserted_meanwhile_displace_no_others(monkeypatch, sizes, most):
    """Servers give the ids of lines that are gone to new ones, before those of other documents."""
    query = OPERATIONS["query"]
    with Sandbox(company=company(sizes)) as shop:
        catalog = by_queries(shop, "Invoice")
        shop.sql("UPDATE LineItem SET _number = _number + 1000")

        def grow_when_counted(call):
            answer = query.run(call)
            if "count(*) FROM LineItem" in call.params["query"]:
                for place in range(1, 61):
                    line = shop.insert("LineItem", {"parent_id": "7x2001", "sequence_no": place})
                    shop.sql(
                        "UPDATE LineItem SET _number = ? WHERE _number = ?", (place, number(line))
                    )
            return answer[:most] if "FROM LineItem" in call.params["query"] else answer

        monkeypatch.setitem(OPERATIONS, "query", query._replace(run=grow_when_counted))
        found = {row["id"]: len(row["LineItems"]) for row in invoices(shop, catalog=catalog)}
        wanted = truth(shop, "Invoice")
        assert found == {one: len(wanted[one]) for one in found}


@pytest.mark.parametrize("shop", ["kafinea", "legacy"], indirect=True)
@pytest.mark.parametrize("kind", ["reset", "session", "status", "truncate", "html"])
def test_documents_are_complete_after_a_fault_in_retrieve(shop, kind):
    shop.faults.add(kind, operation="retrieve", nth=3)
    assert_lines(shop, "Invoice", invoices(shop))


@pytest.mark.parametrize("what", ["FROM LineItem", "') ORDER BY id"])
def test_lines_missing_from_queries_are_retrieved(shop, what):
    catalog = by_queries(shop, "Invoice")
    shop.faults.add("empty", operation="query", contains=what, times=None)
    assert_lines(shop, "Invoice", invoices(shop, catalog=catalog))
    assert len(sent(shop, "retrieve")) == len(SIZES)


def test_lines_hidden_from_queries_are_retrieved():
    with Sandbox(company=company(), hidden={"LineItem": [1, 7, 150, 551]}) as sandbox:
        catalog = by_queries(sandbox, "Invoice")
        assert_lines(sandbox, "Invoice", invoices(sandbox, catalog=catalog))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_documents_are_retrieved_without_the_line_module(dialect):
    with Sandbox(dialect=dialect, company=company(), absent=["LineItem"]) as sandbox:
        catalog = by_queries(sandbox, "Invoice")
        fields = catalog["streams"][0]["schema"]["properties"]["LineItems"]["items"]["properties"]
        assert fields["tax1"]["type"] == fields["discount_percent"]["type"] == ["number", "null"]
        found = invoices(sandbox, catalog=catalog)
        assert not sent(sandbox, "FROM LineItem")
        assert next(iter(fields)) == "id"
        assert all(line["id"] for record in found for line in record["LineItems"])
        wanted = truth(sandbox, "Invoice")
        for record in found:
            lines = [(str(line["quantity"]), line["tax1"]) for line in record["LineItems"]]
            assert lines == [(row["quantity"], Decimal(20)) for row in wanted[record["id"]]]


def test_documents_are_retrieved_when_the_line_module_closes_after_discovery(shop):
    catalog = by_queries(shop, "Invoice")
    shop.instance.options = replace(shop.instance.options, absent=["LineItem"])
    assert_lines(shop, "Invoice", invoices(shop, catalog=catalog))
    assert len(sent(shop, "retrieve")) == len(SIZES)


def test_document_deleted_meanwhile_is_left_out(shop):
    first, second, *_ = (row["id"] for row in shop.rows("Invoice"))
    shop.remove("Invoice", first)
    with connect(shop) as client:
        recovery = Recovery(client, "Invoice")
        fields, costly = ["id", "hdnDiscountAmount"], ["hdnDiscountAmount"]
        documents = Documents(client, "Invoice", fields, costly, [], 100, recovery)
        (found,) = documents.complete([{"id": first}, {"id": second}])
    assert found["id"] == second


def run_with_failure(sandbox, **more):
    """What a run gave, and how it failed at its end."""
    output, error = running.extract_through(sandbox, **more)
    return output, str(error)


@pytest.mark.parametrize("kind", ["refused", "status"])
def test_document_that_cannot_be_retrieved_has_the_fields_of_queries(shop, kind, caplog):
    broken = shop.rows("Invoice")[3]["id"]
    refusal = '{"success":false,"error":{"message":"Not for you","code":"ACCESS_DENIED"}}'
    fault = {"status": 200, "body": refusal} if kind == "refused" else {"status": 500}
    shop.faults.add("status", **fault, operation="retrieve", contains=broken, times=None)
    output, message = run_with_failure(shop, modules=["Invoice", "Accounts"])
    assert_lines(shop, "Invoice", output.records("Invoice"))  # its own were queried
    (record,) = (one for one in output.records("Invoice") if one["id"] == broken)
    assert record["subject"] == "100 lines"
    assert {n for n, v in record.items() if is_retrieved(n) and v is None} == {
        name for name in record if is_retrieved(name)
    }
    assert broken in message
    named = [line for line in caplog.messages if broken in line and "hdnDiscountAmount" in line]
    assert len(named) == 1
    assert sent(shop, "FROM Accounts")
    assert output.bookmark("Invoice")["replication_key_value"]
    assert len(sent(shop)) < 60


@pytest.mark.parametrize("kind", ["status", "reset"])
def test_document_that_fails_for_a_moment_is_extracted_whole(kind):
    with Sandbox(company=company((2, 0, 3))) as shop:
        moment = {"status": 500, "times": 2, "contains": shop.rows("Invoice")[2]["id"]}
        ordered = shop.faults.add(kind, operation="retrieve", **moment)
        found = invoices(shop, max_sessions=1)
        assert ordered.hits == 2
        assert_lines(shop, "Invoice", found)
        assert found[2]["shipping_&_handling_shtax1"] == 0  # which only `retrieve` gives


@pytest.mark.parametrize("lines", ["none", ["none"], {"1": {"productid": "1x1"}, "2": []}])
def test_lines_that_are_no_records_are_an_error_and_not_empty(lines, monkeypatch, caplog):
    retrieve = OPERATIONS["retrieve"]
    with Sandbox(company=company((2, 3))) as shop:
        first = shop.rows("Invoice")[0]["id"]

        def answer(call):
            record = retrieve.run(call)
            return record | {"LineItems": lines} if record["id"] == first else record

        monkeypatch.setitem(OPERATIONS, "retrieve", retrieve._replace(run=answer))
        output, message = run_with_failure(shop, modules=["Invoice"])
        assert [
            row["LineItems"] and len(row["LineItems"]) for row in output.records("Invoice")
        ] == [
            None,
            3,
        ]
        assert output.bookmark("Invoice")["unreadable"] == [first]
        assert first in message
        assert "did not return the lines as a list" in caplog.text


@pytest.mark.parametrize("lines", ["none", ["none"], {"1": {"productid": "1x1"}}])
def test_lines_of_any_shape_cost_no_document_where_none_are_wanted(shop, lines, monkeypatch):
    retrieve = OPERATIONS["retrieve"]

    def answer(call):
        return retrieve.run(call) | {"LineItems": lines}

    monkeypatch.setitem(OPERATIONS, "retrieve", retrieve._replace(run=answer))
    assert len(invoices(shop, line_items="off")) == len(shop.rows("Invoice"))


@pytest.mark.parametrize("is_refused", [False, True])
def test_lines_of_no_document_that_was_asked_for_are_not_believed(is_refused, monkeypatch):
    """`7xArray` stands there on some servers; a document that is refused then has its own query."""
    query = OPERATIONS["query"]
    with Sandbox(company=company((2, 3))) as shop:
        catalog = by_queries(shop, "Invoice")
        _, second = (row["id"] for row in shop.rows("Invoice"))

        def answer(call):
            rows = query.run(call)
            text = call.params["query"]
            if "FROM LineItem" in text and "','" in text:
                rows = [row | {"parent_id": "7xArray"} if "id" in row else row for row in rows]
            return rows

        monkeypatch.setitem(OPERATIONS, "query", query._replace(run=answer))
        if is_refused:
            shop.faults.add("html", operation="retrieve", contains=second, times=None)
        found = invoices(shop, catalog=catalog)
        assert_lines(shop, "Invoice", found)
        assert len(sent(shop, "retrieve")) >= 2


@pytest.mark.parametrize("retrieves", [True, False])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_line_larger_than_any_answer_costs_no_other(dialect, retrieves, caplog):
    bad = 40
    with Sandbox(
        dialect=dialect, company=company([2] * 100), unencodable={"LineItem": [bad]}
    ) as shop:
        catalog = None if retrieves else by_queries(shop, "Invoice")
        shop.requests.clear()
        output, message = run_with_failure(shop, catalog=catalog, modules=["Invoice"])
        wanted = truth(shop, "Invoice")
        table = shop.instance.tables["LineItem"]
        records = output.records("Invoice")
        assert [record["id"] for record in records] == [row["id"] for row in shop.rows("Invoice")]
        for record in records:
            ids = [table.wire_id(row["_number"]) for row in wanted[record["id"]]]
            assert sorted(line["id"] for line in record["LineItems"]) == sorted(ids)
            if table.wire_id(bad) in ids:
                at_fault = record
        assert at_fault["id"] in message
        (line,) = [one for one in at_fault["LineItems"] if one["id"] == table.wire_id(bad)]
        assert line["comment"] is None  # its text is what no answer can hold
        assert line["quantity"] == 2
        named = [line for line in caplog.messages if line.startswith("LineItem: ")]
        assert len(named) == 1
        assert table.wire_id(bad) in named[0]
        assert len(sent(shop)) < (100 if retrieves else 0) + 60


@pytest.mark.parametrize("field", ["parent_id", "id"])
def test_line_without_its_document_is_found_among_those_of_all(field, caplog):
    bad = {"LineItem": [1, 6, 10]}
    with Sandbox(company=company([2] * 5), unencodable=bad, unencodable_fields=[field]) as shop:
        catalog = by_queries(shop, "Invoice")
        output, message = run_with_failure(shop, catalog=catalog, modules=["Invoice"])
        table, wanted = shop.instance.tables["LineItem"], truth(shop, "Invoice")
        for record in output.records("Invoice"):
            ids = [table.wire_id(row["_number"]) for row in wanted[record["id"]]]
            assert sorted(line["id"] for line in record["LineItems"]) == sorted(ids)
            assert {line["parent_id"] for line in record["LineItems"]} == {record["id"]}
        at_fault = [output.ids("Invoice")[place] for place in (0, 2, 4)]
        assert output.bookmark("Invoice")["unreadable"] == at_fault
        assert all(one in message for one in at_fault)


@pytest.mark.parametrize("dialect", ["corebos", "legacy"])
def test_document_with_removed_owner_is_extracted_without_owner(dialect, caplog):
    with Sandbox(dialect=dialect, company=company((2, 3))) as sandbox:
        first, second = (row["id"] for row in sandbox.rows("Invoice"))
        sandbox.sql("UPDATE Invoice SET assigned_user_id = 999 WHERE _number = 2001")
        output, message = run_with_failure(sandbox, modules=["Invoice"])
        one, other = output.records("Invoice")
        assert (one["id"], one["subject"], one["assigned_user_id"]) == (first, "2 lines", None)
        assert (other["id"], len(other["LineItems"])) == (second, 3)
        # Where only `retrieve` has the lines, it is not known which there are.
        assert (one["LineItems"] is None) == (dialect == "corebos")
        assert "assigned_user_id" in caplog.text
        assert first in message
        sandbox.sql("UPDATE Invoice SET assigned_user_id = 1 WHERE _number = 2001")
        again = extract(sandbox, state=output.state, modules=["Invoice"])
        (one,) = [record for record in again.records("Invoice") if record["id"] == first]
        assert len(one["LineItems"]) == 2


def test_line_values_of_wrong_type_are_null_and_reported(shop, caplog):
    shop.sql("UPDATE LineItem SET quantity = 'two' WHERE _number = 150")
    found = invoices(shop, catalog=by_queries(shop, "Invoice"))
    quantities = [line["quantity"] for record in found for line in record["LineItems"]]
    assert quantities.count(None) == 1
    assert "Invoice.LineItems.quantity: 1 values do not fit" in caplog.text
    assert "two" not in caplog.text
