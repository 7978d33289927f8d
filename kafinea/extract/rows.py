"""What becomes of the records of a module: rows of it, its related lists, or its files.

`ExtractionRun` reads the records, and knows nothing of this. For each kind of rows there is a class
that implements `Content`: `module_rows`, `related_rows` and `file_rows`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from kafinea.errors import KafineaError
from kafinea.extract.checkpoint import Pass
from kafinea.module_reader import ModuleReader
from kafinea.page_query import PAGE_SIZE, Page

Row = dict[str, Any]


@dataclass(frozen=True)
class Part:
    """The rows of some records that were read.

    Attributes:
        rows: The rows, in order. There may be none.
        ids: The ids of the records; at least one.
        is_read: False where the rows could not be had, and are due in the next run.
    """

    rows: list[Row]
    ids: Sequence[str]
    is_read: bool = True


class Rows(Protocol):
    """Makes the rows of one reading of the module."""

    @property
    def columns(self) -> Sequence[str]:
        """The columns to request."""

    @property
    def complete(self) -> Callable[[Page], Page] | None:
        """What completes records that a query gives in part; None where a query gives all."""

    @property
    def complete_at_once(self) -> int:
        """How many records to give it at a time."""

    def parts(self, reading: ModuleReader, pages: Iterable[Page], /) -> Iterator[Part]:
        """Yield the rows of pages, which may be used up, in the order of the records."""

    def report(self) -> None:
        """Log what was found in the values, now that all are read."""


class Content(Protocol):
    """What the rows of a stream are. A run has one."""

    has_times: ClassVar[bool]
    """Whether the rows hold date-times, which mean something else in another zone."""
    has_versions: ClassVar[bool]
    """Whether a full reading proves which rows there are."""

    def open(self, current: Pass, /) -> Rows:
        """Return what makes the rows of the next reading.

        Args:
            current: The pass, or an empty one for records that belong to none.
        """

    @property
    def is_whole(self) -> bool:
        """Whether all rows of what was read could be had."""

    def report(self) -> None:
        """Log what was found in all readings of the run.

        Raises:
            IncompleteRead: Some rows could not be had.
        """


def gathered(pages: Iterable[Page], records: int = PAGE_SIZE) -> Iterator[list[Page]]:
    """Yield pages, so many at a time that they hold a number of records.

    What came before an error is yielded before it is raised.
    """
    some: list[Page] = []
    try:
        for page in pages:
            some.append(page)
            if sum(map(len, some)) >= records:
                yield some
                some = []
    except KafineaError:
        if some:
            yield some
        raise
    if some:
        yield some


def emptied(rows: list[Row]) -> Iterator[Row]:
    """Yield rows and release each after it was used.

    The next page then takes memory that is still in the processor's cache.
    """
    rows.reverse()
    while rows:
        yield rows.pop()
