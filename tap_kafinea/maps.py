"""The stream maps of the settings: one that fails is a matter of its stream."""

from __future__ import annotations

import traceback
from collections.abc import Collection, Mapping
from fnmatch import fnmatch
from logging import Logger
from types import CodeType
from typing import Any

from singer_sdk.exceptions import MapExpressionError, MappingError
from singer_sdk.mapper import MAPPER_SOURCE_OPTION, CustomStreamMap, PluginMapper
from singer_sdk.singerlib import Catalog
from typing_extensions import override

from kafinea.errors import KafineaError
from kafinea.suggestions import suggestion


class StreamFailed(KafineaError):
    """Leave this stream: something that concerns no other has gone wrong."""


class WrongMap(StreamFailed):
    """Correct the catalog or the stream map."""

    is_final = True


class Mapper(PluginMapper):
    """Makes the stream maps.

    Attributes:
        failures: Why a stream has no map, by its name.
    """

    def __init__(self, config: Mapping[str, Any], logger: Logger) -> None:
        super().__init__(dict(config), logger)
        self.failures: dict[str, StreamFailed] = {}

    @override
    def register_raw_streams_from_catalog(self, catalog: Catalog) -> None:
        for name, entry in catalog.items():
            if entry.stream not in {name, None}:  # the map would be made for the other name
                self.failures[name] = WrongMap(
                    f"the catalog calls it {entry.stream!r}. The `stream` of an entry must equal "
                    "its `tap_stream_id`. To rename the stream, use `__alias__` in `stream_maps`."
                )
                continue
            try:
                super().register_raw_streams_from_catalog(Catalog({name: entry}))
            except Exception as error:  # noqa: BLE001 a setting may be anything, and so its error
                self.failures[name] = WrongMap(_why_not_made(error))


def without_stream(maps: Mapping[str, Any], streams: Collection[str]) -> list[str]:
    """Return a sentence for each stream map that is for no stream: perhaps it should mask one."""
    found = []
    for name, stream_map in maps.items():
        source = (
            stream_map.get(MAPPER_SOURCE_OPTION, name) if isinstance(stream_map, dict) else name
        )
        if not name.startswith("__") and not any(fnmatch(stream, source) for stream in streams):
            found.append(f"`stream_maps`: there is no stream `{source}`.")
            found[-1] += suggestion(source, streams)
    return found


def _why_not_made(error: Exception) -> str:
    made = _locals(error, CustomStreamMap._init_functions_and_schema.__code__)  # noqa: SLF001 the error names no property
    is_of_map = isinstance(error, MappingError | NotImplementedError)
    if is_of_map and not isinstance(error, MapExpressionError):
        return f"`stream_maps`: {str(error).rstrip('.')}."
    if is_of_map or made.get("prop_key"):
        # The error's text shows the expression, which may hold the salt of a hash.
        return f"`stream_maps`, {_place(made.get('prop_key'))}: the expression cannot be parsed."
    return f"its schema in the catalog cannot be used ({type(error).__name__})."


def why_not_written(error: Exception, key: str) -> str:
    """Return which record of a stream could not be mapped or written, and where the map fails."""
    evaluated = _locals(error, CustomStreamMap._eval.__code__)  # noqa: SLF001 the error does not name the property
    if not evaluated:
        return f"record {key} cannot be written: {type(error).__name__}."
    reason = type(error.__cause__ or error).__name__
    hint = (
        "It uses a field or function that does not exist."
        if reason in {"NameNotDefined", "FunctionNotDefined"}
        else "Perhaps a field that it uses is null there."
    )
    return (
        f"`stream_maps`, {_place(evaluated['property_name'])}: the expression fails for record "
        f"{key} ({reason}). {hint}"
    )


def _place(name: str | None) -> str:
    return "`__filter__`" if name is None else f"property `{name}`"


def _locals(error: Exception, code: CodeType) -> Mapping[str, Any]:
    """Return the variables of a function that an error has passed, or none."""
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    return next((frame.f_locals for frame in frames if frame.f_code is code), {})
