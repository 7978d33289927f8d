"""A module as a dlt resource: its records, their lines and the deleted ones, as Arrow tables.

dlt loads the tables and the state of an extraction together, or neither. It may also take no more
than some of the tables (`add_limit`), and then keeps the state as it is. So the state moves on
right before the last of the tables that it is valid with.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import dlt

from dlt_kafinea.arrow import ArrowTable, Storage
from dlt_kafinea.columns import DELETED, deleted_hint, hints_of, types_of
from dlt_kafinea.emitted import Emitted
from dlt_kafinea.instance import (
    CHECKPOINT,
    SCANNED,
    Instance,
    Shared,
    checkpoint_in,
    current_source,
)
from dlt_kafinea.lines import LineTable, add_line_table
from kafinea.describe import LINES, MODIFIED, Module
from kafinea.errors import IncompleteRead, Refused, Unavailable
from kafinea.extract.deletion_scan import Scan
from kafinea.extract.extraction import Extraction
from kafinea.extract.line_fields import line_fields
from kafinea.extract.module_rows import Fields
from kafinea.extract.rows import Row
from kafinea.extract.run import Batch, ExtractionRun, Prepare
from kafinea.values import ValueType

logger = logging.getLogger(__name__)

_ROWS = 10_000
"""The fewest rows of a table, as long as there are so many: each costs dlt some milliseconds."""
_WITH_LINES = "with_lines"
"""In the state: whether all that was read of the documents has brought its lines."""


class ModuleResource:
    """The records of a module.

    Args:
        instance: The instance.
        module: The module.
        line: The module of lines; None if this user may not use it.
        has_lines: Whether documents bring their lines.
    """

    def __init__(
        self, instance: Instance, module: Module, line: Module | None, *, has_lines: bool
    ) -> None:
        self.name = module.name
        self.is_incremental = MODIFIED in module.fields
        self.finds_deleted = self.is_incremental and instance.settings.deletions_path is not None
        self._instance = instance
        self._fields = [module.fields[name] for name in module.readable]
        self._line_fields = line_fields(module, line) if has_lines and module.is_inventory else []
        instance.members[self.name] = self

    def as_dlt(self) -> Any:
        """Return it as dlt has it."""
        hints = hints_of(self._fields)
        if self.finds_deleted:
            hints |= deleted_hint("record")

        def tables() -> Iterator[Any]:  # dlt takes no method
            yield from self._tables()

        return dlt.resource(
            tables, name=self.name, primary_key="id", write_disposition="merge", columns=hints
        )()

    def start(self, shared: Shared, state: Mapping[str, Any]) -> ExtractionRun:
        """Return a run from what the state of the resource keeps.

        Raises:
            StateError: The state is that of another instance.
        """
        checkpoint = checkpoint_in(state)
        if self._line_fields and checkpoint.has_begun and not state.get(_WITH_LINES):
            logger.info("%s is read from the beginning, to extract the lines.", self.name)
            checkpoint = checkpoint.restarted()
        return self.extraction(shared, finds_deleted=self.finds_deleted).start(checkpoint)

    def extraction(self, shared: Shared, *, finds_deleted: bool) -> Extraction:
        """Return the extraction of the module."""
        return Extraction(
            shared.client,
            self.name,
            Fields(types_of(self._fields), types_of(self._line_fields)),
            timezone=shared.clock,
            options=shared.options,
            is_incremental=self.is_incremental,
            detector=shared.detector if finds_deleted else None,
        )

    @property
    def types(self) -> dict[str, ValueType]:
        """The columns of the table, and what they hold."""
        deleted = {DELETED: ValueType.BOOLEAN} if self.finds_deleted else {}
        return types_of(self._fields) | deleted

    def lines(self, state: dict[str, Any], storage: Storage) -> LineTable | None:
        """Return what makes the tables of the lines, if documents bring them."""
        if not self._line_fields:
            return None
        if source := current_source():  # `run(table_format=...)` has given it its hints
            add_line_table(source.resources[self.name], self._line_fields)
        return LineTable(self.name, self._line_fields, state, storage)

    def _tables(self) -> Iterator[Any]:
        state = dlt.current.resource_state(self.name)
        shared = self._instance.join(self.name)
        try:
            yield from Tables(self, shared, state)
        except (Refused, Unavailable) as error:
            if why := shared.modules.why(self.name, error):
                raise why from None
        finally:
            shared.leave(self.name)


class Tables:
    """The tables of one extraction of a module.

    Args:
        resource: The module.
        shared: The connection.
        state: The state of the resource; changed in place.
    """

    def __init__(self, resource: ModuleResource, shared: Shared, state: dict[str, Any]) -> None:
        self._resource = resource
        self._shared = shared
        self._state = state
        self._is_first = not state
        self._run = shared.runs.get(resource.name) or resource.start(shared, state)
        self._types = resource.types
        self._table = ArrowTable(resource.name, self._types, ["id"], shared.storage)
        self._lines = resource.lines(state, shared.storage)
        self._emitted = Emitted()
        # What is read and not yielded yet, and what the state contains once it is.
        self._rows: list[Row] = []
        self._news: dict[str, Any] = {_WITH_LINES: self._lines is not None}

    def __iter__(self) -> Iterator[Any]:
        """Yield the tables."""
        is_complete = False
        for batch in self._batches(self._run, partial(self._shared.prefetch.take, self._name)):
            if not self._emitted.add(row["id"] for row in batch.rows):
                # Of two rows with the same key dlt keeps any. So the next run goes on here.
                yield from self._gathered()
                return
            self._rows += batch.rows
            self._news[CHECKPOINT] = batch.checkpoint.to_dict()
            is_complete |= batch.completes_version
            if len(self._rows) >= _ROWS:
                yield from self._gathered()
        self._add_deleted()
        yield from self._gathered()
        if is_complete:
            yield self._marked([], "replace")
        elif self._is_first and self._emitted.is_empty:
            yield self._marked([], "merge")  # so that there is a table, also without rows

    @property
    def _name(self) -> str:
        return self._resource.name

    def _batches(self, run: ExtractionRun, prepare: Prepare | None = None) -> Iterator[Batch]:
        try:
            yield from run.batches(prepare)
        except IncompleteRead as error:
            if not run.has_failed:
                raise
            # A matter of single records: the next run requests them again.
            logger.error("%s: %s", self._name, error)  # noqa: TRY400 one line is enough

    def _gathered(self) -> Iterator[Any]:
        """Yield the rows that were read since the last time, and move the state on."""
        rows, self._rows = self._rows, []
        if DELETED in self._types:
            for row in rows:
                row.setdefault(DELETED, None)
        if rows and self._lines:
            yield self._lines.of(rows)
        self._state.update(self._news)
        if rows:
            yield self._marked(rows, "merge")

    def _marked(self, rows: list[Row], disposition: str) -> Any:
        """Return a table of rows, and how it is written."""
        table = self._table.of(rows)
        if self._resource.is_incremental:
            return table
        # A module that is read as a whole replaces its rows, once it is known to be complete.
        return dlt.mark.with_hints(table, dlt.mark.make_hints(write_disposition=disposition))

    # Deleted records

    def _add_deleted(self) -> None:
        """Add a row for each record that was deleted, and the records that exist again."""
        detector = self._shared.detector
        scan = detector.done.get(self._name) if detector else None
        if scan is None:
            return
        found = self._found(scan)
        empty = dict.fromkeys(self._types) | {DELETED: True}
        gone = [record_id for record_id, is_gone in found.items() if is_gone]
        self._rows += (empty | {"id": record_id, LINES: []} for record_id in gone)
        self._rows += self._read({*found} - {*gone})
        self._news[SCANNED] = scan.at.isoformat()

    def _found(self, scan: Scan) -> dict[str, bool]:
        """Return which records a scan found deleted, or not deleted any more.

        A record that was read after the scan exists, and is in this load already.
        """
        found: dict[str, bool] = {}
        for change in scan.changes:
            for numbers, is_gone in ((change.gone, True), (change.back, False)):
                found |= dict.fromkeys((f"{scan.prefix}x{number}" for number in numbers), is_gone)
        return {key: is_gone for key, is_gone in found.items() if not self._emitted.has(key)}

    def _read(self, ids: set[str]) -> Iterator[Row]:
        """Yield records by their ids. Their `modifiedtime` need not be new."""
        if not ids:
            return
        extraction = self._resource.extraction(self._shared, finds_deleted=False)
        run = extraction.start(replace(self._run.checkpoint, unreadable=tuple(ids)))
        for batch in self._batches(run):
            yield from (row for row in batch.rows if row["id"] in ids)
