"""Records that the server stores, and that the API user then cannot read."""

from __future__ import annotations

import pytest

from tests.target.running import empty, load, matched, messages


@pytest.fixture(params=["kafinea", "stock", "corebos"])
def private(request):
    """A Kafinea where users other than administrators see only their own contacts."""
    with empty(dialect=request.param, private=["Contacts"]) as sandbox:
        yield sandbox


def user_id(sandbox, name):
    return next(row["id"] for row in sandbox.rows("Users") if row["user_name"] == name)


def upsert(sandbox, *records, check=True):
    return load(
        sandbox,
        messages("Contacts", *records),
        username="joe",
        access_key=sandbox.access_key_of("joe"),
        streams=matched("Contacts", "cf_853"),
        max_rejects=-1,
        check=check,
    )


def contacts(owner, *keys, **more):
    return [{"cf_853": f"{k}", "lastname": "x", "assigned_user_id": owner, **more} for k in keys]


def owned(sandbox, owner):
    return {row["id"] for row in sandbox.rows("Contacts") if row["assigned_user_id"] == owner}


@pytest.mark.parametrize("own", [0, 5])
def test_record_that_is_hidden_once_created_stops_the_creations(private, own):
    admin, joe = user_id(private, "admin"), user_id(private, "joe")
    rows = contacts(joe, *range(own)) + contacts(admin, *range(100, 130))
    for runs in (1, 2):
        run = upsert(private, *rows)
        hidden = owned(private, admin)
        assert len(hidden) == runs
        texts = [one["message"] for one in run.outcomes if one["id"] in hidden]
        assert texts == [
            "the record was created, but this user may not read it; it is kept: "
            + next(one["id"] for one in run.outcomes if one["id"] in hidden)
        ]
        assert set(run.codes) == {"NOT_READABLE"}
        assert run.tally["rejected"] >= 30


def test_new_records_of_this_user_are_not_retrieved(private):
    joe = user_id(private, "joe")
    assert upsert(private, *contacts(joe, *range(30))).tally == {"created": 30}
    assert upsert(private, *contacts(joe, *range(30))).tally == {"unchanged": 30}
    assert private.requests.of("retrieve") == [
        one for one in private.requests.of("retrieve") if one.params["id"] == joe
    ]


def test_record_that_is_hidden_once_updated_is_said_and_stops_the_updates(private):
    admin, joe = user_id(private, "admin"), user_id(private, "joe")
    upsert(private, *contacts(joe, *range(10)))
    run = upsert(private, *contacts(admin, *range(10)))
    (given_away,) = owned(private, admin)
    assert set(run.codes) == {"NOT_READABLE"}
    (outcome,) = [one for one in run.outcomes if one["id"] == given_away]
    assert "the update was sent, and this user may not read the record" in outcome["message"]
    others = {one["message"] for one in run.outcomes if one is not outcome}
    assert others == {
        f"not sent: after the update of {given_away}, this user may not read it any more"
    }


def test_record_that_is_stored_and_then_refused_is_named():
    """CoreBOS does that with an unknown owner, which this user cannot look up before."""
    with empty(dialect="corebos") as sandbox:
        prefix = user_id(sandbox, "joe").partition("x")[0]
        run = upsert(sandbox, *contacts(f"{prefix}x999", "a"))
        (row,) = sandbox.rows("Contacts")
        assert run.codes == ["INVALID_ID_ATTRIBUTE"]
        assert run.only["id"] == row["id"]
        assert run.only["message"].endswith(f". The record exists all the same: {row['id']}")
        again = upsert(sandbox, *contacts(f"{prefix}x999", "a"))
        assert (again.codes, sandbox.count("Contacts")) == (["INVALID_ID_ATTRIBUTE"], 1)
