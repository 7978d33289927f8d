"""Writes the files of this version: `python -m tests.upgrades.make`, once, when it is released.

They are what a user of this version has when they upgrade: states, stored ids, a warehouse, a
rejects file and a load report. The server is not there any more; `company` makes one like it.
"""

from __future__ import annotations

import gzip
import json
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unittest import mock

from kafinea import Client
from kafinea_sandbox import Sandbox
from tap_kafinea.streams import ModuleStream
from tests.loaders.conftest import DuckDB
from tests.tap.running import Output, command, parse, settings
from tests.target.running import Files, in_process, messages
from tests.target.running import empty as empty_sandbox

HERE = Path(__file__).resolve().parent

URL = "http://127.0.0.1:8080"
"""The address of the server in the files."""

CONTACTS = 150
EXTRACTED: dict[str, Any] = {
    "modules": ["Accounts", "Contacts", "Campaigns", "Currency", "Documents", "Invoice"],
    "relations": [{"module": "Campaigns", "related": "Contacts"}],
    "line_items": "table",
    "dictionary": True,
    "deletions": "scan",
    "page_size": 50,
    "timezone": "Europe/Paris",
}
VISITORS: dict[str, Any] = {
    "streams": {
        "visitors": {
            "module": "Contacts",
            "match_on": "email",
            "references": {"account_id": {"module": "Accounts", "match_on": "accountname"}},
        }
    },
    "outcomes_values": True,
    "max_rejects": -1,
}


def company() -> Sandbox:
    """A server with the records of the files. Each record has the same id and times in each."""
    sandbox = empty_sandbox(timezone="Europe/Paris")
    sandbox.set_time("2026-01-31T08:00:00+00:00")
    account = sandbox.insert("Accounts", {"accountname": "Müller & Fils"}, "2025-01-01 08:00:00")
    for number in range(CONTACTS):
        contact = {"lastname": f"Name {number}", "email": f"{number}@example.org"}
        contact |= {"account_id": account}
        sandbox.insert("Contacts", contact, f"2025-03-{1 + number % 28:02} 10:00:{number % 60:02}")
    return sandbox


def fill(sandbox: Sandbox) -> None:
    """Create what needs a running server: an invoice with lines, and a campaign with a contact."""
    with Client(sandbox.url, sandbox.username, sandbox.access_key) as client:
        user = client.query("SELECT id FROM Users LIMIT 1;")[0]["id"]
        owner = {"assigned_user_id": user}
        account = client.query("SELECT id FROM Accounts LIMIT 1;")[0]["id"]
        contact = client.query("SELECT id FROM Contacts ORDER BY id LIMIT 1;")[0]["id"]
        product = sandbox.insert("Products", {"productname": "Desk"}, "2025-01-01 08:00:00")
        client.create(
            "Invoice",
            owner
            | {
                "subject": "Desks",
                "account_id": account,
                "bill_street": "1 rue du Port",
                "ship_street": "1 rue du Port",
                "productid": product,
                "hdnTaxType": "individual",
                "LineItems": [{"productid": product, "quantity": "3", "listprice": "199.99"}],
            },
        )
        campaign = client.create(
            "Campaigns", owner | {"campaignname": "Fair", "closingdate": "2026-06-30"}
        )["id"]
        client.add_related(campaign, "Contacts", contact)


def main() -> None:
    folder = HERE / version("singer-kafinea")
    with company() as sandbox, tempfile.TemporaryDirectory() as temporary:
        fill(sandbox)
        lines = extracted(sandbox, deletions_path=str(folder / "deletions"))
        output = parse(lines)
        write(folder / "state.json", output.state, sandbox)
        write(folder / "interrupted.json", under_way(output), sandbox)
        for path in (folder / "deletions").iterdir():
            ids = gzip.decompress(path.read_bytes()).decode()
            path.write_bytes(gzip.compress(with_url(ids, sandbox.url, URL).encode(), mtime=0))
        warehouse = DuckDB(Path(temporary))
        warehouse.load(*lines)
        warehouse.rows(f"EXPORT DATABASE '{folder / 'warehouse'}' (FORMAT csv)")
        (folder / "warehouse/load.sql").write_text(copies(folder), "utf-8")
        load_visitors(sandbox, folder)


def extracted(sandbox: Sandbox, **more: Any) -> list[str]:
    with tempfile.NamedTemporaryFile("w", encoding="utf-8") as config:
        json.dump(settings(sandbox, **EXTRACTED, **more), config)
        config.flush()
        with mock.patch.object(ModuleStream, "STATE_MSG_FREQUENCY", 50):
            return command("--config", config.name).stdout.splitlines()


def under_way(output: Output) -> Any:
    """The first state in the middle of a pass over the contacts."""
    return next(
        state for state in output.states if "pass" in state["bookmarks"].get("Contacts", {})
    )


def write(path: Path, value: Any, sandbox: Sandbox) -> None:
    path.write_text(with_url(json.dumps(value, indent=1), sandbox.url, URL) + "\n", "utf-8")


def with_url(text: str, old: str, new: str) -> str:
    return text.replace(old, new)


def copies(folder: Path) -> str:
    """`load.sql`, with the names of the files alone: DuckDB writes the whole path."""
    text = (folder / "warehouse/load.sql").read_text("utf-8")
    return text.replace(f"{folder / 'warehouse'}/", "")


def load_visitors(sandbox: Sandbox, folder: Path) -> None:
    """Load one record that changes a contact, and one whose account is missing."""
    files = Files(folder)
    visitors = [
        {"email": "7@example.org", "lastname": "Changed", "account_id": "Müller & Fils"},
        {"email": "new@example.org", "lastname": "New", "account_id": "Nobody"},
    ]
    given = files.write("input.jsonl", "\n".join(messages("visitors", *visitors)) + "\n")
    in_process(["--config", files.config(sandbox, **VISITORS), "--input", given])
    for name in ("input.jsonl", "config.json"):
        (folder / name).unlink()


if __name__ == "__main__":
    main()
