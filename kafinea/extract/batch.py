"""What a run gives: batches of rows, each with a checkpoint, and a summary."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from kafinea.extract.checkpoint import Checkpoint, Pass
from kafinea.extract.rows import Row, Rows
from kafinea.module_reader import ModuleReader


@dataclass(frozen=True)
class Batch:
    """Some rows of a stream.

    Attributes:
        rows: The rows. They belong to the receiver, who may change them or use them up. There may
            be none, where only the checkpoint moves on.
        checkpoint: Where the stream stands once the rows are written.
        before: Where it stands before that.
        version: The version of the rows, where all records are read.
        completes_version: Whether all records were read: rows of earlier versions were deleted.
        is_of_pass: Whether the rows are those of the pass under way, whose position they move.
    """

    rows: list[Row]
    checkpoint: Checkpoint
    before: Checkpoint
    version: int | None = None
    completes_version: bool = False
    is_of_pass: bool = False

    def checkpoint_behind(self, record_id: str) -> Checkpoint:
        """Return where the stream stands once the rows up to that of a record are written.

        What could not be read among the rows must be in the state before the position passes it.
        """
        unreadable = dict.fromkeys([*self.before.unreadable, *self.checkpoint.unreadable])
        begun = replace(self.before, unreadable=tuple(unreadable))
        return begun.after(record_id) if self.is_of_pass else begun


@dataclass(frozen=True)
class PreparedPass:
    """A pass that is about to be read.

    Attributes:
        current: The pass.
        reading: Its records.
        rows: What makes rows of them.
        began: When it began, on this machine's clock.
        is_resumed: Whether an earlier run began it, so that what is newer comes after it.
    """

    current: Pass
    reading: ModuleReader
    rows: Rows
    began: datetime
    is_resumed: bool


Prepare = Callable[[], PreparedPass | None]


@dataclass(frozen=True)
class RunSummary:
    """What a run has done so far.

    Attributes:
        counted: How many records the server counted, in all passes together.
        received: How many rows were extracted.
        unreadable: How many records could not be read, or not completely.
        requests: How many requests were about the module, in this and other runs of the client.
        seconds: How long the run took, the time for writing its rows included.
    """

    counted: int = 0
    received: int = 0
    unreadable: int = 0
    requests: int = 0
    seconds: float = 0


class Run(Protocol):
    """One run over what a stream is made of: records, lists or files."""

    @property
    def checkpoint(self) -> Checkpoint:
        """Where the stream stands."""

    @property
    def continues(self) -> bool:
        """Whether it leaves out rows that earlier runs have brought."""

    @property
    def has_failed(self) -> bool:
        """Whether something could not be read, and is requested again in the next run."""

    @property
    def summary(self) -> RunSummary:
        """What was done so far."""

    def prepare(self) -> PreparedPass | None:
        """Return what there is to read first."""

    def first(self) -> Row | None:
        """Return the first row."""

    def batches(self, prepare: Prepare | None = None) -> Iterator[Batch]:
        """Yield all rows.

        Args:
            prepare: Returns the first pass, where that was prepared before.
        """
