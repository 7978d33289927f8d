"""The target: its settings, its input, and what its sinks share."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from functools import partial
from types import FrameType
from typing import Any, ClassVar

from singer_sdk import Target
from singer_sdk.contrib.msgspec import encoder
from singer_sdk.exceptions import MappingError, SingerSDKError
from singer_sdk.mapper import StreamMap
from singer_sdk.sinks import Sink
from typing_extensions import override

from kafinea.errors import KafineaError, SettingsError
from kafinea.load.context import LoadContext
from kafinea.load.loading import HEAVY
from kafinea.load.matching import InputRecord, Policy
from kafinea.load.outcomes import Outcome, Rejection, Report, Status
from kafinea.load.source_files import SourceFiles
from kafinea.shown import place_of
from kafinea.suggestions import did_you_mean
from singer_kafinea.command import at_end
from singer_kafinea.connection import connect, zone_of
from singer_kafinea.plugin import Plugin
from singer_kafinea.settings import unknown_settings, unknown_variables
from target_kafinea.reader import InputError, Reader
from target_kafinea.settings import SETTINGS, STREAM
from target_kafinea.sinks import ModuleSink


class TargetKafinea(Plugin, Target):
    """Singer target for Kafinea."""

    name = "target-kafinea"
    package_name = "singer-kafinea"
    default_sink_class = ModuleSink
    message_reader_class = Reader
    message_reader: Reader

    config_jsonschema: ClassVar[dict[str, Any]] = SETTINGS

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.message_reader.before_failing = self.drain_all
        self.max_parallelism = 1  # only one sink at a time has records that wait
        self._current_stream: str | None = None
        self._streams: set[str] = set()
        self._schemas: dict[str, dict[str, Any]] = {}
        self._weight_of_states = 0  # bytes of the input
        self._states: list[tuple[int, dict[str, Any]]] = []
        client = connect(self.config)
        self.report = Report(
            self.logger,
            self.config["max_rejects"],
            self.config.get("outcomes_path"),
            self.config.get("rejects_path"),
            outcomes_values=self.config["outcomes_values"],
            dry_run=self.config["dry_run"],
        )
        at_end.callback(self.report.close)
        at_end.callback(self._write_last_true_state)
        lookups = ThreadPoolExecutor(client.max_sessions)
        at_end.callback(lookups.shutdown, wait=False, cancel_futures=True)
        self.instance = LoadContext(
            client,
            zone_of(self.config),
            lookups,
            dry_run=self.config["dry_run"],
            gapless=frozenset(self.config["serial_modules"]),
        )
        self.policy = Policy(
            append_only=self.config["load_method"] == "append-only",
            update_method=self.config["update_method"],
            create_missing=self.config["create_missing"],
            hard_delete=self.config["hard_delete"],
            unknown_picklist=self.config["unknown_picklist"],
            serial_modules=frozenset(self.config["serial_modules"]),
            source_files=SourceFiles(self.config.get("files_path")),
        )

    @override
    def unknown(self) -> list[str]:
        schema = self.config_jsonschema
        variables = unknown_variables(os.environ, self._env_var_prefix, schema)
        return unknown_settings(self._config, schema, of_each={"streams": STREAM}) + variables

    @override
    def get_sink(self, stream_name: str, *, record: Any = None, **schema: Any) -> Sink:
        """Return the sink of a stream; the SDK asks for it before it does anything with a record.

        Raises:
            TooManyRejects: More records were rejected than `max_rejects` allows.
        """
        if record is not None:
            self._write_what_came_before(stream_name)
        self._streams.add(stream_name)
        return super().get_sink(stream_name, record=record, **schema)

    def _write_what_came_before(self, stream_name: str) -> None:
        """Write what other streams brought before this record, which may refer to it."""
        if stream_name != self._current_stream or self.report.has_too_many:
            self.drain_all()
            self._current_stream = stream_name
        self.report.check()

    @override
    def process_endofpipe(self) -> None:
        super().process_endofpipe()
        self.report.is_complete = True
        for name in self.config["streams"].keys() - self._streams:
            near = did_you_mean(name, self._streams)
            self.logger.warning("The input has no stream %r, which `streams` names.%s", name, near)
        self.report.check_all()

    @override
    def _process_schema_message(self, message_dict: dict[str, Any]) -> None:
        self._schemas[message_dict["stream"]] = deepcopy(message_dict)  # the SDK changes it
        try:
            super()._process_schema_message(message_dict)
        except (KafineaError, SingerSDKError, OSError):
            raise
        except Exception as error:  # noqa: BLE001 the SDK reads schemas, and trusts them
            text = f"Stream {message_dict['stream']!r}: its SCHEMA cannot be used"
            raise InputError(f"{text}: {place_of(error)}.") from None
        for stream_map in self.mapper.stream_maps[message_dict["stream"]]:
            transform = partial(_mapped, type(stream_map).transform, stream_map)
            stream_map.transform = transform  # type: ignore[method-assign]  # the SDK has no place

    @override
    def _process_record_message(self, message_dict: dict[str, Any]) -> None:
        try:
            super()._process_record_message(message_dict)
        except _NotMapped as error:
            reader = self.message_reader
            text = reader.problem or str(error)
            outcome = Outcome(Status.REJECTED, rejection=Rejection("NOT_MAPPED", text))
            self._write_what_came_before(error.stream)
            schema = self._schemas[message_dict["stream"]]
            one = InputRecord(message_dict["record"], message_dict, reader.line)
            self.report.add(error.stream, {}, outcome, schema, one)

    @override
    def _process_activate_version_message(self, message_dict: dict[str, Any]) -> None:
        self.logger.info(
            "%s: ACTIVATE_VERSION is not acted upon: no record is deleted because it did not "
            "come again.",
            message_dict["stream"],
        )

    @override
    def _process_batch_message(self, message_dict: dict[str, Any]) -> None:
        raise SettingsError(
            f"Stream {message_dict['stream']!r}: BATCH messages cannot be loaded. Take "
            "`batch_config` out of the settings of the tap."
        )

    @override
    def _process_state_message(self, message_dict: dict[str, Any]) -> None:
        super()._process_state_message(message_dict)
        if not self.instance.dry_run and (setting := self.report.on_stdout):
            raise SettingsError(
                f"`{setting}` is the standard output, where the states of this input go: who reads "
                "them would take other lines for states. Use a file, or /dev/stderr."
            )
        if self.report.first_open is None:
            self._states.clear()  # the last one claims as much
            self._weight_of_states = 0
        self._states.append((self.message_reader.line, message_dict["value"]))
        self._weight_of_states += self.message_reader.size
        if self._weight_of_states >= HEAVY:
            self.drain_all()

    @override
    def _write_state_message(self, state: dict[str, Any]) -> None:
        # The SDK cannot write the Decimals that its own reader made. A dry run has done nothing
        # that a state could stand for.
        self._states.clear()
        if not self.instance.dry_run:
            sys.stdout.write(encoder.encode(state).decode() + "\n")
            sys.stdout.flush()

    def _write_last_true_state(self) -> None:
        """When the run breaks off, write the last state whose records all have their outcome.

        The SDK writes states only when all that was read has been written.
        """
        end = self.report.first_open
        true = [state for line, state in self._states if end is None or line < end]
        if true:
            self._write_state_message(true[-1])

    @override
    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:
        # The SDK drains within the signal handler and then emits the last state; in the middle of
        # a drain that state would cover records which are not written (meltano/sdk #3775). The
        # state that went out stands for what has its outcome; the rest comes again.
        # What is under way gets a few seconds, so that the next run finds it; a request may hang
        # longer than a scheduler has patience.
        self.logger.warning("Stopped by signal %d. Load the same input again to finish.", signum)
        self.instance.stop(patience=5)
        try:
            self.report.close()
        except SettingsError as error:
            self.logger.error("%s", error)  # noqa: TRY400 it is one line for users
        os._exit(128 + signum)


class _NotMapped(Exception):
    """A stream map or the flattening fails at a record.

    Attributes:
        stream: The stream that the record would go to.
    """

    def __init__(self, error: Exception, stream: str) -> None:
        kind = str(error) if isinstance(error, MappingError) else type(error).__name__
        super().__init__(f"the stream map cannot be applied to it: {kind.rstrip('.')}")
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
