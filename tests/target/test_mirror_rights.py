"""`load_method: mirror` as a user who may not see or write all records of the part."""

from __future__ import annotations

import pytest

from tests.target.running import empty, messages, write_requests
from tests.target.test_mirror import END, STREAM, contact, keys, mirror, row


@pytest.mark.parametrize(
    ("right", "on_missing"), [("delete", {}), ("update", {"title": "Former"})], ids=str
)
def test_nothing_is_written_where_the_missing_could_not_be(sandbox, right, on_missing):
    """To find that out at the end would leave new records and no deletions."""
    contact(sandbox, "gone")
    sandbox.set_rights("Contacts", [right])
    stream = {**STREAM, "on_missing": on_missing}
    run = mirror(sandbox, messages("Contacts", row("new")), END, stream=stream)
    assert run.code == 1
    assert f"`load_method` `mirror`: this user may not {right} Contacts." in run.errors[-1]
    assert (keys(sandbox), write_requests(sandbox)) == (["gone"], [])


def test_nothing_is_deleted_while_records_of_the_part_are_hidden():
    """A record of the input may be one of those, and seem to be missing."""
    with empty(hidden={"Contacts": [2]}) as sandbox:
        for key in ("gone", "hidden"):
            contact(sandbox, key)
        run = mirror(sandbox, messages("Contacts", row("hidden")), END)
        assert run.code == 1
        assert "1 of the records with leadsource = 'Trade Show' cannot be read" in run.errors[-1]
        assert "nothing was deleted: " in run.errors[-1]
        assert keys(sandbox) == ["gone", "hidden"]
        assert write_requests(sandbox) == []
