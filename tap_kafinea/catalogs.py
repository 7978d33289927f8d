"""The catalog that a run is given: its shape, what it selects, and how streams are replicated."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from singer_sdk.singerlib import Catalog, CatalogEntry
from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE, REPLICATION_INCREMENTAL
from singer_sdk.streams import Stream

from kafinea.errors import KafineaError, SettingsError
from kafinea.suggestions import listed

logger = logging.getLogger("tap-kafinea")

NEW_CATALOG = "Create a new catalog: `tap-kafinea --discover`."

_METHODS = (REPLICATION_FULL_TABLE, REPLICATION_INCREMENTAL)


class WrongEntry(KafineaError):
    """The catalog specifies something that a stream cannot do. The others can be read."""


def catalog_of(given: Any) -> Catalog | None:
    """Return the Singer catalog in what somebody gave as one.

    Each entry has the replication method that counts: the SDK does not read what
    `meltano select` and `metadata:` write at the breadcrumb `[]`.

    Raises:
        SettingsError: It is something else.
    """
    if given is None or isinstance(given, Catalog):
        return given
    if not _is_catalog(given):
        raise SettingsError(
            "The catalog is not a Singer catalog. Create one with `tap-kafinea --discover`."
        )
    streams = [{**one, "metadata": one.get("metadata") or []} for one in given["streams"]]
    catalog = Catalog.from_dict({"streams": streams})
    for stream in streams:
        entry = catalog[stream["tap_stream_id"]]
        entry.replication_method = _method(entry, _at_the_stream(stream))
    return catalog


def _method(entry: CatalogEntry, metadata: Mapping[str, Any]) -> str | None:
    """Return the method that counts.

    Discovery writes its own at the entry, so what a user adds to the metadata comes first. Singer
    calls a method forced when the stream has no other.
    """
    method = metadata.get("replication-method")
    forced = entry.metadata.root.forced_replication_method
    if forced == REPLICATION_FULL_TABLE:
        if method == REPLICATION_INCREMENTAL:
            _warn_of_whole(entry)
        return forced
    return method or entry.replication_method or forced


def _at_the_stream(stream: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the metadata at the breadcrumb `[]`."""
    entries = (entry for entry in stream["metadata"] if not entry["breadcrumb"])
    return next((entry["metadata"] for entry in entries), {})


def replication(entry: CatalogEntry, key: str, *, has_key: bool) -> tuple[str, str | None]:
    """Return how a stream is replicated, and by which key.

    Args:
        entry: Its entry in the catalog.
        key: The only key by which it can be.
        has_key: Whether it has that key.

    Raises:
        WrongEntry: The catalog specifies another method or key.
    """
    keys = {name for name in (entry.replication_key, entry.metadata.root.replication_key) if name}
    method = entry.replication_method
    if method not in {*_METHODS, None}:
        raise WrongEntry(
            f"The catalog specifies the replication method {method!r}. Use {' or '.join(_METHODS)}."
        )
    if method == REPLICATION_FULL_TABLE or not (method or keys):
        return REPLICATION_FULL_TABLE, None
    if others := keys - {key}:
        raise WrongEntry(
            f"The catalog specifies the replication key {min(others)!r}. Only {key!r} can be a "
            "replication key."
        )
    if has_key:
        return REPLICATION_INCREMENTAL, key
    _warn_of_whole(entry)
    return REPLICATION_FULL_TABLE, None


def _warn_of_whole(entry: CatalogEntry) -> None:
    if entry.metadata.resolve_selection().get((), True):
        logger.warning(
            "%s: the catalog specifies INCREMENTAL, but the stream has no `modifiedtime`. "
            "It is read in full in each run.",
            entry.tap_stream_id,
        )


def check_selection(streams: Mapping[str, Stream]) -> None:
    """Check that there is something to extract.

    Raises:
        SettingsError: There is nothing.
    """
    if not streams:
        raise SettingsError(
            "Nothing to extract: the catalog has no stream, or none that `modules` selects. "
            "Create one with `tap-kafinea --discover`."
        )
    if not any(stream.selected for stream in streams.values()):
        raise SettingsError(
            f"No stream is selected. Available: {listed(streams)}. With Meltano, correct "
            "`select`. Without Meltano, set `selected` in the catalog. See "
            'docs/first-extraction.md, "Choose what to extract".'
        )


def _is_catalog(given: Any) -> bool:
    streams = given.get("streams") if isinstance(given, Mapping) else None
    return isinstance(streams, list) and all(
        isinstance(stream, Mapping)
        and isinstance(stream.get("tap_stream_id"), str)
        and isinstance(stream.get("schema"), Mapping)
        and isinstance(stream["schema"].get("properties"), Mapping)
        and all(
            isinstance(definition, Mapping)
            for definition in stream["schema"]["properties"].values()
        )
        and all(map(_is_metadata, stream.get("metadata") or ()))
        for stream in streams
    )


def _is_metadata(given: Any) -> bool:
    return (
        isinstance(given, Mapping)
        and isinstance(given.get("breadcrumb"), list)
        and isinstance(given.get("metadata"), Mapping)
    )
