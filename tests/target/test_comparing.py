"""Which values are the same as those that are stored, and what is sent: table by table."""

from __future__ import annotations

from decimal import Decimal

import pytest

from kafinea.load.results import Rejected
from kafinea.load.writing import comparing
from kafinea.load.writing.comparing import changed_fields, full_element, same_lines, same_value
from kafinea.load.writing.merged_lines import merged_lines
from tests.target.test_merge import LINE, field, module

REFERENCE, NUMBER, TEXT = "reference", "currency", "string"


@pytest.mark.parametrize(
    ("type_name", "stored", "wanted", "same"),
    [
        # A half is rounded away from zero, as databases do it.
        (NUMBER, "0.13", "0.125", True),
        (NUMBER, "0.12", "0.125", False),
        (NUMBER, "-0.13", "-0.125", True),
        (NUMBER, "13", "12.5", False),  # no digits are shown
        (NUMBER, "1E+2", "100", True),
        (NUMBER, 100, "100.4", False),
        (NUMBER, "12345678901234567890.13", "12345678901234567890.125", True),
        (NUMBER, "9" * 95 + ".13", "9" * 95 + ".125", True),
        # Zeros at the end may be left out, down to the cents.
        (NUMBER, "1234.5", "1234.54", False),
        (NUMBER, "1234.50", "1234.504", True),
        # What cannot be read is the same as itself only, unless it is made of zeros.
        (NUMBER, "1.234,57", "0", False),
        (NUMBER, "1.234,57", None, False),
        (NUMBER, "1.234,57", "1234.57", False),
        (NUMBER, "no number", "no number", True),
        (NUMBER, "0,00", None, True),
        ("integer", "7.5", "0", False),
        ("boolean", "perhaps", "0", False),
        ("date", "31-01-2026", None, False),
        ("date", "1985-00-00", None, False),
        ("date", "00-00-0000", None, True),
        ("datetime", "0000-00-00 00:00", None, True),
        ("integer", "7", "7", True),
        ("integer", None, "7", False),
        ("boolean", "1", "on", True),
        ("boolean", "", "no", True),
        ("boolean", "", "1", False),
        ("multipicklist", "A |##| B", "B |##| A", True),
        ("multipicklist", "A |##| B", "A", False),
        ("multipicklist", "", None, True),
        ("time", "14:05:00", "14:05", True),
        ("time", "14:05", "14:06", False),
        ("time", "", None, True),
        (TEXT, "14:05:00", "14:05", False),
        (TEXT, " a", "a", False),
        (TEXT, "", "a", False),
        (REFERENCE, "11x3", "11x30", False),
    ],
)
def test_stored_value_is_the_same_or_differs(type_name, stored, wanted, same):
    known = field(type_name)
    assert same_value(stored, wanted, known) is same
    assert changed_fields({"f": stored}, {"f": wanted}, {"f": known}) == ([] if same else ["f"])


@pytest.mark.parametrize(
    ("type_name", "empty", "full"),
    [
        (REFERENCE, [None, "", "11x0", "0"], ["11x3", "11x10"]),
        ("owner", ["19x0", ""], ["19x1", "999"]),
        (NUMBER, [None, "", "0.00", "-0"], ["0.01", "0,01"]),
        ("boolean", ["0", "no", None], ["1"]),
        (TEXT, [None, ""], ["0", "11x0", " "]),
        ("date", ["0000-00-00", ""], ["2026-01-31", "31-01-2026", "1985-00-00"]),
    ],
)
def test_what_a_server_shows_for_an_empty_field_is_empty(type_name, empty, full):
    assert [value for value in empty + full if comparing.is_empty(value, field(type_name))] == empty


def test_field_that_the_server_does_not_keep_is_not_altered():
    order = module(*(field(TEXT, n) for n in ("invoicestatus", "enable_recurring", "subject")))
    order = type(order)(**{**vars(order), "name": "SalesOrder"})
    sent = {"invoicestatus": "Paid", "subject": "A", "currency1": "12"}
    for recurring, altered in {"0": [], "no": [], "1": ["invoicestatus"]}.items():
        stored = {"invoicestatus": "", "enable_recurring": recurring, "subject": "A"}
        assert comparing.altered_fields(stored, sent, order) == altered


PRODUCTS = module(
    field(NUMBER, "unit_price"), field(TEXT, "productname"), field(REFERENCE, "currency_id")
)
CHAIR = {
    "id": "14x1",
    "productname": "Chair",
    "unit_price": "10.00",
    "currency_id": "21x1",
    "currency1": "10.00",
    "currency2": "0.00",
    "currency3": "",
    "currency4": "8.50",
    "tax1": "20.000",
}


def test_product_is_sent_with_its_prices_but_without_those_that_it_has_not():
    kept = {name: value for name, value in CHAIR.items() if name not in {"currency2", "currency3"}}
    assert full_element(CHAIR, {}, PRODUCTS) == kept
    changed = full_element(CHAIR, {"unit_price": "12"}, PRODUCTS)
    assert changed == {**kept, "unit_price": "12", "currency1": "12"}
    without_own = {name: value for name, value in CHAIR.items() if name != "currency1"}
    assert "currency1" not in full_element(without_own, {"unit_price": "12"}, PRODUCTS)


@pytest.mark.parametrize(
    ("product", "own", "has_foreign"),
    [
        (CHAIR, "currency1", True),
        ({**CHAIR, "currency4": "0"}, "currency1", False),
        ({**CHAIR, "currency_id": "21x4", "currency1": ""}, "currency4", False),
        ({"currency_id": None, "currency1": "1"}, "currency", True),
        ({"currency_name": "Euro", "currency_id": "21x1"}, "currency1", False),
        ({"currency2": "no number"}, "currency", True),
    ],
)
def test_prices_in_other_currencies_than_its_own_are_foreign(product, own, has_foreign):
    assert comparing.own_currency(product) == own
    assert comparing.has_foreign_prices(product) is has_foreign


def test_revision_has_the_changes_only_and_clears_with_the_empty_value_of_each_type():
    known = module(
        *(field(kind, kind) for kind in (REFERENCE, NUMBER, TEXT, "boolean", "integer", "date"))
    )
    cleared = {REFERENCE: "", NUMBER: "0", "boolean": "0", "integer": "0", "date": ""}
    changes = {TEXT: "a", **dict.fromkeys(cleared)}
    assert comparing.revision("12x1", changes, known) == {"id": "12x1", TEXT: "a", **cleared}


INVOICES = module(
    *(field(TEXT, n) for n in ("hdnTaxType", "productid", "quantity", "subject", "hdnGrandTotal"))
)


@pytest.mark.parametrize(
    ("lines", "productid"),
    [
        ([], {}),
        (None, {}),
        ([{"productid": ""}, {"productid": "14x2"}], {"productid": "14x2"}),
        ([{"productid": "14x1"}, {"productid": "14x2"}], {"productid": "14x1"}),
        ([{"productid": ""}], {}),
    ],
)
def test_document_names_a_product_that_one_of_its_lines_has(lines, productid):
    stored = {
        "id": "7x1",
        "subject": "I",
        "hdnGrandTotal": "9.00",
        "quantity": None,
        "hdnTaxType": "",
    }
    element = full_element({**stored, "LineItems": lines}, {}, INVOICES)
    assert element == {"id": "7x1", "subject": "I", **productid}


def test_document_is_written_with_lines_of_its_own():
    line = {"productid": "14x2", "quantity": "1"}
    element = comparing.with_lines(
        {"id": "7x1", "productid": "14x1"}, [line, {"productid": "14x3"}]
    )
    assert element == {
        "id": "7x1", "productid": "14x2", "LineItems": [line, {"productid": "14x3"}]
    }  # fmt: skip
    assert element["LineItems"][0] is not line


@pytest.mark.parametrize(
    ("stored", "changes", "lines"),
    [
        ([{"productid": "14x1", "id": "33x1"}], {"txtAdjustment": "1"}, [{"productid": "14x1"}]),
        ([{"productid": "14x1"}], {"subject": "A"}, None),
        ([], {"txtAdjustment": "1"}, None),
    ],
)
def test_lines_are_sent_along_where_the_server_is_to_add_up(stored, changes, lines):
    assert comparing.lines_to_add_up(stored, changes) == lines


@pytest.mark.parametrize(
    ("values", "other"),
    [
        ({"discount_percent": "10"}, "discount_amount"),
        ({"discount_amount": "5"}, "discount_percent"),
        ({"hdnDiscountPercent": "10"}, "hdnDiscountAmount"),
        ({"hdnDiscountAmount": "5"}, "hdnDiscountPercent"),
        ({"discount_percent": "0.00"}, None),
        ({"discount_percent": None}, None),
        ({"discount_percent": "10", "discount_amount": "0"}, None),
        ({"subject": "A"}, None),
    ],
)
def test_a_discount_replaces_its_other_form(values, other):
    assert comparing.other_discount(values) == other
    first = next(iter(values))
    assert comparing.discount_instead_of(first) == {
        "discount_percent": "discount_amount",
        "discount_amount": "discount_percent",
        "hdnDiscountPercent": "hdnDiscountAmount",
        "hdnDiscountAmount": "hdnDiscountPercent",
    }.get(first)


def lines_of(*lines):
    names = ("productid", "quantity", "comment", "tax1")
    return [dict(zip(names, line, strict=False)) for line in lines]


@pytest.mark.parametrize(
    ("stored", "wanted", "sent"),
    [
        # Each is known by an equal one, wherever that stands.
        (
            [("14x1", "1.000", "A"), ("14x2", "2.000", "B")],
            [("14x2", "2"), ("14x1", "1")],
            [("14x2", "2", "B"), ("14x1", "1", "A")],
        ),
        # Two equal ones keep what each had.
        (
            [("14x1", "1.000", "A"), ("14x1", "1.000", "B")],
            [("14x1", "1"), ("14x1", "1")],
            [("14x1", "1", "A"), ("14x1", "1", "B")],
        ),
        # None is equal, and the products stand in the same order.
        (
            [("14x1", "1.000", "A"), ("14x2", "2.000", "B")],
            [("14x1", "5"), ("14x2", "6")],
            [("14x1", "5", "A"), ("14x2", "6", "B")],
        ),
        # All are equal: the place does not matter, although the order is the same.
        (
            [("14x1", "1.000", "A"), ("14x1", "2.000", "B")],
            [("14x1", "2"), ("14x1", "1")],
            [("14x1", "2", "B"), ("14x1", "1", "A")],
        ),
        # Another order, and one changed: it is the only one of its product.
        (
            [("14x1", "1.000", "A"), ("14x2", "2.000", "B")],
            [("14x2", "9"), ("14x1", "1")],
            [("14x2", "9", "B"), ("14x1", "1", "A")],
        ),
        # Some were removed or added, and some changed.
        (
            [("14x1", "1.000", "A"), ("14x2", "2.000", "B")],
            [("14x2", "9"), ("14x3", "2")],
            [("14x2", "9", "B"), ("14x3", "2")],
        ),
        (
            [("14x1", "1.000", "A"), ("14x1", "2.000", "B")],
            [("14x1", "5"), ("14x1", "6"), ("14x1", "7"), ("14x2", "1")],
            [("14x1", "5", "A"), ("14x1", "6", "B"), ("14x1", "7"), ("14x2", "1")],
        ),
        # One becomes as another is: each stays at its place.
        (
            [("14x1", "1.000", "A"), ("14x1", "2.000", "B")],
            [("14x1", "2"), ("14x1", "2"), ("14x1", "2")],
            [("14x1", "2", "A"), ("14x1", "2", "B"), ("14x1", "2")],
        ),
        # It is not certain which of them was removed, but that does not matter.
        (
            [("14x1", "1.000", "A"), ("14x1", "2.000", "A")],
            [("14x1", "5")],
            [("14x1", "5", "A")],
        ),
        (
            [("14x2", "1.000"), ("14x1", "1.000", "")],
            [("14x1", "5"), ("14x1", "6")],
            [("14x1", "5"), ("14x1", "6")],
        ),
        (
            [("14x1", "1.000", "A")],
            [("14x1", "1"), ("14x3", "3")],
            [("14x1", "1", "A"), ("14x3", "3")],
        ),
        # No tax is sent as none, for the server would take that of the product.
        ([("14x1", "1.000", "A", "")], [("14x1", "1")], [("14x1", "1", "A", "0")]),
        ([("14x1", "1.000", "A", "5.5")], [("14x1", "1", None)], [("14x1", "1", None, "5.5")]),
        # As many of a product as before, in another place: in their order.
        (
            [("14x2", "1.000"), ("14x1", "1.000", "A"), ("14x1", "2.000", "B")],
            [("14x1", "5"), ("14x1", "6"), ("14x2", "1")],
            [("14x1", "5", "A"), ("14x1", "6", "B"), ("14x2", "1")],
        ),
        # Numbers are the same however they are shown, and none is 0.
        (
            [("14x1", "1.000", "A", "5.5"), ("14x1", "2.000", "A", "5.50")],
            [("14x1", "5")],
            [("14x1", "5", "A", "5.5")],
        ),
        (
            [("14x2", "1.000"), ("14x1", "1.000", None, "0.000")],
            [("14x1", "5"), ("14x1", "6")],
            [("14x1", "5", None, "0.000"), ("14x1", "6")],
        ),
    ],
)
def test_line_keeps_what_the_stored_line_has_that_it_means(stored, wanted, sent):
    result = merged_lines(lines_of(*stored), lines_of(*wanted), LINE.fields)
    numbers = [line.pop("sequence_no") for line in result]
    assert numbers == [str(n + 1) for n in range(len(sent))]
    kept = [{k: v for k, v in line.items() if v is not None} for line in lines_of(*sent)]
    assert result == kept


@pytest.mark.parametrize(
    ("stored", "wanted", "names"),
    [
        # Which of them was removed?
        ([("14x1", "1.000", "A"), ("14x1", "2.000", "B")], [("14x1", "5")], "comment"),
        (
            [("14x1", "1.000", "A", "5"), ("14x1", "2.000", "B", "5.5")],
            [("14x2", "1"), ("14x1", "5")],
            "comment, tax1",
        ),
        ([("14x1", "1.000", "A", "0"), ("14x1", "2.000", "A", "1")], [("14x1", "5")], "tax1"),
        # Loaded for one of them only.
        (
            [("14x1", "1.000", "A"), ("14x1", "2.000", "B"), ("14x1", "3.000", "C")],
            [("14x1", "5", "D"), ("14x1", "6")],
            "comment",
        ),
        # Which of them is new?
        (
            [("14x2", "1.000"), ("14x1", "1.000", "A")],
            [("14x1", "5"), ("14x2", "1"), ("14x1", "6")],
            "comment",
        ),
    ],
)
def test_line_that_may_be_one_of_several_is_rejected_until_all_is_loaded(stored, wanted, names):
    place = next(n for n, line in enumerate(wanted, 1) if line[0] == "14x1")
    with pytest.raises(Rejected, match=rf"product line {place} is\..* too: {names}\Z") as raised:
        merged_lines(lines_of(*stored), lines_of(*wanted), LINE.fields)
    assert raised.value.rejection.code == "AMBIGUOUS_LINES"
    whole = [{"comment": None, "tax1": "0", **line} for line in lines_of(*wanted)]
    assert len(merged_lines(lines_of(*stored), whole, LINE.fields)) == len(wanted)


def test_lines_are_the_same_in_their_order_only():
    stored = lines_of(("14x1", "1.000", "A"), ("14x2", "2.000", "B"))
    assert same_lines(stored, lines_of(("14x1", "1"), ("14x2", "2")), LINE)
    assert not same_lines(stored, lines_of(("14x2", "2"), ("14x1", "1")), LINE)
    assert not same_lines(stored, lines_of(("14x1", "1"), ("14x2", "3")), LINE)


def test_a_number_that_is_no_text_does_not_show_its_digits():
    assert not same_value(Decimal("0.12"), "0.124", field(NUMBER))
    assert same_value("0.12", "0.124", field(NUMBER))


@pytest.mark.parametrize(
    ("stored", "wanted", "may"),
    [
        ("RE-10", "re 10", True),
        ("R&amp;D_5", "R&D/5", True),
        (105, "105", True),
        ("RE-10", "RE-11", False),
        ("F-1", "F-10", False),
        ("F-10", "F-1", False),
        ("F2026-0000000001", "F2026-000000000123", True),  # cut after 16 characters
        ("F2026-000000001", "F2026-00000000123", False),  # servers cut none so short
        ("F2026-0000000001", "F2026-0000000012", False),
        (None, None, False),
        ("", "RE-10", False),
        ("--", "!!", False),
    ],
)
def test_key_may_come_from_one_of_the_same_letters_and_digits(stored, wanted, may):
    assert comparing.may_come_from(stored, wanted) is may
