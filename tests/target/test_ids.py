"""`ids_path`: the Kafinea id of each record, whole or not there; `kafinea ids` for a loader."""

from __future__ import annotations

import json
import stat

from click.testing import CliRunner

from kafinea_cli.ids import ids as command
from tests.target.running import Files, load, matched, messages

STREAMS = matched("Contacts", "cf_853")


def row(key, **more):
    return {"cf_853": key, "lastname": "Roux", **more}


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_each_record_has_its_id_and_its_result(sandbox, tmp_path):
    path = tmp_path / "ids.jsonl"
    stored = sandbox.insert("Contacts", row("a"))
    given = messages(
        "Contacts", row("a", customer=1), row("b", customer=2), row("c", donotcall="?", customer=3),
        key=["customer"],
    )  # fmt: skip
    streams = matched("Contacts", "cf_853", fields={"customer": ""})
    more = {"streams": streams, "max_rejects": -1, "check": False, "ids_path": str(path)}
    load(sandbox, given, **more)
    made = {one["cf_853"]: one["id"] for one in sandbox.rows("Contacts")}
    found = lines(path)
    told = sorted(found, key=lambda one: one["key"]["customer"])
    assert [(one["key"], one["id"], one["outcome"]) for one in told] == [
        ({"cf_853": "a", "customer": 1}, stored, "unchanged"),
        ({"cf_853": "b", "customer": 2}, made["b"], "created"),
        ({"cf_853": "c", "customer": 3}, None, "rejected"),
    ]
    assert {one["stream"] for one in found} == {"Contacts"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["ids.jsonl"]
    load(sandbox, messages("Contacts", row("b")), streams=STREAMS, ids_path=str(path))
    assert [one["key"] for one in lines(path)] == [{"cf_853": "b"}]  # of the last run alone


def test_run_that_breaks_off_replaces_nothing(sandbox, tmp_path):
    path = tmp_path / "ids.jsonl"
    earlier = '{"stream":"Contacts"}\n'
    path.write_text(earlier)
    given = [*messages("Contacts", row("a")), '{"type": "REC']
    run = load(sandbox, given, streams=STREAMS, ids_path=str(path), check=False)
    assert run.code == 1
    assert path.read_text() == earlier
    (left,) = lines(tmp_path / "ids.jsonl.part")
    assert left["outcome"] == "created"
    run = load(sandbox, messages("Contacts", row("b")), streams=STREAMS, ids_path=str(path))
    assert [one["key"] for one in lines(path)] == [{"cf_853": "b"}]


def test_dry_run_writes_no_ids(sandbox, tmp_path):
    path = tmp_path / "ids.jsonl"
    load(sandbox, messages("Contacts", row("a")), streams=STREAMS, ids_path=str(path), dry_run=True)
    assert not path.exists()


def test_ids_need_a_file_of_their_own(sandbox, tmp_path):
    other = tmp_path / "warehouse.duckdb"
    other.write_text("of another program")
    for path in ("/dev/null", str(Files(tmp_path).path("outcomes")), str(other)):
        with_path = {"ids_path": path, "outcomes_path": str(Files(tmp_path).path("outcomes"))}
        run = load(sandbox, messages("Contacts", row("a")), check=False, **with_path)
        assert run.code == 1
        assert "`ids_path`" in run.errors[-1]
    assert other.read_text() == "of another program"


def test_command_prints_singer_messages(tmp_path):
    path = tmp_path / "ids.jsonl"
    common = {"stream": "visitors", "outcome": "created", "loaded_at": "2026-01-31T08:00:00+00:00"}
    given = [
        {**common, "key": {"email": "a@b.example", "n": 1, "mixed": 1}, "id": "12x1"},
        {**common, "key": {"email": "c@d.example", "n": None, "mixed": "x"}, "id": None},
    ]
    path.write_text("".join(f"{json.dumps(one)}\n" for one in given))
    done = CliRunner().invoke(command, [str(path)])
    schema, first, second = map(json.loads, done.stdout.splitlines())
    assert (schema["stream"], schema["key_properties"]) == ("visitors_ids", ["email", "mixed"])
    types = {name: one["type"] for name, one in schema["schema"]["properties"].items()}
    assert types == {
        "email": ["string", "null"],
        "n": ["integer", "null"],
        "mixed": ["string", "null"],
        "kafinea_id": ["string", "null"],
        "outcome": "string",
        "loaded_at": "string",
    }
    assert first["record"] == {
        "email": "a@b.example",
        "n": 1,
        "mixed": "1",
        "kafinea_id": "12x1",
        "outcome": "created",
        "loaded_at": common["loaded_at"],
    }
    assert (second["record"]["n"], second["record"]["kafinea_id"]) == (None, None)


def test_command_refuses_what_is_no_ids_file(tmp_path):
    (tmp_path / "other.jsonl").write_text('{"type": "RECORD"}\n')
    done = CliRunner().invoke(command, [str(tmp_path / "other.jsonl")])
    assert done.exit_code != 0
    assert "this is no ids file" in str(done.exception)
