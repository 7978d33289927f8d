"""Related lists as streams: which records belong together."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any

from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE, REPLICATION_INCREMENTAL, Catalog
from singer_sdk.streams import Stream
from typing_extensions import override

from kafinea.describe import Module
from kafinea.extract import related_rows
from kafinea.extract.batch import Batch, Run
from kafinea.extract.checkpoint import Checkpoint
from kafinea.extract.related_lists import RelatedLists
from kafinea.extract.rows import Row
from kafinea.related import RELATED, SOURCE, RelatedList
from singer_kafinea.relations import list_of, schema_of
from tap_kafinea.sdk import KafineaTap
from tap_kafinea.streams import PassStream


class RelationStream(PassStream):
    """Which records stand in a related list of which, in the order of those that have the list.

    The lists of the records that were changed are read, and all of them where their module has no
    `modifiedtime`.
    """

    LISTS_BETWEEN_STATES = 20
    """As between the states of a module, a few dozen requests. Most lists have no rows."""

    def __init__(
        self, tap: KafineaTap, name: str, related: RelatedList, *, is_incremental: bool = True
    ) -> None:
        super().__init__(
            tap, name, schema_of(related), module=related.module, key=(SOURCE, RELATED)
        )
        self._list = related
        self._lists_since_state = 0
        self.forced_replication_method = (
            REPLICATION_INCREMENTAL if is_incremental else REPLICATION_FULL_TABLE
        )

    @override
    def start(self, checkpoint: Checkpoint) -> Run:
        context = self.run_context
        return related_rows.start(
            context.client,
            self._list,
            checkpoint,
            clock=context.clock,
            options=context.options,
            is_incremental=self.is_incremental,
            name=self.name,
        )

    @override
    def _rows(self, batch: Batch) -> Generator[Row, None, int]:
        if self._lists_since_state == self.LISTS_BETWEEN_STATES:
            self._lists_since_state = 0
            self.state_manager.is_flushed = False  # there may have been no row
            self._write_state_message()
        self._lists_since_state += 1
        yield from batch.rows
        return len(batch.rows)

    @override
    def _apply_replication(self, catalog: Catalog) -> None:
        """Do nothing: the `modifiedtime` is that of other records."""


def discover(tap: KafineaTap, modules: Sequence[Module]) -> list[Stream]:
    """Return the streams that the settings require.

    Raises:
        SettingsError: There is no such list.
    """
    wanted = tap.config.get("relations") or []
    lists = RelatedLists(tap.context.client, tap.context.modules).wanted(wanted, modules)
    return [
        RelationStream(tap, one.name, one.related, is_incremental=one.is_incremental)
        for one in lists
    ]


def from_catalog(tap: KafineaTap, name: str, schema: Mapping[str, Any]) -> Stream | None:
    """Return the stream of a catalog entry, if it is that of a related list."""
    related = list_of(schema)
    return RelationStream(tap, name, related) if related else None
