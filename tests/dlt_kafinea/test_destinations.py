"""Every value, from Kafinea into dlt's destinations; then what was changed and deleted."""

from __future__ import annotations

from datetime import date, datetime, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

import msgspec
import pytest

from kafinea import Client
from kafinea.extract import Extraction
from kafinea.values import ValueType, value_type_of
from kafinea_sandbox.modules.model import Field
from tests.dlt_kafinea.conftest import ZONE, source

pytestmark = [
    # pyiceberg warns where there is nothing to overwrite yet.
    pytest.mark.filterwarnings("ignore:Delete operation did not match"),
    # Without it, rows are read as JSON.
    pytest.mark.filterwarnings("ignore:Cannot create BigQuery Storage client"),
]

MODULES = ("Accounts", "Contacts", "Invoice", "Currency")
TABLES = {module: module.lower() for module in MODULES}
HOSTILE = {
    "Accounts": [
        {"annual_revenue": "9876543210987654321098765.43", "accountname": "a\0b"},
        {"annual_revenue": "-0.01", "accountname": 'x"\\\u2028\u0085\x1f\r\n;,\t'},
        {"annual_revenue": "0.1234567891", "accountname": "NULL"},
    ],
    "Contacts": [
        {"birthday": "0001-01-01", "cf_891": "2025-03-30 01:59:59"},
        {"birthday": "9999-12-31", "cf_891": "2025-03-30 03:00:00"},
        {"lastname": "\N{FAMILY}\N{COMBINING ACUTE ACCENT}", "cf_891": "2025-10-26 02:30:00"},
        {"description": "é\N{CRAB}" * 700_000, "cf_891": "0001-01-02 00:00:00"},
        {"cf_889": 'é"x |##| b', "cf_891": "9999-12-30 22:00:00"},
    ],
}


def test_values_changes_and_deletions_are_those_of_kafinea(warehouse, sandbox, tmp_path):
    options = {"deletions": "scan", "deletions_path": str(tmp_path / "ids")}
    for module, changes in HOSTILE.items():
        for row, change in zip(sandbox.rows(module), changes, strict=False):
            sandbox.change(module, row["id"], change)
    franc = sandbox.insert("Currency", {"currency_name": "Franc", "conversion_rate": "0.9"})
    warehouse.run(source(sandbox, *MODULES, **options))
    assert compared(warehouse, sandbox) > 3_000

    contacts, invoices = sandbox.rows("Contacts"), sandbox.rows("Invoice")
    sandbox.change("Contacts", contacts[-1]["id"], {"cf_861": "12.34", "cf_889": "x |##| y"})
    sandbox.change("Contacts", contacts[-2]["id"], {"birthday": ""})
    sandbox.insert("Contacts", {"lastname": "New"})
    sandbox.remove("Contacts", contacts[5]["id"])
    sandbox.remove("Invoice", invoices[0]["id"])
    shorter = invoices[1]["id"]
    of_it = "parent_id = ? AND sequence_no > 1"
    sandbox.sql(f"DELETE FROM LineItem WHERE {of_it}", [shorter.partition("x")[2]])
    sandbox.change("Invoice", shorter, {"subject": "One line"})
    sandbox.remove("Currency", franc)  # a module that is read as a whole
    if warehouse.adds_columns:
        sandbox.redefine("Contacts", Field("cf_999", "Shoe size", "double"))
        sandbox.change("Contacts", contacts[-3]["id"], {"cf_999": "42.5"})
    warehouse.run(source(sandbox, *MODULES, **options))
    assert compared(warehouse, sandbox) > 3_000
    if warehouse.adds_columns:
        sizes = {row["id"]: row.get("cf_999") for row in warehouse.rows("contacts")}
        assert sizes[contacts[-3]["id"]] == Decimal("42.5")
    if warehouse.keeps_deleted:
        gone = [row["id"] for row in warehouse.table("contacts") if row["_deleted"]]
        assert gone == [contacts[5]["id"]]


def compared(warehouse, sandbox):
    """Compare all values, and return how many they are."""
    count = 0
    with Client(sandbox.url, sandbox.username, sandbox.access_key) as client:
        for module, table in TABLES.items():
            types = {
                name: value_type_of(field.type)
                for name, field in client.describe(module).fields.items()
            }
            there = {row["id"]: row for row in sandbox.rows(module)}
            stored = {row["id"]: row for row in warehouse.rows(table)}
            assert len(stored) == len(warehouse.rows(table))
            assert stored.keys() == there.keys()
            for key, row in there.items():
                for name, wire in row.items():
                    if name == "cf_999":
                        continue  # rows that did not change have no value yet
                    value = stored[key][snake(name)]
                    expected = typed(wire, types[name], warehouse)
                    assert value == expected, (module, key, name)
                    count += 1
        return count + _lines_compared(warehouse, client)


def _lines_compared(warehouse, client):
    invoices = Extraction(client, "Invoice", ["subject"], line_items=True, timezone=ZONE)
    expected = {
        (row["id"], place): {name: value for name, value in line.items() if name != "modifiedtime"}
        for batch in invoices.batches()
        for row in batch.rows
        for place, line in enumerate(row["LineItems"], start=1)
    }
    stored = {
        (row["document_id"], row["line_number"]): row
        for row in warehouse.rows("invoice_line_items")
    }
    assert stored.keys() == expected.keys()
    for key, line in expected.items():
        assert {name: stored[key][snake(name)] for name in line} == line
    return len(expected)


def snake(name):
    from dlt.common.normalizers.naming.snake_case import NamingConvention

    return NamingConvention().normalize_identifier(name)


def typed(wire, value_type, warehouse):
    """An independent reading of the texts of the API."""
    if wire is None or str(wire) in {"", "0000-00-00"}:
        return None
    text = str(wire)
    if value_type is ValueType.BOOLEAN:
        return text in {"1", "on", "yes"}
    if value_type is ValueType.INTEGER:
        return int(text)
    if value_type is ValueType.NUMBER:
        return Decimal(text)
    if value_type is ValueType.LIST:
        members = text.split(" |##| ")
        return members if warehouse.has_lists else msgspec.json.encode(members).decode()
    if value_type is ValueType.DATE:
        return date.fromisoformat(text)
    if value_type is ValueType.DATETIME:
        local = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(ZONE))
        return local.astimezone(timezone.utc)
    return text.replace("\0", warehouse.nul)
