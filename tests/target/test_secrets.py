"""Neither credentials nor the contents of records get anywhere but where they belong."""

from __future__ import annotations

import json

import pytest

from kafinea_sandbox import php
from tests.target.running import Files, command, empty, load, matched, messages, state

# Whatever a record holds begins with this.
MARK = "Geheim"
TO_ACCOUNT = {"module": "Accounts", "match_on": "accountname"}
STREAMS = {
    **matched("Contacts", "cf_853", references={"account_id": TO_ACCOUNT}),
    **matched("Accounts", "accountname"),
}
GONE = "2026-01-01T00:00:00Z"


def person(n, **values):
    return {"cf_853": f"{MARK}-key-{n}", "lastname": f"{MARK} name {n}", **values}


# One record for each way to be rejected, and some that are not.
RECORDS = [
    person(1, phone=f"{MARK} phone"),
    person(1, phone=f"{MARK} other phone"),
    person(2, account_id=f"{MARK} company"),
    person(3, account_id=f"{MARK} nobody"),
    person(4, cf_863=f"{MARK} date"),
    person(5, cf_857=f"{MARK} number"),
    person(6, cf_887=f"{MARK} colour"),
    person(7, assigned_user_id=f"{MARK} owner"),
    person(8, title=f"{MARK} title " * 9),
    person(9, lastname=None, description=f"{MARK} text"),
    person(10, email=[f"{MARK} list"]),
    person(11, cf_873=f"{MARK} yes"),
    person(12, _sdc_deleted_at=GONE),
    {"cf_853": None, "lastname": f"{MARK} keyless"},
]


def lines():
    told = messages("Contacts", *RECORDS, properties={"email": {"type": ["string", "null"]}})
    accounts = messages("Accounts", {"accountname": f"{MARK} company"})
    return [*accounts, *told, state({"done": 1})]


def remembering(make, made):
    def made_and_remembered():
        made.append(make())
        return made[-1]

    return made_and_remembered


@pytest.fixture
def issued(monkeypatch):
    """All tokens and sessions that the server gives out."""
    secrets = []
    for make in ("uniqid", "session_id"):
        monkeypatch.setattr(php, make, remembering(getattr(php, make), secrets))
    return secrets


FAULTS = [
    None,
    *({"kind": "echo_secrets", "operation": o, "times": 2} for o in ("create", "update", "delete")),
    {"kind": "echo_secrets", "operation": "query", "times": 2},
    {"kind": "echo_secrets", "operation": "login"},
    {"kind": "reset_after", "operation": "create"},
    {"kind": "truncate", "operation": "create"},
    {"kind": "redirect", "operation": "create"},
    {"kind": "session", "operation": "create", "times": 2},
    {"kind": "status", "operation": "create", "status": 503, "body": f"<p>{MARK} failed</p>"},
    {"kind": "reset", "operation": "query", "times": 3},
]


@pytest.mark.parametrize(
    "fault", FAULTS, ids=lambda f: f"{f['operation']} {f['kind']}" if f else "no fault"
)
def test_secrets_and_records_are_in_no_log_and_no_state(
    fault, issued, monkeypatch, any_sandbox_one
):
    monkeypatch.setenv("TARGET_KAFINEA_LOGLEVEL", "DEBUG")
    sandbox = any_sandbox_one
    sandbox.insert("Contacts", person(12))
    sandbox.insert("Contacts", person(1, phone="old"))
    for _ in range(2):
        sandbox.insert("Contacts", person(13))
    if fault:
        sandbox.faults.add(**fault)
    run = load(
        sandbox,
        lines(),
        messages("Contacts", person(13)),
        streams=STREAMS,
        hard_delete=True,
        max_rejects=-1,
        check=False,
    )
    assert len(issued) >= 2
    secrets = {sandbox.access_key, *issued}
    assert "DEBUG" in run.stderr
    for text in (run.stderr, run.stdout):
        assert not [secret for secret in secrets if secret in text]
        assert MARK not in "\n".join(line for line in text.splitlines() if MARK in line)[:300]
    for line in (*run.outcomes, *run.rejects):
        assert not [secret for secret in secrets if secret in json.dumps(line)]


@pytest.fixture
def any_sandbox_one():
    with empty() as sandbox:
        yield sandbox


def test_messages_of_rejects_name_fields_and_not_their_values(any_sandbox_one):
    run = load(
        any_sandbox_one, lines(), streams=STREAMS, hard_delete=True, max_rejects=-1, check=False
    )
    assert len(run.codes) >= 8
    for line in run.outcomes:
        assert MARK not in line.get("message", "")


def test_invalid_lines_are_not_repeated_in_the_log(any_sandbox_one):
    for odd in (f'{{"type": "RECORD", "record": {{"x": "{MARK}"', f'["{MARK}"]', f"{MARK}"):
        run = load(any_sandbox_one, odd, streams=STREAMS, check=False)
        assert run.code == 1
        assert MARK not in run.stderr


def test_about_and_wrong_settings_show_no_access_key(tmp_path, any_sandbox_one):
    files = Files(tmp_path)
    config = files.config(any_sandbox_one, max_rejects="many", access_key=["s3cretKey0123456"])
    done = command("--config", config)
    assert done.returncode == 2
    assert "s3cretKey0123456" not in done.stderr + done.stdout


def test_misspelt_setting_is_named_without_its_value(any_sandbox_one):
    secret = "s3cretKey0123456"
    run = load(any_sandbox_one, access_key=None, acces_key=secret, check=False)
    assert run.code == 1
    assert "Did you mean `access_key`?" in run.errors[0]
    assert secret not in run.stderr + run.stdout
