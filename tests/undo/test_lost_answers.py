"""Writes whose answers the load, or its undo, did not get."""

from __future__ import annotations

import pytest

from tests.undo.loads import loading, undo


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
