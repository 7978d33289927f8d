"""Every value of every module, from Kafinea through the tap into each warehouse."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import date, datetime, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from kafinea_sandbox import Sandbox
from tests.tap.running import parse, settings

LONG = "é\N{CRAB}" * 700_000  # 4.2 MB
HOSTILE = {
    "Accounts": [
        {"annual_revenue": "9876543210987654321098765.43", "accountname": "a\0b"},
        {"annual_revenue": "-0.01", "accountname": 'x"\\\u2028\u0085\x1f'},
    ],
    "Contacts": [
        {"birthday": "0001-01-01", "lastname": "\N{FAMILY}\N{COMBINING ACUTE ACCENT}"},
        {"birthday": "9999-12-31", "lastname": "NULL", "description": LONG},
    ],
    # Before, within and behind the hours in which the clocks of Paris change.
    "Calendar": [
        {"createdtime": moment}
        for moment in (
            *("2025-03-30 01:59:59", "2025-03-30 03:00:00"),
            *("2025-10-26 01:59:59", "2025-10-26 02:30:00", "2025-10-26 03:00:00"),
            *("0001-01-02 00:00:00", "9999-12-30 22:00:00"),
        )
    ],
}


@pytest.fixture(scope="module")
def extracted(tmp_path_factory):
    """What Kafinea has, and what the tap writes of it."""
    config = tmp_path_factory.mktemp("tap") / "config.json"
    with Sandbox(rows=1500, timezone="Europe/Paris") as sandbox:
        for module, changes in HOSTILE.items():
            for row, change in zip(sandbox.rows(module), changes, strict=False):
                sandbox.change(module, row["id"], change)
        config.write_text(json.dumps(settings(sandbox, timezone="Europe/Paris")))
        command = [sys.executable, "-m", "tap_kafinea", "--config", str(config)]
        output = subprocess.run(command, capture_output=True, check=True).stdout.decode()
        lines = output.split("\n")[:-1]
        streams = {m["stream"]: m for m in parse(lines).messages if m["type"] == "SCHEMA"}
        yield lines, streams, {stream: sandbox.rows(stream) for stream in streams}


@pytest.fixture(scope="module")
def warehouse(fresh, extracted, tmp_path_factory):
    with fresh(tmp_path_factory.mktemp("company")) as warehouse:
        warehouse.load(*extracted[0])
        yield warehouse


def test_every_value_of_every_module_is_stored_exactly(extracted, warehouse):
    _, streams, kafinea = extracted
    replaced = "\N{REPLACEMENT CHARACTER}" if warehouse.name == "postgres" else "\0"
    compared = 0
    for stream, message in streams.items():
        properties = message["schema"]["properties"]
        # Lines and the taxes on them come from elsewhere; see tests/tap/test_line_items.py.
        names = [name for name in properties if name != "LineItems" and "&" not in name]
        columns = ", ".join(f'"{name}"' for name in names)
        stored = {
            row[0]: row for row in warehouse.rows(f'SELECT {columns} FROM kafinea."{stream}"')
        }
        rows = {row["id"]: row for row in kafinea[stream] if row.get("status") != "Inactive"}
        assert stored.keys() == rows.keys()
        for id_, row in stored.items():
            for name, value in zip(names, row, strict=True):
                expected = typed(rows[id_].get(name), properties[name])
                if isinstance(expected, str):
                    expected = expected.replace("\0", replaced)
                assert value == expected, (stream, id_, name)
                compared += 1
    assert compared > 30_000


def test_lines_are_stored_as_the_tap_writes_them(extracted, warehouse):
    lines, _, _ = extracted
    records = parse(lines).records("Invoice")
    stored = warehouse.rows('SELECT id, "LineItems"::text FROM kafinea."Invoice"')
    read = {id_: json.loads(text, parse_float=Decimal) for id_, text in stored}
    assert read == {record["id"]: record["LineItems"] for record in records}


def test_sums_are_exact_to_the_cent(extracted, warehouse):
    _, _, kafinea = extracted
    total = sum(Decimal(row["hdnGrandTotal"]) for row in kafinea["Invoice"])
    assert warehouse.rows('SELECT sum("hdnGrandTotal") FROM kafinea."Invoice"') == [(total,)]


def typed(wire, schema):
    """An independent reading of the texts of the API."""
    if wire is None or str(wire) in {"", "0000-00-00"}:
        return None
    text, types = str(wire), schema["type"]
    if "boolean" in types:
        return text in {"1", "on", "yes"}
    if "integer" in types:
        return int(text)
    if "number" in types:
        return Decimal(text)
    if "array" in types:
        return text.split(" |##| ")
    if schema.get("format") == "date":
        return date.fromisoformat(text)
    if schema.get("format") == "date-time":
        local = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Europe/Paris"))
        return local.astimezone(timezone.utc)
    return text
