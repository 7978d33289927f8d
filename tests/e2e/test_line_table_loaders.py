"""A line that was taken away in Kafinea is gone from the table, in DuckDB and in PostgreSQL."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import duckdb
import pytest
import yaml

from kafinea_sandbox import Sandbox
from tests.e2e.meltano import ROOT
from tests.tap.running import command, settings
from tests.tap.test_line_items import company, truth
from tests.tap.test_line_table import take_lines

pytestmark = pytest.mark.e2e

PLUGINS = yaml.safe_load((ROOT / "meltano.yml").read_text())["plugins"]["loaders"]


class DuckDB:
    name = "target-duckdb"

    def __init__(self, directory: Path) -> None:
        self.settings = {"path": str(directory / "warehouse.duckdb")}

    def rows(self, query: str) -> list[tuple]:
        with duckdb.connect(self.settings["path"], read_only=True) as connection:
            return connection.execute(query.format("kafinea.invoicelineitems")).fetchall()


class PostgreSQL:
    name = "target-postgres"

    def __init__(self, database) -> None:
        self.settings = {
            "host": database.host,
            "port": database.port,
            "user": database.user,
            "password": database.password,
            "database": database.name,
        }
        self._database = database

    def rows(self, query: str) -> list[tuple]:
        rows = self._database.rows(query.format('kafinea."InvoiceLineItems"'))
        return [tuple(row.values()) for row in rows]


@pytest.fixture(params=[DuckDB, PostgreSQL])
def warehouse(request, tmp_path):
    if request.param is DuckDB:
        yield DuckDB(tmp_path)
    else:
        with request.getfixturevalue("postgres").fresh() as database:
            yield PostgreSQL(database)


def load(warehouse, directory: Path, messages: str) -> str:
    """Load messages with the loader of meltano.yml and its settings; return the last state."""
    (plugin,) = (one for one in PLUGINS if one["name"] == warehouse.name)
    config = directory / "loader.json"
    config.write_text(json.dumps(plugin["config"] | warehouse.settings))
    program = ROOT / f".meltano/loaders/{warehouse.name}/venv/bin/{plugin['executable']}"
    done = subprocess.run(
        [program, "--config", config], input=messages, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def run(sandbox: Sandbox, warehouse, directory: Path) -> None:
    config, state = directory / "tap.json", directory / "state.json"
    config.write_text(json.dumps(settings(sandbox, modules=["Invoice"], line_items="table")))
    known = ["--state", str(state)] if state.exists() else []
    done = command("--config", str(config), *known)
    assert done.returncode == 0, done.stderr
    state.write_text(load(warehouse, directory, done.stdout))


def test_removed_line_is_deleted_from_the_table(warehouse, tmp_path):
    with Sandbox(company=company((3, 1, 40, 0))) as sandbox:

        def assert_same():
            there = [
                (invoice, place, row["comment"] or None)
                for invoice, lines in truth(sandbox, "Invoice").items()
                for place, row in enumerate(lines, start=1)
            ]
            query = "SELECT document_id, line_number, comment FROM {} ORDER BY 1, 2"
            assert warehouse.rows(query) == sorted(there)
            assert len(warehouse.rows("SELECT * FROM {} WHERE _sdc_deleted_at IS NULL")) == len(
                there
            )

        run(sandbox, warehouse, tmp_path)
        assert_same()
        three, one, forty, none = (row["id"] for row in sandbox.rows("Invoice"))
        take_lines(sandbox, three, 2)
        take_lines(sandbox, forty, 30)
        sandbox.insert("LineItem", {"parent_id": none, "sequence_no": "1", "comment": "new"})
        sandbox.change("Invoice", none, {"subject": "One line more"})
        run(sandbox, warehouse, tmp_path)
        assert_same()
        take_lines(sandbox, one, 1)
        run(sandbox, warehouse, tmp_path)
        assert_same()
