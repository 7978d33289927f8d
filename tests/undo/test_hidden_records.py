"""An undo by a user whom sharing rules hide records from."""

from __future__ import annotations

import pytest

from kafinea import Client
from tests.undo.loads import client_of, loading, small_company, undo


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
