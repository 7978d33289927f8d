"""A module that is verified: its records in the instance, read as often as needed."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kafinea.client import Client
from kafinea.describe import LINES, MODIFIED, Module
from kafinea.errors import IncompleteRead
from kafinea.extract.clock import Clock
from kafinea.extract.extraction import Extraction
from kafinea.extract.hidden_records import deleted, hidden_of
from kafinea.extract.line_fields import line_fields, line_module
from kafinea.extract.module_rows import Fields
from kafinea.extract.options import Options
from kafinea.extract.rows import Row
from kafinea.module_reader import ModuleReader
from kafinea.page_query import PAGE_SIZE
from kafinea.parallel_reader import map_ahead
from kafinea.parsing import is_id, number_in, prefix_of
from kafinea.progress import Progress
from kafinea.query import Condition
from kafinea.recovery import Recovery
from kafinea.values import ValueType, value_type_of
from kafinea_cli.verify.comparing import FoundId
from kafinea_cli.verify.warehouse import Table

logger = logging.getLogger(__name__)

_SAMPLE = 20
"""Records that no query returns, of which is found out first whether they are hidden."""


@dataclass(frozen=True)
class Subject:
    """A module and its table.

    Attributes:
        client: The instance.
        clock: The server's time zone.
        options: How the tap extracts.
        described: The module.
        table: Its table.
        lines: The table of the lines of its documents, if there is one. It is not compared.
        types: The fields that the table has, and their types.
        line_types: Those of the lines of its documents; none if the table does not have them.
    """

    client: Client
    clock: Clock
    options: Options
    described: Module
    table: Table
    lines: Table | None
    types: Mapping[str, ValueType]
    line_types: Mapping[str, ValueType]

    @property
    def module(self) -> str:
        """The name of the module."""
        return self.described.name

    @property
    def fields(self) -> list[str]:
        """The fields whose values can be compared."""
        return [*self.types, *([LINES] if self.line_types else [])]

    def ids(self, unreadable: set[str]) -> Iterator[FoundId]:
        """Yield all records by their numbers, with as many sessions as the client may open.

        Args:
            unreadable: The ids are added of those that cannot be compared.
        """
        recovery = Recovery(self.client, self.module)
        reading = self._reader(recovery)
        reading.begin()
        with Progress(self.module, reading.total, logger) as progress:
            for page in reading:
                unreadable.update(bad.id for bad in recovery.failed)
                yield from map(_found, page)
                progress.advance(len(page))

    def look_again(self, ids: Sequence[str]) -> dict[str, FoundId]:
        """Return those of some records that the instance returns now.

        That one is not among them does not prove that it was deleted; see `missing_of`.
        """
        chunks = (ids[start : start + PAGE_SIZE] for start in range(0, len(ids), PAGE_SIZE))
        pages = map_ahead(self._some, chunks, self.client.max_sessions)
        return {record.id: record for page in pages for record in page}

    def missing_of(self, ids: Sequence[str]) -> tuple[set[str], set[str]]:
        """Return which of some ids no record has any more, and which the user may not read.

        What is in neither is counted by the server.
        """
        gone = list(deleted(self.client.query, self.module, ids))
        hidden = hidden_of(self.client, gone[:: -(-len(gone) // _SAMPLE)]) if gone else []
        if hidden and len(gone) > _SAMPLE:
            hidden = hidden_of(self.client, gone)
        return {*gone} - {*hidden}, {*hidden}

    def hidden_among(self, ids: Sequence[str]) -> set[str]:
        """Return which of some ids that no query returns belong to records hidden from the user."""
        possible = [one for one in ids if is_id(one) and prefix_of(one) == self.described.id_prefix]
        return {*hidden_of(self.client, possible)} if possible else set()

    def rows(self, ids: Sequence[str]) -> Iterator[Row]:
        """Yield records as the tap emits them, without those that cannot be read whole."""
        extraction = Extraction(
            self.client,
            self.module,
            Fields(self.types, self.line_types),
            timezone=self.clock,
            options=self.options,
            is_incremental=False,
        )
        for batch in extraction.start().records(ids):
            unreadable = {*batch.checkpoint.unreadable}
            yield from (row for row in batch.rows if row["id"] not in unreadable)

    def _some(self, ids: Sequence[str]) -> list[FoundId]:
        reading = self._reader(Recovery(self.client, self.module), ids)
        try:
            return [_found(record) for page in reading for record in page]
        except IncompleteRead:
            # Where the server counts records that this user may not read, it may give none.
            logger.debug("%s: none of %d records is returned", self.module, len(ids))
            return []

    def _reader(self, recovery: Recovery, ids: Sequence[str] = ()) -> ModuleReader:
        columns = ["id", MODIFIED] if self.table.modified else ["id"]
        return ModuleReader(
            self.client,
            self.module,
            columns,
            [Condition("id", "IN", ids)] if ids else [],
            page_size=self.options.page_size,
            sessions=1 if ids else self.client.max_sessions,
            recovery=recovery,
        )


def types_of_lines(client: Client, module: Module) -> Mapping[str, ValueType]:
    """Return the fields of the lines of a module's documents; none if they have no lines."""
    if not module.is_inventory:
        return {}
    fields = line_fields(module, line_module(client))
    return {field.name: value_type_of(field.type) for field in fields}


def _found(record: Mapping[str, Any]) -> FoundId:
    return FoundId(number_in(record["id"]), record["id"], record.get(MODIFIED) or None)
