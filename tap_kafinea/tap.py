"""The tap: its settings, and the streams it finds."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cached_property
from types import FrameType
from typing import Any, ClassVar

from singer_sdk import Stream, Tap
from singer_sdk import typing as th
from singer_sdk.exceptions import ConfigValidationError
from singer_sdk.helpers.capabilities import CapabilitiesEnum, PluginCapabilities
from singer_sdk.singerlib import Catalog
from typing_extensions import override

from kafinea import Client, Module, Refused, SettingsError, transport
from kafinea.query import is_name
from kafinea.values import ServerZone
from singer_kafinea.command import at_end
from singer_kafinea.connection import HOW, TIMEZONE, WHERE, connect, wrong_settings
from tap_kafinea import deletions, files, line_table, relations
from tap_kafinea.passes import moment
from tap_kafinea.prefetch import Prefetch
from tap_kafinea.scans import Scans
from tap_kafinea.streams import ModuleStream
from tap_kafinea.writing import Writer

_RELATION = {
    "type": "object",
    "additionalProperties": False,
    "required": ["module", "related"],
    "properties": {"module": {"type": "string"}, "related": {"type": "string"}},
}
# Meltano takes a list only, or makes one of the letters of a text.
_RELATION_OR_ALL = {"anyOf": [_RELATION, {"enum": ["all"]}]}


class TapKafinea(Tap):
    """Singer tap for Kafinea."""

    name = "tap-kafinea"
    package_name = "singer-kafinea"
    dynamic_catalog = True
    message_writer_class = Writer
    capabilities: ClassVar[list[CapabilitiesEnum]] = [
        capability for capability in Tap.capabilities if capability != PluginCapabilities.BATCH
    ]

    config_jsonschema: ClassVar[dict[str, Any]] = th.PropertiesList(
        *WHERE,
        th.Property(
            "modules",
            th.ArrayType(th.StringType),
            description=(
                "Modules to extract, by name or pattern, such as Contacts or Project*; "
                "all that the user can read if empty"
            ),
        ),
        th.Property(
            "start_date",
            th.DateTimeType,
            description="On the first run, only records modified since; without an offset, "
            "in `timezone`",
        ),
        th.Property(
            "end_date", th.DateTimeType, description="Only records modified before, for backfills"
        ),
        TIMEZONE,
        th.Property(
            "lookback_seconds",
            th.IntegerType(minimum=0),
            default=60,
            description="Seconds before the bookmark to read again, for records saved late",
        ),
        th.Property(
            "page_size",
            th.IntegerType(minimum=1, maximum=1000),
            default=100,
            description="Records to ask for at a time; most servers give 100 at most",
        ),
        th.Property(
            "line_items",
            th.StringType,
            allowed_values=["embed", "table", "off"],
            default="embed",
            description="`embed` gives quotes, orders and invoices their lines, in `LineItems`; "
            "`table` makes a stream of the lines of each module, such as `InvoiceLineItems`",
        ),
        th.Property(
            "relations",
            th.CustomType(
                {"type": ["array", "string"], "items": _RELATION_OR_ALL, "pattern": "^all$"}
            ),
            description='Related lists to extract, such as [{"module": "Campaigns", '
            '"related": "Contacts"}], or "all"',
        ),
        th.Property(
            "files",
            th.ObjectType(
                th.Property("enabled", th.BooleanType, default=False),
                th.Property("path", th.StringType, default="files"),
                th.Property("max_bytes", th.IntegerType(minimum=1)),
                additional_properties=False,
            ),
            description="`enabled` downloads the files of documents into `path`, a folder or an "
            "fsspec URL; those over `max_bytes` are left there",
        ),
        th.Property(
            "deletions",
            th.StringType,
            allowed_values=["off", "scan", "sync"],
            default="off",
            description="How to find deleted records: `scan` compares the ids with those of the "
            "last scan, `sync` asks the server's own undocumented operation",
        ),
        th.Property(
            "deletions_path",
            th.StringType,
            default="deletions",
            description="Folder or fsspec URL where `scan` keeps the ids",
        ),
        *HOW,
    ).to_dict()

    def __init__(self, **options: Any) -> None:
        if not _is_catalog(options.get("catalog")):
            raise SettingsError("The catalog is no Singer catalog. Make one with --discover.")
        try:
            super().__init__(**options)
        except ConfigValidationError as error:
            raise wrong_settings(error.errors, self._config) from None

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
    def scans(self) -> Scans | None:
        """What finds deleted records, if it is asked for and `deleted_records` is selected."""
        return deletions.scans(self)

    @cached_property
    def zone(self) -> ServerZone:
        """The time zone of the server's date-times."""
        return ServerZone(self.config["timezone"])

    def moment(self, setting: str) -> datetime | None:
        """Return a setting that names a moment.

        Raises:
            SettingsError: It does not.
        """
        text = self.config.get(setting)
        try:
            return self.zone.moment(moment(text)) if text else None
        except (ValueError, OverflowError):
            raise SettingsError(
                f"`{setting}` {text!r} is not a date. Write 2026-01-31 or 2026-01-31T08:00:00Z."
            ) from None

    @override
    def load_state(self, state: dict[str, Any]) -> None:
        bookmarks = state.get("bookmarks", {}) if isinstance(state, dict) else None
        if not isinstance(bookmarks, dict) or not all(
            isinstance(bookmark, dict) for bookmark in bookmarks.values()
        ):
            raise SettingsError("The state is no Singer state. Correct it.")
        super().load_state(state)

    @override
    def discover_streams(self) -> Sequence[Stream]:
        if self.input_catalog:
            # A catalog holds all that is needed; the SDK would discover once more.
            streams = [
                self._from_catalog(entry.tap_stream_id, entry.schema.to_dict())
                for entry in self.input_catalog.values()
            ]
            return [
                one for one in streams if type(one) is not ModuleStream or self._is_wanted(one.name)
            ]
        modules = self._describe(self._wanted(list(self.client.listtypes())))
        return [
            *line_table.discover(self, modules),
            *relations.discover(self, modules),
            *files.discover(self, modules),
            *deletions.discover(self, modules),
        ]

    def _from_catalog(self, name: str, schema: dict[str, Any]) -> Stream:
        return (
            line_table.from_catalog(self, name, schema)
            or relations.from_catalog(self, name, schema)
            or files.from_catalog(self, name, schema)
            or deletions.from_catalog(self, name, schema)
            or ModuleStream(self, name, schema)
        )

    @property
    def patterns(self) -> list[str]:
        """The names and patterns of the modules to extract; none for all."""
        return self.config.get("modules") or []

    def _is_wanted(self, name: str) -> bool:
        return not self.patterns or any(_matches(name, one) for one in self.patterns)

    def _wanted(self, names: list[str]) -> list[str]:
        """Return the modules to extract.

        Raises:
            SettingsError: A name or pattern of `modules` fits none.
        """
        for pattern in self.patterns:
            if not any(_matches(name, pattern) for name in names):
                near = get_close_matches(pattern, names, n=3) or sorted(names)
                raise SettingsError(
                    f"`modules`: user {self.config['username']!r} can use no module "
                    f"{pattern!r}. There is {', '.join(near)}."
                )
        wanted = [name for name in names if self._is_wanted(name)]
        for name in wanted:
            if not is_name(name):
                self.logger.warning("%r is left out: no query can name this module.", name)
        return [name for name in wanted if is_name(name)]

    def _describe(self, names: list[str]) -> list[Module]:
        """Describe modules, several at a time."""
        threads = ThreadPoolExecutor(self.client.max_sessions)
        try:
            described = threads.map(self._describe_one, names)
            return [module for module in described if module and self._is_readable(module)]
        finally:
            threads.shutdown(wait=False, cancel_futures=True)

    def _is_readable(self, module: Module) -> bool:
        if not module.retrieveable:
            self.logger.warning("%s is left out: this user may not read it.", module.name)
        return module.retrieveable

    def _describe_one(self, name: str) -> Module | None:
        try:
            return self.client.describe(name)
        except Refused as error:
            if name in self.patterns:
                raise
            self.logger.warning("%s is left out, for it cannot be described: %s", name, error)
            return None

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


def _matches(name: str, pattern: str) -> bool:
    return fnmatchcase(name.casefold(), pattern.casefold())


def _is_catalog(catalog: Any) -> bool:
    if catalog is None or isinstance(catalog, Catalog):
        return True
    streams = catalog.get("streams") if isinstance(catalog, dict) else None
    return isinstance(streams, list) and all(
        isinstance(stream, dict)
        and isinstance(stream.get("tap_stream_id"), str)
        and isinstance(stream.get("schema"), dict)
        and isinstance(stream["schema"].get("properties"), dict)
        for stream in streams
    )
