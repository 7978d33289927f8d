"""The files that `kafinea dbt` writes: what it overwrites, and what it never does."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from kafinea.errors import SettingsError
from kafinea_cli.dbt_package import marts, package
from kafinea_cli.dbt_package.tables import Warehouse, of_catalog, tables_of
from kafinea_sandbox import Sandbox
from kafinea_sandbox.modules.model import Field
from tap_kafinea.catalogs import catalog_of
from tests.tap.running import discover

TEXT = {"type": ["string", "null"]}
STAGING = "models/staging/kafinea"


def stream(name, *, keys=("id",), selected=True, **properties):
    fields = {key: {"type": "string"} for key in keys}
    labels = {field: {**TEXT, "title": label} for field, label in properties.items()}
    return {
        "tap_stream_id": name,
        "key_properties": list(keys),
        "schema": {"type": "object", "title": name, "properties": fields | labels},
        "metadata": [{"breadcrumb": [], "metadata": {"selected": selected}}],
    }


def files_of(*streams, picklists=None, deletions="scan"):
    tables = tables_of(catalog_of({"streams": [*streams]}), picklists or {})
    return package.files_of(Warehouse(tables, deletions))


def write(directory, *streams):
    return list(package.write(directory, files_of(*streams)))


def contents(directory):
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_run_again_overwrites_what_changed_and_removes_what_is_gone(tmp_path: Path):
    write(tmp_path, stream("Accounts", cf_1="One"), stream("Leads"))
    (own := tmp_path / STAGING / "accounts_of_mine.sql").write_text("select 1", "utf-8")
    (tmp_path / "dbt_project.yml").write_text("name: mine", "utf-8")
    lines = write(tmp_path, stream("Accounts", cf_1="Two"), stream("Contacts"))
    folder = tmp_path / STAGING
    assert sorted(path.name for path in folder.glob("*.sql")) == [
        own.name,
        "stg_kafinea__accounts.sql",
        "stg_kafinea__contacts.sql",
    ]
    assert "as two" in (folder / "stg_kafinea__accounts.sql").read_text("utf-8")
    assert own.read_text("utf-8") == "select 1"
    assert (tmp_path / "dbt_project.yml").read_text("utf-8") == "name: mine"
    assert lines[1:] == [
        "Overwritten: _kafinea__models.yml, _kafinea__sources.yml, stg_kafinea__accounts.sql",
        "Removed: stg_kafinea__leads.sql",
        "Renamed: stg_kafinea__accounts.one is now two",
    ]


@pytest.mark.parametrize(
    ("model", "text"),
    [
        ("accounts", b"select 1"),
        ("accounts", b"{}-- mine"),
        ("accounts", b"{}-- not UTF-8: \xe9"),
        ("leads", b"{}-- mine"),  # which is to be removed
    ],
)
def test_nothing_is_written_if_a_user_has_changed_a_file(tmp_path: Path, model, text):
    write(tmp_path, stream("Accounts"), stream("Leads"))
    changed = tmp_path / STAGING / f"stg_kafinea__{model}.sql"
    changed.write_bytes(text.replace(b"{}", changed.read_bytes()))
    before = contents(tmp_path)
    with pytest.raises(SettingsError, match=rf"stg_kafinea__{model}\.sql.*run again"):
        write(tmp_path, stream("Accounts", cf_1="One"))
    assert contents(tmp_path) == before


def test_file_that_a_user_wrote_anew_is_not_removed(tmp_path: Path):
    write(tmp_path, stream("Accounts"), stream("Leads"))
    (own := tmp_path / STAGING / "stg_kafinea__leads.sql").write_text("select 1", "utf-8")
    write(tmp_path, stream("Accounts"))
    assert own.read_text("utf-8") == "select 1"


def test_files_are_the_same_after_a_checkout_on_windows(tmp_path: Path):
    write(tmp_path, stream("Accounts"))
    for path in tmp_path.rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert len(write(tmp_path, stream("Accounts"))) == 1


def test_catalog_gives_what_it_selects(tmp_path: Path):
    accounts = stream("Accounts", accountname="Name", cf_1="One")
    accounts["metadata"].append(
        {"breadcrumb": ["properties", "cf_1"], "metadata": {"selected": False}}
    )
    catalog = {"streams": [accounts, stream("Leads", selected=False)]}
    (tmp_path / "catalog.json").write_text(json.dumps(catalog), "utf-8")
    tables = of_catalog(tmp_path / "catalog.json").tables
    assert {name: list(table.columns) for name, table in tables.items()} == {
        "Accounts": ["id", "accountname"]
    }


def test_catalog_gives_the_tests_of_picklists(tmp_path: Path):
    values = ("Virement, SEPA", 'à "30 jours"', "a: id of b")
    long = tuple(f"{n:0100}" for n in range(10))
    with Sandbox(rows=50) as sandbox:
        sandbox.redefine(
            "Accounts",
            Field("cf_1", "Terms", "picklist", values=values),
            Field("cf_2", "Countries", "picklist", values=long),
        )
        catalog = discover(sandbox, modules=["Accounts", "Invoice"])
    (tmp_path / "catalog.json").write_text(json.dumps(catalog), "utf-8")
    tables = of_catalog(tmp_path / "catalog.json").tables
    accounts = tables["Accounts"].columns
    assert accounts["cf_1"].picklist == values
    assert accounts["cf_2"].picklist == ()
    assert {accounts[name].type for name in ("cf_1", "cf_2")} == {"picklist"}
    assert accounts["cf_1"].refers_to == ()
    assert "Paid" in tables["Invoice"].columns["invoicestatus"].picklist
    assert tables["Invoice"].columns["account_id"].refers_to == ("Accounts",)


def test_key_of_several_fields_is_not_unique_by_one():
    files = files_of(stream("InvoiceLineItems", keys=("document_id", "line_number")))
    (table,) = yaml.safe_load(files[f"{STAGING}/_kafinea__sources.yml"])["sources"][0]["tables"]
    assert [column["data_tests"] for column in table["columns"]] == [["not_null"]] * 2


def test_deleted_records_are_left_out():
    deleted = stream("deleted_records", keys=("module", "id"), detected_at="")
    lines = stream("InvoiceLineItems", keys=("document_id", "line_number"))
    accounts = stream("Accounts", modifiedtime="Modified Time")
    conditions = {}
    for deletions in ("scan", "sync"):
        files = files_of(accounts, lines, deleted, deletions=deletions)
        conditions[deletions] = {
            name: re.findall(r"kafinea_is_deleted\(.*'deleted_records'\), (.*)\) }}", sql)
            for path, sql in files.items()
            if (name := Path(path).stem).startswith("stg_")
        }
    assert conditions["scan"] == {
        "stg_kafinea__accounts": ["'Accounts', 'stored.id'"],
        "stg_kafinea__invoice_line_items": ["'Invoice', 'stored.document_id'"],
        "stg_kafinea__deleted_records": [],
    }
    assert conditions["sync"]["stg_kafinea__accounts"] == [
        "'Accounts', 'stored.id', 'stored.modifiedtime'"
    ]


def test_marts_need_their_modules_and_fields():
    fields = ("invoicedate", "currency_id", "pre_tax_total", "invoicestatus")
    invoice = stream("Invoice", **{field: field for field in fields})
    tables = tables_of(catalog_of({"streams": [invoice]}), {})
    assert list(marts.models(tables)) == ["kafinea_turnover_by_month"]
    assert "union all" not in marts.models(tables)["kafinea_turnover_by_month"]
    assert marts.left_out(tables) == {
        "kafinea_open_opportunities_by_stage": "Potentials",
        "kafinea_stock": "Products",
        "kafinea_unpaid_invoices_by_age": "Invoice.balance, Invoice.duedate",
    }
    (model,) = yaml.safe_load(marts.properties(marts.models(tables)))["models"]
    names = [column["name"] for column in model["columns"]]
    assert names == ["month", "currency_id", "invoices", "credit_notes", "invoiced", "credited",
                     "turnover"]  # fmt: skip


def test_reference_to_several_modules_is_tested_if_all_are_there():
    calendar = stream("Calendar", parent_id="Related To", assigned_user_id="Assigned To")
    properties = calendar["schema"]["properties"]
    properties["parent_id"]["description"] = "reference: id of Accounts or Leads"
    properties["assigned_user_id"]["description"] = "owner"  # may be an inactive user
    others = [stream(name) for name in ("Accounts", "Users", "Groups")]
    tests = []
    for streams in ([calendar, *others], [calendar, *others, stream("Leads")]):
        models = yaml.safe_load(files_of(*streams)[f"{STAGING}/_kafinea__models.yml"])["models"]
        columns = next(model for model in models if "calendar" in model["name"])["columns"]
        tests.append([column["name"] for column in columns if "data_tests" in column])
    assert tests == [[], ["related_to_id"]]
