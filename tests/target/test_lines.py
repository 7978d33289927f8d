"""Records with lines: totals are the server's, and equal lines are not written again."""

from __future__ import annotations

import json

import pytest

from kafinea import Client
from kafinea.load.undo import Undo
from kafinea_sandbox.operations.table import OPERATIONS
from kafinea_sandbox.records import lines as stored_lines
from tests.target.running import load, matched, messages, write_requests

LINES_BY_CODE = {
    "account_id": {"module": "Accounts", "match_on": "accountname"},
    "LineItems.productid": [
        {"module": "Products", "match_on": "productcode"},
        {"module": "Services", "match_on": "servicename"},
    ],
}
STREAMS = matched("Invoice", "cf_911", references=LINES_BY_CODE, accept_side_effects=True)
"""Lines of an invoice that change do not move the products' stock; here that is no harm."""


@pytest.fixture
def shop(any_sandbox):
    """A shop on each kind of server."""
    return stocked(any_sandbox)


@pytest.fixture
def one_shop(sandbox):
    """A shop on one server, for what the target decides without it."""
    return stocked(sandbox)


def stocked(sandbox):
    """A company that may be invoiced, a desk at 100 and 20 %, an hour of work at 50 and 10 %."""
    sandbox.insert("Accounts", {"accountname": "ACME"})
    sandbox.insert(
        "Products",
        {"productname": "Desk", "productcode": "D-1", "unit_price": "100", "tax1": "20.000"},
    )
    sandbox.insert("Services", {"servicename": "Hour", "unit_price": "50", "tax2": "10.000"})
    return sandbox


def invoice(*lines, **more):
    record = {
        "cf_911": "F-1",
        "subject": "Order 1",
        "account_id": "ACME",
        "bill_street": "1 rue A",
        "ship_street": "2 rue B",
        "hdnTaxType": "individual",
        "LineItems": list(lines),
    }
    return record | more


DESK = {"productid": "D-1", "quantity": 2, "listprice": 100, "tax1": 20}
HOUR = {
    "productid": "Hour",
    "quantity": 1.5,
    "listprice": 50,
    "discount_percent": 10,
    "tax2": 10,
    "comment": "à l'étage",
}


def upsert(sandbox, *records, **more):
    more.setdefault("streams", STREAMS)
    return load(sandbox, messages("Invoice", *records), **more)


def head(sandbox):
    (row,) = sandbox.rows("Invoice")
    return row


def lines(sandbox):
    return sandbox.sql("SELECT * FROM LineItem ORDER BY CAST(sequence_no AS INTEGER)")


def without(record, *names):
    return {name: value for name, value in record.items() if name not in names}


def test_invoice_is_created_with_lines_and_totals_of_the_server(shop):
    assert upsert(shop, invoice(DESK, HOUR)).tally == {"created": 1}
    desk, hour = lines(shop)
    products = {row["id"].partition("x")[2] for row in shop.rows("Products")}
    assert str(desk["productid"]) in products
    assert (desk["quantity"], desk["listprice"]) == ("2.000", "100.00000000")
    assert (hour["quantity"], hour["comment"]) == ("1.500", "à l'étage")
    # 200 + 20 %, and 75 less 10 % + 10 %
    assert float(head(shop)["hdnGrandTotal"]) == 240 + 74.25


def test_lines_loaded_again_are_not_written(shop):
    record = invoice(DESK, HOUR)
    upsert(shop, record)
    before = lines(shop)
    shop.requests.clear()
    assert upsert(shop, record).tally == {"unchanged": 1}
    assert write_requests(shop) == []
    assert lines(shop) == before


def test_reference_of_a_line_may_be_nested(shop):
    nested = {
        "account_id": LINES_BY_CODE["account_id"],
        "LineItems": {"productid": LINES_BY_CODE["LineItems.productid"]},
    }
    streams = matched("Invoice", "cf_911", references=nested)
    assert upsert(shop, invoice(DESK, HOUR), streams=streams).tally == {"created": 1}
    assert len(shop.sql("SELECT * FROM LineItem")) == 2


@pytest.mark.parametrize(
    "line",
    [
        {"productid": "D-1", "quantity": 2},
        {"productid": "D-1", "quantity": "2.000", "listprice": "100.00"},
        {"productid": "D-1", "quantity": 2, "listprice": 100, "comment": None, "tax1": None},
        {"productid": "D-1", "quantity": 2, "listprice": "", "comment": "", "tax1": ""},
        {"productid": "Hour", "quantity": 1, "discount_amount": 5},
    ],
    ids=["price of the product", "texts", "nulls", "empty texts", "discount"],
)
@pytest.mark.parametrize("taxes", ["individual", "group"])
def test_line_values_left_to_the_server_are_no_difference(shop, line, taxes):
    record = invoice(line, hdnTaxType=taxes)
    assert upsert(shop, record).tally == {"created": 1}
    assert upsert(shop, record).tally == {"unchanged": 1}


def test_header_without_lines_changes_and_the_lines_stay(shop):
    upsert(shop, invoice(DESK, HOUR))
    before, total = lines(shop), head(shop)["hdnGrandTotal"]
    run = upsert(shop, without(invoice(subject="New"), "LineItems"))
    assert run.only["changed"] == ["subject"]
    assert lines(shop) == before
    assert head(shop)["subject"] == "New"
    assert head(shop)["hdnGrandTotal"] == total


def test_lines_that_are_equal_stay_when_the_header_changes(shop):
    upsert(shop, invoice(DESK, HOUR))
    before = lines(shop)
    run = upsert(shop, invoice(DESK, HOUR, subject="New"))
    assert run.only["changed"] == ["subject"]
    assert lines(shop) == before


@pytest.mark.parametrize(
    ("changed", "total"),
    [
        ([DESK | {"quantity": 3}, HOUR], 360 + 74.25),
        ([DESK], 240),
        ([HOUR, DESK], 314.25),
        ([DESK, HOUR, DESK], 480 + 74.25),
        ([DESK | {"comment": "new"}, HOUR], 314.25),
        ([DESK | {"listprice": 99.99}, HOUR], 239.98 + 74.25),
        ([DESK | {"tax1": 0}, HOUR], 200 + 74.25),
        ([DESK | {"productid": "Hour"}, HOUR], None),
    ],
    ids=["quantity", "fewer", "order", "more", "comment", "price", "tax", "product"],
)
def test_lines_that_differ_are_written_and_nothing_else_changes(shop, changed, total):
    upsert(shop, invoice(DESK, HOUR))
    before = head(shop)
    run = upsert(shop, invoice(*changed))
    assert run.only["changed"] == ["LineItems"]
    assert [line["comment"] for line in lines(shop)] == [
        line.get("comment", "") for line in changed
    ]
    if total is not None:
        assert float(head(shop)["hdnGrandTotal"]) == pytest.approx(total, abs=0.005)
    sums = {"hdnSubTotal", "hdnGrandTotal", "pre_tax_total", "balance"}
    assert without(head(shop), *sums, "modifiedtime") == without(before, *sums, "modifiedtime")
    assert upsert(shop, invoice(*changed)).tally == {"unchanged": 1}


def test_line_values_not_in_the_record_stay_when_another_line_changes(shop):
    """An absent field means "leave", in a line too."""
    upsert(shop, invoice(DESK | {"comment": "by the window"}, HOUR))
    first = without(DESK, "listprice", "tax1")
    upsert(shop, invoice(first, HOUR | {"quantity": 2}))
    desk, hour = lines(shop)
    assert (desk["comment"], desk["listprice"]) == ("by the window", "100.00000000")
    assert float(desk["tax1"]) == 20
    assert hour["quantity"] == "2.000"


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("policies", [{}, {"write": {"LineItems": "if_empty"}}])
@pytest.mark.parametrize("contains", ["discount_percent", "{}') ORDER BY"])
def test_lines_that_are_counted_and_do_not_come_are_not_taken_for_none(
    one_shop, contains, policies
):
    """All of them are hidden, or the query of one column fails in SQL."""
    upsert(one_shop, invoice(DESK, HOUR))
    before = lines(one_shop)
    contains = contains.format(head(one_shop)["id"])
    one_shop.faults.add("empty", operation="query", contains=contains, times=None)
    streams = {"Invoice": STREAMS["Invoice"] | policies}
    run = upsert(one_shop, invoice(DESK | {"quantity": 3}), streams=streams, check=False)
    assert run.tally == {"rejected": 1}
    assert "LineItems: the server counts lines of this record but returns none" in run.stderr
    assert lines(one_shop) == before


HEADER = {
    "hdnDiscountAmount": 10,
    "txtAdjustment": -0.25,
    "received": 100,
    "terms_conditions": "30 jours",
    "description": "Été & <b>",
    "duedate": "2026-02-28",
    "cf_913": True,
    "conversion_rate": 1.1,
    "vtiger_purchaseorder": "PO-7",
}


@pytest.mark.parametrize("what", ["head", "lines"])
def test_discounts_payments_and_terms_survive_an_update(shop, what):
    upsert(shop, invoice(DESK, HOUR, **HEADER))
    before = shop.sql("SELECT * FROM Invoice")[0]
    if what == "head":
        upsert(shop, without(invoice(subject="New"), "LineItems"))
    else:
        upsert(shop, invoice(DESK, HOUR | {"comment": "new"}, subject="New"))
    after = shop.sql("SELECT * FROM Invoice")[0]
    differing = {name for name in before if before[name] != after[name]}
    assert {n for n in differing if not n.startswith("shipping_")} <= {"subject", "modifiedtime"}
    assert float(after["hdnDiscountAmount"]) == 10
    assert float(after["hdnGrandTotal"]) == 314.25 - 10 - 0.25
    assert upsert(shop, invoice(DESK, subject="New", **HEADER)).only["changed"] == ["LineItems"]


def test_header_discount_can_be_changed_and_is_then_unchanged(shop):
    upsert(shop, invoice(DESK))
    record = invoice(DESK, hdnDiscountPercent=10)
    assert upsert(shop, record).only["changed"] == ["hdnDiscountPercent"]
    assert float(shop.sql("SELECT hdnDiscountPercent d FROM Invoice")[0]["d"]) == 10
    assert upsert(shop, record).tally == {"unchanged": 1}


@pytest.mark.parametrize(
    ("change", "total"),
    [
        ({"hdnDiscountPercent": 10}, 282.83),
        ({"hdnDiscountAmount": 10}, 304.25),
        ({"txtAdjustment": -0.25}, 314),
        ({"hdnS_H_Amount": 7.5}, 321.75),
        ({"hdnTaxType": "group"}, 321),
    ],
)
def test_totals_follow_changes_of_the_header(shop, change, total):
    """A server adds up only what comes with lines."""
    upsert(shop, invoice(DESK, HOUR))
    record = without(invoice(**change), "LineItems")
    assert upsert(shop, record).only["changed"] == [*change]
    assert float(head(shop)["hdnGrandTotal"]) == total
    assert float(head(shop)["balance"]) == total
    assert [(line["comment"], float(line["discount_percent"])) for line in lines(shop)] == [
        ("", 0),
        ("à l'étage", 10),
    ]
    assert upsert(shop, record).tally == {"unchanged": 1}


def test_line_whose_product_was_deleted_is_not_sent_without_it(shop):
    upsert(shop, invoice(DESK, HOUR))
    shop.remove("Products", shop.rows("Products")[0]["id"])
    before = lines(shop)
    record = without(invoice(hdnDiscountPercent=10), "LineItems")
    assert upsert(shop, record, max_rejects=1).codes == ["UNRESOLVED_REFERENCE"]
    assert lines(shop) == before
    assert upsert(shop, without(invoice(subject="New"), "LineItems")).tally == {"updated": 1}


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ({"quantity": 1}, "MANDATORY_FIELD_MISSING"),
        ({"productid": None, "quantity": 1}, "MANDATORY_FIELD_MISSING"),
        ({"productid": "D-1"}, "MANDATORY_FIELD_MISSING"),
        ({"productid": "D-9", "quantity": 1}, "UNRESOLVED_REFERENCE"),
        ({"productid": "D-1", "quantity": "two"}, "INVALID_VALUE"),
        ({"productid": "D-1", "quantity": 1, "listprice": "1,5"}, "INVALID_VALUE"),
        ({"productid": "D-1", "quantity": 1, "tax1": "normal"}, "INVALID_VALUE"),
        ("D-1", "INVALID_VALUE"),
    ],
)
@pytest.mark.parametrize("there", [False, True], ids=["create", "update"])
def test_bad_line_rejects_the_record_and_leaves_no_document(one_shop, line, code, there):
    if there:
        upsert(one_shop, invoice(DESK))
    before, old = lines(one_shop), one_shop.rows("Invoice")
    run = upsert(one_shop, invoice(DESK, line), check=False)
    assert run.codes == [code]
    assert "LineItems" in run.only["message"]
    assert (lines(one_shop), one_shop.rows("Invoice")) == (before, old)


@pytest.mark.parametrize("value", ["[]", {"1": DESK}, 3], ids=["text", "object", "number"])
def test_lines_that_are_no_list_are_rejected(one_shop, value):
    run = upsert(one_shop, invoice() | {"LineItems": value})
    assert run.codes == ["INVALID_VALUE"]
    assert one_shop.count("Invoice") == 0


@pytest.mark.parametrize("value", [[], None, ...], ids=["empty", "null", "absent"])
def test_invoice_without_lines_is_rejected(one_shop, value):
    record = invoice() | {"LineItems": value}
    record = {name: one for name, one in record.items() if one is not ...}
    run = upsert(one_shop, record)
    assert run.codes == ["MANDATORY_FIELD_MISSING"]
    assert one_shop.requests.of("create") == []


@pytest.mark.parametrize("value", [[], None], ids=["empty", "null"])
def test_lines_are_never_all_removed(one_shop, value):
    """The API has no way to say so: it takes an empty list for none sent."""
    upsert(one_shop, invoice(DESK))
    run = upsert(one_shop, invoice() | {"LineItems": value}, max_rejects=-1)
    assert run.only["outcome"] in {"rejected", "unchanged"}
    assert len(lines(one_shop)) == 1


def test_unknown_property_of_a_line_is_rejected_or_logged(shop):
    run = upsert(shop, invoice(DESK | {"colour": "oak"}), check=False)
    assert "colour" in run.stderr
    assert "oak" not in run.stderr


def test_document_without_lines_gets_its_lines(shop):
    """What an older server leaves behind when it dies halfway through a create."""
    upsert(shop, invoice(DESK, HOUR))
    shop.sql("DELETE FROM LineItem")
    assert upsert(shop, invoice(DESK, HOUR)).only["changed"] == ["LineItems"]
    assert len(lines(shop)) == 2
    assert shop.count("Invoice") == 1


@pytest.mark.parametrize("module", ["Quotes", "SalesOrder", "PurchaseOrder", "CreditNotes"])
def test_lines_of_every_module(sandbox, module):
    account = sandbox.insert("Accounts", {"accountname": "ACME"})
    vendor = sandbox.insert("Vendors", {"vendorname": "Oak Ltd"})
    product = sandbox.insert("Products", {"productname": "Desk", "productcode": "D-1"})
    own = {
        "Quotes": {"account_id": account, "quotestage": "Created"},
        "SalesOrder": {
            "account_id": account,
            "sostatus": "Created",
            "invoicestatus": "Created",
            "enable_recurring": True,  # without it the server keeps no invoicestatus
        },
        "PurchaseOrder": {"vendor_id": vendor, "postatus": "Created"},
        "CreditNotes": {"account_id": account, "creditnotestatus": "Created"},
    }
    record = {"subject": "s", "bill_street": "a", "ship_street": "b", "hdnTaxType": "group"}
    record |= own[module]
    record["LineItems"] = [{"productid": product, "quantity": 2, "listprice": 10.5, "tax1": 20}]
    streams = matched(module, "subject")
    assert load(sandbox, messages(module, record), streams=streams).tally == {"created": 1}
    assert load(sandbox, messages(module, record), streams=streams).tally == {"unchanged": 1}
    changed = record | {"bill_street": "new"}
    assert load(sandbox, messages(module, changed), streams=streams).tally == {"updated": 1}
    assert [row["bill_street"] for row in sandbox.rows(module)] == ["new"]


def test_totals_of_the_stream_are_ignored(shop):
    upsert(shop, invoice(DESK))
    record = invoice(DESK, hdnGrandTotal=1, hdnSubTotal=1, pre_tax_total=1, balance=1)
    assert upsert(shop, record).tally == {"unchanged": 1}
    assert float(head(shop)["hdnGrandTotal"]) == 240


def test_line_columns_in_the_header_are_ignored(shop):
    """A query gives an invoice the columns of one of its lines."""
    upsert(shop, invoice(DESK, HOUR))
    before = lines(shop)
    record = without(invoice(), "LineItems") | {"quantity": 9, "listprice": 9, "comment": "9"}
    assert upsert(shop, record).tally == {"unchanged": 1}
    assert lines(shop) == before


def test_line_by_itself_cannot_be_written(shop):
    """A direct write to a line deletes the other lines of its invoice."""
    upsert(shop, invoice(DESK, HOUR))
    before = lines(shop)
    id_ = f"{shop.instance.tables['LineItem'].prefix}x{before[0]['_number']}"
    run = load(shop, messages("LineItem", {"id": id_, "quantity": 9}))
    assert run.codes == ["NOT_WRITABLE"]
    assert lines(shop) == before


def test_line_ids_of_the_input_are_ignored(shop):
    """They change with every rewrite: a line is known by its place."""
    upsert(shop, invoice(DESK, HOUR))
    known = [DESK | {"id": "33x999"}, HOUR | {"id": "33x998"}]
    assert upsert(shop, invoice(*known)).tally == {"unchanged": 1}


def test_lines_from_retrieve_are_unchanged(shop):
    """A user who sends back what the API answered changes nothing."""
    upsert(shop, invoice(DESK, HOUR))
    own = {"productid", "quantity", "listprice", "discount_percent", "discount_amount", "comment"}
    own |= {"tax1", "tax2", "tax3", "sequence_no"}
    prefix = {
        str(row["id"]).partition("x")[2]: row["id"]
        for row in shop.rows("Products") + shop.rows("Services")
    }
    sent = [
        {n: prefix[str(v)] if n == "productid" else v for n, v in line.items() if n in own}
        for line in lines(shop)
    ]
    streams = matched("Invoice", "cf_911", references={"account_id": LINES_BY_CODE["account_id"]})
    assert upsert(shop, invoice(*sent), streams=streams).tally == {"unchanged": 1}


def test_lines_may_be_objects_in_the_schema(shop):
    """As a warehouse with nested types has them."""
    line = {"type": "object", "properties": {"productid": {"type": "string"}}}
    lines_ = messages(
        "Invoice",
        invoice(DESK),
        properties={"LineItems": {"type": ["array", "null"], "items": line}},
    )
    assert load(shop, lines_, streams=STREAMS).tally == {"created": 1}
    assert json.loads(lines_[0])["schema"]["properties"]["LineItems"]["items"] == line


def test_header_discount_replaces_the_other_kind(shop):
    upsert(shop, invoice(DESK, hdnDiscountPercent=10))
    upsert(shop, invoice(DESK, hdnDiscountAmount=5))
    row = shop.sql("SELECT hdnDiscountPercent p, hdnDiscountAmount a FROM Invoice")[0]
    assert (float(row["p"] or 0), float(row["a"])) == (0, 5)


def test_line_that_is_removed_takes_its_discount_along(shop):
    cheap = DESK | {"quantity": 5, "discount_percent": 50}
    upsert(shop, invoice(cheap, DESK | {"quantity": 3}))
    upsert(shop, invoice({"productid": "D-1", "quantity": 3}))
    (line,) = lines(shop)
    assert float(line["discount_percent"] or 0) == 0
    assert float(head(shop)["hdnGrandTotal"]) == 360


@pytest.mark.parametrize("change", [{"LineItems": [{"productid": "D-1", "quantity": 3}]}, {}])
def test_line_without_taxes_does_not_get_those_of_its_product(shop, change):
    """As when the product was not taxed yet."""
    upsert(shop, invoice({"productid": "D-1", "quantity": 2}))
    shop.sql("UPDATE LineItem SET tax1 = '', tax2 = '', tax3 = ''")
    upsert(shop, without(invoice(txtAdjustment=5), "LineItems") | change)
    quantity = 3 if change else 2
    assert float(head(shop)["hdnGrandTotal"]) == quantity * 100 + 5


@pytest.mark.parametrize("operation", ["create", "update"])
def test_line_that_the_server_did_not_store_is_reported(shop, monkeypatch, operation):
    if operation == "update":
        upsert(shop, invoice(HOUR))
    whole = OPERATIONS[operation]

    def forgetful(call):
        element = json.loads(call.params["element"])
        element["LineItems"] = element["LineItems"][:1]
        call.params["element"] = json.dumps(element)
        return whole.run(call)

    with monkeypatch.context() as patch:
        patch.setitem(OPERATIONS, operation, whole._replace(run=forgetful))
        run = upsert(shop, invoice(DESK, HOUR))
    # A creation is repaired by an update, which this server does not forget anything of.
    assert run.codes == (["NOT_AS_SENT"] if operation == "update" else [])
    assert upsert(shop, invoice(DESK, HOUR)).code == 0
    assert len(lines(shop)) == 2


def test_lines_that_change_places_keep_their_discounts(sandbox):
    product = sandbox.insert("Products", {"productname": "Desk", "unit_price": "100"})
    account = sandbox.insert("Accounts", {"accountname": "ACME"})
    cheap = {"productid": product, "quantity": 1, "discount_percent": 50}
    dear = {"productid": product, "quantity": 2}
    streams = matched("Invoice", "cf_911", accept_side_effects=True)
    for told in ([cheap, dear], [dear, cheap]):
        upsert(sandbox, invoice(*told, account_id=account), streams=streams)
        stored = [
            (float(line["quantity"]), float(line["discount_percent"])) for line in lines(sandbox)
        ]
        assert stored == [(one["quantity"], one.get("discount_percent", 0)) for one in told]


def test_lines_keep_their_order_where_their_ids_have_another(one_shop, monkeypatch, tmp_path):
    """Servers give lines by id, and new ones get the ids of those that were deleted."""
    whole, path = stored_lines.replace, str(tmp_path / "undo.jsonl")
    monkeypatch.setattr(
        stored_lines, "replace", lambda shop, number, its: whole(shop, number, its[::-1])
    )

    def stored():
        names = ("quantity", "listprice", "discount_percent")
        return [(line["comment"], *(float(line[n]) for n in names)) for line in lines(one_shop)]

    def loaded(*prices, only=4):
        told = zip((2, 3), prices, (10, 50), ("first", "second"), strict=True)
        names = ("quantity", "listprice", "discount_percent", "comment")[:only]
        return invoice(
            *({"productid": "D-1", **dict(zip(names, one, strict=False))} for one in told)
        )

    assert upsert(one_shop, loaded(100, 80)).tally == {"created": 1}
    assert stored() == [("first", 2, 100, 10), ("second", 3, 80, 50)]
    assert upsert(one_shop, loaded(100, 80)).tally == {"unchanged": 1}
    upsert(one_shop, loaded(110, 90, only=2))
    assert stored() == [("first", 2, 110, 10), ("second", 3, 90, 50)]
    upsert(one_shop, {"cf_911": "F-1", "hdnDiscountAmount": 5}, undo_path=path)
    assert stored() == [("first", 2, 110, 10), ("second", 3, 90, 50)]
    client = Client(one_shop.url, one_shop.username, one_shop.access_key)
    with client, Undo(path, client) as undo:
        assert [one.action.value for one in undo()] == ["restored"]
    assert stored() == [("first", 2, 110, 10), ("second", 3, 90, 50)]


def test_line_that_changes_keeps_what_is_not_loaded_when_others_come_or_go(shop):
    desk = {"productid": "D-1", "quantity": 1, "listprice": 1000}
    upsert(shop, invoice(desk | {"discount_percent": 10, "comment": "agreed"}, HOUR))
    hour = {"productid": "Hour", "quantity": 1, "listprice": 50}
    upsert(shop, invoice(desk | {"quantity": 3}, hour, hour))

    def stored():
        return [(one["comment"], float(one["discount_percent"])) for one in lines(shop)]

    assert stored() == [("agreed", 10), ("à l'étage", 10), ("", 0)]
    run = upsert(shop, invoice(desk, hour | {"quantity": 4}), max_rejects=1)
    assert run.codes == ["AMBIGUOUS_LINES"]
    assert stored() == [("agreed", 10), ("à l'étage", 10), ("", 0)]
    upsert(shop, invoice(hour | {"quantity": 4, "discount_percent": 5, "comment": "all"}))
    assert stored() == [("all", 5)]


def test_line_whose_amount_the_server_rounds_is_rejected_and_not_written_again(one_shop):
    fine = DESK | {"quantity": 1.23456}  # servers keep three decimals: 1.235 * 100
    run = upsert(one_shop, invoice(HOUR, fine), max_rejects=1, check=False)
    assert run.codes == ["NOT_AS_SENT"]
    assert "line 2" in run.only["message"]
    one_shop.requests.clear()
    for more in ({}, {"subject": "New"}):
        run = upsert(one_shop, invoice(HOUR, fine, **more), max_rejects=1, check=False)
        assert (run.codes, run.only["id"]) == (["NOT_AS_SENT"], head(one_shop)["id"])
        assert write_requests(one_shop) == []
    upsert(one_shop, invoice(HOUR, DESK | {"quantity": 1.235}))
    run = upsert(one_shop, invoice(DESK, fine), max_rejects=1, check=False)
    assert run.codes == ["NOT_AS_SENT"]
    cheap = DESK | {"quantity": 1.2349, "listprice": 1}
    assert upsert(one_shop, invoice(DESK, cheap)).tally == {"updated": 1}
    assert upsert(one_shop, invoice(DESK, cheap)).tally == {"unchanged": 1}
