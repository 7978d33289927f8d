"""Values: every wire text of API-FACTS section e, and round trips for the rest."""

from datetime import date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafinea.errors import SettingsError
from kafinea.values import Kind, RowDecoder, ServerZone, encode, kind_of

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
    assert decode(wire, kind_of(type_name)) == (value, 0)


@pytest.mark.parametrize(
    ("wire", "kind"),
    [
        ("29/02/2024", Kind.DATE),
        ("2023-02-29", Kind.DATE),
        ("2026-W01-1", Kind.DATE),
        ("\u0662026-01-01", Kind.DATE),
        ("2026-11-22", Kind.DATETIME),
        ("2026-13-22 07:54:35", Kind.DATETIME),
        ("1,5", Kind.NUMBER),
        ("NaN", Kind.NUMBER),
        ("Infinity", Kind.NUMBER),
        ("1_000", Kind.NUMBER),
        ("1e999", Kind.NUMBER),
        ("4.9", Kind.INTEGER),
        ("1_0", Kind.INTEGER),
        ("maybe", Kind.BOOLEAN),
        ([], Kind.NUMBER),
        (True, Kind.TEXT),
        ({"a": 1}, Kind.TEXT),
        ([], Kind.BOOLEAN),
        ({}, Kind.DATE),
    ],
)
def test_value_that_does_not_fit_is_null_and_counted(wire, kind):
    assert decode(wire, kind) == (None, 1)


def test_a_misfit_is_reported_by_its_shape_and_never_by_its_content():
    decoder = RowDecoder({"x": Kind.DATE}, UTC)
    decoder({"id": "12x43", "x": "né 29/02/2024"})
    decoder({"id": "12x44", "x": "other"})
    assert decoder.misfits["x"] == 2
    assert decoder.examples["x"] == ("12x43", "aa 99/99/9999")


def test_only_the_columns_asked_for_are_kept():
    decoder = RowDecoder({"id": Kind.TEXT, "lastname": Kind.TEXT}, UTC)
    assert decoder({"id": "12x1", "accesskey": "secret", "lastname": ""}) == {
        "id": "12x1",
        "lastname": None,
    }


def test_a_column_that_the_server_does_not_give_is_left_out_and_not_null():
    decoder = RowDecoder({"id": Kind.TEXT, "lastname": Kind.TEXT}, UTC)
    assert decoder({"id": "12x1"}) == {"id": "12x1"}


@given(
    st.decimals(
        allow_nan=False, allow_infinity=False, places=8, min_value=-(10**20), max_value=10**20
    )
)
def test_no_digit_of_a_number_is_lost(number):
    wire = encode(number, Kind.NUMBER, UTC)
    assert "e" not in wire.lower()
    assert decode(wire, Kind.NUMBER) == (number, 0)


@given(st.integers())
def test_integers_round_trip(number):
    assert decode(encode(number, Kind.INTEGER, UTC), Kind.INTEGER) == (number, 0)


@given(st.dates())
def test_dates_round_trip(day):
    assert decode(encode(day, Kind.DATE, UTC), Kind.DATE) == (day.isoformat(), 0)


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
    wire = encode(moment, Kind.DATETIME, zone)
    again = datetime.fromisoformat(decode(wire, Kind.DATETIME, zone)[0])
    assert again == moment or zone.is_repeated(wire)


@given(
    st.lists(
        st.text(st.characters(exclude_characters="|#", exclude_categories=["Z", "C"]), min_size=1),
        min_size=1,
    )
)
def test_lists_round_trip(members):
    assert decode(encode(members, Kind.LIST, UTC), Kind.LIST) == (members, 0)


@pytest.mark.parametrize("value", [True, "1", "on", 1])
def test_true_is_written_as_1_because_the_server_reads_the_text_true_as_0(value):
    assert encode(value, Kind.BOOLEAN, UTC) == "1"


def test_null_stays_null_because_it_clears_a_reference_and_an_empty_text_does_not():
    assert encode(None, Kind.TEXT, UTC) is None


@pytest.mark.parametrize(
    ("value", "kind"), [("2023-02-29", Kind.DATE), ("4.9", Kind.INTEGER), ("1,5", Kind.NUMBER)]
)
def test_what_the_server_would_change_silently_is_not_written(value, kind):
    with pytest.raises(ValueError):
        encode(value, kind, UTC)


def test_wire_times_are_the_servers_clock():
    assert decode("2026-07-01 12:00:00", Kind.DATETIME, PARIS)[0] == "2026-07-01T12:00:00+02:00"
    assert PARIS.wire(datetime(2026, 7, 1, 10, tzinfo=timezone.utc)) == "2026-07-01 12:00:00"
    assert PARIS.wire(datetime(2026, 7, 1, 10)) == "2026-07-01 10:00:00"
    assert encode("2026-07-01T10:00:00Z", Kind.DATETIME, PARIS) == "2026-07-01 12:00:00"
    assert encode(date(2026, 7, 1), Kind.DATE, PARIS) == "2026-07-01"


def test_the_hour_that_comes_twice_is_read_again_whole():
    # On 25 October 2026 at 3:00 the clock in Paris goes back to 2:00.
    assert PARIS.earlier("2026-10-25 02:55:00", 60) == "2026-10-25 01:54:00"
    assert PARIS.earlier("2026-10-25 03:00:00", 60) == "2026-10-25 02:59:00"
    assert PARIS.is_repeated("2026-10-25 02:00:00")
    assert not PARIS.is_repeated("2026-10-25 03:00:00")
    assert UTC.earlier("2026-10-25 02:55:00", 60) == "2026-10-25 02:54:00"


@given(
    st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(2100, 1, 1)),
    st.integers(0, 10**6),
)
def test_looking_back_never_looks_forward(local, seconds):
    wire = PARIS.wire(local)
    assert PARIS.earlier(wire, seconds) <= PARIS.wire(local - timedelta(seconds=seconds))


def test_unknown_zone_is_a_wrong_setting():
    with pytest.raises(SettingsError, match="Europe/Paris"):
        ServerZone("Paris")
