"""The catalog that a run is given: its shape, what it selects, and how streams are replicated."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import msgspec
from singer_sdk.singerlib import Catalog, CatalogEntry
from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE, REPLICATION_INCREMENTAL
from singer_sdk.streams import Stream

from kafinea.errors import KafineaError, SettingsError
from kafinea.shown import shown
from kafinea.suggestions import listed

logger = logging.getLogger("tap-kafinea")

NEW_CATALOG = "Create a new catalog: `tap-kafinea --discover`."

_METHODS = (REPLICATION_FULL_TABLE, REPLICATION_INCREMENTAL)


# The shape of a catalog, as far as it is read


class _Property(msgspec.Struct):
    type: str | list[str] | None = None
    format: str | None = None
    title: str | None = None
    description: str | None = None
    items: _Property | None = None
    properties: dict[str, _Property] | None = None


class _Schema(msgspec.Struct):
    properties: dict[str, _Property]
    title: str | None = None
    required: list[str] | None = None


class _Root(msgspec.Struct, rename="kebab"):
    """The metadata at the breadcrumb `[]`, and what there is of it at others."""

    replication_method: str | None = None
    forced_replication_method: str | None = None
    replication_key: str | None = None


class _Metadata(msgspec.Struct):
    breadcrumb: list[str]
    metadata: _Root


class _Stream(msgspec.Struct):
    tap_stream_id: str
    schema: _Schema
    stream: str | None = None
    key_properties: list[str] | None = None
    replication_method: str | None = None
    replication_key: str | None = None
    metadata: list[_Metadata] | None = None


class _Catalog(msgspec.Struct):
    streams: list[_Stream]


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
    try:
        msgspec.convert(given, _Catalog)
        streams = [{**one, "metadata": one.get("metadata") or []} for one in given["streams"]]
        catalog = Catalog.from_dict({"streams": streams})
    except msgspec.ValidationError as error:
        raise _no_catalog(f": {shown(error).rstrip('.')}") from None
    except Exception:  # noqa: BLE001 the SDK reads the rest of it, and trusts it
        raise _no_catalog("") from None
    for stream in streams:
        entry = catalog[stream["tap_stream_id"]]
        entry.replication_method = _method(entry, _at_the_stream(stream))
    return catalog


def _no_catalog(why: str) -> SettingsError:
    return SettingsError(f"The catalog is not a Singer catalog{why}. {NEW_CATALOG}")


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
