"""Tables: keys, deletions, versions, drift, names, and tables of other loaders."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal

import pytest

from tests.loaders.conftest import record, schema

TEXT = {"type": ["string", "null"]}
NUMBER = {"type": ["number", "null"]}
INTEGER = {"type": ["integer", "null"]}
INSTANT = {"type": ["string", "null"], "format": "date-time"}


def rows(warehouse, columns, table="Contacts"):
    return warehouse.rows(f'SELECT {columns} FROM kafinea."{table}" ORDER BY 1')


def test_last_record_of_a_key_is_stored(warehouse):
    head = schema(name=TEXT)
    warehouse.load(head, record({"id": "1", "name": "a"}), record({"id": "2", "name": "b"}))
    warehouse.load(
        head,
        record({"id": "1", "name": "old"}),
        record({"id": "3"}),
        record({"id": "1", "name": "new"}),
    )
    assert rows(warehouse, "id, name") == [("1", "new"), ("2", "b"), ("3", None)]


def test_key_of_several_properties_replaces_its_row(warehouse):
    head = schema("Lines", keys=("doc", "line"), doc=TEXT, line=INTEGER, text=TEXT)
    first = [record({"doc": "1", "line": n, "text": "old"}, "Lines") for n in (1, 2)]
    warehouse.load(head, *first, record({"doc": "1", "line": 1, "text": "new"}, "Lines"))
    warehouse.load(head, record({"doc": "1", "line": 2, "text": "newer"}, "Lines"))
    assert rows(warehouse, "line, text", "Lines") == [(1, "new"), (2, "newer")]


def test_stream_without_a_key_is_appended(warehouse):
    for method, keys in (("upsert", ()), ("append-only", ("id",))):
        head = schema("Log", keys=keys, text=TEXT)
        warehouse.load(head, record({"id": "1", "text": "x"}, "Log"), load_method=method)
    assert rows(warehouse, "id, text", "Log") == [("1", "x"), ("1", "x")]


@pytest.mark.parametrize("is_hard", [True, False])
def test_marked_row_is_deleted_or_kept(warehouse, is_hard):
    head = schema(name=TEXT, _sdc_deleted_at=INSTANT)
    at = "2026-07-01T10:00:00+00:00"
    warehouse.load(head, record({"id": "1", "name": "a"}), record({"id": "2", "name": "b"}))
    warehouse.load(head, record({"id": "1", "_sdc_deleted_at": at}), hard_delete=is_hard)
    found = rows(warehouse, "id, _sdc_deleted_at IS NULL")
    assert found == ([("2", True)] if is_hard else [("1", False), ("2", True)])


@pytest.mark.parametrize("is_hard", [True, False])
def test_rows_of_another_version_are_deleted_or_marked(warehouse, is_hard):
    head = schema(name=TEXT)
    for version, ids in ((1, "12"), (2, "13")):
        records = [record({"id": each, "name": "a"}, version=version) for each in ids]
        activate = {"type": "ACTIVATE_VERSION", "stream": "Contacts", "version": version}
        warehouse.load(head, *records, activate, hard_delete=is_hard)
    found = rows(warehouse, "id, _sdc_deleted_at IS NULL, _sdc_table_version")
    kept = [("1", True, 2), ("2", False, 1), ("3", True, 2)]
    assert found == [row for row in kept if row[1] or not is_hard]


def test_new_field_is_a_new_column_and_a_removed_one_stays(warehouse):
    warehouse.load(schema(old=TEXT), record({"id": "1", "old": "x"}))
    warehouse.load(schema(new=NUMBER), record({"id": "2", "new": 1.5}))
    assert [*warehouse.types("Contacts")] == ["id", "old", "new"]
    assert rows(warehouse, "*") == [("1", "x", None), ("2", None, Decimal("1.5"))]


def test_schema_may_change_within_a_run(warehouse):
    warehouse.load(
        schema(a=INTEGER),
        record({"id": "1", "a": 1}),
        schema(a=NUMBER, b=TEXT),
        record({"id": "2", "a": 1.5, "b": "x"}),
    )
    assert rows(warehouse, "*") == [("1", Decimal(1), None), ("2", Decimal("1.5"), "x")]


def test_column_never_becomes_narrower(warehouse):
    warehouse.load(schema(a=TEXT), record({"id": "1", "a": "x"}))
    warehouse.load(schema(a=INTEGER), record({"id": "2", "a": 12345678901234567}))
    assert rows(warehouse, "*") == [("1", "x"), ("2", "12345678901234567")]


def test_names_that_a_database_confuses_are_kept_apart(warehouse):
    long = "l" * 70
    log = warehouse.load(
        schema(**{"Name": TEXT, "name": TEXT, long: TEXT, 'q"%s': NUMBER}),
        record({"id": "1", "Name": "A", "name": "b", long: "c", 'q"%s': 1.5}),
    )
    assert rows(warehouse, "*") == [("1", "A", "b", "c", Decimal("1.5"))]
    names = [*warehouse.types("Contacts")]
    assert names[2] == "name"
    assert names[4] == 'q"%s'
    assert names[1].startswith("Name_")
    assert names[3].startswith("lll")
    assert len(names[3]) == 63
    for name in (names[1], names[3]):
        assert name in log


@pytest.mark.parametrize(
    "name", ['"', "back\\slash", "tab\t", "é", "{a}", "%s", "$1?:a", "a'b", " "]
)
def test_name_of_a_field_may_have_any_characters(warehouse, name):
    warehouse.load(schema(**{name: TEXT}), record({"id": "1", name: "x"}))
    assert [*warehouse.types("Contacts")] == ["id", name]
    assert rows(warehouse, "*") == [("1", "x")]


def test_metadata_columns_are_added_on_request(warehouse):
    line = record({"id": "1"}, time_extracted="2026-07-01T10:00:00+00:00")
    warehouse.load(schema(), line, add_record_metadata=True)
    metadata = ["extracted_at", "received_at", "batched_at", "deleted_at"]
    metadata += ["sequence", "table_version", "sync_started_at"]
    assert [*warehouse.types("Contacts")] == ["id", *(f"_sdc_{name}" for name in metadata)]
    is_exact = "_sdc_extracted_at = '2026-07-01 10:00:00+00'"
    is_now = "_sdc_batched_at > now() - INTERVAL '1 hour'"
    assert rows(warehouse, f"{is_exact} AS exact, {is_now} AS now") == [(True, True)]


def test_columns_have_labels_as_comments(warehouse):
    column = {**TEXT, "title": "Payment Terms", "description": "picklist: Cash, 'Later'"}
    for _ in range(2):
        warehouse.load(schema(cf_907=column))
    query = (
        "SELECT comment FROM duckdb_columns() WHERE column_name = 'cf_907'"
        if warehouse.name == "duckdb"
        else "SELECT col_description('kafinea.\"Contacts\"'::regclass, 2) AS comment"
    )
    assert warehouse.rows(query) == [("Payment Terms: picklist: Cash, 'Later'",)]


def test_record_of_other_properties_is_loaded_without_them(warehouse):
    log = warehouse.load(schema(a=TEXT), record({"id": "1", "a": "x", "secret": "not in the log"}))
    assert rows(warehouse, "*") == [("1", "x")]
    assert "secret" in log
    assert "not in the log" not in log


@pytest.mark.parametrize("other", [{"unknown": 1}, {"Name": "A"}, {"name": 1}])
def test_record_that_needs_two_corrections_is_corrected_once(warehouse, other):
    columns = {"lines": {"type": "array", "items": {"type": "object"}}, "name": TEXT}
    if "Name" in other:
        columns["Name"] = TEXT
    line = json.dumps({"id": "1", **other})[:-1] + ', "lines": [{"a": 12345678901234567890.12}]}'
    warehouse.load(
        schema(**columns), f'{{"type": "RECORD", "stream": "Contacts", "record": {line}}}'
    )
    ((found,),) = rows(warehouse, "lines::text")
    assert json.loads(found, parse_float=Decimal) == [{"a": Decimal("12345678901234567890.12")}]


def test_stream_maps_and_flattening_are_applied(warehouse):
    nested = {"type": "object", "properties": {"b": NUMBER}}
    warehouse.load(
        schema(a=nested, c=TEXT),
        '{"type":"RECORD","stream":"Contacts","record":{"id":"1","a":{"b":12345678901234.123456},"c":"x"}}',
        flattening_enabled=True,
        flattening_max_depth=2,
        stream_maps={"Contacts": {"c": "c.upper()"}},
    )
    assert rows(warehouse, "id, a__b, c") == [("1", Decimal("12345678901234.123456"), "X")]


DUCKDB_TABLE = """
    CREATE SCHEMA IF NOT EXISTS kafinea;
    CREATE TABLE kafinea.contacts (id VARCHAR PRIMARY KEY, amount DOUBLE, day VARCHAR, "at" VARCHAR,
                                   list JSON, count BIGINT, other VARCHAR);
    INSERT INTO kafinea.contacts
        VALUES ('1', 1234567.89, '2026-07-01', '2026-07-01T12:00:00+02:00', '["a"]', 1, 'x')
"""
POSTGRES_TABLE = """
    CREATE SCHEMA IF NOT EXISTS kafinea;
    CREATE TABLE kafinea."Contacts" (id text, amount double precision, day text, at text,
                                     list text[], count integer, other text);
    INSERT INTO kafinea."Contacts"
        VALUES ('1', 1234567.89, '2026-07-01', '2026-07-01T12:00:00+02:00', ARRAY['a'], 1, 'x')
"""


def test_table_of_another_loader_is_taken_over(warehouse):
    warehouse.rows(DUCKDB_TABLE if warehouse.name == "duckdb" else POSTGRES_TABLE)
    strings = {"type": ["array", "null"], "items": {"type": "string"}}
    day = {"type": ["string", "null"], "format": "date"}
    head = schema(amount=NUMBER, day=day, at=INSTANT, list=strings, count=INTEGER)
    values = {"amount": 0.1, "day": "2026-07-02", "at": "2026-07-01T10:00:00Z", "list": ["b"]}
    log = warehouse.load(head, record({"id": "2", **values, "count": 2}))
    columns = """id, amount, day, "at" = '2026-07-01 10:00:00+00' AS same, list, count, other"""
    assert rows(warehouse, columns) == [
        ("1", Decimal("1234567.89"), date(2026, 7, 1), True, ["a"], 1, "x"),
        ("2", Decimal("0.1"), date(2026, 7, 2), True, ["b"], 2, None),
    ]
    assert "created by another loader" in log
    assert "created by another loader" not in warehouse.load(head, record({"id": "1", "count": 3}))
    assert len(rows(warehouse, "id")) == 2


def test_times_without_a_zone_are_not_taken_over(warehouse):
    name = "contacts" if warehouse.name == "duckdb" else '"Contacts"'
    columns = '(id varchar, "at" timestamp)'
    warehouse.rows(f"CREATE SCHEMA kafinea; CREATE TABLE kafinea.{name} {columns}")
    done = warehouse.run(schema(at=INSTANT), record({"id": "1"}))
    assert done.returncode == 1
    assert "--full-refresh" in done.stderr
    assert "Traceback" not in done.stderr
