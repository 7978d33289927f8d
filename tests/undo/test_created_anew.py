"""Deleted records that an undo creates anew, or does not."""

from __future__ import annotations

from itertools import count

import pytest

from tests.target.running import write_requests
from tests.target.test_documents_with_lines import ADDRESS, OWN, Shop
from tests.undo.loads import actions, client_of, contents, loading, small_company, undo

_keys = count()


@pytest.fixture
def deleted(sandbox, client, path):
    """The id of a contact that a load has deleted."""
    contact = sandbox.insert("Contacts", {"lastname": f"Known as {next(_keys)}", "phone": "1"})
    with loading(client, "Contacts", path) as load:
        load({"id": contact, "_sdc_deleted_at": "2026"})
    return contact


def killed(path):
    """Leave the file as an undo does that is killed before it notes the new record."""
    lines = path.read_text().splitlines(keepends=True)
    assert '"recreated"' in lines[-1]
    path.write_text("".join(lines[:-1]))


def test_record_that_a_killed_undo_created_anew_is_found(sandbox, client, path, deleted):
    undo(client, path)
    killed(path)
    stored = sandbox.rows("Contacts")
    (again,) = undo(client, path)
    assert (again.action.value, again.text.split(";")[0]) == (
        "created anew",
        f"it is now {stored[-1]['id']}",
    )
    assert sandbox.rows("Contacts") == stored
    assert actions(undo(client, path)) == {"nothing to do": 1}


def test_record_that_may_exist_again_is_not_created_twice(sandbox, client, path, deleted):
    """The server has altered what it was sent, or another user has entered something alike."""
    undo(client, path)
    killed(path)
    *_, new = sandbox.rows("Contacts")
    sandbox.change("Contacts", new["id"], {"lastname": new["lastname"].upper()})
    stored = sandbox.rows("Contacts")
    (again,) = undo(client, path)
    assert (again.action.value, again.text) == (
        "failed",
        f"it is not certain whether it exists again: {new['id']}",
    )
    assert sandbox.rows("Contacts") == stored


@pytest.mark.parametrize("dialect", ["corebos", "kafinea"])
def test_lines_that_cannot_be_written_are_not_left_out(dialect, path):
    """On coreBOS there is no module of lines; elsewhere it may be closed to the user."""
    with small_company(dialect=dialect) as sandbox, client_of(sandbox) as client:
        shop, settings = Shop(sandbox), {"match_on": "subject", "accept_side_effects": True}
        names = ("deleted", "changed")
        if dialect == "kafinea":
            with loading(client, "Quotes", path.with_name("first"), **settings) as load:
                load(*(shop.record("Quotes", name, 1) for name in names))
        else:
            for name in names:
                values = {**ADDRESS, **OWN["Quotes"], "subject": name, "account_id": shop.account}
                sandbox.insert("Quotes", values)
        with loading(client, "Quotes", path, **settings) as load:
            load(
                {"subject": "deleted", "_sdc_deleted_at": "2026"},
                shop.record(
                    "Quotes", "changed", *([2] if dialect == "kafinea" else []), description="x"
                ),
            )
        sandbox.set_rights("LineItem", ["read"])
        before = contents(sandbox, "Quotes")
        with client_of(sandbox) as again:
            dry = {one.action.value: one.text for one in undo(again, path, dry_run=True)}
            undone = {one.action.value: one.text for one in undo(again, path)}
        assert dry == undone
        why = "its lines cannot be written: this server offers none, or not to this user"
        if dialect == "kafinea":
            assert undone == {"failed": why}
            assert contents(sandbox, "Quotes") == before
        else:
            assert undone == {"failed": why, "restored": ""}
            assert sandbox.count("Quotes") == 1


def test_document_that_had_no_lines_does_not_get_those_of_the_load(path):
    with small_company() as sandbox, client_of(sandbox) as client:
        shop, settings = Shop(sandbox), {"match_on": "subject", "accept_side_effects": True}
        values = {**ADDRESS, **OWN["Quotes"], "subject": "bare", "account_id": shop.account}
        sandbox.insert("Quotes", values)
        with loading(client, "Quotes", path, **settings) as load:
            results = load(shop.record("Quotes", "bare", 2))
            results += load({"subject": "bare", "_sdc_deleted_at": "2026"})
        assert [one.status.value for one in results] == ["updated", "deleted"]
        (one,) = undo(client, path)
        assert (one.action.value, one.text) == ("failed", "Quotes cannot be created without lines")
        assert write_requests(sandbox)[-1] == "delete"


def test_new_document_whose_lines_were_changed_is_kept_where_lines_are_closed(path):
    with small_company() as sandbox, client_of(sandbox) as client:
        shop = Shop(sandbox)
        with loading(client, "Quotes", path, match_on="subject") as load:
            load(*(shop.record("Quotes", name, 1) for name in ("kept", "free")))
        sandbox.sql(
            "UPDATE LineItem SET quantity = 9 WHERE parent_id ="
            " (SELECT _number FROM Quotes WHERE subject = 'kept')"
        )
        sandbox.set_rights("LineItem", ["read"])
        with client_of(sandbox) as again:
            assert actions(undo(again, path)) == {"conflict": 1, "deleted": 1}
        assert [row["subject"] for row in sandbox.rows("Quotes")] == ["kept"]
