"""All that the tap changes of the Singer SDK, and why.

The SDK offers no public place for what stands here: each method below replaces one of the SDK's, or
is called by it. A test (`tests/test_sdk_overrides.py`) fails when a newer SDK renames, moves or
changes one of them. Everything else in this package uses the SDK as its documentation says.
"""

from __future__ import annotations

import logging
import sys
import time
from abc import abstractmethod
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from types import FrameType
from typing import IO, Any, ClassVar, cast

import click
from singer_sdk import Stream, Tap
from singer_sdk.helpers._util import load_json
from singer_sdk.helpers.capabilities import CapabilitiesEnum, PluginCapabilities
from singer_sdk.helpers.conform import TypeConformanceLevel
from singer_sdk.singerlib import RecordMessage, SchemaMessage
from singer_sdk.tap_base import CliTestOptionValue
from typing_extensions import override

from kafinea.errors import KafineaError, Unavailable
from singer_kafinea.command import log_as_text
from singer_kafinea.logs import with_traceback
from singer_kafinea.plugin import Plugin, json_file
from singer_kafinea.summary import SECONDS, Numbers
from tap_kafinea.catalogs import catalog_of
from tap_kafinea.context import RunContext
from tap_kafinea.failing import STOPS_THE_RUN, as_shown
from tap_kafinea.maps import Mapper, StreamFailed, why_not_written
from tap_kafinea.states import state_of
from tap_kafinea.writing import Extracted, Writer

CONTINUES = "x-singer-continues"
"""In the schema of a stream: the run leaves out rows that earlier runs have brought."""


class KafineaTap(Plugin, Tap):
    """A tap as the SDK has it, with what it lacks.

    Args:
        instead: Settings of a test; those of the user are checked first.
        options: Those of the SDK.
    """

    dynamic_catalog = True
    message_writer_class = Writer  # see there: the SDK's writes each record with a call of its own
    # BATCH files would pass by selection, types and stream maps.
    capabilities: ClassVar[list[CapabilitiesEnum]] = [
        capability for capability in Tap.capabilities if capability != PluginCapabilities.BATCH
    ]
    test_settings: ClassVar[Mapping[str, Any]]
    """The settings with which `--test` tries the streams."""

    def __init__(self, *, instead: Mapping[str, Any] | None = None, **options: Any) -> None:
        self._instead = instead or {}
        given = {  # the SDK takes whatever these are
            "catalog": catalog_of(options.get("catalog")),
            "state": state_of(options.get("state")),
        }
        super().__init__(**options | given)

    # Hooks

    @property
    @abstractmethod
    def context(self) -> RunContext:
        """What the streams share."""

    @abstractmethod
    def warn_of_unknown_settings(self) -> None:
        """Called when the settings are checked."""

    @abstractmethod
    def check_begin(self) -> None:
        """Called when a run begins, before the first stream is read."""

    @abstractmethod
    def end(self) -> None:
        """Called when all streams were read, once for each of them."""

    @abstractmethod
    def test_connection(self) -> bool:
        """Try the streams for `--test`, and return whether all of them work."""

    # The beginning and the end of a run

    @override
    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        # The SDK has no place for warnings, nor for settings of a test. Unnecessary when it
        # validates them with a JSON Schema that forbids others.
        super()._validate_config(raise_errors=raise_errors)
        self.warn_of_unknown_settings()
        self._config |= self._instead
        return []

    @override
    def setup_mapper(self) -> None:
        # A map that fails is a matter of its stream. The SDK would stop the run.
        mapper = Mapper(self.config, self.logger)
        mapper.register_raw_streams_from_catalog(self.catalog)
        self.mapper, self.map_failures = mapper, mapper.failures

    @override
    def _set_compatible_replication_methods(self) -> None:
        # The SDK calls this when a run begins, and has no public place for what is done then.
        super()._set_compatible_replication_methods()
        self.check_begin()

    @override
    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:
        # The SDK writes a STATE from within the signal handler, where it may fall into the middle
        # of a message, and exits with 0, which means success. The last STATE of the
        # stream is at most 1,000 records old. Unnecessary when the SDK sets a flag instead.
        self.logger.warning(
            "Stopped by signal %d. The next run resumes from the last state.", signum
        )
        sys.exit(128 + signum)

    def flush(self) -> None:
        """Write the records that wait; not after a signal, which may come in the middle of one."""
        if isinstance(self.message_writer, Writer):
            self.message_writer.flush()

    # The command line

    @classmethod
    @override
    def invoke(
        cls, *, state: IO[str] | None = None, catalog: IO[str] | None = None, **options: Any
    ) -> None:
        # The SDK's error of a file that is not JSON does not name the file.
        state, catalog = json_file("--state", state), json_file("--catalog", catalog)
        super().invoke(state=state, catalog=catalog, **options)

    @classmethod
    @override
    def get_singer_command(cls) -> click.Command:
        # `--test` reads the catalog, wherever it stands. The SDK's does not.
        command = super().get_singer_command()
        for parameter in command.params:
            if parameter.name == "catalog":
                parameter.is_eager = True
        return command

    @classmethod
    @override
    def cb_discover(cls, ctx: click.Context, param: click.Option, value: bool) -> None:
        if value:
            log_as_text()  # for Meltano, see there
        super().cb_discover(ctx, param, value)

    @classmethod
    @override
    def cb_test(cls, ctx: click.Context, param: click.Option, value: str) -> None:
        # The SDK's test ignores the catalog, reads all streams and stops at the first that fails.
        if value != CliTestOptionValue.All.value:
            super().cb_test(ctx, param, value)
            return
        given, catalog = ctx.params["config"], ctx.params.get("catalog")
        tap = cls(
            config=given.config,
            catalog=load_json(file.read()) if (file := json_file("--catalog", catalog)) else None,
            parse_env_config=given.parse_env,
            instead=cls.test_settings,
        )
        ctx.exit(0 if tap.test_connection() else 1)


class KafineaStream(Stream):
    """A stream whose failure stops no other: the reason is logged, and the run fails at its end.

    Its rows are typed. They hold only what is selected (see `selected_fields`).

    Args:
        tap: The tap.
        name: The stream's name.
        schema: Its JSON Schema.

    Attributes:
        failures: What went wrong. Each was logged when it happened.
        is_complete: Whether it was read to its end, without a failure.
    """

    # Values are typed once, by codecs made for the module. The SDK's own conversion would read
    # the text "0" as true and take two thirds of the time.
    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE

    def __init__(self, tap: KafineaTap, name: str, schema: dict[str, Any]) -> None:
        super().__init__(tap, schema=schema, name=name)
        self._kafinea_tap = tap
        self.run_context = tap.context
        self.failures: list[KafineaError] = []
        self.is_complete = False
        self._written = 0
        self._began: float | None = None
        self._ended: float | None = None

    @abstractmethod
    @override
    def get_records(self, context: Mapping[str, Any] | None) -> Iterable[dict[str, Any]]: ...

    def selected_fields(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the catalog selects of a row; its keys always."""
        return {
            name: value
            for name, value in row.items()
            if name in self.primary_keys or self.mask["properties", name]
        }

    # A stream fails alone

    def fail(self, error: Exception, of: str | None = None) -> None:
        """Note that the stream is not complete, and log why.

        Args:
            error: What went wrong.
            of: What is not complete, if it is not all of the stream.

        Raises:
            KafineaError: The server is away, so no other stream can be read either.
        """
        why = self.why(error)
        if why is None:
            return
        if isinstance(why, Unavailable):
            self.run_context.client.listtypes()  # fails as well when the server is away
        failure = as_shown(why)
        text = "%s is not complete: %s"
        self.logger.error(text, of or self.name, failure, exc_info=with_traceback(why, self.logger))
        self.failures.append(failure)

    def why(self, error: Exception) -> Exception | None:
        """Return the error to report, or None if it is not a failure.

        Raises:
            KafineaError: The server is away.
        """
        return error

    @contextmanager
    def failing_alone(self) -> Iterator[None]:
        """Take what goes wrong in a block for a failure of this stream."""
        try:
            yield
        except STOPS_THE_RUN:
            raise
        except Exception as error:
            if self.ABORT_AT_RECORD_COUNT is not None:  # a dry run has no end at which to fail
                raise
            self.fail(error)

    @property
    def continues(self) -> bool:
        """Whether this run leaves out rows that earlier runs have brought."""
        return False

    @override
    def _generate_schema_messages(self) -> Generator[SchemaMessage, None, None]:
        # The SDK does not say that it continues from a state. A loader whose table is gone would
        # take the rows that changed for all rows (see loaders/README.md).
        for message in super()._generate_schema_messages():
            if self.continues:
                message.schema = {**message.schema, CONTINUES: True}
            yield message

    @override
    def _write_schema_message(self) -> None:
        # A map that could not be made has no schema. The SDK stops the run at an error.
        with self.failing_alone():
            self._check_maps()
            super()._write_schema_message()

    @override
    def _sync_records(
        self, context: Mapping[str, Any] | None = None, *, write_messages: bool = True
    ) -> Generator[dict[str, Any], None, None]:
        # Behind this the SDK writes the state: what was read before a failure is not read again.
        # Unnecessary when the SDK continues with the next stream after an error.
        self._began = time.monotonic()
        try:
            if not self.failures:
                with self.failing_alone():
                    yield from super()._sync_records(context, write_messages=write_messages)
            self.is_complete = not self.failures
        finally:
            self._ended = time.monotonic()

    @property
    def numbers(self) -> Numbers:
        """What the summary of the run has of the stream; nothing before its turn."""
        if self._began is None:
            return {}
        seconds = (self._ended or time.monotonic()) - self._began
        return {"received": self._written, SECONDS: seconds}

    @override
    def log(self, message: str, *args: Any, level: int = logging.INFO, **kwargs: Any) -> None:
        # The SDK logs that there is an error before it stops the run, which then logs the error;
        # and that a stream begins, in two lines.
        if level < logging.ERROR:
            level = logging.DEBUG if level == logging.INFO else level
            super().log(message, *args, level=level, **kwargs)

    @override
    def log_sync_costs(self) -> None:
        """End the run, now that all streams were read, and fail if this one failed.

        Raises:
            KafineaError: What went wrong.
        """
        # The SDK calls this last, and has no other place for the end of a run.
        tap, missing = self._kafinea_tap, self.run_context.modules.missing
        tap.flush()
        tap.end()
        streams = [stream for stream in tap.streams.values() if isinstance(stream, KafineaStream)]
        failed = {stream.name: stream.failures for stream in streams if stream.failures}
        failures = [*chain(*failed.values()), *missing.values()]
        if failures:
            # If one of them may pass, a later run makes sense. It is then the reason to look at.
            failure = min(failures, key=lambda failure: failure.is_final)
            failure.is_logged = True
            names, final = ", ".join([*failed, *missing]), {"is_final": failure.is_final}
            tap.logger.error("Not complete: %s. %s", names, failure, extra=final)
            raise failure

    # Records

    @override
    def _write_record_message(self, record: dict[str, Any]) -> None:
        # As the SDK does it; a call of its method would cost as much as a map does. Unnecessary
        # when the error of a map names the stream, and shows no value.
        self._written += 1
        try:
            for message in self._generate_record_messages(record):
                self._tap.write_message(message)
        except OSError:
            raise
        except Exception as error:  # noqa: BLE001 an expression may raise anything
            # `from None`: the error of a map may show a value.
            raise self._not_written(record, error) from None
        self.state_manager.is_flushed = False

    @override
    def _generate_record_messages(
        self, record: dict[str, Any]
    ) -> Generator[RecordMessage, None, None]:
        # The SDK would first look up each property of each record in the selection. What comes
        # from `get_records` holds only what is selected, and is typed.
        for stream_map in self.stream_maps:
            mapped = stream_map.transform(record)
            if mapped is not None:
                yield Extracted(stream_map.stream_alias, mapped, self._stream_version)

    @override
    def generate_child_contexts(
        self, record: Mapping[str, Any], context: Mapping[str, Any] | None
    ) -> Iterable[None]:
        """Return none: there are no child streams. The SDK would copy each record's context."""
        return ()

    @override
    def get_batch_config(self, config: Mapping[str, Any]) -> None:
        """Return none: BATCH files would pass by selection, types and stream maps."""

    # State

    @override
    def _increment_stream_state(
        self, latest_record: dict[str, Any], *, context: Mapping[str, Any] | None = None
    ) -> None:
        # The SDK would keep the greatest modifiedtime and call the stream not resumable. It calls
        # this after each record it has written, and only this.
        self.row_written(latest_record)

    @override
    def _write_starting_replication_value(self, context: Mapping[str, Any] | None) -> None:
        # The SDK would log the bookmark that it expects in the state, and put it there once more.
        pass

    @override
    def _write_state_message(self) -> None:
        # The SDK writes the state as it is. Ours is completed now, and not after each record.
        self.complete_state()
        if self.tap_state.get("bookmarks"):  # nothing else would be no Singer state
            state = cast(dict[str, Any], self.tap_state)  # the SDK knows fewer keys
            state["version"] = self._kafinea_tap.plugin_version
        super()._write_state_message()

    def row_written(self, row: Mapping[str, Any]) -> None:
        """Called after each row that was written."""

    def complete_state(self) -> None:
        """Called before the state is written."""

    @override
    def get_replication_key_signpost(self, context: Mapping[str, Any] | None = None) -> None:
        """Return none: the bookmark comes from the server (see `kafinea.extract.passes`)."""

    @property
    @override
    def emit_activate_version_messages(self) -> bool:
        """False: the SDK would tell loaders to drop the old rows before the new ones are read."""
        return False

    # For a test of the connection

    def first(self) -> dict[str, Any] | None:
        """Return the first record, if there is one."""
        return next(iter(self.get_records(None)), None)

    def check(self, record: dict[str, Any]) -> None:
        """Check that a record can be mapped.

        Raises:
            StreamFailed: It cannot, or no record can.
        """
        self._check_maps()
        try:
            for _ in self._generate_record_messages(record):
                pass
        except Exception as error:  # noqa: BLE001 as above
            raise self._not_written(record, error) from None

    def _check_maps(self) -> None:
        if failure := self._kafinea_tap.map_failures.get(self.name):
            raise failure

    def _not_written(self, record: Mapping[str, Any], error: Exception) -> StreamFailed:
        key = " ".join(str(record[name]) for name in self.primary_keys if name in record)
        return StreamFailed(why_not_written(error, key))
