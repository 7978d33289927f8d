"""`tap-kafinea --test`: the login, the modules, and one record of each selected stream."""

from __future__ import annotations

from collections.abc import Iterable

import click
from singer_sdk.streams import Stream

from kafinea.masking import line
from tap_kafinea.context import RunContext
from tap_kafinea.failing import as_shown
from tap_kafinea.sdk import KafineaStream

ONE_RECORD = {"page_size": 1, "max_sessions": 1, "deletions": "off"}
"""Settings with which nothing is requested ahead, and no scan reads the ids of whole modules."""


def run(
    context: RunContext, streams: Iterable[Stream], username: str, catalog: Iterable[str] | None
) -> bool:
    """Print a line for each thing that is tried, and return whether all of them work.

    Args:
        context: What the streams share.
        streams: The streams; those that are selected are tried.
        username: The user, for messages.
        catalog: The names in the catalog that was given, if one was.

    Raises:
        KafineaError: The login or `listtypes` fails, so nothing else can be tried.
    """
    user, modules = context.client.user_id(), context.modules
    _say(f"login: ok, {username} is user {user}")
    _say(f"listtypes: ok, {len(modules.shown)} modules")
    tried = [stream for stream in streams if isinstance(stream, KafineaStream) and stream.selected]
    if not tried:
        _say("No stream is selected.")
    failures = [stream for stream in tried if not _works(stream)]
    if catalog is not None:
        modules.look_for(catalog)
    for name, why in modules.missing.items():
        _say(f"{name}: FAILED: {why}")
    return bool(tried) and not (failures or modules.missing)


def _say(text: str) -> None:
    click.echo(line(text))


def _works(stream: KafineaStream) -> bool:
    """Try a stream, and print the result."""
    try:
        record = stream.first()
        if record is not None:
            stream.check(record)
    except Exception as error:  # noqa: BLE001 whatever it is, the other streams are tried
        if why := stream.why(error):
            _say(f"{stream.name}: FAILED: {as_shown(why)}")
            return False
        _say(f"{stream.name}: left out, because its records have no `id`")
        return True
    _say(f"{stream.name}: ok" + (", there are no records" if record is None else ""))
    return True
