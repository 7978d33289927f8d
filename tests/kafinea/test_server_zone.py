"""The server's time zone: its clock, and the hour that the clock shows twice."""

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafinea.errors import SettingsError
from kafinea.values import ServerZone

UTC = ServerZone()
PARIS = ServerZone("Europe/Paris")


def test_the_hour_that_comes_twice_is_read_again_whole():
    # On 25 October 2026 at 3:00 the clock in Paris goes back to 2:00.
    assert PARIS.earlier("2026-10-25 02:55:00", 60) == "2026-10-25 01:54:00"
    assert PARIS.earlier("2026-10-25 03:00:00", 60) == "2026-10-25 02:59:00"
    assert PARIS.is_repeated("2026-10-25 02:00:00")
    assert not PARIS.is_repeated("2026-10-25 03:00:00")
    assert UTC.earlier("2026-10-25 02:55:00", 60) == "2026-10-25 02:54:00"


@pytest.mark.parametrize(
    ("name", "wire", "is_repeated", "a_minute_earlier"),
    [
        ("Europe/London", "2026-10-25 01:30:00", True, "2026-10-25 00:29:00"),  # to +00:00
        ("Atlantic/Azores", "2026-10-25 00:30:00", True, "2026-10-24 23:29:00"),  # from +00:00
        ("America/New_York", "2026-11-01 01:30:00", True, "2026-11-01 00:29:00"),
        ("Australia/Lord_Howe", "2026-04-05 01:45:00", True, "2026-04-05 01:14:00"),  # half an hour
        ("Europe/London", "2026-10-25 02:00:00", False, "2026-10-25 01:59:00"),
        # An hour that the clock passes over.
        ("Europe/Paris", "2026-03-29 02:30:00", False, "2026-03-29 02:29:00"),
        ("Europe/London", "2026-03-29 01:30:00", False, "2026-03-29 01:29:00"),
    ],
)
def test_the_hour_that_comes_twice_is_known_in_each_zone(name, wire, is_repeated, a_minute_earlier):
    zone = ServerZone(name)
    assert zone.is_repeated(wire) is is_repeated
    assert zone.earlier(wire, 60) == a_minute_earlier


@given(
    st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(2100, 1, 1)),
    st.integers(0, 10**6),
)
def test_looking_back_never_looks_forward(local, seconds):
    wire = PARIS.wire(local)
    assert PARIS.earlier(wire, seconds) <= PARIS.wire(local - timedelta(seconds=seconds))


NOON = datetime(2026, 10, 24, 12, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("wire", "moment", "may_be"),
    [
        ("2026-10-24 14:00:00", NOON, False),
        ("2026-10-24 14:00:01", NOON, True),
        ("2026-10-24 13:59:59", NOON, False),
        ("2026-10-24 14:00:00", NOON.replace(microsecond=7), False),
        ("no date-time", NOON, True),
        # 2:30 comes twice: at 0:30 and at 1:30 by UTC.
        ("2026-10-25 02:30:00", datetime(2026, 10, 25, 0, 30, tzinfo=timezone.utc), False),
        ("2026-10-25 02:30:00", datetime(2026, 10, 25, 0, 31, tzinfo=timezone.utc), True),
        ("2026-10-25 02:30:00", datetime(2026, 10, 25, 1, 30, tzinfo=timezone.utc), False),
        ("2026-10-25 02:30:00", datetime(2026, 10, 25, 1, 29, 59, tzinfo=timezone.utc), True),
    ],
)
def test_a_wire_time_may_be_later_than_a_moment(wire, moment, may_be):
    assert PARIS.may_be_later(wire, moment) is may_be
    assert PARIS.may_be_later(wire, PARIS.moment(moment)) is may_be
    assert PARIS.moment(moment).timestamp() == moment.timestamp()


@pytest.mark.parametrize(
    ("text", "local"),
    [
        ("2026-07-01", "2026-07-01T00:00:00+02:00"),
        ("2026-07-01T10:00:00Z", "2026-07-01T12:00:00+02:00"),
        ("", None),
        (None, None),
    ],
)
def test_a_setting_names_a_moment_on_the_servers_clock(text, local):
    moment = PARIS.setting("start_date", text)
    assert (moment and moment.isoformat()) == local


@pytest.mark.parametrize("text", ["soon", "2026-13-01", "0001-01-01T00:00:00+14:00", 5])
def test_a_setting_that_names_no_moment_is_wrong(text):
    with pytest.raises(SettingsError) as caught:
        PARIS.setting("start_date", text)
    assert str(caught.value).startswith(f"`start_date` {text!r} is not a date.")


def test_unknown_zone_is_a_wrong_setting():
    with pytest.raises(SettingsError, match="Europe/Paris"):
        ServerZone("Paris")
    assert (ServerZone().name, PARIS.name) == ("UTC", "Europe/Paris")


def test_zone_is_known_only_if_it_is_set():
    assert ServerZone("Europe/Paris").is_set is True
    assert ServerZone().is_set is False
