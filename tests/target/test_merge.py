"""Merging and comparing: properties that hold for any values."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafinea.describe import Field, Module
from kafinea.load.results import Rejected
from kafinea.load.writing.comparing import (
    changed_fields,
    full_element,
    same_lines,
    same_value,
)
from kafinea.load.writing.merged_lines import merged_lines
from kafinea.values import ServerZone, ValueType, encode, value_type_of

UTC = ServerZone()
TYPES = {
    "text": st.text(),
    "boolean": st.booleans(),
    "integer": st.integers(-(2**31), 2**31 - 1),
    "currency": st.decimals(allow_nan=False, allow_infinity=False, places=8, max_value=10**12),
    "date": st.dates(),
    "multipicklist": st.lists(st.sampled_from(["Alpha", "Beta", "Été"]), unique=True),
    "reference": st.integers(1, 10**6).map(lambda number: f"11x{number}"),
}


def field(type_name, name="f"):
    return Field(name, name, type_name)


def module(*fields, **more):
    return Module(
        name="M",
        label="M",
        id_prefix="1",
        is_entity=True,
        createable=True,
        updateable=True,
        deleteable=True,
        retrieveable=True,
        fields={one.name: one for one in fields},
        **more,
    )


@st.composite
def typed_values(draw):
    type_name = draw(st.sampled_from(sorted(TYPES)))
    values = [draw(TYPES[type_name]) for _ in range(2)]
    wires = [encode(value, value_type_of(type_name), UTC) or None for value in values]
    return type_name, values, wires


@given(typed_values())
def test_value_equals_itself(drawn):
    type_name, _, (wire, _) = drawn
    assert same_value(wire, wire, field(type_name))


@given(typed_values())
def test_values_that_differ_are_different(drawn):
    type_name, (left, right), (stored, wanted) = drawn
    if type_name == "multipicklist":
        left, right = set(left), set(right)
    if type_name == "boolean" or value_type_of(type_name) in {ValueType.INTEGER, ValueType.NUMBER}:
        left, right = left or 0, right or 0
    assert same_value(stored, wanted, field(type_name)) == (left == right)


@pytest.mark.parametrize("type_name", ["integer", "double", "currency", "boolean"])
@pytest.mark.parametrize("empty", [None, "", "0", "0.000"])
def test_empty_number_equals_zero(type_name, empty):
    if type_name == "boolean" and empty == "0.000":
        return
    assert same_value("0", empty, field(type_name))
    assert same_value(empty, "0", field(type_name))


@pytest.mark.parametrize("type_name", ["string", "date", "reference", "multipicklist", "owner"])
@pytest.mark.parametrize(("stored", "wanted"), [("", None), (None, None)])
def test_empty_string_equals_null(type_name, stored, wanted):
    assert same_value(stored, wanted, field(type_name))


@pytest.mark.parametrize(
    ("stored", "wanted", "same"),
    [
        ("12.35", "12.345", True),
        ("12.34", "12.345", False),
        ("199.99000000", "199.99", True),
        ("100.00", "100", True),
        ("100", "100.4", False),
        ("0.00", "0.004", True),
        ("0.00", "0.01", False),
        (Decimal("100.5"), "100.54", False),
        (Decimal("100.5"), "100.50000000", True),
    ],
)
def test_number_is_compared_with_the_stored_digits(stored, wanted, same):
    assert same_value(stored, wanted, field("currency")) is same


@pytest.mark.parametrize(("stored", "wanted"), [("14:05:00", "14:05"), ("23", "23")])
def test_times_are_equal_with_and_without_seconds(stored, wanted):
    assert same_value(stored, wanted, field("time"))


def test_stored_value_of_wrong_type_is_another_one():
    assert not same_value("31/12/1990", None, field("date"))
    assert not same_value("31/12/1990", "1990-12-31", field("date"))


@given(
    st.dictionaries(st.sampled_from("abcdef"), st.text()),
    st.dictionaries(st.sampled_from("abcdef"), st.none() | st.text(min_size=1)),
)
def test_update_holds_the_stored_record_and_the_changes(stored, changes):
    known = module(*(field("string", name) for name in "abcdef"))
    element = full_element({**stored, "id": "1x1", "label": "&eacute;"}, changes, known)
    assert element == {
        **stored,
        "id": "1x1",
        **{name: value or "" for name, value in changes.items()},
    }


@given(st.dictionaries(st.sampled_from("abcdef"), st.text(), min_size=1))
def test_update_leaves_no_difference(changes):
    known = module(*(field("string", name) for name in "abcdef"))
    changes = {name: value or None for name, value in changes.items()}
    assert changed_fields(full_element({}, changes, known), changes, known.fields) == []


def test_clearing_sends_the_empty_value_of_each_type():
    known = module(
        field("reference", "r"), field("currency", "c"), field("string", "s"), field("boolean", "b")
    )
    cleared = full_element({"id": "1x1"}, dict.fromkeys("rcsb"), known)
    assert cleared == {"id": "1x1", "r": None, "c": "0", "s": "", "b": "0"}


def test_inventory_record_is_sent_without_empty_values():
    known = module(
        *(field("string", name) for name in ("hdnTaxType", "productid", "quantity", "subject"))
    )
    stored = {
        "id": "7x1",
        "subject": "I",
        "hdnDiscountAmount": "",
        "shipping_&_handling": None,
        "hdnTaxType": "group",
        "LineItems": [{"productid": "14x1"}, {"productid": "14x2"}],
        "LineItems_FinalDetails": {"1": {}},
        "label": "I",
    }
    assert full_element(stored, {}, known) == {
        "id": "7x1",
        "subject": "I",
        "hdnTaxType": "group",
        "productid": "14x1",
    }


LINE = module(
    field("reference", "productid"),
    field("double", "quantity"),
    field("double", "listprice"),
    field("text", "comment"),
    field("double", "tax1"),
)
lines = st.lists(
    st.fixed_dictionaries(
        {
            "productid": st.sampled_from(["14x1", "14x2", "26x3"]),
            "quantity": st.decimals(1, 99, places=3).map(str),
        },
        optional={
            "listprice": st.decimals(0, 99999, places=2).map(str),
            "comment": st.text(min_size=1),
        },
    ),
    min_size=1,
    max_size=5,
)


def stored_lines(wanted):
    """The lines as the server shows them after they were written."""
    return [
        {
            "id": f"33x{position}",
            "parent_id": "7x1",
            "product_name": "X",
            "tax1": "20.000",
            "comment": "",
            "listprice": "0.00000000",
            **line,
            "quantity": str(Decimal(line["quantity"]).quantize(Decimal("0.001"))),
        }
        for position, line in enumerate(wanted)
    ]


@given(lines)
def test_lines_that_were_written_equal_themselves(wanted):
    assert same_lines(stored_lines(wanted), wanted, LINE)


@given(lines, lines)
def test_lines_sent_hold_the_wanted_values_and_keep_the_others(old, new):
    stored = stored_lines(old)
    products = [line["productid"] for line in new]
    try:
        sent = merged_lines(stored, new, LINE.fields)
    except Rejected:
        assert len({*products}) < len(products) or len(old) > 1
        return
    assert same_lines(sent, new, LINE)
    for line in sent:
        assert not {"id", "parent_id", "product_name"} & line.keys()
    kept = Counter(line["productid"] for line in sent if line.get("tax1") == "20.000")
    assert kept == Counter(line["productid"] for line in old) & Counter(products)


def test_line_inherits_no_discount_of_another():
    stored = [
        {"productid": "14x1", "quantity": "5.000", "discount_percent": "50.000", "comment": "A"},
        {"productid": "14x1", "quantity": "3.000", "discount_percent": "0.000", "comment": ""},
    ]
    known = {**LINE.fields, "discount_percent": field("double", "discount_percent")}
    (sent,) = merged_lines(stored, [{"productid": "14x1", "quantity": "3"}], known)
    assert Decimal(sent["discount_percent"]) == 0
    assert "comment" not in sent


def test_line_null_clears_and_one_discount_replaces_the_other():
    stored = [{"productid": "14x1", "quantity": "1", "discount_percent": "10", "comment": "old"}]
    told = {"productid": "14x1", "quantity": "1", "discount_amount": "5", "comment": None}
    known = {**LINE.fields, "discount_amount": field("double", "discount_amount")}
    (sent,) = merged_lines(stored, [told], known)
    assert sent == {
        "productid": "14x1",
        "quantity": "1",
        "discount_amount": "5",
        "sequence_no": "1",
    }


@given(lines)
def test_line_count_is_a_difference(wanted):
    stored = stored_lines(wanted)
    assert not same_lines(stored, wanted[:-1], LINE)
    assert not same_lines(stored[:-1], wanted, LINE)


WIRES = st.none() | st.text(max_size=3) | st.sampled_from(["", "0", "1.0", "no", "A |##| B", 0])


@given(WIRES, WIRES.map(lambda wire: None if wire == 0 else wire), st.sampled_from(sorted(TYPES)))
def test_values_different_without_their_type_are_different_with_it(stored, wanted, type_name):
    differs = changed_fields({"f": stored}, {"f": wanted}, {"f": field(type_name)})
    assert bool(differs) != same_value(stored, wanted, field(type_name))
