"""VTQL: what is written, and what is refused because the language cannot say it."""

from datetime import date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafinea.errors import QueryError
from kafinea.query import AnyOf, Condition, Query, as_query, encoded_size, literal, name, select


def test_a_whole_query():
    assert (
        select(
            "Contacts",
            ["lastname", "cf_853"],
            where=[
                Condition("modifiedtime", ">=", datetime(2026, 1, 2, 3, 4, 5)),
                Condition("birthday", "<", date(1990, 12, 31)),
                Condition("cf_855", ">", Decimal("1.5")),
                Condition("leadsource", "IN", ["Cold Call", "L'ami"]),
                Condition("id", ">", "12x43"),
            ],
            order_by=["modifiedtime", "id"],
            descending=True,
            limit=100,
            offset=200,
        )
        == "SELECT lastname,cf_853 FROM Contacts WHERE modifiedtime >= '2026-01-02 03:04:05' "
        "AND birthday < '1990-12-31' AND cf_855 > '1.5' AND leadsource IN ('Cold Call','L''ami') "
        "AND id > '12x43' ORDER BY modifiedtime,id DESC LIMIT 200,100;"
    )


def test_the_shortest_queries_end_with_the_mandatory_semicolon():
    assert select("Contacts", ["*"]) == "SELECT * FROM Contacts;"
    assert select("Contacts", ["count(*)"], limit=1) == "SELECT count(*) FROM Contacts LIMIT 1;"


def test_a_further_condition_is_added_to_each_alternative():
    low, high = Condition("cf_855", "<", 1), Condition("cf_855", ">", 9)
    city, behind = Condition("mailingcity", "=", "Paris"), Condition("id", ">", "12x43")
    query = select("Contacts", ["id"], where=[AnyOf(((low, city), (high,))), behind])
    assert query == (
        "SELECT id FROM Contacts WHERE cf_855 < '1' AND mailingcity = 'Paris' AND id > '12x43' "
        "OR cf_855 > '9' AND id > '12x43';"
    )


@pytest.mark.parametrize(
    ("options", "text", "shape"),
    [
        ({}, ";", ""),
        ({"order_by": ["id"]}, " ORDER BY id;", " ORDER BY id"),
        ({"limit": 5}, " LIMIT 5;", " LIMIT n"),
        ({"limit": 5, "offset": 7}, " LIMIT 7,5;", " LIMIT n,n"),
        (
            {"where": [Condition("id", "=", "3x1")], "order_by": ["id"], "descending": True},
            " WHERE id = '3x1' ORDER BY id DESC;",
            " id = ORDER BY id DESC",
        ),
    ],
)
def test_the_shape_of_a_query_has_no_values(options, text, shape):
    query = select("Tax", ["id"], **options)
    assert query == f"SELECT id FROM Tax{text}"
    assert (query.module, query.shape) == ("Tax", f"SELECT id FROM Tax{shape}")


@pytest.mark.parametrize(
    ("text", "module"),
    [
        ("select id\nfrom  Contacts where id = '12x1';", "Contacts"),
        ("SELECT id FROM Tax;", "Tax"),
        ("SELECT fromage;", ""),
    ],
)
def test_the_module_of_a_query_written_by_hand_is_known(text, module):
    query = as_query(text)
    assert (query, query.module, query.shape) == (text, module, "")
    assert as_query(query) is query
    assert isinstance(query, Query)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("O'Brien", "'O''Brien'"),
        ("back\\slash", "'back\\\\slash'"),
        ("'; DELETE", "'''; DELETE'"),
        (" ", "' '"),
        (True, "'1'"),
        (0, "'0'"),
        (Decimal("1E+2"), "'1E+2'"),
    ],
)
def test_values_are_quoted(value, text):
    assert literal(value) == text


@pytest.mark.parametrize(
    "text", ["shipping_&_handling", "", "last name", "a;b", "a'b", "é", "a.b", "a\n"]
)
def test_names_the_language_cannot_read_are_refused(text):
    with pytest.raises(QueryError):
        name(text)


@pytest.mark.parametrize(
    "condition",
    [
        Condition("lastname", "=", ""),
        Condition("lastname", "IN", []),
        Condition("lastname", "IN", "abc"),
        Condition("lastname", "IN", ["a", ""]),
        Condition("lastname", "=", ["a"]),
        Condition("lastname", "IS NULL", "x"),
        Condition("shipping_&_handling", "=", "1"),
    ],
)
def test_conditions_the_language_cannot_say_are_refused(condition):
    with pytest.raises(QueryError):
        str(condition)


@pytest.mark.parametrize("columns", [[], ["*", "x"], ["count(id)"]])
def test_columns_the_language_cannot_say_are_refused(columns):
    with pytest.raises(QueryError):
        select("Contacts", columns)


@given(st.text(min_size=1))
def test_no_text_can_leave_its_quotes(text):
    quoted = literal(text)
    inside = quoted[1:-1]
    assert quoted[0] == quoted[-1] == "'"
    # Taking the doubled characters away leaves neither a quote nor a backslash.
    assert not {"'", "\\"} & set(inside.replace("''", "").replace("\\\\", ""))
    assert inside.replace("''", "'").replace("\\\\", "\\") == text


def test_size_is_that_of_the_url():
    assert encoded_size("é '") == len("%C3%A9+%27")
