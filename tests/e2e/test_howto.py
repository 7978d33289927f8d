"""The commands of README.md and docs/ are typed as they stand, and lead to what the pages say."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from operator import itemgetter
from pathlib import Path

import duckdb
import pytest

from kafinea.module_reader import count
from tests.e2e import pages
from tests.e2e.pages import Project

pytestmark = pytest.mark.e2e

VISITORS = {
    "conor.o-brien@client-0.example": "O'Brien",
    "ada@roux.example": "Roux",
    "hugo.petit@librairie-du-quai.example": "Petit",
}


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    project = Project(tmp_path)
    yield project
    project.close()


def late_payers_are_to_pay_in_cash(project: Project) -> None:
    owing = {row["account_id"] for row in project.kafinea("rows", module="Invoice")
             if float(row["balance"])}  # fmt: skip
    terms = {row["id"]: row["cf_907"] for row in project.kafinea("rows", module="Accounts")}
    assert {terms[account] for account in owing} == {"Comptant"}


def all_modules_are_in_the_warehouse(project: Project) -> None:
    with project.client() as client:
        described = [client.describe(name) for name in client.listtypes()]
        counts = {
            module.name: count(client.query, module.name)
            for module in described
            # Documents bring their lines; the other refuses its own key.
            if module.retrieveable and module.name not in {"LineItem", "ProductTaxes"}
        }
    assert {table: project.count(table) for table in project.tables()} == counts


def the_contacts_of_campaigns_came(project: Project) -> None:
    with project.client() as client:
        listed = {
            (campaign["id"], contact["id"])
            for campaign in client.records("Campaigns", ["id"])
            for contact in client.query_related(
                campaign["id"], "Contacts", "SELECT id FROM Contacts"
            )
        }
    told = project.ask("SELECT source_id, related_id FROM kafinea.campaigns_contacts")
    assert set(told) == listed != set()


def the_dictionary_explains_custom_fields(project: Project) -> None:
    labels, terms = (
        project.ask(block.text)
        for block in pages.blocks(pages.sections("docs/first-extraction.md")["Data dictionary"])
    )
    assert ("Accounts", "cf_907", "Payment Terms", "picklist") in labels
    assert all(all(row) for row in labels)
    assert sum(accounts for _, accounts in terms) == project.count("accounts")
    assert {"Comptant", "Acompte & solde à l'échéance"} <= {label for label, _ in terms}


def the_tap_alone_wrote_every_account(project: Project) -> None:
    messages = project.lines("records.jsonl")
    ids = [one["record"]["id"] for one in messages if one["type"] == "RECORD"]
    assert ids == [row["id"] for row in project.kafinea("rows", module="Accounts")]


def nothing_is_known_any_more(project: Project) -> None:
    with closing(sqlite3.connect(project.directory / ".meltano/meltano.db")) as meltano:
        assert meltano.execute("SELECT * FROM state").fetchall() == []
    assert not (project.directory / "warehouse.duckdb").exists()


def the_visitors_are_contacts(project: Project) -> None:
    visitors = {
        row["email"]: (row["lastname"], row["account_id"], row["leadsource"])
        for row in project.kafinea("rows", module="Contacts")
        if row["leadsource"] == "Trade Show"
    }
    account = next(
        row["id"]
        for row in project.kafinea("rows", module="Accounts")
        if row["accountname"] == "L'Atelier d'Émile & Fils"
    )
    for email, name in VISITORS.items():
        assert visitors[email] == (name, account, "Trade Show")


def the_visitors_are_in_the_campaign(project: Project) -> None:
    with project.client() as client:
        campaign = min(
            client.records("Campaigns", ["campaignname"]), key=itemgetter("campaignname")
        )
        listed = client.query_related(campaign["id"], "Contacts", "SELECT email FROM Contacts")
    assert VISITORS.keys() <= {row["email"] for row in listed}


def the_participant_is_one_contact(project: Project) -> None:
    emails = [
        row["email"] for row in project.kafinea("rows", module="Contacts")
        if row["lastname"] == "Martin" and row["phone"] == "+33 6 10 00 00 01"
    ]  # fmt: skip
    assert emails == ["lea.martin@home.example"]


def the_sale_has_its_customer_and_its_order(project: Project) -> None:
    (customer,) = (
        row for row in project.kafinea("rows", module="Accounts")
        if row["cf_903"] == "81234567800011"
    )  # fmt: skip
    (sale,) = (
        row for row in project.kafinea("rows", module="Invoice") if row["subject"] == "Sale S-1"
    )
    assert (sale["account_id"], Decimal(sale["hdnSubTotal"])) == (customer["id"], 578)
    with project.client() as client:
        listed = client.query_related(sale["id"], "Documents", "SELECT notes_title FROM Documents")
    assert [row["notes_title"] for row in listed] == ["Order S-1"]


def the_buyer_belongs_to_the_company(project: Project) -> None:
    names = {row["id"]: row["accountname"] for row in project.kafinea("rows", module="Accounts")}
    companies = [
        names[row["account_id"]] for row in project.kafinea("rows", module="Contacts")
        if row["email"] == "a.neuve@quai.example"
    ]  # fmt: skip
    assert companies == ["Quai Neuf"]


def the_last_exhibitors_are_leads(project: Project) -> None:
    leads = project.kafinea("rows", module="Leads")
    names = {row["lastname"] for row in leads if row["designation"] == "Exhibitor"}
    assert names == {"Arnaud", "Blanc"}


def two_accounts_were_acquired(project: Project) -> None:
    assert _acquired(project) == 2


def no_account_was_acquired(project: Project) -> None:
    assert _acquired(project) == 0


def _acquired(project: Project) -> int:
    accounts = project.kafinea("rows", module="Accounts")
    return sum(row["rating"] == "Acquired" for row in accounts)


def the_new_instance_has_what_the_old_one_has(project: Project) -> None:
    old, new = (Company(project, port) for port in (8080, 8081))
    assert old.accounts.items() <= new.accounts.items()
    assert old.contacts.items() <= new.contacts.items()
    assert {f"old-{number}": told for number, told in old.invoices("invoice_no").items()} == {
        mark: told for mark, told in new.invoices("cf_911").items() if mark.startswith("old-")
    }
    assert old.documents.items() <= new.documents.items()


def the_files_have_the_same_bytes(project: Project) -> None:
    told = dict(project.ask("SELECT name, path FROM kafinea.files"))
    stored = {row["name"]: bytes.fromhex(row["content"]) for row in files(project, 8080)}
    assert {name: (project.directory / path).read_bytes() for name, path in told.items()} == stored
    assert told


def the_invoices_are_in_the_file(project: Project) -> None:
    path = project.directory / "invoices.parquet"
    totals = duckdb.sql(f"SELECT id, hdnGrandTotal FROM '{path}'").fetchall()
    assert totals == [
        (row["id"], Decimal(row["hdnGrandTotal"]))
        for row in project.kafinea("rows", module="Invoice")
    ]


def the_contract_came_back(project: Project) -> None:
    the_files_have_the_same_bytes(project)
    content = project.ask("SELECT path FROM kafinea.files WHERE name = '12.txt'")[0][0]
    assert (project.directory / content).read_text() == "Contract 12, signed on 3 March.\n"
    (document,) = project.ask("SELECT id FROM kafinea.documents WHERE notes_title = 'Contract 12'")
    with project.client() as client:
        studio = next(
            row["id"]
            for row in client.records("Accounts", ["accountname"])
            if row["accountname"] == 'Studio "Le 9"'
        )
        listed = client.query_related(studio, "Documents", "SELECT id FROM Documents")
    assert document[0] in {row["id"] for row in listed}


def the_warehouse_is_repaired(project: Project) -> None:
    stored = dict(project.ask("SELECT id, accountname FROM kafinea.accounts"))
    accounts = {row["id"]: row["accountname"] for row in project.kafinea("rows", module="Accounts")}
    assert stored == accounts | {"3x99999": None}
    assert project.ask("SELECT module, id FROM kafinea.deleted_records") == [
        ("Accounts", "3x99999")
    ]


def the_page_of_the_model_has_all_modules(project: Project) -> None:
    page = (project.directory / "model.html").read_text("utf-8")
    document = json.loads(
        page.split('<script type="application/json" id="model">')[1].split("<")[0]
    )
    with project.client() as client:
        assert {module["name"] for module in document["modules"]} >= {"Accounts", "LineItem"}
        assert {module["name"] for module in document["modules"]} <= set(client.listtypes())


def contacts_have_hashed_addresses(project: Project) -> None:
    hashed = {
        row["id"]: hashlib.sha256(
            f"a-long-random-secret-of-your-own{row['email'].strip().lower()}".encode()
        ).hexdigest()
        for row in project.kafinea("rows", module="Contacts")
        if row["email"]
    }
    stored = project.ask("SELECT id, email FROM kafinea.contacts WHERE email IS NOT NULL")
    assert dict(stored) == hashed != {}
    columns = project.ask(
        "SELECT column_name FROM information_schema.columns"
        " WHERE table_name = 'Contacts' AND NOT starts_with(column_name, '_sdc')"
    )
    assert {name for (name,) in columns} == {
        *("id", "modifiedtime", "email", "account_id", "mailingcity")
    }


def the_deleted_contact_is_gone(project: Project) -> None:
    stored = {id for (id,) in project.ask("SELECT id FROM kafinea.contacts")}
    (deleted,) = project.ask("SELECT id FROM kafinea.deleted_records")
    assert stored == {row["id"] for row in project.kafinea("rows", module="Contacts")}
    assert deleted[0] not in stored


PAGES = {
    "README.md": {"Load into Kafinea": late_payers_are_to_pay_in_cash},
    "docs/first-extraction.md": {
        "Extract": all_modules_are_in_the_warehouse,
        "Related lists": the_contacts_of_campaigns_came,
        "Data dictionary": the_dictionary_explains_custom_fields,
        "Without Meltano": the_tap_alone_wrote_every_account,
        "Change to another instance": nothing_is_known_any_more,
    },
    "docs/reverse-etl.md": {
        "Correct rejected records": the_visitors_are_contacts,
        "Add to related lists": the_visitors_are_in_the_campaign,
    },
    "docs/load-rules.md": {
        "Match on several keys": the_participant_is_one_contact,
        "What an update may overwrite": the_participant_is_one_contact,
        "Delete what the input no longer contains": the_last_exhibitors_are_leads,
    },
    "docs/safe-loads.md": {
        "Plan, then apply": two_accounts_were_acquired,
        "Take a load back": no_account_was_acquired,
        "Changes since the extraction": two_accounts_were_acquired,
    },
    "docs/related-records.md": {
        "One nested record": the_sale_has_its_customer_and_its_order,
        "Several streams": the_buyer_belongs_to_the_company,
    },
    "docs/two-instances.md": {"Load": the_new_instance_has_what_the_old_one_has},
    "docs/cli.md": {
        "Files of records": the_invoices_are_in_the_file,
        "Data model": the_page_of_the_model_has_all_modules,
    },
    "docs/verify.md": {"Repair": the_warehouse_is_repaired},
    "docs/personal-data.md": {
        "Hash fields": contacts_have_hashed_addresses,
        "Delete what was deleted": the_deleted_contact_is_gone,
    },
    "docs/files.md": {
        "Download": the_files_have_the_same_bytes,
        "Upload": the_contract_came_back,
    },
}
"""The pages that are followed here, and what must be true behind their sections."""

SLOW = {
    "docs/cli.md",
    "docs/files.md",
    "docs/load-rules.md",
    "docs/personal-data.md",
    "docs/related-records.md",
    "docs/reverse-etl.md",
    "docs/safe-loads.md",
    "docs/two-instances.md",
}
"""Pages of many commands of Meltano, each of which takes seconds to start; `make operate`."""

LONG = [pytest.mark.operate, pytest.mark.timeout(1200)]

ELSEWHERE = {
    "Start with pip": "test_install.py",
    "docs/install.md": "test_install.py",
    "make demo\n": "test_pipeline.py runs the demo",
    "docs/postgresql.md": "test_postgres.py",
    "docs/scheduling.md": "test_airflow.py",
    "docs/backfill.md": "test_airflow.py",
    "docs/reliability.md": "tests/chaos/test_chaos.py runs the same schedules",
    "docs/dbt.md": "tests/cli/test_dbt.py, and the demo",
    "docs/warehouses.md": "tests/dlt_kafinea/test_page.py",
}
"""Commands, sections and whole pages that are not followed here, and why."""


FRENCH = "README.fr.md"
OTHERS = ("SECURITY.md", "CHANGELOG.md", "CONTRIBUTING.md", "CODE_OF_CONDUCT.md")
OTHERS += ("loaders/README.md", ".github/PULL_REQUEST_TEMPLATE.md")
OTHERS += ("docs/api/kafinea.md", "docs/api/extract.md", "docs/api/load.md")


@pytest.mark.parametrize(
    "page", [pytest.param(page, marks=LONG if page in SLOW else []) for page in PAGES]
)
def test_page_can_be_followed(page, project):
    outcomes = PAGES[page]
    followed = []
    for title in project.follow(page, without=ELSEWHERE.keys()):
        outcomes.get(title, lambda _: None)(project)
        followed.append(title)
    assert outcomes.keys() <= set(followed)


@pytest.mark.parametrize(
    ("shown", "missing"),
    [
        ("one\ntwo", None),
        ("o...e\n... two", None),
        ("two\none", "one"),
        ("three", "three"),
        ("o...t", "o...t"),
    ],
)
def test_output_of_a_page_is_compared_line_by_line(shown, missing):
    assert pages.first_missing(shown, "zero\none\nand two\n") == missing


def test_commands_of_the_pages_are_all_run():
    commands = {
        (page, title, block.text)
        for page in pages.documents()
        for title, text in pages.sections(page).items()
        for block in pages.blocks(text)
        if block.language == "sh" and not block.file
    }
    assert {one[0] for one in commands if ELSEWHERE.keys().isdisjoint(one)} <= PAGES.keys()
    assert ELSEWHERE.keys() <= {text for one in commands for text in one}


def test_french_first_page_has_the_same_commands():
    english, french = (
        [(block.language, block.text, block.file, block.printed) for block in pages.blocks(text)]
        for text in map(pages.text_of, ("README.md", FRENCH))
    )
    assert french == english


def test_links_lead_somewhere_and_pages_can_be_found():
    links = {
        (page, target)
        for page in [*pages.documents(), FRENCH, *OTHERS]
        for target in re.findall(r"\]\(([^)]+)\)", pages.text_of(page))
        if "://" not in target
    }
    for page, target in links:
        path, _, anchor = target.partition("#")
        led_to = os.path.normpath(Path(page).parent / path) if path else page
        assert (pages.ROOT / led_to).exists(), f"{page}: {target}"
        assert not anchor or anchor in pages.anchors(led_to), f"{page}: {target}"
    for first in ("README.md", FRENCH):
        assert {target.partition("#")[0] for page, target in links if page == first} >= {
            page for page in pages.documents() if page != "README.md"
        }


class Company:
    """What a Kafinea tells of its company, without a single id.

    Args:
        project: The project whose page started it.
        port: Its port on the page.
    """

    def __init__(self, project: Project, port: int) -> None:
        self._project, self._port = project, port
        self._owners = self._names("Groups", "groupname") | {
            # The API does not show the others, and the page gives what is theirs to `admin`.
            row["id"]: row["user_name"] if row["status"] == "Active" else "admin"
            for row in self._rows("Users")
        }
        self._accounts = self._names("Accounts", "accountname")

    @property
    def accounts(self) -> dict[str, tuple[str, ...]]:
        return {
            row["accountname"]: (
                row["phone"],
                row["bill_city"],
                self._owners[row["assigned_user_id"]],
            )
            for row in self._rows("Accounts")
        }

    @property
    def contacts(self) -> dict[str, tuple[str | None, ...]]:
        return {
            row["email"]: (row["lastname"], row["phone"], self._accounts.get(row["account_id"]))
            for row in self._rows("Contacts")
        }

    def invoices(self, key: str) -> dict[str, tuple[object, ...]]:
        """The invoices by a field, each with its lines in their order."""
        names = self._names("Products", "productname") | self._names("Services", "servicename")
        numbers = {name.partition("x")[2]: told for name, told in names.items()}
        lines: dict[str, list[tuple[str, ...]]] = defaultdict(list)
        for line in self._ask("SELECT * FROM LineItem ORDER BY CAST(sequence_no AS INT)"):
            told = numbers[str(line["productid"])], line["quantity"], line["listprice"]
            lines[str(line["parent_id"])].append(told)
        return {
            row[key]: (
                row["subject"],
                row["invoicedate"],
                self._accounts[row["account_id"]],
                row["hdnGrandTotal"],
                lines[row["id"].partition("x")[2]],
            )
            for row in self._rows("Invoice")
        }

    @property
    def documents(self) -> dict[str, list[str]]:
        """The contents of the files of each document."""
        return {
            row["notes_title"]: [
                file["content"]
                for file in files(self._project, self._port)
                if str(file["parent"]) == row["id"].partition("x")[2]
            ]
            for row in self._rows("Documents")
        }

    def _names(self, module: str, field: str) -> dict[str, str]:
        return {row["id"]: row[field] for row in self._rows(module)}

    def _rows(self, module: str) -> list[dict[str, str]]:
        return self._project.kafinea("rows", self._port, module=module)

    def _ask(self, sql: str) -> list[dict[str, str]]:
        return self._project.kafinea("sql", self._port, text=sql)


def files(project: Project, port: int) -> list[dict[str, str]]:
    """The files of the documents of a Kafinea, their contents in hexadecimal digits."""
    sql = (
        "SELECT f.name, f.parent, hex(f.content) AS content FROM _file f"
        " JOIN _entity e ON e._number = f.parent AND e.module = 'Documents' AND e._deleted = 0"
    )
    return project.kafinea("sql", port, text=sql)
