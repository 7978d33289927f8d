"""Lines as a table: a row for each line, and none for a line that was taken away."""

from __future__ import annotations

import pytest

from kafinea.extract.line_rows import LineCounts
from kafinea_sandbox import Sandbox
from tap_kafinea.streams import ModuleStream
from tests.conftest import DIALECTS
from tests.tap.running import discover, extract
from tests.tap.test_full_table import whole
from tests.tap.test_line_items import AS_MOST, company, invoices, run_with_failure, sent, truth


class Loader:
    """What Singer asks of a loader: upsert by key, without rows that are reported as deleted."""

    def __init__(self):
        self.rows = {}
        self.versions = {}

    def load(self, output):
        for message in output.messages:
            if message.get("stream") != "InvoiceLineItems":
                continue
            if message["type"] == "RECORD":
                row = message["record"]
                key = row["document_id"], row["line_number"]
                self.rows[key], self.versions[key] = row, message.get("version")
                if row["_sdc_deleted_at"]:
                    del self.rows[key]
            if message["type"] == "ACTIVATE_VERSION":
                old = [key for key in self.rows if self.versions[key] < message["version"]]
                for key in old:
                    del self.rows[key]
        return self


@pytest.fixture(params=DIALECTS)
def shop(request):
    with Sandbox(dialect=request.param, company=company((2, 0, 1, 12))) as sandbox:
        yield sandbox


def read(sandbox, state=None, **more):
    return extract(sandbox, state=state, **{"modules": ["Invoice"], "line_items": "table", **more})


def take_lines(sandbox, invoice, count):
    """Take a document's last lines away, as its update does, and some others' ids with them."""
    numbers = [row["_number"] for row in truth(sandbox, "Invoice")[invoice]][-count:]
    sandbox.sql(f"DELETE FROM LineItem WHERE _number IN ({', '.join(map(str, numbers))})")
    sandbox.change("Invoice", invoice, {"subject": "Shorter"})


def assert_rows(sandbox, rows):
    has_pdo = sandbox.instance.dialect.pdo
    there = {
        (invoice, place): row
        for invoice, lines in truth(sandbox, "Invoice").items()
        # coreBOS does not give the places of lines, but the lines as they were stored.
        for place, row in enumerate(
            sorted(lines, key=lambda row: row["_number"]) if has_pdo else lines, start=1
        )
    }
    assert rows.keys() == there.keys()
    quantity = "qty" if has_pdo else "quantity"
    for key, row in rows.items():
        assert str(row[quantity]) == there[key]["quantity"]
        assert (row["comment"] or "") == there[key]["comment"]


def test_line_table_has_a_row_for_each_line_without_extra_requests(shop):
    embedded = invoices(shop)
    asked = sent(shop)
    shop.requests.clear()
    output = read(shop, **AS_MOST)
    assert sorted(sent(shop)) == sorted(asked)
    rows = output.records("InvoiceLineItems")
    assert_rows(shop, Loader().load(output).rows)
    assert [row["line_number"] for row in rows] == [1, 2, 1, *range(1, 13)]
    heads = {record["id"]: record for record in output.records("Invoice")}
    for record in embedded:
        lines = record.pop("LineItems")
        assert heads[record["id"]] == record
        its = [row for row in rows if row["document_id"] == record["id"]]
        assert [
            {name: row[name] for name in line} for row, line in zip(its, lines, strict=True)
        ] == lines
        assert all(row["modifiedtime"] == record["modifiedtime"] for row in its)
    kinds = [m["type"] for m in output.messages if m.get("stream") == "InvoiceLineItems"]
    assert kinds == ["SCHEMA"] + ["RECORD"] * 15


def test_line_table_reports_removed_lines(shop):
    first = read(shop)
    loader = Loader().load(first)
    two, none, _, twelve = (record["id"] for record in first.records("Invoice"))
    take_lines(shop, two, 1)
    take_lines(shop, twelve, 9)
    second = read(shop, first.state)
    assert_rows(shop, loader.load(second).rows)
    gone = [
        (row["document_id"], row["line_number"])
        for row in second.records("InvoiceLineItems")
        if row["_sdc_deleted_at"]
    ]
    assert gone == [(two, 2), *((twelve, place) for place in range(4, 13))]
    take_lines(shop, two, 1)
    shop.change("Invoice", none, {"subject": "Nothing gone"})
    third = read(shop, second.state)
    assert_rows(shop, loader.load(third).rows)
    assert none in third.ids("Invoice")


def test_line_table_state_before_the_first_row_has_the_pass_of_the_documents(shop):
    messages = read(shop).messages
    first_row = [message["type"] for message in messages].index("RECORD")
    states = [one["value"]["bookmarks"] for one in messages[:first_row] if one["type"] == "STATE"]
    assert "most" in states[-1]["InvoiceLineItems"]
    assert states[-1]["Invoice"]["pass"]["everything"]
    assert states[-1]["Invoice"]["pass"]["last_id"] is None


def test_line_table_that_is_new_gets_the_lines_of_all_documents(shop, caplog):
    caplog.set_level("INFO")
    first = extract(shop, modules=["Invoice"])
    second = read(shop, first.state)
    assert_rows(shop, Loader().load(second).rows)
    assert "Invoice is read from the beginning, because InvoiceLineItems does not" in caplog.text
    third = read(shop, second.state)
    assert len(third.records("InvoiceLineItems")) < 15
    # What changes while the table is not written is missing in it, until it is written again.
    take_lines(shop, first.ids("Invoice")[0], 1)
    without = extract(shop, modules=["Invoice"], state=third.state)
    newest = first.ids("Invoice")[3]
    shop.change("Invoice", newest, {"subject": "Newer"})
    loader = Loader().load(second).load(read(shop, without.state))
    assert_rows(shop, loader.rows)


def test_line_table_alone_reads_documents_for_their_lines_only(shop):
    catalog = discover(shop, modules=["Invoice"], line_items="table")
    catalog["streams"] = [one for one in catalog["streams"] if one["tap_stream_id"] != "Invoice"]
    first = read(shop, catalog=catalog)
    loader = Loader().load(first)
    assert_rows(shop, loader.rows)
    assert first.records("Invoice") == []
    twelve = first.records("InvoiceLineItems")[-1]["document_id"]
    take_lines(shop, twelve, 5)
    second = read(shop, first.state, catalog=catalog)
    assert_rows(shop, loader.load(second).rows)
    assert {row["document_id"] for row in second.records("InvoiceLineItems")} == {twelve}
    # Later with the documents: those of before have not come yet.
    third = read(shop, second.state)
    assert len(third.records("Invoice")) == 4
    assert_rows(shop, loader.load(third).rows)


def test_line_table_with_full_table_has_versions(shop):
    catalog = whole(shop, "Invoice", line_items="table")
    first = read(shop, catalog=catalog)
    loader = Loader().load(first)
    shop.remove("Invoice", first.ids("Invoice")[0])
    shop.sql("DELETE FROM LineItem WHERE parent_id = 2001")
    second = read(shop, first.state, catalog=catalog)
    assert_rows(shop, loader.load(second).rows)
    assert not any(row["_sdc_deleted_at"] for row in second.records("InvoiceLineItems"))


def test_line_table_with_deselected_lines_or_fields(sandbox):
    catalog = discover(sandbox, modules=["Invoice"], line_items="table")
    (table,) = (one for one in catalog["streams"] if one["tap_stream_id"] == "InvoiceLineItems")
    assert table["key_properties"] == ["document_id", "line_number"]
    properties = table["schema"]["properties"]
    assert [*properties][4] == "id"
    assert properties["id"] == {"type": "string", "description": "LineItem id, such as 12x34"}
    for entry in table["metadata"]:
        entry["metadata"]["selected"] = entry["breadcrumb"][1:] != ["comment"]
    rows = read(sandbox, catalog=catalog).records("InvoiceLineItems")
    assert rows
    assert rows[0].keys() == table["schema"]["properties"].keys() - {"comment"}
    table["metadata"] = [{"breadcrumb": [], "metadata": {"selected": False}}]
    output = read(sandbox, catalog=catalog)
    assert output.records("InvoiceLineItems") == []
    assert "LineItems" not in output.records("Invoice")[0]


def test_line_table_reports_no_unreadable_line_as_deleted(caplog):
    with Sandbox(dialect="corebos", company=company((2, 3))) as shop:
        first = read(shop)
        loader = Loader().load(first)
        broken = first.ids("Invoice")[0]
        shop.change("Invoice", broken, {"subject": "x"})
        shop.faults.add("die", operation="retrieve", contains=broken, times=None)
        second, _ = run_with_failure(
            shop, state=first.state, modules=["Invoice"], line_items="table"
        )
        assert_rows(shop, loader.load(second).rows)


@pytest.mark.parametrize("expression", ["1 / (line_number - 2)", "1 / ("])
def test_line_table_with_failing_map_is_completed_by_the_next_run(expression, caplog):
    with Sandbox(company=company((2, 0, 1, 12))) as shop:
        before = read(shop)
        loader = Loader().load(before)
        for invoice in before.ids("Invoice"):
            take_lines(shop, invoice, 9)
        maps = {"InvoiceLineItems": {"worse": expression}}
        first, error = run_with_failure(
            shop, state=before.state, modules=["Invoice"], line_items="table", stream_maps=maps
        )
        assert len(first.ids("Invoice")) == 4
        assert "`worse`" in str(error)
        assert "Not complete: InvoiceLineItems." in caplog.text
        told = [m["type"] for m in first.messages if m.get("stream") == "InvoiceLineItems"]
        assert told in (["SCHEMA", "RECORD"], [])
        second = read(shop, first.state)
        assert_rows(shop, loader.load(second).rows)


def test_line_table_with_failing_map_keeps_the_rows_of_the_version_before():
    with Sandbox(company=company((2, 0, 1, 12))) as shop:
        more = {"catalog": whole(shop, "Invoice", line_items="table"), "line_items": "table"}
        before = read(shop, **more)
        loader = Loader().load(before)
        maps = {"InvoiceLineItems": {"worse": "1 / (line_number - 2)"}}
        first, error = run_with_failure(shop, state=before.state, stream_maps=maps, **more)
        assert "`worse`" in str(error)
        versions = [m["stream"] for m in first.messages if m["type"] == "ACTIVATE_VERSION"]
        assert versions == ["Invoice"]
        assert len(loader.load(first).rows) == 15
        assert_rows(shop, loader.load(read(shop, first.state, **more)).rows)


@pytest.mark.parametrize("are_documents_selected", [True, False])
def test_line_table_knows_the_rows_of_a_killed_run(shop, are_documents_selected):
    catalog = discover(shop, modules=["Invoice"], line_items="table")
    if not are_documents_selected:
        catalog["streams"] = [one for one in catalog["streams"] if one["schema"]["required"][1:]]
    output = read(shop, catalog=catalog)
    rows = [n for n, one in enumerate(output.messages) if one["type"] == "RECORD"]
    first = type(output)(output.messages[: rows[-1] + 1])  # and no STATE behind the rows
    loader = Loader().load(first)
    take_lines(shop, shop.rows("Invoice")[3]["id"], 9)
    second = read(shop, first.state, catalog=catalog)
    assert_rows(shop, loader.load(second).rows)


def test_line_table_rereads_documents_of_a_resumed_run(monkeypatch):
    monkeypatch.setattr(ModuleStream, "STATE_MSG_FREQUENCY", 1)
    with Sandbox(company=company((2, 3, 1, 12))) as shop:
        first = read(shop)
        index = [m.get("stream") for m in first.messages].index("Invoice", 3)
        first.messages = first.messages[: index + 2]
        loader = Loader().load(first)
        without = extract(shop, modules=["Invoice"], state=first.state)
        without.messages = without.messages[:-4]
        assert without.bookmark("Invoice")["pass"]["last_id"] > first.ids("Invoice")[0]
        assert_rows(shop, loader.load(read(shop, without.state)).rows)


def test_line_table_that_is_new_gets_lines_of_documents_without_modifiedtime():
    with Sandbox(company=company((2, 1))) as shop:
        shop.sql("UPDATE Invoice SET modifiedtime = NULL")
        first = extract(shop, modules=["Invoice"])
        assert_rows(shop, Loader().load(read(shop, first.state)).rows)


def test_line_table_that_is_off_is_not_reported_as_a_lost_module(shop, caplog):
    catalog = discover(shop, modules=["Invoice"], line_items="table")
    catalog["streams"] = [one for one in catalog["streams"] if one["schema"]["required"][1:]]
    alone = read(shop, catalog=catalog)
    extract(shop, modules=["Invoice*"], state=alone.state)
    assert "can no longer see" not in caplog.text


def test_line_table_state_is_bounded_and_sufficient():
    state, had = {}, {}
    counts = LineCounts(state)
    for number in range(5000):
        had[f"7x{number}"] = lines = number * 7919 % 97
        assert counts.expect({f"7x{number}": lines}) == {f"7x{number}": 0}
        assert len(state["longer"]) <= 500
    assert state["most"] <= 96
    for document, lines in had.items():
        assert counts.of(document) >= lines
