"""The command `kafinea`: its settings, and what it says when they are wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from unittest import mock

import pytest

from kafinea.errors import SettingsError
from kafinea_cli.connection import settings_of_tap
from tap_kafinea.settings import SETTINGS


def settings(options=None, **variables):
    with mock.patch.dict(os.environ, variables):
        return settings_of_tap(options or {}, SETTINGS)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_option_comes_before_variables_and_those_before_the_file(folder):
    (folder / ".env").write_text(
        "TAP_KAFINEA_URL=https://file\nTAP_KAFINEA_USERNAME=file\nKAFINEA_ACCESS_KEY=file\n"
        'TAP_KAFINEA_TIMEZONE=Europe/Paris\nTAP_KAFINEA_MODULES=["Contacts"]\n'
    )
    found = settings(
        {"url": "https://option", "username": None},
        KAFINEA_URL="https://short", KAFINEA_USERNAME="short",
        TAP_KAFINEA_ACCESS_KEY="variable", TAP_KAFINEA_MAX_SESSIONS="2",
    )  # fmt: skip
    assert found == {
        "url": "https://option",
        "username": "short",
        "access_key": "file",
        "timezone": "Europe/Paris",
        "modules": ["Contacts"],
        "max_sessions": 2,
    }


def test_variable_that_cannot_be_read_is_named():
    with pytest.raises(SettingsError, match="TAP_KAFINEA_MAX_SESSIONS is not a whole number"):
        settings(TAP_KAFINEA_MAX_SESSIONS="many")


def kafinea(*arguments, **variables):
    return subprocess.run(
        [sys.executable, "-m", "kafinea_cli", *arguments],
        env=os.environ | variables, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["dbt", "out"], "'url' is a required property (TAP_KAFINEA_URL)"),
        (["dbt", "out", "--catalog", ".env"], "--catalog .env is not JSON: see line 1, column 1."),
    ],
)
def test_mistake_is_one_line(folder, arguments, message):
    (folder / ".env").write_text("KAFINEA_ACCESS_KEY=secretsecret\n")
    done = kafinea(*arguments)
    assert done.returncode == 1
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "secretsecret" not in done.stderr
    assert not (folder / "out").exists()


def test_help_lists_the_commands():
    done = kafinea("--help")
    assert done.returncode == 0
    assert [line.split()[0] for line in done.stdout.split("Commands:\n")[1].splitlines()] == [
        "dbt",
        "sandbox",
    ]
