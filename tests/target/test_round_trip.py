"""What the tap reads, the target takes: into the same Kafinea, and into another one."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict
from decimal import Decimal

import pytest

from kafinea_sandbox import Sandbox
from tests.tap.running import extract
from tests.tap.test_line_items import SIZES
from tests.tap.test_line_items import company as invoices_with_lines
from tests.target.running import Files, empty, load, messages, settings, write_requests

DIALECTS = ("kafinea", "stock", "frevo", "legacy")


def dumped(message):
    return json.dumps(message, default=float)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_round_trip_into_the_same_kafinea_changes_nothing(dialect):
    """Every module that the tap reads, lines and users among them."""
    with Sandbox(dialect=dialect, rows=100) as sandbox:
        output = extract(sandbox)
        sandbox.requests.clear()
        run = load(sandbox, [dumped(message) for message in output.messages])
        assert run.code == 0
        assert write_requests(sandbox) == []
        assert run.tally == {"unchanged": len(run.outcomes)}
        read = {m["stream"] for m in output.messages if m["type"] == "RECORD"}
        assert {line["stream"] for line in run.outcomes} == read
        assert {"Contacts", "Invoice", "Users", "Events", "Documents"} <= read


@pytest.mark.parametrize("dialect", DIALECTS)
def test_round_trip_of_documents_with_any_number_of_lines(dialect):
    with Sandbox(dialect=dialect, company=invoices_with_lines()) as sandbox:
        output = extract(sandbox, modules=["Invoice"])
        assert [len(record["LineItems"]) for record in output.records("Invoice")] == [*SIZES]
        run = load(sandbox, [dumped(message) for message in output.messages])
        assert write_requests(sandbox) == []
        assert run.tally == {"unchanged": len(output.records("Invoice"))}


def test_round_trip_through_a_pipe_emits_the_state(tmp_path):
    with Sandbox(rows=300) as sandbox:
        files = Files(tmp_path)
        config = files.config(sandbox)
        tap_config = files.write("tap.json", settings(sandbox))
        with subprocess.Popen(
            [sys.executable, "-m", "tap_kafinea", "--config", tap_config],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as tap:
            done = subprocess.run(
                [sys.executable, "-m", "target_kafinea", "--config", config],
                stdin=tap.stdout,
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
        assert done.returncode == 0, done.stderr
        assert write_requests(sandbox) == []
        assert {line["outcome"] for line in files.lines("outcomes")} == {"unchanged"}
        state = json.loads(done.stdout.splitlines()[-1])
        assert "Contacts" in state["bookmarks"]


# Into another one: its ids have other prefixes and other numbers, so all goes by natural keys.

CHAIN = ("Accounts", "Contacts", "Products", "Services", "Invoice")
KEYS = {
    "Accounts": "accountname",
    "Contacts": "email",
    "Products": "productcode",
    "Services": "servicename",
    "Invoice": "cf_911",
}
NOT_CARRIED = {
    # The users of another instance are others.
    "assigned_user_id": None,
    "id": None,
}
OTHER_LINKS = {
    "Accounts": {"account_id": None},
    # The invoices that are created take what they sell from the stock.
    "Products": {"vendor_id": None, "qtyinstock": None},
    "Invoice": {"salesorder_id": None, "potential_id": None, "currency_id": None},
    "Contacts": {"contact_id": None},
}


def by_name(module, key):
    return {"module": module, "match_on": key}


REFERENCES = {
    "Contacts": {"account_id": by_name("Accounts", "accountname")},
    "Invoice": {
        "account_id": by_name("Accounts", "accountname"),
        "contact_id": by_name("Contacts", "email"),
        "LineItems.productid": [
            by_name("Products", "productcode"),
            by_name("Services", "servicename"),
        ],
    },
}
STREAMS = {
    module: {
        "match_on": KEYS[module],
        "fields": {**NOT_CARRIED, **OTHER_LINKS.get(module, {})},
        "references": REFERENCES.get(module, {}),
    }
    for module in CHAIN
}
LINE = ("productid", "quantity", "listprice", "discount_percent", "discount_amount", "comment")
LINE += ("tax1", "tax2", "tax3")


def source(dialect):
    """A demo company of which every record of the chain has a natural key of its own."""
    sandbox = Sandbox(dialect=dialect, rows=300)
    for n, row in enumerate(sandbox.rows("Contacts")):
        sandbox.change("Contacts", row["id"], {"email": f"{n}@example.com"})
    for n, row in enumerate(sandbox.rows("Invoice")):
        sandbox.change("Invoice", row["id"], {"cf_911": f"F-{n}"})
    # Users write two decimals, whatever a field could hold.
    sandbox.sql("UPDATE Contacts SET cf_855 = printf('%.3f', round(cf_855, 2))")
    return sandbox


def not_extracted(sandbox):
    """What a query does not give, and so the tap does not: taxes of goods."""
    told = {
        "Products": ("productcode", "tax1", "tax2", "tax3"),
        "Services": ("servicename", "tax1", "tax2", "tax3"),
    }
    return {
        row.pop(names[0]): row
        for module, names in told.items()
        for row in sandbox.sql(f"SELECT {', '.join(names)} FROM {module}")
    }


def warehouse(output, more):
    """What a few joins make of the tap's tables: ids become natural keys."""
    names = {"": None, None: None}
    for module in CHAIN:
        names |= {r["id"]: r[KEYS[module]] for r in output.records(module)}
    for module in CHAIN:
        records = []
        for record in output.records(module):
            joined = {name: names.get(record[name]) for name in ("account_id", "contact_id")
                      if name in record}  # fmt: skip
            if module == "Invoice":
                joined["LineItems"] = [
                    line | {"productid": names[line["productid"]]} for line in record["LineItems"]
                ]
            records.append(record | joined | more.get(record[KEYS[module]], {}))
        plain = json.loads(json.dumps(records, default=float))
        yield messages(module, *plain)


def data(sandbox):
    """The data of the chain by natural key, references as the keys they stand for."""
    names = {"": ""}
    for module in CHAIN:
        names |= {row["id"]: row[KEYS[module]] for row in sandbox.rows(module)}
    own = {"id", "createdtime", "modifiedtime", "modifiedby", "source", "assigned_user_id"}
    own |= {"account_no", "contact_no", "product_no", "service_no", "invoice_no", "tags", "starred"}
    own |= {"vendor_id", "salesorder_id", "potential_id", "currency_id", "imagename", "qtyinstock"}
    numbers = {
        row["id"].partition("x")[2]: names[row["id"]] for m in CHAIN for row in sandbox.rows(m)
    }
    found = {}
    for module in CHAIN:
        for row in sandbox.rows(module):
            columns = sandbox.instance.tables[module].columns
            values = {
                n: Decimal(v or 0) if columns[n].kind == "number" else v
                for n, v in row.items()
                if n not in own
            }
            for link in ("account_id", "contact_id"):
                if f"{module}.{link}" in ("Accounts.account_id", "Contacts.contact_id"):
                    del values[link]
                elif link in values:
                    values[link] = names[values[link]]
            found[module, row[KEYS[module]]] = values
    invoices = {row["id"].partition("x")[2]: row["cf_911"] for row in sandbox.rows("Invoice")}
    lines = defaultdict(list)
    for line in sandbox.sql("SELECT * FROM LineItem ORDER BY parent_id, CAST(sequence_no AS INT)"):
        if str(line["parent_id"]) in invoices:
            told = {n: line[n] for n in LINE} | {"productid": numbers[str(line["productid"])]}
            lines[invoices[str(line["parent_id"])]].append(told)
    return found, dict(lines)


@pytest.mark.parametrize(("old", "new"), [("stock", "kafinea"), ("kafinea", "legacy")])
def test_round_trip_of_related_modules_into_another_instance(old, new):
    with source(old) as first, empty(dialect=new) as second:
        output = extract(first, modules=list(CHAIN))
        tables = list(warehouse(output, not_extracted(first)))
        run = load(second, *tables, streams=STREAMS)
        assert run.code == 0
        assert set(run.tally) == {"created"}
        wanted, wanted_lines = data(first)
        found, found_lines = data(second)
        assert found.keys() == wanted.keys()
        for key, values in wanted.items():
            differing = {n: (v, found[key][n]) for n, v in values.items() if v != found[key][n]}
            assert differing == {}, key
        assert found_lines == wanted_lines
        totals = [
            sum(Decimal(row["hdnGrandTotal"]) for row in s.rows("Invoice")) for s in (first, second)
        ]
        assert totals[0] == totals[1] > 0

        second.requests.clear()
        again = load(second, *tables, streams=STREAMS)
        assert set(again.tally) == {"unchanged"}
        assert write_requests(second) == []


def test_round_trip_writes_changes_only():
    with source("stock") as first, empty() as second:
        load(
            second,
            *warehouse(extract(first, modules=list(CHAIN)), not_extracted(first)),
            streams=STREAMS,
        )
        invoice = first.rows("Invoice")[0]
        first.change("Invoice", invoice["id"], {"subject": "Changed"})
        contact = first.rows("Contacts")[0]
        first.change("Contacts", contact["id"], {"phone": "Changed"})
        second.requests.clear()
        run = load(
            second,
            *warehouse(extract(first, modules=list(CHAIN)), not_extracted(first)),
            streams=STREAMS,
        )
        changed = {(line["stream"], *line["changed"]) for line in run.outcomes if line["changed"]}
        assert changed == {("Invoice", "subject"), ("Contacts", "phone")}
        assert write_requests(second) == ["revise", "revise"]
