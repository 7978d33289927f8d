"""`Extraction` as a library: no Singer, rows in batches, a checkpoint behind each."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from kafinea import Client, SettingsError
from kafinea.errors import StateError
from kafinea.extract import Checkpoint, Extraction, Options
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
