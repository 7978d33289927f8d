"""What the engine reads, as the Arrow tables of a dlt resource.

dlt loads the tables and the state of an extraction together, or neither. It may also take no more
than some of the tables (`add_limit`), and then keeps the state as it is. So the state moves on
right before the last of the tables that it is valid with.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import dlt

from dlt_kafinea.arrow import ArrowTable
from dlt_kafinea.emitted import Emitted
from dlt_kafinea.instance import CHECKPOINT, Instance, Shared
from kafinea.errors import IncompleteRead
from kafinea.extract.batch import Batch, Prepare, Run
from kafinea.extract.rows import Row
from kafinea.values import ValueType

logger = logging.getLogger(__name__)

_ROWS = 10_000
"""The fewest rows of a table, as long as there are so many: each costs dlt some milliseconds."""


class PassResource(ABC):
    """A resource that the engine reads in passes.

    Args:
        instance: The instance.
        name: The resource's name.
        key: Its primary key. The first column is the id of what the engine reads as one.
        is_incremental: Whether only changes are read.
    """

    def __init__(
        self, instance: Instance, name: str, key: Sequence[str], *, is_incremental: bool
    ) -> None:
        self.name = name
        self.key = key
        self.is_incremental = is_incremental
        self._instance = instance
        instance.members[name] = self

    @property
    @abstractmethod
    def types(self) -> Mapping[str, ValueType]:
        """The columns of the table, and what they hold."""

    @property
    @abstractmethod
    def hints(self) -> Mapping[str, Mapping[str, Any]]:
        """The hints that dlt gets for the columns."""

    @abstractmethod
    def start(self, shared: Shared, state: Mapping[str, Any]) -> Run:
        """Return a run from what the state of the resource keeps.

        Raises:
            StateError: The state is that of another instance.
        """

    def tables(self, shared: Shared, state: dict[str, Any]) -> Iterable[Any]:
        """Yield the tables of an extraction, and move the state on."""
        return Tables(self, shared, state)

    def as_dlt(self) -> Any:
        """Return it as dlt has it."""

        def tables() -> Iterator[Any]:  # dlt takes no method
            state = dlt.current.resource_state(self.name)
            shared = self._instance.join(self.name)
            try:
                yield from self.tables(shared, state)
            finally:
                shared.leave(self.name)

        return dlt.resource(
            tables,
            name=self.name,
            primary_key=self.key,
            write_disposition="merge",
            columns=self.hints,
        )()


class Tables:
    """The tables of one extraction of a resource.

    Args:
        resource: The resource.
        shared: The connection.
        state: The state of the resource; changed in place.
    """

    def __init__(self, resource: PassResource, shared: Shared, state: dict[str, Any]) -> None:
        self._name = resource.name
        self._key = resource.key[0]
        self._is_incremental = resource.is_incremental
        self._shared = shared
        self._state = state
        self._is_first = not state
        self._run = shared.runs.get(resource.name) or resource.start(shared, state)
        self._types = resource.types
        self._table = ArrowTable(resource.name, self._types, resource.key, shared.storage)
        self._emitted = Emitted()
        # What is read and not yielded yet, and what the state contains once it is.
        self._rows: list[Row] = []
        self._news: dict[str, Any] = {}

    def __iter__(self) -> Iterator[Any]:
        """Yield the tables."""
        is_complete = False
        for batch in self._batches(self._run, partial(self._shared.prefetch.take, self._name)):
            if not self._emitted.add(row[self._key] for row in batch.rows):
                # Of two rows with the same key dlt keeps any. So the next run goes on here.
                yield from self._gathered()
                return
            self._rows += batch.rows
            self._news[CHECKPOINT] = batch.checkpoint.to_dict()
            is_complete |= batch.completes_version
            if len(self._rows) >= _ROWS:
                yield from self._gathered()
        self._add_last()
        yield from self._gathered()
        if is_complete:
            yield self._marked([], "replace")
        elif self._is_first and self._emitted.is_empty:
            yield self._marked([], "merge")  # so that there is a table, also without rows

    def _add_last(self) -> None:
        """Add what belongs behind the rows that were read."""

    def _beside(self, _: list[Row], /) -> Iterator[Any]:
        """Yield the tables that belong beside rows, and complete the rows."""
        return iter(())

    def _batches(self, run: Run, prepare: Prepare | None = None) -> Iterator[Batch]:
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
        if rows:
            yield from self._beside(rows)
        self._state.update(self._news)
        if rows:
            yield self._marked(rows, "merge")

    def _marked(self, rows: list[Row], disposition: str) -> Any:
        """Return a table of rows, and how it is written."""
        table = self._table.of(rows)
        if self._is_incremental:
            return table
        # A module that is read as a whole replaces its rows, once it is known to be complete.
        return dlt.mark.with_hints(table, dlt.mark.make_hints(write_disposition=disposition))
