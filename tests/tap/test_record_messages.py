"""`KafineaStream` makes its RECORD messages itself: the same ones as the SDK would."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest

from kafinea_sandbox import Sandbox
from tap_kafinea.sdk import KafineaStream
from tests.tap.running import command, discover, extract, parse, settings

METHOD = "_generate_record_messages"


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(rows=300) as sandbox:
        yield sandbox


def few_fields(catalog):
    for entry in catalog["streams"][0]["metadata"]:
        if entry["breadcrumb"]:
            entry["metadata"]["selected"] = entry["breadcrumb"][1] in {"lastname", "cf_889"}


def full_table(catalog):
    catalog["streams"][0]["replication_method"] = "FULL_TABLE"


def deep(catalog):
    properties = catalog["streams"][0]["schema"]["properties"]
    properties["lastname"] = {
        "type": ["object", "null"],
        "properties": {"a": {"type": ["string", "null"]}},
    }


def mapped(**maps):
    return {"stream_maps": {"Contacts": maps}}


@pytest.mark.parametrize(
    ("settings", "change"),
    [
        ({}, None),
        ({}, few_fields),
        ({}, full_table),
        (mapped(name="lastname.upper()", __else__=None, id="id"), None),
        (mapped(__filter__="lastname > 'M'", __alias__="people"), few_fields),
        (mapped(lastname="__NULL__"), full_table),
        ({"stream_maps": {"Contacts": None}}, None),
        ({"stream_maps": {"copy": {"__source__": "Contacts", "x": "lastname"}}}, None),
        ({"flattening_enabled": True, "flattening_max_depth": 2}, deep),
    ],
)
def test_record_messages_equal_those_of_the_sdk(sandbox, monkeypatch, settings, change):
    catalog = discover(sandbox, modules=["Contacts"])
    if change:
        change(catalog)

    def messages():
        output = extract(sandbox, catalog=catalog, modules=["Contacts"], **settings)
        return [comparable(message) for message in output.messages if message["type"] != "STATE"]

    ours = messages()
    monkeypatch.delattr(KafineaStream, METHOD)
    assert ours == messages()


def comparable(message):
    if message["type"] == "RECORD":
        moment = datetime.fromisoformat(message.pop("time_extracted").replace("Z", "+00:00"))
        assert moment.utcoffset() == timedelta(0)
    if "version" in message:
        message["version"] = "the second in which the run began"
    return message


def test_record_messages_method_is_still_called_by_the_sdk(sandbox, monkeypatch):
    monkeypatch.setattr(KafineaStream, METHOD, lambda *_: ())
    assert not extract(sandbox, modules=["Contacts"]).records("Contacts")


def test_state_messages_cover_the_records_before_them_only(sandbox, tmp_path):
    for n in range(2_500):
        sandbox.insert("Contacts", {"lastname": f"{n}"}, modifiedtime="2020-01-01 00:00:00")
    config = tmp_path / "config.json"
    config.write_text(json.dumps(settings(sandbox, modules=["Contacts"])))
    output = parse(command("--config", str(config)).stdout.splitlines())
    last, told = None, 0
    for message in output.messages:
        if message["type"] == "RECORD":
            last = message["record"]["id"]
        elif message["type"] == "STATE":
            underway = message["value"]["bookmarks"].get("Contacts", {}).get("pass")
            if underway and underway["last_id"]:
                assert underway["last_id"] == last
                told += 1
    assert told == 2


@pytest.mark.parametrize("fails", [False, True])
def test_last_records_are_emitted_when_the_state_does_not_change(tmp_path, fails):
    with Sandbox(rows=50) as sandbox:
        path = {name: tmp_path / f"{name}.json" for name in ("config", "state")}
        path["config"].write_text(json.dumps(settings(sandbox, modules=["Accounts", "Contacts"])))
        first = parse(command("--config", str(path["config"])).stdout.splitlines())
        path["state"].write_text(json.dumps(first.state))
        if fails:
            denied = '{"success":false,"error":{"message":"denied","code":"ACCESS_DENIED"}}'
            sandbox.faults.add("status", contains="FROM Accounts", status=200, body=denied)
        done = command(*(word for name in path for word in (f"--{name}", str(path[name]))))
        again = parse(done.stdout.splitlines())
        assert done.returncode == fails
        assert again.state == first.state
        assert first.ids("Contacts")[-1] in again.ids("Contacts")
