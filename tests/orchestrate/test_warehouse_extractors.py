"""The taps of warehouses: exact values, and the age of the newest row of a module."""

from __future__ import annotations

import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from kafinea_newest import stale

from tests.orchestrate.conftest import ROOT

AMOUNT = "12345678901234567890.12345678901234567"


def run(tap: str, folder: Path, config: dict) -> subprocess.CompletedProcess[str]:
    (folder / "config.json").write_text(json.dumps(config))
    return subprocess.run(
        [sys.executable, "-m", f"warehouse_extractors.{tap}", "--config", folder / "config.json"],
        cwd=ROOT / "extractors", capture_output=True, text=True, check=False,
    )  # fmt: skip


def records(done: subprocess.CompletedProcess[str]) -> list[dict]:
    assert done.returncode == 0, done.stderr
    messages = [json.loads(line, parse_float=Decimal) for line in done.stdout.splitlines()]
    return [message["record"] for message in messages if message["type"] == "RECORD"]


@pytest.fixture
def settings(database, tmp_path) -> dict:
    return {
        "host": database.host, "port": str(database.port), "user": database.user,
        "password": database.password, "database": database.name, "queries": str(tmp_path),
        "ssl_enable": "", "ssl_mode": None,  # as Meltano passes what is not set
    }  # fmt: skip


def test_postgres_values_are_exact(settings, tmp_path):
    (tmp_path / "exact.sql").write_text(
        f"-- As people write it; with a column named like the row.\nWITH x AS (SELECT 1 AS rows)\n"
        f"SELECT {AMOUNT}::numeric AS amount, timestamptz '2024-01-02 03:04:05.123456+02' AS at,"
        " date '2024-02-29' AS day, ARRAY['a', 'b'] AS list, E'{\"a\":\\n 1.10}'::json AS own,"
        " 9223372036854775807 AS large, true AS ok, NULL AS nothing, 'é' || chr(10) || '\"' AS text"
        ", rows FROM x; -- done\n"
    )
    (record,) = records(run("tap_postgres", tmp_path, settings))
    assert record == {
        "amount": Decimal(AMOUNT), "at": "2024-01-02T01:04:05.123456+00:00", "day": "2024-02-29",
        "list": ["a", "b"], "own": {"a": Decimal("1.10")}, "large": 9223372036854775807, "ok": True,
        "nothing": None, "text": 'é\n"', "rows": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("query", "change", "text"),
    [
        ("SELECT 1 AS a, 2 AS a", {}, "one.sql: it has several columns 'a'"),
        ("SELECT FROM nowhere", {}, 'one.sql: relation "nowhere" does not exist'),
        ("CREATE TABLE gone (id int)", {}, "one.sql: syntax error"),
        ("SELECT 1 AS one", {"port": "1"}, "PostgreSQL at 127.0.0.1: connection failed"),
        (None, {}, "No .sql file found in"),
    ],
)
def test_problem_of_a_query_is_one_error(settings, tmp_path, query, change, text):
    if query:
        (tmp_path / "one.sql").write_text(query)
    done = run("tap_postgres", tmp_path, settings | change)
    assert done.returncode == 1
    assert text in done.stderr
    assert "Traceback" not in done.stderr


TABLES = """
    CREATE SCHEMA kafinea;
    CREATE TABLE kafinea."Contacts" (id text, modifiedtime timestamptz);
    INSERT INTO kafinea."Contacts" VALUES ('1', now() - interval '30 hours'), ('2', NULL);
    CREATE TABLE kafinea."Invoice" (id text, "ModifiedTime" timestamptz);
    CREATE TABLE kafinea."Undated" (id text);
"""


@pytest.mark.parametrize("tap", ["tap_postgres", "tap_duckdb"])
def test_modules_whose_newest_row_is_too_old_are_named(tap, settings, database, tmp_path):
    if tap == "tap_postgres":
        database.rows(TABLES)
    else:
        settings = {"path": str(tmp_path / "warehouse.duckdb")}
        with duckdb.connect(settings["path"]) as warehouse:
            warehouse.execute(TABLES)

    def ask(folder: str) -> str:
        done = run(tap, tmp_path, settings | {"queries": folder})
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert stale({"Contacts": 31}, "kafinea", ask) == []
    limits = {"Contacts": 24, "Invoice": 24, "Undated": 24, "Leads": 1}
    assert stale(limits, "kafinea", ask) == [
        "Contacts: its newest row is 30 hours old, 24 are allowed.",
        "Invoice: its table is empty.",
        "Undated: kafinea has no such table with a `modifiedtime`.",
        "Leads: kafinea has no such table with a `modifiedtime`.",
    ]
