"""Parsing what others give: strict, and bounded."""

from datetime import datetime, timedelta, timezone
from decimal import Decimal

import pytest

from kafinea import parsing
from kafinea.errors import WrongAnswer

NAIVE = datetime(2026, 7, 1, 10, 0, 30)


def at(offset=0, microsecond=0):
    zone = timezone(timedelta(minutes=offset))
    return NAIVE.replace(microsecond=microsecond, tzinfo=zone)


@pytest.mark.parametrize(
    ("parser", "value", "parsed"),
    [
        (parsing.whole, 0, 0),
        (parsing.whole, "007", 7),
        (parsing.whole, 10**18 - 1, 10**18 - 1),
        (parsing.whole, "9" * 18, 10**18 - 1),
        *((parsing.whole, value, None) for value in (-1, 10**18, "9" * 19, True, 1.0, "", "-1")),
        *((parsing.whole, value, None) for value in ("\u0663", " 1", "1\n", None, [])),
        (parsing.decimal, "1" * 100, Decimal("1" * 100)),
        (parsing.decimal, "-.5e-99", Decimal("-.5e-99")),
        (parsing.decimal, Decimal("1.50"), Decimal("1.50")),
        (parsing.decimal, 3, Decimal(3)),
        *(
            (parsing.decimal, value, None)
            for value in ("1" * 101, "1e100", "", "x", None, [], True)
        ),
        (parsing.is_id, "12x34", True),
        *((parsing.is_id, value, False) for value in ("12x", "x1", "12x3 ", "12x3\n", None, 12)),
        (parsing.is_id, "1234567890x" + "1" * 18, True),
        (parsing.is_id, "12345678901x1", False),
        (parsing.is_id, "1x" + "1" * 19, False),
        (parsing.are_ids, [], True),
        (parsing.are_ids, ["12x1", "12x2"], True),
        (parsing.are_ids, ["12x1", "12"], False),
        (parsing.are_ids, ["12x1\n12x2"], False),
        (parsing.are_ids, ["12x1", None], False),
        (parsing.prefix_of, "12x34", "12"),
        (parsing.number_in, "12x34", 34),
        (parsing.text, "x", "x"),
        (parsing.text, 7, "7"),
        (parsing.text, Decimal("1.50"), "1.50"),
        *((parsing.text, value, None) for value in (True, None, 1.5, [])),
        *((parsing.flag, value, False) for value in ("", "0", "False", "no", "OFF", 0, None, [])),
        *((parsing.flag, value, True) for value in ("1", "on", "x", 1, True)),
        (parsing.members, [1, 2], [1, 2]),
        (parsing.members, {"0": 1, "2": 2}, [1, 2]),
        (parsing.members, "12", None),
        (parsing.mapping, {"a": 1}, {"a": 1}),
        (parsing.mapping, [], {}),
        *((parsing.mapping, value, None) for value in ([1], "", None)),
        (parsing.local_time, "2026-07-01T10:00:30", NAIVE),
        (parsing.moment, "2026-07-01 10:00:30", NAIVE),
        (parsing.moment, "2026-07-01", datetime(2026, 7, 1)),
        *((parsing.moment, f"2026-07-01T10:00:30{z}", at()) for z in ("Z", "z", "+00", "-0000")),
        (parsing.moment, "2026-07-01 10:00:30+05:30", at(330)),
        (parsing.moment, "2026-07-01 10:00:30-0330", at(-210)),
        (parsing.moment, "2026-07-01 10:00:30.5", NAIVE.replace(microsecond=500_000)),
        (parsing.moment, "2026-07-01 10:00:30.1234567+02", at(120, 123_456)),
    ],
)
def test_what_is_well_formed_is_parsed_and_nothing_else(parser, value, parsed):
    result = parser(value)
    assert (result, type(result)) == (parsed, type(parsed))


@pytest.mark.parametrize(
    ("parser", "text"),
    [
        (parsing.local_time, "2026-1-1 1:1:1"),
        (parsing.local_time, "2026-13-01 00:00:00"),
        (parsing.local_time, None),
        (parsing.moment, "soon"),
        (parsing.moment, ""),
    ],
)
def test_what_is_no_date_time_is_an_error(parser, text):
    with pytest.raises(ValueError):
        parser(text)


def test_a_wrong_answer_names_the_operation_and_what_is_missing():
    error = parsing.wrong("describe of Contacts", "fields")
    assert isinstance(error, WrongAnswer)
    assert str(error) == "describe of Contacts: the server's answer contains no fields."
