"""Reading every record that meets a condition, and proving that none was missed.

Pages are asked for by id (`id > last ORDER BY id`), which is as fast at any depth and skips
nothing while others write. Three things the server does make an empty or a short page no proof of
the end: a query that fails in SQL answers `[]`; records the user may not read are taken out after
the LIMIT; inventory modules collapse joined rows after it. So the records are counted first, and
an empty page is believed only when the server counts none behind it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import backoff

from kafinea.describe import SECRET_MODULES
from kafinea.errors import IncompleteRead, Refused, Unavailable
from kafinea.query import LONGEST_QUERY, Condition, encoded_size, select

logger = logging.getLogger(__name__)

Query = Callable[[str], list[dict[str, Any]]]

PAGE_SIZE = 100
"""The most records that servers give in one answer, whatever the LIMIT says."""

_TRIES = 4


class Reading:
    """One reading of a module. Iterate over it once to get its pages, each a list of records.

    Args:
        query: What sends a query, such as `Client.query`.
        module: The module's name.
        columns: The fields to ask for; `id` comes by itself.
        where: Conditions, all of which must hold.
        after: The last id read before; the reading goes on behind it.
        page_size: Records to ask for at a time.

    Attributes:
        total: How many records the server counted at the start; 0 before.
        received: How many came so far.
        unreadable: How many the server counts and does not give, known at the end.
    """

    def __init__(
        self,
        query: Query,
        module: str,
        columns: Iterable[str] = ("*",),
        where: Sequence[Condition] = (),
        *,
        after: str | None = None,
        page_size: int = PAGE_SIZE,
    ) -> None:
        self.total = self.received = self.unreadable = 0
        self._query = query
        self._module = module
        self._columns = list(columns)
        self._where = tuple(where)
        self._start = self._last = after
        self._page_size = page_size
        too_long = encoded_size(self._page_query(0, page_size)) > LONGEST_QUERY
        if too_long and module not in SECRET_MODULES:
            self._columns = ["*"]

    def __iter__(self) -> Iterator[list[dict[str, Any]]]:
        """Yield the pages in the order of the ids.

        Raises:
            IncompleteRead: The server counted records and gave none of them, or not in order.
            Unavailable: The server cannot count.
        """
        self.total = self._count(self._start)
        while self.received < self.total and (page := self._next_page()):
            self.received += len(page)
            yield page
        if self.received < self.total:
            self._explain_the_missing()

    def _next_page(self) -> list[dict[str, Any]]:
        """Return the next records; none only when it is certain that no more can be had."""
        if page := self._ask_without_refused_columns():
            return page
        owed = self._count(self._last)
        if owed and (page := self._ask_again()):
            return page
        # The page consists of records this user may not read. Others may stand behind them.
        for offset in range(PAGE_SIZE, owed, PAGE_SIZE):
            if page := self._ask(offset, PAGE_SIZE):
                return page
        return []

    def _ask_without_refused_columns(self) -> list[dict[str, Any]]:
        try:
            return self._ask()
        except Refused:
            # `describe` promises fields that a query then refuses: find them and do without.
            refused = refused_columns(self._query, self._module, self._columns)
            self._columns = [column for column in self._columns if column not in refused]
            if not self._columns:
                raise
        if refused:
            logger.warning(
                "%s: the server describes these fields and refuses them in a query; they stay "
                "empty: %s.",
                self._module,
                ", ".join(sorted(refused)),
            )
        return self._ask()

    @backoff.on_predicate(backoff.expo, max_tries=_TRIES, factor=0.25, logger=None)
    def _ask_again(self) -> list[dict[str, Any]]:
        return self._ask()

    def _ask(self, offset: int = 0, limit: int | None = None) -> list[dict[str, Any]]:
        page = self._query(self._page_query(offset, limit or self._page_size))
        return self._in_order(page) if page else page

    def _page_query(self, offset: int, limit: int) -> str:
        return select(
            self._module,
            self._columns,
            where=self._behind(self._last),
            order_by=["id"],
            offset=offset,
            limit=limit,
        )

    def _in_order(self, page: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Take note of the last id, and drop the repetitions of a record that has several lines.

        Raises:
            IncompleteRead: The ids do not ascend, so going on from the last one would skip some.
        """
        by_number = {number(record["id"]): record for record in page}
        numbers = list(by_number)
        if numbers != sorted(numbers) or (self._last and numbers[0] <= number(self._last)):
            raise IncompleteRead(f"{self._module}: the server does not give records in id order.")
        self._last = page[-1]["id"]
        return page if len(numbers) == len(page) else list(by_number.values())

    def _explain_the_missing(self) -> None:
        """Tell records that were changed or deleted while we read from those we may not read."""
        self.unreadable = max(0, self._count(self._start) - self.received)
        if self.unreadable and not self.received and self._start is None:
            raise _none_given(self._module, self.unreadable)
        if self.unreadable:
            logger.warning(
                "%s: %s of %s records could not be read. As a rule they are records that this "
                "user may not see.",
                self._module,
                f"{self.unreadable:,}",
                f"{self.total:,}",
            )

    def _behind(self, last: str | None) -> list[Condition]:
        return [*self._where, *([Condition("id", ">", last)] if last else [])]

    def _count(self, last: str | None) -> int:
        return count(self._query, self._module, self._behind(last))


@backoff.on_exception(backoff.expo, Unavailable, max_tries=_TRIES, factor=0.25, logger=None)
def count(query: Query, module: str, where: Sequence[Condition] = ()) -> int:
    """Return how many records meet the conditions.

    Raises:
        Unavailable: The server gives no count, which means that the query failed in SQL.
    """
    answer = query(select(module, ["count(*)"], where=where))
    try:
        return int(next(iter(answer[0].values())))
    except (IndexError, StopIteration, ValueError):
        raise Unavailable(f"{module}: the server does not count its records.") from None


def newest(query: Query, module: str, where: Sequence[Condition] = ()) -> str | None:
    """Return the latest `modifiedtime` of the records that meet the conditions, as the wire has it.

    Returns:
        None when there is no such record.

    Raises:
        IncompleteRead: The server counts such records and gives none of them.
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

    if answer := ask(0, 1):
        return str(answer[0]["modifiedtime"])
    owed = count(query, module, where)
    for offset in range(0, owed, PAGE_SIZE):
        if answer := ask(offset, PAGE_SIZE):
            return str(answer[0]["modifiedtime"])
    if owed:
        raise _none_given(module, owed)
    return None


def refused_columns(query: Query, module: str, columns: Sequence[str]) -> set[str]:
    """Return which columns the server refuses to query, found by halving."""
    try:
        query(select(module, columns, limit=1))
    except Refused:
        if len(columns) == 1:
            return set(columns)
        middle = len(columns) // 2
        return refused_columns(query, module, columns[:middle]) | refused_columns(
            query, module, columns[middle:]
        )
    return set()


def number(record_id: str) -> int:
    """Return the number behind the x of an id; servers order by it."""
    return int(record_id.partition("x")[2])


def _none_given(module: str, counted: int) -> IncompleteRead:
    return IncompleteRead(
        f"{module}: the server counts {counted:,} records and gives none of them. Either its "
        "query fails (its log will tell), or this user may not read them."
    )
