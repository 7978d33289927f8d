"""The targets: settings, and the way of a message into the database."""

from __future__ import annotations

import logging
import os
import re
import signal
import sys
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from decimal import Decimal
from types import FrameType
from typing import Any, ClassVar

import click
import msgspec
from singer_sdk import Target
from singer_sdk.helpers.capabilities import (
    CapabilitiesEnum,
    PluginCapabilities,
    TargetCapabilities,
)
from singer_sdk.mapper import SameRecordTransform
from singer_sdk.sinks import BatchSink
from typing_extensions import override

from exact_loaders.columns import Column, Kind, columns_of
from exact_loaders.database import DELETED_AT, VERSION, Batch, Database, NotRead
from exact_loaders.errors import CorrectFirst, LoaderError
from exact_loaders.messages import Line, Reader
from exact_loaders.names import marked, names_of, short
from exact_loaders.rows import RowReader, Rows
from exact_loaders.tables import Table
from exact_loaders.values import encode

_MOST_BYTES = 2**24
"""Bytes of the records that wait; a batch is written before it has `batch_size_rows` if larger."""
CONTINUES = "x-singer-continues"
"""What a tap puts into a schema if the run leaves out rows that earlier runs have emitted."""
_decoder = msgspec.json.Decoder(float_hook=Decimal)
_MARKED = re.compile(rb'"_sdc_deleted_at" ?: ?"').search


class ExactSink(BatchSink):
    """Writes the records of a stream, which wait as bytes."""

    def __init__(
        self,
        target: ExactTarget,
        stream_name: str,
        schema: dict[str, Any],
        key_properties: Sequence[str] | None,
    ) -> None:
        super().__init__(target, stream_name, schema, key_properties)
        self._database = target.database
        self._records: list[bytes | msgspec.Raw] = []
        self._version: int | None = None
        schema = self.original_schema  # the SDK has removed the columns `_sdc_...` of the other
        names = names_of(schema["properties"])
        missing = [key for key in key_properties or [] if key not in names]
        if missing:
            raise LoaderError(f"Stream {stream_name}: its schema has no key {missing[0]!r}.")
        is_append = self.config["load_method"] == "append-only"
        self._keys = [] if is_append else [names[key] for key in key_properties or []]
        for name, column in names.items():
            if name != column:
                target.logger.warning("%s: the column of %r is %r.", stream_name, name, column)
        self._wanted = columns_of(schema, key_properties or [], names)
        self._has_metadata = self.include_sdc_metadata_properties
        if self._has_metadata:
            self._wanted = {**self._wanted, **_METADATA, **self._wanted}
        table = target.table_of(stream_name)
        self._table = Table(self._database, table, self._keys, target.logger)
        self._must_exist = target.continues
        self._has_logged: set[str] = set()

    @override
    def setup(self) -> None:
        """Create or adapt the table."""
        self._table.prepare(self._wanted, must_exist=self._must_exist)

    @property
    @override
    def current_size(self) -> int:
        """How many records wait."""
        return len(self._records)

    def add(self, record: bytes | msgspec.Raw, line: Line) -> None:
        """Take a record.

        Args:
            record: Its JSON.
            line: Its message.
        """
        if line.version is not None and line.version != self._version:
            self._begin_version(line.version)
        self._records.append(self._with_metadata(record, line))

    def _with_metadata(self, record: bytes | msgspec.Raw, line: Line) -> bytes | msgspec.Raw:
        values: dict[str, Any] = {}
        if self._has_metadata and line.time_extracted:
            values["_sdc_extracted_at"] = line.time_extracted
        if line.version is not None:
            values[VERSION] = line.version
        if not values:
            return record
        rest = bytes(record)[1:]
        return encode(values)[:-1] + (b"," if rest.strip() != b"}" else b"") + rest

    def _begin_version(self, version: int) -> None:
        self._version = version
        columns = {VERSION: _METADATA[VERSION], DELETED_AT: _METADATA[DELETED_AT]}
        if not columns.keys() <= self._wanted.keys():
            self._wanted = {**columns, **self._wanted}
            self._table.prepare(self._wanted)

    @override
    def process_batch(self, context: Any) -> None:
        """Write the records that wait."""
        records, self._records = self._records, []
        self.record_counter_metric.increment(len(records))
        try:
            self._write(self._rows(records, is_refused=False))
        except NotRead:
            # A value that the check in C does not know, but the one in Python; or another run has
            # widened a column meanwhile.
            self._table.widen({})
            self._write_rewritten(records)

    def _write_rewritten(self, records: list[bytes | msgspec.Raw]) -> None:
        try:
            self._write(self._rows(records, is_refused=True))
        except NotRead:
            raise LoaderError(
                f"Stream {self.stream_name}: the database refuses a value. Please report this as a "
                "bug, with the types of the table's columns."
            ) from None

    def _rows(self, records: list[bytes | msgspec.Raw], *, is_refused: bool) -> Rows:
        """Return the rows of records, once the columns are wide enough."""
        while True:
            reader = RowReader(self._table.columns, self._keys, self._database.reading)
            try:
                rows = reader.rewrite(records) if is_refused else reader.read(records)
            except LoaderError as error:
                raise LoaderError(f"Stream {self.stream_name}: {error}") from None
            if not rows.wider:
                self._log_once("replaced", sorted(rows.replaced), _REPLACED)
                self._log_once("unknown", sorted(rows.unknown), _UNKNOWN)
                return rows
            self._table.widen(rows.wider)

    def _log_once(self, what: str, names: Sequence[str], text: str) -> None:
        if names and what not in self._has_logged:
            self._has_logged.add(what)
            self.logger.warning(text, self.stream_name, ", ".join(names))

    def _write(self, rows: Rows) -> None:
        columns = self._table.columns
        constants: dict[str, datetime | int] = {}
        if self._has_metadata:
            now = datetime.now(timezone.utc)
            constants = dict.fromkeys(("_sdc_received_at", "_sdc_batched_at"), now)
            constants["_sdc_sequence"] = int(now.timestamp() * 1000)
            constants["_sdc_sync_started_at"] = int(self.sync_started_at)
        batch = Batch(
            columns=[column for name, column in columns.items() if name not in constants],
            keys=self._keys,
            lines=rows.lines,
            constants=constants,
            delete_marked=self.config["hard_delete"]
            and DELETED_AT in columns
            and any(map(_MARKED, rows.lines.values())),
        )
        self._database.write(self._table.name, batch)

    @override
    def activate_version(self, new_version: int) -> None:
        """Delete or mark the rows of other versions."""
        self._begin_version(new_version)
        now = datetime.now(timezone.utc)
        delete = bool(self.config["hard_delete"])
        self._database.activate(self._table.name, new_version, now, delete=delete)


class ExactTarget(Target):
    """A target whose database reads the records."""

    default_sink_class = ExactSink
    message_reader_class = Reader
    config_jsonschema: ClassVar[dict[str, Any]]
    capabilities: ClassVar[list[CapabilitiesEnum]] = [
        PluginCapabilities.ABOUT,
        PluginCapabilities.STREAM_MAPS,
        PluginCapabilities.FLATTENING,
        PluginCapabilities.ACTIVATE_VERSION,
        PluginCapabilities.STRUCTURED_LOGGING,
        TargetCapabilities.HARD_DELETE,
    ]

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.max_parallelism = 1  # one connection
        self._waiting_rows = self._waiting_bytes = 0
        self._most_rows = int(self.config["batch_size_rows"])
        self._tables: dict[str, str] = {}
        self.continues = False
        """Whether the run leaves out rows of the stream because its table has them already."""
        self.database = self.open_database()
        if command := click.get_current_context(silent=True):
            command.call_on_close(self.database.close)

    @abstractmethod
    def open_database(self) -> Database:
        """Open the database of the settings."""

    def table_of(self, stream: str) -> str:
        """Return the name of a stream's table; no other stream has it."""
        table = short(stream, stream)
        folded = table.lower() if self.database.folds_names else table
        if self._tables.setdefault(folded, stream) == stream:
            return table
        self.logger.warning(
            "Streams %s and %s differ in case only. The table of the second is %s.",
            *(self._tables[folded], stream, marked(stream)),
        )
        return marked(stream)

    @override
    def _process_schema_message(self, message_dict: dict[str, Any]) -> None:
        """Refuse a schema that is none; the SDK trusts them."""
        if not isinstance(message_dict["schema"].get("properties"), dict):
            raise LoaderError(f"Stream {message_dict['stream']}: its schema has no `properties`.")
        message_dict.setdefault("key_properties", [])
        self.continues = message_dict["schema"].get(CONTINUES) is True
        super()._process_schema_message(message_dict)

    @override
    def _process_record_message(self, message_dict: Any) -> None:
        """Keep the record as it came; parse it only where a stream map needs it."""
        line: Line = message_dict
        stream, record = line.stream or "", line.record or b""
        if stream not in self.mapper.stream_maps:
            raise LoaderError(f"Stream {stream}: its first record comes before its schema.")
        for stream_map in self.mapper.stream_maps[stream]:
            if type(stream_map) is SameRecordTransform and not stream_map.flattening_enabled:
                self._add(stream, record, line)
            elif (mapped := stream_map.transform(_decoded(record))) is not None:
                self._add(stream_map.stream_alias, encode(mapped), line)
        is_full = self._waiting_rows >= self._most_rows or self._waiting_bytes >= _MOST_BYTES
        if is_full or self._max_record_age_in_minutes > self._MAX_RECORD_AGE_IN_MINUTES:
            self._drain()

    def _add(self, stream: str, record: bytes | msgspec.Raw, line: Line) -> None:
        self._sinks_active[stream].add(record, line)  # type: ignore[attr-defined]
        self._waiting_rows += 1
        self._waiting_bytes += len(record)

    @override
    def _process_activate_version_message(self, message_dict: dict[str, Any]) -> None:
        """Write what waits, so that its rows have the version."""
        self._drain()
        super()._process_activate_version_message(message_dict)

    @override
    def _process_state_message(self, message_dict: Any) -> None:
        """Keep the state as it came."""
        self._latest_state = message_dict.value

    @override
    def _process_batch_message(self, message_dict: dict[str, Any]) -> None:
        """Refuse files of records, which this target does not read."""
        raise LoaderError(
            f"Stream {message_dict['stream']}: BATCH messages cannot be loaded. Remove "
            "`batch_config` from the settings of the tap."
        )

    @override
    def _write_state_message(self, state: Any) -> None:
        """Write the state as it came."""
        sys.stdout.write(bytes(state).decode() + "\n")
        sys.stdout.flush()

    def _drain(self) -> None:
        """Write all that waits, then the state behind it."""
        self.drain_all()
        self._waiting_rows = self._waiting_bytes = 0
        self._latest_state = None

    @override
    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:
        """End at once: what is not committed is loaded again, from the state that was written."""
        self.logger.warning("Stopped by signal %d. Run again to resume.", signum)
        for each in (signal.SIGINT, signal.SIGTERM):  # Python is about to end, and has no room
            signal.signal(each, lambda number, _: os._exit(128 + number))
        sys.exit(128 + signum)


def settings(
    own: Mapping[str, Any], *, required: Sequence[str], default_schema: str
) -> dict[str, Any]:
    """Return the settings of a target: its own, then those that all have."""
    schema = {**_SETTINGS[SCHEMA], "default": default_schema}
    properties = {**own, **_SETTINGS, SCHEMA: schema}
    return {"type": "object", "properties": properties, "required": list(required)}


SCHEMA = "default_target_schema"
"""The setting that names the schema of the tables."""
_SETTINGS: Mapping[str, Any] = {
    SCHEMA: {
        "type": "string",
        "title": "Schema",
        "description": "The schema of the tables. It is created if it does not exist",
    },
    "load_method": {
        "type": "string",
        "title": "Load method",
        "enum": ["upsert", "append-only"],
        "default": "upsert",
        "description": "`upsert`: a row replaces the row with the same key. `append-only`: each "
        "record is a row of its own",
    },
    "batch_size_rows": {
        "type": "integer",
        "title": "Rows of a batch",
        "default": 2_500,
        "description": "Rows of all tables that are written at once, before the state behind them "
        "is emitted. More than 16 MB are written earlier",
    },
    "hard_delete": {
        "type": "boolean",
        "title": "Delete rows",
        "default": False,
        "description": "Delete the rows that have a value in `_sdc_deleted_at`, and those that an "
        "ACTIVATE_VERSION message leaves behind. `false`: keep them, with the time in that column",
    },
}
_METADATA = {
    column.name: column
    for column in (
        Column("_sdc_extracted_at", Kind.INSTANT, comment="When the tap extracted the record"),
        Column("_sdc_received_at", Kind.INSTANT, comment="When the loader received the record"),
        Column("_sdc_batched_at", Kind.INSTANT, comment="When the row was last written"),
        Column(DELETED_AT, Kind.INSTANT, comment="When the record was found to be deleted"),
        Column(
            "_sdc_sequence", Kind.INTEGER, comment="Milliseconds since 1970 when it was written"
        ),
        Column(VERSION, Kind.INTEGER, comment="The version that the tap gives the table"),
        Column("_sdc_sync_started_at", Kind.INTEGER, comment="When the run began"),
    )
}
_REPLACED = "%s: characters that cannot be stored are replaced in: %s"
_UNKNOWN = "%s: these properties are not in the schema, and are not loaded: %s"


def _decoded(record: bytes | msgspec.Raw) -> Any:
    """Return a record with exact numbers.

    Raises:
        LoaderError: It has one that there is no way to represent: an exponent of twenty digits.
    """
    try:
        return _decoder.decode(record)
    except (msgspec.DecodeError, UnicodeError, RecursionError, ArithmeticError):
        raise LoaderError("A record is not JSON.") from None


def main(target: type[ExactTarget]) -> None:
    """Run a target as a command: an error that users can correct is one line and an exit code."""
    try:
        target.cli()
    except LoaderError as error:
        logging.getLogger(target.name).error("%s", error)  # noqa: TRY400 it is one line for users
        sys.exit(2 if isinstance(error, CorrectFirst) else 1)
    except OSError as error:
        logging.getLogger(target.name).error(  # noqa: TRY400 it is one line for users
            "A file cannot be read or written: %s. If a disk is full, free some space: DuckDB also "
            "needs some in the temporary folder (TMPDIR). Then run again, with the last state.",
            error.strerror or type(error).__name__,
        )
        sys.exit(1)
