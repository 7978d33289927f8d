"""The query of one page of a module, and how many records there are."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from operator import lt
from typing import Any, Protocol, TypeVar

import backoff

from kafinea.columns import Columns, at_fault
from kafinea.dividing import FAILURES_AT_FIRST, TOO_LONG, may_lie_in_the_request
from kafinea.errors import IncompleteRead, NotCounted, Refused, Unavailable
from kafinea.parsing import are_ids, is_id, number_in, prefix_of, whole
from kafinea.query import LONGEST_QUERY, AnyOf, Condition, encoded_size, select

logger = logging.getLogger(__name__)

Page = list[dict[str, Any]]
Query = Callable[[str], Page]
Ask = Callable[[str], Callable[[], Page]]

_Answer = TypeVar("_Answer")

PAGE_SIZE = 100
"""The most records that servers give in one answer, whatever the LIMIT says, as a rule."""

SHORT_PAGE = 20
"""The fewest records that servers look at for one answer. Those it does not show are among them."""

_COUNT_TRIES = 4
_LARGEST_GAP = 2**40


class Source(Protocol):
    """Where records come from, such as a `Client`."""

    def query(self, query: str) -> Page:
        """Return what a query gives."""

    def query_deferred(self, query: str) -> Callable[[], Page]:
        """Send a query and return what gives its records."""

    def open_sessions(self, count: int) -> None:
        """Expect so many requests at once."""

    def giving_up_after(self, failures: int) -> Source:
        """Return this source for requests that may themselves be why the server fails."""


class PageQuery:
    """The query of the pages of a module. Chains share it, also between threads.

    Args:
        query: What sends a query, such as `Client.query`.
        module: The module's name.
        columns: The fields to request; `id` comes by itself.
        where: Conditions, all of which must hold.
        page_size: Records to request at a time.
        hasty: Gives what sends a query and gives up after so many failures, where a page is then
            requested in parts; None where it is not.

    Attributes:
        longest_page: The most records that came at a time.
    """

    def __init__(
        self,
        query: Query,
        module: str,
        columns: Iterable[str],
        where: Sequence[Condition | AnyOf],
        page_size: int,
        *,
        hasty: Callable[[int], Query] | None = None,
    ) -> None:
        self.module = module
        self.page_size = page_size
        self._query = query
        self._hasty = hasty or (lambda _: query)
        self._columns = Columns(query, module, list(columns))
        self._where = tuple(where)
        self.longest_page = 0
        text = self._text(self._columns.names, (), 0, page_size)
        if encoded_size(text) > LONGEST_QUERY:
            self._columns.asks_for_all_instead_of(self._columns.asked)

    def page(
        self,
        after: str | None,
        offset: int = 0,
        limit: int | None = None,
        *,
        failures: int | None = None,
    ) -> Page:
        """Return the records after an id, as many as the server gives.

        Args:
            after: The id; None for all records.
            offset: How many records to pass over.
            limit: How many to request; None for a page.
            failures: How often the server may fail; None for as often as at anything else.

        Raises:
            IncompleteRead: Their ids do not ascend, so going on after the last would skip some.
        """
        query = self._query if failures is None else self._hasty(failures)
        page = self._ask(query, behind(after), offset, limit or self.page_size)
        return self._in_order(page, after)

    def page_later(self, ask: Ask, after: str | None, offset: int) -> Callable[[], Page]:
        """Request the records after an id now; what is returned gives them, as `page` does."""
        records = self._ask(ask, behind(after), offset, self.page_size)
        return lambda: self._in_order(records(), after)

    def _in_order(self, page: Page, after: str | None) -> Page:
        self.longest_page = max(self.longest_page, len(page))
        numbers = [*map(number_in, ids_of(self.module, page, after))]
        if after and numbers and numbers[0] <= number(after):
            raise self._not_in_order()
        if all(map(lt, numbers, numbers[1:])):
            return page
        # A record that has several lines may be repeated.
        if numbers != sorted(numbers):
            raise self._not_in_order()
        return list(dict(zip(numbers, page, strict=True)).values())

    def _not_in_order(self) -> IncompleteRead:
        return IncompleteRead(
            f"{self.module}: the server does not return records in the order of their ids."
        )

    def may_be_cut(self, page: Page) -> bool:
        """Whether others may follow a page: it is as long as any, and as long as a limit may be."""
        length = len(page)
        return length == self.longest_page and (length == self.page_size or may_be_limit(length))

    def before(self, last: str, offset: int = 0) -> Page:
        """Return the records from an id backwards."""
        conditions = [Condition("id", "<=", last)]
        return self._ask(self._query, conditions, offset, PAGE_SIZE, descending=True)

    def gives_nothing(self, after: str | None, columns: Sequence[str] = ("id",)) -> bool:
        """Whether a query of some columns gives no record after an id."""
        return not self._query(self._text(columns, behind(after), 0, self.page_size))

    def failing_columns(self, after: str | None) -> set[str]:
        """Return the columns with which a query gives nothing, because it fails in SQL."""
        return at_fault(partial(self.gives_nothing, after), self._columns.asked)

    def count(self, after: str | None, until: str | None = None) -> int:
        """Return how many records there are after an id, up to another one."""
        upper = [Condition("id", "<=", until)] if until else []
        return count(self._query, self.module, [*self._where, *behind(after), *upper])

    @property
    def names(self) -> Sequence[str]:
        """The fields that a query gives, one by one also where all are requested at once."""
        return self._columns.names

    @property
    def refused(self) -> frozenset[str]:
        """The columns that turned out to be refused."""
        return self._columns.refused

    @property
    def usual_length(self) -> int:
        """How many records a page has at most, as far as that is known."""
        if not self.longest_page:
            return self.page_size
        # Records that have several lines make the pages of a server shorter than it allows.
        return max(self.longest_page, min(self.page_size, PAGE_SIZE))

    def ask_for_less(self, limit: int) -> None:
        """Request shorter pages from now on, if the server failed because one was too long.

        Args:
            limit: The limit at which it did not fail; as before, if the failure passed.
        """
        self.page_size = min(self.page_size, max(limit, PAGE_SIZE))

    def id_at(self, after: str | None, offset: int) -> str | None:
        """Return the id of a record at which the server fails, the first or a later one after one.

        Returns:
            None when there is no record.

        Raises:
            IncompleteRead: The server returns nothing of it.
        """
        text = select(
            self.module,
            ["id"],
            where=[*self._where, *behind(after)],
            order_by=["id"],
            offset=offset,
            limit=1,
        )
        try:
            if rows := self._hasty(FAILURES_AT_FIRST)(text):
                return ids_of(self.module, rows)[0]
        except (Refused, Unavailable) as error:
            if not may_lie_in_the_request(error):
                raise
        return self._id_by_counting(after, offset) if self.count(after) > offset else None

    def _id_by_counting(self, after: str | None, offset: int) -> str:
        """Find the id up to which one more record is counted; the record itself is not requested.

        Raises:
            IncompleteRead: There is no such id.
        """
        prefix = prefix_of(after or self._id_of_next(offset + 1))
        low, step = number(after) if after else 0, 1

        def is_before(one: int) -> bool:
            return self.count(after, f"{prefix}x{one}") <= offset

        while is_before(low + step):
            low, step = low + step, 2 * step
            if step > _LARGEST_GAP:
                raise self._not_shown()
        high = low + step
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if is_before(middle) else (low, middle)
        return f"{prefix}x{high}"

    def _id_of_next(self, offset: int) -> str:
        """Return the id of a record after one that no query can show, at a distance if need be."""
        expected, step = self.count(None), 0
        while offset + step < expected:
            try:
                if rows := self._hasty(1)(self._text(["id"], (), offset + step, 1)):
                    return ids_of(self.module, rows)[0]
            except (Refused, Unavailable) as error:
                if not may_lie_in_the_request(error):
                    raise
            step = 2 * step or 1
        raise self._not_shown()

    def _not_shown(self) -> IncompleteRead:
        return IncompleteRead(
            f"{self.module}: the server counts a record but fails at each query for it, even at a "
            "query for its id alone."
        )

    def _ask(
        self,
        send: Callable[[str], _Answer],
        conditions: Sequence[Condition],
        offset: int,
        limit: int,
        *,
        descending: bool = False,
    ) -> _Answer:
        asked = self._columns.asked
        try:
            return send(self._text(asked, conditions, offset, limit, descending))
        except Refused as error:
            if not self._takes_others(asked, error):
                raise
        return send(self._text(self._columns.asked, conditions, offset, limit, descending))

    def _takes_others(self, asked: Sequence[str], error: Refused) -> bool:
        """Whether other columns are asked for from now on, after these were refused."""
        if error.code in TOO_LONG:
            return self._columns.asks_for_all_instead_of(asked)
        # What has given records before is not refused for its columns.
        return not self.longest_page and self._columns.leave_out_refused(asked, error)

    def _text(
        self,
        columns: Sequence[str],
        conditions: Sequence[Condition],
        offset: int,
        limit: int,
        descending: bool = False,
    ) -> str:
        return select(
            self.module,
            columns,
            where=[*self._where, *conditions],
            order_by=["id"],
            descending=descending,
            offset=offset,
            limit=limit,
        )


def may_be_limit(length: int) -> bool:
    """Whether a server may give no more records than so many in one answer."""
    return length >= SHORT_PAGE and (length % 10 == 0 or length % 25 == 0)


def count(
    query: Query, module: str, where: Sequence[Condition | AnyOf] = (), *, tries: int = _COUNT_TRIES
) -> int:
    """Return how many records meet the conditions.

    Args:
        query: What sends a query, such as `Client.query`.
        module: The module's name.
        where: Conditions, all of which must hold.
        tries: How often to query a server that does not count.

    Raises:
        NotCounted: The server gives no count, which means that the query failed in SQL.
    """
    patiently = backoff.on_exception(
        backoff.expo, NotCounted, max_tries=tries, factor=0.25, logger=None
    )
    text = select(module, ["count(*)"], where=where)
    return patiently(_counted)(query, module, text)


def is_there(query: Query, module: str, record_id: str) -> bool:
    """Whether the server counts a record, which it may do without giving it.

    Raises:
        NotCounted: The server gives no count.
    """
    return bool(count(query, module, [Condition("id", "=", record_id)]))


def _counted(query: Query, module: str, text: str) -> int:
    answer = query(text)
    count = whole(next(iter(answer[0].values()), None)) if answer else None
    if count is None:
        raise NotCounted(f"{module}: the server returned no record count.")
    return count


def ids_of(module: str, page: Page, like: str | None = None) -> list[str]:
    """Return the ids of records of a module.

    Args:
        module: The module, for messages.
        page: The records.
        like: An id of the module; that of the first record if none is known.

    Raises:
        IncompleteRead: One has no id, or that of another module.
    """
    ids: list[str] = [record.get("id", "") for record in page]
    if not are_ids(ids):
        raise IncompleteRead(f"{module}: the server returned a record without an id.")
    start = f"{prefix_of(like or ids[0])}x" if ids else ""
    if others := [one for one in ids if not one.startswith(start)]:
        raise IncompleteRead(
            f"{module}: the server returned {others[0]}, a record of another module. The ids of "
            f"{module} begin with {start}."
        )
    return ids


def number(record_id: Any) -> int:
    """Return the number after the x of an id; servers order by it.

    Raises:
        IncompleteRead: It is no id.
    """
    if not is_id(record_id):
        raise IncompleteRead("The server returned a record without an id.")
    return number_in(record_id)


def behind(record_id: str | None) -> list[Condition]:
    """Return the condition for the records after an id; none for all records."""
    return [Condition("id", ">", record_id)] if record_id else []
