"""The command `kafinea`: its settings, and what it says when they are wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version
from unittest import mock

import pytest

from kafinea.errors import SettingsError
from kafinea_cli.__main__ import _COMMANDS
from kafinea_cli.connection import settings_of_tap
from tap_kafinea.settings import SETTINGS
from tests.cli.running import run


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
        "access_key": "variable",
        "timezone": "Europe/Paris",
        "modules": ["Contacts"],
        "max_sessions": 2,
    }


def test_variable_that_cannot_be_read_is_named():
    with pytest.raises(SettingsError, match="TAP_KAFINEA_MAX_SESSIONS is not a whole number"):
        settings(TAP_KAFINEA_MAX_SESSIONS="many")


def test_file_that_is_not_text_is_named(folder):
    (folder / ".env").write_bytes("# Clé\n".encode("latin-1"))
    with pytest.raises(SettingsError, match=r"\.env is not UTF-8 text"):
        settings()


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
    listed = [line.split()[0] for line in done.stdout.split("Commands:\n")[1].splitlines()]
    assert listed == [*_COMMANDS]


@pytest.mark.parametrize("command", _COMMANDS)
def test_help_of_a_command_has_examples(command, tmp_path):
    done = run([command, "--help"], {}, tmp_path)
    assert done.returncode == 0
    assert "Examples:" in done.stdout


def test_version_is_that_of_the_distribution(tmp_path):
    done = run(["--version"], {}, tmp_path)
    assert done.stdout == f"kafinea, version {version('singer-kafinea')}\n"


def test_help_does_not_import_the_sdk():
    code = "import sys; sys.argv[1:] = ['modules', '--help']; from kafinea_cli.__main__ import cli"
    code += "; cli(standalone_mode=False); assert 'kafinea_cli.modules' in sys.modules"
    code += "; sys.exit('singer_sdk' in sys.modules or 'rich' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], timeout=60, check=False)
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["--help"], 0), (["--version"], 0), (["sandbox", "--help"], 0), (["modules"], 1)],
)
def test_only_help_version_and_sandbox_work_without_the_extra(arguments, code):
    script = "import sys; sys.modules |= dict.fromkeys(['rich', 'yaml'])"
    script += "; from kafinea_cli.__main__ import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    missing = "rich is not installed. Install the extra `cli` of singer-kafinea, "
    missing += "see docs/install.md."
    assert (done.returncode, done.stderr) == (code, f"ERROR {missing}\n" if code else "")


MELTANO = """
default_environment: prod
plugins:
  extractors:
  - name: tap-kafinea
    config: {url: https://plugin, username: plugin, access_key: $SECRET, modules: [Leads],
             start_date: 2026-01-31, timezone: "${NOT_SET}"}
environments:
- name: prod
  config: {plugins: {extractors: [{name: tap-kafinea, config: {url: "https://${HOST}"}}]}}
"""


def test_meltano_comes_last_and_its_environment_before_its_plugin(folder, monkeypatch):
    (folder / "meltano.yml").write_text(MELTANO)
    (folder / "below").mkdir()
    monkeypatch.chdir(folder / "below")
    found = settings({}, SECRET="key", HOST="prod", TAP_KAFINEA_USERNAME="variable")
    assert found == {
        "url": "https://prod",
        "username": "variable",
        "access_key": "key",
        "modules": ["Leads"],
        "start_date": "2026-01-31",
    }


@pytest.mark.parametrize("text", ["", "plugins: 3\n", "plugins: {extractors: [3, {name: 1}]}\n"])
def test_meltano_without_the_tap_has_no_settings(folder, text):
    (folder / "meltano.yml").write_text(text)
    assert settings({}) == {}


def test_meltano_that_is_not_yaml_is_named_without_its_text(folder):
    (folder / "meltano.yml").write_text("plugins: {access_key: secretsecret\n]")
    with pytest.raises(SettingsError, match=r"meltano.yml is not YAML: see line 2") as error:
        settings({})
    assert "secretsecret" not in str(error.value)
