"""`kafinea init`: what it asks for on a terminal, and the file that it writes."""

from __future__ import annotations

import pytest
from dotenv import dotenv_values

from kafinea_cli.check.time_zone import OFTEN_SAVED
from kafinea_cli.init import env_file
from kafinea_sandbox import Sandbox
from tests.cli.running import on_terminal, run, variables

CONNECTION = ("KAFINEA_URL", "KAFINEA_USERNAME", "KAFINEA_ACCESS_KEY")


@pytest.fixture
def nothing(environment):
    """The environment of somebody who has set nothing."""
    unset = (*CONNECTION, "TAP_KAFINEA_TIMEZONE")
    return {name: value for name, value in environment.items() if name not in unset}


@pytest.fixture
def answers(company):
    return [
        ("Address of your Kafinea", f"{company.url}\n"),
        ("User", f"{company.username}\n"),
        ("Access key", f"{company.access_key}\n"),
    ]


@pytest.fixture(scope="module")
def quiet():
    """A company that has saved nothing for a long time."""
    with Sandbox(rows=100) as sandbox:
        for module in OFTEN_SAVED:
            for row in sandbox.rows(module):
                sandbox.change(module, row["id"], {}, "2020-01-31 12:00:00")
        yield sandbox


def test_answers_are_checked_and_written(company, nothing, answers, tmp_path):
    before = "# ours\nOTHER='a b'\n\nexport TAP_KAFINEA_URL=https://old\n"
    (tmp_path / ".env").write_text(f'{before}MORE="two\nTAP_KAFINEA_URL=no\n"')
    typed = [*answers, ("Time zone of the server", "Europe/Paris\n")]
    code, shown = on_terminal(["init"], nothing, tmp_path, typed=typed)
    assert code == 0, shown
    assert "[https://old]" in shown
    assert "Connected: admin is user " in shown
    assert "kafinea check" in shown
    assert company.access_key not in shown
    path = tmp_path / ".env"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == [".env"]
    assert path.read_text() == (
        f"# ours\nOTHER='a b'\n\nTAP_KAFINEA_URL={company.url}\n"
        'MORE="two\nTAP_KAFINEA_URL=no\n"\n'
        f"TAP_KAFINEA_USERNAME={company.username}\nTAP_KAFINEA_ACCESS_KEY={company.access_key}\n"
        "TAP_KAFINEA_TIMEZONE=Europe/Paris\n"
    )
    assert run(["count", "Leads"], nothing, tmp_path).returncode == 0


def test_wrong_answers_are_asked_for_again(company, nothing, answers, tmp_path):
    typed = [
        ("Address of your Kafinea", "http://elsewhere.example\n"),
        ("uses http, so the credentials would be sent", f"{company.url}\n"),
        ("User", "admin\n"),
        ("Access key", "wrongwrong\n"),
        ("does not accept this access key", f"{company.url}\n"),
        ("User [admin]", "\n"),
        ("Access key", f"{company.access_key}\n"),
        ("Time zone of the server", "Paris\n"),
        ("'Paris' is not a known time zone", "UTC\n"),
    ]
    code, shown = on_terminal(["init"], nothing, tmp_path, typed=typed)
    assert code == 0, shown
    assert "wrongwrong" not in shown
    assert dotenv_values(tmp_path / ".env")["TAP_KAFINEA_ACCESS_KEY"] == company.access_key


def test_present_values_are_proposed_and_the_key_is_not_shown(nothing, quiet, tmp_path):
    before = (
        f"KAFINEA_URL={quiet.url}\nKAFINEA_USERNAME=admin\n"
        f"KAFINEA_ACCESS_KEY={quiet.access_key}\nTAP_KAFINEA_TIMEZONE=Asia/Tokyo\n"
    )
    (tmp_path / ".env").write_text(before)
    typed = [(text, "\n") for text in ("Address", "User", "Enter keeps", "Time zone of the server")]
    code, shown = on_terminal(["init"], nothing, tmp_path, typed=typed)
    assert code == 0, shown
    assert "[Asia/Tokyo]" in shown
    assert quiet.access_key not in shown
    values = dotenv_values(tmp_path / ".env")
    assert values["KAFINEA_URL"] == values["TAP_KAFINEA_URL"] == quiet.url
    assert values["TAP_KAFINEA_TIMEZONE"] == "Asia/Tokyo"


def test_time_zone_that_nobody_knows_is_not_written(nothing, quiet, tmp_path):
    typed = [
        ("Address", f"{quiet.url}\n"),
        ("User", "admin\n"),
        ("Access key", f"{quiet.access_key}\n"),
        ("Enter: set it later", "\n"),
    ]
    code, shown = on_terminal(["init"], nothing, tmp_path, typed=typed)
    assert code == 0, shown
    assert "no record was saved recently enough to show it" in " ".join(shown.split())
    assert "TAP_KAFINEA_TIMEZONE" not in dotenv_values(tmp_path / ".env")


def test_present_time_zone_comes_before_a_guess_that_nobody_confirms(environment, tmp_path):
    (tmp_path / ".env").write_text("TAP_KAFINEA_TIMEZONE=Asia/Tokyo\n")
    environment["TAP_KAFINEA_TIMEZONE"] = ""
    assert run(["init"], environment, tmp_path).returncode == 0
    assert dotenv_values(tmp_path / ".env")["TAP_KAFINEA_TIMEZONE"] == "Asia/Tokyo"


def test_nothing_is_asked_where_the_environment_has_all(environment, tmp_path):
    done = run(["init"], environment, tmp_path)
    assert done.returncode == 0, done.stderr
    values = dotenv_values(tmp_path / ".env")
    assert values == {
        **{f"TAP_{name}": environment[name] for name in CONNECTION},
        "TAP_KAFINEA_TIMEZONE": "UTC",
    }
    assert environment["KAFINEA_ACCESS_KEY"] not in done.stdout + done.stderr


def test_time_zone_that_shows_is_written_without_a_question(tmp_path):
    with Sandbox(rows=100, timezone="Europe/Paris") as sandbox:
        sandbox.insert("Leads", {"lastname": "New"})
        environment = variables(sandbox, TAP_KAFINEA_TIMEZONE="")
        done = run(["init"], environment, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "In Europe/Paris, the newest record of Leads is less than a minute old." in done.stdout
    assert dotenv_values(tmp_path / ".env")["TAP_KAFINEA_TIMEZONE"] == "Europe/Paris"


def test_without_a_terminal_what_is_missing_is_named(nothing, tmp_path):
    done = run(["init", "--username", "admin"], nothing, tmp_path)
    assert done.returncode == 2
    assert "There is no terminal to ask for: KAFINEA_URL, KAFINEA_ACCESS_KEY." in done.stderr
    assert not (tmp_path / ".env").exists()


def test_connection_that_fails_writes_nothing(environment, tmp_path, quick):
    (tmp_path / ".env").write_text("OTHER=1\n")
    environment["KAFINEA_ACCESS_KEY"] = "wrongwrong"
    done = run(["init"], environment, tmp_path)
    assert done.returncode == 1
    assert "does not accept this access key" in done.stderr
    assert "wrongwrong" not in done.stderr
    assert (tmp_path / ".env").read_text() == "OTHER=1\n"


def test_interrupted_question_is_exit_code_130_and_writes_nothing(nothing, tmp_path):
    code, shown = on_terminal(["init"], nothing, tmp_path, typed=[("Address", "\x03")])
    assert code == 130
    assert shown.splitlines()[-1] == "Interrupted."
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    "value", ["a b", "it's", 'say "x"', "back\\slash", "$HOME", "#no", "é", "a=b"]
)
def test_value_is_read_as_it_was_written(value, tmp_path):
    path = tmp_path / ".env"
    path.write_text("A=1\nB=2\nA=3")
    env_file.write(path, {"A": value})
    assert dotenv_values(path) == {"A": value, "B": "2"}
