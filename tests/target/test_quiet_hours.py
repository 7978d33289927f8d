"""`quiet_hours`: nothing is written in them, and what was looked up before is looked up again."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from kafinea import Client, SettingsError
from kafinea.load import Load, LoadOptions
from kafinea.load.context import LoadContext
from kafinea.load.plan import make_plan
from kafinea.load.quiet_hours import Pauses, QuietHours
from kafinea.load.records import InputRecord
from kafinea.load.stream.loader import Loader
from kafinea.load.stream_mapping import StreamMapping
from kafinea.values import ServerZone
from tests.target.running import Files, load, messages, write_requests


@pytest.mark.parametrize(
    ("hours", "now", "ending"),
    [
        ("08:00-18:00", "2026-01-31T07:59:59", None),
        ("08:00-18:00", "2026-01-31T08:00:00", "2026-01-31T18:00:00"),
        ("08:00-18:00", "2026-01-31T17:59:59", "2026-01-31T18:00:00"),
        ("08:00-18:00", "2026-01-31T18:00:00", None),
        ("22:00-06:30", "2026-01-31T23:00:00", "2026-02-01T06:30:00"),
        ("22:00-06:30", "2026-01-31T06:29:00", "2026-01-31T06:30:00"),
        ("22:00-06:30", "2026-01-31T12:00:00", None),
        ("00:00-23:59", "2026-01-31T00:00:00", "2026-01-31T23:59:00"),
    ],
)
def test_hours_of_a_day(hours, now, ending):
    found = QuietHours.parse(hours).ending_of(datetime.fromisoformat(now))
    assert found == (ending and datetime.fromisoformat(ending))


@pytest.mark.parametrize("text", ["8-18", "08:00-08:00", "24:00-06:00", "08:00", "08:00-18:00 Mo"])
def test_what_is_no_time_of_day_is_refused(text):
    with pytest.raises(SettingsError, match="quiet_hours"):
        LoadOptions(quiet_hours=text)


class Clock:
    """A clock that goes on only while the run waits."""

    def __init__(self, now, meanwhile=lambda: None):
        self.now = datetime.fromisoformat(now).replace(tzinfo=timezone.utc)
        self.meanwhile = meanwhile

    def wait(self, seconds):
        self.now += timedelta(seconds=seconds)
        self.meanwhile()
        self.meanwhile = lambda: None

    def pauses(self, hours="08:00-18:00", zone="Europe/Paris"):
        return Pauses(QuietHours.parse(hours), ServerZone(zone), self.wait, lambda: self.now)


def test_run_waits_until_the_end_on_the_servers_clock():
    clock = Clock("2026-07-01T15:59:30")  # in Paris two hours later
    pauses = clock.pauses(hours="17:00-18:30")
    assert pauses.keep() == 1
    assert clock.now.isoformat() == "2026-07-01T16:30:00+00:00"
    assert pauses.keep() == 1  # no further pause


def test_what_people_did_in_the_pause_is_looked_up(sandbox):
    """The hours begin when the records are matched already; a person then creates one of them."""

    def person_works():
        sandbox.insert("Contacts", {"cf_853": "b", "lastname": "Person"})
        sandbox.insert("Contacts", {"cf_853": "c", "lastname": "Person"})

    clock = Clock("2026-01-31T01:00:00", meanwhile=person_works)
    results = {}

    def done(record, _key, result):
        results[record.number] = result.status.value
        if record.number == 0:
            clock.now = datetime(2026, 1, 31, 9, tzinfo=timezone.utc)

    with Client(sandbox.url, sandbox.username, sandbox.access_key, max_sessions=1) as client:
        context = LoadContext.of(client, ServerZone("UTC"), LoadOptions())
        context = replace(context, pauses=clock.pauses(zone="UTC"))
        mapping = StreamMapping(match_on=(("cf_853",),))
        plan = make_plan("Contacts", ["cf_853", "lastname"], mapping, context.modules)
        loader = Loader(plan, context, done)
        # The first one is followed by another of its key, so it is checked and noted at once.
        for number, key in enumerate("aabc"):
            loader.add(InputRecord({"cf_853": key, "lastname": "Loaded"}, number))
        list(loader.load(loader.queue.take_all()))
        context.close()
    assert results == {0: "created", 1: "unchanged", 2: "updated", 3: "updated"}
    rows = sorted((row["cf_853"], row["lastname"]) for row in sandbox.rows("Contacts"))
    assert rows == [("a", "Loaded"), ("b", "Loaded"), ("c", "Loaded")]


def test_what_was_looked_up_before_a_pause_is_looked_up_together_again(sandbox):
    """The hours begin when the records of a batch are looked up, and not yet matched."""
    clock = Clock("2026-01-31T01:00:00", lambda: sandbox.insert("Contacts", {"cf_853": "a"}))
    results = {}
    with Client(sandbox.url, sandbox.username, sandbox.access_key) as client:
        context = LoadContext.of(client, ServerZone("UTC"), LoadOptions())
        context = replace(context, pauses=clock.pauses(zone="UTC"))
        mapping = StreamMapping(match_on=(("cf_853",),))
        plan = make_plan("Contacts", ["cf_853", "lastname"], mapping, context.modules)
        loader = Loader(plan, context, lambda record, _, result: results.update({record: result}))
        for number, key in enumerate("ab"):
            loader.add(InputRecord({"cf_853": key, "lastname": "Loaded"}, number))
        batch = loader.queue.take_all()
        clock.now = datetime(2026, 1, 31, 9, tzinfo=timezone.utc)
        sandbox.requests.clear()
        list(loader.load(batch))
        context.close()
    assert sorted(one.status.value for one in results.values()) == ["created", "updated"]
    first = sandbox.requests.of("query")[0].params["query"]
    assert "'a'" in first
    assert "'b'" in first


def test_reference_that_a_person_creates_in_the_pause_is_used(sandbox, monkeypatch):
    """The hours begin when it is known that there is none."""
    clock = Clock("2026-01-31T01:00:00", lambda: sandbox.insert("Vendors", {"vendorname": "ACME"}))

    def now():
        is_looked_up = any("'ACME'" in one.params["query"] for one in sandbox.requests.of("query"))
        if is_looked_up and clock.now.hour == 1:
            clock.now = datetime(2026, 1, 31, 9, tzinfo=timezone.utc)
        return clock.now

    def pauses(hours, zone, _wait):
        return Pauses(hours, zone, clock.wait, now)

    monkeypatch.setattr("kafinea.load.context.Pauses", pauses)
    reference = {"module": "Vendors", "match_on": "vendorname", "create": True}
    options = LoadOptions(quiet_hours="08:00-18:00")
    with (
        Client(sandbox.url, sandbox.username, sandbox.access_key) as client,
        Load(client, "Products", references={"vendor_id": reference}, options=options,
             match_on="productname") as load,
    ):  # fmt: skip
        (result,) = load([{"productname": "Desk", "vendor_id": "ACME"}])
    (vendor,) = sandbox.rows("Vendors")
    assert (result.status.value, sandbox.rows("Products")[0]["vendor_id"]) == (
        "created", vendor["id"],
    )  # fmt: skip
    assert write_requests(sandbox) == ["create"]


def hours_around_now():
    now = datetime.now(timezone.utc)
    return f"{now - timedelta(hours=2):%H:%M}-{now + timedelta(hours=2):%H:%M}"


def test_dry_run_does_not_wait(sandbox):
    record = {"cf_853": "a", "lastname": "Roux"}
    streams = {"Contacts": {"match_on": "cf_853"}}
    run = load(
        sandbox, messages("Contacts", record), quiet_hours=hours_around_now(), dry_run=True,
        streams=streams,
    )  # fmt: skip
    assert (run.code, run.tally) == (0, {"created": 1})


def test_target_says_that_it_waits_and_writes_nothing(sandbox, tmp_path):
    files = Files(tmp_path)
    streams = {"Contacts": {"match_on": "cf_853"}}
    config = files.config(sandbox, quiet_hours=hours_around_now(), streams=streams)
    given = files.input(messages("Contacts", {"cf_853": "a", "lastname": "Roux"}))
    process = subprocess.Popen(
        [sys.executable, "-m", "target_kafinea", "--config", config, "--input", given],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        said = next(line for line in process.stderr if "Quiet hours" in line)
        assert "nothing is written until" in said
        assert "UTC. The run waits." in said
        time.sleep(0.2)
        assert write_requests(sandbox) == []
        process.terminate()
        assert process.wait() == 128 + 15
    finally:
        process.kill()
        process.communicate()
    assert sandbox.rows("Contacts") == []
