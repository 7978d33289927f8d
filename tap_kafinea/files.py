"""The files of documents: a stream that tells of them, and their contents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from singer_sdk.streams import Stream

from kafinea.describe import Module

if TYPE_CHECKING:
    from tap_kafinea.tap import TapKafinea


def discover(tap: TapKafinea, modules: Sequence[Module]) -> list[Stream]:
    """Return the streams that the settings ask for."""
    return []


def from_catalog(tap: TapKafinea, name: str, schema: Mapping[str, Any]) -> Stream | None:
    """Return the stream of a catalog entry, if it is one of these."""
    return None
