"""`kafinea verify`: what it says when an option is wrong, or the warehouse cannot be read."""

from __future__ import annotations

import json

import pytest

from tests.cli.verifying import Company
from tests.loaders.conftest import DuckDB, PostgreSQL
from tests.tap.test_deletions import fill
from tests.target.running import empty


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    path = tmp_path_factory.mktemp("loaded")
    with empty() as sandbox:
        fill(sandbox, 3)
        company = Company(sandbox, DuckDB(path), path, modules=["Contacts"])
        company.run()
        (path / "other.duckdb").write_text("no database at all")
        (path / "state.json").write_text("[]")
        (path / "empty.json").write_text("{}")
        state = {"bookmarks": {"Contacts": {"url": "https://other.example"}}}
        (path / "elsewhere.json").write_text(json.dumps(state))
        yield company


@pytest.mark.parametrize(
    ("code", "message", "arguments"),
    [
        (2, "No warehouse. Set --warehouse, or KAFINEA_WAREHOUSE", ["--warehouse", ""]),
        (2, "there is no file nothing.duckdb.", ["--warehouse", "duckdb:///nothing.duckdb"]),
        (2, "other.duckdb is not a DuckDB file.", ["--warehouse", "duckdb:///other.duckdb"]),
        (2, "is not the address of a warehouse.", ["--warehouse", "oracle://u:secretsecret@h/d"]),
        (2, "Set --schema to kafinea.", ["--schema", "nowhere"]),
        (2, "Module 'Contact' not found", ["Contact"]),
        (2, "has no table of Accounts. Extract and load first.", ["Accounts"]),
        (2, "state.json is not a state of tap-kafinea.", ["--state", "state.json"]),
        (2, "empty.json is not a state of tap-kafinea.", ["--state", "empty.json"]),
        (1, "belongs to another Kafinea instance", ["--state", "elsewhere.json"]),
        (2, "With --repair -, stdout has the messages.", ["--repair", "-", "--json"]),
        (1, "repair: there is no folder ", ["--repair", "nowhere/repair"]),
        (1, "the database cannot be opened", ["--warehouse", "postgresql://u:secretsecret@127.0.0.1:1/d"]),
    ],
)  # fmt: skip
def test_wrong_usage_is_named(loaded, code, message, arguments):
    done = loaded.verify_as("table", *arguments)
    assert (done.code, done.stdout) == (code, "")
    assert message in done.stderr
    assert "secretsecret" not in done.stderr
    assert "Traceback" not in done.stderr


def test_maps_are_not_repaired(loaded):
    maps = json.dumps({"Contacts": {"x": "id"}})
    done = loaded.verify_as("table", "--repair", "-", stream_maps=maps)
    assert done.code == 1
    assert "`stream_maps` (TAP_KAFINEA_STREAM_MAPS) is set" in done.stderr


def test_file_that_a_loader_writes_is_named(loaded):
    script = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print(flush=True); input()"
    with loaded.held(script):
        done = loaded.verify_as("table")
    assert done.code == 1
    assert "is open in another process (PID" in done.stderr


def test_missing_right_is_named(postgres, tmp_path):
    with postgres.fresh() as database, empty() as sandbox:
        fill(sandbox, 3)
        company = Company(sandbox, PostgreSQL(tmp_path, database), tmp_path, modules=["Contacts"])
        company.run()
        database.rows("DROP ROLE IF EXISTS reader")
        database.rows("CREATE ROLE reader LOGIN PASSWORD 'reader'")
        try:
            login = f"{database.user}:{database.password}"
            address = database.uri().replace(login, "reader:reader")
            done = company.verify_as("table", "--warehouse", address)
            assert (done.code, done.stdout) == (1, "")
            assert "Grant it USAGE on the schema kafinea and SELECT on its tables." in done.stderr
        finally:
            database.rows("DROP ROLE reader")
