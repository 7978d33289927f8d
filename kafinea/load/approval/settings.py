"""The settings that decide what a load writes: a plan holds for them, and for no others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields
from typing import Any

import msgspec

from kafinea.load.options import LoadOptions
from kafinea.load.stream_mapping import StreamMapping

_INDIFFERENT = frozenset(
    {"dry_run", "plan_path", "undo_path", "update_method", "serial_modules", "files_path"}
)
"""Options that change how something is written, and not what. Files are known by their digest."""


def deciding(
    options: LoadOptions, timezone: str, streams: Mapping[str, Mapping[str, Any] | None]
) -> dict[str, Any]:
    """Return these settings as JSON has them.

    Args:
        options: The options of the load.
        timezone: The server's time zone.
        streams: The settings of each stream.

    Raises:
        SettingsError: The settings of a stream cannot be used.
    """
    chosen = {one.name: getattr(options, one.name) for one in fields(options)}
    settings = {
        **{name: value for name, value in chosen.items() if name not in _INDIFFERENT},
        "timezone": timezone,
        "streams": {
            name: asdict(StreamMapping.parse(name, entry or {})) for name, entry in streams.items()
        },
    }
    same: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(settings))
    return same


def differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Return the names of the settings that differ, such as `timezone` or `streams.visitors`."""
    return sorted(_differing(one, other, ""))


def _differing(one: Mapping[str, Any], other: Mapping[str, Any], prefix: str) -> Iterator[str]:
    for name in one.keys() | other.keys():
        left, right = one.get(name), other.get(name)
        if left == right:
            continue
        if prefix.count(".") < 2 and isinstance(left, dict) and isinstance(right, dict):
            yield from _differing(left, right, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"
