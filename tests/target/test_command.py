"""The command `target-kafinea` as its users meet it: what is wrong is one clear line."""

from __future__ import annotations

import json
import os
from functools import partial

import pytest

from tests.target.running import Files, command, empty, load, matched, messages, settings

LINES = messages("Contacts", {"cf_853": "a", "lastname": "x"})
STREAMS = matched("Contacts", "cf_853")


@pytest.fixture
def server():
    with empty() as sandbox:
        yield sandbox


def refused(sandbox, *lines, **more):
    """Run, and return the one line that says why nothing was loaded."""
    run = load(sandbox, *lines, check=False, **more)
    assert run.code == 1
    assert "Traceback" not in run.stderr
    assert len(run.errors) == 1, run.stderr
    assert sandbox.count("Contacts") == 0
    assert sandbox.requests.of("create") == []
    assert run.stdout == ""
    assert sandbox.access_key not in run.stderr
    return run.errors[0]


def streams(**entry):
    return {"Contacts": {"match_on": "cf_853", **entry}}


TO = {"module": "Accounts", "match_on": "accountname"}
WRONG_SETTINGS = {
    "no url": ({"url": None}, ["'url' is a required property"]),
    "no access key": ({"access_key": None}, ["'access_key' is a required property"]),
    "plain http": ({"url": "http://kafinea.example.com"}, ["allow_http"]),
    "wrong access key": ({"access_key": "wr0ngKey"}, ["Check `username` and `access_key`"]),
    "wrong user": ({"username": "nobody"}, ["'nobody'"]),
    "unknown zone": ({"timezone": "Paris"}, ["Europe/Paris"]),
    "overwrite": ({"load_method": "overwrite"}, ["overwrite", "upsert"]),
    "no such load method": ({"load_method": "replace"}, ["load_method", "upsert"]),
    "no such policy": ({"unknown_picklist": "ignore"}, ["unknown_picklist", "reject"]),
    "a negative number": ({"max_rejects": -2}, ["max_rejects"]),
    "no sessions": ({"max_sessions": 0}, ["max_sessions"]),
    "a file that cannot be": ({"outcomes_path": "/nowhere/o.jsonl"}, ["outcomes_path", "/nowhere"]),
    "another that cannot be": ({"rejects_path": "/nowhere/r.jsonl"}, ["rejects_path", "/nowhere"]),
    "streams as a list": ({"streams": ["Contacts"]}, ["streams"]),
    "an entry that is misspelt": (
        {"streams": streams(matchon="x")},
        ["no setting `streams.Contacts.matchon`", "Did you mean `match_on`?"],
    ),
    "an entry that is unlike all": ({"streams": streams(colour="x")}, ["streams.Contacts.colour"]),
    "a setting that is misspelt": ({"dryrun": True}, ["`dryrun`", "Did you mean `dry_run`?"]),
    "in another case": ({"maxRejects": 3}, ["`maxRejects`", "Did you mean `max_rejects`?"]),
    "unlike all": ({"colour": "x"}, ["There is no setting `colour`."]),
    "without its value": ({"rejects": None, "rejects_file": ""}, ["`rejects_path`?"]),
    "of another kind of target": ({"default_target_schema": "x"}, ["`default_target_schema`"]),
    "several at once": ({"url": None, "URL": "x"}, ["'url' is a required", "Did you mean `url`?"]),
    "no such module": ({"streams": streams(module="Contact")}, ["Contact", "Contacts"]),
    "no such key": ({"streams": streams(match_on="lastnme")}, ["lastnme", "lastname"]),
    "no such field": (
        {"streams": streams(fields={"lastname": "lastnam"})},
        ["lastnam", "lastname"],
    ),
    "a field of the server": (
        {"streams": streams(fields={"lastname": "contact_no"})},
        ["contact_no"],
    ),
    "the time of the server": (
        {"streams": streams(fields={"lastname": "modifiedtime"})},
        ["modifiedtime"],
    ),
    "a key that the server sets": (
        {"streams": streams(match_on=[["email"], ["contact_no"]])},
        ["`match_on`: the server sets Contacts.contact_no itself", "Load the `id`"],
    ),
    "a property that is none": (
        {"streams": streams(fields={"lastnme": "lastname"})},
        ["lastnme", "lastname"],
    ),
    "two properties for one field": (
        {"streams": streams(fields={"cf_853": "lastname"})},
        ["lastname"],
    ),
    "a reference of no field": (
        {"streams": streams(references={"acount_id": TO})},
        ["acount_id", "account_id"],
    ),
    "a reference of a text": ({"streams": streams(references={"lastname": TO})}, ["lastname"]),
    "a reference to no module": (
        {"streams": streams(references={"account_id": {**TO, "module": "Acounts"}})},
        ["Acounts", "Accounts"],
    ),
    "a reference to another module": (
        {
            "streams": streams(
                references={"account_id": {**TO, "module": "Leads", "match_on": "company"}}
            )
        },
        ["Leads", "account_id"],
    ),
    "a reference by no field": (
        {"streams": streams(references={"account_id": {**TO, "match_on": "acountname"}})},
        ["acountname", "accountname"],
    ),
    "a reference by nothing": (
        {"streams": streams(references={"account_id": {"module": "Accounts"}})},
        ["match_on"],
    ),
    "a reference to nothing": (
        {"streams": streams(references={"account_id": []})},
        ["account_id", "set `module`"],
    ),
    "a reference with another setting": (
        {"streams": streams(references={"account_id": {**TO, "matchon": "x"}})},
        ["account_id", "unknown setting matchon", "`create`"],
    ),
    "a document linked with a new record": (
        {
            "streams": streams(
                module="Documents",
                match_on="notes_title",
                fields={"lastname": "notes_title", "cf_853": None},
                references={"_related_to": TO | {"create": True}},
            )
        },
        ["_related_to", "`create` does not apply"],
    ),
    "two properties for one file": (
        {
            "streams": streams(
                module="Documents",
                match_on="notes_title",
                fields={"cf_853": "filename", "lastname": "filename"},
            )
        },
        ["both set 'filename'", "Leave one out"],
    ),
    "lines of a module that has none": (
        {"streams": streams(references={"LineItems.productid": TO})},
        ["LineItems"],
    ),
}


@pytest.mark.parametrize(("change", "said"), WRONG_SETTINGS.values(), ids=WRONG_SETTINGS.keys())
def test_wrong_setting_is_one_line_before_the_first_record(server, change, said):
    line = refused(server, LINES, **{"streams": STREAMS, **change})
    for text in said:
        assert text in line


def test_wrong_key_is_not_answered_with_the_advice_to_map_a_property(server):
    line = refused(server, LINES, streams=streams(match_on="lastnme"))
    where, hint = "Stream 'Contacts', `match_on`", "Did you mean `lastname` or `firstname`?"
    page = "docs/load-rules.md explains `streams` (TARGET_KAFINEA_STREAMS)."
    assert line.endswith(f"{where}: Contacts has no field 'lastnme'. {hint} {page}")


WRONG_STREAMS = {
    "an unknown stream": (
        messages("Contcts", {"cf_853": "a", "lastname": "x"}),
        ["Contcts", "Contacts"],
    ),
    "an unknown property": (
        messages("Contacts", {"cf_853": "a", "lastnme": "x"}),
        ["lastnme", "lastname"],
    ),
    "lines where there are none": (
        messages("Contacts", {"cf_853": "a", "lastname": "x", "LineItems": []}),
        ["LineItems"],
    ),
    "a record before its schema": (LINES[1:], ["Contacts"]),
    "a schema without properties": (
        [json.dumps({"type": "SCHEMA", "stream": "Contacts", "schema": {}, "key_properties": []})],
        ["properties"],
    ),
    "a schema that is none": (
        messages("Contacts", properties={"lastname": {"type": "txt"}}),
        ["Contacts"],
    ),
    "no JSON": (["{lastname: Lovelace}"], ["1"]),
    "no object": (["[]"], ["1"]),
    "no known type": ([json.dumps({"type": "ROW", "stream": "Contacts"})], ["1"]),
    "a record without a record": (
        [LINES[0], '{"type": "RECORD", "stream": "Contacts"}'],
        ["record"],
    ),
}


@pytest.mark.parametrize(("lines", "said"), WRONG_STREAMS.values(), ids=WRONG_STREAMS.keys())
def test_wrong_input_is_one_line(server, lines, said):
    line = refused(server, lines, streams=STREAMS)
    for text in said:
        assert text in line
    assert "Lovelace" not in line


def test_wrong_second_stream_stops_before_its_first_record(sandbox):
    """What was read before it has its outcome; nothing of the stream itself is loaded."""
    second = messages("Accounts", {"acountname": "ACME"})
    run = load(sandbox, LINES, second, streams=STREAMS, check=False)
    assert run.code == 1
    assert "accountname" in run.errors[0]
    assert sandbox.count("Accounts") == 0
    assert len(run.outcomes) == sandbox.count("Contacts")


@pytest.mark.parametrize("name", ["dryrun", "hard-delete", "maxreject"])
def test_unknown_setting_stops_the_run_before_any_request(server, name):
    server.requests.clear()
    error = refused(server, LINES, streams=STREAMS, **{name: True})
    assert f"There is no setting `{name}`. Did you mean `" in error
    assert len(server.requests) == 0


def test_settings_of_the_sdk_are_known(server):
    """Also those that --about does not list, and the SDK reads all the same."""
    run = load(
        server,
        LINES,
        streams=STREAMS,
        batch_config={"encoding": {"format": "jsonl"}, "storage": {"root": "/tmp"}},
        batch_size_rows=100,
        process_activate_version_messages=True,
        add_record_metadata=False,
        validate_records=True,
        stream_maps={"Contacts": {"__else__": None, "cf_853": "cf_853", "lastname": "lastname"}},
        stream_map_config={"anything": 1},
        flattening_enabled=False,
        flattening_max_depth=1,
        flattening_max_key_length=20,
        flattening_separator="__",
    )
    assert run.tally == {"created": 1}


def test_misspelt_variable_is_an_error(server, monkeypatch):
    for other in ("STREAMS_CONTACTS", "_SELECT", "LOGLEVEL", "VENV", "PIP_URL", "DRY_RUN"):
        monkeypatch.setenv(f"TARGET_KAFINEA_{other}", "x")
    for of_others in ("TAP_KAFINEA_DRYRUN", "STREAM", "USER_NAME"):
        monkeypatch.setenv(of_others, "x")
    monkeypatch.setenv("TARGET_KAFINEA_LOGLEVEL", "INFO")
    assert load(server, streams=STREAMS).code == 0
    monkeypatch.setenv("TARGET_KAFINEA_DRYRUN", "true")
    error = refused(server, LINES, streams=STREAMS)
    assert "TARGET_KAFINEA_DRYRUN is not a setting. Did you mean TARGET_KAFINEA_DRY_RUN?" in error


def warnings(run):
    return [line.split(" | ")[-1] for line in run.stderr.splitlines() if "WARNING" in line]


def test_stream_in_settings_that_is_missing_is_logged_at_the_end(sandbox):
    run = load(sandbox, LINES, streams={**STREAMS, "Contact": {}, "visitors": {}})
    assert run.code == 0
    assert sorted(one for one in warnings(run) if "stream" in one) == [
        "`streams`: the input has no stream 'Contact'. Did you mean `Contacts`?",
        "`streams`: the input has no stream 'visitors'.",
    ]


@pytest.mark.parametrize(
    ("key", "entry", "found_by"),
    [
        (["cf_853"], {"match_on": "cf_853"}, None),
        (["ref"], {"match_on": "cf_853", "fields": {"ref": "cf_853"}}, None),
        (["id"], {"match_on": "cf_853"}, None),
        (["id"], {"match_on": "cf_853", "fields": {"id": ""}}, None),
        ([], {}, None),
        (["phone"], {"match_on": "cf_853"}, "`match_on` (cf_853)"),
        (["cf_853", "phone"], {"match_on": "cf_853"}, "`match_on` (cf_853)"),
        (["cf_853"], {}, "nothing"),
    ],
)
def test_key_properties_that_are_not_used_are_logged(sandbox, key, entry, found_by):
    name = next(iter(entry.get("fields", {})), "cf_853")
    names = {"cf_853": name if name == "ref" else "cf_853"}
    record = {names["cf_853"]: "a", "lastname": "x", "phone": "1"}
    if "id" in key:
        record["id"] = "x"
    lines = messages("Contacts", record, key=key)[:1]  # no record: only what is said of the stream
    run = load(sandbox, lines, streams={"Contacts": entry})
    if found_by is None:
        assert warnings(run) == []
    else:
        (line,) = warnings(run)
        assert f"found by {found_by}." in line
        assert "set `streams.Contacts.match_on`" in line


def test_batch_messages_are_refused(server, tmp_path):
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"cf_853": "a", "lastname": "x"}\n')
    batch = {
        "type": "BATCH",
        "stream": "Contacts",
        "encoding": {"format": "jsonl", "compression": "none"},
        "manifest": [rows.as_uri()],
    }
    line = refused(server, LINES[0], json.dumps(batch), streams=STREAMS)
    assert "BATCH" in line
    assert "batch_config" in line


def test_activate_version_deletes_nothing_and_is_logged_once(sandbox):
    old = sandbox.insert("Contacts", {"cf_853": "old", "lastname": "Old"})
    version = json.dumps({"type": "ACTIVATE_VERSION", "stream": "Contacts", "version": 1})
    run = load(sandbox, LINES, version, streams=STREAMS, hard_delete=True)
    assert run.tally == {"created": 1}
    assert old in {row["id"] for row in sandbox.rows("Contacts")}
    assert len([line for line in run.stderr.splitlines() if "ACTIVATE_VERSION" in line]) == 1


def test_missing_file_is_one_line(tmp_path, server):
    config = Files(tmp_path).config(server)
    for arguments in (["--config", "nowhere.json"], ["--config", config, "--input", "nowhere"]):
        done = command(*arguments)
        assert done.returncode in {1, 2}
        assert "nowhere" in done.stderr
        assert "Traceback" not in done.stderr


def test_unreachable_server_is_one_line():
    with empty() as gone:
        where = settings(gone)
    run = load(None, LINES, **where, streams=STREAMS, check=False)
    assert run.code == 1
    assert "refuses the connection" in run.errors[0]
    assert "Traceback" not in run.stderr
    assert run.stdout == ""


def test_messages_come_from_stdin_and_settings_from_the_environment(sandbox):
    env = {f"TARGET_KAFINEA_{k.upper()}": v for k, v in settings(sandbox).items()}
    env["TARGET_KAFINEA_STREAMS"] = json.dumps(STREAMS)
    lines = [*LINES, json.dumps({"type": "STATE", "value": {"done": 1}})]
    done = command("--config", "ENV", env=env, input="".join(f"{line}\n" for line in lines))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"done": 1}
    assert sandbox.count("Contacts") == 1


def test_standard_input_that_is_closed_is_one_line(sandbox):
    env = {f"TARGET_KAFINEA_{k.upper()}": v for k, v in settings(sandbox).items()}
    done = command("--config", "ENV", env=env, preexec_fn=partial(os.close, 0))
    assert done.returncode == 1
    assert "No input: the standard input is closed." in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_request_timeout_may_be_a_fraction(sandbox):
    assert load(sandbox, LINES, streams=STREAMS, request_timeout=2.5).tally == {"created": 1}


def test_empty_input_is_no_error(sandbox):
    run = load(sandbox)
    assert (run.code, run.stdout) == (0, "")


def test_stream_without_records_is_no_error(sandbox):
    assert load(sandbox, LINES[0], streams=STREAMS).code == 0


def test_stream_maps_work(sandbox):
    maps = {"people": {"cf_853": "ref", "lastname": "name.upper()", "__else__": None}}
    maps["people"]["__alias__"] = "Contacts"
    lines = messages("people", {"ref": "a", "name": "Lovelace", "junk": "x"})
    run = load(sandbox, lines, stream_maps=maps, streams=STREAMS, check=False)
    assert run.tally == {"created": 1}
    assert [row["lastname"] for row in sandbox.rows("Contacts")] == ["LOVELACE"]


def test_about_documents_every_setting():
    about = json.loads(command("--about", "--format=json").stdout)
    properties = about["settings"]["properties"]
    expected = {"url", "username", "access_key", "timezone", "max_sessions", "request_timeout"}
    expected |= {"allow_http", "streams", "load_method", "hard_delete", "validate_records"}
    expected |= {"create_missing", "unknown_picklist", "serial_modules", "max_rejects", "dry_run"}
    expected |= {"outcomes_path", "outcomes_values", "rejects_path"}
    assert expected <= properties.keys()
    assert all(properties[name].get("description") for name in expected)
    assert properties["access_key"]["secret"] is True
    assert properties["load_method"]["default"] == "upsert"
    assert "overwrite" not in json.dumps(properties["load_method"].get("enum", []))
    assert command("--version").returncode == 0


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("str(int(name))", "ValueError"),
        ("name.upper()", "Failed to evaluate simpleeval expressions name.upper()"),
        ("name + 'x'", None),
    ],
)
def test_stream_map_that_fails_rejects_its_record_only(sandbox, expression, why):
    bad = {"ref": "b", "name": None if "upper" in expression else "Lovelace"}
    records = [{"ref": "a", "name": "1"}, bad, {"ref": "c", "name": "3"}]
    maps = {"people": {"cf_853": "ref", "lastname": expression, "__else__": None}}
    maps["people"]["__alias__"] = "Contacts"
    lines = messages("people", *records, state={"done": 3})
    run = load(sandbox, lines, stream_maps=maps, streams=STREAMS, max_rejects=1, check=False)
    assert run.states == [{"done": 3}]
    assert run.summary["Contacts"] == {"created": 2, "rejected": 1} if why else {"created": 3}
    assert [one["message"] for one in run.rejects[1:]] == (
        [f"the stream map failed for the record: {why}"] if why else []
    )
    assert run.rejected_records == ([bad] if why else [])
    assert "Lovelace" not in run.stderr


def test_stream_map_that_fails_often_ends_the_run(sandbox):
    maps = {"Contacts": {"lastname": "1/0"}}
    records = [{"cf_853": f"{n}", "lastname": "x"} for n in range(50)]
    run = load(sandbox, messages("Contacts", *records), stream_maps=maps, streams=STREAMS)
    assert (run.code, run.codes) == (1, ["NOT_MAPPED"])


def test_log_of_the_command_has_the_reason_of_a_reject(sandbox):
    """Not only what kind of error it was, as it does of others."""
    env = {f"TARGET_KAFINEA_{k.upper()}": v for k, v in settings(sandbox).items()}
    env["TARGET_KAFINEA_STREAMS"] = json.dumps(STREAMS)
    lines = [*LINES, *messages("Contacts", {"cf_853": "b", "lastname": ""})[1:]]
    done = command("--config", "ENV", env=env, input="".join(f"{line}\n" for line in lines))
    assert "line 3 of the input rejected: no value in lastname (MANDATORY_FIELD_MISSING)" in (
        done.stderr
    )
