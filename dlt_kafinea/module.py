"""A module as a resource: its records, their lines and the deleted ones."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import msgspec
from typing_extensions import override

from dlt_kafinea.arrow import Storage
from dlt_kafinea.columns import DELETED, deleted_hint, hints_of, types_of
from dlt_kafinea.deletions import Found
from dlt_kafinea.instance import Instance, Shared, checkpoint_in, current_source
from dlt_kafinea.lines import LineTable, add_line_table
from dlt_kafinea.tables import PassResource, Tables
from kafinea.describe import LINES, MODIFIED, Module
from kafinea.errors import Refused, Unavailable
from kafinea.extract.extraction import Extraction
from kafinea.extract.line_fields import line_fields
from kafinea.extract.module_rows import Fields
from kafinea.extract.rows import Row
from kafinea.extract.run import ExtractionRun
from kafinea.values import ValueType

logger = logging.getLogger(__name__)

_WITH_LINES = "with_lines"
"""In the state: how all that was read of the documents has brought its lines (`line_items`)."""

_json = msgspec.json.Encoder(decimal_format="number").encode


class ModuleResource(PassResource):
    """The records of a module.

    Args:
        instance: The instance.
        module: The module.
        line: The module of lines; None if this user may not use it.
    """

    def __init__(self, instance: Instance, module: Module, line: Module | None) -> None:
        is_incremental = MODIFIED in module.fields
        super().__init__(instance, module.name, ("id",), is_incremental=is_incremental)
        settings = instance.settings
        self.finds_deleted = is_incremental and settings.deletions != "off"
        self.line_items = settings.line_items if module.is_inventory else "off"
        self._fields = [module.fields[name] for name in module.readable]
        self._line_fields = line_fields(module, line) if self.line_items != "off" else []

    @property
    @override
    def types(self) -> dict[str, ValueType]:
        lines = {LINES: ValueType.TEXT} if self.line_items == "embed" else {}
        deleted = {DELETED: ValueType.BOOLEAN} if self.finds_deleted else {}
        return types_of(self._fields) | lines | deleted

    @property
    @override
    def hints(self) -> Mapping[str, Mapping[str, Any]]:
        text = "The lines in their order, as JSON"
        lines = {LINES: {"description": text}} if self.line_items == "embed" else {}
        return (
            hints_of(self._fields) | lines | (deleted_hint("record") if self.finds_deleted else {})
        )

    @override
    def start(self, shared: Shared, state: Mapping[str, Any]) -> ExtractionRun:
        checkpoint = checkpoint_in(state)
        before = state.get(_WITH_LINES)
        if self.line_items not in {"off", before} and checkpoint.has_begun:
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
            detector=shared.deletions.detector if finds_deleted else None,
        )

    @override
    def tables(self, shared: Shared, state: dict[str, Any]) -> Iterable[Any]:
        try:
            yield from ModuleTables(self, shared, state)
        except (Refused, Unavailable) as error:
            if why := shared.modules.why(self.name, error):
                raise why from None

    def line_table(self, state: dict[str, Any], storage: Storage) -> LineTable | None:
        """Return what makes the tables of the lines, if they have their own."""
        if self.line_items != "table":
            return None
        if source := current_source():  # `run(table_format=...)` has given it its hints
            add_line_table(source.resources[self.name], self._line_fields)
        return LineTable(self.name, self._line_fields, state, storage)


class ModuleTables(Tables):
    """The tables of one extraction of a module.

    Args:
        resource: The module.
        shared: The connection.
        state: The state of the resource; changed in place.
    """

    def __init__(self, resource: ModuleResource, shared: Shared, state: dict[str, Any]) -> None:
        super().__init__(resource, shared, state)
        self._resource = resource
        self._lines = resource.line_table(state, shared.storage)
        self._news[_WITH_LINES] = resource.line_items
        self._found: Found | None = None

    @override
    def __iter__(self) -> Iterator[Any]:
        if self._resource.finds_deleted:
            self._found = self._shared.deletions.synced(self._name)
        yield from super().__iter__()

    @override
    def _beside(self, rows: list[Row]) -> Iterator[Any]:
        if DELETED in self._types:
            for row in rows:
                row.setdefault(DELETED, None)
        if self._lines:
            yield self._lines.of(rows)
        elif LINES in self._types:
            for row in rows:
                row[LINES] = None if row[LINES] is None else _json(row[LINES]).decode()

    @override
    def _add_last(self) -> None:
        """Add a row for each record that was deleted, and the records that exist again."""
        found = self._found or self._shared.deletions.scanned(self._name)
        if found is None:
            return
        # A record that was read after that exists, and is in this load already.
        others = {key: it for key, it in found.deleted.items() if not self._emitted.has(key)}
        gone = [record_id for record_id, is_gone in others.items() if is_gone]
        empty = dict.fromkeys(self._types) | {DELETED: True}
        if self._lines:
            empty[LINES] = []
        self._rows += (empty | {"id": record_id} for record_id in gone)
        self._rows += self._read({*others} - {*gone})
        self._news |= found.news

    def _read(self, ids: set[str]) -> Iterator[Row]:
        """Yield records by their ids. Their `modifiedtime` need not be new."""
        if not ids:
            return
        extraction = self._resource.extraction(self._shared, finds_deleted=False)
        run = extraction.start(replace(self._run.checkpoint, unreadable=tuple(ids)))
        for batch in self._batches(run):
            yield from (row for row in batch.rows if row["id"] in ids)
