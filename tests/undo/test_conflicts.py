"""What is left alone, because it is no longer as the load left it."""

from __future__ import annotations

import re
from dataclasses import astuple
from itertools import count

import pytest

from kafinea.errors import KafineaError, SettingsError, StorageError
from tests.target.running import write_requests
from tests.undo.loads import actions, client_of, contents, loading, undo

_keys = count()


@pytest.fixture
def loaded(sandbox, client, path):
    """The ids of an updated, a created and a deleted record."""
    key = next(_keys)
    old = [
        sandbox.insert("Contacts", {"cf_853": f"{key} {name}", "lastname": "Old", "phone": "1"})
        for name in ("updated", "deleted")
    ]
    with loading(client, "Contacts", path, match_on="cf_853") as load:
        results = load(
            {"cf_853": f"{key} updated", "lastname": "New", "phone": "2"},
            {"cf_853": f"{key} created", "lastname": "New", "phone": "2"},
            {"cf_853": f"{key} deleted", "_sdc_deleted_at": "2026-01-01"},
        )
    assert [one.rejection for one in results] == [None, None, None]
    sandbox.requests.clear()
    return {"updated": old[0], "created": results[1].id, "deleted": old[1]}


def exist_again(sandbox, record_id):
    number = record_id.partition("x")[2]
    for table in ("Contacts", "_entity"):
        sandbox.sql(f"UPDATE {table} SET _deleted = 0 WHERE _number = ?", [number])


# What was done since the load, to which record; its result, the fields restored, those left.
CONFLICTS = {
    "one field": ("updated", {"phone": "3"}, "conflict", ["lastname"], ["phone"]),
    "both fields": (
        "updated",
        {"phone": "3", "lastname": "x"},
        "conflict",
        [],
        ["lastname", "phone"],
    ),
    "another field": ("updated", {"mobile": "3"}, "restored", ["lastname", "phone"], []),
    "one field set back": ("updated", {"phone": "1"}, "restored", ["lastname"], []),
    "all set back": ("updated", {"phone": "1", "lastname": "Old"}, "nothing to do", [], []),
    "deleted since": ("updated", None, "conflict", [], []),
    "new record changed": ("created", {"mobile": "3"}, "conflict", [], ["mobile"]),
    "new record written by another user": (
        *("created", {"modifiedby": 2}, "conflict", []),
        ["modifiedby"],
    ),
    "new record deleted": ("created", None, "nothing to do", [], []),
    "deleted record brought back": ("deleted", {"phone": "1"}, "nothing to do", [], []),
}


@pytest.mark.parametrize("name", CONFLICTS)
def test_what_was_changed_since_is_left(sandbox, client, path, loaded, name):
    which, values, action, restored, left = CONFLICTS[name]
    if which == "deleted":
        exist_again(sandbox, loaded["deleted"])
    if values is None:
        sandbox.remove("Contacts", loaded[which])
    else:
        sandbox.change("Contacts", loaded[which], values)
    (found,) = (one for one in undo(client, path, dry_run=True) if one.id == loaded[which])
    assert write_requests(sandbox) == []
    (one,) = (one for one in undo(client, path) if one.id == loaded[which])
    assert (one.action, sorted(one.fields)) == (action, restored)
    assert sorted(conflict.field for conflict in one.conflicts) == left
    assert astuple(found)[0] == action
    rows = {row["id"]: row for row in sandbox.rows("Contacts")}
    if values and which != "deleted":
        assert {name: rows[one.id][name] for name in values if name != "modifiedby"} == {
            name: value for name, value in values.items() if name != "modifiedby"
        }


def test_values_of_a_conflict(sandbox, client, path, loaded):
    sandbox.change("Contacts", loaded["updated"], {"phone": "3"})
    (conflict,) = (c for one in undo(client, path) for c in one.conflicts)
    assert astuple(conflict) == ("phone", "1", "2", "3")


def test_undo_is_noted_like_a_load_and_can_be_taken_back(sandbox, client, path, loaded, tmp_path):
    after_load, other = contents(sandbox, "Contacts"), tmp_path / "undo of undo.jsonl"
    undo(client, path, undo_path=str(other))
    assert contents(sandbox, "Contacts") != after_load
    assert actions(undo(client, other)) == {"restored": 1, "deleted": 1, "created anew": 1}
    assert contents(sandbox, "Contacts") == after_load


def test_references_to_records_created_anew_have_their_new_ids(sandbox, client, path):
    account = sandbox.insert("Accounts", {"accountname": "Anew"})
    contact = sandbox.insert("Contacts", {"lastname": "Anew", "account_id": account})
    with loading(client, "Contacts", path) as load:
        load({"id": contact, "lastname": "x", "_sdc_deleted_at": "2026"})
        first = path.read_text()
    with loading(client, "Accounts", path) as load:
        load({"id": account, "_sdc_deleted_at": "2026"})
    # Both loads as one, as a run of two streams notes them.
    second = path.read_text().splitlines(keepends=True)[1:]
    path.write_text(first + "".join(second).replace('"note":1', '"note":2'))
    texts = {one.id: one.text for one in undo(client, path)}
    new_account = texts[account].split(";")[0].removeprefix("it is now ")
    (row,) = (row for row in sandbox.rows("Contacts") if row["lastname"] == "Anew")
    assert (row["account_id"], row["id"] == contact) == (new_account, False)


def test_new_record_that_others_refer_to_is_kept(sandbox, client, path):
    """A server deletes or empties what refers to a deleted record."""
    with loading(client, "Accounts", path, match_on="accountname") as load:
        kept, parent = load({"accountname": "Kept"}, {"accountname": "Parent"})
        load({"accountname": "Child", "account_id": parent.id})
        load({"accountname": "Grandchild", "account_id": next(iter(children(sandbox, parent.id)))})
    contact = sandbox.insert("Contacts", {"lastname": "Theirs", "account_id": kept.id})
    for options in ({"dry_run": True}, {}):
        undone = {one.id: one for one in undo(client, path, **options)}
        assert actions(undone.values()) == {"conflict": 1, "deleted": 3}
        assert undone[kept.id].text == f"it is kept, because other records refer to it: {contact}"
    left = {row["accountname"] for row in sandbox.rows("Accounts")}
    assert left & {"Kept", "Parent", "Child", "Grandchild"} == {"Kept"}
    sandbox.remove("Contacts", contact)
    assert actions(undo(client, path)) == {"deleted": 1, "nothing to do": 3}


def test_new_record_with_documents_of_others_is_kept(sandbox, client, path):
    with loading(client, "Accounts", path, match_on="accountname") as load:
        load({"accountname": "Filed"}, {"accountname": "Bare"})
    filed = next(one["id"] for one in sandbox.rows("Accounts") if one["accountname"] == "Filed")
    document = sandbox.insert("Documents", {"notes_title": "Theirs"})
    client.add_related(filed, "Documents", document)
    undone = {one.id: one.text for one in undo(client, path) if one.action.value == "conflict"}
    assert undone == {filed: f"it is kept, because other records refer to it: {document}"}
    assert {"Filed", "Bare"} & {row["accountname"] for row in sandbox.rows("Accounts")} == {"Filed"}
    sandbox.remove("Accounts", filed)


def children(sandbox, parent):
    return [row["id"] for row in sandbox.rows("Accounts") if row["account_id"] == parent]


# Creations without answer


def unanswered(path):
    """Leave the file as a kill does before the answer to a creation."""
    lines = path.read_text().splitlines(keepends=True)
    assert '"stored"' in lines[-1]
    path.write_text("".join(lines[:-1]))


@pytest.mark.parametrize(
    ("other", "left"),
    [
        ({"lastname": "Twin", "phone": "1"}, {"conflict": 1}),  # either may be ours
        ({"lastname": "Twin", "phone": "2"}, {"deleted": 1}),
    ],
)
def test_creation_without_answer_is_found_by_its_values(sandbox, client, path, other, left):
    with loading(client, "Contacts", path, match_on="lastname") as load:
        load({"lastname": "Twin", "phone": "1"})
    unanswered(path)
    theirs = sandbox.insert("Contacts", {**other, "modifiedby": 2})
    before = sandbox.count("Contacts")
    assert actions(undo(client, path)) == left
    assert sandbox.count("Contacts") == before - left.get("deleted", 0)
    assert theirs in {row["id"] for row in sandbox.rows("Contacts")}
    for row in sandbox.rows("Contacts"):
        sandbox.remove("Contacts", row["id"])


def test_creation_without_answer_whose_text_was_cut_is_listed(sandbox, client, path):
    with loading(client, "Contacts", path, match_on="lastname") as load:
        (result,) = load({"lastname": "A name that is longer than its column is"})
    unanswered(path)
    sandbox.change("Contacts", result.id, {"lastname": "A name that is longer than"})
    (one,) = undo(client, path)
    assert (one.action, result.id in one.text) == ("conflict", True)
    assert result.id in {row["id"] for row in sandbox.rows("Contacts")}


# The file


def test_record_created_before_the_load_is_never_taken_for_its_own(sandbox, client, path):
    twin = {"lastname": "Twin", "phone": "1", "mobile": " 5", "assigned_user_id": 1}
    sandbox.insert("Contacts", twin)
    sandbox.faults.add("reset", operation="create", contains="Twin", times=None)
    with loading(client, "Contacts", path, match_on="mobile") as load:
        (result,) = load({"lastname": "Twin", "phone": "1", "mobile": "5"})
    assert result.rejection.code == "UNKNOWN_OUTCOME"
    sandbox.faults.clear()
    before = contents(sandbox, "Contacts")
    assert undo(client, path) == []
    assert contents(sandbox, "Contacts") == before


def test_earlier_file_is_renamed(client, path, loaded):
    first = path.read_text()
    with loading(client, "Contacts", path):
        pass
    (renamed,) = path.parent.glob("undo.jsonl.*")
    assert (renamed.read_text(), path.read_text()) == (first, "")
    assert path.stat().st_mode & 0o777 == 0o600
    assert undo(client, path) == []


def without_its_first_write(text):
    lines = text.splitlines(keepends=True)
    first = next(line for line in lines if '"type":"write"' in line)
    return text.replace(first, "")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("127.0.0.1", "127.0.0.2"), "is the undo file of http"),
        (lambda text: text.replace('"version":1', '"version":2'), "newer version"),
        (lambda text: text + text, "several loads"),
        (lambda text: '{"type":"RECORD"}\n' + text, "not an undo file: see its line 1"),
        (lambda text: text.partition("\n")[2], "not an undo file: see its line 1"),
        (without_its_first_write, "lines are missing before note"),
        (lambda text: re.sub('.*"type":"write".*\n', "", text), "missing before note"),
    ],
)
def test_wrong_file_is_refused(sandbox, client, path, loaded, change, message):
    path.write_text(change(path.read_text()))
    sandbox.requests.clear()
    with pytest.raises(SettingsError, match=message):
        undo(client, path)
    assert write_requests(sandbox) == []


@pytest.mark.parametrize("named", [True, False])
def test_file_that_names_no_modules(sandbox, client, path, loaded, named):
    """A deletion names none by itself. One of an unknown module is said, not passed over."""
    text = path.read_text().replace('"module":"Contacts",', "")
    if not named:
        text = text.replace(loaded["deleted"], "99x1")
    path.write_text(text.replace('"module":"",', ""))
    undone = {one.action.value: one for one in undo(client, path)}
    found = {"restored", "deleted", "created anew" if named else "failed"}
    assert undone.keys() == found
    if not named:
        assert undone["failed"].text == "this user may not see its module"


def test_file_in_use_is_refused(client, path, loaded):
    with loading(client, "Contacts", path):
        for use in (
            lambda: undo(client, path),
            lambda: loading(client, "Contacts", path).__enter__(),
        ):
            with pytest.raises(StorageError, match="in use"):
                use()


@pytest.mark.parametrize("path", ["/dev/null", "missing/undo.jsonl"])
def test_path_that_keeps_nothing_is_refused(client, path):
    with pytest.raises((SettingsError, StorageError), match="`undo_path`"):
        loading(client, "Contacts", path).__enter__()


def test_dry_run_notes_nothing(sandbox, client, path):
    with loading(client, "Contacts", path, match_on="cf_853", dry_run=True) as load:
        load({"cf_853": "dry", "lastname": "x"})
    assert not path.exists()
    assert write_requests(sandbox) == []


def test_record_at_which_the_server_fails_leaves_the_others(sandbox, client, path, loaded):
    sandbox.faults.add("status", operation="delete", contains=loaded["created"], times=None)
    undone = {one.id: one.action for one in undo(client, path)}
    assert undone[loaded["created"]] == "failed"
    assert undone[loaded["updated"]] == "restored"
    sandbox.faults.clear()
    assert actions(undo(client, path)) == {"deleted": 1, "nothing to do": 2}


@pytest.mark.parametrize(
    ("right", "failed", "why"),
    [
        ("read", {"updated", "created", "deleted"}, "this user may not see its module"),
        ("update", {"updated"}, "may not update"),
        ("delete", {"created"}, "may not delete"),
        ("create", {"deleted"}, "may not create"),
    ],
)
def test_what_the_user_may_no_longer_do_is_taken_back_later(
    sandbox, client, path, loaded, right, failed, why
):
    before = contents(sandbox, "Contacts")
    sandbox.set_rights("Contacts", [right])
    try:
        dry = undo(client, path, dry_run=True)
        undone = undo(client, path)
    finally:
        sandbox.set_rights("Contacts")
    assert {(one.id, one.action) for one in dry} == {(one.id, one.action) for one in undone}
    assert {one.id for one in undone if one.action == "failed"} == {loaded[one] for one in failed}
    assert all(why in one.text for one in undone if one.action == "failed")
    assert (contents(sandbox, "Contacts") == before) == (right == "read")
    with client_of(sandbox) as again:
        assert "failed" not in actions(undo(again, path))
    rows = {row["lastname"] for row in sandbox.rows("Contacts") if row["id"] in loaded.values()}
    assert rows == {"Old"}


def test_undo_stops_where_no_write_is_answered(sandbox, client, path, loaded):
    sandbox.faults.add("status", operation="delete", times=None)
    with pytest.raises(KafineaError, match="Undo the same file again"):
        undo(client, path)


@pytest.mark.parametrize("kind", ["reset_after", "fatal_after"])
def test_update_without_answer_that_cannot_be_read_back_is_taken_back(sandbox, client, path, kind):
    contact = sandbox.insert("Contacts", {"lastname": "Old", "phone": "1"})
    sandbox.faults.add(kind, operation="revise")
    with loading(client, "Contacts", path) as load:
        # The record is read before the write, and after it: for the note, and for the load itself.
        sandbox.faults.add("status", operation="retrieve", contains=contact, nth=2)
        (result,) = load({"id": contact, "lastname": "New", "phone": "2"})
    assert result.rejection is None
    assert actions(undo(client, path)) == {"restored": 1}
    (row,) = [row for row in sandbox.rows("Contacts") if row["id"] == contact]
    assert (row["lastname"], row["phone"]) == ("Old", "1")


def test_file_of_a_load_that_runs_is_not_taken(client, path, loaded):
    with loading(client, "Contacts", path, match_on="lastname") as load:
        load({"lastname": "x"})
        with (
            pytest.raises(StorageError, match="in use by another run"),
            loading(client, "Contacts", path),
        ):
            pass
        assert '"stored"' in path.read_text()
