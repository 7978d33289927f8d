"""`Extraction` as a library: no Singer, rows in batches, a checkpoint behind each."""

from __future__ import annotations

import json
import re
from datetime import date, datetime, timezone
from decimal import Decimal

import pytest

from kafinea import Client, SettingsError
from kafinea.errors import Refused, StateError
from kafinea.extract import Checkpoint, Clock, Extraction, Options
from kafinea_sandbox import Sandbox

OLD = "2020-01-01 00:00:00"


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(rows=300) as sandbox:
        for n in range(500):
            sandbox.insert("Contacts", {"lastname": f"{n}"}, modifiedtime=OLD)
        yield sandbox


@pytest.fixture
def client(sandbox):
    with Client(sandbox.url, sandbox.username, sandbox.access_key) as client:
        yield client


def ids(batches):
    return [row["id"] for batch in batches for row in batch.rows]


def test_a_notebook_reads_a_module_and_then_only_what_changed(sandbox):
    rows, checkpoint = [], None
    with Client(sandbox.url, sandbox.username, sandbox.access_key) as client:
        contacts = Extraction(client, "Contacts", timezone="Europe/Paris")
        for batch in contacts.batches(checkpoint):
            rows += batch.rows
            checkpoint = batch.checkpoint
        assert {row["id"] for row in rows} == {str(row["id"]) for row in sandbox.rows("Contacts")}
        assert rows[0]["modifiedtime"].endswith(("+01:00", "+02:00"))
        sandbox.insert("Contacts", {"lastname": "new"}, modifiedtime="2099-01-01 00:00:00")
        changed = [row for batch in contacts.batches(checkpoint) for row in batch.rows]
    assert "new" in {row["lastname"] for row in changed}
    assert len(changed) < len(rows) / 2


def test_each_checkpoint_survives_json_and_brings_the_rest(client):
    contacts = Extraction(client, "Contacts", ["lastname"], options=Options(page_size=100))
    batches = list(contacts.batches())
    whole = ids(batches)
    assert len(batches) >= 5
    read = 0
    for batch in batches:
        read += len(batch.rows)
        kept = json.loads(json.dumps(batch.checkpoint.to_dict()))
        assert Checkpoint.from_dict(kept) == batch.checkpoint
        if batch.checkpoint.current:
            assert (
                ids(contacts.batches(Checkpoint.from_dict(kept)))[: len(whole) - read]
                == (whole[read:])
            )


def test_a_module_without_modifiedtime_is_read_whole_and_says_that_it_is_complete(client):
    currencies = Extraction(client, "Currency")
    first = list(currencies.batches())
    second = list(currencies.batches(first[-1].checkpoint))
    assert ids(first) == ids(second) != []
    assert first[-1].completes_version
    assert second[-1].completes_version
    assert second[-1].version > first[-1].version


def test_documents_bring_their_lines_when_asked(client):
    invoices = Extraction(client, "Invoice", line_items=True)
    lines = [
        line for batch in invoices.batches() for row in batch.rows for line in row["LineItems"]
    ]
    assert lines
    assert all(isinstance(line["quantity"], Decimal) for line in lines)


def test_a_field_that_does_not_exist_is_refused_with_what_is_near(client):
    with pytest.raises(SettingsError, match=r"no field 'lastnam'.*Did you mean `lastname`"):
        list(Extraction(client, "Contacts", ["lastnam"]).batches())


def test_a_checkpoint_of_another_instance_is_refused(client):
    with pytest.raises(StateError, match="another Kafinea"):
        Extraction(client, "Contacts").start(Checkpoint(url="https://elsewhere.example/"))


# Checkpoints


def test_a_checkpoint_of_another_module_is_refused(client):
    *_, last = Extraction(client, "Contacts", ["lastname"]).batches()
    kept = Checkpoint.from_dict(json.loads(json.dumps(last.checkpoint.to_dict())))
    text = (
        "The checkpoint belongs to module 'Contacts', not to 'Accounts'. "
        "Keep one checkpoint for each module."
    )
    for checkpoint in (last.checkpoint, kept):
        with pytest.raises(StateError, match=f"^{re.escape(text)}$"):
            Extraction(client, "Accounts").batches(checkpoint)


def test_a_checkpoint_without_a_module_is_accepted(client):
    contacts = Extraction(client, "Contacts", ["lastname"])
    *_, last = contacts.batches()
    old = last.checkpoint.to_dict()
    del old["module"]
    *_, again = contacts.batches(Checkpoint.from_dict(old))
    assert again.before.bookmark == last.checkpoint.bookmark
    assert again.checkpoint.module == "Contacts"


def _no_such(key):
    return (
        f"The checkpoint contains a {key!r} that `Checkpoint.to_dict` did not write. "
        "Without a checkpoint, the module is read from the beginning."
    )


def _no_lookback(value):
    return (
        f"`lookback` is {value!r}. Set it to a number of seconds, from 0 to 315,360,000 (10 years)."
    )


@pytest.mark.parametrize(
    ("state", "text"),
    [
        ("x", "The checkpoint is a str, not a dict. Use what `Checkpoint.to_dict` returned."),
        (None, "The checkpoint is a NoneType, not a dict. Use what `Checkpoint.to_dict` returned."),
        *(
            (
                {key: value},
                _no_such(key),
            )
            for key, value in {
                "pass": {"x": 1},
                "wire": "x",
                "replication_key_value": "soon",
                "unreadable": 5,
                "module": 5,
            }.items()
        ),
    ],
)
def test_what_is_no_checkpoint_is_refused(state, text):
    with pytest.raises(StateError, match=f"^{re.escape(text)}$"):
        Checkpoint.from_dict(state)


def test_a_checkpoint_as_a_dict_is_refused(client):
    text = "`checkpoint` is a dict. Pass Checkpoint.from_dict(checkpoint)."
    with pytest.raises(TypeError, match=f"^{re.escape(text)}$"):
        Extraction(client, "Contacts").batches(Checkpoint().to_dict())


# Arguments


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"fields": "lastname"}, "`fields` is the string 'lastname'. Pass a list: ['lastname']."),
        (
            {"options": {"page_size": 100}},
            "`options` is a dict. Pass Options(page_size=100), for instance.",
        ),
    ],
)
def test_arguments_of_another_type_are_refused(client, arguments, text):
    with pytest.raises(TypeError, match=f"^{re.escape(text)}$"):
        Extraction(client, "Contacts", **arguments)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"page_size": 0}, "`page_size` is 0. Set it to a whole number, 1 or more."),
        ({"page_size": -5}, "`page_size` is -5. Set it to a whole number, 1 or more."),
        ({"page_size": 9.5}, "`page_size` is 9.5. Set it to a whole number, 1 or more."),
        ({"page_size": "9"}, "`page_size` is '9'. Set it to a whole number, 1 or more."),
        *(
            (
                {"lookback": value},
                _no_lookback(value),
            )
            for value in (-60, float("nan"), float("inf"), "60")
        ),
        *(
            (
                {name: value},
                f"`{name}` is {value!r}. Set it to a datetime, such as datetime(2026, 1, 31).",
            )
            for name in ("start", "end")
            for value in ("2020-01-01", date(2020, 1, 1))
        ),
    ],
)
def test_options_that_cannot_be_used_are_refused(options, text):
    with pytest.raises(SettingsError, match=f"^{re.escape(text)}$"):
        Options(**options)


def test_a_start_without_an_offset_is_in_the_timezone_of_the_extraction(client):
    def read(start):
        zone, options = "Asia/Tokyo", Options(start=start)
        return ids(Extraction(client, "Contacts", timezone=zone, options=options).batches())

    old = datetime(2020, 1, 1)
    after = datetime(2020, 1, 1, 0, 0, 1)
    assert len(read(old)) - len(read(after)) == 500
    assert read(old) == read(datetime(2019, 12, 31, 15, tzinfo=timezone.utc))


@pytest.mark.parametrize(
    ("module", "question"),
    [("Contact", "Did you mean `Contacts`?"), ("Organisations", "Did you mean `Accounts`")],
)
def test_a_module_that_does_not_exist_is_refused_with_what_is_near(client, module, question):
    text = f"Module {module!r} not found, or user 'admin' may not read it. {question}"
    with pytest.raises(Refused, match=f"^{re.escape(text)}") as caught:
        Extraction(client, module).batches()
    assert caught.value.code == "ACCESS_DENIED"


def test_a_module_that_is_shown_and_not_described_is_not_said_to_be_missing(sandbox, client):
    body = '{"success":false,"error":{"message":"denied","code":"ACCESS_DENIED"}}'
    fault = {"contains": "Leads", "status": 200, "body": body, "times": None}
    sandbox.faults.add("status", operation="describe", **fault)
    with pytest.raises(Refused, match=r'^describe of Leads: "denied" \(ACCESS_DENIED\)$'):
        Extraction(client, "Leads").batches()


# The time zone


def warnings(caplog):
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


def test_a_run_warns_once_that_the_timezone_is_not_set(client, caplog):
    list(Extraction(client, "Contacts", ["lastname"]).batches())
    (text,) = warnings(caplog)
    assert text.startswith("`timezone` is not set, so the server's date-times are read as UTC.")


def test_a_run_warns_of_another_timezone_and_of_a_bookmark_in_the_future(client, caplog):
    checkpoint = Checkpoint(bookmark="2999-01-01T00:00:00+00:00", timezone="Asia/Tokyo")
    list(Extraction(client, "Contacts", ["lastname"], timezone="UTC").batches(checkpoint))
    future, shifted = warnings(caplog)
    assert future.startswith("Contacts: the bookmark in the state is 2999-01-01T00:00:00+00:00")
    assert shifted.startswith("`timezone` is UTC, and was Asia/Tokyo in the last run.")


def test_an_adapter_begins_the_clock_itself(client, caplog):
    clock = Clock(None, client.server_time)
    list(Extraction(client, "Contacts", ["lastname"], timezone=clock).start().batches())
    assert warnings(caplog) == []
