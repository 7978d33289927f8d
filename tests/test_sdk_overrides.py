"""What our classes override of the Singer SDK is still there, takes the same, and is called.

The tests find the overrides themselves: a new one needs `@override` and a row in `OVERRIDES`.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from singer_sdk import Stream, Tap, Target
from singer_sdk.contrib.msgspec import MsgSpecReader, MsgSpecWriter
from singer_sdk.mapper import CustomStreamMap, PluginMapper, StreamMap
from singer_sdk.plugin_base import PluginBase
from singer_sdk.singerlib.encoding.base import GenericSingerReader
from singer_sdk.sinks import BatchSink, Sink
from singer_sdk.sinks.core import BaseJSONSchemaValidator

import singer_kafinea
import tap_kafinea
import target_kafinea
from singer_kafinea.plugin import Plugin
from tap_kafinea.maps import Mapper
from tap_kafinea.sdk import KafineaStream, KafineaTap
from tap_kafinea.streams import PassStream
from tap_kafinea.tap import TapKafinea
from tap_kafinea.writing import Writer
from target_kafinea.reader import Reader
from target_kafinea.sdk import SdkSink, SdkTarget
from target_kafinea.sinks import ModuleSink
from target_kafinea.target import TargetKafinea
from target_kafinea.validating import Validator

SDK = f"singer-sdk {version('singer-sdk')}"


class Row(NamedTuple):
    """What the SDK has.

    Attributes:
        theirs: The class that defines the member.
        parameters: The names of what a method takes; None if it is not a method.
        caller: The method of the SDK that uses the member.
    """

    theirs: type
    parameters: str | None = None
    caller: tuple[type, str] | None = None


OVERRIDES: dict[type, dict[str, Row]] = {
    Plugin: {
        "_env_var_config": Row(PluginBase),
        "_validate_config": Row(PluginBase, "self, raise_errors", (PluginBase, "__init__")),
        "cb_config": Row(PluginBase, "cls, ctx, param, value"),
    },
    KafineaTap: {
        "_validate_config": Row(PluginBase, "self, raise_errors", (PluginBase, "__init__")),
        "_handle_termination": Row(
            Tap, "self, signum, frame", (PluginBase, "_setup_signal_handlers")
        ),
        "_set_compatible_replication_methods": Row(Tap, "self", (Tap, "sync_all")),
        "setup_mapper": Row(Tap, "self", (Tap, "__init__")),
        "invoke": Row(Tap, "cls, about, about_format, config, state, catalog"),
        "get_singer_command": Row(Tap, "cls"),
        "cb_discover": Row(Tap, "cls, ctx, param, value", (Tap, "get_singer_command")),
        "cb_test": Row(Tap, "cls, ctx, param, value", (Tap, "get_singer_command")),
        "capabilities": Row(Tap),
        "dynamic_catalog": Row(Tap, None, (Tap, "cb_discover")),
        "message_writer_class": Row(Tap),
    },
    TapKafinea: {
        "package_name": Row(PluginBase),
        "config_jsonschema": Row(PluginBase),
        "discover_streams": Row(Tap, "self", (Tap, "load_streams")),
    },
    KafineaStream: {
        "_generate_schema_messages": Row(Stream, "self", (Stream, "_write_schema_message")),
        "_write_schema_message": Row(Stream, "self", (Stream, "sync")),
        "_sync_records": Row(Stream, "self, context, write_messages", (Stream, "sync")),
        "_write_record_message": Row(Stream, "self, record", (Stream, "_sync_records")),
        "_generate_record_messages": Row(Stream, "self, record", (Stream, "_write_record_message")),
        "_increment_stream_state": Row(
            Stream, "self, latest_record, context", (Stream, "_sync_records")
        ),
        "_write_starting_replication_value": Row(
            Stream, "self, context", (Stream, "_sync_records")
        ),
        "_write_state_message": Row(Stream, "self", (Stream, "_sync_records")),
        "generate_child_contexts": Row(
            Stream, "self, record, context", (Stream, "_process_record")
        ),
        "get_batch_config": Row(Stream, "self, config", (Stream, "sync")),
        "get_replication_key_signpost": Row(Stream, "self, context", (Stream, "sync")),
        "emit_activate_version_messages": Row(Stream, None, (Stream, "sync")),
        "get_records": Row(Stream, "self, context", (Stream, "_sync_records")),
        "log": Row(Stream, "self, message, args, level, kwargs", (Stream, "sync")),
        "log_sync_costs": Row(Stream, "self", (Tap, "sync_all")),
        "TYPE_CONFORMANCE_LEVEL": Row(Stream, None, (Stream, "_generate_record_messages")),
    },
    PassStream: {
        "STATE_MSG_FREQUENCY": Row(Stream, None, (Stream, "_sync_records")),
        "apply_catalog": Row(Stream, "self, catalog", (Tap, "streams")),
    },
    Mapper: {
        "register_raw_streams_from_catalog": Row(PluginMapper, "self, catalog"),
    },
    Writer: {
        "write_message": Row(MsgSpecWriter, "self, message"),
    },
    SdkTarget: {
        "message_reader_class": Row(Target),
        "get_sink_class": Row(Target, "self, stream_name", (Target, "add_sink")),
        "get_sink": Row(
            Target,
            "self, stream_name, record, schema, key_properties",
            (Target, "_process_record_message"),
        ),
        "process_endofpipe": Row(Target, "self"),
        "_process_schema_message": Row(Target, "self, message_dict"),
        "_process_record_message": Row(Target, "self, message_dict"),
        "_process_activate_version_message": Row(Target, "self, message_dict"),
        "_process_batch_message": Row(Target, "self, message_dict"),
        "_process_state_message": Row(Target, "self, message_dict"),
        "_write_state_message": Row(Target, "self, state", (Target, "drain_all")),
        "_handle_termination": Row(
            Target, "self, signum, frame", (PluginBase, "_setup_signal_handlers")
        ),
    },
    TargetKafinea: {
        "package_name": Row(PluginBase),
        "config_jsonschema": Row(PluginBase),
    },
    SdkSink: {
        "__init__": Row(Sink, "self, target, stream_name, schema, key_properties"),
        "key_properties": Row(Sink, None, (Target, "get_sink")),
        "include_sdc_metadata_properties": Row(Sink, None, (Target, "_process_record_message")),
        "get_validator": Row(Sink, "self", (Sink, "__init__")),
        "_add_sdc_metadata_to_record": Row(
            Sink, "self, record, message, context", (Target, "_process_record_message")
        ),
        "_parse_timestamps_in_record": Row(Sink, "self, record, schema, treatment"),
        "_after_process_record": Row(Sink, "self, context", (Target, "_process_record_message")),
    },
    ModuleSink: {
        "MAX_SIZE_DEFAULT": Row(Sink, None, (Sink, "max_size")),
        "current_size": Row(Sink, None, (Sink, "is_full")),
        "is_full": Row(Sink, None, (Target, "_process_record_message")),
        "process_record": Row(
            BatchSink, "self, record, context", (Target, "_process_record_message")
        ),
        "process_batch": Row(BatchSink, "self, context", (Target, "drain_one")),
    },
    Reader: {
        "process_lines": Row(GenericSingerReader, "self, file_input, callbacks"),
        "deserialize_json": Row(
            MsgSpecReader, "self, line", (GenericSingerReader, "process_lines")
        ),
    },
    Validator: {
        "validate": Row(BaseJSONSchemaValidator, "self, record"),
    },
}
ROWS = [(ours, name, row) for ours, rows in OVERRIDES.items() for name, row in rows.items()]
ROW_NAMES = [f"{ours.__name__}.{name}" for ours, name, _ in ROWS]

CALLED: list[tuple[type, str, str | None]] = [
    (Stream, "_write_activate_version_message", None),
    (Stream, "stream_state", None),
    (Stream, "mask", None),
    (Tap, "load_streams", "self"),
    (Tap, "sync_all", "self"),
    (Tap, "input_catalog", None),
    (Target, "drain_all", "self, is_endofpipe"),
    (Target, "max_parallelism", None),
    (StreamMap, "transform", "self, record"),
    (CustomStreamMap, "_init_functions_and_schema", None),
    (CustomStreamMap, "_eval", None),
]
"""What ours calls, replaces or looks for in tracebacks, and does not override: the class, the
member, and the names of what a method takes if that matters."""


def our_classes() -> Iterator[type]:
    """Yield our classes that are made from one of the SDK."""
    for package in (singer_kafinea, tap_kafinea, target_kafinea):
        for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            module = importlib.import_module(found.name)
            for cls in vars(module).values():
                is_ours = isinstance(cls, type) and cls.__module__ == found.name
                if is_ours and any(map(is_of_sdk, cls.__mro__)):
                    yield cls


def is_of_sdk(cls: type) -> bool:
    return cls.__module__.startswith("singer_sdk")


def bases_with(cls: type, name: str) -> list[type]:
    """Return the classes below one of ours that define a member, the nearest first."""
    return [base for base in cls.__mro__[1:] if name in vars(base)]


def function(found: Any) -> Any:
    return found.fget if isinstance(found, property) else getattr(found, "__func__", found)


def parameters(cls: type, name: str) -> dict[str, inspect.Parameter]:
    assert name in vars(cls), f"{SDK} has no {cls.__name__}.{name} any more."
    method = inspect.unwrap(function(vars(cls)[name]))
    return dict(inspect.signature(method).parameters)


def place(cls: type, name: str) -> str:
    return f"{cls.__module__}.{cls.__name__}.{name}"


MARKED = [
    (cls, name)
    for cls in our_classes()
    for name, found in vars(cls).items()
    if getattr(function(found), "__override__", False)
]
OF_SDK = [
    (cls, name)
    for cls in our_classes()
    for name in vars(cls)
    if not name.startswith(("__", "_abc")) and any(map(is_of_sdk, bases_with(cls, name)[:1]))
]


@pytest.mark.parametrize(
    ("cls", "name"), MARKED, ids=[f"{cls.__name__}.{name}" for cls, name in MARKED]
)
def test_override_overrides_something(cls, name):
    assert bases_with(cls, name), (
        f"{SDK} has no `{name}` any more, which {place(cls, name)} overrides. "
        "Find what the SDK calls instead."
    )


@pytest.mark.parametrize(
    ("cls", "name"), OF_SDK, ids=[f"{cls.__name__}.{name}" for cls, name in OF_SDK]
)
def test_override_is_marked_and_has_a_row(cls, name):
    found = vars(cls)[name]
    is_method = isinstance(found, (property, classmethod, staticmethod)) or inspect.isfunction(
        found
    )
    assert not is_method or (cls, name) in MARKED, (
        f"{place(cls, name)} overrides a member of {SDK}. Mark it with `@override`."
    )
    assert name in OVERRIDES.get(cls, {}), (
        f"{place(cls, name)} overrides a member of {SDK}. Add a row to OVERRIDES in "
        f"tests/{Path(__file__).name}."
    )


@pytest.mark.parametrize(("ours", "name", "row"), ROWS, ids=ROW_NAMES)
def test_overridden_member_is_in_the_sdk_and_called(ours, name, row):
    theirs = f"{row.theirs.__name__}.{name}"
    see = f"Change {place(ours, name)}, then its row in tests/{Path(__file__).name}."
    assert name in vars(ours), f"{place(ours, name)} is not there any more. Remove its row."
    assert name in vars(row.theirs), f"{SDK} has no {theirs} any more. {see}"
    if isinstance(vars(ours)[name], property):
        is_property = isinstance(vars(row.theirs)[name], property)
        assert is_property, f"{theirs} of {SDK} is not a property any more. {see}"
    if row.parameters is not None:
        now = ", ".join(parameters(row.theirs, name))
        assert now == row.parameters, f"{theirs} of {SDK} takes ({now}). {see}"
    if row.caller is not None:
        cls, method = row.caller
        caller = f"{cls.__name__}.{method}"
        assert method in vars(cls), f"{SDK} has no {caller} any more, which called {name}. {see}"
        source = inspect.getsource(inspect.unwrap(function(vars(cls)[method])))
        assert f".{name}" in source, f"{caller} of {SDK} does not use {name} any more. {see}"


@pytest.mark.parametrize(("ours", "name", "row"), ROWS, ids=ROW_NAMES)
def test_override_takes_what_the_sdk_passes(ours, name, row):
    if row.parameters is None:
        return
    sent = [
        parameter.name
        for parameter in parameters(row.theirs, name).values()
        if parameter.kind not in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}
    ]
    own = inspect.Signature(list(parameters(ours, name).values()))
    try:
        own.bind(None, **dict.fromkeys(sent[1:]))
    except TypeError as error:
        pytest.fail(f"{place(ours, name)} does not take what {SDK} passes: {error}.")


@pytest.mark.parametrize(("cls", "name", "taken"), CALLED)
def test_called_member_is_in_the_sdk_and_takes_the_same(cls, name, taken):
    assert hasattr(cls, name), f"{SDK} has no {cls.__name__}.{name} any more."
    if taken is not None:
        now = ", ".join(parameters(cls, name))
        assert now == taken, f"{cls.__name__}.{name} of {SDK} takes ({now}), not ({taken})."
