"""The programs of docs/warehouses.md."""

from __future__ import annotations

import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

from kafinea_sandbox import Sandbox
from tests.dlt_kafinea.conftest import ZONE

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/warehouses.md"


def test_program_of_the_page_loads_the_modules(tmp_path, monkeypatch):
    page = PAGE.read_text(encoding="utf-8")
    (secrets,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    (program,) = re.findall(r"```python\n(import dlt\n.*?)```", page, re.DOTALL)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "data"))
    (tmp_path / ".dlt").mkdir()
    with Sandbox(rows=300, timezone=ZONE) as sandbox:
        values = {
            "url": sandbox.url,
            "username": sandbox.username,
            "access_key": sandbox.access_key,
        }
        for name, value in values.items():
            secrets = re.sub(rf'(?m)^{name} = ".*"$', f'{name} = "{value}"', secrets)
        (tmp_path / ".dlt/secrets.toml").write_text(secrets)
        (tmp_path / "pipeline.py").write_text(program)
        for _ in range(2):
            command = [sys.executable, "pipeline.py"]
            done = subprocess.run(
                command, cwd=tmp_path, capture_output=True, text=True, check=False
            )
            assert done.stderr == ""
        invoices = sandbox.rows("Invoice")
    count, total = re.findall(r"\((\d+), Decimal\('([\d.]+)'\)\)", done.stdout)[0]
    assert int(count) == len(invoices)
    assert Decimal(total) == sum(Decimal(row["hdnGrandTotal"]) for row in invoices)
    assert len(program.splitlines()) < 15
