"""One page after the other, by id, each requested after the last id that came.

`id > last ORDER BY id` is as fast at any depth and skips nothing while others write. Three things
the server does make an empty or a short page no proof of the end: a query that fails in SQL answers
`[]`; records the user may not read are taken out after the LIMIT; inventory modules collapse joined
rows after it. So an empty page is believed only when the server counts none after it, and records
are called unreadable only while a query that gave records before still gives them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import dropwhile
from typing import Any, Protocol

import backoff

from kafinea.dividing import FAILURES_AT_FIRST, Error, may_lie_in_the_request
from kafinea.errors import IncompleteRead, NoneGiven, Refused, Unavailable
from kafinea.page_query import SHORT_PAGE, Page, PageQuery, number

PATIENCE = 6
"""Tries of a query that gives nothing although the server counts records: about 8 s."""

MOST_HIDDEN = 50_000
"""Records that cannot be read, one after the other."""

_FEWEST_SHARED = 3
"""Places that two pages of records that cannot be read share at least."""


@dataclass
class Cursor:
    """How far a reading has come.

    Attributes:
        last: The last id that was read, or stepped over; None before the first one.
        total: How many records the server counted at the start.
        received: How many records were received.
        lost: How many records could not be had at all.
    """

    last: str | None
    total: int = 0
    received: int = 0
    lost: int = 0

    @property
    def is_complete(self) -> bool:
        """Whether as many records as were counted have come."""
        return self.received + self.lost >= self.total


class Recovering(Protocol):
    """What gets what can be had of a record at which the server fails: a `Recovery`."""

    def read(self, record_id: str, columns: Sequence[str], error: Error) -> dict[str, Any] | None:
        """Return the record, or what can be had of it; None if nothing can."""


class KeysetReader:
    """The records after an id, page by page. One thread at a time may use it.

    A page at which the server fails is requested in halves, down to the record at fault, which is
    stepped over. What can be had of that is a page of its own.

    Args:
        pages: What is asked.
        cursor: After which record to read. It is moved after each page.
        recovery: Gets what can be had of a record at which the server fails; None to fail as well.

    Attributes:
        is_dividing: Whether a page is being requested in halves.
    """

    def __init__(
        self,
        pages: PageQuery,
        cursor: Cursor,
        recovery: Recovering | None = None,
    ) -> None:
        self.cursor = cursor
        self.is_dividing = False
        self._bad_in_a_row = 0
        self._shown = cursor.last  # the last one that came, in this run or in an earlier one
        self._pages = pages
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
        if self.cursor.is_complete:
            return []
        expected = self._pages.count(self.cursor.last)
        if not expected:
            return []
        return self._ask_again() or self._step_over_the_unreadable(expected)

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
        """Whether a page at which the server fails is requested in halves."""
        return self._recovery is not None

    def reaches(self, page: Page) -> bool:
        """Whether a page begins no later than with the last record that came."""
        return number(page[0]["id"]) <= number(self.cursor.last)

    def take(self, page: Page) -> Page:
        """Return what is new in a page which leaves out no record after the last that came."""
        last = number(self.cursor.last)
        return self._went_on_to([*dropwhile(lambda record: number(record["id"]) <= last, page)])

    def _ask(
        self, offset: int = 0, limit: int | None = None, failures: int = FAILURES_AT_FIRST
    ) -> Page:
        """Go on to what the server gives for the next page, which may be nothing."""
        return self._went_on_to(self._given_at(offset, limit, failures))

    def _given_at(
        self, offset: int, limit: int | None = None, failures: int = FAILURES_AT_FIRST
    ) -> Page:
        try:
            return self._pages.page(self.cursor.last, offset, limit, failures=failures)
        except Unavailable as error:
            if not error.silent:
                raise
            # A slow server, or one that starts again, is no matter of a record.
            return self._pages.page(self.cursor.last, offset, limit)

    @backoff.on_predicate(backoff.expo, max_tries=PATIENCE, factor=0.5, logger=None)
    def _ask_again(self) -> Page:
        return self.given()

    def _part(self, offset: int, limit: int) -> Page:
        """Return a part of a page; nothing only when it is certain that the server gives nothing.

        Raises:
            Refused, Unavailable: The server fails at it.
        """
        page = self._ask(offset, limit, failures=1)
        if page or self._pages.count(self.cursor.last) <= offset:
            return page
        return self._ask_for_part_again(offset, limit)

    @backoff.on_predicate(backoff.expo, max_tries=PATIENCE, factor=0.5, logger=None)
    def _ask_for_part_again(self, offset: int, limit: int) -> Page:
        return self._ask(offset, limit, failures=1)

    # A page at which the server fails

    def _divide_at(self, error: Error, offset: int = 0) -> bool:
        """Have the page after the last id requested in halves; return whether there is any.

        Raises:
            Refused, Unavailable: The error, where it does not lie in a record.
        """
        if not self._recovery or not _may_lie_in_a_record(error):
            raise error
        # A server that is down fails at this too, and it waits for one that comes back.
        if self._pages.count(self.cursor.last) <= offset:
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
        suspects = limit = self._pages.usual_length
        given = 0  # the greatest limit that the server did not fail at
        while suspects > 0:
            try:
                page = self._part(offset, limit)
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
                looked_at = len(page) or min(limit, self._surely_looked_at)
                offset = 0 if page else offset + looked_at
                suspects -= looked_at
                if page:
                    yield page  # whoever takes it may empty it
                if whole:
                    break
            limit = max(1, suspects // 2)
        self._pages.ask_for_less(given)

    def _rest_of_a_row(self, recovery: Recovering) -> Iterator[Page]:
        """Yield what can be had of further records at fault, one by one after two in a row."""
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
        record_id = self._pages.id_at(self.cursor.last, offset)
        if record_id is None:
            self._bad_in_a_row = 0
            return
        self.cursor.last = record_id
        self._bad_in_a_row += 1
        if record := recovery.read(record_id, self._pages.names, error):
            self.cursor.received += 1
            yield [record]
        else:
            self.cursor.lost += 1

    # Records that are counted and not given

    @property
    def _surely_looked_at(self) -> int:
        """How many records the server looks at for a long page, as far as that is known.

        A step over more than that would leave out records that may be read.
        """
        return max(self._pages.longest_page, SHORT_PAGE)

    def _step_over_the_unreadable(self, expected: int) -> Page:
        """Return the next records after a page of records that this user may not read."""
        if not self._pages.longest_page and not self._pages.gives_nothing(self.cursor.last):
            if page := self._ask_again():
                return page
            raise self._columns_fail()
        size = min(self._pages.page_size, self._surely_looked_at)
        # Pages share a few places: records may leave between two requests, and others move up.
        step = max(1, size - max(size // 10 + 1, _FEWEST_SHARED))
        first, end = self._first_within(expected, step)
        if not first:
            self._check_that_queries_work(step)
        # A query that fails in SQL gives nothing as well. So what is passed over is asked for once
        # more, now that it is certain that queries work.
        while (found := self._first_within(end, step))[0]:
            first, end = found
        if isinstance(first, list):
            return self._went_on_to(first)
        return self.next_page() if self._divide_at(first, end) else []

    def _first_within(self, end: int, step: int) -> tuple[Page | Error, int]:
        """Return the first page that comes, or error, before an offset; and its offset."""
        for offset in range(0, end, step):
            try:
                page = self._given_at(offset)
            except (Refused, Unavailable) as error:
                return error, offset
            if page:
                return page, offset
            if offset >= MOST_HIDDEN:
                raise none_given(self._pages.module, end)
        return [], end

    def _check_that_queries_work(self, step: int) -> None:
        """Ask once more for the records that came last.

        The last ones that an earlier run has read may be hidden by now, also more than a page.

        Raises:
            Unavailable: The server counts what came, and none of it comes any more.
        """
        if self._shown is None:
            return  # nothing came yet: either the steps find something, or all is an error
        try:
            if self._pages.before(self._shown):
                return
            expected = min(self._pages.count(None, self._shown), MOST_HIDDEN)
            offsets = range(0, expected, step)
            comes = any(self._pages.before(self._shown, offset) for offset in offsets)
        except (Refused, Unavailable) as error:
            if not _may_lie_in_a_record(error):
                raise
            return  # the last one that an earlier run has read may be one at which it fails
        if expected and not comes:
            raise self._queries_fail()

    def _queries_fail(self) -> Unavailable:
        return Unavailable(
            f"{self._pages.module}: the server counts records but returns none, not even those "
            "that it returned before. Its queries fail. Check the server's log."
        )

    def _columns_fail(self) -> IncompleteRead:
        names = sorted(self._pages.failing_columns(self.cursor.last)) or ["all together"]
        return IncompleteRead(
            f"{self._pages.module}: the server counts records and returns their ids, but nothing "
            f"with these fields: {', '.join(names)}. Its database fails at them, or does not have "
            "them. Check the server's log, or deselect them."
        )

    def _went_on_to(self, page: Page) -> Page:
        if page:
            self._bad_in_a_row = 0
            self._shown = self.cursor.last = page[-1]["id"]
            self.cursor.received += len(page)
        return page


def _may_lie_in_a_record(error: Error) -> bool:
    is_silent = isinstance(error, Unavailable) and error.silent
    return not is_silent and may_lie_in_the_request(error)


def none_given(module: str, counted: int) -> NoneGiven:
    """Return the error for records that are counted and do not come."""
    return NoneGiven(
        f"{module}: the server counts {counted:,} records but returns none of them. Either its "
        "query fails (check the server's log), or this user may not read them."
    )
