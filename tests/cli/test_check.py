"""`kafinea check`: what it finds, what it sends, and that it writes nothing."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import pytest

from kafinea_cli.check import speed
from kafinea_cli.check.findings import Status
from kafinea_cli.check.instance import encryption
from kafinea_sandbox import Sandbox
from tests.cli.running import on_terminal, run, variables
from tests.kafinea.test_first_contact import make_certificate, website

READS = {"getchallenge", "login", "logout", "listtypes", "describe", "query", "retrieve"}


def check(environment, folder):
    done = run(["check", "--json"], environment, folder)
    document = json.loads(done.stdout)
    assert document["ok"] == (done.returncode == 0)
    return document, {finding["name"]: finding for finding in document["findings"]}


@pytest.mark.parametrize(
    ("dialect", "version", "formats"),
    [
        ("kafinea", "Kafinea 24.2.1, API 0.22", "warning"),
        ("stock", "vtiger, or another of its family, 8.0.0, API 0.22", "warning"),
        ("frevo", "vtiger, or another of its family, 8.0.2, API 0.22", "warning"),
        ("corebos", "coreBOS 5.5.0, API 0.22", "warning"),
        ("legacy", "vtiger, or another of its family, 6.5.0, API 0.22", "warning"),
    ],
)
def test_each_server_is_described(dialect, version, formats, tmp_path):
    with Sandbox(dialect=dialect, rows=2500) as sandbox:
        before = {name: sandbox.rows(name) for name in ("Contacts", "Invoice", "Leads")}
        document, found = check(variables(sandbox), tmp_path)
        received, url = list(sandbox.requests), sandbox.url
        assert before == {name: sandbox.rows(name) for name in before}
    assert {request.operation for request in received} <= READS
    # The sessions are closed after the count.
    logouts = sum(request.operation == "logout" for request in received)
    assert document["requests"] == len(received) - logouts < 130
    assert max(request.at_once for request in received) <= 4
    assert found["address"]["text"] == f"{url}/webservice.php"
    assert found["version"]["text"] == version
    assert found["formats"]["status"] == formats
    assert {"Contacts", "Invoice"} <= set(found["modules"]["readable"])
    assert "Contacts" in found["loading"]["createable"]
    assert found["page"]["milliseconds"] >= 0
    largest = 1000 if dialect in {"frevo", "corebos"} else 100
    assert found["largest page"]["records"] in {largest, None}
    assert 1 <= found["sessions"]["useful"] <= 4


def test_largest_page_is_that_of_the_server(tmp_path):
    with Sandbox(rows=100) as sandbox:
        for number in range(150):
            sandbox.insert("Leads", {"lastname": f"Lead {number}"})
        _, found = check(variables(sandbox), tmp_path)
    assert found["page"]["module"] == "Leads"
    assert found["largest page"]["records"] == 100
    with Sandbox(rows=1500, dialect="frevo") as sandbox:
        count = sandbox.count("Contacts")
        _, found = check(variables(sandbox), tmp_path)
    assert count > 100
    text = f"not known: one page has all {count} records of Contacts"
    assert found["largest page"]["text"] == text


ZONES = [  # the server's zone, the setting, the age of the newest record, what is found
    ("UTC", "UTC", 3, "ok", "UTC", "3 minutes old, as it should be"),
    ("Europe/Paris", None, 3, "problem", "Europe/Paris", "in the future"),
    ("Europe/Paris", "Europe/Paris", 3, "ok", "Europe/Paris", "as it should be"),
    ("UTC", "Europe/Paris", 3, "warning", "UTC", "In UTC, it is 3 minutes old"),
    ("UTC", None, 3, "warning", "UTC", "not set, so UTC"),
    ("UTC", "UTC", 60 * 24 * 9, "ok", None, "9 days old, which does not show the zone"),
    ("America/New_York", "America/New_York", 3, "ok", None, "as it should be"),
]


@pytest.mark.parametrize(("zone", "setting", "minutes", "status", "guess", "text"), ZONES)
def test_time_zone_is_told_by_the_newest_record(
    zone, setting, minutes, status, guess, text, tmp_path, monkeypatch
):
    monkeypatch.setenv("TZ", "UTC")
    with Sandbox(rows=100, timezone=zone) as sandbox:
        wire = _wire(zone, minutes)
        old = _wire(zone, minutes + 60 * 24)
        for module in ("HelpDesk", "Events", "Calendar", "Accounts", "Contacts", "ModComments"):
            _make_older(sandbox, module, old)
        sandbox.insert("Leads", {"lastname": "Newest"}, wire)
        environment = variables(sandbox, TAP_KAFINEA_TIMEZONE=setting or "")
        _, found = check(environment, tmp_path)
    assert found["time zone"]["status"] == status, found["time zone"]
    assert found["time zone"]["guess"] == guess
    assert text in found["time zone"]["text"]
    if status == "problem":
        assert found["time zone"]["advice"].startswith(
            f"Set `timezone` (TAP_KAFINEA_TIMEZONE) to {guess}."
        )


def test_certificate_that_expires_soon_is_a_warning(tmp_path, monkeypatch):
    path, tls = make_certificate(tmp_path)  # for two days
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(path))
    with website(tls=tls) as port:
        found = encryption(f"https://localhost:{port}/webservice.php")
    assert found.status is Status.WARNING
    assert "the certificate expires in 1 days" in found.text
    assert encryption("http://crm.example/webservice.php").status is Status.WARNING


def test_address_without_a_server_is_a_problem_and_the_last_line(environment, tmp_path, quick):
    environment["KAFINEA_URL"] = "http://127.0.0.1:9"
    document, found = check(environment, tmp_path)
    assert [*found] == ["address"]
    assert found["address"]["status"] == "problem"
    assert not document["ok"]


def test_wrong_key_is_a_problem_and_is_not_shown(environment, tmp_path, quick):
    environment["KAFINEA_ACCESS_KEY"] = "secretsecret"
    done = run(["check"], environment, tmp_path)
    assert done.returncode == 1
    address, login, requests = done.stdout.splitlines()
    assert address.startswith("✓  Address")
    assert login.startswith("✗  Login")
    assert "does not accept this access key" in login
    assert requests.endswith("requests were sent. Nothing was written.")
    assert "secretsecret" not in done.stdout + done.stderr


def test_marks_have_colours_on_a_terminal_and_long_lines_are_broken(environment, tmp_path):
    code, shown = on_terminal(["check"], environment, tmp_path, columns=60)
    assert code == 0
    assert "\x1b[32m✓\x1b[0m  Login" in shown
    plain = on_terminal(["check"], {**environment, "NO_COLOR": "1"}, tmp_path, columns=60)[1]
    assert "\x1b[32m" not in plain
    assert max(map(len, plain.splitlines())) <= 60 + len("\x1b[2m\x1b[0m")


def test_server_that_fails_in_between_ends_the_check_with_a_problem(tmp_path, quick):
    with Sandbox(rows=100) as sandbox:
        sandbox.faults.add("status", operation="listtypes", status=500, times=None)
        document, found = check(variables(sandbox), tmp_path)
    assert found["requests"]["status"] == "problem"
    assert not document["ok"]


@pytest.mark.parametrize(
    ("rates", "useful"),
    [
        ({1: 10.0}, 1),
        ({1: 10.0, 2: 11.0}, 1),
        ({1: 10.0, 2: 19.0}, 2),
        ({1: 1.0, 2: 2.0, 4: 2.1}, 2),
    ],
)
def test_sessions_are_useful_as_long_as_they_bring_a_fifth_more(rates, useful):
    assert speed.useful_sessions(rates) == useful


def _wire(zone, minutes):
    from zoneinfo import ZoneInfo  # noqa: PLC0415

    moment = datetime.now(timezone.utc) - timedelta(minutes=minutes, seconds=10)
    return f"{moment.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M:%S}"


def _make_older(sandbox, module, wire):
    for row in sandbox.rows(module):
        sandbox.change(module, row["id"], {}, wire)
