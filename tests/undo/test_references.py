"""References to records that the load, its undo or somebody else has deleted."""

from __future__ import annotations

from itertools import count

import pytest

from tests.undo.loads import actions, loading, undo

_keys = count()


def shown(sandbox, module, record_id):
    (row,) = [row for row in sandbox.rows(module) if row["id"] == record_id]
    return row


def load(client, module, path, record):
    """Load a record, and append what is noted to the file, as a run of several streams does."""
    earlier = path.read_text() if path.exists() else ""
    path.unlink(missing_ok=True)
    key = {} if "id" in record else {"match_on": "accountname"}
    with loading(client, module, path, **key) as run:
        (result,) = run(record)
    assert result.rejection is None
    noted, notes = path.read_text(), earlier.count('"type":"write"')
    if earlier:
        noted = noted.partition("\n")[2].replace('"note":1', f'"note":{notes + 1}')
    path.write_text(earlier + noted)
    return result.id


@pytest.mark.parametrize("moved", [False, True])
def test_reference_to_a_record_that_is_created_anew(sandbox, client, path, moved):
    """The server has emptied it with the deletion; or the load has moved it, and a person cleared.

    What a person has cleared is left alone.
    """
    key = f"anew {next(_keys)}"
    old = sandbox.insert("Accounts", {"accountname": f"{key}, old"})
    other = sandbox.insert("Accounts", {"accountname": f"{key}, other"})
    contact = sandbox.insert("Contacts", {"lastname": key, "phone": "1", "account_id": old})
    to = {"account_id": other} if moved else {}
    load(client, "Contacts", path, {"id": contact, "phone": "2", **to})
    load(client, "Accounts", path, {"id": old, "_sdc_deleted_at": "2026"})
    if moved:
        sandbox.change("Contacts", contact, {"account_id": ""})
    undone = {one.id: one for one in undo(client, path)}
    row = shown(sandbox, "Contacts", contact)
    assert row["phone"] == "1"
    new = undone[old].text.split(";")[0].removeprefix("it is now ")
    assert row["account_id"] == ("" if moved else new)
    assert undone[contact].action.value == ("conflict" if moved else "restored")
    assert [one.field for one in undone[contact].conflicts] == ["account_id"] * moved


def test_reference_to_a_new_record_that_somebody_has_deleted(sandbox, client, path):
    """The server has emptied it: nobody has changed the records that the load moved there."""
    key = f"emptied {next(_keys)}"
    old = sandbox.insert("Accounts", {"accountname": f"{key}, old"})
    contact = sandbox.insert("Contacts", {"lastname": key, "account_id": old})
    new = load(client, "Accounts", path, {"accountname": f"{key}, new"})
    child = load(client, "Accounts", path, {"accountname": f"{key}, child", "account_id": new})
    load(client, "Contacts", path, {"id": contact, "account_id": new})
    sandbox.remove("Accounts", new)
    undone = {one.id: one.action.value for one in undo(client, path)}
    assert undone == {contact: "restored", child: "deleted", new: "nothing to do"}
    assert shown(sandbox, "Contacts", contact)["account_id"] == old


def test_new_record_that_refers_to_itself_is_deleted(sandbox, client, path):
    new = load(client, "Accounts", path, {"accountname": "Circle"})
    load(client, "Accounts", path, {"id": new, "account_id": new})
    assert shown(sandbox, "Accounts", new)["account_id"] == new
    assert actions(undo(client, path)) == {"deleted": 1}
    assert "Circle" not in {row["accountname"] for row in sandbox.rows("Accounts")}
