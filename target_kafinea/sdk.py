"""Where the target departs from the Singer SDK: every override of its internals, and why.

`SdkTarget` and `SdkSink` are what the rest of the target builds on. `test_sdk_overrides.py` fails
when a newer SDK has renamed or changed one of these methods. The overrides that tap and target
share are in `singer_kafinea.plugin`.
"""

from __future__ import annotations

import os
import sys
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from functools import partial
from types import FrameType
from typing import Any

from singer_sdk import Target
from singer_sdk.contrib.msgspec import encoder
from singer_sdk.exceptions import MappingError, SingerSDKError
from singer_sdk.mapper import StreamMap
from singer_sdk.sinks import BatchSink, Sink
from singer_sdk.sinks.core import BaseJSONSchemaValidator
from typing_extensions import override

from kafinea import progress
from kafinea.errors import KafineaError, SettingsError
from kafinea.shown import place_of
from singer_kafinea.plugin import Plugin
from target_kafinea.reader import InputError, Message, Reader
from target_kafinea.validating import Validator


class SdkTarget(Plugin, Target):
    """The SDK's target, as this one needs it. What is abstract here, the target does."""

    message_reader_class = Reader
    message_reader: Reader

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.message_reader.before_failing = self.drain_all
        self.max_parallelism = 1  # only one sink at a time has records that wait
        self._schemas: dict[str, dict[str, Any]] = {}
        self._schema_message: dict[str, Any] = {}

    @abstractmethod
    def make_sink(
        self, stream: str, schema: dict[str, Any], keys: Sequence[str], message: Mapping[str, Any]
    ) -> Sink:
        """Return a new sink.

        Args:
            stream: The stream's name.
            schema: Its JSON Schema, after stream maps.
            keys: Its key properties.
            message: The SCHEMA message as it came.
        """

    @abstractmethod
    def before_record(self, stream: str) -> None:
        """Is called before a record of a stream is taken."""

    @abstractmethod
    def reject_unmapped(
        self, stream: str, why: str, schema: Mapping[str, Any], message: Message
    ) -> None:
        """Reject a record at which a stream map fails.

        Args:
            stream: The stream that it would go to.
            why: What failed.
            schema: The SCHEMA message of its stream, as it came.
            message: The record.
        """

    @abstractmethod
    def before_state(self, message: Message) -> None:
        """Is called with each STATE message."""

    @abstractmethod
    def may_write_state(self) -> bool:
        """Return whether the state that is about to be written may be."""

    @abstractmethod
    def finish(self) -> None:
        """Is called when the whole input is loaded."""

    @abstractmethod
    def stop(self) -> None:
        """End what is under way, on SIGINT or SIGTERM."""

    @override
    def get_sink_class(self, stream_name: str) -> Any:
        """Hand the sink what it needs. The SDK would make it from a class, with the target alone.

        Unnecessary when the SDK takes a factory of sinks.
        """
        return partial(_made_by, self.make_sink, self._schema_message)

    @override
    def get_sink(self, stream_name: str, *, record: Any = None, **schema: Any) -> Sink:
        """Load the waiting records of other streams: the SDK requests the sink first.

        Unnecessary when the SDK drains a stream's sink before the records of the next stream.
        """
        if record is not None:
            self.before_record(stream_name)
        return super().get_sink(stream_name, record=record, **schema)

    @override
    def process_endofpipe(self) -> None:
        """Check the results when all is loaded: the SDK has no hook for it."""
        super().process_endofpipe()
        self.finish()

    @override
    def _process_schema_message(self, message_dict: dict[str, Any]) -> None:
        """Keep the schema as it came, and say in one line what is wrong with it.

        The SDK changes the message, and trusts schemas. A record at which a stream map fails stops
        its run: `StreamMap.transform` is wrapped, since the SDK has no place for it.
        Unnecessary when the SDK has an error of its own for both.
        """
        stream = message_dict["stream"]
        self._schema_message = self._schemas[stream] = deepcopy(message_dict)
        try:
            super()._process_schema_message(message_dict)
        except (KafineaError, SingerSDKError, OSError):
            raise
        except Exception as error:  # noqa: BLE001 the SDK reads schemas, and trusts them
            text = f"Stream {stream!r}: its SCHEMA cannot be used"
            raise InputError(f"{text}: {place_of(error)}.") from None
        for stream_map in self.mapper.stream_maps[stream]:
            transform = partial(_mapped, type(stream_map).transform, stream_map)
            stream_map.transform = transform  # type: ignore[method-assign]  # the SDK has no place

    @override
    def _process_record_message(self, message_dict: dict[str, Any]) -> None:
        """Reject a record that cannot be mapped; see `_process_schema_message`."""
        try:
            super()._process_record_message(message_dict)
        except _NotMapped as error:
            schema = self._schemas[message_dict["stream"]]
            self.reject_unmapped(error.stream, str(error), schema, self.message_reader.message)

    @override
    def _process_activate_version_message(self, message_dict: dict[str, Any]) -> None:
        """Delete nothing: the SDK would warn in another way, or ask the sink for it."""
        self.logger.info(
            "%s: ACTIVATE_VERSION is ignored: records that are not emitted again are not deleted.",
            message_dict["stream"],
        )

    @override
    def _process_batch_message(self, message_dict: dict[str, Any]) -> None:
        """Refuse batch files: the SDK would give their records to the sink unchecked."""
        raise SettingsError(
            f"Stream {message_dict['stream']!r}: BATCH messages cannot be loaded. "
            "Remove `batch_config` from the settings of the tap."
        )

    @override
    def _process_state_message(self, message_dict: dict[str, Any]) -> None:
        """Keep each state, for a run that breaks off: the SDK keeps the last one only."""
        super()._process_state_message(message_dict)
        self.before_state(self.message_reader.message)

    @override
    def _write_state_message(self, state: dict[str, Any]) -> None:
        """Write Decimals, which the SDK's own reader makes and its writer cannot write.

        Unnecessary when the SDK writes states by the encoder of its message reader.
        """
        if self.may_write_state():
            progress.erase()
            sys.stdout.write(encoder.encode(state).decode() + "\n")
            sys.stdout.flush()

    @override
    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:
        """End at once; the state that went out stands for what has its result.

        The SDK drains within the signal handler and then emits the last state; in the middle of a
        drain that state would cover records which are not written (meltano/sdk #3775). What is
        under way gets a few seconds, so that the next run finds it; a request may hang longer than
        a scheduler has patience. Unnecessary when that issue is closed.
        """
        self.logger.warning("Stopped by signal %d. Load the same input again to finish.", signum)
        self.stop()
        os._exit(128 + signum)


class SdkSink(BatchSink):
    """The SDK's sink, as this target needs it.

    Args:
        target: The target.
        stream_name: The stream's name.
        schema: Its JSON Schema.
        key_properties: Its key properties.
    """

    def __init__(
        self,
        target: Target,
        stream_name: str,
        schema: dict[str, Any],
        key_properties: Sequence[str] | None,
    ) -> None:
        # Without the key properties: the SDK stops the run at a record that lacks one.
        super().__init__(target, stream_name, schema, None)
        self._declared_key_properties = key_properties

    @property
    @override
    def key_properties(self) -> Sequence[str]:
        """The key properties of the input, by which the SDK finds out whether they changed."""
        return self._declared_key_properties or []

    @property
    @override
    def include_sdc_metadata_properties(self) -> bool:
        """Whether `_sdc_deleted_at` stays: otherwise the SDK takes it away before we see it."""
        return True

    @override
    def get_validator(self) -> BaseJSONSchemaValidator | None:
        """Return what notes a bad record: the SDK would log its contents and stop the run."""
        return Validator(self.stream_name, self.schema) if self.validate_schema else None

    @property
    def problem(self) -> str | None:
        """What is wrong with the record at hand by the stream's schema, if anything."""
        return self._validator.problem if isinstance(self._validator, Validator) else None

    @property
    def warned_missing_fields(self) -> set[str]:
        """The properties outside of the schema that the log has reported."""
        return self._warned_missing_fields

    @override
    def _add_sdc_metadata_to_record(self, *_: Any, **__: Any) -> None:
        """Add nothing: the SDK's columns have no field.

        Unnecessary when `_sdc_deleted_at` stays without `include_sdc_metadata_properties`.
        """

    @override
    def _parse_timestamps_in_record(self, *_: Any, **__: Any) -> None:
        """Leave dates as they came: the SDK's parsing stops the run at one that is none.

        Unnecessary when `datetime_error_treatment` has a value that leaves them.
        """

    @override
    def _after_process_record(self, context: dict[str, Any]) -> None:
        """Log nothing: the SDK would show the batch with all its records."""


class _NotMapped(Exception):
    """A stream map or the flattening fails at a record.

    Attributes:
        stream: The stream that the record would go to.
    """

    def __init__(self, error: Exception, stream: str) -> None:
        kind = str(error) if isinstance(error, MappingError) else type(error).__name__
        super().__init__(f"the stream map failed for the record: {kind.rstrip('.')}")
        self.stream = stream


def _mapped(
    transform: Callable[[StreamMap, dict[str, Any]], Any],
    stream_map: StreamMap,
    record: dict[str, Any],
) -> Any:
    try:
        return transform(stream_map, record)
    except Exception as error:  # noqa: BLE001 expressions raise whatever their values make them
        raise _NotMapped(error, stream_map.stream_alias) from None


def _made_by(
    make_sink: Callable[..., Sink],
    message: Mapping[str, Any],
    *,
    target: Target,  # noqa: ARG001 as the SDK calls it
    stream_name: str,
    schema: dict[str, Any],
    key_properties: Sequence[str] | None,
) -> Sink:
    return make_sink(stream_name, schema, key_properties or [], message)
