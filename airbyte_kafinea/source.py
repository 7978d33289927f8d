"""What the commands do: the settings, the streams and their records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import jsonschema

from airbyte_kafinea import messages
from kafinea import Client
from kafinea.describe import LINE_MODULE, LINES, MODIFIED, Field, Module
from kafinea.errors import KafineaError, SettingsError
from kafinea.extract.checkpoint import Checkpoint
from kafinea.extract.clock import Clock
from kafinea.extract.discovery import Modules
from kafinea.extract.extraction import Extraction
from kafinea.extract.line_fields import line_fields, line_module
from kafinea.extract.options import Options
from kafinea.values import ValueType, value_type_of

_SETTINGS: dict[str, dict[str, Any]] = {
    "url": {
        "type": "string",
        "description": "Address of your Kafinea, such as https://apps.kafinea.com/YourKafinea",
    },
    "username": {"type": "string", "description": "Name of the API user"},
    "access_key": {
        "type": "string",
        "airbyte_secret": True,
        "description": 'Access key of the API user ("My preferences" in Kafinea), not the password',
    },
    "timezone": {
        "type": "string",
        "description": "Time zone of the server, such as Europe/Paris. If not set: UTC",
    },
    "modules": {
        "type": "array",
        "items": {"type": "string"},
        "description": "Names or patterns; `!` before one excludes it. If empty: all modules",
    },
    "start_date": {
        "type": "string",
        "description": "On the first run, extract only records modified at or after this time",
    },
    "max_sessions": {
        "type": "integer",
        "minimum": 1,
        "maximum": 64,
        "default": 4,
        "description": "Maximum number of concurrent sessions",
    },
}
_SCHEMA = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "title": "Kafinea",
    "type": "object",
    "required": ["url", "username", "access_key"],
    "properties": _SETTINGS,
}
SPECIFICATION = {"supportsIncremental": True, "connectionSpecification": _SCHEMA}

_TYPES: dict[ValueType, dict[str, Any]] = {
    ValueType.TEXT: {"type": ["null", "string"]},
    ValueType.BOOLEAN: {"type": ["null", "boolean"]},
    ValueType.INTEGER: {"type": ["null", "integer"]},
    ValueType.NUMBER: {"type": ["null", "number"]},
    ValueType.DATE: {"type": ["null", "string"], "format": "date"},
    ValueType.DATETIME: {
        "type": ["null", "string"],
        "format": "date-time",
        "airbyte_type": "timestamp_with_timezone",
    },
    ValueType.LIST: {"type": ["null", "array"], "items": {"type": "string"}},
}


def discover(config: Any) -> list[dict[str, Any]]:
    """Return the streams: the modules that the settings select.

    Raises:
        SettingsError: A setting is wrong, or selects what cannot be read.
    """
    with _connect(config) as client:
        modules = _modules(client, config)
        described = modules.described
        if modules.missing:
            raise SettingsError(" ".join(map(str, modules.missing.values())))
        has_documents = any(module.is_inventory for module in described)
        line = line_module(client) if has_documents else None
    # Documents bring their lines; by themselves, all lines would be read in each run.
    wanted = (one for one in described if one.name != LINE_MODULE or not has_documents)
    return [_stream(module, line) for module in wanted]


def _stream(module: Module, line: Module | None) -> dict[str, Any]:
    properties = _properties(module.fields[name] for name in module.readable)
    if module.is_inventory:
        lines = {"type": "object", "properties": _properties(line_fields(module, line))}
        properties[LINES] = {"type": ["null", "array"], "items": lines}
    stream: dict[str, Any] = {
        "name": module.name,
        "json_schema": {"type": "object", "properties": properties},
        "supported_sync_modes": ["full_refresh"],
        "source_defined_primary_key": [["id"]],
    }
    if MODIFIED in module.fields:
        stream["supported_sync_modes"] = ["full_refresh", "incremental"]
        stream |= {"source_defined_cursor": True, "default_cursor_field": [MODIFIED]}
    return stream


def _properties(fields: Iterable[Field]) -> dict[str, Any]:
    return {
        field.name: {**_TYPES[value_type_of(field.type)], "description": field.label}
        for field in fields
    }


@dataclass(frozen=True)
class _Selected:
    """A stream that Airbyte selects: its columns, and for a full refresh no checkpoint."""

    name: str
    columns: Sequence[str]
    checkpoint: Checkpoint | None


def read(config: Any, catalog: Mapping[str, Any], state: Any) -> bool:
    """Write the records of the streams of a catalog, and the state after each batch.

    Returns:
        Whether some of them could not be read.

    Raises:
        SettingsError: A setting is wrong.
        StateError: The state was written by another program.
    """
    streams = _selected(catalog, state)
    with _connect(config) as client:
        clock = Clock(config.get("timezone"), client.server_time, full_refresh="refresh them")
        clock.begin({one.name: one.checkpoint for one in streams if one.checkpoint})
        start = clock.zone.setting("start_date", config.get("start_date"))
        modules, failed = _modules(client, config), False
        for stream in streams:
            messages.write_status(stream.name, "STARTED")
            why = None
            try:
                _write(stream, _extraction(client, stream, clock, Options(start=start)))
            except KafineaError as error:
                why = modules.why(stream.name, error)
            if why:
                failed = True
                messages.write_failure(f"{stream.name}: {why}", "system_error")
            messages.write_status(stream.name, "INCOMPLETE" if why else "COMPLETE")
    return failed


def _selected(catalog: Mapping[str, Any], state: Iterable[Mapping[str, Any]]) -> list[_Selected]:
    kept = {
        one["stream"]["stream_descriptor"]["name"]: one["stream"].get("stream_state") or {}
        for one in state
    }
    selected = []
    for configured in catalog["streams"]:
        name = configured["stream"]["name"]
        is_incremental = configured["sync_mode"] == "incremental"
        checkpoint = Checkpoint.from_dict(kept.get(name, {})) if is_incremental else None
        columns = [*configured["stream"]["json_schema"]["properties"]]
        selected.append(_Selected(name, columns, checkpoint))
    return selected


def _extraction(client: Client, stream: _Selected, clock: Clock, options: Options) -> Extraction:
    there = client.describe(stream.name).fields  # a column of the catalog may be gone
    return Extraction(
        client,
        stream.name,
        [name for name in stream.columns if name in there],
        line_items=LINES in stream.columns,
        timezone=clock,
        options=options,
    )


def _write(stream: _Selected, extraction: Extraction) -> None:
    types = extraction.fields.record
    times = [name for name, one in types.items() if one is ValueType.DATETIME]
    for batch in extraction.start(stream.checkpoint).batches():
        for row in batch.rows:  # in UTC, because some destinations drop the offset
            row.update((name, _in_utc(row[name])) for name in times if row[name])
        messages.write_records(stream.name, batch.rows)
        if stream.checkpoint:
            messages.write_state(stream.name, batch.checkpoint.to_dict())


def _in_utc(time: str) -> str:
    try:
        return datetime.fromisoformat(time).astimezone(timezone.utc).isoformat()
    except OverflowError:  # of the years 1 and 9999
        return time


def _connect(config: Any) -> Client:
    """Return a client, which logs out when it is closed.

    Raises:
        SettingsError: A setting is wrong.
    """
    for error in jsonschema.Draft7Validator(_SCHEMA).iter_errors(config):
        raise SettingsError(_wrong(error))
    names = ("url", "username", "access_key", "max_sessions")
    return Client(**{name: config[name] for name in names if name in config})


def _wrong(error: jsonschema.ValidationError) -> str:
    """Return what is wrong, without the value, which may be the access key."""
    if error.validator == "required":
        return f"A setting is missing: {error.message}."
    name = str(next(iter(error.absolute_path), ""))
    return f"The setting `{name}` cannot be used. {error.validator}: {error.validator_value}."


def _modules(client: Client, config: Mapping[str, Any]) -> Modules:
    return Modules(client, client.username, config.get("modules") or [])
