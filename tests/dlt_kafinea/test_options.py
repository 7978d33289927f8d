"""What the arguments of the source add: related lists, files, embedded lines, `sync`."""

from __future__ import annotations

import json
import logging
from decimal import Decimal
from pathlib import Path

import pytest

from kafinea import Client
from kafinea.errors import SettingsError
from kafinea.extract import Extraction
from tests.dlt_kafinea.conftest import OLD, ZONE, source
from tests.stored_documents import add_document, add_file, contents, stored_files

CONTACTS = [{"module": "Campaigns", "related": "Contacts"}]


@pytest.fixture
def warehouse(duckdb_warehouse):
    return duckdb_warehouse


def ids(rows):
    return sorted(row["id"] for row in rows)


def link(sandbox, campaign, contacts):
    for contact in contacts:
        numbers = [wire_id.partition("x")[2] for wire_id in (campaign, contact)]
        sandbox.sql("INSERT INTO _relation VALUES (?, ?, 'Contacts')", numbers)


def pairs(warehouse):
    rows = warehouse.rows("campaigns_contacts")
    return sorted((row["source_id"], row["related_id"]) for row in rows)


def test_related_lists_are_tables_of_pairs(warehouse, sandbox):
    sandbox.sql("DELETE FROM _relation")
    sandbox.sql("UPDATE Campaigns SET modifiedtime = ?", [OLD])
    first, second, *_ = ids(sandbox.rows("Campaigns"))
    contacts = ids(sandbox.rows("Contacts"))
    link(sandbox, first, contacts[:3])
    options = {"relations": CONTACTS, "lookback_seconds": 0}
    warehouse.run(source(sandbox, "Campaigns", **options))
    assert pairs(warehouse) == [(first, contact) for contact in contacts[:3]]
    link(sandbox, first, contacts[3:4])
    link(sandbox, second, contacts)
    sandbox.change("Campaigns", first, {})
    sandbox.change("Campaigns", second, {})
    warehouse.run(source(sandbox, "Campaigns", **options))
    expected = [(first, contact) for contact in contacts[:4]]
    assert pairs(warehouse) == sorted(expected + [(second, contact) for contact in contacts])
    assert ids(warehouse.rows("campaigns")) == ids(sandbox.rows("Campaigns"))


def test_unreadable_list_stops_no_other_and_is_requested_again(warehouse, sandbox, caplog):
    sandbox.sql("DELETE FROM _relation")
    campaigns, contacts = ids(sandbox.rows("Campaigns"))[:2], ids(sandbox.rows("Contacts"))[:2]
    for campaign in campaigns:
        link(sandbox, campaign, contacts)
    sandbox.faults.add(
        "status", operation="query_related", contains=campaigns[1], status=500, times=None
    )
    warehouse.run(source(sandbox, "Campaigns", relations=CONTACTS))
    assert {source_id for source_id, _ in pairs(warehouse)} == {campaigns[0]}
    assert campaigns[1] in caplog.text
    sandbox.faults.clear()
    warehouse.run(source(sandbox, "Campaigns", relations=CONTACTS))
    assert len(pairs(warehouse)) == 4


def test_files_are_downloaded_and_listed(warehouse, sandbox, tmp_path, caplog):
    documents = [add_document(sandbox, (f"{n}.pdf", bytes([n]) * 100)) for n in range(3)]
    lost = stored_files(sandbox)[-1]["id"]
    sandbox.faults.add("status", operation="files_retrieve", contains=lost, status=500, times=None)
    options = {"files": {"enabled": True, "path": str(tmp_path / "files")}}
    warehouse.run(source(sandbox, "Documents", **options))
    assert downloaded(warehouse).keys() == contents(stored_files(sandbox)).keys() - {lost}
    assert f"could not be downloaded. The first missing file is {lost}" in caplog.text
    sandbox.faults.clear()
    add_file(sandbox, documents[0], ("another.txt", b"new"))
    sandbox.change("Documents", documents[0], {})
    warehouse.run(source(sandbox, "Documents", **options))
    assert downloaded(warehouse) == contents(stored_files(sandbox))


def downloaded(warehouse):
    rows = warehouse.rows("files")
    assert all(row["size"] == Path(row["path"]).stat().st_size for row in rows)
    return {row["id"]: Path(row["path"]).read_bytes() for row in rows}


def test_files_need_their_documents(sandbox, caplog):
    found = source(sandbox, "Faq", files={"enabled": True})
    assert [*found.resources] == ["Faq"]
    assert "`files.enabled` has no effect" in caplog.text


def test_lines_are_embedded_exactly(warehouse, sandbox):
    line = "SELECT parent_id FROM LineItem ORDER BY _number LIMIT 1"
    sandbox.sql(f"UPDATE LineItem SET listprice = '0.10000001' WHERE parent_id = ({line})")
    warehouse.run(source(sandbox, "Invoice", line_items="off"))
    assert "line_items" not in warehouse.rows("invoice")[0]
    warehouse.run(source(sandbox, "Invoice", line_items="embed"))
    stored = {row["id"]: row["line_items"] for row in warehouse.rows("invoice")}
    with Client(sandbox.url, sandbox.username, sandbox.access_key) as client:
        extraction = Extraction(client, "Invoice", ["id"], line_items=True, timezone=ZONE)
        expected = {
            row["id"]: row["LineItems"] for batch in extraction.batches() for row in batch.rows
        }
    for key, text in stored.items():
        assert json.loads(text, parse_float=Decimal) == expected[key]
    assert stored.keys() == expected.keys()
    assert "0.10000001" in "".join(stored.values())
    assert "invoice_line_items" not in warehouse.pipeline().default_schema.tables


def test_sync_deletes_what_the_server_reports(warehouse, sandbox):
    warehouse.run(source(sandbox, "Contacts", "Invoice", deletions="sync"))
    contacts, invoices = ids(sandbox.rows("Contacts")), ids(sandbox.rows("Invoice"))
    sandbox.remove("Contacts", contacts[2])
    sandbox.remove("Invoice", invoices[0])
    warehouse.run(source(sandbox, "Contacts", "Invoice", deletions="sync"))
    assert ids(warehouse.table("contacts")) == ids(sandbox.rows("Contacts"))
    assert ids(warehouse.table("invoice")) == ids(sandbox.rows("Invoice"))
    lines = {row["document_id"] for row in warehouse.table("invoice_line_items")}
    assert lines <= {*invoices[1:]}


@pytest.mark.parametrize("user", ["admin", "joe"])
def test_sync_that_fails_is_an_error_in_the_log(warehouse, sandbox, caplog, user):
    if user == "admin":
        sandbox.faults.add("status", operation="sync", status=500, times=None)
    where = {"username": user, "access_key": sandbox.access_key_of(user)}
    with caplog.at_level(logging.ERROR):
        warehouse.run(source(sandbox, "Contacts", "Faq", "Leads", deletions="sync", **where))
    assert len(warehouse.rows("contacts")) > 0
    assert len(warehouse.rows("leads")) > 0
    assert "Deletion detection failed for " in caplog.text
    assert "Set `deletions` to `scan`" in caplog.text
    asked = {request.params["elementType"] for request in sandbox.requests.of("sync")}
    assert len(asked) == 2  # and not the third


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"line_items": True}, "`line_items` is True. Set it to one of"),
        ({"deletions": "on"}, "`deletions` is 'on'. Set it to one of"),
        ({"files": {"folder": "x"}}, "`files` is {'folder': 'x'}. Set it to a table"),
        ({"relations": [{"module": "Faq", "related": "Mars"}]}, "no related list 'Mars'"),
    ],
)
def test_wrong_arguments_are_named(sandbox, options, message):
    with pytest.raises(SettingsError, match=message):
        source(sandbox, "Faq", **options)
