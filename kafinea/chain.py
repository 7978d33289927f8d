"""One page behind the other, by id, each asked for behind the last id that came.

`id > last ORDER BY id` is as fast at any depth and skips nothing while others write. Three things
the server does make an empty or a short page no proof of the end: a query that fails in SQL answers
`[]`; records the user may not read are taken out after the LIMIT; inventory modules collapse joined
rows after it. So an empty page is believed only when the server counts none behind it, and records
are called unreadable only while a query that gave records before still gives them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import dropwhile
from operator import lt
from threading import Lock
from typing import Any, Protocol, TypeVar

import backoff

from kafinea.describe import SECRET_MODULES
from kafinea.dividing import FAILURES_AT_FIRST, Error, may_lie_in_the_request
from kafinea.errors import Code, IncompleteRead, NotCounted, Refused, Unavailable
from kafinea.query import LONGEST_QUERY, Condition, encoded_size, select

logger = logging.getLogger(__name__)

Page = list[dict[str, Any]]
Query = Callable[[str], Page]
Ask = Callable[[str], Callable[[], Page]]


class Recovering(Protocol):
    """What gets what can be had of a record at which the server fails: a `Recovery`."""

    def read(self, record_id: str, columns: Sequence[str], error: Error) -> dict[str, Any] | None:
        """Return the record, or what can be had of it; None if nothing can."""


class Source(Protocol):
    """Where records come from, such as a `Client`."""

    def query(self, query: str) -> Page:
        """Return what a query gives."""

    def ask(self, query: str) -> Callable[[], Page]:
        """Send a query and return what gives its records."""

    def open_sessions(self, count: int) -> None:
        """Expect so many requests at once."""

    def giving_up_after(self, failures: int) -> Source:
        """Return this source for requests that may themselves be why the server fails."""


_Answer = TypeVar("_Answer")

PAGE_SIZE = 100
"""The most records that servers give in one answer, whatever the LIMIT says."""

PATIENCE = 6
"""Tries of a query that gives nothing although the server counts records: about 8 s."""

MOST_STEPS = 500
"""Pages of a hundred records that cannot be read, one behind the other."""

_REFUSALS_OF_COLUMNS = frozenset(
    {Code.ACCESS_DENIED, Code.INTERNAL_SERVER_ERROR, Code.QUERY_SYNTAX_ERROR}
)
_COUNT_TRIES = 4
_LARGEST_GAP = 2**40


class Selection:
    """What is asked of a module. Chains share it, also between threads.

    Args:
        query: What sends a query, such as `Client.query`.
        module: The module's name.
        columns: The fields to ask for; `id` comes by itself.
        where: Conditions, all of which must hold.
        page_size: Records to ask for at a time.
        hasty: Gives what sends a query and gives up after so many failures, where a page is then
            asked for in parts; None where it is not.

    Attributes:
        longest_page: The most records that came at a time.
        refused: The columns that turned out to be refused.
    """

    def __init__(
        self,
        query: Query,
        module: str,
        columns: Iterable[str],
        where: Sequence[Condition],
        page_size: int,
        *,
        hasty: Callable[[int], Query] | None = None,
    ) -> None:
        self.module = module
        self.page_size = page_size
        self._query = query
        self._hasty = hasty or (lambda _: query)
        self._names = self._columns = list(columns)
        self._where = tuple(where)
        self.longest_page = 0
        self.refused: frozenset[str] = frozenset()
        self._refusing = Lock()
        self._are_tried = False
        too_long = encoded_size(self._text(self._columns, (), 0, page_size)) > LONGEST_QUERY
        if too_long and module not in SECRET_MODULES:
            self._columns = ["*"]

    def page(
        self,
        after: str | None,
        offset: int = 0,
        limit: int | None = None,
        *,
        failures: int | None = None,
    ) -> Page:
        """Return the records behind an id, as many as the server gives.

        Args:
            after: The id; None for all records.
            offset: How many records to pass over.
            limit: How many to ask for; None for a page.
            failures: How often the server may fail; None for as often as at anything else.

        Raises:
            IncompleteRead: Their ids do not ascend, so going on behind the last would skip some.
        """
        query = self._query if failures is None else self._hasty(failures)
        page = self._ask(query, behind(after), offset, limit or self.page_size)
        return self._in_order(page, after)

    def page_later(self, ask: Ask, after: str | None, offset: int) -> Callable[[], Page]:
        """Ask for the records behind an id now; what is returned gives them, as `page` does."""
        records = self._ask(ask, behind(after), offset, self.page_size)
        return lambda: self._in_order(records(), after)

    def _in_order(self, page: Page, after: str | None) -> Page:
        self.longest_page = max(self.longest_page, len(page))
        numbers = [number(record.get("id")) for record in page]
        if after and numbers and numbers[0] <= number(after):
            raise self._not_in_order()
        if all(map(lt, numbers, numbers[1:])):
            return page
        # A record that has several lines may be repeated.
        if numbers != sorted(numbers):
            raise self._not_in_order()
        return list(dict(zip(numbers, page, strict=True)).values())

    def _not_in_order(self) -> IncompleteRead:
        return IncompleteRead(f"{self.module}: the server does not give records in id order.")

    def before(self, last: str, behind_which: str | None) -> Page:
        """Return the records from an id backwards, as far as another one."""
        conditions = [Condition("id", "<=", last), *behind(behind_which)]
        return self._ask(self._query, conditions, 0, PAGE_SIZE, descending=True)

    def count(self, after: str | None) -> int:
        """Return how many records there are behind an id."""
        return count(self._query, self.module, [*self._where, *behind(after)])

    @property
    def names(self) -> Sequence[str]:
        """The fields that a query gives, one by one also where all are asked for at once."""
        return self._names

    @property
    def usual_length(self) -> int:
        """How many records a page has at most, as far as that is known."""
        if not self.longest_page:
            return self.page_size
        # Records that have several lines make the pages of a server shorter than it allows.
        return max(self.longest_page, min(self.page_size, PAGE_SIZE))

    def ask_for_less(self, limit: int) -> None:
        """Ask for shorter pages from now on, if the server failed because one was too long.

        Args:
            limit: What it was then asked for and did not fail at; as before, if it passed.
        """
        self.page_size = min(self.page_size, max(limit, PAGE_SIZE))

    def id_at(self, after: str | None, offset: int) -> str | None:
        """Return the id of a record at which the server fails, the first or a later one behind one.

        Returns:
            None when there is no record.

        Raises:
            IncompleteRead: The server tells nothing of it.
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
                return str(rows[0]["id"])
        except (Refused, Unavailable) as error:
            if not may_lie_in_the_request(error):
                raise
        return self._id_by_counting(after, offset) if self.count(after) > offset else None

    def _id_by_counting(self, after: str | None, offset: int) -> str:
        """Find the id up to which one more record is counted; the record itself is not asked for.

        Raises:
            IncompleteRead: There is no such id.
        """
        prefix = (after or self._id_of_next(offset + 1)).partition("x")[0]
        low, step = number(after) if after else 0, 1

        def is_before(one: int) -> bool:
            upper = Condition("id", "<=", f"{prefix}x{one}")
            return count(self._query, self.module, [*self._where, *behind(after), upper]) <= offset

        while is_before(low + step):
            low, step = low + step, 2 * step
            if step > _LARGEST_GAP:
                raise self._not_told()
        high = low + step
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if is_before(middle) else (low, middle)
        return f"{prefix}x{high}"

    def _id_of_next(self, offset: int) -> str:
        """Return the id of a record behind one that no query can show, at a distance if need be."""
        owed, step = self.count(None), 0
        while offset + step < owed:
            try:
                if rows := self._hasty(1)(self._text(["id"], (), offset + step, 1)):
                    return str(rows[0]["id"])
            except (Refused, Unavailable) as error:
                if not may_lie_in_the_request(error):
                    raise
            step = 2 * step or 1
        raise self._not_told()

    def _not_told(self) -> IncompleteRead:
        return IncompleteRead(
            f"{self.module}: the server counts a record and fails at each query that would show "
            "it, even its id."
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
        columns = self._columns
        try:
            return send(self._text(columns, conditions, offset, limit, descending))
        except Refused as error:
            # What has given records before is not refused for its columns.
            if error.code not in _REFUSALS_OF_COLUMNS or self.longest_page or self._are_tried:
                raise
            with self._refusing:
                if self._columns is columns and not self._drop_refused_columns():
                    raise
        return send(self._text(self._columns, conditions, offset, limit, descending))

    def _drop_refused_columns(self) -> bool:
        """Find which columns are refused; return whether the module itself can be queried."""
        if refused_columns(self._query, self.module, ["id"]):
            return False
        refused = refused_columns(self._query, self.module, self._columns)
        self._are_tried = not refused
        columns = [column for column in self._columns if column not in refused]
        if columns and refused:
            self._names = columns
            logger.warning(
                "%s: these fields are null, for the server refuses them in a query: %s. Either "
                "they were removed, or this user may not read them.",
                self.module,
                ", ".join(sorted(refused)),
            )
            self._columns = columns
            self.refused = frozenset(refused)
        return bool(columns)

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


class Chain:
    """The records behind an id, page by page. One thread at a time may use it.

    A page at which the server fails is asked for in halves, down to the record at fault, which is
    stepped over. What can be had of that is a page of its own.

    Args:
        selection: What is asked.
        after: The id; None for all records.
        is_all_in: Whether as many records as were counted have come, from all chains together.
        recovery: Gets what can be had of a record at which the server fails; None to fail as well.

    Attributes:
        last: The last id that was read, or stepped over.
        lost: The records of which nothing could be had.
        is_dividing: Whether a page is being asked for in halves.
    """

    def __init__(
        self,
        selection: Selection,
        after: str | None,
        is_all_in: Callable[[], bool],
        recovery: Recovering | None = None,
    ) -> None:
        self.last = after
        self.lost = 0
        self.is_dividing = False
        self._bad_in_a_row = 0
        self._shown: tuple[str | None, str] | None = None  # between which ids a page came
        self._selection = selection
        self._is_all_in = is_all_in
        self._recovery = recovery
        self._parts: Iterator[Page] = iter(())

    def next_page(self) -> Page:
        """Return the next records; none only when it is certain that no more can be had.

        Raises:
            IncompleteRead: The ids do not ascend, or there is no end to unreadable records.
            Unavailable: The queries fail.
        """
        if page := self.given():
            return page
        if self._is_all_in():
            return []
        owed = self._selection.count(self.last)
        if not owed:
            return []
        return self._ask_again() or self._step_over_the_unreadable(owed)

    def given(self) -> Page:
        """Return what the server gives next, which may be nothing, around what it fails at."""
        while True:
            if page := next(self._parts, None):
                return page
            try:
                return self._ask()
            except (Refused, Unavailable) as error:
                if not self._divide_at(error):
                    return []

    @property
    def can_divide(self) -> bool:
        """Whether a page at which the server fails is asked for in halves."""
        return self._recovery is not None

    def reaches(self, page: Page) -> bool:
        """Whether a page begins no later than with the last record that came."""
        return number(page[0]["id"]) <= number(self.last)

    def take(self, page: Page) -> Page:
        """Return what is new in a page which leaves out no record behind the last that came."""
        last = number(self.last)
        return self._went_on_to([*dropwhile(lambda one: number(one["id"]) <= last, page)])

    def _ask(
        self, offset: int = 0, limit: int | None = None, failures: int = FAILURES_AT_FIRST
    ) -> Page:
        """Return what the server gives for the next page, which may be nothing."""
        try:
            page = self._selection.page(self.last, offset, limit, failures=failures)
        except Unavailable as error:
            if not error.silent:
                raise
            # A slow server, or one that starts again, is no matter of a record.
            page = self._selection.page(self.last, offset, limit)
        return self._went_on_to(page)

    @backoff.on_predicate(backoff.expo, max_tries=PATIENCE, factor=0.5, logger=None)
    def _ask_again(self) -> Page:
        return self.given()

    # A page at which the server fails

    def _divide_at(self, error: Error, offset: int = 0) -> bool:
        """Have the page behind the last id asked for in halves; return whether there is any.

        Raises:
            Refused, Unavailable: The error, where it does not lie in a record.
        """
        if not self._recovery or not _may_lie_in_a_record(error):
            raise error
        # A server that is down fails at this too, and it waits for one that comes back.
        if self._selection.count(self.last) <= offset:
            return False
        self._parts = self._divided(self._recovery, offset)
        return True

    def _divided(self, recovery: Recovering, offset: int) -> Iterator[Page]:
        """Yield what comes of a page at which the server fails, in parts."""
        self.is_dividing = True
        try:
            yield from self._halves(recovery, offset)
        finally:
            self.is_dividing = False

    def _halves(self, recovery: Recovering, offset: int) -> Iterator[Page]:
        suspects = limit = self._selection.usual_length
        given = 0  # the greatest limit that the server did not fail at
        while suspects > 0:
            try:
                page = self._ask(offset, limit, failures=1)
            except (Refused, Unavailable) as failure:
                if not _may_lie_in_a_record(failure):
                    raise
                if limit == 1:
                    yield from self._recovered(recovery, offset, failure)
                    yield from self._rest_of_a_row(recovery)
                    return
                suspects = limit
            else:
                whole = limit == suspects
                given = given or limit
                offset = 0 if page else offset + limit
                suspects -= len(page) or limit
                if page:
                    yield page  # whoever takes it may empty it
                if whole:
                    break
            limit = max(1, suspects // 2)
        self._selection.ask_for_less(given)

    def _rest_of_a_row(self, recovery: Recovering) -> Iterator[Page]:
        """Yield what can be had of further records at fault, one by one behind two in a row."""
        while self._bad_in_a_row > 1:
            try:
                page = self._ask(limit=1, failures=1)
            except (Refused, Unavailable) as failure:
                if not _may_lie_in_a_record(failure):
                    raise
                yield from self._recovered(recovery, 0, failure)
            else:
                if page:
                    yield page
                return

    def _recovered(self, recovery: Recovering, offset: int, error: Error) -> Iterator[Page]:
        """Step over the record at fault, and yield what can be had of it."""
        record_id = self._selection.id_at(self.last, offset)
        if record_id is None:
            self._bad_in_a_row = 0
            return
        self.last = record_id
        self._bad_in_a_row += 1
        if record := recovery.read(record_id, self._selection.names, error):
            yield [record]
        else:
            self.lost += 1

    # Records that are counted and not given

    def _step_over_the_unreadable(self, owed: int) -> Page:
        """Return the next records behind a page of records that this user may not read."""
        self._check_that_queries_work()
        size = self._selection.longest_page or min(self._selection.page_size, PAGE_SIZE)
        # Pages share a few places: records may leave between two requests, and others move up.
        step = max(1, size - size // 10 - 1)
        for taken, offset in enumerate(range(step, owed, step), start=1):
            try:
                if page := self._ask(offset, size):
                    return page
            except (Refused, Unavailable) as error:
                return self.next_page() if self._divide_at(error, offset) else []
            if taken == MOST_STEPS:
                raise none_given(self._selection.module, owed)
        return []

    def _check_that_queries_work(self) -> None:
        """Ask once more for the last page that came.

        Raises:
            Unavailable: There is nothing in it any more.
        """
        if self._shown is None:
            return  # nothing came yet: either the steps find something, or all is an error
        # Its end first: what stands before it may be more than a page that cannot be read.
        before, last = self._shown
        if not self._selection.before(last, before):
            raise Unavailable(
                f"{self._selection.module}: the server counts records and gives none, not even "
                "those it gave before. Its queries fail; its log will tell."
            )

    def _went_on_to(self, page: Page) -> Page:
        if page:
            self._bad_in_a_row = 0
            self._shown = self.last, page[-1]["id"]
            self.last = page[-1]["id"]
        return page


def _may_lie_in_a_record(error: Error) -> bool:
    is_silent = isinstance(error, Unavailable) and error.silent
    return not is_silent and may_lie_in_the_request(error)


def count(
    query: Query, module: str, where: Sequence[Condition] = (), *, tries: int = _COUNT_TRIES
) -> int:
    """Return how many records meet the conditions.

    Args:
        query: What sends a query, such as `Client.query`.
        module: The module's name.
        where: Conditions, all of which must hold.
        tries: How often to ask a server that does not count.

    Raises:
        NotCounted: The server gives no count, which means that the query failed in SQL.
    """
    patiently = backoff.on_exception(
        backoff.expo, NotCounted, max_tries=tries, factor=0.25, logger=None
    )
    text = select(module, ["count(*)"], where=where)
    return patiently(_counted)(query, module, text)


def _counted(query: Query, module: str, text: str) -> int:
    answer = query(text)
    count = str(next(iter(answer[0].values()), "")) if answer else ""
    if not (count.isascii() and count.isdigit()):
        raise NotCounted(f"{module}: the server does not count its records.")
    return int(count)


def refused_columns(query: Query, module: str, columns: Sequence[str]) -> set[str]:
    """Return which columns the server refuses to query, found by halving.

    What fails may be a record. So columns are at fault only where they are refused with no record
    asked for, and with each of two.
    """
    if not all(_is_refused(query, module, columns, *which) for which in ((0, 0), (0, 1), (1, 1))):
        return set()
    return _refused_of(query, module, columns)


def _refused_of(query: Query, module: str, columns: Sequence[str]) -> set[str]:
    if _is_refused(query, module, columns):
        if len(columns) == 1:
            return set(columns)
        middle = len(columns) // 2
        return _refused_of(query, module, columns[:middle]) | _refused_of(
            query, module, columns[middle:]
        )
    return set()


def _is_refused(
    query: Query, module: str, columns: Sequence[str], offset: int = 0, limit: int = 0
) -> bool:
    try:
        query(select(module, columns, offset=offset, limit=limit))
    except Refused:
        return True
    return False


def number(record_id: Any) -> int:
    """Return the number behind the x of an id; servers order by it.

    Raises:
        IncompleteRead: It is no id.
    """
    try:
        return int(record_id[record_id.index("x") + 1 :])
    except (AttributeError, ValueError):
        raise IncompleteRead("The server gives a record without an id.") from None


def behind(record_id: str | None) -> list[Condition]:
    """Return the condition for the records behind an id; none for all records."""
    return [Condition("id", ">", record_id)] if record_id else []


def none_given(module: str, counted: int) -> IncompleteRead:
    """Return the error for records that are counted and do not come."""
    return IncompleteRead(
        f"{module}: the server counts {counted:,} records and gives none of them. Either its "
        "query fails (its log will tell), or this user may not read them."
    )
