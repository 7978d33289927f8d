"""The target, whatever its input is: a result for each record that was read, or one clear error."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.hostile.server import AnyServer
from tests.hostile.shapes import ANY, CHANGES, JSON, changed, examples
from tests.small_server import serving
from tests.target.running import Files, in_process

STREAMS = {
    "Contacts": {
        "match_on": ["code"],
        "references": {"account_id": {"module": "Accounts", "match_on": "user_name"}},
    }
}
SCHEMA = {
    "type": "SCHEMA",
    "stream": "Contacts",
    "schema": {
        "type": "object",
        "properties": {
            "code": {"type": ["string", "null"]},
            "lastname": {"type": "string", "maxLength": 100},
            "amount": {"type": ["number", "null"]},
            "born": {"type": ["string", "null"], "format": "date"},
            "seen": {"type": ["string", "null"], "format": "date-time"},
            "many": {"type": ["array", "null"], "items": {"type": "string"}},
            "flag": {"anyOf": [{"type": "boolean"}, {"type": "null"}]},
            "id": {"type": ["string", "null"]},
            "_sdc_deleted_at": {},
        },
    },
    "key_properties": ["code"],
    "bookmark_properties": [],
}
RECORD = {
    "type": "RECORD",
    "stream": "Contacts",
    "record": {
        "code": "a",
        "lastname": "A",
        "amount": 1.5,
        "born": "2001-02-03",
        "seen": "2001-02-03T04:05:06Z",
        "many": ["x", "y"],
        "flag": True,
    },
    "time_extracted": "2026-01-01T00:00:00Z",
}
MESSAGES = [
    SCHEMA,
    RECORD,
    {"type": "RECORD", "stream": "Contacts", "record": {"code": "b", "lastname": "B"}},
    {"type": "STATE", "value": {"bookmarks": {"Contacts": {"at": 1.5}}}},
    {
        "type": "RECORD",
        "stream": "Contacts",
        "record": {"code": "s", "lastname": "S", "phone": "1"},
    },
    {"type": "ACTIVATE_VERSION", "stream": "Contacts", "version": 1},
    {"type": "STATE", "value": {"bookmarks": {"Contacts": {"at": 2}}}},
]


NAMES = [*SCHEMA["schema"]["properties"], "account_id", "kind", "count", "size"]
MORE_SETTINGS = {
    "max_rejects": 1,
    "dry_run": True,
    "load_method": "upsert",
    "timezone": "UTC",
    "update_method": "auto",
    "hard_delete": False,
    "create_missing": True,
    "max_sessions": 1,
    "stream_maps": {},
    "flattening_enabled": False,
    "files_path": "/nowhere",
    "serial_modules": ["Contacts"],
    "unknown_picklist": "allow",
}
MOST_REQUESTS = 300


@pytest.fixture(scope="module")
def server():
    with serving(AnyServer()) as server:
        yield server


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("target")


def where(server):
    return {
        "url": server.url,
        "username": "admin",
        "access_key": "k" * 16,
        "request_timeout": 5,
    }


def load(server, folder, lines, text=None, **more):
    """Run the target on lines of any text, and check what holds however it ends.

    Args:
        server: The server.
        folder: Where the files go.
        lines: The input.
        text: The text of the config; None for a good one.
        more: More settings.
    """
    for old in folder.iterdir():
        old.unlink()
    server.begin()
    server.rows.clear()
    server.insert(code="s", lastname="Old")
    files, source = Files(folder), folder / "input.jsonl"
    source.write_bytes("".join(f"{line}\n" for line in lines).encode("utf-8", "surrogatepass"))
    config = {**where(server), "streams": STREAMS, "max_rejects": -1, **more}
    path = files.config(None, **config)
    if text is not None:
        (folder / "config.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    run = files.read(*in_process(["--config", path, "--input", str(source)]))
    said = run.stderr
    assert run.code in {0, 1, 2}, said
    assert "Traceback" not in said, said
    assert "a bug in" not in said, said
    assert len(run.errors) <= 1, said
    assert len(server.requests) < MOST_REQUESTS
    assert len(run.rejected_records) == run.tally.get("rejected", 0)
    assert all(isinstance(each, dict) for each in run.states)
    return run


@examples(30)
@given(st.lists(st.tuples(st.integers(0, 6), CHANGES | ANY), min_size=1, max_size=3))
def test_any_input_is_a_result_for_each_record_or_an_error(server, folder, changes):
    lines = [json.dumps(message) for message in MESSAGES]
    for place, change in changes:
        text = change if isinstance(change, str) else changed(MESSAGES[place], change)
        lines[place] = text.replace("\n", " ")
    run = load(server, folder, lines)
    if run.code == 0:
        kinds = Counter(json.loads(line, strict=False)["type"] for line in lines)
        assert len(run.outcomes) == kinds["RECORD"], run.stderr


@examples(20)
@given(st.dictionaries(st.sampled_from(NAMES), JSON, max_size=5), st.booleans())
def test_any_record_is_loaded_or_rejected_where_its_schema_allows_all(
    server, folder, values, is_dry
):
    schema = {**SCHEMA, "schema": {"properties": {name: {} for name in NAMES}}}
    pairs = {"code": '"a"', "lastname": '"x"', **values}
    record = ",".join(f"{json.dumps(name)}:{text}" for name, text in pairs.items())
    line = f'{{"type":"RECORD","stream":"Contacts","record":{{{record}}}}}'
    run = load(server, folder, [json.dumps(schema), line], dry_run=is_dry)
    assert len(run.outcomes) == 1 or run.code, run.stderr


@examples(20)
@given(CHANGES | ANY)
def test_any_config_is_used_or_refused(server, folder, text):
    good = {**where(server), "streams": STREAMS, **MORE_SETTINGS}
    text = text if isinstance(text, str) else changed(good, text)
    load(server, folder, map(json.dumps, MESSAGES), text=text)
