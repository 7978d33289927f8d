"""From Kafinea to the warehouse with `meltano run`, as users do."""

import json
import os
import re
import subprocess
import sys
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

ROOT = Path(__file__).resolve().parents[2]
MELTANO = ROOT / ".venv-meltano/bin/meltano"

pytestmark = pytest.mark.e2e


def test_meltano_run_loads_every_invoice_exactly(sandbox, tmp_path):
    own = {
        "MELTANO_DATABASE_URI": f"sqlite:///{tmp_path / 'meltano.db'}",
        "TAP_KAFINEA_URL": sandbox.url,
        "TAP_KAFINEA_USERNAME": sandbox.username,
        "TAP_KAFINEA_ACCESS_KEY": sandbox.access_key,
        "TAP_KAFINEA_MODULES": '["Invoice", "Acc*"]',
        "TARGET_DUCKDB_PATH": str(tmp_path / "warehouse.duckdb"),
    }
    options = ["--environment", "sandbox", "--env-file", os.devnull]
    done = subprocess.run(
        [MELTANO, *options, "run", "--no-install", "tap-kafinea", "target-duckdb"],
        cwd=ROOT,
        env=os.environ | own,
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert sandbox.access_key not in said

    with duckdb.connect(tmp_path / "warehouse.duckdb", read_only=True) as warehouse:
        tables = warehouse.execute("SELECT table_name FROM information_schema.tables").fetchall()
        invoices = warehouse.execute("SELECT * FROM kafinea.invoice")
        names = [column[0] for column in invoices.description]
        rows = [dict(zip(names, row, strict=True)) for row in invoices.fetchall()]
    assert sorted(tables) == [("Accounts",), ("Invoice",)]
    here = {row["id"]: row for row in rows}
    there = {row["id"]: row for row in sandbox.rows("Invoice")}
    assert here.keys() == there.keys()
    for loaded, invoice in ((here[key], there[key]) for key in there):
        for amount in ("hdnGrandTotal", "pre_tax_total", "received", "balance"):
            assert isinstance(loaded[amount], Decimal)
            assert loaded[amount] == Decimal(invoice[amount])
        for text in ("subject", "invoice_no", "account_id", "terms_conditions"):
            assert (loaded[text] or "") == invoice[text]
        assert loaded["invoicedate"] == date.fromisoformat(invoice["invoicedate"])
        assert loaded["modifiedtime"] == datetime.fromisoformat(f"{invoice['modifiedtime']}+00:00")
        number = invoice["id"].partition("x")[2]
        lines = sandbox.sql(
            "SELECT quantity, listprice FROM LineItem WHERE parent_id = ?"
            " ORDER BY CAST(sequence_no AS INT)",
            (number,),
        )
        assert [
            {name: Decimal(str(line[name])) for name in ("quantity", "listprice")}
            for line in json.loads(loaded["LineItems"])
        ] == [{name: Decimal(value) for name, value in line.items()} for line in lines]


@pytest.fixture(scope="module")
def demo():
    command = [sys.executable, ROOT / "demo" / "demo.py"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_demo_succeeds(demo):
    assert "Unpaid invoices" in demo
    assert "What sold best" in demo


def test_demo_builds_the_models_of_dbt(demo):
    built = demo.split("Models that dbt has built")[1].split("\n\n")[1]
    kinds = [line.split() for line in built.splitlines()[2:]]
    assert [kind[:2] for kind in kinds] == [["model", "success"], ["test", "pass"]]
    with duckdb.connect(ROOT / "output/warehouse.duckdb", read_only=True) as warehouse:
        ((turnover,), (expected,)) = warehouse.execute(
            "SELECT sum(turnover) FROM analytics.kafinea_turnover_by_month UNION ALL"
            " SELECT (SELECT sum(pre_tax_total) FROM kafinea.invoice"
            "         WHERE invoicestatus <> 'Cancel')"
            "      - (SELECT sum(pre_tax_total) FROM kafinea.creditnotes"
            "         WHERE creditnotestatus <> 'Cancel')"
        ).fetchall()
    assert turnover == expected > 0


def test_demo_shows_a_downloaded_file(demo):
    assert "output/files/" in demo.split("files that were downloaded")[1]


def test_demo_loads_visitors_by_their_email(demo):
    assert outcomes("visitors", "email") == {
        "vincent.nguyen@etude-notariale-girard.example": ("unchanged", []),
        "cyril.allard@etude-notariale-girard.example": ("updated", ["phone"]),
        "ines.garnier@boulangerie-du-port.example": ("created", []),
        "hugo.petit@librairie-du-quai.example": ("created", []),
    }


def test_demo_loads_late_payers_by_their_id_and_rejects_one(demo):
    query = (ROOT / "demo/load/late_payers.sql").read_text(encoding="utf-8")
    with duckdb.connect(ROOT / "output/warehouse.duckdb", read_only=True) as warehouse:
        payers = warehouse.execute(query).fetchall()
        terms = dict(warehouse.execute("SELECT id, cf_907 FROM kafinea.accounts").fetchall())
    (first, unknown), *others = payers
    assert (unknown, len(others)) == ("Prépayé", 9)
    same, changed = ("unchanged", []), ("updated", ["cf_907"])
    assert outcomes("late_payers", "id") == {first: ("rejected", [])} | {
        account: same if terms[account] == "Comptant" else changed for account, _ in others
    }
    schema, reject = lines("rejects")
    assert (schema["type"], schema["stream"]) == ("SCHEMA", "late_payers")
    assert reject == {
        "type": "RECORD",
        "stream": "late_payers",
        "record": {"id": first, "cf_907": "Prépayé"},
        "code": "UNKNOWN_PICKLIST_VALUE",
        "message": "cf_907: the value is not in the picklist",
    }
    assert reject["message"] in demo


def outcomes(stream, key):
    """What became of the records of a stream, and which fields changed, by a field of their key."""
    of_stream = [line for line in lines("outcomes") if line["stream"] == stream]
    found = {line["key"][key]: (line["outcome"], line["changed"]) for line in of_stream}
    assert len(found) == len(of_stream)
    return found


def lines(name):
    text = (ROOT / "output" / f"{name}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.operate
def test_one_module_is_extracted_again_after_its_table_is_gone(sandbox, tmp_path):
    file = tmp_path / "warehouse.duckdb"
    own = {
        "MELTANO_DATABASE_URI": f"sqlite:///{tmp_path / 'meltano.db'}",
        "TAP_KAFINEA_URL": sandbox.url,
        "TAP_KAFINEA_USERNAME": sandbox.username,
        "TAP_KAFINEA_ACCESS_KEY": sandbox.access_key,
        "TAP_KAFINEA_MODULES": '["Contacts", "Accounts"]',
        "TARGET_DUCKDB_PATH": str(file),
    }

    def meltano(*options, **more):
        command = [MELTANO, "--env-file", os.devnull, "run", "--no-install", *options]
        return subprocess.run(
            [*command, "tap-kafinea", "target-duckdb"], cwd=ROOT, env=os.environ | own | more,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip

    assert meltano().returncode == 0
    with duckdb.connect(file) as warehouse:
        warehouse.execute("DROP TABLE kafinea.contacts")
    done = meltano()
    assert done.returncode == 1
    assert "Table Contacts does not exist, but the state of the tap says" in done.stdout
    # As docs/scheduling.md shows it.
    done = meltano("--full-refresh", "--merge-state", TAP_KAFINEA__SELECT_FILTER='["Contacts"]')
    assert done.returncode == 0, done.stdout
    sandbox.requests.clear()
    assert meltano().returncode == 0
    queries = [request.params["query"] for request in sandbox.requests.of("query")]
    records = [query for query in queries if re.match(r"SELECT .*,.* FROM (Con|Acc)", query)]
    assert all("modifiedtime >=" in query for query in records)
    with duckdb.connect(file, read_only=True) as warehouse:
        for module in ("contacts", "accounts"):
            (count,) = warehouse.sql(f"SELECT count(*) FROM kafinea.{module}").fetchone()
            assert count == sandbox.count(module.title())
