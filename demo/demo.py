"""Extract the sandbox into DuckDB with Meltano, load records back, and build models with dbt.

The demo writes to `output/` only, which it deletes first. It does not touch your `.env`, your
warehouse and the state of your pipelines. Exit code 1: Kafinea and the warehouse differ.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

from kafinea import Client, page_query
from kafinea.describe import LINE_MODULE
from kafinea_sandbox import Sandbox

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "output"
WAREHOUSE = OUTPUT / "warehouse.duckdb"
LOG = OUTPUT / "demo.log"
MELTANO = ROOT / ".venv-meltano" / "bin" / "meltano"
DBT = ROOT / ".venv-dbt" / "bin" / "dbt"
PACKAGE = OUTPUT / "dbt"
OUTCOMES = OUTPUT / "outcomes.jsonl"
REJECTS = OUTPUT / "rejects.jsonl"
REPORTS = ("turnover.sql", "best_sellers.sql", "unpaid_invoices.sql", "open_opportunities.sql")
KINDS = ("created", "updated", "unchanged", "rejected")
WIDEST = 44  # the most characters of a column


class Change(NamedTuple):
    """A change in Kafinea, which the warehouse must contain."""

    module: str
    id: str
    field: str
    value: str


def main() -> None:
    """Run the demo.

    Raises:
        SystemExit: A run failed, or Kafinea and the warehouse differ.
    """
    os.chdir(ROOT)
    shutil.rmtree(OUTPUT, ignore_errors=True)
    OUTPUT.mkdir()
    with phase("Starting the sandbox with a demo company"):
        sandbox = Sandbox()
    with sandbox, Client(sandbox.url, sandbox.username, sandbox.access_key) as client:
        described = [client.describe(name) for name in sorted(client.listtypes())]
        # The lines are part of their documents; a query of ProductTaxes may not select its key.
        no_tables = {LINE_MODULE, "ProductTaxes"}
        modules = [m.name for m in described if m.retrieveable and m.name not in no_tables]
        documents = [module.name for module in described if module.is_inventory]
        with phase("First run: all records, tap-kafinea to target-duckdb"):
            first = extract(sandbox, modules)
        with phase("Changing a telephone number, paying an invoice, adding an account"):
            changes = change(sandbox)
        with phase("Second run: the changes since"):
            second = extract(sandbox, modules)
        there = {module: page_query.count(client.query, module) for module in modules}
        lines_there = page_query.count(client.query, LINE_MODULE)
        with phase("Third run: late payers and visitors of a fair, tap-duckdb to target-kafinea"):
            run(sandbox, "tap-duckdb", "target-kafinea")
        problems = differences(sandbox)
        with phase("Writing a dbt package for the warehouse"):
            kafinea = Path(sys.executable).with_name("kafinea")
            execute([kafinea, "dbt", PACKAGE], environment(sandbox))
    with phase("Building its models and running its tests with dbt"):
        execute(
            [DBT, "build", "--project-dir", PACKAGE, "--profiles-dir", PACKAGE],
            {"TARGET_DUCKDB_PATH": str(WAREHOUSE)},
        )
    here = {module: count(module) for module in modules}
    lines = sum(count_lines(module) for module in documents)

    columns = (there, here, first, second)
    show(
        ("Module", "in Kafinea", "in the warehouse", "first run", "second run"),
        [(module, *(column[module] for column in columns)) for module in modules]
        + [("Total", *(sum(column.values()) for column in columns))],
    )
    print("\nModules without `modifiedtime` are extracted in full each time. Of the others, the")
    print("newest records are extracted again: others may have been saved in the same second.")
    for name in REPORTS:
        report(ROOT / "demo" / name)
    show_file()
    show_load()
    show_dbt()
    report(ROOT / "demo" / "turnover_by_month.sql")
    print(f"\nThe warehouse is {WAREHOUSE.relative_to(ROOT)}, the log {LOG.relative_to(ROOT)}.")

    problems += [
        f"{module}: {there[module]:,} rows in Kafinea, {here[module]:,} in the warehouse."
        for module in modules
        if there[module] != here[module]
    ]
    if lines != lines_there:
        problems.append(
            f"Lines: {lines_there:,} in Kafinea, {lines:,} in the documents of the warehouse."
        )
    problems += [
        f"{changed.module} {changed.id}: {changed.field} is not {changed.value!r} in the warehouse."
        for changed in changes
        if not count(changed.module, f'id = ? AND "{changed.field}" = ?', changed.id, changed.value)
    ]
    problems += damaged_files()
    if problems:
        sys.exit("\n".join(["", *problems]))


@contextmanager
def phase(name: str) -> Iterator[None]:
    """Print the name of a phase, and how long it took."""
    print(f"{name} ... ", end="", flush=True)
    began = time.monotonic()
    yield
    print(f"{time.monotonic() - began:.0f} s")


def extract(sandbox: Sandbox, modules: list[str]) -> dict[str, int]:
    """Extract into the warehouse, and return the number of rows by module."""
    began = datetime.now()  # noqa: DTZ005 - as the loader writes `_sdc_batched_at`
    run(sandbox, "tap-kafinea", "target-duckdb")
    return {module: count(module, "_sdc_batched_at >= ?", began) for module in modules}


def run(sandbox: Sandbox, *plugins: str) -> None:
    """Run a pipeline.

    Raises:
        SystemExit: It failed.
    """
    options = ("--environment", "sandbox", "--env-file", os.devnull)
    # A state of its own, beside its warehouse.
    own = {"MELTANO_DATABASE_URI": f"sqlite:///{OUTPUT / 'meltano.db'}"}
    execute([MELTANO, *options, "run", "--no-install", *plugins], environment(sandbox) | own)


def environment(sandbox: Sandbox) -> dict[str, str]:
    """Return the variables that connect the plugins with the sandbox."""
    connection = {
        "URL": sandbox.url,
        "USERNAME": sandbox.username,
        "ACCESS_KEY": sandbox.access_key,
    }
    return {
        f"{plugin}_{name}": value
        for plugin in ("TAP_KAFINEA", "TARGET_KAFINEA")
        for name, value in connection.items()
    }


def execute(command: Sequence[str | Path], own: dict[str, str]) -> None:
    """Run a command with variables of its own, and none of yours.

    Raises:
        SystemExit: It failed.
    """
    yours = ("MELTANO_", "TAP_", "TARGET_", "KAFINEA_", "DBT_")
    with LOG.open("a", encoding="utf-8") as log:
        done = subprocess.run(  # noqa: S603 - our own command
            command,
            cwd=ROOT,
            env={n: v for n, v in os.environ.items() if not n.startswith(yours)} | own,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode:
        tail = LOG.read_text(encoding="utf-8").splitlines()[-20:]
        sys.exit("\n".join(["failed", *tail, f"The log is {LOG.relative_to(ROOT)}."]))


def change(sandbox: Sandbox) -> list[Change]:
    """Change a few records, as users would."""
    contact = sandbox.rows("Contacts")[0]["id"]
    sandbox.change("Contacts", contact, {"phone": "+33 1 99 00 00 01"})
    invoice = next(row for row in sandbox.rows("Invoice") if Decimal(row["balance"]) > 0)
    paid = {"invoicestatus": "Paid", "received": invoice["hdnGrandTotal"], "balance": "0"}
    sandbox.change("Invoice", invoice["id"], paid)
    account = sandbox.insert("Accounts", {"accountname": "Boulangerie du Port"})
    return [
        Change("Contacts", contact, "phone", "+33 1 99 00 00 01"),
        Change("Invoice", invoice["id"], "invoicestatus", "Paid"),
        Change("Accounts", account, "accountname", "Boulangerie du Port"),
    ]


def count(module: str, condition: str = "true", *parameters: Any) -> int:
    """Return the number of rows of a module in the warehouse; 0 without such a table."""
    # target-duckdb writes all names in lower case.
    sql = f'SELECT count(*) FROM kafinea."{module.lower()}" WHERE {condition}'  # noqa: S608 names of our own
    # Open for this query only: the loader cannot write a DuckDB file that is open here.
    with duckdb.connect(WAREHOUSE, read_only=True) as warehouse:
        try:
            return int(warehouse.execute(sql, parameters).fetchall()[0][0])
        except duckdb.CatalogException:
            return 0


def count_lines(module: str) -> int:
    """Return the number of lines that the documents of a module have in the warehouse."""
    sql = f"SELECT sum(json_array_length(lineitems)) FROM kafinea.{module.lower()}"  # noqa: S608 names of our own
    with duckdb.connect(WAREHOUSE, read_only=True) as warehouse:
        return int(warehouse.execute(sql).fetchall()[0][0] or 0)


def differences(sandbox: Sandbox) -> list[str]:
    """Compare Kafinea with the records that were loaded and not rejected."""
    accounts = {row["id"]: row for row in sandbox.rows("Accounts")}
    contacts = {row["email"]: row for row in sandbox.rows("Contacts")}
    problems = []
    for account, terms in query(ROOT / "demo" / "load" / "late_payers.sql")[1]:
        if (accounts[account]["cf_907"] == terms) == (terms == "Prépayé"):
            problems.append(f"Accounts {account}: cf_907 is {accounts[account]['cf_907']!r}.")
    names, visitors = query(ROOT / "demo" / "load" / "visitors.sql")
    for visitor in visitors:
        wanted = dict(zip(names, visitor, strict=True))
        stored = contacts.get(wanted["email"], {"account_id": ""})
        company = accounts.get(stored["account_id"], {}).get("accountname")
        if not wanted.items() <= {**stored, "account_id": company}.items():
            problems.append(f"Contacts {wanted['email']} is not as it was loaded.")
    return problems


def show_load() -> None:
    """Print the results of the load, and the reasons of the rejects."""
    lines = [json.loads(line) for line in OUTCOMES.read_text(encoding="utf-8").splitlines()]
    counts = Counter((line["stream"], line["outcome"]) for line in lines)
    streams = sorted({line["stream"] for line in lines})
    print("\nRecords loaded back into Kafinea, by stream")
    show(
        ("Stream", *KINDS),
        [(stream, *(counts[stream, kind] for kind in KINDS)) for stream in streams],
    )
    print(f"\nRejected records. Correct them in {REJECTS.relative_to(ROOT)} and load it again")
    show(
        ("Stream", "id", "Reason"),
        [
            (line["stream"], line["id"], line["message"])
            for line in lines
            if line["outcome"] == "rejected"
        ],
    )


def show_dbt() -> None:
    """Print the results of the models and tests of dbt."""
    results = json.loads((PACKAGE / "target" / "run_results.json").read_text(encoding="utf-8"))
    counts = Counter(
        (result["unique_id"].partition(".")[0], result["status"]) for result in results["results"]
    )
    print(
        f"\nModels that dbt has built, and its tests. Their package is {PACKAGE.relative_to(ROOT)}"
    )
    show(("Kind", "Result", "Number"), [(*kind, number) for kind, number in sorted(counts.items())])


def show_file() -> None:
    """Print the number of downloaded files, and the row of one file in the warehouse."""
    with duckdb.connect(WAREHOUSE, read_only=True) as warehouse:
        found = warehouse.execute(
            "SELECT f.name, f.size, d.notes_title, f.path, count(*) OVER ()"
            " FROM kafinea.files f JOIN kafinea.documents d ON d.id = f.document_id"
            " ORDER BY f.size DESC LIMIT 1"
        )
        *file, files = found.fetchall()[0]
    print(f"\nOne of {files:,} files that were downloaded")
    show(("File", "Bytes", "Document", "Path"), [file])


def damaged_files() -> list[str]:
    """Compare the files with their rows in the warehouse."""
    with duckdb.connect(WAREHOUSE, read_only=True) as warehouse:
        files = warehouse.execute("SELECT path, sha256 FROM kafinea.files").fetchall()
    return [
        f"{path}: its SHA-256 differs from that in the warehouse."
        for path, digest in files
        if hashlib.sha256((ROOT / path).read_bytes()).hexdigest() != digest
    ]


def report(file: Path) -> None:
    """Print the result of a query; the comment in its first line is the title."""
    print(f"\n{file.read_text(encoding='utf-8').splitlines()[0].removeprefix('-- ')}")
    names, rows = query(file)
    show([name.replace("_", " ") for name in names], rows)


def query(file: Path) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Return the column names and the rows of a query."""
    with duckdb.connect(WAREHOUSE, read_only=True) as warehouse:
        found = warehouse.execute(file.read_text(encoding="utf-8"))
        return [column[0] for column in found.description], found.fetchall()


def show(headings: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a table, with numbers aligned to the right."""
    texts = [[_text(value) for value in row] for row in rows]
    is_number = [isinstance(value, int | Decimal) for value in rows[0]] if rows else []
    widths = [max(map(len, column)) for column in zip(headings, *texts, strict=True)]
    rule = ["-" * width for width in widths]
    print()
    for line in (headings, rule, *texts):
        cells = (
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, is_number, strict=True)
        )
        print("  ".join(cells).rstrip())


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, int | Decimal):
        return f"{value:,}"
    text = str(value)
    return text if len(text) <= WIDEST else f"{text[: WIDEST - 1]}…"


if __name__ == "__main__":
    main()
