"""Values: every wire text of real servers, and round trips for the rest."""

import re
import time
from collections import Counter
from datetime import date, datetime, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafinea.row_decoder import RowDecoder
from kafinea.values import (
    DOES_NOT_FIT,
    ServerZone,
    ValueType,
    codec_of,
    encode,
    value_type_of,
)

UTC = ServerZone()
PARIS = ServerZone("Europe/Paris")


def decode(wire, kind, zone=UTC):
    decoder = RowDecoder({"x": kind}, zone)
    typed = decoder({"id": "12x1", "x": wire})["x"]
    return typed, decoder.misfits["x"]


@pytest.mark.parametrize(
    ("wire", "type_name", "value"),
    [
        ("0", "boolean", False),
        ("1", "boolean", True),
        ("on", "boolean", True),
        ("no", "boolean", False),
        ("", "boolean", None),
        ("42", "integer", 42),
        ("-7", "integer", -7),
        ("0", "integer", 0),
        ("", "integer", None),
        ("199.99000000", "currency", Decimal("199.99000000")),
        ("0.00", "currency", Decimal("0.00")),
        ("12345678901234567890.12345678", "currency", Decimal("12345678901234567890.12345678")),
        ("12345.680", "double", Decimal("12345.680")),
        ("1990-12-31", "date", "1990-12-31"),
        ("0000-00-00", "date", None),
        ("", "date", None),
        ("2026-11-22 07:54:35", "datetime", "2026-11-22T07:54:35+00:00"),
        ("0000-00-00 00:00:00", "datetime", None),
        ("0000-00-00", "datetime", None),
        ("14:05:00", "time", "14:05:00"),
        ("23", "time", "23"),
        ("Alpha |##| Été", "multipicklist", ["Alpha", "Été"]),
        ("", "multipicklist", None),
        ("11x3", "reference", "11x3"),
        ("999", "owner", "999"),
        ("", "reference", None),
        ("NA", "string", "NA"),
        ("a\x00b\r\n\t", "text", "a\x00b\r\n\t"),
        ("anything", "some_new_type", "anything"),
        (None, "currency", None),
        (0, "double", Decimal(0)),
        (Decimal("267.5"), "currency", Decimal("267.5")),
        (True, "boolean", True),
    ],
)
def test_wire_text_becomes_typed_value(wire, type_name, value):
    assert decode(wire, value_type_of(type_name)) == (value, 0)


@pytest.mark.parametrize(
    ("wire", "kind"),
    [
        ("29/02/2024", ValueType.DATE),
        ("2023-02-29", ValueType.DATE),
        ("2026-W01-1", ValueType.DATE),
        ("\u0662026-01-01", ValueType.DATE),
        ("2026-11-22", ValueType.DATETIME),
        ("2026-13-22 07:54:35", ValueType.DATETIME),
        ("1,5", ValueType.NUMBER),
        ("NaN", ValueType.NUMBER),
        ("Infinity", ValueType.NUMBER),
        ("1_000", ValueType.NUMBER),
        ("1e999", ValueType.NUMBER),
        ("4.9", ValueType.INTEGER),
        ("1_0", ValueType.INTEGER),
        ("maybe", ValueType.BOOLEAN),
        ([], ValueType.NUMBER),
        (True, ValueType.TEXT),
        ({"a": 1}, ValueType.TEXT),
        ([], ValueType.BOOLEAN),
        ({}, ValueType.DATE),
    ],
)
def test_value_that_does_not_fit_is_null_and_counted(wire, kind):
    assert decode(wire, kind) == (None, 1)


def test_a_misfit_is_reported_by_its_shape_and_never_by_its_content():
    decoder = RowDecoder({"x": ValueType.DATE, "y": ValueType.NUMBER}, UTC)
    decoder({"id": "12x43", "x": "né 29/02/2024"})
    decoder({"id": "12x44", "x": "other", "y": "_" * 50})
    assert decoder.misfits == {"x": 2, "y": 1}
    assert decoder.examples == {"x": ("12x43", "aa 99/99/9999"), "y": ("12x44", "_" * 40)}


def test_only_the_columns_asked_for_are_kept():
    decoder = RowDecoder({"id": ValueType.TEXT, "lastname": ValueType.TEXT}, UTC)
    assert decoder.columns == ["id", "lastname"]
    assert decoder({"id": "12x1", "accesskey": "secret", "lastname": ""}) == {
        "id": "12x1",
        "lastname": None,
    }


def test_a_column_that_the_server_does_not_give_is_left_out_and_not_null():
    decoder = RowDecoder({"id": ValueType.TEXT, "lastname": ValueType.TEXT}, UTC)
    assert decoder({"id": "12x1"}) == {"id": "12x1"}


@given(
    st.decimals(
        allow_nan=False, allow_infinity=False, places=8, min_value=-(10**20), max_value=10**20
    )
)
def test_no_digit_of_a_number_is_lost(number):
    wire = encode(number, ValueType.NUMBER, UTC)
    assert "e" not in wire.lower()
    assert decode(wire, ValueType.NUMBER) == (number, 0)


@given(st.integers())
def test_integers_round_trip(number):
    assert decode(encode(number, ValueType.INTEGER, UTC), ValueType.INTEGER) == (number, 0)


@given(st.dates())
def test_dates_round_trip(day):
    assert decode(encode(day, ValueType.DATE, UTC), ValueType.DATE) == (day.isoformat(), 0)


@given(
    st.datetimes(
        min_value=datetime(1900, 1, 1),
        max_value=datetime(2999, 1, 1),
        timezones=st.just(timezone.utc),
    ),
    st.sampled_from(["UTC", "Europe/Paris", "America/New_York", "Asia/Kolkata"]),
)
def test_moments_round_trip_to_the_second_in_any_zone(moment, zone_name):
    zone = ServerZone(zone_name)
    moment = moment.replace(microsecond=0)
    wire = encode(moment, ValueType.DATETIME, zone)
    again = datetime.fromisoformat(decode(wire, ValueType.DATETIME, zone)[0])
    assert again == moment or zone.is_repeated(wire)


@given(
    st.lists(
        st.text(st.characters(exclude_characters="|#", exclude_categories=["Z", "C"]), min_size=1),
        min_size=1,
    )
)
def test_lists_round_trip(members):
    assert decode(encode(members, ValueType.LIST, UTC), ValueType.LIST) == (members, 0)


@pytest.mark.parametrize(
    ("kind", "value", "wire"),
    [
        # The server reads the text "true" as 0.
        *((ValueType.BOOLEAN, value, "1") for value in (True, "1", "on", 1)),
        *((ValueType.BOOLEAN, value, "0") for value in (False, "0", "Off", 0)),
        (ValueType.TEXT, "né", "né"),
        (ValueType.TEXT, 12, "12"),
        (ValueType.DATETIME, datetime(2026, 7, 1, 10, 0, 0, 5), "2026-07-01 10:00:00"),
    ],
)
def test_values_are_written_as_the_server_reads_them(kind, value, wire):
    assert encode(value, kind, UTC) == wire


@pytest.mark.parametrize(
    ("kind", "wire", "value"),
    [
        (ValueType.INTEGER, "42", 42),
        (ValueType.INTEGER, "1" * 100, int("1" * 100)),
        (ValueType.INTEGER, "1" * 101, None),
        (ValueType.INTEGER, "²", None),
        (ValueType.INTEGER, "٣", None),
        (ValueType.NUMBER, "1234.57", Decimal("1234.57")),
        (ValueType.NUMBER, "7", Decimal(7)),
        (ValueType.NUMBER, "1" * 100, Decimal("1" * 100)),
        (ValueType.NUMBER, "1" * 101, None),
        (ValueType.NUMBER, "1.2.3", None),
        (ValueType.NUMBER, "٣", None),
        (ValueType.DATETIME, "2026-07-01 12:00:00", "2026-07-01T12:00:00+02:00"),
        (ValueType.DATETIME, "2026-10-25 12:00:00", None),  # the offset changes on that day
        (ValueType.DATETIME, "1890-01-01 12:00:00", None),  # an offset with seconds
        (ValueType.DATETIME, "2026-07-01T12:00:00", None),
    ],
)
def test_fast_codecs_read_the_common_forms_and_leave_others_to_the_strict_ones(kind, wire, value):
    fast = codec_of(kind, PARIS).fast
    if value is None:
        with pytest.raises(DOES_NOT_FIT):
            fast(wire)
    else:
        assert fast(wire) == value


def test_offsets_with_seconds_are_written_in_utc_on_a_machine_in_any_zone(monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        read = decode("1890-01-01 12:00:00", ValueType.DATETIME, PARIS)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert read == ("1890-01-01T11:50:39+00:00", 0)


def test_null_stays_null_because_it_clears_a_reference_and_an_empty_text_does_not():
    assert encode(None, ValueType.TEXT, UTC) is None


@pytest.mark.parametrize(
    ("value", "kind"),
    [("2023-02-29", ValueType.DATE), ("4.9", ValueType.INTEGER), ("1,5", ValueType.NUMBER)],
)
def test_what_the_server_would_change_silently_is_not_written(value, kind):
    with pytest.raises(ValueError):
        encode(value, kind, UTC)


def test_wire_times_are_the_servers_clock():
    assert (
        decode("2026-07-01 12:00:00", ValueType.DATETIME, PARIS)[0] == "2026-07-01T12:00:00+02:00"
    )
    assert PARIS.wire(datetime(2026, 7, 1, 10, tzinfo=timezone.utc)) == "2026-07-01 12:00:00"
    assert PARIS.wire(datetime(2026, 7, 1, 10)) == "2026-07-01 10:00:00"
    assert encode("2026-07-01T10:00:00Z", ValueType.DATETIME, PARIS) == "2026-07-01 12:00:00"
    assert encode(date(2026, 7, 1), ValueType.DATE, PARIS) == "2026-07-01"


ZONES = ["UTC", "Europe/Paris", "Australia/Lord_Howe", "Asia/Kolkata", "Africa/Monrovia"]
EDGES = [
    *("0", "1", "on", "Yes", "false", "2", "007", "-7", "+7", "4.", "4.0", "4.9", "²", "٣", "1_0"),
    *("1234.57000000", ".5", "5.", ".", "-", "-.5", "1e5", "1E-99", "1e999", "NaN", " 1", "1 "),
    *("2024-02-29", "2023-02-29", "0000-00-00", "2026-W01-1", "20261122", "2026-11-2٢"),
    *("0000-00-00 00:00:00", "2026-11-22T07:54:35", "2026-11-22 07:54", "2026-11-22 07:54:60"),
    *("2026-11-22 7:54:35", "2026-11-22 07:54:35Z", "2026-11-22 07.54.35", "2026-W47-7 07:54:35"),
    *("2026-10-25 02:30:00", "2026-03-29 02:30:00", "1911-03-10 23:59:59", "0001-01-01 00:00:00"),
    *("2026-10-04 02:15:00", "2026-10-04 02:45:00", "1972-01-07 00:30:00", "9999-12-31 23:59:59"),
    *("A |##| B", "|##|", " |##| ", "A|##||##|B ", "né"),
    *(0, 1, -3, 10**20, True, False, Decimal("267.50"), Decimal("1.0"), None, ""),
    *([], ["a", " b ", ""], ["a", 1], {}, {"a": "b"}),
]
texts = st.one_of(
    st.sampled_from([edge for edge in EDGES if isinstance(edge, str)]),
    st.text(max_size=5),
    st.datetimes(min_value=datetime(1900, 1, 1)).map(lambda one: one.isoformat(" ", "seconds")),
    st.dates().map(date.isoformat),
    st.decimals(allow_nan=False, allow_infinity=False).map(str),
    st.integers().map(str),
)
wires = st.sampled_from(EDGES) | texts
kinds = st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from(ValueType), min_size=1)
rows = st.lists(st.dictionaries(st.sampled_from("abcdefghi"), wires), max_size=5)
MISFIT = object()


def meaning(wire, kind, zone):
    """What a value of the wire means: the rules, as plain as they can be written."""
    text = str(wire)
    if wire is None or wire == "":
        return None
    if kind is ValueType.TEXT:
        return MISFIT if isinstance(wire, bool | list | dict) else text
    if kind is ValueType.BOOLEAN:
        if text.lower() in {"1", "on", "yes", "true"}:
            return True
        return False if text.lower() in {"0", "off", "no", "false"} else MISFIT
    if kind is ValueType.INTEGER:
        return int(text.partition(".")[0]) if re.fullmatch(r"[+-]?[0-9]+(\.0*)?", text) else MISFIT
    if kind is ValueType.NUMBER:
        number = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,2})?"
        return Decimal(text) if re.fullmatch(number, text) else MISFIT
    if kind is ValueType.LIST:
        members = text.split("|##|") if isinstance(wire, str) else wire
        if not isinstance(members, list) or any(not isinstance(one, str) for one in members):
            return MISFIT
        return [one.strip() for one in members if one.strip()]
    return moment_or_day(wire, kind, zone)


def moment_or_day(wire, kind, zone):
    if wire == "0000-00-00" or (kind is ValueType.DATETIME and wire == "0000-00-00 00:00:00"):
        return None
    day = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
    form = day if kind is ValueType.DATE else f"{day}[ T][0-9]{{2}}:[0-9]{{2}}:[0-9]{{2}}"
    if not isinstance(wire, str) or not re.fullmatch(form, wire):
        return MISFIT
    try:
        if kind is ValueType.DATE:
            datetime.strptime(wire, "%Y-%m-%d")
            return wire
        moment = datetime.strptime(wire.replace("T", " "), "%Y-%m-%d %H:%M:%S")
        moment = moment.replace(tzinfo=ZoneInfo(zone))
        if moment.utcoffset().seconds % 60:
            moment = moment.astimezone(timezone.utc)
        return moment.isoformat()
    except (ValueError, OverflowError):
        return MISFIT


def assert_rows_mean_what_the_rules_say(kinds, rows, zone):
    decoder, of_one = (RowDecoder(kinds, ServerZone(zone)) for _ in range(2))
    misfits = Counter()
    page = decoder.rows([dict(row) for row in rows])
    for row, typed in zip(rows, page, strict=True):
        meant = {name: meaning(row[name], kinds[name], zone) for name in kinds.keys() & row.keys()}
        misfits.update(name for name, value in meant.items() if value is MISFIT)
        expected = {name: None if value is MISFIT else value for name, value in meant.items()}
        # As texts, since 1, True and Decimal("1.0") are equal.
        assert sorted(map(repr, typed.items())) == sorted(map(repr, expected.items()))
        assert of_one(row) == typed
    assert decoder.misfits == of_one.misfits == misfits
    assert decoder.examples.keys() == misfits.keys()


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("kind", ValueType)
def test_each_value_means_what_the_rules_say(kind, zone):
    assert_rows_mean_what_the_rules_say({"x": kind}, [{"x": wire} for wire in EDGES], zone)


@given(kinds, rows, st.sampled_from(ZONES))
def test_each_row_means_what_the_rules_say_of_its_values(kinds, rows, zone):
    assert_rows_mean_what_the_rules_say(kinds, rows, zone)


@given(kinds, st.dictionaries(st.sampled_from("abcdefghi"), texts), st.sampled_from(ZONES))
def test_each_row_of_texts_means_what_the_rules_say_of_its_values(kinds, row, zone):
    assert_rows_mean_what_the_rules_say(kinds, [row, row], zone)
