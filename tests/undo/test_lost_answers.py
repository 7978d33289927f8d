"""Writes whose answers the load, or its undo, did not get."""

from __future__ import annotations

from contextlib import contextmanager

import pytest

from kafinea import Client
from tests.mutating_proxy import mutating
from tests.target.test_documents_with_lines import Shop
from tests.undo.loads import actions, client_of, contents, loading, small_company, undo
from tests.undo.test_beyond_values import FILE


def row_of(sandbox, record_id, module="Contacts"):
    (row,) = [row for row in sandbox.rows(module) if row["id"] == record_id]
    return row


def without_answers(path, *notes):
    """Leave the file as a load does that got no answer to these writes, and could not look."""
    lines = path.read_text().splitlines(keepends=True)
    gone = [f'{{"type":"stored","note":{note},' for note in notes]
    path.write_text("".join(line for line in lines if not line.startswith(tuple(gone))))


# A load has changed a phone number from 1 to 2, and then to 3. What it held between these, whether
# the second write was answered, what it holds now and after the undo, and the conflict.
TWICE = {
    "as it was left": ("2", True, "3", "1", None),
    "set back before the second write": ("1", True, "3", "1", None),
    "changed before the second write": ("7", True, "3", "7", ("1", "2", "7")),
    "answered, and set back halfway": ("2", True, "2", "2", ("1", "3", "2")),
    "answered, and changed": ("2", True, "9", "9", ("1", "3", "9")),
    "not answered, and not done": ("2", False, "2", "1", None),
    "not answered, and done": ("2", False, "3", "1", None),
    "not answered, and changed": ("2", False, "9", "9", ("1", "3", "9")),
}


@contextmanager
def altered(sandbox, change):
    """A client that gets altered answers."""
    with (
        mutating(sandbox.url, change) as url,
        Client(url, sandbox.username, sandbox.access_key) as client,
    ):
        yield client


@pytest.mark.parametrize("name", TWICE)
def test_field_that_the_load_wrote_twice(sandbox, client, path, name):
    between, is_answered, now, after, conflict = TWICE[name]
    contact = sandbox.insert("Contacts", {"lastname": "A", "phone": "1"})
    with loading(client, "Contacts", path) as load:
        load({"id": contact, "phone": "2"})
        sandbox.change("Contacts", contact, {"phone": between})
        load({"id": contact, "phone": "3"})
    if not is_answered:
        without_answers(path, 2)
    sandbox.change("Contacts", contact, {"phone": now})
    (one,) = undo(client, path)
    assert row_of(sandbox, contact)["phone"] == after
    found = [(c.before, c.loaded, c.now) for c in one.conflicts]
    assert (one.action.value, found) == (("conflict", [conflict]) if conflict else ("restored", []))


@pytest.fixture
def account(sandbox):
    return sandbox.insert("Accounts", {"accountname": "Theirs"})


# What a server answers to a creation that it has done, instead of the record.
ANSWERS = {
    "nothing": lambda _record, _other: {},
    "no id": lambda record, _other: {**record, "id": ""},
    "the id of an account": lambda record, other: {**record, "id": other},
    "its id alone": lambda record, _other: {"id": record["id"]},
}


@pytest.mark.parametrize("name", ANSWERS)
def test_creation_whose_answer_does_not_show_the_record(sandbox, path, account, name):
    """The load finds it by its key. An undo does not take another one for it."""

    def change(operation, _parameters, result):
        if operation != "create":
            return result
        if name == "its id alone":  # and it cannot be read right after
            sandbox.faults.add("status", operation="retrieve", contains=result["id"], status=500)
        return ANSWERS[name](result, account)

    record = {"lastname": "Twin", "phone": name}
    with altered(sandbox, change) as client:
        with loading(client, "Contacts", path, match_on="phone") as load:
            (result,) = load(record)
        assert result.rejection is None
        twin = sandbox.insert("Contacts", record)
        assert [(one.id, one.action.value) for one in undo(client, path)] == [
            (result.id, "deleted")
        ]
    assert [row["id"] for row in sandbox.rows("Contacts") if row["phone"] == name] == [twin]
    assert account in {row["id"] for row in sandbox.rows("Accounts")}


def test_record_that_another_user_created_at_the_same_moment_is_kept(sandbox, path):
    record = {"lastname": "Same", "phone": "moment"}

    def change(operation, _parameters, result):
        if operation != "create":
            return result
        sandbox.remove("Contacts", result["id"])  # the creation is lost, and theirs is done
        sandbox.insert("Contacts", {**record, "modifiedby": 2})
        return {}

    with altered(sandbox, change) as client:
        with loading(client, "Contacts", path, match_on="phone") as load:
            (result,) = load(record)
        assert result.rejection is None
        assert actions(undo(client, path)) == {"conflict": 1}
    assert result.id in {row["id"] for row in sandbox.rows("Contacts")}


@pytest.mark.parametrize(("is_theirs", "mobile"), [(False, "81"), (True, "82")])
def test_creation_without_answer_whose_record_was_updated_later(
    sandbox, client, path, is_theirs, mobile
):
    """It may be that of another user, which has the same key; then it is not deleted."""
    old = sandbox.insert("Contacts", {"lastname": "Before", "mobile": f"9{mobile}"})
    with loading(client, "Contacts", path, match_on="mobile") as load:
        (result,) = load({"lastname": "Late", "phone": "1", "mobile": mobile})
        if is_theirs:
            sandbox.change("Contacts", result.id, {"modifiedby": 2})
        load({"lastname": "Late", "phone": "2", "mobile": mobile})
        load({"lastname": "Late", "phone": "3", "mobile": mobile})
        load({"lastname": "After", "mobile": f"9{mobile}"})
    without_answers(path, 1)
    undone = undo(client, path)
    assert row_of(sandbox, old)["lastname"] == "Before"
    if is_theirs:
        assert actions(undone) == {"conflict": 1, "restored": 2}
        (text,) = (one.text for one in undone if one.text)
        assert f"it is not certain that it has created {result.id}. Look at it" in text
    else:
        assert actions(undone) == {"deleted": 1, "restored": 1}
        assert result.id not in {row["id"] for row in sandbox.rows("Contacts")}


def test_creation_without_answer_that_made_no_record_is_no_conflict(sandbox, client, path):
    """Other people have created records since, which the load has updated."""
    with loading(client, "Contacts", path, match_on="mobile") as load:
        sandbox.faults.add("status", operation="create", contains="Lost", status=500, times=None)
        (result,) = load({"lastname": "Lost", "mobile": "71"})
        assert result.rejection.code == "UNKNOWN_OUTCOME"
        for mobile in "72", "73":
            sandbox.insert("Contacts", {"lastname": "Theirs", "mobile": mobile})
            load({"lastname": "Ours", "mobile": mobile})
    assert actions(undo(client, path)) == {"restored": 2}


def test_deletion_without_answer_is_taken_back(sandbox, client, path):
    contact = sandbox.insert("Contacts", {"lastname": "Deleted"})
    sandbox.faults.add("reset_after", operation="delete")
    with loading(client, "Contacts", path) as load:
        load({"id": contact, "_sdc_deleted_at": "2026"})
    assert actions(undo(client, path)) == {"created anew": 1}


def test_lines_and_files_without_answer_are_taken_back(path):
    with small_company() as sandbox, client_of(sandbox) as client:
        shop, settings = Shop(sandbox), {"match_on": "subject", "accept_side_effects": True}
        with loading(client, "Quotes", path, **settings) as load:
            load(shop.record("Quotes", "lines", 1, 2))
        before = contents(sandbox, "Quotes", "Documents")
        with loading(client, "Quotes", path, **settings) as load:
            load(shop.record("Quotes", "lines", 3))
        without_answers(path, 1)
        assert actions(undo(client, path)) == {"restored": 1}
        with loading(client, "Documents", path, match_on="notes_title") as load:
            load({"notes_title": "New", **FILE})
        without_answers(path, 2)
        assert actions(undo(client, path)) == {"deleted": 1}
        assert contents(sandbox, "Quotes", "Documents") == before
