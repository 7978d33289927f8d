"""A connection that works, and the time zone that the server shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

import click

from kafinea import Client
from kafinea.errors import KafineaError, Refused
from kafinea.transport import endpoint
from kafinea_cli.check import time_zone
from kafinea_cli.connection import CONNECTION

Ask = Callable[[str, Mapping[str, str]], str]
"""Returns a setting, given what was answered before."""


@dataclass(frozen=True)
class ZoneFound:
    """The time zone that the server shows.

    Attributes:
        name: Its name; None if it does not show.
        explanation: How it shows, or what to do.
    """

    name: str | None
    explanation: str


def connected(ask: Ask, attempts: int, allow_http: bool) -> tuple[dict[str, str], Client]:
    """Return a connection that works, and its client, which is logged in.

    Args:
        ask: Asks for a setting.
        attempts: How often to ask.
        allow_http: The setting.

    Raises:
        KafineaError: The last attempt has failed.
    """
    answered: dict[str, str] = {}
    while True:
        attempts -= 1
        try:
            answered = _answers(ask, answered, allow_http)
            client = Client(
                answered["url"],
                answered["username"],
                answered["access_key"],
                max_sessions=1,
                allow_http=allow_http,
            )
            client.user_id()
        except KafineaError as error:
            if attempts < 1:
                raise
            click.echo(str(error))
        else:
            return answered, client


def _answers(ask: Ask, before: Mapping[str, str], allow_http: bool) -> dict[str, str]:
    """Ask for the connection; for no key, if the address cannot be used.

    Raises:
        SettingsError: The address cannot be used.
    """
    url = ask("url", before)
    endpoint(url, allow_http=allow_http)
    return {"url": url} | {name: ask(name, before) for name in CONNECTION if name != "url"}


def zone_found(client: Client) -> ZoneFound:
    """Return the time zone that the newest records show."""
    modules = []
    for name in client.listtypes():
        if name in time_zone.OFTEN_SAVED:
            with suppress(Refused):
                modules.append(client.describe(name))
    found = time_zone.newest_of(client, time_zone.often_saved(modules))
    guess = time_zone.guess(found, client.profile()) if found else None
    if found and guess and guess.is_likely:
        age = time_zone.in_words(guess.age)
        return ZoneFound(
            guess.name, f"In {guess.name}, the newest record of {found.module} is {age} old."
        )
    return ZoneFound(
        None,
        "The server sends times without a zone, and no record was saved recently enough to show "
        "it. To find out, save a record in Kafinea and run `kafinea check`.",
    )
