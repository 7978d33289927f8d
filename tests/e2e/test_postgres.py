"""From Kafinea into PostgreSQL with `meltano run`: exact, through drift, and after a kill."""

import json
import math
import os
import re
import signal
import subprocess
import time
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import psycopg
import pytest

from kafinea_sandbox import Sandbox
from kafinea_sandbox.company import company as demo
from kafinea_sandbox.modules.model import Field
from kafinea_sandbox.rows import Row
from tests.e2e.meltano import COMMAND, ROOT, command, environment, run

LOADER = ROOT / ".meltano/loaders/target-postgres/venv/bin/target-postgres-exact"
SESSIONS = 4  # the tap's default
HOUR = timedelta(hours=1)
PARIS = ZoneInfo("Europe/Paris")
AMOUNTS = [
    "12345678901234.56",
    "-12345678901234.56",
    "1234567890123456789012.345",
    "0.30000000000000004",
    "0.3",
    "0.00",
    "",
]
TEXTS = [
    "l'été \"quoted\" 'twice'' $1 %s {x} \\",
    "tab\tnew\nline\r\n\\N \\. \\t",
    "an emoji \U0001f980, e\u0301 in two, \u202eturned",
    "null and \0 within",
    "long " * 40_000,
    "NULL",
]
BEFORE = {
    "cf_853": "some text",
    "cf_855": "12.500",
    "cf_857": "9007199254740993",
    "cf_863": "2024-02-29",
    "cf_865": "a@example.com",
    "cf_873": "1",
    "cf_887": "O'Brien",
    "cf_889": "Alpha |##| Été",
}
AFTER = {
    Field("cf_853", "X Text", "double", scale=3): ("3.250", "text", "3.250"),
    Field("cf_855", "X Decimal"): ("about twelve", "text", "about twelve"),
    Field("cf_857", "X Integer", "double", scale=2): ("1.25", "numeric", Decimal("1.25")),
    Field("cf_863", "X Date"): ("next week", "text", "next week"),
    Field("cf_873", "X Checkbox", "picklist"): ("Maybe", "text", "Maybe"),
    Field("cf_887", "X Picklist", "multipicklist"): (
        "Red |##| O'Brien",
        "text",
        '["Red","O\'Brien"]',
    ),
    Field("cf_889", "X Multi", "picklist"): ("Beta", "text", "Beta"),
    Field("cf_999", "X New", "currency", scale=2): ("7.10", "numeric", Decimal("7.10")),
}
KEPT = {
    "cf_853": "some text",
    "cf_855": "12.500",
    "cf_857": Decimal(9007199254740993),
    "cf_863": "2024-02-29",
    "cf_865": "a@example.com",
    "cf_873": "true",
    "cf_887": "O'Brien",
    "cf_889": '["Alpha", "Été"]',
    "cf_999": None,
}

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def first(postgres):
    """What the first run brought; the sandbox and the databases are there for a second one."""
    with (
        postgres.fresh() as warehouse,
        postgres.fresh() as state,
        Sandbox(rows=300, timezone="Europe/Paris") as sandbox,
    ):

        def add(at="2026-07-01 12:00:00", **values):
            return sandbox.insert("Contacts", {"lastname": "Added", **values}, at)

        amounts = [add(cf_861=amount) for amount in AMOUNTS]
        texts = [add(description=text) for text in TEXTS]
        summer, winter = add(), add("2026-01-15 12:00:00")
        kept, changed = add("2026-01-01 12:00:00", **BEFORE), add(**BEFORE)
        sandbox.sql("UPDATE LineItem SET comment = ? WHERE sequence_no = 1", (TEXTS[3],))
        settings = environment(
            sandbox,
            warehouse,
            state,
            TAP_KAFINEA_MODULES='["Contacts", "Invoice", "DocumentFolders"]',
            TAP_KAFINEA_TIMEZONE="Europe/Paris",
        )
        run(settings)
        yield SimpleNamespace(
            sandbox=sandbox,
            warehouse=warehouse,
            settings=settings,
            amounts=amounts,
            texts=texts,
            summer=summer,
            winter=winter,
            kept=kept,
            changed=changed,
            columns=columns(warehouse),
            there={module: sandbox.rows(module) for module in ("Contacts", "Invoice")},
            here={module: table(warehouse, module) for module in ("Contacts", "Invoice")},
            lines=lines(warehouse),
            lines_there=sandbox.sql("SELECT * FROM LineItem ORDER BY CAST(sequence_no AS INT)"),
            nulls=warehouse.rows(
                'SELECT count(*) FILTER (WHERE cf_889 IS NULL) AS "null",'
                " count(*) FILTER (WHERE jsonb_typeof(cf_889) = 'array') AS list"
                ' FROM kafinea."Contacts"'
            ),
        )


def columns(warehouse):
    query = (
        "SELECT table_name, column_name, data_type FROM information_schema.columns"
        " WHERE table_schema = 'kafinea'"
    )
    return {
        (row["table_name"], row["column_name"]): row["data_type"] for row in warehouse.rows(query)
    }


def table(warehouse, name):
    """The rows of a table by id; each id is there once."""
    rows = warehouse.rows(f'SELECT * FROM kafinea."{name}"')
    by_id = {row["id"]: row for row in rows}
    assert len(by_id) == len(rows)
    return by_id


def lines(warehouse):
    """The lines of each invoice; psycopg itself would make floats of the numbers."""
    texts = warehouse.rows('SELECT id, "LineItems"::text AS text FROM kafinea."Invoice"')
    return {row["id"]: json.loads(row["text"], parse_float=Decimal) for row in texts}


def test_columns_have_the_types_of_the_fields(first):
    expected = {
        ("Contacts", "id"): "text",
        ("Contacts", "lastname"): "text",
        ("Contacts", "donotcall"): "boolean",
        ("Contacts", "birthday"): "date",
        ("Contacts", "modifiedtime"): "timestamp with time zone",
        ("Contacts", "cf_855"): "numeric",
        ("Contacts", "cf_857"): "bigint",
        ("Contacts", "cf_861"): "numeric",
        ("Contacts", "cf_889"): "jsonb",
        ("Invoice", "hdnGrandTotal"): "numeric",
        ("Invoice", "shipping_&_handling"): "numeric",
        ("Invoice", "LineItems"): "jsonb",
    }
    assert {name: first.columns[name] for name in expected} == expected


@pytest.mark.parametrize("module", ["Contacts", "Invoice"])
def test_records_are_loaded_once_with_every_value(first, module):
    here, there = first.here[module], first.there[module]
    assert here.keys() == {row["id"] for row in there}
    differences = [
        (row["id"], name, here[row["id"]][name], wire)
        for row in there
        for name, wire in row.items()
        if not same(here[row["id"]][name], wire)
    ]
    assert differences == []


def same(value, wire):
    """Whether a value of the warehouse is that of the wire."""
    if value is None:
        return wire == ""
    if isinstance(value, bool):
        return wire == str(int(value))
    if isinstance(value, (int, Decimal)):
        return Decimal(wire) == value
    if isinstance(value, datetime):
        return value.astimezone(PARIS).replace(tzinfo=None).isoformat(sep=" ") == wire
    if isinstance(value, date):
        return value.isoformat() == wire
    if isinstance(value, list):
        return " |##| ".join(value) == wire
    return value == wire.replace("\0", "\N{REPLACEMENT CHARACTER}")


def test_amounts_keep_every_digit(first):
    loaded = [first.here["Contacts"][key]["cf_861"] for key in first.amounts]
    assert loaded == [Decimal(amount) if amount else None for amount in AMOUNTS]


def test_strings_are_loaded_exactly_without_nul(first):
    loaded = [first.here["Contacts"][key]["description"] for key in first.texts]
    assert loaded == [text.replace("\0", "\N{REPLACEMENT CHARACTER}") for text in TEXTS]


def test_times_are_right_whatever_the_time_zone_of_the_database(first):
    contacts = first.here["Contacts"]
    for column in ("createdtime", "modifiedtime"):
        assert contacts[first.summer][column] == datetime(2026, 7, 1, 10, tzinfo=timezone.utc)
        assert contacts[first.winter][column] == datetime(2026, 1, 15, 11, tzinfo=timezone.utc)


def test_lines_are_in_their_order_with_every_digit(first):
    names = ("quantity", "listprice", "tax1")
    for invoice, loaded in first.lines.items():
        parent = invoice.partition("x")[2]
        there = [line for line in first.lines_there if str(line["parent_id"]) == parent]
        assert [[Decimal(line[name]) for name in names] for line in loaded] == [
            [Decimal(line[name]) for name in names] for line in there
        ]
        assert loaded[0]["comment"] == TEXTS[3].replace("\0", "\N{REPLACEMENT CHARACTER}")


def test_empty_list_is_null(first):
    filled = sum(bool(row["cf_889"]) for row in first.there["Contacts"])
    assert first.nulls == [{"null": len(first.there["Contacts"]) - filled, "list": filled}]
    assert filled > 2


def test_page_on_postgresql_has_these_commands_and_answers(first):
    page = (ROOT / "docs/postgresql.md").read_text(encoding="utf-8")
    commands, queries = (
        re.findall(rf"^```{language}\n(.*?)\n?^```", page, re.MULTILINE | re.DOTALL)
        for language in ("sh", "sql")
    )
    assert commands == [COMMAND.format(""), COMMAND.format(" --force")]
    (lines_of_invoices,) = map(first.warehouse.rows, queries)
    assert len(lines_of_invoices) == sum(map(len, first.lines.values()))
    for column in lines_of_invoices[0]:
        assert any(row[column] is not None for row in lines_of_invoices)
    alpha = """SELECT count(*) FROM kafinea."Contacts" WHERE cf_889 ? 'Alpha'"""
    members = [row["cf_889"] for row in first.there["Contacts"]]
    assert first.warehouse.rows(alpha) == [{"count": sum("Alpha" in each for each in members)}]


@pytest.fixture(scope="module")
def second(first):
    """What a second run brought, after an administrator was there."""
    sandbox = first.sandbox
    sandbox.redefine("Contacts", *AFTER, without=["cf_865"])
    values = {field.name: wire for field, (wire, *_) in AFTER.items()}
    sandbox.change("Contacts", first.changed, values)
    new = sandbox.insert("Contacts", {"lastname": "New", **values})
    folder = sandbox.rows("DocumentFolders")[-1]["id"]
    sandbox.remove("DocumentFolders", folder)
    run(first.settings)
    return SimpleNamespace(
        new=new,
        folder=folder,
        folders={*table(first.warehouse, "DocumentFolders")},
        columns=columns(first.warehouse),
        here=table(first.warehouse, "Contacts"),
        there=sandbox.rows("Contacts"),
    )


def test_columns_widen_for_old_and_new_values(second):
    expected = {field.name: type_ for field, (_, type_, _) in AFTER.items()}
    assert {name: second.columns["Contacts", name] for name in expected} == expected


@pytest.mark.parametrize("which", ["changed", "new"])
def test_changed_columns_have_the_values_of_the_new_types(first, second, which):
    row = second.here[first.changed if which == "changed" else second.new]
    assert {field.name: row[field.name] for field in AFTER} == {
        field.name: loaded for field, (*_, loaded) in AFTER.items()
    }


def test_unchanged_columns_keep_their_values(first, second):
    assert {name: second.here[first.kept][name] for name in KEPT} == KEPT


def test_removed_field_keeps_its_column(first, second):
    assert second.here[first.changed]["cf_865"] == BEFORE["cf_865"]
    assert second.here[second.new]["cf_865"] is None


def test_rows_are_not_lost_or_duplicated_when_fields_change(first, second):
    assert second.here.keys() == {row["id"] for row in second.there}
    assert len(second.here) == len(first.here["Contacts"]) + 1


def test_deleted_row_of_a_full_table_module_is_deleted(first, second):
    assert second.folders == {row["id"] for row in first.sandbox.rows("DocumentFolders")}
    assert second.folder not in second.folders


@pytest.fixture(scope="module")
def resumed(postgres):
    """A run that was killed while it waited for a page, and the one after it."""
    start = datetime(2025, 1, 1)
    company = [*demo(1)] + [
        Row("Contacts", 100_000 + n, {"lastname": f"C{n}", "modifiedtime": str(start + n * HOUR)})
        for n in range(2000)
    ]
    with (
        postgres.fresh() as warehouse,
        postgres.fresh() as store,
        Sandbox(company=company) as sandbox,
    ):
        settings = environment(
            sandbox,
            warehouse,
            store,
            TAP_KAFINEA_MODULES='["Contacts"]',
            TARGET_POSTGRES_BATCH_SIZE_ROWS="250",
        )
        # The tap tells its state every 1000 records, and 1250 are in the first 13 pages.
        sandbox.faults.add("hang", operation="query", contains="id >", nth=18, seconds=600)
        with subprocess.Popen(
            command(), cwd=ROOT, env=settings, start_new_session=True, stderr=subprocess.DEVNULL
        ) as killed:
            try:
                while (reached := reached_by(store)) is None:
                    assert killed.poll() is None
                    time.sleep(0.05)
            finally:
                os.killpg(killed.pid, signal.SIGKILL)
        sandbox.faults.clear()
        sandbox.requests.clear()
        loaded = len(table(warehouse, "Contacts"))
        refused = run(settings, check=False)
        run(settings, "--force")
        yield SimpleNamespace(
            reached=reached,
            loaded=loaded,
            refused=refused,
            here=table(warehouse, "Contacts"),
            there=sandbox.rows("Contacts"),
            queries=[request.params["query"] for request in sandbox.requests.of("query")],
        )


def reached_by(store):
    """The number of the last record that Meltano's own store tells to be loaded."""
    try:
        texts = store.rows("SELECT completed_state FROM state")
    except psycopg.errors.UndefinedTable:  # Meltano has not made it yet
        return None
    found = re.search(r'"last_id": "\d+x(\d+)"', str(texts))
    return found and int(found[1])


def test_killed_run_has_written_the_state_of_what_it_loaded(resumed):
    ids = sorted(int(row["id"].partition("x")[2]) for row in resumed.there)
    assert ids.index(resumed.reached) + 1 == 1000
    assert resumed.loaded >= 1250


def test_run_after_a_kill_loads_every_row_once(resumed):
    assert {key: (row["lastname"], row["modifiedtime"]) for key, row in resumed.here.items()} == {
        row["id"]: (row["lastname"], datetime.fromisoformat(row["modifiedtime"] + "+00:00"))
        for row in resumed.there
    }


def test_run_after_a_kill_requests_no_page_that_was_loaded(resumed):
    newest = max(row["modifiedtime"] for row in resumed.there)
    begins = [re.search(r"id > '\d+x(\d+)'", query) for query in resumed.queries]
    assert min(int(begin[1]) for begin in begins if begin) == resumed.reached
    # All others look back a minute from the newest record.
    minute = str(datetime.fromisoformat(newest) - timedelta(minutes=1))
    others = [q for q, begin in zip(resumed.queries, begins, strict=True) if not begin]
    assert all(f"modifiedtime >= '{minute}'" in query for query in others)
    pages = math.ceil((len(resumed.there) - 1000) / 98)
    assert len(resumed.queries) <= pages + 2 * SESSIONS + 2


def test_meltano_needs_force_after_a_killed_run(resumed):
    assert "--force" in resumed.refused


def test_stopped_loader_emits_no_state_of_partial_writes(postgres, tmp_path):
    with postgres.fresh() as warehouse:
        config = tmp_path / "config.json"
        keys = ("host", "port", "user", "password")
        settings = {key: getattr(warehouse, key) for key in keys}
        settings |= {"database": warehouse.name, "default_target_schema": "kafinea"}
        config.write_text(json.dumps(settings | {"batch_size_rows": 1}))
        with (
            psycopg.connect(warehouse.uri()) as other,
            subprocess.Popen(
                [LOADER, "--config", config],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            ) as loader,
        ):
            loader.stdin.write(message("SCHEMA", schema=SCHEMA, key_properties=["id"]))
            loader.stdin.write(message("RECORD", record={"id": "1"}))
            loader.stdin.write(message("STATE", value={"reached": 1}))
            loader.stdin.write(message("RECORD", record={"id": "2"}))
            loader.stdin.flush()
            assert json.loads(loader.stdout.readline()) == {"reached": 1}
            other.execute('LOCK TABLE kafinea."Faq"')
            loader.stdin.write(message("STATE", value={"reached": 2}))
            loader.stdin.write(message("RECORD", record={"id": "3"}))
            loader.stdin.flush()
            while not warehouse.rows("SELECT 1 FROM pg_locks WHERE NOT granted"):
                time.sleep(0.02)
            loader.send_signal(signal.SIGTERM)
            assert loader.stdout.read() == ""
            assert loader.wait() == 128 + signal.SIGTERM
        assert warehouse.rows('SELECT id FROM kafinea."Faq" ORDER BY id') == [
            {"id": "1"},
            {"id": "2"},
        ]


def message(type_, **content):
    return json.dumps({"type": type_, "stream": "Faq", **content}) + "\n"


SCHEMA = {"type": "object", "properties": {"id": {"type": "string"}}}
