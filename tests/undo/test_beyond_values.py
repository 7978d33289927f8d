"""Documents with lines, related lists and files."""

from __future__ import annotations

import base64

import pytest

from tests.target.test_documents_with_lines import Shop
from tests.undo.loads import actions, client_of, contents, loading, small_company, undo

FILE = {"filename": "a.txt", "_file_base64": base64.b64encode(b"hello").decode()}


@pytest.mark.parametrize(
    ("dialect", "module"),
    [
        *(("kafinea", module) for module in ("Quotes", "SalesOrder", "Invoice")),
        *((dialect, "Quotes") for dialect in ("frevo", "legacy")),
    ],
)
def test_lines_and_totals_are_as_before(dialect, module, tmp_path):
    path = tmp_path / "undo.jsonl"
    settings = {"match_on": "subject", "accept_side_effects": True}
    with small_company(dialect=dialect) as sandbox, client_of(sandbox) as client:
        shop = Shop(sandbox)
        with loading(client, module, path, **settings) as load:
            load(
                shop.record(module, "lines", 1, 2, 3),
                shop.record(module, "head", 5),
                shop.record(module, "deleted", 7, 8, hdnDiscountPercent=10, description="x & y"),
            )
        before = contents(sandbox, module)
        with loading(client, module, path, **settings) as load:
            load(
                shop.record(module, "lines", 1, 9, hdnDiscountAmount=5),
                shop.record(module, "head", 5, description="new"),
                shop.record(module, "deleted", 1, _sdc_deleted_at="2026-01-01"),
                shop.record(module, "created", 1, 4),
            )
        assert contents(sandbox, module) != before
        undone = undo(client, path)
        assert actions(undone) == {"restored": 2, "deleted": 1, "created anew": 1}
        assert contents(sandbox, module) == before
        assert actions(undo(client, path)) == {"nothing to do": 4}


def test_files_and_links_go_with_a_new_document_and_stay_with_an_old_one(sandbox, client, path):
    account = sandbox.insert("Accounts", {"accountname": "ACME"})
    folder = sandbox.insert("DocumentFolders", {"foldername": "Contrats"})
    old = sandbox.insert("Documents", {"notes_title": "Old", "folderid": folder})
    to = {"_related_to": account}
    with loading(client, "Documents", path, match_on="notes_title") as load:
        new, _ = load(
            {"notes_title": "New", "folderid": "Contrats", **to, **FILE},
            {"notes_title": "Old", **to, **FILE},
        )
    for _ in range(2):
        left = {one.id: one.text for one in undo(client, path) if one.action == "conflict"}
        assert left.keys() == {old, account}
        assert "file" in left[old]
        assert f"cannot remove {old} from its list 'Documents'" in left[account]
        assert new.id not in {row["id"] for row in sandbox.rows("Documents")}
    sandbox.sql("DELETE FROM _relation")  # as the text says, somebody removes it in Kafinea
    assert [one.id for one in undo(client, path) if one.action == "conflict"] == [old]


def test_write_that_is_none_of_a_load_is_said(sandbox, client, path):
    contact = sandbox.insert("Contacts", {"lastname": "Old"})
    with loading(client, "Contacts", path) as load:
        load({"id": contact, "lastname": "New"})
    path.write_text(path.read_text().replace('"revise"', '"convertlead"'))
    (one,) = undo(client, path)
    assert (one.action.value, one.id) == ("conflict", contact)
    assert one.text == "the API cannot take back convertlead"
