"""Runs that follow each other: what fails between them, what is deleted, what does not fit."""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from datetime import datetime, timezone
from decimal import Decimal

import pytest
from dlt.pipeline.exceptions import PipelineStepFailed

from kafinea.errors import SettingsError, StateError
from kafinea_sandbox import Sandbox
from kafinea_sandbox.modules.model import Field
from tests.dlt_kafinea.conftest import OLD, ZONE, source


@pytest.fixture
def warehouse(duckdb_warehouse):
    return duckdb_warehouse


@pytest.fixture
def small_tables(monkeypatch):
    """A table of some rows, so that a small module has several."""
    monkeypatch.setattr("dlt_kafinea.tables._ROWS", 10)


def many_contacts(sandbox):
    for n in range(250):
        sandbox.insert("Contacts", {"lastname": f"{n}"}, modifiedtime=OLD)


def ids(rows):
    return sorted(row["id"] for row in rows)


def checkpoint(pipeline, module="Contacts"):
    return pipeline.state["sources"]["kafinea"]["resources"][module]["checkpoint"]


def test_up_to_date_module_loads_nothing_more(warehouse, sandbox):
    sandbox.sql("UPDATE Contacts SET modifiedtime = ?", [OLD])
    sandbox.sql("DELETE FROM Faq")
    for _ in range(10):  # what was changed in the second of the bookmark is read once more
        if not warehouse.run(source(sandbox, "Contacts", "Faq", lookback_seconds=0)).loads_ids:
            break
        time.sleep(1)
    else:
        pytest.fail("Each run loads something.")
    assert warehouse.rows("faq") == []  # there is a table
    assert ids(warehouse.rows("contacts")) == ids(sandbox.rows("Contacts"))


@pytest.mark.filterwarnings("ignore:The 'warn' method is deprecated")  # dlt calls it
@pytest.mark.parametrize("directory", ["pipelines", "elsewhere"])
def test_failed_load_skips_no_rows(warehouse, sandbox, monkeypatch, directory):
    """What was extracted waits, or elsewhere, where it is missing, is extracted again."""
    pipeline = warehouse.pipeline()
    pipeline.extract(source(sandbox, "Contacts"))
    with monkeypatch.context() as broken:
        broken.setattr("dlt.destinations.impl.duckdb.duck.DuckDbCopyJob.run", _fails)
        pipeline.normalize()
        with pytest.raises(PipelineStepFailed):
            pipeline.load()
    sandbox.insert("Contacts", {"lastname": "Later"})
    for _ in range(2):  # the first only loads what waits
        warehouse.pipeline(directory=directory).run(source(sandbox, "Contacts"))
    assert ids(warehouse.rows("contacts")) == ids(sandbox.rows("Contacts"))


def test_failed_extraction_skips_no_rows(warehouse, sandbox, small_tables):
    many_contacts(sandbox)
    warehouse.run(source(sandbox, "Contacts", page_size=50).add_limit(1))
    some = len(warehouse.rows("contacts"))
    assert 0 < some < sandbox.count("Contacts")
    denied = '{"success":false,"error":{"message":"denied","code":"ACCESS_DENIED"}}'
    sandbox.faults.add("status", operation="query", nth=4, times=None, status=200, body=denied)
    with pytest.raises(PipelineStepFailed, match="To extract without it, remove it from `modules`"):
        warehouse.run(source(sandbox, "Contacts", page_size=50))
    assert len(warehouse.rows("contacts")) == some
    sandbox.faults.clear()
    warehouse.run(source(sandbox, "Contacts"))
    warehouse.run(source(sandbox, "Contacts"))
    assert ids(warehouse.rows("contacts")) == ids(sandbox.rows("Contacts"))


def _fails(*_, **__):
    raise OSError("The disk is full.")


def test_limited_runs_resume_inside_a_module_and_lose_nothing(warehouse, sandbox, small_tables):
    many_contacts(sandbox)
    changed = sandbox.rows("Contacts")[0]["id"]
    lengths = []
    for _ in range(6):
        found = source(sandbox, "Contacts", "Invoice", page_size=50, lookback_seconds=0)
        warehouse.run(found.add_limit(2))
        lengths.append(len(warehouse.rows("contacts")))
        if len(lengths) == 1:  # behind the position in the pass, which is then resumed
            sandbox.change("Contacts", changed, {"lastname": "Changed"})
    assert lengths[0] < lengths[1] < lengths[2]
    stored = {row["id"]: row["lastname"] for row in warehouse.rows("contacts")}
    assert stored == {row["id"]: row["lastname"] for row in sandbox.rows("Contacts")}
    assert ids(warehouse.rows("invoice")) == ids(sandbox.rows("Invoice"))
    assert "pass" not in checkpoint(warehouse.pipeline())


def test_restored_record_comes_back(warehouse, sandbox, tmp_path):
    options = {"deletions": "scan", "deletions_path": str(tmp_path / "ids"), "lookback_seconds": 0}
    sandbox.sql("UPDATE Contacts SET modifiedtime = ?", [OLD])
    gone = sandbox.rows("Contacts")[3]["id"]
    number = gone.partition("x")[2]
    warehouse.run(source(sandbox, "Contacts", **options))
    sandbox.sql("UPDATE Contacts SET _deleted = 1 WHERE _number = ?", [number])
    warehouse.run(source(sandbox, "Contacts", **options))
    assert gone not in ids(warehouse.rows("contacts"))
    sandbox.sql("UPDATE Contacts SET _deleted = 0 WHERE _number = ?", [number])
    warehouse.run(source(sandbox, "Contacts", **options))
    assert ids(warehouse.table("contacts")) == ids(sandbox.rows("Contacts"))


def test_numbers_outside_their_type_are_kept_as_text(warehouse, sandbox, caplog):
    first, second, third = ids(sandbox.rows("Contacts"))[:3]
    long = "1234567890123456789012345678901.5"
    sandbox.redefine("Contacts", Field("cf_1", "Long", "double"), Field("cf_2", "Count", "integer"))
    sandbox.change("Contacts", first, {"cf_1": long, "cf_2": str(2**63)})
    sandbox.change("Contacts", second, {"cf_1": "0.12345678901", "cf_2": "7"})
    sandbox.change("Contacts", third, {"cf_1": "1.50", "cf_2": str(-(2**63))})
    with caplog.at_level(logging.WARNING):
        warehouse.run(source(sandbox, "Contacts"))
    rows = {row["id"]: row for row in warehouse.rows("contacts")}
    columns = ("cf_1", "cf_1__v_text", "cf_2", "cf_2__v_text")
    assert [rows[first][name] for name in columns] == [None, long, None, str(2**63)]
    assert [rows[second][name] for name in columns] == [None, "0.12345678901", 7, None]
    assert [rows[third][name] for name in columns] == [Decimal("1.5"), None, -(2**63), None]
    assert "Contacts.cf_1: a value is outside the type of its column, the first in" in caplog.text
    assert long not in caplog.text


def test_times_are_utc_and_the_zone_of_the_server_counts(warehouse):
    with Sandbox(rows=300, timezone="Pacific/Auckland") as sandbox:
        one = sandbox.rows("Contacts")[0]["id"]
        sandbox.change("Contacts", one, {}, modifiedtime="2025-07-01 08:00:00")
        warehouse.run(source(sandbox, "Contacts", timezone="Pacific/Auckland"))
    moment = datetime(2025, 6, 30, 20, tzinfo=timezone.utc)
    assert {row["id"]: row["modifiedtime"] for row in warehouse.rows("contacts")}[one] == moment


def test_first_run_begins_at_start_date_and_refresh_begins_anew(warehouse, sandbox):
    sandbox.sql("UPDATE Contacts SET modifiedtime = ?", [OLD])
    newer = sandbox.insert("Contacts", {"lastname": "New"})
    warehouse.run(source(sandbox, "Contacts", start_date="2025-01-01"))
    assert ids(warehouse.rows("contacts")) == [newer]
    warehouse.run(source(sandbox, "Contacts"), refresh="drop_resources")
    assert ids(warehouse.rows("contacts")) == ids(sandbox.rows("Contacts"))


def test_lines_that_are_wanted_later_are_read_from_the_beginning(warehouse, sandbox):
    sandbox.sql("UPDATE Invoice SET modifiedtime = ?", [OLD])
    prefix = sandbox.rows("Invoice")[0]["id"].partition("x")[0]
    warehouse.run(source(sandbox, "Invoice", line_items="off"))
    warehouse.run(source(sandbox, "Invoice").add_limit(1))  # the lines, and not their documents
    warehouse.run(source(sandbox, "Invoice"))
    documents = {*ids(sandbox.rows("Invoice"))}
    lines = sandbox.sql("SELECT parent_id, count(*) AS lines FROM LineItem GROUP BY parent_id")
    there = {f"{prefix}x{row['parent_id']}": row["lines"] for row in lines}
    stored = Counter(row["document_id"] for row in warehouse.rows("invoice_line_items"))
    assert stored == {key: count for key, count in there.items() if key in documents}


def test_record_that_cannot_be_read_does_not_stop_the_others(warehouse, sandbox, caplog):
    broken = sandbox.rows("Contacts")[4]["id"]
    sandbox.sql(
        "UPDATE Contacts SET lastname = ? WHERE _number = ?",
        [b"\xff\xfe", broken.partition("x")[2]],
    )
    warehouse.run(source(sandbox, "Contacts"))
    assert ids(warehouse.rows("contacts")) == ids(sandbox.rows("Contacts"))
    assert f"Contacts: 1 record could not be read completely: {broken}." in caplog.text


def test_labels_are_descriptions_and_resources_have_a_key(sandbox):
    found = source(sandbox, "Accounts", "Invoice")
    assert {*found.resources} == {"Accounts", "Invoice"}
    table = found.resources["Invoice"].compute_table_schema()
    assert table["columns"]["id"]["primary_key"]
    assert table["columns"]["account_id"]["description"] == "Organization Name: id of Accounts"


def test_connection_comes_from_the_configuration(sandbox, monkeypatch):
    monkeypatch.setenv("SOURCES__KAFINEA__URL", sandbox.url)
    monkeypatch.setenv("SOURCES__KAFINEA__USERNAME", sandbox.username)
    monkeypatch.setenv("SOURCES__KAFINEA__ACCESS_KEY", sandbox.access_key)
    monkeypatch.setenv("SOURCES__KAFINEA__MODULES", json.dumps(["Leads", "!Leads*", "Faq"]))
    from dlt_kafinea import kafinea_source

    assert [*kafinea_source(timezone=ZONE).resources] == ["Faq"]


@pytest.mark.parametrize(
    ("modules", "options", "message"),
    [
        (["Contact"], {}, "Module 'Contact' not found"),
        (["Faq"], {"start_date": "yesterday"}, "`start_date` 'yesterday' is not a date"),
        (["Faq"], {"timezone": "Mars"}, "`timezone` 'Mars' is not a known time zone"),
    ],
)
def test_wrong_settings_are_named(sandbox, modules, options, message):
    with pytest.raises(SettingsError, match=message):
        source(sandbox, *modules, **options)


def test_state_of_another_instance_is_refused(warehouse, sandbox):
    warehouse.run(source(sandbox, "Faq"))
    with Sandbox(rows=300) as other, pytest.raises(PipelineStepFailed) as raised:
        warehouse.run(source(other, "Faq"))
    assert isinstance(raised.value.exception.__cause__, StateError)


def test_run_logs_out(warehouse, sandbox):
    warehouse.run(source(sandbox, "Faq", "Contacts"))
    operations = [request.operation for request in sandbox.requests]
    assert operations.count("logout") == operations.count("login")
