"""Reading every record that meets a condition, and proving that none was missed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import backoff

from kafinea.dividing import FAILURES_AT_FIRST, may_lie_in_the_request
from kafinea.errors import IncompleteRead, Refused, Unavailable
from kafinea.keyset import MOST_HIDDEN, PATIENCE, Cursor, KeysetReader, Recovering, none_given
from kafinea.page_query import PAGE_SIZE, SHORT_PAGE, Page, PageQuery, Query, Source, count
from kafinea.parallel_reader import ParallelReader, map_ahead
from kafinea.parsing import local_time
from kafinea.query import AnyOf, Condition, select

logger = logging.getLogger(__name__)

EARLIEST = "1000-01-01 00:00:00"
"""The first moment of a database's date-times. What is before it is a zero date."""

LATEST = "9999-12-31 23:59:59"
"""The last moment of a database's date-times. It stands for a newest one that cannot be read."""

_ZERO = "0000-00-00"
_T = TypeVar("_T")
_U = TypeVar("_U")


class ModuleReader:
    """One reading of a module. Iterate over it once to get its pages, each a list of records.

    Args:
        source: Where the records come from, such as a `Client`.
        module: The module's name.
        columns: The fields to request; `id` comes by itself.
        where: Conditions, all of which must hold.
        after: The last id read before. Reading continues after it.
        page_size: Records to request at a time.
        sessions: How many requests may be under way at the same time.
        complete: Makes of some records what is given out instead of them; it may leave some out.
            Several threads call it, ahead, with no record twice.
        complete_at_once: How many records to give it at a time.
        recovery: Gets what can be had of records at which the server fails, and knows them
            afterwards. Without it, such a record ends the reading.

    Attributes:
        unreadable: How many the server counts and does not give, known at the end.
    """

    def __init__(
        self,
        source: Source,
        module: str,
        columns: Iterable[str] = ("*",),
        where: Sequence[Condition | AnyOf] = (),
        *,
        after: str | None = None,
        page_size: int = PAGE_SIZE,
        sessions: int = 1,
        complete: Callable[[Page], Page] | None = None,
        complete_at_once: int = PAGE_SIZE,
        recovery: Recovering | None = None,
    ) -> None:
        self.unreadable = 0
        self._source = source
        self._module = module
        # A page at which the server fails is soon requested in halves instead.
        hasty = source.giving_up_after if recovery else lambda _: source
        self._ask = hasty(FAILURES_AT_FIRST).query_deferred
        self._page_query = PageQuery(
            *(source.query, module, columns, where, page_size),
            hasty=lambda failures: hasty(failures).query,
        )
        self._start = after
        self._sessions = sessions
        self._complete = complete
        self._complete_at_once = complete_at_once
        self._cursor = Cursor(after)
        self._keyset = KeysetReader(self._page_query, self._cursor, recovery)
        self._begun: list[Page] = []

    @property
    def total(self) -> int:
        """How many records the server counted at the start; 0 before."""
        return self._cursor.total

    @property
    def refused(self) -> frozenset[str]:
        """The columns that turned out to be refused, which no record has."""
        return self._page_query.refused

    def begin(self) -> None:
        """Count, and read the first page; if that is all, also what shows that it is all.

        Iterating does this first if it was not done before.

        Raises:
            IncompleteRead: The server does not give records in the order of their ids.
            Unavailable: The server cannot count.
        """
        if self._begun:
            return
        self._begun = [self._first_page()]
        if self._begun[0] and self._cursor.is_complete:
            self._begun.append(self._keyset.next_page())

    def __iter__(self) -> Iterator[Page]:
        """Yield the pages in the order of the ids.

        Raises:
            IncompleteRead: The server counted records and gave none of them, or not in order.
            Unavailable: The server cannot count.
        """
        if self._complete is None:
            return self._pages()
        return filter(None, map_ahead(self._complete, self._parts(), self._sessions))

    def _parts(self) -> Iterator[Page]:
        size = self._complete_at_once
        for page in self._pages():
            yield from (page[start : start + size] for start in range(0, len(page), size))

    def _pages(self) -> Iterator[Page]:
        self.begin()
        length = len(self._begun[-1])  # now, for whoever takes a page may empty it
        yield from filter(None, self._begun)
        if length:
            yield from self._rest(length)
        if not self._cursor.is_complete:
            self._explain_the_missing()

    def _first_page(self) -> Page:
        try:
            if self._sessions > 1:
                page, self._cursor.total = _at_once(self._keyset.given, self._count)
            else:
                self._cursor.total = self._page_query.count(self._start)
                page = self._keyset.given()  # also after a count of 0, which may be wrong
        except Refused:
            # ProductTaxes may have no ids; as long as it has no records either, nothing is amiss.
            if self._page_query.count(self._start):
                raise
            return []
        if not page:
            return self._keyset.next_page() if self.total else []
        return page

    def _count(self) -> int:
        """Count, and have the sessions opened for the rest while the first page is on its way."""
        total = self._page_query.count(self._start)
        pages = -(-total // min(self._page_query.page_size, PAGE_SIZE))
        self._source.open_sessions(min(self._sessions, pages))
        return total

    def _rest(self, length: int) -> Iterator[Page]:
        """Yield what is after the first page, which was so long."""
        size = max(length, min(self._page_query.page_size, PAGE_SIZE))
        if length < size:
            # Either the server gives less than others, or there are records that it does not show.
            if not (page := self._keyset.next_page()):
                return
            is_most = len(page) == length == self._page_query.longest_page >= SHORT_PAGE
            size = length if is_most else size
            yield page
        if not self._keyset.is_dividing:
            self._page_query.page_size = size  # requesting more gives no more
        expected = self._cursor.total - self._cursor.received
        if self._sessions > 1 and expected > size:
            yield from ParallelReader(
                self._keyset,
                self._page_query,
                self._ask,
                expected=expected,
                page_size=size,
                sessions=self._sessions,
            )
            return
        while page := self._keyset.next_page():
            yield page

    def _explain_the_missing(self) -> None:
        """Tell records that were changed or deleted while we read from those we may not read."""
        came = self._cursor.received + self._cursor.lost
        self.unreadable = max(0, self._page_query.count(self._start) - came)
        if self.unreadable and not came and self._start is None:
            raise none_given(self._module, self.unreadable)
        if self.unreadable:
            logger.warning(
                "%s: %s of %s records could not be read. Usually this user may not see them. Use "
                "a user who can read all records.",
                self._module,
                f"{self.unreadable:,}",
                f"{self.total:,}",
            )


def _at_once(here: Callable[[], _T], elsewhere: Callable[[], _U]) -> tuple[_T, _U]:
    """Return what both give, asked at the same time."""
    thread = ThreadPoolExecutor(1)
    other = thread.submit(elsewhere)
    thread.shutdown(wait=False)
    return here(), other.result()


def newest(
    query: Query, module: str, where: Sequence[Condition | AnyOf] = (), *, tries: int = PATIENCE
) -> str | None:
    """Return the latest `modifiedtime` of the records that meet the conditions, as the wire has it.

    Args:
        query: What sends a query, such as `Client.query`.
        module: The module's name.
        where: Conditions, all of which must hold.
        tries: How often to query a server that counts such records and gives none.

    Returns:
        None when there is no such record; an empty text when none of them has a `modifiedtime`;
        `LATEST` when that of the newest is no date-time.

    Raises:
        NoneGiven: The server counts such records and gives none of them.
        IncompleteRead: It gives one without a `modifiedtime`.
    """

    def ask(offset: int, limit: int) -> list[dict[str, Any]]:
        return query(
            select(
                module,
                ["modifiedtime"],
                where=where,
                order_by=["modifiedtime"],
                descending=True,
                offset=offset,
                limit=limit,
            )
        )

    try:
        if answer := ask(0, 1):
            return _modified(module, answer[0])
    except (Refused, Unavailable) as error:
        if not may_lie_in_the_request(error):
            raise
        return _next_newest(ask, module, count(query, module, where), error)
    expected = count(query, module, where)
    if not expected:
        return None
    patiently = backoff.on_predicate(backoff.expo, max_tries=tries, factor=0.5, logger=None)(ask)
    if answer := patiently(0, PAGE_SIZE):
        return _modified(module, answer[0])
    for offset in range(SHORT_PAGE, min(expected, MOST_HIDDEN), SHORT_PAGE):
        if answer := ask(offset, PAGE_SIZE):
            return _modified(module, answer[0])
    raise none_given(module, expected)


def _next_newest(
    ask: Callable[[int, int], Page], module: str, expected: int, error: Refused | Unavailable
) -> str:
    """Return the latest `modifiedtime` before that of a record at which the server fails.

    Raises:
        Refused, Unavailable: The error: the server fails at others too.
    """
    for offset in (1, 2, 10, 100):
        try:
            if offset < expected and (answer := ask(offset, 1)):
                return _modified(module, answer[0])
        except (Refused, Unavailable) as failure:
            error = failure
    raise error


def _modified(module: str, record: dict[str, Any]) -> str:
    if "modifiedtime" not in record:
        raise IncompleteRead(
            f"{module}: the server returned no modifiedtime, so changed records cannot be found."
        )
    wire = record["modifiedtime"]
    if not wire or str(wire).startswith(_ZERO):
        return ""  # where the latest one is none, all are
    try:
        read = local_time(wire).isoformat(sep=" ")
    except ValueError:
        return LATEST
    return read if read >= EARLIEST else ""
