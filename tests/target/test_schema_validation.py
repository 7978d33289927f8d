"""What the target takes for valid is what `jsonschema` takes for valid."""

from __future__ import annotations

import tracemalloc
from decimal import Decimal

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from target_kafinea.validating import Validator

TYPES = ["null", "boolean", "integer", "number", "string", "array", "object"]
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.sampled_from([Decimal("1.0"), Decimal(1), 1.0, ""]),
    st.text(max_size=4),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.sampled_from("xy"), st.integers(), max_size=2),
)
TYPE = {"type": st.one_of(st.sampled_from(TYPES), st.lists(st.sampled_from(TYPES), min_size=1))}
TYPE["type"] = TYPE["type"].map(lambda said: said if isinstance(said, str) else sorted({*said}))
EXTRAS = {
    "maxLength": st.integers(0, 3),
    "minLength": st.integers(0, 3),
    "enum": st.lists(VALUES, min_size=1, max_size=2),
    "format": st.sampled_from(["date-time", "email"]),
    "maximum": st.integers(-2, 2),
    "items": st.fixed_dictionaries({"type": st.sampled_from(TYPES)}),
    "anyOf": st.lists(st.fixed_dictionaries(TYPE), min_size=1, max_size=2),
    "required": st.lists(st.sampled_from("xy"), max_size=1),
    "$ref": st.just("#/definitions/short"),
    "description": st.text(max_size=3),
    "x-sql-type": st.text(max_size=3),
}
PROPERTY = st.one_of(
    st.fixed_dictionaries(TYPE),
    st.fixed_dictionaries({}, optional=TYPE | EXTRAS),
    st.booleans(),
)
SCHEMA = st.fixed_dictionaries(
    {"properties": st.dictionaries(st.sampled_from("abc"), PROPERTY)},
    optional={
        "type": st.sampled_from(["object", ["object", "null"], "array"]),
        "required": st.lists(st.sampled_from("abcd"), max_size=2, unique=True),
        "additionalProperties": st.booleans(),
        "minProperties": st.integers(0, 2),
        "$schema": st.sampled_from(
            [
                "http://json-schema.org/draft-04/schema#",
                "http://json-schema.org/draft-06/schema#",
                "https://json-schema.org/draft/2020-12/schema",
            ]
        ),
    },
).map(lambda schema: schema | {"definitions": {"short": {"type": "string", "maxLength": 2}}})
RECORD = st.dictionaries(st.sampled_from("abcd"), VALUES)


def validator_of(schema):
    return jsonschema.validators.validator_for(schema, jsonschema.Draft7Validator)


def is_schema(schema):
    try:
        validator_of(schema).check_schema(schema)
    except jsonschema.SchemaError:
        return False
    return True


@given(SCHEMA.filter(is_schema), RECORD)
def test_validation_finds_what_jsonschema_finds(schema, record):
    checked = Validator("s", schema)
    checked.validate(record)
    error = jsonschema.exceptions.best_match(validator_of(schema)(schema).iter_errors(record))
    if error is None:
        assert checked.problem is None
    else:
        assert f"`{error.validator}`" in checked.problem


def test_validation_knows_required_of_old_drafts():
    said = {"a": {"type": "string", "required": True}}
    schema = {"$schema": "http://json-schema.org/draft-03/schema#", "properties": said}
    checked = Validator("s", schema)
    checked.validate({})
    assert checked.problem


@pytest.mark.parametrize("value", ["abcd", "éééé", "\U0001f600" * 4])
def test_validation_counts_length_in_characters(value):
    said = {"type": ["string", "null"]}
    for longest, problem in ((4, False), (3, True)):
        checked = Validator("s", {"properties": {"a": {**said, "maxLength": longest}}})
        checked.validate({"a": value})
        assert bool(checked.problem) == problem


LONG = {
    "many keywords for many members": ({"items": {"allOf": [{"minimum": 0}] * 3_000}}, [1] * 3_000),
    "many values for many members": ({"items": {"enum": [*range(300_000)]}}, [-1] * 3_000),
}


@pytest.mark.parametrize(("said", "value"), LONG.values(), ids=LONG.keys())
def test_validation_of_long_schema_and_record_is_bounded(monkeypatch, said, value):
    monkeypatch.setattr("target_kafinea.validating._LONGEST", 1)
    checked = Validator("s", {"properties": {"a": said}})
    checked.validate({"a": value})
    assert "takes more than 1 seconds" in checked.problem
    checked.validate({"a": []})
    assert checked.problem is None


def test_validation_of_a_large_value_takes_no_more_memory_than_the_value():
    checked = Validator("s", {"properties": {"a": {"anyOf": [{"type": "integer"}] * 40}}})
    value = "x" * 2**22
    tracemalloc.start()
    checked.validate({"a": value})
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "`anyOf`" in checked.problem or "`type`" in checked.problem
    assert most < 8 * len(value)


DATABASES = {
    "numeric of PostgreSQL": {
        "type": ["null", "number"],
        "exclusiveMaximum": 10**62,
        "exclusiveMinimum": -(10**62),
        "multipleOf": Decimal("1e-38"),
    },
    "numeric of older taps, as draft 4 says it": {
        "type": ["null", "number"],
        "maximum": 10**10,
        "exclusiveMaximum": True,
        "minimum": -(10**10),
        "exclusiveMinimum": True,
        "multipleOf": Decimal("0.01"),
    },
}


@pytest.mark.parametrize("said", DATABASES.values(), ids=DATABASES.keys())
def test_validation_of_numbers_as_database_taps_describe_them(said):
    checked = Validator("s", {"properties": {"a": said}})
    for value, is_good in (
        (Decimal("12.5"), True),
        (7, True),
        (None, True),
        (Decimal("-1234567890.12"), True),
        (10**62, False),
        (Decimal("1e-40"), False),
        ("x", False),
    ):
        checked.validate({"a": value})
        assert (checked.problem is None) == is_good, value


@pytest.mark.parametrize(
    ("items", "is_good"),
    [
        ([[1], [2], 1, True, {"x": [1]}, {"x": [2]}], True),
        ([[1, 2], [2, 1]], True),
        ([[1, 2], [1, 2]], False),
        ([{"x": [1]}, {"x": [1.0]}], False),
        ([0, False], True),
    ],
)
def test_validation_of_items_that_are_unique(items, is_good):
    checked = Validator("s", {"properties": {"a": {"uniqueItems": True}}})
    checked.validate({"a": items})
    assert (checked.problem is None) == is_good
