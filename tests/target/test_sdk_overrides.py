"""The SDK's internals that the target overrides are where they were, and take what they took."""

from __future__ import annotations

import inspect

import pytest
from singer_sdk import Target
from singer_sdk.contrib.msgspec import MsgSpecReader
from singer_sdk.mapper import StreamMap
from singer_sdk.plugin_base import PluginBase
from singer_sdk.sinks import BatchSink
from singer_sdk.sinks.core import BaseJSONSchemaValidator

from singer_kafinea.plugin import Plugin
from target_kafinea.reader import Reader
from target_kafinea.sdk import SdkSink, SdkTarget
from target_kafinea.sinks import ModuleSink
from target_kafinea.validating import Validator

METHODS = [
    (PluginBase, Plugin, "_validate_config", ("raise_errors",)),
    (PluginBase, Plugin, "cb_config", ("ctx", "param", "value")),
    (Target, SdkTarget, "get_sink_class", ("stream_name",)),
    (Target, SdkTarget, "get_sink", ("stream_name", "record", "schema", "key_properties")),
    (Target, SdkTarget, "process_endofpipe", ()),
    (Target, SdkTarget, "_process_schema_message", ("message_dict",)),
    (Target, SdkTarget, "_process_record_message", ("message_dict",)),
    (Target, SdkTarget, "_process_activate_version_message", ("message_dict",)),
    (Target, SdkTarget, "_process_batch_message", ("message_dict",)),
    (Target, SdkTarget, "_process_state_message", ("message_dict",)),
    (Target, SdkTarget, "_write_state_message", ("state",)),
    (Target, SdkTarget, "_handle_termination", ("signum", "frame")),
    (BatchSink, SdkSink, "__init__", ("target", "stream_name", "schema", "key_properties")),
    (BatchSink, SdkSink, "get_validator", ()),
    (BatchSink, SdkSink, "_add_sdc_metadata_to_record", ("record", "message", "context")),
    (
        *(BatchSink, SdkSink, "_parse_timestamps_in_record"),
        ("record", "schema", "treatment"),
    ),
    (BatchSink, SdkSink, "_after_process_record", ("context",)),
    (BatchSink, ModuleSink, "process_record", ("record", "context")),
    (BatchSink, ModuleSink, "process_batch", ("context",)),
    (MsgSpecReader, Reader, "process_lines", ("file_input", "callbacks")),
    (MsgSpecReader, Reader, "deserialize_json", ("line",)),
    (BaseJSONSchemaValidator, Validator, "validate", ("record",)),
]
"""The SDK's class, ours, the method, and the names of what it takes besides `self`."""

PROPERTIES = [
    (BatchSink, SdkSink, "key_properties"),
    (BatchSink, SdkSink, "include_sdc_metadata_properties"),
    (BatchSink, ModuleSink, "current_size"),
    (BatchSink, ModuleSink, "is_full"),
    (Target, SdkTarget, "max_parallelism"),
]

CALLED = [
    (Target, "drain_all", ("is_endofpipe",)),
    (StreamMap, "transform", ("record",)),
]
"""What ours calls or replaces, and does not override."""


def parameters(owner, name):
    """The names of what a method takes besides `self` or `cls`."""
    method = inspect.getattr_static(owner, name, None)
    assert method is not None, f"singer-sdk: {owner.__name__} has no {name} any more"
    if isinstance(method, (classmethod, staticmethod)):
        method = method.__func__
    return tuple(inspect.signature(method).parameters)[1:]


@pytest.mark.parametrize(
    ("theirs", "ours", "name", "taken"),
    METHODS,
    ids=[f"{row[1].__name__}.{row[2]}" for row in METHODS],
)
def test_overridden_method_is_in_the_sdk_and_takes_the_same(theirs, ours, name, taken):
    told = f"singer-sdk: {theirs.__name__}.{name} takes {parameters(theirs, name)}, not {taken}"
    assert parameters(theirs, name) == taken, f"{told}. See {ours.__module__}.{ours.__name__}"
    sent = dict.fromkeys(taken)
    method = getattr(ours, name)
    unbound = inspect.ismethod(method)  # a class method is bound to its class
    extra = {"parts": None, "message": None} if (ours, name) == (ModuleSink, "__init__") else {}
    inspect.signature(method).bind(*([] if unbound else [None]), **sent, **extra)


@pytest.mark.parametrize(
    ("theirs", "ours", "name"),
    PROPERTIES,
    ids=[f"{row[1].__name__}.{row[2]}" for row in PROPERTIES],
)
def test_overridden_property_is_one_in_the_sdk(theirs, ours, name):
    theirs_has = inspect.getattr_static(theirs, name, None)
    assert isinstance(theirs_has, property), f"singer-sdk: {theirs.__name__}.{name} is no property"
    assert isinstance(inspect.getattr_static(ours, name), property)


@pytest.mark.parametrize(("theirs", "name", "taken"), CALLED)
def test_called_method_is_in_the_sdk_and_takes_the_same(theirs, name, taken):
    assert parameters(theirs, name) == taken


def test_the_table_has_every_override():
    """So a new override gets its row."""
    known = {(row[1], row[2]) for row in [*METHODS, *PROPERTIES]}
    for theirs, ours in ((Target, SdkTarget), (BatchSink, SdkSink), (PluginBase, Plugin)):
        overridden = {
            name
            for name in vars(ours)
            if hasattr(theirs, name) and not name.startswith("__") and name not in INHERENT
        }
        assert overridden <= {name for owner, name in known if owner is ours}, ours


INHERENT = {
    *("_abc_impl", "message_reader_class"),  # not methods: attributes meant to be set
    "_env_var_config",  # the SDK's own `classproperty`
}


def test_variables_of_the_environment_are_a_property_of_the_class():
    assert inspect.getattr_static(PluginBase, "_env_var_config", None) is not None
