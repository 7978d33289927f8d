"""Every value is stored as it came, or its column becomes wide enough for it."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from tests.loaders.conftest import schema

TYPES = {
    "text": {"type": ["string", "null"]},
    "boolean": {"type": ["boolean", "null"]},
    "integer": {"type": ["integer", "null"]},
    "number": {"type": ["number", "null"]},
    "cents": {"type": ["number", "null"], "multipleOf": 0.01},
    "quoted": {"type": ["string", "null"], "format": "singer.decimal"},
    "date": {"type": ["string", "null"], "format": "date"},
    "instant": {"type": ["string", "null"], "format": "date-time"},
    "strings": {"type": ["array", "null"], "items": {"type": "string"}},
    "json": {"type": ["array", "null"], "items": {"type": "object"}},
}
UTC = timezone.utc
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NOON = datetime(2026, 7, 1, 10, tzinfo=UTC)


EXACT = [
    ("text", '"été \\"x\\" \\\\ \\n\\t\\u00e9 \\ud83e\\udd80"', 'été "x" \\ \n\té \U0001f980'),
    ("text", '""', ""),
    ("text", '"NULL"', "NULL"),
    ("text", '"\\\\N"', "\\N"),
    ("text", '"12345678901234567890.12"', "12345678901234567890.12"),
    ("boolean", "true", True),
    ("boolean", "false", False),
    ("integer", "9223372036854775807", 9223372036854775807),
    ("integer", "-9223372036854775808", -9223372036854775808),
    ("integer", "9007199254740993", 9007199254740993),
    ("number", "0.1", Decimal("0.1")),
    ("number", "0.10", Decimal("0.1")),
    ("number", "1234567.89", Decimal("1234567.89")),
    ("number", "12345678901234.56", Decimal("12345678901234.56")),
    ("number", "-1234567890123456789012.345", Decimal("-1234567890123456789012.345")),
    ("number", "0.0000000001", Decimal("0.0000000001")),
    ("number", "0.30000000000000004", Decimal("0.30000000000000004")),
    ("number", "1E+3", Decimal(1000)),
    ("number", "1e-12", Decimal("1e-12")),
    ("number", "9007199254740993", Decimal(9007199254740993)),
    ("number", "0.00000000", Decimal(0)),
    ("cents", "0.01", Decimal("0.01")),
    ("cents", "12345678901234567890123456.78", Decimal("12345678901234567890123456.78")),
    ("cents", "1.005", Decimal("1.005")),
    ("quoted", '"12.50"', Decimal("12.5")),
    ("quoted", '"12345678901234567890123.45"', Decimal("12345678901234567890123.45")),
    ("date", '"2024-02-29"', date(2024, 2, 29)),
    ("date", '"0001-01-01"', date(1, 1, 1)),
    ("date", '"9999-12-31"', date(9999, 12, 31)),
    ("instant", '"2026-07-01T12:00:00+02:00"', NOON),
    ("instant", '"2026-07-01T10:00:00Z"', NOON),
    ("instant", '"2026-07-01T10:00:00"', NOON),
    ("instant", '"2026-10-25T02:30:00+01:00"', datetime(2026, 10, 25, 1, 30, tzinfo=UTC)),
    ("instant", '"2026-07-01T10:00:00.000001Z"', NOON + timedelta(microseconds=1)),
    ("instant", '"0001-01-01T00:00:00Z"', datetime(1, 1, 1, tzinfo=UTC)),
    ("instant", '"9999-12-31T23:59:59Z"', datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ("strings", '["a", "é\\u00e9", "x, y", null]', ["a", "éé", "x, y", None]),
    ("strings", "[]", []),
    ("json", '[{"a": 1.10, "b": 12345678901234567890.12}]',
     '[{"a":1.10,"b":12345678901234567890.12}]'),
    ("json", '[{"text": "\\u00e9 \\"x\\""}]', '[{"text":"é \\"x\\""}]'),
]  # fmt: skip


WIDER = [
    # The values of one column in their order, then its types, and what is stored.
    ("integer", ["1", "1.5"], ("DECIMAL(38,10)", "numeric"), [Decimal(1), Decimal("1.5")]),
    ("integer", ["7", "9223372036854775808"], ("DECIMAL(38,10)", "numeric"),
     [Decimal(7), Decimal(9223372036854775808)]),
    ("integer", ["12345678901234567", '"x"'], ("VARCHAR", "text"), ["12345678901234567", "x"]),
    ("integer", ["1", "true"], ("VARCHAR", "text"), ["1", "true"]),
    ("number", ["1.5", "1e-12"], ("DECIMAL(38,12)", "numeric"), [Decimal("1.5"), Decimal("1e-12")]),
    ("number", ["1.50", "0." + "1" * 40], ("VARCHAR", None), ["1.50", "0." + "1" * 40]),
    ("number", ["1.5", "1E+1000001"], ("VARCHAR", "text"), ["1.5", "1E+1000001"]),
    ("number", ["1.5", "-1E-1000001"], ("VARCHAR", "text"), ["1.5", "-1E-1000001"]),
    ("number", ["1.5", '"n/a"'], ("VARCHAR", "text"), ["1.5", "n/a"]),
    ("date", ['"2026-07-01"', '"2026-07-01T10:00:00Z"'],
     ("TIMESTAMP WITH TIME ZONE", "timestamp with time zone"),
     [datetime(2026, 7, 1, tzinfo=UTC), NOON]),
    ("date", ['"2026-07-01"', '"10000-01-01"'], ("VARCHAR", "text"), ["2026-07-01", "10000-01-01"]),
    ("date", ['"2026-07-01"', '"0000-00-00"'], ("VARCHAR", "text"), ["2026-07-01", "0000-00-00"]),
    ("instant", ['"10000-01-01T00:00:00Z"'], ("VARCHAR", "text"), ["10000-01-01T00:00:00Z"]),
    ("instant", ['"2026-07-01T10:00:00Z"', '"2026-07-01"'],
     ("TIMESTAMP WITH TIME ZONE", "timestamp with time zone"),
     [NOON, datetime(2026, 7, 1, tzinfo=UTC)]),
    ("boolean", ["true", '"0"'], ("VARCHAR", "text"), ["true", "0"]),
    ("boolean", ["true", "0"], ("VARCHAR", "text"), ["true", "0"]),
    ("strings", ['["a"]', '[{"a": 1}]'], ("JSON", "jsonb"), ['["a"]', '[{"a":1}]']),
    ("text", ["1.10", '{"a": 1.10}', "true"], ("VARCHAR", "text"), ["1.10", '{"a":1.10}', "true"]),
    ("text", ['"1"', "12345678901234567890.120"], ("VARCHAR", "text"),
     ["1", "12345678901234567890.120"]),
]  # fmt: skip
REPLACED = {"duckdb": "a\0b", "postgres": "a\N{REPLACEMENT CHARACTER}b"}


def messages():
    for number, (type_, written, _) in enumerate(EXACT):
        yield schema(f"exact_{number}", value=TYPES[type_])
        yield raw(f"exact_{number}", written)
    for number, (type_, values, _, _) in enumerate(WIDER):
        yield schema(f"wider_{number}", value=TYPES[type_])
        yield from (raw(f"wider_{number}", value, place) for place, value in enumerate(values))
        # Without what needs it in one batch, to see that what is stored is converted.
        yield schema(f"later_{number}", value=TYPES[type_])
        yield raw(f"later_{number}", values[0])


def raw(stream, value, id_=0):
    """A record whose value stands in its line as given."""
    return f'{{"type":"RECORD","stream":"{stream}","record":{{"id":"{id_}","value":{value}}}}}'


@pytest.fixture(scope="module")
def loaded(fresh, tmp_path_factory):
    with fresh(tmp_path_factory.mktemp("values")) as warehouse:
        warehouse.load(*messages())
        warehouse.load(*(
            line
            for number, (type_, values, _, _) in enumerate(WIDER)
            for line in (
                schema(f"later_{number}", value=TYPES[type_]),
                *(raw(f"later_{number}", each, n) for n, each in enumerate(values) if n),
            )
        ))  # fmt: skip
        yield warehouse


@pytest.mark.parametrize("number", range(len(EXACT)), ids=lambda n: "-".join(EXACT[n][:2])[:40])
def test_value_is_stored_exactly(loaded, number):
    type_, _, stored = EXACT[number]
    assert values(loaded, f"exact_{number}") == [comparable(stored)]
    expected = FINER.get(str(stored), DUCKDB[type_])
    if loaded.name == "duckdb":
        assert loaded.types(f"exact_{number}")["value"] == expected


@pytest.mark.parametrize("number", range(len(WIDER)), ids=lambda n: "-".join(WIDER[n][1])[:40])
@pytest.mark.parametrize("when", ["wider", "later"])
def test_column_widens_for_a_value_outside_its_type(loaded, number, when):
    _, _, types, stored = WIDER[number]
    type_ = types[loaded.name == "postgres"]
    if type_ is None:  # PostgreSQL holds it
        type_, stored = "numeric", [*map(Decimal, stored)]
    assert loaded.types(f"{when}_{number}")["value"] == type_
    found = values(loaded, f"{when}_{number}")
    if when == "later" and type_ in {"VARCHAR", "text"}:
        # What was stored as a number or an instant has the same meaning, not the same digits.
        assert [normal(value) for value in found] == [normal(comparable(value)) for value in stored]
    else:
        assert found == [comparable(value) for value in stored]


DUCKDB = {
    "text": "VARCHAR",
    "boolean": "BOOLEAN",
    "integer": "BIGINT",
    "number": "DECIMAL(38,10)",
    "cents": "DECIMAL(38,2)",
    "quoted": "DECIMAL(38,10)",
    "date": "DATE",
    "instant": "TIMESTAMP WITH TIME ZONE",
    "strings": "VARCHAR[]",
    "json": "JSON",
}
FINER = {
    "1.005": "DECIMAL(38,10)",
    "0.30000000000000004": "DECIMAL(38,17)",
    "1E-12": "DECIMAL(38,12)",
}
"""Values with more digits than their column was created for."""


def values(warehouse, table):
    """The values of a table, by the ids of its rows; JSON as text."""
    type_ = warehouse.types(table)["value"]
    value = {
        "JSON": "value::text",
        "jsonb": "value::text",
        # DuckDB's own way to Python needs a package of time zones.
        "TIMESTAMP WITH TIME ZONE": "epoch_us(value)",
        "timestamp with time zone": "(extract(epoch FROM value) * 1000000)::bigint",
    }.get(type_, "value")
    rows = warehouse.rows(f"SELECT {value} FROM kafinea.{table} ORDER BY id")
    is_instant = "epoch" in value
    return [("instant", row[0]) if is_instant else comparable(row[0]) for row in rows]


def instant(value):
    value = value if value.tzinfo else value.replace(tzinfo=UTC)
    return "instant", (value - EPOCH) // timedelta(microseconds=1)


def comparable(value):
    """JSON with exact numbers; all else with its type."""
    if isinstance(value, datetime):
        return instant(value)
    if isinstance(value, list):
        return "json", value
    if isinstance(value, str) and value[:1] in {"[", "{"}:
        return "json", json.loads(value, parse_float=Decimal)
    return type(value).__name__, value


def normal(value):
    """The meaning of a text: a number, an instant, or the text itself."""
    for read in (Decimal, lambda text: instant(datetime.fromisoformat(text))):
        try:
            return read(value[1])
        except (TypeError, ArithmeticError, ValueError):
            pass
    return value
