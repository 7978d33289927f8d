"""`kafinea diff`: a plan or a load report as groups of changes, on a terminal and as a page."""

from __future__ import annotations

import os
import re

import pytest

from kafinea import Client
from kafinea.load import Load, LoadOptions
from tests.browser import visited
from tests.cli.running import on_terminal, run
from tests.target.running import Files, empty, in_process, matched, messages

HOSTILE = "</td><script>alert('run')</script><img src=http://127.0.0.1:9/ onerror=alert(1)>"
TURNED = "\u202egnp.exe \x1b[31m\x9b2J"
ACCOUNT = {"account_id": {"module": "Accounts", "match_on": "accountname", "create": True}}

ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith(("KAFINEA_", "COLUMNS"))}


def contact(number, **values):
    return {"email": f"{number}@x.example", "lastname": f"Name {number}", **values}


def stored():
    return [contact(n, leadsource="Cold Call" if n % 3 else "", phone=f"{n}") for n in range(30)]


def wanted():
    """What changes in 30 contacts: two like each other, one each differently, and more."""
    records = []
    for number, record in enumerate(stored()):
        values = {"leadsource": "Web Site", "phone": f"+{number}" if number % 2 else f"{number}"}
        records.append({**record, **values})
    records[0] |= {"leadsource": "Nonsense"}
    records[1] |= {"title": HOSTILE, "description": TURNED, "account_id": "Acme"}
    records[2] |= {"_sdc_deleted_at": "2026-01-01"}
    return [*records, contact("new", firstname="Ada", account_id="Acme")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a plan and with load reports."""
    folder = tmp_path_factory.mktemp("plans")
    with (
        empty() as sandbox,
        # One session: so the lines are in the order of the input.
        Client(sandbox.url, sandbox.username, sandbox.access_key, max_sessions=1) as client,
    ):
        with Load(client, "Contacts", match_on="email") as load:
            list(load(stored()))
        options = LoadOptions(dry_run=True, hard_delete=True, plan_path=str(folder / "plan.jsonl"))
        with Load(
            client, "Contacts", match_on="email", references=ACCOUNT, options=options
        ) as load:
            list(load(wanted()))
        (folder / "url").write_text(sandbox.url)
        files = Files(folder)
        for name, more in (
            ("values", {"dry_run": True, "outcomes_values": True}),
            ("plain", {}),
        ):
            lines = messages("Contacts", contact(1, phone="0"), contact(3, phone="3"))
            more |= {"streams": matched("Contacts", "email"), "outcomes_path": f"{folder}/{name}"}
            config = files.config(sandbox, **more)
            assert in_process(["--config", config, "--input", files.input(lines)])[0] == 0
    return folder


@pytest.fixture
def diff(folder, tmp_path):
    """Runs the command in a folder of its own."""
    return lambda name, *more: run(["diff", str(folder / name), *more], ENVIRONMENT, tmp_path)


def test_plan_is_shown_in_groups_the_largest_first(diff, folder):
    shown = diff("plan.jsonl")
    assert shown.returncode == 0
    text = re.sub(r"20\d\d-\d\d-\d\d \d\d:\d\d(:\d\d)?", "DATE", shown.stdout)
    assert (
        re.sub(r"(?<=  )8x\d+", "ID", text)
        == f"""\
Plan of DATE UTC
{(folder / "url").read_text()}/webservice.php, user admin

Stream                   Created  Updated  Unchanged  Deleted  Rejected
Accounts (by reference)        1        0          0        0         0
Contacts                       1       28          0        1         1

Accounts (by reference)
  1 record   created
               accountname: Acme  assigned_user_id: 37x1

Contacts
   1 record   deleted
                email: 2@x.example  ID  lastname: Name 2, leadsource: Cold Call, \
modifiedtime: DATE, phone: 2
  19 records  leadsource: Cold Call → Web Site
                email: 1@x.example  ID
                email: 4@x.example  ID
                email: 5@x.example  ID
                ...
  15 records  phone: (different values) → (different values)
                email: 1@x.example  ID  1 → +1
                email: 3@x.example  ID  3 → +3
                email: 5@x.example  ID  5 → +5
                ...
   9 records  leadsource: (empty) → Web Site
                email: 3@x.example  ID
                email: 6@x.example  ID
                email: 9@x.example  ID
                ...
   1 record   account_id: (empty) → new: Acme
                email: 1@x.example  ID
   1 record   description: (empty) → \\u202egnp.exe \\x1b[31m\\x9b2J
                email: 1@x.example  ID
   1 record   title: (empty) → {HOSTILE}
                email: 1@x.example  ID
   1 record   created
                email: new@x.example  lastname: Name new, account_id: new: Acme, \
firstname: Ada, assigned_user_id: 37x1
   1 record   rejected: UNKNOWN_PICKLIST_VALUE
                email: 0@x.example  ID  leadsource: the value is not in the picklist

Nothing was written yet. A run with this file as `plan_path` applies this plan.
"""
    )


def test_limit_leaves_out_the_smallest_groups_of_changes_and_nothing_else(diff):
    shown = diff("plan.jsonl", "--limit", "2").stdout
    assert "  4 more groups of changes, in 12 records. `--limit 0` shows them." in shown
    assert re.findall(r"^ +\d+ records? +(\w+)", shown, re.MULTILINE) == [
        *("created", "deleted", "leadsource", "phone", "created", "rejected")
    ]


@pytest.mark.parametrize(
    ("name", "title", "change"),
    [
        ("values", "Dry run of", "phone: 1 → 0"),
        ("plain", "Load of", "phone: (no value: `outcomes_values` is off) → (no value: `"),
        ("both", "Load of 20", ", the last of 2 runs in the file"),
    ],
)
def test_last_run_of_a_load_report_is_shown(diff, folder, name, title, change):
    reports = [(folder / one).read_text() for one in ("values", "plain")]
    (folder / "both").write_text("".join(reports))
    shown = diff(name).stdout
    assert shown.startswith(title)
    assert change in shown


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is empty: no record was loaded."),
        (b"not JSON", "line 1, is neither of a plan (`plan_path`) nor of a load report"),
        (b'{"plan":1', "is not a plan."),
        (None, "is not as the dry run wrote it, so it is not what was approved."),
    ],
)
def test_what_is_no_plan_and_no_report_is_an_error(diff, folder, content, why):
    plan = (folder / "plan.jsonl").read_bytes()
    (folder / "bad").write_bytes(plan.replace(b"+3", b"+4") if content is None else content)
    shown = diff("bad")
    assert (shown.returncode, shown.stdout) == (1, "")
    assert why in shown.stderr
    assert "Traceback" not in shown.stderr


def test_terminal_cuts_lines_at_its_width_and_has_colours(folder, tmp_path):
    arguments = ["diff", str(folder / "plan.jsonl")]
    code, shown = on_terminal(arguments, ENVIRONMENT, tmp_path, columns=60)
    assert code == 0
    assert "\x1b[32mWeb Site\x1b[0m" in shown
    lines = re.sub(r"\x1b\[[\d;]*m", "", shown).splitlines()
    assert "\x1b" not in "".join(lines)
    assert max(len(line) for line in lines if line.startswith(" ")) <= 60
    assert any(line.endswith("…") for line in lines)


def test_page_runs_nothing_loads_nothing_and_fits(browser, diff, tmp_path):
    shown = diff("plan.jsonl", "--html", "plan.html")
    assert shown.stdout == "Wrote plan.html. It contains values of records: only you can read it.\n"
    path = tmp_path / "plan.html"
    assert path.stat().st_mode & 0o777 == 0o600
    for colors, width in (("dark", 400), ("light", 1400)):
        with visited(
            browser,
            path.as_uri(),
            color_scheme=colors,
            viewport={"width": width, "height": 900},
        ) as page:
            assert page.locator("script, img").count() == 0
            assert page.locator("ins", has_text=HOSTILE).count() == 1
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert page.locator("section.deleted li, section.deleted tr").count() == 1
            assert page.locator("section.updated h3 b").all_inner_texts() == [
                *("leadsource", "phone", "leadsource", "account_id", "description", "title")
            ]
    text = path.read_text("utf-8")
    assert "\u202e" not in text
    assert "\x9b" not in text
