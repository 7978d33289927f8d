"""The tap: its settings, and the streams it finds."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from datetime import datetime
from functools import cached_property, partial
from typing import Any, ClassVar

from singer_sdk import Stream
from typing_extensions import override

from kafinea import Client, Module
from kafinea.describe import LINES
from kafinea.extract.checkpoint import Checkpoint
from kafinea.extract.clock import Clock
from kafinea.extract.deletion_scan import DeletionDetector
from kafinea.extract.discovery import Modules
from kafinea.extract.options import Options
from kafinea.extract.prefetch import Prefetch
from singer_kafinea.connection import connect, problem, zone_of
from singer_kafinea.settings import unknown_settings, unknown_variables
from singer_kafinea.summary import Summary
from tap_kafinea import connection_test, deletions, dictionary, files, line_table, relations
from tap_kafinea.catalogs import NEW_CATALOG, check_selection
from tap_kafinea.context import RunContext
from tap_kafinea.failing import suppress_failures_of_a_stream
from tap_kafinea.maps import without_stream
from tap_kafinea.sdk import KafineaStream, KafineaTap
from tap_kafinea.settings import SETTINGS
from tap_kafinea.states import known_modules
from tap_kafinea.streams import ModuleStream, PassStream


class TapKafinea(KafineaTap):
    """Singer tap for Kafinea."""

    name = "tap-kafinea"
    package_name = "singer-kafinea"
    config_jsonschema: ClassVar[dict[str, Any]] = SETTINGS
    test_settings = connection_test.ONE_RECORD

    # The settings

    @override
    def problems(self) -> dict[str, str]:
        found = super().problems()
        for setting in ("start_date", "end_date"):
            if "timezone" not in found:
                found |= problem(setting, partial(self._moment, setting))
        return found

    @override
    def warn_of_unknown_settings(self) -> None:
        schema, prefix = self.config_jsonschema, self._env_var_prefix
        variables = unknown_variables(os.environ, prefix, schema)
        for text in [*unknown_settings(self._config, schema, of_each={}), *variables]:
            self.logger.warning("%s", text)

    def _moment(self, setting: str) -> datetime | None:
        """Return a setting that names a moment.

        Raises:
            SettingsError: It does not.
        """
        return zone_of(self.config).setting(setting, self.config.get(setting))

    # What the streams share

    @cached_property
    def client(self) -> Client:
        """The connection to Kafinea. It logs out when the command ends.

        Raises:
            SettingsError: `url` cannot be used.
        """
        return connect(self.config, self.cleanup)

    @cached_property
    @override
    def context(self) -> RunContext:
        config, client = self.config, self.client
        return RunContext(
            client=client,
            modules=Modules(client, config["username"], config.get("modules") or []),
            clock=Clock(
                config.get("timezone"),
                client.server_time,
                setting="`timezone` (TAP_KAFINEA_TIMEZONE)",
                full_refresh="run `meltano run --full-refresh`, or without Meltano the tap without "
                "--state",
            ),
            options=Options(
                page_size=int(config["page_size"]),  # to JSON Schema, 1000.0 is an integer too
                lookback=config["lookback_seconds"],
                start=self._moment("start_date"),
                end=self._moment("end_date"),
            ),
            prefetch=lambda: self._prefetch,
            detector=lambda: self._detector,
        )

    @cached_property
    def _prefetch(self) -> Prefetch:
        """Prepares the selected streams before it is their turn. It begins when first used."""
        begun = {}
        for stream in filter(lambda stream: stream.selected, self._pass_streams):
            # What fails here alone fails again when it is the stream's turn.
            with suppress_failures_of_a_stream():
                run = stream.run  # marks the state, also of a table that is fed
                if stream.is_read:
                    begun[stream.name] = run.prepare
        prefetch = Prefetch(begun, self.client.max_sessions)
        self.cleanup.callback(prefetch.close)
        return prefetch

    @property
    def _detector(self) -> DeletionDetector | None:
        """What finds deleted records, if it is set and `deleted_records` is selected."""
        stream = self.streams.get(deletions.NAME)
        return stream.detector if isinstance(stream, deletions.DeletedRecords) else None

    @property
    def _pass_streams(self) -> list[PassStream]:
        return [stream for stream in self.streams.values() if isinstance(stream, PassStream)]

    # The streams

    @override
    def discover_streams(self) -> Sequence[Stream]:
        modules = self.context.modules
        if self.input_catalog is None:
            return self._discovered(modules.described)
        # A catalog holds all that is needed; the SDK would discover once more.
        streams = [
            self._from_catalog(entry.tap_stream_id, entry.schema.to_dict())
            for entry in self.input_catalog.values()
        ]
        return [
            stream
            for stream in streams
            if not isinstance(stream, ModuleStream) or modules.takes(stream.name)
        ]

    def _discovered(self, modules: Sequence[Module]) -> list[Stream]:
        return [
            *line_table.discover(self, modules),
            *relations.discover(self, modules),
            *files.discover(self, modules),
            *dictionary.discover(self, modules),
            *deletions.discover(self, modules),
        ]

    def _from_catalog(self, name: str, schema: dict[str, Any]) -> Stream:
        return (
            line_table.from_catalog(self, name, schema)
            or relations.from_catalog(self, name, schema)
            or files.from_catalog(self, name, schema)
            or dictionary.from_catalog(self, name, schema)
            or deletions.from_catalog(self, name, schema)
            or ModuleStream(self, name, schema)
        )

    # The beginning of a run

    @override
    def check_begin(self) -> None:
        self._began = time.monotonic()
        self.cleanup.callback(self.end)  # also when the run fails or is stopped
        check_selection(self.streams)
        self._read_deletions_last()
        for text in without_stream(self.config.get("stream_maps") or {}, self.streams):
            self.logger.warning("%s", text)
        modules = self.context.modules
        if self.input_catalog is not None:
            self._warn_of_modules_behind_the_catalog()
            modules.warn_of_missing()
            self._warn_of_settings_behind_the_catalog()
        modules.warn_of_lost(known_modules(self.state) - self.streams.keys())
        dated = [
            stream for stream in self._pass_streams if stream.selected and stream.replication_key
        ]
        self.context.clock.begin(
            {stream.name: Checkpoint.from_dict(stream.stream_state) for stream in dated}
        )

    def _read_deletions_last(self) -> None:
        """Move deleted records behind all modules, which are scanned when they are read.

        The SDK sorts streams by name: a module such as `evvtMenu` would come after them.
        """
        if stream := self.streams.pop(deletions.NAME, None):
            self.streams[deletions.NAME] = stream

    def _warn_of_modules_behind_the_catalog(self) -> None:
        """Name what `modules` contains and the catalog does not."""
        modules = [stream.module for stream in self._pass_streams]
        for pattern in self.context.modules.look_for({*(self.input_catalog or ()), *modules}):
            self.logger.warning(
                "%r is in `modules`, but not in the catalog. %s", pattern, NEW_CATALOG
            )

    def _warn_of_settings_behind_the_catalog(self) -> None:
        """Name the settings that require streams which the catalog does not have."""
        config, streams = self.config, list(self.streams.values())
        has_lines = any(LINES in stream.schema["properties"] for stream in streams)
        wanted = {
            "relations": (config.get("relations"), relations.RelationStream),
            "files.enabled": ((config.get("files") or {}).get("enabled"), files.FilesStream),
            "deletions": (config["deletions"] != "off", deletions.DeletedRecords),
            "dictionary": (config["dictionary"], dictionary.DictionaryStream),
            "line_items": (config["line_items"] == "table" and has_lines, line_table.LineTable),
        }
        for setting, (is_set, stream_type) in wanted.items():
            if is_set and not any(isinstance(stream, stream_type) for stream in streams):
                self.logger.warning(
                    "`%s` has no effect: the catalog has no stream for it. %s", setting, NEW_CATALOG
                )

    # The end of a run

    _began: float | None = None  # until the summary is shown

    @override
    def end(self) -> None:
        """Show what was done, once."""
        if self._began is None:
            return
        began, self._began = self._began, None
        streams = [stream for stream in self.streams.values() if isinstance(stream, KafineaStream)]
        begun = {stream.name: stream for stream in streams if stream.numbers}
        Summary(
            columns=("counted", "received", "unreadable"),
            streams={name: stream.numbers for name, stream in begun.items()},
            requests=self.client.requests_sent,
            seconds=time.monotonic() - began,
            incomplete=frozenset(name for name, stream in begun.items() if not stream.is_complete),
            brief=("received", "unreadable"),
            operations=self.client.requests.by_operation(),
            server_seconds=self.client.requests.seconds,
        ).show(self.logger)

    @override
    def test_connection(self) -> bool:
        username, catalog = self.config["username"], self.input_catalog
        return connection_test.run(self.context, self.streams.values(), username, catalog)
