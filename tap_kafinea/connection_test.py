"""`tap-kafinea --test`: the login, the modules, and one record of each selected stream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click
from jsonschema import Draft7Validator

from tap_kafinea.failing import FailingAlone, as_shown

if TYPE_CHECKING:
    from tap_kafinea.tap import TapKafinea

# Nothing is asked ahead, and no scan reads the ids of whole modules.
_ONE_RECORD = {"page_size": 1, "max_sessions": 1, "deletions": "off"}


def settings_of_test(config: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings to test a tap with, so that it reads no more than it must.

    What is wrong in them stays, to be named.
    """

    def is_right(name: str) -> bool:
        of_one = Draft7Validator(schema["properties"][name])
        return name not in config or bool(of_one.is_valid(config[name]))

    return {**config, **{name: one for name, one in _ONE_RECORD.items() if is_right(name)}}


def run(tap: TapKafinea) -> bool:
    """Print a line for each thing that is tried, and return whether all of them work.

    Raises:
        KafineaError: The login or `listtypes` fails, so nothing else can be tried.
    """
    user = tap.client.user_id()
    click.echo(f"login: ok, {tap.config['username']} is user {user}")
    click.echo(f"listtypes: ok, {len(tap.client.listtypes())} modules")
    streams = [
        one for one in tap.streams.values() if isinstance(one, FailingAlone) and one.selected
    ]
    if not streams:
        click.echo("No stream is selected.")
    failures = [stream for stream in streams if not _works(stream)]
    return bool(streams) and not failures


def _works(stream: FailingAlone) -> bool:
    """Try a stream, and say how it went."""
    try:
        record = stream.first()
        if record is not None:
            stream.check(record)
    except Exception as error:  # noqa: BLE001 whatever it is, the other streams are tried
        click.echo(f"{stream.name}: FAILED: {as_shown(error)}")
        return False
    click.echo(f"{stream.name}: ok" + (", there are no records" if record is None else ""))
    return True
