"""`max_requests_per_minute`: requests are sent evenly, and never more than so many in a minute."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from kafinea import Client, SettingsError
from kafinea.pace import Pace
from kafinea_sandbox import Sandbox


class Clock:
    """A clock that goes on only while somebody waits."""

    def __init__(self):
        self.now = 1000.0

    def wait(self, seconds):
        self.now += seconds


def turns(clock, pace, count):
    times = []
    for _ in range(count):
        pace.await_turn()
        times.append(clock.now - 1000)
    return times


def test_requests_are_spread_over_the_minute():
    clock = Clock()
    pace = Pace(30, clock.wait, lambda: clock.now)
    assert turns(clock, pace, 4) == [0, 2, 4, 6]
    clock.now += 100  # an idle time is not made up for
    assert turns(clock, pace, 3) == [106, 108, 110]


def test_without_a_limit_nobody_waits():
    clock = Clock()
    assert turns(clock, Pace(None, clock.wait, lambda: clock.now), 3) == [0, 0, 0]


def test_no_request_in_a_minute_is_no_pace():
    with pytest.raises(SettingsError, match="1 or more"):
        Pace(0, lambda _: None)


def test_all_sessions_share_the_pace_and_logins_count():
    with Sandbox(rows=5) as sandbox:
        began = time.monotonic()
        with Client(
            sandbox.url, sandbox.username, sandbox.access_key, max_requests_per_minute=1200
        ) as client:
            with ThreadPoolExecutor(4) as threads:
                list(threads.map(lambda _: client.listtypes(), range(8)))
            sent = client.requests_sent
            assert time.monotonic() - began >= (sent - 1) * 60 / 1200
            assert client.requests.by_operation() == {"listtypes": 8}
            assert client.requests.seconds > 0
        assert sent >= 10
