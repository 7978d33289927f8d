"""From Kafinea to the warehouse with `meltano run`, as users do."""

import os
import subprocess
import sys
from datetime import datetime
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
    assert sorted(tables) == [("accounts",), ("invoice",)]
    here = {row["id"]: row for row in rows}
    there = {row["id"]: row for row in sandbox.rows("Invoice")}
    assert here.keys() == there.keys()
    for loaded, invoice in ((here[key], there[key]) for key in there):
        for amount in ("hdnGrandTotal", "pre_tax_total", "received", "balance"):
            assert Decimal(str(loaded[amount.lower()])) == Decimal(invoice[amount])
        for text in ("subject", "invoice_no", "invoicedate", "account_id", "terms_conditions"):
            assert (loaded[text] or "") == invoice[text]
        assert loaded["modifiedtime"] == datetime.fromisoformat(invoice["modifiedtime"])


def test_the_demo_ends_well():
    demo = [sys.executable, ROOT / "demo" / "demo.py"]
    done = subprocess.run(demo, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Unpaid invoices" in done.stdout
