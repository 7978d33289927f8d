"""`kafinea undo`: what it prints, and its exit code."""

from __future__ import annotations

import json

from tests.cli.running import run, variables
from tests.target.running import Files, load, matched, messages
from tests.undo.loads import small_company


def test_undo_prints_what_became_of_each_record(tmp_path):
    path = tmp_path / "undo.jsonl"
    with small_company() as sandbox:
        for name in "ab":
            sandbox.insert("Contacts", {"cf_853": name, "lastname": f"Old {name}"})
        records = [{"cf_853": name, "lastname": f"New {name}"} for name in "abc"]
        streams = matched("Contacts", "cf_853")
        done = load(sandbox, messages("Contacts", *records), streams=streams, undo_path=str(path))
        assert done.tally == {"updated": 2, "created": 1}
        (conflict,) = (row for row in sandbox.rows("Contacts") if row["cf_853"] == "b")
        sandbox.change("Contacts", conflict["id"].partition("x")[2], {"lastname": "Theirs"})

        def undo(*options):
            return run(["undo", str(path), *options], variables(sandbox), tmp_path)

        dry = undo("--dry-run")
        assert dry.returncode == 1
        assert dry.stderr == "Dry run, nothing was written: 1 restored, 1 deleted, 1 conflict\n"
        assert sandbox.count("Contacts") == 3
        printed = undo()
        assert (printed.returncode, printed.stdout) == (1, dry.stdout)
        rows = [line.split() for line in printed.stdout.splitlines()[1:]]
        assert sorted(row[0] for row in rows) == ["conflict", "deleted", "restored"]
        assert ["conflict", "Contacts", conflict["id"], "lastname"] in rows
        assert "Theirs" not in printed.stdout + printed.stderr
        again = undo("--json", "--values")
        assert again.returncode == 1
        (left,) = (row for row in json.loads(again.stdout) if row["action"] == "conflict")
        assert left["conflicts"] == [
            {"field": "lastname", "before": "Old b", "loaded": "New b", "now": "Theirs"}
        ]
        sandbox.change("Contacts", conflict["id"].partition("x")[2], {"lastname": "New b"})
        assert undo().returncode == 0
        names = {row["lastname"] for row in sandbox.rows("Contacts")}
        assert names == {"Old a", "Old b"}


def test_file_that_cannot_be_used_is_one_line(tmp_path):
    with small_company() as sandbox:
        files = Files(tmp_path)
        for name, message in [
            (str(tmp_path / "missing.jsonl"), "cannot be read"),
            (files.write("other.jsonl", '{"type": "RECORD"}\n'), "not an undo file"),
        ]:
            done = run(["undo", name], variables(sandbox), tmp_path)
            assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
            assert message in done.stderr
