"""`load_method: mirror`: what a part of a module has and the input does not bring is deleted."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from kafinea import Client
from kafinea.load.undo import Undo
from kafinea_sandbox.operations.table import OPERATIONS
from tests.target.running import Files, empty, load, messages, state, write_requests

STREAM = {"match_on": "cf_853", "mirror_where": "leadsource = 'Trade Show'"}
CALLS = {
    "module": "PBXManager",
    "fields": {"cf_853": "customernumber", "lastname": None, "leadsource": None},
    "mirror_where": "gateway = 'x'",
}
OLD, NEW = "2026-01-31 08:00:00", "2026-01-31 09:00:00"
END = state({"bookmarks": {}})


def bookmark(**values):
    return state({"bookmarks": {"Contacts": values}})


def contact(sandbox, key, leadsource="Trade Show", **values):
    values = {"cf_853": key, "lastname": "Stored", "leadsource": leadsource, **values}
    return sandbox.insert("Contacts", values, modifiedtime=OLD)


def row(key, **values):
    return {"cf_853": key, "lastname": "Stored", "leadsource": "Trade Show", **values}


def mirror(sandbox, *lines, check=False, stream=STREAM, **more):
    streams = {"Contacts": stream}
    given = {"load_method": "mirror", "max_deletions": 100, "streams": streams, **more}
    return load(sandbox, *lines, check=check, **given)


def keys(sandbox):
    return sorted(one["cf_853"] for one in sandbox.rows("Contacts"))


def test_what_the_input_does_not_bring_is_deleted(any_sandbox):
    for key in "abc":
        contact(any_sandbox, key)
    gone = contact(any_sandbox, "gone", firstname="Ada")
    contact(any_sandbox, "other", leadsource="Partner")
    run = mirror(any_sandbox, messages("Contacts", *map(row, "abn")), END)
    assert run.code == 0, run.stderr
    assert keys(any_sandbox) == ["a", "b", "n", "other"]
    assert run.summary == {"Contacts": {"created": 1, "unchanged": 2, "deleted": 2}}
    (line,) = run.of("gone")
    assert (line["outcome"], line["id"], line["key"]) == ("deleted", gone, {"cf_853": "gone"})
    assert mirror(any_sandbox, messages("Contacts", *map(row, "abn")), END).tally == {
        "unchanged": 3
    }


def test_record_created_meanwhile_stays_when_the_stream_has_a_second_schema(sandbox, monkeypatch):
    contact(sandbox, "a")
    contact(sandbox, "gone")
    create = OPERATIONS["create"]

    def create_another(call):
        contact(sandbox, "theirs")
        return create.run(call)

    monkeypatch.setitem(OPERATIONS, "create", create._replace(run=create_another))
    lines = [*messages("Contacts", row("n")), *messages("Contacts", row("a", firstname="Ada"))]
    run = mirror(sandbox, lines, END)
    assert run.code == 0, run.stderr
    assert keys(sandbox) == ["a", "n", "theirs"]


def test_dry_run_shows_the_deletions(sandbox):
    contact(sandbox, "a")
    contact(sandbox, "gone")
    whole = bookmark(version=1, last_pk_fetched=None, last_replication_method="FULL_TABLE")
    run = mirror(sandbox, messages("Contacts", row("a"), row("n")), whole, dry_run=True)
    assert (run.code, run.tally) == (0, {"unchanged": 1, "created": 1, "deleted": 1}), run.stderr
    assert run.of("gone")[0]["dry_run"]
    assert keys(sandbox) == ["a", "gone"]
    assert write_requests(sandbox) == []


def test_plan_contains_the_deletions_and_the_undo_file_takes_them_back(sandbox, tmp_path):
    contact(sandbox, "a")
    contact(sandbox, "gone", firstname="Ada")
    lines = [messages("Contacts", row("a"), row("n")), END]
    plan, undo = str(tmp_path / "plan.jsonl"), str(tmp_path / "undo.jsonl")
    planned = mirror(sandbox, *lines, dry_run=True, plan_path=plan)
    assert planned.tally == {"unchanged": 1, "created": 1, "deleted": 1}, planned.stderr
    run = mirror(sandbox, *lines, plan_path=plan, undo_path=undo)
    assert (run.code, run.tally) == (0, planned.tally), run.stderr
    assert keys(sandbox) == ["a", "n"]
    with (
        Client(sandbox.url, sandbox.username, sandbox.access_key) as client,
        Undo(undo, client) as undoing,
    ):
        assert len(list(undoing())) == 2
    assert keys(sandbox) == ["a", "gone"]
    (again,) = (one for one in sandbox.rows("Contacts") if one["cf_853"] == "gone")
    assert again["firstname"] == "Ada"


def test_missing_records_get_the_values_of_on_missing(sandbox):
    contact(sandbox, "a")
    contact(sandbox, "gone", title="Buyer")
    stream = {**STREAM, "on_missing": {"title": "Former", "donotcall": True}}
    run = mirror(sandbox, messages("Contacts", row("a")), END, stream=stream)
    assert (run.code, run.tally) == (0, {"unchanged": 1, "updated": 1}), run.stderr
    assert run.of("gone")[0]["changed"] == ["donotcall", "title"]
    (gone,) = (one for one in sandbox.rows("Contacts") if one["cf_853"] == "gone")
    assert (gone["title"], gone["donotcall"]) == ("Former", "1")
    # What is marked already does not count, whatever `max_deletions` is.
    again = mirror(sandbox, messages("Contacts", row("a")), END, stream=stream, max_deletions=0)
    assert (again.code, again.tally) == (0, {"unchanged": 1}), again.stderr


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ([messages("Contacts", row("a"))], "does not end with a STATE message"),
        ([messages("Contacts", row("a")), END, messages("Contacts", row("b"))[1]], "STATE message"),
        ([messages("Contacts", row("a")), state({"currently_syncing": "x"})], "still extracting x"),
        (
            [messages("Contacts", row("a")), bookmark(starting_replication_value=None)],
            "still extracting the stream",
        ),
        (
            [messages("Contacts", row("a")), bookmark(replication_key_value="2026-01-31")],
            "FULL_TABLE",
        ),
        (
            [
                messages("Contacts", row("a")),
                bookmark(partitions=[{"context": {}, "replication_key_value": "2026-01-31"}]),
            ],
            "FULL_TABLE",
        ),
        (
            [messages("Contacts", row("a")), bookmark(updated_at="2026-01-31")],
            "'updated_at' in its",
        ),
        ([messages("Contacts", row("a")), bookmark(last_pk_fetched={"id": 9})], "still extracting"),
        ([messages("Contacts", row("a")), state({"Contacts": "2026-01-31"})], "FULL_TABLE"),
        ([messages("Contacts", properties={"cf_853": {}}), END], "contains no record"),
        ([messages("Others", {"id": None}), END], "the input has no such stream"),
        (
            [messages("Contacts", row("a"), row("b", _sdc_deleted_at=NEW)), END],
            "2 of the 3 records with leadsource = 'Trade Show' are missing in the input (66.7 %)",
        ),
    ],
)
def test_nothing_is_deleted_when_the_input_may_not_be_whole(shared, lines, why):
    streams = {"Contacts": STREAM, "Others": {**STREAM, "module": "Leads", "match_on": "id"}}
    if "Others" not in lines[0][0]:
        del streams["Others"]
    run = mirror(shared, *lines, streams=streams, max_deletions=66)
    assert run.code == 1
    assert "nothing was deleted: " in run.stderr
    assert why in run.stderr
    assert keys(shared) == ["a", "b", "gone"]


@pytest.fixture(scope="module")
def shared():
    with empty() as sandbox:
        for key in ("a", "b", "gone"):
            contact(sandbox, key)
        yield sandbox


def test_nothing_is_deleted_in_a_module_with_rejects(shared):
    run = mirror(
        shared, messages("Contacts", row("a"), row("b", donotcall="?")), END, max_rejects=9
    )
    assert run.code == 0
    assert "nothing was deleted: records of the input were rejected" in run.stderr
    assert keys(shared) == ["a", "b", "gone"]


@pytest.mark.parametrize(
    ("lines", "end"),
    [
        ([], END),
        ([messages("more", properties={"cf_853": {}})], END),
        ([messages("more", row("b"))], state({"bookmarks": {"more": {"progress_markers": {}}}})),
    ],
    ids=["absent", "empty", "unfinished"],
)
def test_nothing_is_deleted_in_a_module_whose_other_stream_is_not_whole(shared, lines, end):
    """The record that the first stream does not bring may be one of the second."""
    streams = {"Contacts": STREAM, "more": {**STREAM, "module": "contacts"}}
    run = mirror(shared, messages("Contacts", row("a")), *lines, end, streams=streams)
    assert run.code == 1
    assert "stream 'more', which goes into the same module, may not be complete" in run.stderr
    assert keys(shared) == ["a", "b", "gone"]


@pytest.mark.parametrize(
    ("second", "end", "why"),
    [
        ({"account_id": "3x1"}, END, "records of the input were rejected"),
        ({}, state({"bookmarks": {"people": {"replication_key_value": "1"}}}), "only changes"),
    ],
    ids=["rejected", "incremental"],
)
def test_nested_records_may_be_missing_with_those_that_contain_them(sandbox, second, end, why):
    for name in "ab":
        account = {"siccode": name, "accountname": name, "industry": "Banking"}
        sandbox.insert("Accounts", account, modifiedtime=OLD)
    to = {"stream": "accounts", "field": "account_id"}
    accounts = {"module": "Accounts", "match_on": "siccode", "mirror_where": "industry = 'Banking'"}
    streams = {
        "people": {**STREAM, "module": "Contacts", "nested": {"at": to}},
        "accounts": accounts,
    }
    first = row("1", at={"siccode": "a"})
    others = [row("2", at={"siccode": "b"}, **second)] if second else []
    run = mirror(sandbox, messages("people", first, *others), end, streams=streams, max_rejects=9)
    assert f"Stream 'accounts': nothing was deleted: {why}" in run.stderr or why in run.stderr
    assert [one["siccode"] for one in sandbox.rows("Accounts")] == ["a", "b"]


def test_what_is_marked_already_makes_no_room_for_more(sandbox):
    stream = {**STREAM, "on_missing": {"title": "Former"}}
    for n in range(60):
        contact(sandbox, f"marked {n}", title="Former")
    contact(sandbox, "a")
    contact(sandbox, "gone")
    given = [messages("Contacts", row("a")), END]
    run = mirror(sandbox, *given, stream=stream, max_deletions=49)
    assert "1 of the 2 records with leadsource = 'Trade Show' and not marked yet" in run.stderr
    assert mirror(sandbox, *given, stream=stream, max_deletions=50).code == 0


@pytest.mark.parametrize(
    ("stream", "more", "why"),
    [
        ({"match_on": "cf_853"}, {}, "set `mirror_where`"),
        ({**STREAM, "mirror_where": "nofield = 'x'"}, {}, "has no field 'nofield'"),
        ({**STREAM, "mirror_where": "createdtime > 'x'"}, {}, "is not a value of a field"),
        ({**STREAM, "mirror_where": "leadsource ="}, {}, "ends where a value is expected"),
        ({**STREAM, "on_missing": {"nofield": 1}}, {}, "has no field 'nofield'"),
        ({**STREAM, "on_missing": {"leadsource": "none such"}}, {}, "picklist"),
        ({**STREAM, "on_missing": {"createdtime": NEW}}, {}, "cannot be written"),
        (CALLS, {}, "PBXManager cannot be mirrored. It has no modifiedtime"),
    ],
)
def test_settings_are_checked_before_anything_is_written(shared, stream, more, why):
    run = mirror(shared, messages("Contacts", row("new")), END, stream=stream, **more)
    assert run.code == 1
    assert why in run.errors[-1], run.stderr
    assert keys(shared) == ["a", "b", "gone"]


def test_mirror_where_without_mirror_deletes_nothing(shared):
    run = mirror(shared, messages("Contacts", row("a")), END, load_method="upsert")
    assert (run.code, run.tally) == (0, {"unchanged": 1})
    assert "`mirror_where` has no effect" in run.stderr


def test_what_was_changed_during_the_run_stays(sandbox):
    """A person creates one record and changes another while the input is read."""
    changed, gone = contact(sandbox, "changed"), contact(sandbox, "gone")
    known = [f"k{n}" for n in range(100)]  # so many are looked up while the input is still read
    with Running(sandbox) as target:
        target.send(*messages("Contacts", *map(row, known)))
        target.until(lambda: any("cf_853 IN" in query for query in queries(sandbox)))
        contact(sandbox, "person")
        sandbox.change("Contacts", changed, {"title": "Buyer"}, modifiedtime=NEW)
        code, stderr = target.end(END)
    assert code == 0, stderr
    assert keys(sandbox) == sorted(["changed", "person", *known])
    assert "2 records that the input does not contain were created or changed" in stderr
    assert gone not in stderr


@pytest.mark.parametrize("by_plan", [False, True])
@pytest.mark.parametrize("on_missing", [{}, {"title": "Former"}], ids=["delete", "mark"])
def test_what_is_changed_right_before_it_is_written_stays(sandbox, tmp_path, by_plan, on_missing):
    contact(sandbox, "a")
    gone = contact(sandbox, "gone")
    given = [messages("Contacts", row("a")), END]
    more = {"stream": {**STREAM, "on_missing": on_missing}}
    if by_plan:
        more["plan_path"] = str(tmp_path / "plan.jsonl")
        mirror(sandbox, *given, dry_run=True, **more)
        sandbox.requests.clear()
    # The record is looked up by its id, and once more right before it is written.
    last = {"operation": "retrieve"} if on_missing else {"operation": "query", "nth": 2}
    fault = sandbox.faults.add("latency", contains=gone, seconds=0.3, **last)

    def change():
        while not fault.hits:
            time.sleep(0.005)
        sandbox.change("Contacts", gone.partition("x")[2], {"title": "Buyer"}, modifiedtime=NEW)

    colleague = threading.Thread(target=change)
    colleague.start()
    run = mirror(sandbox, *given, **more)
    colleague.join()
    assert [one["title"] for one in sandbox.rows("Contacts")] == ["", "Buyer"], run.stderr
    if by_plan:
        assert run.codes[0] in {"CHANGED_SINCE_PLAN", "CONFLICT"}
    else:
        assert (run.code, run.tally) == (0, {"unchanged": 1}), run.stderr
        assert "1 records that the input does not contain were created or changed" in run.stderr


def test_killed_tap_in_a_pipe_deletes_nothing(sandbox):
    contact(sandbox, "a")
    contact(sandbox, "gone")
    with Running(sandbox) as target:
        target.send(*messages("Contacts", row("a"), row("b")))
        code, _ = target.end('{"type": "RECORD", "stream": "Contacts", "rec', newline="")
    assert code == 1
    assert keys(sandbox) == ["a", "b", "gone"]


def test_record_outside_of_the_part_is_reported(sandbox):
    contact(sandbox, "a")
    run = mirror(sandbox, messages("Contacts", row("a"), row("b", leadsource="Partner")), END)
    assert run.code == 0
    assert "1 records of the input do not fulfil `mirror_where`" in run.stderr


def test_more_than_a_page_is_compared_exactly(sandbox):
    some = [f"k{n:03}" for n in range(230)]
    for key in some:
        contact(sandbox, key)
    run = mirror(sandbox, messages("Contacts", *map(row, some[:-11])), END, max_deletions=5)
    assert (run.code, run.tally) == (0, {"unchanged": 219, "deleted": 11}), run.stderr
    assert keys(sandbox) == some[:-11]


def queries(sandbox):
    return [one.params.get("query", "") for one in sandbox.requests]


class Running:
    """The target as a process of its own, which is given its input in parts."""

    def __init__(self, sandbox):
        self._directory = tempfile.TemporaryDirectory()
        config = Files(Path(self._directory.name)).config(
            sandbox, load_method="mirror", max_deletions=100, streams={"Contacts": STREAM}
        )
        self._process = subprocess.Popen(
            [sys.executable, "-m", "target_kafinea", "--config", config],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.communicate()
        self._directory.cleanup()

    def send(self, *lines, newline="\n"):
        for line in lines:
            self._process.stdin.write(line + newline)
        self._process.stdin.flush()

    def until(self, condition):
        while not condition():
            assert self._process.poll() is None
            time.sleep(0.01)

    def end(self, *lines, newline="\n"):
        self.send(*lines, newline=newline)
        stderr = self._process.communicate()[1]
        return self._process.returncode, stderr
