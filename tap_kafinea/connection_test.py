"""`tap-kafinea --test`: the login, the modules, and one record of each selected stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from kafinea.masking import line
from tap_kafinea.failing import FailingAlone, as_shown

if TYPE_CHECKING:
    from tap_kafinea.tap import TapKafinea

ONE_RECORD = {"page_size": 1, "max_sessions": 1, "deletions": "off"}
"""Settings with which nothing is asked ahead, and no scan reads the ids of whole modules."""


def run(tap: TapKafinea) -> bool:
    """Print a line for each thing that is tried, and return whether all of them work.

    Raises:
        KafineaError: The login or `listtypes` fails, so nothing else can be tried.
    """
    user = tap.client.user_id()
    _say(f"login: ok, {tap.config['username']} is user {user}")
    _say(f"listtypes: ok, {len(tap.modules.shown)} modules")
    streams = [
        one for one in tap.streams.values() if isinstance(one, FailingAlone) and one.selected
    ]
    if not streams:
        _say("No stream is selected.")
    failures = [stream for stream in streams if not _works(stream)]
    if tap.input_catalog is not None:
        tap.modules.look_for(tap.input_catalog)
    for name, why in tap.modules.missing.items():
        _say(f"{name}: FAILED: {why}")
    return bool(streams) and not (failures or tap.modules.missing)


def _say(text: str) -> None:
    click.echo(line(text))


def _works(stream: FailingAlone) -> bool:
    """Try a stream, and say how it went."""
    try:
        record = stream.first()
        if record is not None:
            stream.check(record)
    except Exception as error:  # noqa: BLE001 whatever it is, the other streams are tried
        if why := stream.why(error):
            _say(f"{stream.name}: FAILED: {as_shown(why)}")
            return False
        _say(f"{stream.name}: left out, for its records have no `id`")
        return True
    _say(f"{stream.name}: ok" + (", there are no records" if record is None else ""))
    return True
