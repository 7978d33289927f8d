"""Streams over the engine: a module, and what streams that are read in passes have in common."""

from __future__ import annotations

import sys
from abc import abstractmethod
from collections.abc import Generator, Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import Any, Protocol, runtime_checkable

from singer_sdk.singerlib.catalog import REPLICATION_INCREMENTAL, Catalog, Metadata
from typing_extensions import override

from kafinea.describe import LINES, MODIFIED, SECRET_FIELDS
from kafinea.extract.batch import Batch, Run
from kafinea.extract.checkpoint import CHECKS, Checkpoint
from kafinea.extract.extraction import Extraction
from kafinea.extract.module_rows import Fields
from kafinea.extract.rows import Row, emptied
from kafinea.values import ValueType
from singer_kafinea.summary import REQUESTS, Numbers
from tap_kafinea.catalogs import NEW_CATALOG, WrongEntry, replication
from tap_kafinea.schema import types_of, types_of_lines
from tap_kafinea.sdk import KafineaStream, KafineaTap

FOLLOWED = "followed"
"""In the state of a table of lines: whether all that was read of its documents was for it too."""


class PassStream(KafineaStream):
    """A stream that the engine reads in passes: its batches as messages, its checkpoints as state.

    Args:
        tap: The tap.
        name: The stream's name.
        schema: Its JSON Schema.
        module: The module that it is read from.
        key: Its primary key.

    Attributes:
        module: The module that it is read from.
    """

    # The STATE is written after a batch, when its checkpoint is valid.
    STATE_MSG_FREQUENCY = sys.maxsize
    ROWS_BETWEEN_STATES = 1000
    """The most rows between two STATEs, which a killed run writes again; more if a batch has more.
    """

    def __init__(
        self,
        tap: KafineaTap,
        name: str,
        schema: dict[str, Any],
        *,
        module: str,
        key: Sequence[str] = ("id",),
    ) -> None:
        super().__init__(tap, name, schema)
        self.module = module
        self.wrong_entry: WrongEntry | None = None
        self.primary_keys = list(key)
        self._rows_since_state = 0
        self._batch: Batch | None = None  # of which rows are being written

    @abstractmethod
    def start(self, checkpoint: Checkpoint) -> Run:
        """Return a run from a checkpoint."""

    @cached_property
    def run(self) -> Run:
        """The run. The SDK loads the state after it has made the streams.

        Raises:
            StateError: The state is that of another instance.
        """
        run = self.start(Checkpoint.from_dict(self.stream_state))
        self._keep(run.checkpoint)
        return run

    @property
    @override
    def continues(self) -> bool:
        return self.wrong_entry is None and self.run.continues

    @property
    def is_read(self) -> bool:
        """Whether requests are to be sent for the stream."""
        return self.wrong_entry is None

    @override
    def get_records(self, context: Mapping[str, Any] | None) -> Iterator[Row]:
        if self.wrong_entry:
            raise self.wrong_entry
        prepare = partial(self.run_context.prefetch().take, self.name)
        for batch in self.run.batches(prepare):
            if self._rows_since_state + len(batch.rows) > self.ROWS_BETWEEN_STATES:
                self._rows_since_state = 0
                self._write_state_message()
            self._stream_version = batch.version
            self._batch = batch
            self._rows_since_state += yield from self._rows(batch)
            # The SDK has written all rows when it requests the next.
            if batch.completes_version and batch.version:
                self._activate(batch.version)
            self._batch = None
            self._keep(batch.checkpoint)

    def _rows(self, batch: Batch) -> Generator[Row, None, int]:
        """Yield the rows of a batch, and return how many they are."""
        count = len(batch.rows)
        yield from emptied(batch.rows)
        return count

    def _activate(self, version: int) -> None:
        """Tell loaders to drop the rows of earlier versions."""
        self._write_activate_version_message(version)

    def _keep(self, checkpoint: Checkpoint) -> None:
        """Put a checkpoint into the state, beside what others keep there."""
        state = self.stream_state
        for key in CHECKS:
            state.pop(key, None)
        state.update(checkpoint.to_dict())

    @override
    def first(self) -> Row | None:
        if self.wrong_entry:
            raise self.wrong_entry
        return self.run.first()

    @override
    def apply_catalog(self, catalog: Catalog) -> None:
        super().apply_catalog(catalog)
        self._apply_replication(catalog)
        properties = self.schema["properties"]
        if missing := [name for name in self.primary_keys if name not in properties]:
            text = f"Its schema in the catalog has no `{missing[0]}`. {NEW_CATALOG}"
            self.wrong_entry = WrongEntry(text)
        # Whatever the catalog selects: a record without its id is of no use to anyone.
        for name in self.primary_keys:
            self.metadata[("properties", name)] = Metadata(
                inclusion=Metadata.InclusionType.AUTOMATIC
            )

    def _apply_replication(self, catalog: Catalog) -> None:
        """Take over how the catalog wants the stream to be replicated."""
        if entry := catalog.get_stream(self.name):
            has_key = MODIFIED in self.schema["properties"]
            try:
                how = replication(entry, MODIFIED, has_key=has_key)
                self.forced_replication_method, self.replication_key = how
            except WrongEntry as error:
                self.wrong_entry, self.replication_key = error, None

    @property
    @override
    def numbers(self) -> Numbers:
        numbers = super().numbers
        has_run = numbers and "run" in vars(self)
        return {**numbers, "unreadable": self.run.summary.unreadable} if has_run else numbers

    @property
    def is_incremental(self) -> bool:
        """Whether only changed records are read."""
        return self.replication_method == REPLICATION_INCREMENTAL


@runtime_checkable
class LineWriter(Protocol):
    """The table of the lines of documents, which their stream feeds (see `line_table`)."""

    name: str
    types_of_lines: Mapping[str, ValueType]
    selected: bool
    has_followed: bool

    def follow(self) -> None:
        """Take note that the documents are read with their lines."""

    def begin(self, version: int | None) -> None:
        """Get ready to write lines."""

    def expect(self, documents: Sequence[Row]) -> None:
        """Take note of documents before their lines are written."""

    def write(self, document: Row) -> None:
        """Write the lines of a document, which loses them."""

    def activate(self, version: int) -> None:
        """Tell loaders to drop the rows of earlier versions."""


class ModuleStream(PassStream):
    """The records of one module, in the order of their ids.

    Incremental by `modifiedtime` where the module has it; else read in full each time. Its rows are
    the records, so the state can stand after each of them.
    """

    # Of 10,000, the SDK's default, too much would be read again after a kill.
    STATE_MSG_FREQUENCY = 1000
    ROWS_BETWEEN_STATES = sys.maxsize

    def __init__(self, tap: KafineaTap, name: str, schema: dict[str, Any]) -> None:
        super().__init__(tap, name, schema, module=name)
        self._last_written: str | None = None
        if MODIFIED in schema["properties"]:
            self.replication_key = MODIFIED

    @override
    def start(self, checkpoint: Checkpoint) -> Run:
        table, context = self._table, self.run_context
        if table and not table.has_followed and checkpoint.has_begun:
            text = "%s is read from the beginning, because %s does not have all its lines."
            self.logger.info(text, self.name, table.name)
            checkpoint = checkpoint.restarted()
        extraction = Extraction(
            context.client,
            self.name,
            Fields(self._selected_types(), self._types_of_selected_lines()),
            timezone=context.clock,
            options=context.options,
            is_incremental=self.is_incremental,
            detector=context.detector(),
        )
        return extraction.start(checkpoint)

    @override
    def why(self, error: Exception) -> Exception | None:
        return self.run_context.modules.why(self.name, error)

    @property
    @override
    def numbers(self) -> Numbers:
        numbers = super().numbers
        if "unreadable" not in numbers:
            return numbers
        summary = self.run.summary
        return {**numbers, "counted": summary.counted, REQUESTS: summary.requests}

    @override
    def _rows(self, batch: Batch) -> Generator[Row, None, int]:
        table, count = self._table, len(batch.rows)
        self._last_written = None
        self._follow()
        if table is None:
            yield from emptied(batch.rows)
            return count
        self._keep(batch.before)  # the table writes the state before the first row
        table.begin(batch.version)
        table.expect(batch.rows)
        for record in emptied(batch.rows):
            table.write(record)
            yield record
        return count

    @override
    def row_written(self, row: Mapping[str, Any]) -> None:
        self._last_written = row["id"]

    @override
    def complete_state(self) -> None:
        if self._batch and self._last_written:
            self._keep(self._batch.checkpoint_behind(self._last_written))

    @override
    def _activate(self, version: int) -> None:
        super()._activate(version)
        if self._table and not self.run.has_failed:
            self._table.activate(version)

    def _follow(self) -> None:
        """Take note whether the lines of what is read now are written to their table."""
        of_lines = self.tap_state.get("bookmarks", {}).get(self.name + LINES)
        if self._table:
            self._table.follow()
        elif of_lines:
            of_lines[FOLLOWED] = False

    @cached_property
    def _table(self) -> LineWriter | None:
        """The table of the lines of these records, if one is to be written."""
        table = self._tap.streams.get(self.name + LINES)
        # A module may be named like this, too.
        return table if isinstance(table, LineWriter) and table.selected else None

    def _selected_types(self) -> dict[str, ValueType]:
        """Return the fields to request and their types: `id`, and what the catalog selects."""
        return {
            name: value_type
            for name, value_type in types_of(self.effective_schema).items()
            if name not in SECRET_FIELDS and (name == "id" or self.mask["properties", name])
        }

    def _types_of_selected_lines(self) -> Mapping[str, ValueType]:
        if self._table:
            return self._table.types_of_lines
        return types_of_lines(self.effective_schema) if self.mask["properties", LINES] else {}

    @override
    def apply_catalog(self, catalog: Catalog) -> None:
        super().apply_catalog(catalog)
        if self.config["line_items"] == "off":
            never = Metadata(inclusion=Metadata.InclusionType.UNSUPPORTED)
            self.metadata[("properties", LINES)] = never
