"""An undo by a user whom sharing rules hide records from."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kafinea import Client
from tests.target.running import write_requests
from tests.undo.loads import actions, client_of, loading, small_company, undo
from tests.undo.test_lost_answers import without_answers


@pytest.fixture(params=["kafinea", "stock", "corebos"])
def private(request):
    """A Kafinea where users other than administrators see only their own contacts."""
    with small_company(dialect=request.param, private=["Contacts"]) as sandbox:
        yield sandbox


def test_hidden_records_are_not_taken_for_deleted_ones(private, path):
    for key in ("hidden", "deleted"):
        private.insert("Contacts", {"cf_853": f"{key}, old", "lastname": "Before"})
    with client_of(private) as admin, loading(admin, "Contacts", path, match_on="cf_853") as load:
        keys = [f"{one}, {age}" for one in ("hidden", "deleted") for age in ("old", "new")]
        ids = [one.id for one in load(*[{"cf_853": key, "lastname": "After"} for key in keys])]
    for one in ids[2:]:
        private.remove("Contacts", int(one.partition("x")[2]))
    with Client(private.url, "joe", private.access_key_of("joe")) as joe:
        undone = {one.id: (one.action.value, one.text) for one in undo(joe, path)}
    hidden = ("failed", "the record exists, but this user may not read it")
    deleted = ("conflict", "the record was deleted since, so its old values cannot be restored")
    assert [undone[one] for one in ids] == [hidden, hidden, deleted, ("nothing to do", "")]
    assert {row["lastname"] for row in private.rows("Contacts")} == {"After"}


def test_record_that_hidden_ones_refer_to_is_kept(path):
    """The server counts them, and drops them from its answers."""
    hidden = {"Potentials": [3], "Documents": [4]}
    with small_company(hidden=hidden) as sandbox, client_of(sandbox) as client:
        with loading(client, "Accounts", path, match_on="accountname") as load:
            (sold,) = load({"accountname": "Sold"})
            (filed,) = load({"accountname": "Filed"})
            deal = sandbox.insert("Potentials", {"potentialname": "Deal", "related_to": sold.id})
            document = sandbox.insert("Documents", {"notes_title": "Theirs"})
            load({"accountname": "Free"})
        client.add_related(filed.id, "Documents", document)
        kept = {one.id: one.text for one in undo(client, path) if one.action.value == "conflict"}
        assert kept == {
            record_id: f"it is kept, because other records refer to it: records of {module} that "
            "this user may not read"
            for record_id, module in ((sold.id, "Potentials"), (filed.id, "Documents"))
        }
        assert {row["accountname"] for row in sandbox.rows("Accounts")} == {"Sold", "Filed"}
        assert [deal.partition("x")[2], document.partition("x")[2]] == ["3", "4"]


def test_record_that_only_a_query_gives_is_not_taken_for_a_deleted_one(path):
    with small_company() as sandbox, client_of(sandbox) as client:
        old = sandbox.insert("Contacts", {"lastname": "Old"})
        with loading(client, "Contacts", path, match_on="lastname") as load:
            load({"id": old, "lastname": "x"}, {"lastname": "New"})
        options = sandbox.instance.options
        refusing = {"unencodable": {"Contacts": [1, 2]}, "unencodable_as": "BROKEN"}
        sandbox.instance.options = replace(options, **refusing)
        sandbox.requests.clear()
        undone = {(one.action.value, one.text) for one in undo(client, path)}
        assert undone == {("failed", 'retrieve: "The record cannot be shown" (BROKEN)')}
        assert write_requests(sandbox) == []
        sandbox.instance.options = options
        assert actions(undo(client, path)) == {"restored": 1, "deleted": 1}


def test_deleted_record_that_cannot_be_looked_for_is_not_created_anew(path):
    """It may have been brought back, and be hidden from this user."""
    with small_company() as sandbox, client_of(sandbox) as client:
        gone = sandbox.insert("Contacts", {"lastname": "Gone"})
        with loading(client, "Contacts", path) as load:
            load({"id": gone, "_sdc_deleted_at": "2026"})
        sandbox.faults.add("status", contains=f"id IN ('{gone}')", status=500, times=None)
        assert actions(undo(client, path)) == {"failed": 1}
        assert sandbox.count("Contacts") == 0
        sandbox.faults.clear()
        assert actions(undo(client, path)) == {"created anew": 1}


@pytest.mark.parametrize("cause", ["closed", "hidden"])
def test_creation_without_answer_in_a_module_that_cannot_be_read_stops_no_other(path, cause):
    with small_company() as sandbox, client_of(sandbox) as client:
        contact = sandbox.insert("Contacts", {"lastname": "Old"})
        with loading(client, "Accounts", path, match_on="accountname") as load:
            load({"accountname": "New"})
        first = path.read_text()
        path.unlink()
        with loading(client, "Contacts", path) as load:
            load({"id": contact, "lastname": "x"})
        second = path.read_text().partition("\n")[2].replace('"note":1', '"note":2')
        path.write_text(first + second)
        without_answers(path, 1)
        if cause == "closed":
            sandbox.set_rights("Accounts", ["read"])
        else:
            hidden = {
                "Accounts": [int(row["id"].partition("x")[2]) for row in sandbox.rows("Accounts")]
            }
            sandbox.instance.options = replace(sandbox.instance.options, hidden=hidden)
        with client_of(sandbox) as again:
            undone = {one.module: one for one in undo(again, path)}
        assert undone["Contacts"].action.value == "restored"
        assert undone["Accounts"].action.value == "failed"
        assert "the load did not get the answer to a creation" in undone["Accounts"].text
        assert sandbox.count("Accounts") == 1
