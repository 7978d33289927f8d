"""The command `kafinea init`."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from kafinea_cli.connection import (
    CONNECTION,
    PREFIX,
    SHORT_PREFIX,
    connection_options,
    set_in_environment,
)

_FILE = Path(".env")
_ATTEMPTS = 3
_LABELS = {"url": "Address of your Kafinea", "username": "User", "access_key": "Access key"}


@dataclass(frozen=True)
class Answers:
    """What is known of the connection.

    Attributes:
        given: Settings that are not asked for: options, and variables of the environment.
        present: Those of `.env`, which are proposed.
    """

    given: Mapping[str, str]
    present: Mapping[str, str]

    def ask(self, setting: str, again: Mapping[str, str]) -> str:
        """Return a setting, which is asked for if it is not given.

        Args:
            setting: Its name.
            again: What was answered before, and was wrong.
        """
        if setting in self.given:
            return self.given[setting]
        if setting != "access_key":
            default = again.get(setting) or self.present.get(setting)
            return str(click.prompt(_LABELS[setting], default=default)).strip()
        present = self.present.get(setting, "")
        text = f"{_LABELS[setting]} (not shown{', Enter keeps the present one' if present else ''})"
        answer = click.prompt(text, hide_input=True, default=present or None, show_default=False)
        return str(answer).strip()


@click.command()
@connection_options
def init(**options: Any) -> None:
    """Set up the connection in `.env`.

    It asks for the connection, checks it, and writes it into `.env` in this folder. The access key
    is in Kafinea, at the bottom of "My preferences". It is not shown while you type. Options and
    variables of the environment are not asked for: if all three are set, nothing is. Other lines of
    `.env` stay as they are, and only you can read the file.

    \b
    Examples:
      kafinea init
      kafinea init --url https://apps.kafinea.com/YourKafinea --username api
      KAFINEA_URL=... KAFINEA_USERNAME=... KAFINEA_ACCESS_KEY=... kafinea init
    """  # noqa: D301 click keeps the lines behind the character \b
    from kafinea.values import ServerZone  # noqa: PLC0415
    from kafinea_cli.init import env_file  # noqa: PLC0415
    from kafinea_cli.init.connecting import connected, zone_found  # noqa: PLC0415

    stored = env_file.values_in(_FILE)
    answers = Answers(set_in_environment(options), _of_file(stored))
    is_asking = sys.stdin.isatty()
    missing = [name for name in CONNECTION if name not in answers.given]
    if missing and not is_asking:
        variables = ", ".join(f"{SHORT_PREFIX}{name.upper()}" for name in missing)
        raise click.UsageError(f"There is no terminal to ask for: {variables}. Set the variables.")
    attempts = _ATTEMPTS if missing else 1
    connection, client = connected(answers.ask, attempts, _allows_http(stored))
    with client:
        click.echo(f"Connected: {client.username} is user {client.user_id()}.")
        zone = os.environ.get(f"{PREFIX}TIMEZONE") or ""
        if not zone:
            found = zone_found(client)
            click.echo(found.explanation)
            present = stored.get(f"{PREFIX}TIMEZONE") or ""
            if is_asking and missing:
                zone = _ask_zone(found.name or present)
            else:
                zone = present or found.name or ""
        if zone:
            ServerZone(zone)
    env_file.write(_FILE, _variables(connection, zone, stored))
    click.echo(f"Written: {_FILE}. Only you can read it. Keep it out of version control.")
    click.echo("Next: `kafinea check` shows more of the instance, `kafinea modules` its modules.")


def _ask_zone(proposed: str) -> str:
    """Ask for the time zone, until it is one, or nothing where none is proposed."""
    from kafinea.errors import SettingsError  # noqa: PLC0415
    from kafinea.values import ServerZone  # noqa: PLC0415

    later = "" if proposed else ", such as Europe/Paris (Enter: set it later)"
    while True:
        name = click.prompt(
            f"Time zone of the server{later}", default=proposed, show_default=bool(proposed)
        ).strip()
        try:
            if name:
                ServerZone(name)
        except SettingsError as error:
            click.echo(str(error))
        else:
            return str(name)


def _of_file(stored: Mapping[str, str]) -> dict[str, str]:
    """Return the connection that is in `.env`."""
    found = {
        name: stored.get(f"{SHORT_PREFIX}{name.upper()}") or stored.get(f"{PREFIX}{name.upper()}")
        for name in CONNECTION
    }
    return {name: value for name, value in found.items() if value}


def _allows_http(stored: Mapping[str, str]) -> bool:
    variable = f"{PREFIX}ALLOW_HTTP"
    text = os.environ.get(variable) or stored.get(variable) or ""
    return text.lower() in {"true", "1", "yes", "on"}


def _variables(
    connection: Mapping[str, str], zone: str, stored: Mapping[str, str]
) -> dict[str, str]:
    """Return what to write: the variables of the tap, and the short ones if the file has them."""
    values = {f"{PREFIX}{name.upper()}": value for name, value in connection.items()}
    for name, value in connection.items():
        if (short := f"{SHORT_PREFIX}{name.upper()}") in stored:  # it would come before
            values[short] = value
    if zone:
        values[f"{PREFIX}TIMEZONE"] = zone
    return values
