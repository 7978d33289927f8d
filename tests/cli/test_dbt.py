"""`kafinea dbt`: its package is built by dbt on both warehouses, and its numbers are right."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import pytest

from kafinea_cli.dbt_package import package
from kafinea_cli.dbt_package.tables import Warehouse as Described
from kafinea_cli.dbt_package.tables import tables_of
from kafinea_sandbox import Sandbox
from kafinea_sandbox.modules.model import Field
from tap_kafinea.catalogs import catalog_of
from tests.cli.dbt_runs import build
from tests.loaders.conftest import DuckDB, PostgreSQL, record, schema
from tests.tap import running

MODULES = ["Accounts", "Contacts", "Invoice", "CreditNotes", "Potentials", "Products", "Currency",
           "DocumentFolders", "Documents", "Project"]  # fmt: skip
FIXED = {"Cancel"}, {"Closed Won", "Closed Lost"}
HOSTILE = [
    "l'été \"quoted\" 'twice'' %s $1 \\ \\n",
    "{{ target.password }} {% raw %} {# comment #} }} {{{",
    "two\nlines\r\n-- and */ a comment;",
    "# yaml: [a, b] & *c !d | > %",
    "",
    "   ",
    "日本語",
    "long " * 40,
    "Order",
    "2nd phone",
    "id",
    "Été",
    "ÉTÉ",
    "été",
]


@contextmanager
def warehouses(postgres, directory: Path) -> Iterator[list[DuckDB | PostgreSQL]]:
    with postgres.fresh() as database:
        folders = directory / "duckdb", directory / "postgres"
        for folder in folders:
            folder.mkdir()
        yield [DuckDB(folders[0]), PostgreSQL(folders[1], database)]


def kafinea_dbt(*arguments, **variables) -> subprocess.CompletedProcess[str]:
    """Run `kafinea dbt` as a user does, in an empty folder."""
    own = ("KAFINEA_", "TAP_KAFINEA_")
    env = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    return subprocess.run(
        [sys.executable, "-m", "kafinea_cli", "dbt", *map(str, arguments)],
        env=env | variables, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def demo(postgres, tmp_path_factory):
    """The demo company: extracted twice, loaded into both, described, and built by dbt."""
    directory = tmp_path_factory.mktemp("demo")
    with (
        Sandbox(rows=1500, timezone="UTC") as sandbox,
        warehouses(postgres, directory) as databases,
    ):
        sandbox.redefine(
            "Accounts",
            Field("cf_3001", "Conditions d'été {{ x }}", "picklist", values=tuple(HOSTILE)),
            Field("cf_3000", "Phone", "phone"),
            Field("cf_3002", "Phone", "phone"),
        )
        for text in HOSTILE:
            sandbox.insert("Accounts", {"accountname": f"Hostile {text}"[:90], "cf_3001": text})
        large = {"amount": "12345678901234.56", "sales_stage": "Prospecting"}
        sandbox.insert("Potentials", {"potentialname": "Open", "closingdate": "2027-01-31"} | large)
        today = date.today().isoformat()
        invoice = sandbox.rows("Invoice")[0]["id"]
        sandbox.change("Invoice", invoice, {"duedate": today, "balance": "0.10",
                                            "invoicestatus": "Sent"})  # fmt: skip
        removed = {"Contacts": sandbox.rows("Contacts")[0]["id"],
                   "DocumentFolders": sandbox.rows("DocumentFolders")[0]["id"]}  # fmt: skip
        settings = {
            "url": sandbox.url,
            "username": sandbox.username,
            "access_key": sandbox.access_key,
            "modules": MODULES,
            "timezone": "UTC",
            "deletions": "scan",
            "deletions_path": str(directory / "deletions"),
        }
        (directory / "config.json").write_text(json.dumps(settings), "utf-8")
        arguments = ["--config", str(directory / "config.json")]
        for number in range(2):
            done = running.command(*arguments)
            assert done.returncode == 0, done.stderr
            lines = done.stdout.splitlines()
            for database in databases:
                database.load(*lines)
            if number == 0:
                for module, id_ in removed.items():
                    sandbox.remove(module, id_)
                states = [line for line in lines if '"type":"STATE"' in line.replace(" ", "")]
                (directory / "state.json").write_text(json.dumps(json.loads(states[-1])["value"]))
                arguments += ["--state", str(directory / "state.json")]
        variables = {f"TAP_KAFINEA_{name.upper()}": value if isinstance(value, str)
                     else json.dumps(value) for name, value in settings.items()}  # fmt: skip
        written = kafinea_dbt(directory / "package", **variables)
        assert written.returncode == 0, written.stderr
        before = [database.rows("SELECT current_date")[0][0] for database in databases]
        built = build(directory / "package", databases)
        after = [database.rows("SELECT current_date")[0][0] for database in databases]
        yield SimpleNamespace(
            built=built,
            days=list(zip(before, after, strict=True)),
            directory=directory,
            removed=removed,
            rows={module: sandbox.rows(module) for module in MODULES},
            written=written,
            variables=variables,
        )


def totals(rows, group, **values):
    found = defaultdict(lambda: [0, *(Decimal(0) for _ in values)])
    for row in rows:
        total = found[group(row)]
        total[0] += 1
        for place, field in enumerate(values.values(), 1):
            total[place] += Decimal(row[field] or 0)
    return {key: tuple(total) for key, total in found.items()}


def test_models_and_tests_pass_on_both_warehouses(demo):
    for built in demo.built:
        # Other records still refer to the contact and to the folder that were removed.
        referred = {name.partition("__id__ref_stg_kafinea__")[2] for name in built.problems()}
        assert referred == {"contacts_", "document_folders_"}
        assert "Deprecat" not in built.log
    duckdb, postgres = (built.statuses() for built in demo.built)
    assert duckdb == postgres
    kinds = ("source_not_null", "source_unique", "relationships", "accepted_values")
    for test in (*kinds, "kafinea_relationships"):
        assert any(name.startswith(f"test.kafinea.{test}_") for name in duckdb)


def test_turnover_by_month_is_exact(demo):
    groups = defaultdict(lambda: [0, 0, Decimal(0), Decimal(0)])
    for module, day, status, place in (
        ("Invoice", "invoicedate", "invoicestatus", 0),
        ("CreditNotes", "creditnotedate", "creditnotestatus", 1),
    ):
        for row in demo.rows[module]:
            if row[status] not in FIXED[0]:
                group = groups[date.fromisoformat(row[day]).replace(day=1), row["currency_id"]]
                group[place] += 1
                group[place + 2] += Decimal(row["pre_tax_total"])
    assert len(groups) > 10
    expected = {(*key, *values, values[2] - values[3]) for key, values in groups.items()}
    codes = {row["id"]: row["currency_code"] for row in demo.rows["Currency"]}
    for built in demo.built:
        rows = built.rows(
            "SELECT month, currency_id, invoices, credit_notes, invoiced, credited, turnover"
            " FROM analytics.kafinea_turnover_by_month"
        )
        assert len(rows) == len(expected)
        assert set(rows) == expected
        named = built.rows("SELECT DISTINCT currency_id, currency"
                           " FROM analytics.kafinea_turnover_by_month")  # fmt: skip
        assert dict(named) == {id_: codes[id_] for id_, _ in named}


def test_unpaid_invoices_by_age_are_exact(demo):
    open_ = [row for row in demo.rows["Invoice"]
             if Decimal(row["balance"]) > 0 and row["invoicestatus"] not in FIXED[0]]  # fmt: skip

    def expected(today):
        def age(row):
            days = (today - date.fromisoformat(row["duedate"])).days
            return max(limit for limit in (-(10**6), 1, 31, 61, 91) if days >= limit)

        found = totals(open_, lambda row: (max(age(row), 0), row["currency_id"]), balance="balance")
        return {(*key, *values) for key, values in found.items()}

    for built, days in zip(demo.built, demo.days, strict=True):
        rows = built.rows("SELECT from_days, currency_id, invoices, balance"
                          " FROM analytics.kafinea_unpaid_invoices_by_age")  # fmt: skip
        assert len(rows) > 1
        assert set(rows) in [expected(day) for day in days]


def test_open_opportunities_by_stage_are_exact(demo):
    open_ = [row for row in demo.rows["Potentials"] if row["sales_stage"] not in FIXED[1]]
    amounts = {"amount": "amount", "weighted": "forecast_amount"}
    found = totals(open_, lambda row: row["sales_stage"], **amounts)
    expected = {(key, *values) for key, values in found.items()}
    assert len(expected) > 1
    for built in demo.built:
        rows = built.rows("SELECT stage, opportunities, amount, weighted_amount"
                          " FROM analytics.kafinea_open_opportunities_by_stage")  # fmt: skip
        assert set(rows) == expected


def test_stock_is_exact(demo):
    expected = {
        (
            *(row["id"], row["productname"], Decimal(row["qtyinstock"])),
            Decimal(row["qtyinstock"]) * Decimal(row["purchase_cost"]),
            Decimal(row["qtyinstock"]) < Decimal(row["reorderlevel"] or 0),
        )
        for row in demo.rows["Products"]
    }
    for built in demo.built:
        rows = built.rows("SELECT product_id, product, quantity, purchase_value,"
                          " is_below_reorder_level FROM analytics.kafinea_stock")  # fmt: skip
        assert set(rows) == expected


def test_staging_models_leave_out_deleted_rows(demo):
    for built in demo.built:
        for module, model in {
            "Contacts": "contacts",
            "DocumentFolders": "document_folders",
        }.items():
            stored = {id_ for (id_,) in built.rows(f'SELECT id FROM kafinea."{module}"')}
            staged = [
                id_ for (id_,) in built.rows(f"SELECT id FROM analytics.stg_kafinea__{model}")
            ]
            assert stored - {*staged} == {demo.removed[module]}
            assert sorted(staged) == sorted(row["id"] for row in demo.rows[module])


def test_staging_columns_have_the_names_of_labels(demo):
    rows = demo.rows["Accounts"]
    expected = {(row["id"], row["cf_907"] or None, row["account_id"] or None,
                 row["cf_3001"] or None) for row in rows}  # fmt: skip
    for built in demo.built:
        found = built.rows("SELECT id, payment_terms, member_of_id, conditions_d_ete_x, phone,"
                           " phone_cf_3002 FROM analytics.stg_kafinea__accounts")  # fmt: skip
        assert {row[:4] for row in found} == expected


def test_run_again_changes_nothing(demo):
    package = demo.directory / "package"
    before = {path: path.read_bytes() for path in package.rglob("*") if path.is_file()}
    again = kafinea_dbt(package, **demo.variables)
    assert again.returncode == 0, again.stderr
    assert "0 files are new" in again.stdout
    assert "Overwritten" not in again.stdout
    assert before == {path: path.read_bytes() for path in package.rglob("*") if path.is_file()}


def test_loader_widens_a_column_behind_dbt(demo):
    """PostgreSQL refuses it for a column that a view uses."""
    text = {"type": ["string", "null"]}
    for built in demo.built:
        built.warehouse.load(
            schema("Products", reorderlevel=text),
            record({"id": "1x1", "reorderlevel": "few"}, "Products"),
        )
        assert built.rows("SELECT reorderlevel FROM kafinea.\"Products\" WHERE id = '1x1'") == [
            ("few",)
        ]


# Hostile names

STREAMS = ['Odd module\'s {{ x }} "é"', "SalesOrder", "Sales_Order", "1st", "select", "x" * 80]


TEXT = {"type": ["string", "null"]}
LABELS = {f"cf_{number}": label for number, label in enumerate(HOSTILE)}
ODD = {"shipping_&_{{ handling": "1", "c'd": "2", "É": "3"}


def hostile_stream(number, stream):
    """The first has all labels; a test of each for all streams would take a minute."""
    labels = LABELS if number == 0 else {"cf_0": HOSTILE[number]}
    fields = {
        name: {**TEXT, "title": label, "description": "picklist"} for name, label in labels.items()
    }
    return {
        "tap_stream_id": stream,
        "key_properties": ["id"],
        "schema": {
            "type": "object",
            "title": HOSTILE[number],
            "properties": {"id": {"type": "string"}, **fields, **dict.fromkeys(ODD, TEXT)},
        },
        "metadata": [{"breadcrumb": [], "metadata": {"selected": True}}],
    }


# PostgreSQL is the stricter one: names of 63 bytes, and their case.
@pytest.mark.parametrize("kind", ["postgres", pytest.param("duckdb", marks=pytest.mark.operate)])
def test_hostile_names_labels_and_values(postgres, tmp_path, kind):
    streams = [hostile_stream(number, stream) for number, stream in enumerate(STREAMS)]
    picklists = {(stream, field): HOSTILE for stream in STREAMS for field in LABELS}
    tables = tables_of(catalog_of({"streams": streams}), picklists)
    list(package.write(tmp_path / "package", package.files_of(Described(tables, "off"))))
    records = {}
    for stream in streams:
        labels = {name: LABELS[name] for name in stream["schema"]["properties"] if name in LABELS}
        records[stream["tap_stream_id"]] = [
            {"id": "1x1", **labels, **ODD},
            {"id": "1x2", **dict.fromkeys(labels, "Été"), **ODD},
        ]
    with warehouses(postgres, tmp_path) as both:
        databases = [database for database in both if database.name == kind]
        for database, stream in itertools.product(databases, streams):
            name = stream["tap_stream_id"]
            fields = {**stream["schema"]["properties"]}
            del fields["id"]
            database.load(schema(name, **fields), *(record(each, name) for each in records[name]))
        for built in build(tmp_path / "package", databases):
            assert built.problems() == {}
            accepted = [name for name in built.statuses() if "accepted_values" in name]
            assert len(accepted) == len(HOSTILE) + len(STREAMS) - 1
            for table in tables.values():
                names = ", ".join(column.name for column in table.columns.values())
                found = built.rows(f"SELECT {names} FROM analytics.{table.model} ORDER BY id")
                rows = [dict(zip(table.columns, row, strict=True)) for row in found]
                assert rows == records[table.stream]
