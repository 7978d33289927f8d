"""The loader of the demo keeps every row and every text; target-duckdb itself does not."""

import json
import subprocess
from pathlib import Path

import duckdb
import pytest

ROOT = Path(__file__).resolve().parents[2]
LOADER = ROOT / ".meltano/loaders/target-duckdb/venv/bin/target-duckdb-exact"
PROPERTIES = {
    "id": {"type": "string"},
    "subject": {"type": ["string", "null"]},
    "description": {"type": ["string", "null"]},
}
HOSTILE = ["12; a", "l'été", "''", '"', 'x, "y"', "one\ntwo\r\n", "\\", "\\n\n", "a|b\tc", "NULL"]

pytestmark = pytest.mark.e2e


def load(directory, *records, properties=PROPERTIES):
    schema = {"type": "SCHEMA", "stream": "Faq", "key_properties": ["id"]}
    messages = [schema | {"schema": {"type": "object", "properties": properties}}]
    messages += [{"type": "RECORD", "stream": "Faq", "record": record} for record in records]
    warehouse, config = directory / "w.duckdb", directory / "config.json"
    config.write_text(json.dumps({"path": str(warehouse), "default_target_schema": "kafinea"}))
    lines = "\n".join(map(json.dumps, messages))
    subprocess.run([LOADER, "--config", config], input=lines, text=True, check=True)
    with duckdb.connect(warehouse, read_only=True) as connection:
        columns = ", ".join(f'"{name}"' for name in properties)
        rows = connection.execute(f"SELECT {columns} FROM kafinea.faq ORDER BY id").fetchall()
    return [dict(zip(properties, row, strict=True)) for row in rows]


@pytest.mark.parametrize("text", HOSTILE)
def test_single_row_of_strings_is_loaded(tmp_path, text):
    record = {"id": "12x1", "subject": text, "description": text}
    assert load(tmp_path, record) == [record]


def test_all_rows_of_strings_are_loaded(tmp_path):
    records = [
        {"id": f"12x{number:04d}", "subject": text, "description": HOSTILE[number % 7]}
        for number, text in enumerate(HOSTILE * 30)
    ]
    assert load(tmp_path, *records) == records


def test_row_loaded_again_replaces_the_first(tmp_path):
    old = {"id": "12x1", "subject": "old", "description": "kept no longer"}
    other = {"id": "12x2", "subject": "other", "description": None}
    load(tmp_path, old, other)
    new = {"id": "12x1", "subject": "new", "description": None}
    assert load(tmp_path, new) == [new, other]


def test_amounts_are_exact_to_the_cent(tmp_path):
    properties = {"id": {"type": "string"}, "total": {"type": ["number", "null"]}}
    amounts = [0.01, 199.99, -0.1, 12345678901234.56, 1e-8, None]
    records = [{"id": f"12x{n}", "total": amount} for n, amount in enumerate(amounts)]
    assert load(tmp_path, *records, properties=properties) == records
