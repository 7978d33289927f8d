"""What docs/loaders.md says of the loaders that are not in meltano.yml."""

import csv
import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from kafinea_sandbox import Sandbox
from tests.e2e.test_postgres import AMOUNTS, TEXTS

TARGET_CSV = Path(__file__).resolve().parents[2] / ".venv-loaders/bin/target-csv"

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def messages():
    """What the tap says of contacts and invoices, hostile ones among them."""
    with Sandbox(rows=300) as sandbox:
        for amount in AMOUNTS:
            sandbox.insert("Contacts", {"lastname": "Amount", "cf_861": amount})
        for text in TEXTS:
            sandbox.insert("Contacts", {"lastname": "Text", "description": text})
        own = {
            "TAP_KAFINEA_URL": sandbox.url,
            "TAP_KAFINEA_USERNAME": sandbox.username,
            "TAP_KAFINEA_ACCESS_KEY": sandbox.access_key,
            "TAP_KAFINEA_MODULES": '["Contacts", "Invoice"]',
        }
        command = [sys.executable, "-m", "tap_kafinea", "--config=ENV"]
        done = subprocess.run(command, env=os.environ | own, stdout=subprocess.PIPE, check=True)
    return done.stdout.splitlines()


def load(messages, directory):
    """The rows of each file of target-csv, by id."""
    config = directory / "config.json"
    config.write_text(json.dumps({"output_path": str(directory)}))
    command = [TARGET_CSV, "--config", config]
    subprocess.run(command, input=b"\n".join(messages), stdout=subprocess.DEVNULL, check=True)
    files = {}
    csv.field_size_limit(1_000_000)
    for path in directory.glob("*.csv"):
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        files[path.stem] = {row["id"]: row for row in rows}
        assert len(files[path.stem]) == len(rows)
    return files


def test_target_csv_writes_every_record_and_every_value(messages, tmp_path):
    here = load(messages, tmp_path)
    there = {"Contacts": {}, "Invoice": {}}
    for message in (json.loads(line, parse_float=Decimal) for line in messages):
        if message["type"] == "RECORD":
            there[message["stream"]][message["record"]["id"]] = message["record"]
    assert {stream: rows.keys() for stream, rows in here.items()} == {
        stream: records.keys() for stream, records in there.items()
    }
    assert len(there["Contacts"]) > len(AMOUNTS) + len(TEXTS)
    differences = [
        (key, name, here[stream][key][name], value)
        for stream, records in there.items()
        for key, record in records.items()
        for name, value in record.items()
        if not same(here[stream][key][name], value)
    ]
    assert differences == []


def same(cell, value):
    if value is None:
        return cell == ""
    if isinstance(value, (bool, int, Decimal)):
        return cell == str(value)
    if isinstance(value, list):
        # As Python shows it, which nothing else reads.
        return cell == str(value)
    return cell in {value, value.replace("T", " ")}


def test_target_csv_replaces_the_file_of_the_run_before(messages, tmp_path):
    kinds = [json.loads(line)["type"] for line in messages]
    first = kinds.index("RECORD")
    assert len(load(messages, tmp_path)["Contacts"]) > 1
    assert len(load(messages[: first + 1], tmp_path)["Contacts"]) == 1
