"""Reading every record that meets a condition, and proving that none was missed.

Pages are asked for by id (`id > last ORDER BY id`), which is as fast at any depth and skips
nothing while others write. Three things the server does make an empty or a short page no proof of
the end: a query that fails in SQL answers `[]`; records the user may not read are taken out after
the LIMIT; inventory modules collapse joined rows after it. So the records are counted first, an
empty page is believed only when the server counts none behind it, and records are called unreadable
only while a query that gave records before still gives them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

import backoff

from kafinea.describe import SECRET_MODULES
from kafinea.errors import Code, IncompleteRead, Refused, Unavailable
from kafinea.query import LONGEST_QUERY, Condition, encoded_size, select

logger = logging.getLogger(__name__)

Query = Callable[[str], list[dict[str, Any]]]

PAGE_SIZE = 100
"""The most records that servers give in one answer, whatever the LIMIT says."""

_REFUSALS_OF_COLUMNS = frozenset(
    {Code.ACCESS_DENIED, Code.INTERNAL_SERVER_ERROR, Code.QUERY_SYNTAX_ERROR}
)
_PATIENCE = 6  # tries of a query that gives nothing although the server counts records: about 8 s
_COUNT_TRIES = 4
_MOST_STEPS = 500  # pages of a hundred records that cannot be read, one behind the other


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
        self._before_last: str | None = None
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
        while self.total and (page := self._next_page()):
            self.received += len(page)
            yield page
        if self.received < self.total:
            self._explain_the_missing()

    def _next_page(self) -> list[dict[str, Any]]:
        """Return the next records; none only when it is certain that no more can be had."""
        if page := self._ask_without_refused_columns():
            return page
        if self.received >= self.total:
            return []
        owed = self._count(self._last)
        if not owed:
            return []
        return self._ask_again() or self._step_over_the_unreadable(owed)

    def _step_over_the_unreadable(self, owed: int) -> list[dict[str, Any]]:
        """Return the next records behind a page of records that this user may not read.

        Raises:
            Unavailable: It is the query that fails.
            IncompleteRead: There is no end to such records.
        """
        self._check_that_queries_work()
        step = min(self._page_size, PAGE_SIZE)
        for taken, offset in enumerate(range(step, owed, step), start=1):
            if page := self._ask(offset, step):
                return page
            if taken == _MOST_STEPS:
                raise _none_given(self._module, owed)
        return []

    def _check_that_queries_work(self) -> None:
        """Ask once more for the last page that came.

        Raises:
            Unavailable: There is nothing in it any more.
        """
        if self._last is None:
            return  # nothing came yet: either the steps find something, or all is an error
        where = [Condition("id", "<=", self._last)]
        if self._before_last:
            where.append(Condition("id", ">", self._before_last))
        if not self._query(self._text(where, 0, PAGE_SIZE)):
            raise Unavailable(
                f"{self._module}: the server counts records and gives none, not even those it "
                "gave before. Its queries fail; its log will tell."
            )

    def _ask_without_refused_columns(self) -> list[dict[str, Any]]:
        try:
            return self._ask()
        except Refused as error:
            if error.code not in _REFUSALS_OF_COLUMNS:
                raise
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

    @backoff.on_predicate(backoff.expo, max_tries=_PATIENCE, factor=0.5, logger=None)
    def _ask_again(self) -> list[dict[str, Any]]:
        return self._ask()

    def _ask(self, offset: int = 0, limit: int | None = None) -> list[dict[str, Any]]:
        page = self._query(self._page_query(offset, limit or self._page_size))
        return self._in_order(page) if page else page

    def _page_query(self, offset: int, limit: int) -> str:
        return self._text(self._behind(self._last), offset, limit)

    def _text(self, where: Sequence[Condition], offset: int, limit: int) -> str:
        return select(
            self._module, self._columns, where=where, order_by=["id"], offset=offset, limit=limit
        )

    def _in_order(self, page: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Take note of the last id, and drop the repetitions of a record that has several lines.

        Raises:
            IncompleteRead: The ids do not ascend, so going on from the last one would skip some.
        """
        by_number = {number(record.get("id")): record for record in page}
        numbers = list(by_number)
        if numbers != sorted(numbers) or (self._last and numbers[0] <= number(self._last)):
            raise IncompleteRead(f"{self._module}: the server does not give records in id order.")
        self._before_last, self._last = self._last, page[-1]["id"]
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


class _NoCount(Unavailable):
    """The answer to a `count(*)` is not a number; what else may go wrong, `query` tries again."""


@backoff.on_exception(backoff.expo, _NoCount, max_tries=_COUNT_TRIES, factor=0.25, logger=None)
def count(query: Query, module: str, where: Sequence[Condition] = ()) -> int:
    """Return how many records meet the conditions.

    Raises:
        Unavailable: The server gives no count, which means that the query failed in SQL.
    """
    answer = query(select(module, ["count(*)"], where=where))
    text = str(next(iter(answer[0].values()), "")) if answer else ""
    if not (text.isascii() and text.isdigit()):
        raise _NoCount(f"{module}: the server does not count its records.")
    return int(text)


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
        return _modified(module, answer[0])
    owed = count(query, module, where)
    if not owed:
        return None
    patiently = backoff.on_predicate(backoff.expo, max_tries=_PATIENCE, factor=0.5, logger=None)(
        ask
    )
    if answer := patiently(0, PAGE_SIZE):
        return _modified(module, answer[0])
    for offset in range(PAGE_SIZE, min(owed, PAGE_SIZE * _MOST_STEPS), PAGE_SIZE):
        if answer := ask(offset, PAGE_SIZE):
            return _modified(module, answer[0])
    raise _none_given(module, owed)


def _modified(module: str, record: dict[str, Any]) -> str:
    text = str(record.get("modifiedtime"))
    try:
        datetime.strptime(text, "%Y-%m-%d %H:%M:%S")  # noqa: DTZ007 only its form matters
    except ValueError:
        raise IncompleteRead(
            f"{module}: the newest modifiedtime is no date-time, so what changed cannot be told."
        ) from None
    return text


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


def number(record_id: Any) -> int:
    """Return the number behind the x of an id; servers order by it.

    Raises:
        IncompleteRead: It is no id.
    """
    try:
        return int(record_id.partition("x")[2])
    except (AttributeError, ValueError):
        raise IncompleteRead("The server gives a record without an id.") from None


def _none_given(module: str, counted: int) -> IncompleteRead:
    return IncompleteRead(
        f"{module}: the server counts {counted:,} records and gives none of them. Either its "
        "query fails (its log will tell), or this user may not read them."
    )
