"""An undo on a server that stores other values than it is sent, or fails in between."""

from __future__ import annotations

from dataclasses import astuple, replace

import pytest

from kafinea import Client
from tests.mutating_proxy import mutating
from tests.target.running import write_requests
from tests.target.test_documents_with_lines import Shop
from tests.undo.loads import actions, client_of, contents, loading, small_company, undo


def workflow(sandbox, module, **values):
    """Let a workflow set these values from now on, each time a record is saved."""
    sandbox.instance.options = replace(sandbox.instance.options, workflows={module: values})


@pytest.mark.parametrize(
    ("grade", "conflicts"), [("A", []), ("C", [("cf_grade", "A", "B", "C")])], ids=["old", "other"]
)
def test_field_that_the_server_derives(path, grade, conflicts):
    """It cannot be written, and changes with what can: to what it was before the load, or not."""
    with small_company() as sandbox, client_of(sandbox) as client:
        sandbox.set_field("Contacts", "cf_grade", editable=False)
        contact = sandbox.insert("Contacts", {"lastname": "Old", "cf_grade": "A"})
        workflow(sandbox, "Contacts", cf_grade="B")
        with loading(client, "Contacts", path, allow_changes="*") as load:
            (result,) = load({"id": contact, "lastname": "New"})
        assert (result.rejection, result.also_changed) == (None, ("cf_grade",))
        workflow(sandbox, "Contacts", cf_grade=grade)
        (one,) = undo(client, path)
        (row,) = sandbox.rows("Contacts")
        assert (row["lastname"], row["cf_grade"]) == ("Old", grade)
        assert [astuple(conflict) for conflict in one.conflicts] == conflicts
        text = "the server does not keep the old values of cf_grade" if conflicts else ""
        assert (one.action.value, one.text) == ("conflict" if conflicts else "restored", text)


def test_number_that_the_users_formats_would_cut_is_left(path):
    """A full update would touch the record for nothing."""
    with small_company(dialect="legacy") as sandbox, client_of(sandbox) as client:
        account = sandbox.insert("Accounts", {"accountname": "A", "annual_revenue": "10.12345"})
        with loading(client, "Accounts", path) as load:
            load({"id": account, "annual_revenue": "10.12"})
        sandbox.change("Users", 1, {"no_of_currency_decimals": "2"})
        sandbox.requests.clear()
        with client_of(sandbox) as again:
            (one,) = undo(again, path)
        assert [conflict.field for conflict in one.conflicts] == ["annual_revenue"]
        assert one.text == "the server does not keep the old values of annual_revenue"
        assert write_requests(sandbox) == []


def test_server_that_shows_booleans_and_numbers_as_such(path):
    """Most show texts. What was shown is written back as a text."""

    def change(operation, _parameters, result):
        if operation not in {"create", "retrieve", "revise"} or "donotcall" not in result:
            return result
        flag, price = result["donotcall"], result["cf_861"]
        return {**result, "donotcall": flag == "1", "cf_861": float(price)}

    values = {"donotcall": "1", "cf_861": "1.50"}
    with (
        small_company() as sandbox,
        mutating(sandbox.url, change) as url,
        Client(url, sandbox.username, sandbox.access_key) as client,
    ):
        for name in ("changed", "deleted"):
            sandbox.insert("Contacts", {"lastname": name, **values})
        before = contents(sandbox, "Contacts")
        with loading(client, "Contacts", path, match_on="lastname") as load:
            load(
                {"lastname": "changed", "donotcall": False, "cf_861": 3},
                {"lastname": "deleted", "_sdc_deleted_at": "2026"},
            )
        assert actions(undo(client, path)) == {"restored": 1, "created anew": 1}
        assert contents(sandbox, "Contacts") == before


@pytest.fixture
def quotes(path):
    """A load has given two quotes other descriptions. The answers only repeat what was sent."""
    legacy = small_company(dialect="legacy")
    with legacy as sandbox, client_of(sandbox, max_sessions=1) as client:
        shop, settings = Shop(sandbox), {"match_on": "subject", "accept_side_effects": True}
        for description in ("old", "new"):
            with loading(client, "Quotes", path, **settings) as load:
                load(*(shop.record("Quotes", one, 1, description=description) for one in "ab"))
        sandbox.requests.clear()
        yield sandbox, client


def test_old_value_that_the_server_does_not_keep_is_found_though_no_answer_shows_it(quotes, path):
    sandbox, client = quotes
    workflow(sandbox, "Quotes", description="theirs")
    undone = undo(client, path)
    assert [(one.action.value, one.fields) for one in undone] == [("conflict", ())] * 2
    assert {conflict.now for one in undone for conflict in one.conflicts} == {"theirs"}


def test_undo_that_cannot_be_proven_is_not_called_done(quotes, path):
    sandbox, client = quotes
    last, _ = (row["id"] for row in sandbox.rows("Quotes"))  # the newest write comes first
    # The record is read to compare it, before it is written, and then to prove that.
    sandbox.faults.add("status", operation="retrieve", contains=last, nth=3, times=None)
    undone = undo(client, path)
    assert actions(undone) == {"restored": 1, "failed": 1}, undone
    sandbox.faults.clear()
    assert actions(undo(client, path)) == {"nothing to do": 2}
