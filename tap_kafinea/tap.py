"""The tap: its settings, and the streams it finds."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property, partial
from types import FrameType
from typing import IO, Any, ClassVar

import click
from singer_sdk import Stream, Tap
from singer_sdk.helpers._util import load_json
from singer_sdk.helpers.capabilities import CapabilitiesEnum, PluginCapabilities
from singer_sdk.tap_base import CliTestOptionValue
from typing_extensions import override

from kafinea import Client, Module, SettingsError, transport
from kafinea.answers import moment
from kafinea.describe import LINES
from kafinea.extract.deletion_scan import DeletionDetector
from kafinea.values import ServerZone
from singer_kafinea.command import at_end, log_as_text
from singer_kafinea.connection import connect, problem, zone_of
from singer_kafinea.plugin import Plugin, json_file
from singer_kafinea.settings import unknown_settings, unknown_variables
from tap_kafinea import connection_test, deletions, dictionary, files, line_table, relations
from tap_kafinea.catalogs import catalog_of, check_selection
from tap_kafinea.clock import Clock
from tap_kafinea.discovery import NEW_CATALOG, Modules
from tap_kafinea.maps import Mapper, without_stream
from tap_kafinea.prefetch import Prefetch
from tap_kafinea.settings import SETTINGS
from tap_kafinea.states import known_modules, state_of
from tap_kafinea.streams import ModuleStream
from tap_kafinea.writing import Writer


class TapKafinea(Plugin, Tap):
    """Singer tap for Kafinea."""

    name = "tap-kafinea"
    package_name = "singer-kafinea"
    dynamic_catalog = True
    message_writer_class = Writer
    capabilities: ClassVar[list[CapabilitiesEnum]] = [
        capability for capability in Tap.capabilities if capability != PluginCapabilities.BATCH
    ]

    config_jsonschema: ClassVar[dict[str, Any]] = SETTINGS

    def __init__(self, *, instead: Mapping[str, Any] | None = None, **options: Any) -> None:
        self._instead = instead or {}  # settings of a test; those of the user are checked first
        given = {
            "catalog": catalog_of(options.get("catalog")),
            "state": state_of(options.get("state")),
        }
        super().__init__(**options | given)

    @override
    def problems(self) -> dict[str, str]:
        found = super().problems()
        for setting in ("start_date", "end_date"):
            if "timezone" not in found:
                found |= problem(setting, partial(self.moment, setting))
        return found

    @override
    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        super()._validate_config(raise_errors=raise_errors)
        schema, prefix = self.config_jsonschema, self._env_var_prefix
        variables = unknown_variables(os.environ, prefix, schema)
        for text in [*unknown_settings(self._config, schema, of_each={}), *variables]:
            self.logger.warning("%s", text)
        self._config |= self._instead
        return []

    @classmethod
    @override
    def invoke(
        cls, *, state: IO[str] | None = None, catalog: IO[str] | None = None, **options: Any
    ) -> None:
        state, catalog = json_file("--state", state), json_file("--catalog", catalog)
        super().invoke(state=state, catalog=catalog, **options)

    @cached_property
    def address(self) -> str:
        """The full address of the instance, which tells it from others.

        Raises:
            SettingsError: `url` cannot be used.
        """
        return transport.endpoint(self.config["url"], allow_http=self.config["allow_http"])

    @cached_property
    def client(self) -> Client:
        """The connection to Kafinea. It logs out when the command ends.

        Raises:
            SettingsError: `url` cannot be used.
        """
        return connect(self.config)

    @cached_property
    def prefetch(self) -> Prefetch:
        """Opens the selected streams before it is their turn. It begins when it is first used."""
        selected = [
            stream
            for stream in self.streams.values()
            if isinstance(stream, ModuleStream) and stream.selected
        ]
        prefetch = Prefetch(selected, self.client.max_sessions)
        at_end.callback(prefetch.close)
        return prefetch

    @cached_property
    def scans(self) -> DeletionDetector | None:
        """What finds deleted records, if it is asked for and `deleted_records` is selected."""
        return deletions.scans(self)

    @cached_property
    def described(self) -> list[Module]:
        """The modules that `modules` takes and this user can read, described once in a run.

        Raises:
            SettingsError: A name or pattern of `modules` fits none.
        """
        return self.modules.describe()

    @cached_property
    def clock(self) -> Clock:
        """Knows the time zone of the run, and doubts it."""
        return Clock(self.config.get("timezone"), self.client.server_time)

    @property
    def zone(self) -> ServerZone:
        """The time zone of the server's date-times."""
        return zone_of(self.config)

    def moment(self, setting: str) -> datetime | None:
        """Return a setting that names a moment.

        Raises:
            SettingsError: It does not.
        """
        text = self.config.get(setting)
        try:
            return self.zone.moment(moment(text)) if text else None
        except (TypeError, ValueError, OverflowError):
            raise SettingsError(
                f"`{setting}` {text!r} is not a date. Write 2026-01-31 or 2026-01-31T08:00:00Z."
            ) from None

    @cached_property
    def modules(self) -> Modules:
        """The modules of the instance, as far as the settings take them."""
        patterns = self.config.get("modules") or []
        return Modules(self.client, self.config["username"], patterns)

    @override
    def setup_mapper(self) -> None:
        mapper = Mapper(self.config, self.logger)
        mapper.register_raw_streams_from_catalog(self.catalog)
        self.mapper, self.map_failures = mapper, mapper.failures

    @override
    def discover_streams(self) -> Sequence[Stream]:
        if self.input_catalog is not None:
            # A catalog holds all that is needed; the SDK would discover once more.
            streams = [
                self._from_catalog(entry.tap_stream_id, entry.schema.to_dict())
                for entry in self.input_catalog.values()
            ]
            return [
                one
                for one in streams
                if type(one) is not ModuleStream or self.modules.takes(one.name)
            ]
        modules = self.described
        return [
            *line_table.discover(self, modules),
            *relations.discover(self, modules),
            *files.discover(self, modules),
            *dictionary.discover(self, modules),
            *deletions.discover(self, modules),
        ]

    @override
    def _set_compatible_replication_methods(self) -> None:
        # The SDK calls this when a run begins, and has no public place for what is done then.
        super()._set_compatible_replication_methods()
        check_selection(self.streams)
        for text in without_stream(self.config.get("stream_maps") or {}, self.streams):
            self.logger.warning("%s", text)
        of_modules = [one for one in self.streams.values() if isinstance(one, ModuleStream)]
        if self.input_catalog is not None:
            self.modules.look_for({*self.input_catalog, *(one.module for one in of_modules)})
            self.modules.warn_of_missing()
            self._warn_of_settings_behind_the_catalog()
        self.modules.warn_of_lost(known_modules(self.state) - self.streams.keys())
        self.clock.begin(one for one in of_modules if one.selected)

    def _warn_of_settings_behind_the_catalog(self) -> None:
        """Name the settings that ask for streams which the catalog does not have."""
        config, streams = self.config, list(self.streams.values())
        has_lines = any(LINES in one.schema["properties"] for one in streams)
        wanted = {
            "relations": (config.get("relations"), relations.RelationStream),
            "files.enabled": ((config.get("files") or {}).get("enabled"), files.FilesStream),
            "deletions": (config["deletions"] != "off", deletions.DeletedRecords),
            "dictionary": (config["dictionary"], dictionary.DictionaryStream),
            "line_items": (config["line_items"] == "table" and has_lines, line_table.LineTable),
        }
        for setting, (is_set, kind) in wanted.items():
            if is_set and not any(isinstance(one, kind) for one in streams):
                self.logger.warning(
                    "`%s` has no effect: the catalog has no stream for it. %s", setting, NEW_CATALOG
                )

    def _from_catalog(self, name: str, schema: dict[str, Any]) -> Stream:
        return (
            line_table.from_catalog(self, name, schema)
            or relations.from_catalog(self, name, schema)
            or files.from_catalog(self, name, schema)
            or dictionary.from_catalog(self, name, schema)
            or deletions.from_catalog(self, name, schema)
            or ModuleStream(self, name, schema)
        )

    @classmethod
    @override
    def get_singer_command(cls) -> click.Command:
        command = super().get_singer_command()
        for parameter in command.params:
            if parameter.name == "catalog":
                parameter.is_eager = True  # `--test` reads it, wherever it stands
        return command

    @classmethod
    @override
    def cb_discover(cls, ctx: click.Context, param: click.Option, value: bool) -> None:
        if value:
            log_as_text()
        super().cb_discover(ctx, param, value)

    @classmethod
    @override
    def cb_test(cls, ctx: click.Context, param: click.Option, value: str) -> None:
        if value != CliTestOptionValue.All.value:
            super().cb_test(ctx, param, value)
            return
        given, catalog = ctx.params["config"], ctx.params.get("catalog")
        tap = cls(
            config=given.config,
            catalog=load_json(file.read()) if (file := json_file("--catalog", catalog)) else None,
            parse_env_config=given.parse_env,
            instead=connection_test.ONE_RECORD,
        )
        ctx.exit(0 if connection_test.run(tap) else 1)

    def flush(self) -> None:
        """Write the records that wait; not after a signal, which may come in the middle of one."""
        if isinstance(self.message_writer, Writer):
            self.message_writer.flush()

    @override
    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:
        # The SDK writes a STATE from within the signal handler, where it may fall into the middle
        # of a message, and exits with 0, which says that all is done. The last STATE of the
        # stream is at most 1,000 records old.
        self.logger.warning(
            "Stopped by signal %d. The next run goes on from the last state.", signum
        )
        sys.exit(128 + signum)
