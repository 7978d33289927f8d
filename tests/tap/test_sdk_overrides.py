"""What `tap_kafinea/sdk.py` replaces of the Singer SDK is still there, and still called."""

from __future__ import annotations

import inspect
from importlib.metadata import version

import pytest
from singer_sdk import Stream, Tap
from singer_sdk.plugin_base import PluginBase

from tap_kafinea.sdk import KafineaStream, KafineaTap

# The class that defines a member, its parameters, and which of the SDK's methods uses it.
TAP = {
    "_validate_config": (PluginBase, "self, raise_errors", (PluginBase, "__init__")),
    "_handle_termination": (Tap, "self, signum, frame", (PluginBase, "_setup_signal_handlers")),
    "_set_compatible_replication_methods": (Tap, "self", (Tap, "sync_all")),
    "setup_mapper": (Tap, "self", (Tap, "__init__")),
    "invoke": (Tap, "cls, about, about_format, config, state, catalog", None),
    "get_singer_command": (Tap, "cls", None),
    "cb_discover": (Tap, "cls, ctx, param, value", (Tap, "get_singer_command")),
    "cb_test": (Tap, "cls, ctx, param, value", (Tap, "get_singer_command")),
    "capabilities": (Tap, None, None),
    "dynamic_catalog": (Tap, None, (Tap, "cb_discover")),
    "message_writer_class": (Tap, None, None),
}
STREAM = {
    "_write_schema_message": (Stream, "self", (Stream, "sync")),
    "_sync_records": (Stream, "self, context, write_messages", (Stream, "sync")),
    "_write_record_message": (Stream, "self, record", (Stream, "_sync_records")),
    "_generate_record_messages": (Stream, "self, record", (Stream, "_write_record_message")),
    "_increment_stream_state": (Stream, "self, latest_record, context", (Stream, "_sync_records")),
    "_write_state_message": (Stream, "self", (Stream, "_sync_records")),
    "generate_child_contexts": (Stream, "self, record, context", (Stream, "_process_record")),
    "get_batch_config": (Stream, "self, config", (Stream, "sync")),
    "get_replication_key_signpost": (Stream, "self, context", (Stream, "sync")),
    "emit_activate_version_messages": (Stream, "self", (Stream, "sync")),
    "get_records": (Stream, "self, context", (Stream, "_sync_records")),
    "log": (Stream, "self, message, args, level, kwargs", (Stream, "sync")),
    "log_sync_costs": (Stream, "self", (Tap, "sync_all")),
    "TYPE_CONFORMANCE_LEVEL": (Stream, None, (Stream, "_generate_record_messages")),
}
CASES = [
    *((KafineaTap, name, *row) for name, row in TAP.items()),
    *((KafineaStream, name, *row) for name, row in STREAM.items()),
]
USED = {
    Stream: ("_write_activate_version_message", "stream_state", "mask"),
    Tap: ("load_streams", "sync_all", "input_catalog"),
}
SDK = f"singer-sdk {version('singer-sdk')}"


def member(cls, name):
    return inspect.unwrap(function(vars(cls)[name]))


def function(found):
    if isinstance(found, property):
        return found.fget
    return getattr(found, "__func__", found)


def parameters(cls, name):
    return inspect.signature(member(cls, name)).parameters


@pytest.mark.parametrize(("ours", "name", "theirs", "expected", "caller"), CASES)
def test_an_override_replaces_what_the_sdk_has_and_calls(ours, name, theirs, expected, caller):
    see = f"see tap_kafinea/sdk.py, {ours.__name__}.{name}"
    assert name in vars(theirs), f"{SDK} has no {theirs.__name__}.{name} any more: {see}"
    if expected is not None:
        now = ", ".join(parameters(theirs, name))
        assert now == expected, f"{SDK} has other parameters for {theirs.__name__}.{name}: {see}"
    if caller is not None:
        source = inspect.getsource(member(*caller))
        used = f"{caller[0].__name__}.{caller[1]}"
        assert f".{name}" in source, f"{SDK} does not use {name} in {used} any more: {see}"


@pytest.mark.parametrize(("ours", "name", "theirs", "expected"), [case[:4] for case in CASES])
def test_an_override_takes_what_the_sdk_passes(ours, name, theirs, expected):
    if expected is None:
        return
    own, sdk = parameters(ours, name), parameters(theirs, name)
    kinds = {one.kind for one in own.values()}
    for parameter in sdk.values():
        is_taken = parameter.name in own or inspect.Parameter.VAR_KEYWORD in kinds
        assert is_taken, f"{ours.__name__}.{name} does not take {parameter.name!r} of {SDK}"


@pytest.mark.parametrize(
    ("ours", "theirs", "table"), [(KafineaTap, Tap, TAP), (KafineaStream, Stream, STREAM)]
)
def test_each_override_is_in_the_table(ours, theirs, table):
    own = {name for name in vars(ours) if not name.startswith(("__", "_abc"))}
    assert {name for name in own if hasattr(theirs, name)} == table.keys()


@pytest.mark.parametrize(("cls", "name"), [(cls, name) for cls in USED for name in USED[cls]])
def test_what_is_called_of_the_sdk_is_there(cls, name):
    assert hasattr(cls, name), f"{SDK} has no {cls.__name__}.{name} any more"
