"""`kafinea records`: typed rows, conditions, and files that are whole or not there."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from datetime import date, datetime
from decimal import Decimal

import duckdb
import pytest

from kafinea_cli.files import is_exact_in_excel
from kafinea_sandbox import Sandbox
from tests.cli.running import COMMAND, run, variables
from tests.conftest import DIALECTS
from tests.tap.running import extract

CONTACT = {"lastname": '=HYPERLINK("http://evil")', "birthday": "1990-12-31", "cf_3": "x"}


def rows_of(arguments, environment, folder):
    done = run(["records", *arguments, "--json"], environment, folder)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout, parse_float=Decimal)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("module", ["Contacts", "Invoice"])
def test_rows_are_those_that_the_tap_extracts(dialect, module, tmp_path):
    with Sandbox(dialect=dialect, rows=200) as sandbox:
        rows = rows_of([module], variables(sandbox), tmp_path)
        tapped = extract(sandbox, modules=[module], timezone="UTC").records(module)
    assert rows
    names = rows[0].keys()
    assert rows == [{name: record[name] for name in names} for record in tapped]


@pytest.mark.parametrize("dialect", ["kafinea", "corebos"])
def test_lines_are_those_that_the_tap_extracts(dialect, tmp_path):
    with Sandbox(dialect=dialect, rows=200) as sandbox:
        rows = rows_of(["Invoice", "--fields", "subject,LineItems"], variables(sandbox), tmp_path)
        tapped = extract(sandbox, modules=["Invoice"], timezone="UTC").records("Invoice")
    assert [(row["id"], row["LineItems"]) for row in rows] == [
        (record["id"], record["LineItems"]) for record in tapped
    ]
    assert any(row["LineItems"] for row in rows)


CONDITIONS = {
    "lastname = 'O''Brien'": lambda row: row["lastname"] == "O'Brien",
    "lastname = Nobody": lambda _: False,
    "lastname LIKE 'M%' OR lastname LIKE 'L%' AND birthday > 1980-01-01": lambda row: (
        row["lastname"][0] == "M"
        or (row["lastname"][0] == "L" and (row["birthday"] or "") > "1980-01-01")
    ),
    "lastname IN ('Durand', Mercier)": lambda row: row["lastname"] in {"Durand", "Mercier"},
    "birthday >= '1990-01-01'": lambda row: (row["birthday"] or "") >= "1990-01-01",
    "mobile = ''": lambda row: not row["mobile"],
}  # fmt: skip


@pytest.mark.parametrize("where", CONDITIONS)
def test_condition_selects_what_it_says(where, environment, tmp_path):
    asked = ["Contacts", "--fields", "lastname,birthday,mobile"]
    everything = rows_of(asked, environment, tmp_path)
    found = rows_of([*asked, "--where", where], environment, tmp_path)
    assert found == [row for row in everything if CONDITIONS[where](row)]


def test_date_times_are_those_of_the_servers_zone(tmp_path):
    with Sandbox(rows=100, timezone="America/New_York") as sandbox:
        new = sandbox.insert("Leads", {"lastname": "New"}, "2026-11-20 10:00:00")
        sandbox.insert("Leads", {"lastname": "Old"}, "2026-11-20 09:59:59")
        environment = variables(sandbox, TAP_KAFINEA_TIMEZONE="America/New_York")
        asked = ["Leads", "--fields", "modifiedtime"]
        since = rows_of([*asked, "--since", "2026-11-20T15:00:00Z"], environment, tmp_path)
        where = "modifiedtime = 2026-11-20T16:00:00+01:00"
        equal = rows_of([*asked, "--where", where], environment, tmp_path)
    assert since[0] == {"id": new, "modifiedtime": "2026-11-20T10:00:00-05:00"} == equal[0]
    assert len(since) == len(equal) == 1


def test_times_without_a_time_zone_are_warned_of(environment, tmp_path):
    environment["TAP_KAFINEA_TIMEZONE"] = ""
    done = run(["records", "Leads", "--limit", "1"], environment, tmp_path)
    assert done.returncode == 0
    assert "`timezone` (TAP_KAFINEA_TIMEZONE) is not set" in done.stderr
    without = ["records", "Leads", "--limit", "1", "--fields", "lastname"]
    assert run(without, environment, tmp_path).stderr == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--where", "lastnam = 3"], "no field 'lastnam'. Did you mean `lastname`"),
        (["--where", "birthday = soon"], "`birthday`: soon is not a value of a field of type date"),
        (["--where", "account_id = 3"], "`account_id`: 3 is not an id, such as 3x18"),
        (["--where", "birthday = ''"], "cannot find empty values"),
        (["--where", "lastname = 'a"], "a quote is not closed"),
        (["--where", "lastname ~ a"], "Expected =, !=, <, <=, >, >=, LIKE or IN at character 10"),
        (["--where", "(lastname = a)"], "Expected a name at character 1"),
        (["--where", "lastname ="], "ends where a value is expected"),
        (["--since", "soon"], "'soon' is not a date"),
        (["--fields", "LineItems"], "Contacts has no lines"),
        (["-o", "x.docx"], "must end with one of .csv, .jsonl, .parquet, .xlsx"),
        (["-o", "x.csv", "--json"], "Use either -o or --json or --csv"),
    ],
)
def test_wrong_usage_is_explained(arguments, message, environment, tmp_path):
    done = run(["records", "Contacts", *arguments], environment, tmp_path)
    assert message in " ".join(done.stderr.split())
    assert (done.returncode, done.stdout) == (2, "")


def test_limit_is_the_number_of_rows_and_spares_the_server(company, environment, tmp_path):
    company.requests.clear()
    assert len(rows_of(["Contacts", "--limit", "3"], environment, tmp_path)) == 3
    pages = [
        r.params["query"] for r in company.requests.of("query") if "count(" not in r.params["query"]
    ]
    assert len(pages) == 1
    assert pages[0].endswith("LIMIT 3;")


@pytest.fixture(scope="module")
def numbers():
    """A company with numbers and texts that formats like to spoil."""
    with Sandbox(rows=100) as sandbox:
        sandbox.insert(
            "Products",
            {"productname": "=1+1", "unit_price": "12345678901234567.12", "qtyinstock": "0.1"},
        )
        sandbox.insert(
            "Products",
            {"productname": "0012", "unit_price": "99.95", "sales_start_date": "2026-02-28"},
        )
        sandbox.insert(
            "Products",
            {"productname": "@cmd\n\x01", "discontinued": "1", "sales_start_date": "1899-12-31"},
        )
        yield sandbox  # fmt: skip


ASKED = ("--fields", "productname,unit_price,qtyinstock,discontinued,sales_start_date,modifiedtime")


@pytest.mark.parametrize("end", ["csv", "jsonl", "parquet", "xlsx"])
def test_file_has_each_value_exactly(end, numbers, tmp_path):
    environment, path = variables(numbers), tmp_path / f"products.{end}"
    rows = rows_of(["Products", *ASKED], environment, tmp_path)
    done = run(["records", "Products", *ASKED, "-o", path.name], environment, tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == f"{path.name}: {len(rows)} records of Products\n"
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    assert path.stat().st_mode & 0o777 == 0o600
    assert READ[end](path) == [AS_IN[end](row) for row in rows]


def of_csv(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def of_json_lines(path):
    lines = path.read_text("utf-8").splitlines()
    return [json.loads(line, parse_float=Decimal) for line in lines]


def of_parquet(path):
    found = duckdb.sql(f"SELECT * REPLACE (epoch_us(modifiedtime) AS modifiedtime) FROM '{path}'")
    return [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]


def of_excel(path):
    """The cells of a sheet: numbers as they are written, texts in quotes."""
    with zipfile.ZipFile(path) as book:
        sheet = book.read("xl/worksheets/sheet1.xml").decode()
    assert "<f>" not in sheet  # no formula
    lines = re.findall(r"<row .*?</row>", sheet, re.DOTALL)
    cells = [re.findall(r'<c r="([A-Z]+)\d+"[^>]*?>(.*?)</c>', line, re.DOTALL) for line in lines]
    names = [re.sub(r"<.*?>", "", text) for _, text in cells[0]]
    letters = [letter for letter, _ in cells[0]]
    return [
        {n: values.get(letter) for n, letter in zip(names, letters, strict=True)}
        for values in ({letter: _cell(text) for letter, text in line} for line in cells[1:])
    ]


def _cell(text):
    value = re.sub(r"<.*?>", "", text)
    return repr(value) if "<is>" in text else Decimal(value)


def as_csv(row):
    texts = {True: "true", False: "false", None: ""}
    return {
        name: texts[value] if value is None or isinstance(value, bool) else
        format(value, "f") if isinstance(value, Decimal) else str(value)
        for name, value in row.items()
    }  # fmt: skip


def as_parquet(row):
    start = row["sales_start_date"]
    moment = datetime.fromisoformat(row["modifiedtime"])
    return row | {
        "sales_start_date": start and date.fromisoformat(start),
        "modifiedtime": int(moment.timestamp()) * 1_000_000,
    }


def as_excel(row):
    start = row["sales_start_date"]
    name = {"@cmd\n\x01": "'@cmd\\n_x0001_'"}.get(row["productname"], repr(row["productname"]))
    price = row["unit_price"]
    return {
        "id": repr(row["id"]),
        "productname": name.replace("&", "&amp;"),
        "unit_price": price if price is None or is_exact_in_excel(price) else repr(str(price)),
        "qtyinstock": row["qtyinstock"],
        "discontinued": None if row["discontinued"] is None else Decimal(int(row["discontinued"])),
        "sales_start_date": start and _day(start),
        "modifiedtime": repr(row["modifiedtime"]),
    }


def _day(text):
    days = (date.fromisoformat(text) - date(1899, 12, 30)).days
    return Decimal(days) if days > 60 else repr(text)


READ = {"csv": of_csv, "jsonl": of_json_lines, "parquet": of_parquet, "xlsx": of_excel}
AS_IN = {"csv": as_csv, "jsonl": lambda row: row, "parquet": as_parquet, "xlsx": as_excel}


@pytest.mark.parametrize(
    ("number", "is_exact"),
    [("0.1", True), ("123456789012345", True), ("1234567890123456", False), ("1E+20", True),
     ("12345678901234.5600", False), ("0E-8", True)],
)  # fmt: skip
def test_number_is_exact_in_excel(number, is_exact):
    assert is_exact_in_excel(Decimal(number)) == is_exact
    if is_exact:
        assert Decimal(f"{float(number):.15g}") == Decimal(number)


@pytest.mark.parametrize("end", ["csv", "parquet", "xlsx"])
def test_failed_run_leaves_the_old_file(end, tmp_path, quick):
    with Sandbox(rows=100) as sandbox:
        for number in range(250):
            sandbox.insert("Leads", {"lastname": f"Lead {number}"})
        sandbox.faults.add("status", operation="query", contains="id > ", status=500, times=None)
        path = tmp_path / f"leads.{end}"
        path.write_text("old")
        done = run(["records", "Leads", "-o", path.name], variables(sandbox), tmp_path)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    assert path.read_text() == "old"


@pytest.mark.parametrize(
    ("end", "values", "message"),
    [
        ("parquet", {"unit_price": "1.12345678901"}, "Parquet cannot contain the value of `{}`"),
        ("xlsx", {"description": "x" * 40_000}, "Excel cannot contain the value of `{}`"),
    ],
)  # fmt: skip
def test_value_that_a_format_would_change_is_named(end, values, message, tmp_path):
    with Sandbox(rows=100) as sandbox:
        bad = sandbox.insert("Products", {"productname": "Wide", **values})
        done = run(["records", "Products", "-o", f"p.{end}"], variables(sandbox), tmp_path)
    assert done.returncode == 1
    assert (
        f"{bad}: {message.format(*values)} exactly. Write a .csv or .jsonl file instead."
        in done.stderr
    )
    assert not any(tmp_path.iterdir())


def test_record_that_cannot_be_read_whole_is_named_and_writes_no_file(tmp_path, quick):
    with Sandbox(rows=300) as probe:
        number = int(probe.rows("Contacts")[3]["id"].partition("x")[2])
    with Sandbox(rows=300, unencodable={"Contacts": [number]}) as sandbox:
        environment = variables(sandbox)
        done = run(["records", "Contacts", "-o", "c.csv"], environment, tmp_path)
        prefix = sandbox.rows("Contacts")[0]["id"].partition("x")[0]
        where = f"id != {prefix}x{number}"
        others = run(
            ["records", "Contacts", "-o", "c.csv", "--where", where], environment, tmp_path
        )
        count = sandbox.count("Contacts")
    assert done.returncode == 1
    assert f"1 of the records could not be read whole: {prefix}x{number}" in done.stderr
    assert others.returncode == 0, others.stderr
    assert len(of_csv(tmp_path / "c.csv")) == count - 1


@pytest.mark.parametrize(("end", "package"), [("parquet", "pyarrow"), ("xlsx", "xlsxwriter")])
def test_extra_that_is_missing_is_named_before_anything_is_sent(
    end, package, company, environment, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, package, None)
    company.requests.clear()
    done = run(["records", "Leads", "-o", f"l.{end}"], environment, tmp_path)
    assert done.returncode == 1
    assert done.stderr == (
        f"ERROR {package} is not installed. Install the extra `export` of singer-kafinea, "
        "see docs/install.md.\n"
    )
    assert not list(company.requests)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal_leaves_no_half_file(number, code, tmp_path):
    with Sandbox(rows=100) as sandbox:
        for lead in range(250):
            sandbox.insert("Leads", {"lastname": f"Lead {lead}"})
        hanging = sandbox.faults.add(
            "hang", operation="query", contains="LIMIT", nth=2, seconds=60, times=None
        )
        process = subprocess.Popen(
            [*COMMAND, "records", "Leads", "-o", "leads.csv"], env=variables(sandbox), cwd=tmp_path,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        while not (hanging.hits and any(tmp_path.iterdir())):
            time.sleep(0.02)
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == code
    assert errors == ("Interrupted.\n" if number == signal.SIGINT else "")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("end", ["csv", "parquet", "xlsx"])
def test_full_disk_is_one_line_and_leaves_no_file(end, company, environment, tmp_path):
    command = subprocess.list2cmdline([*COMMAND, "records", "Contacts", "-o", f"c.{end}"])
    done = subprocess.run(
        ["bash", "-c", f"ulimit -f 4; {command}"], env=environment, cwd=tmp_path,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == f"ERROR {tmp_path}/c.{end} cannot be written: File too large.\n"
    assert not any(tmp_path.iterdir())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a link to another user")
@pytest.mark.parametrize("command", [["records", "Leads", "-o", "planted"], ["init"]])
def test_link_of_another_user_is_not_followed(command, environment, tmp_path):
    shared, mine = tmp_path / "shared", tmp_path / "mine.csv"
    shared.mkdir(mode=0o700)
    shared.chmod(0o1777)
    mine.write_text("OTHER=1\n")
    name = ".env" if command == ["init"] else "leads.csv"
    (shared / name).symlink_to(mine)
    os.chown(shared / name, 12_345, 12_345, follow_symlinks=False)
    command = ["leads.csv" if word == "planted" else word for word in command]
    done = run(command, environment, shared)
    assert done.returncode == 1
    assert "belongs to another user" in done.stderr
    assert mine.read_text() == "OTHER=1\n"
