"""Pages requested ahead, by several sessions at once, and joined in the order of the ids.

The first page after the last certain id is requested together with those after it, by offset:
`id > last ORDER BY id LIMIT 98,100`, `LIMIT 196,100`, and so on. Offsets alone would skip records
when others leave the reading in between. So each page begins with records that the page before it
ends with, and is taken only if it does: a page is one statement's answer, so between its first and
its last record nothing is left out. Where a page does not join, the one after the last certain id
is requested by itself. The page that shows the end begins with the last records that were counted;
alone, its emptiness would not show whether others had come in before them since.

Example: 350 records were counted after the first page, whose last id is 12x100, and pages have
100 records. With ids without gaps, and two records in common, these are requested at once:

    offset   0  LIMIT 100      12x101 ... 12x200   begins after the last certain id
    offset  98  LIMIT 98,100   12x199 ... 12x298   joins: 12x199 is no later than 12x200
    offset 196  LIMIT 196,100  12x297 ... 12x396
    offset 294  LIMIT 294,100  12x395 ... 12x450
    offset 348  LIMIT 348,100  12x449, 12x450      the end: it has room for more, and is not full

If another user deletes ten of the records up to 12x200 in between, the second page begins with
12x209. It does not join, so the page after 12x200 is requested by itself: 12x201 ... 12x300. Then
it does, and continues with 12x301. Pages that are requested from then on have four records in
common.

Windows of ids, cut before, would need a guess at how many records each holds, for ids are one
sequence of all modules. Offsets this small cost the server little: on 205,000 contacts 9 ms for a
thousand records, beside the 45 ms of a page.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from kafinea.errors import Refused, Unavailable
from kafinea.keyset import KeysetReader
from kafinea.page_query import Ask, Page, PageQuery

_T = TypeVar("_T")
_U = TypeVar("_U")

_FEWEST_IN_COMMON = 2
"""Records that two pages have in common; one of them may leave and the pages still join."""

_GOOD_ROW = 10
"""Pages that join, after which one record less in common is tried."""

_WAITING = 4
"""Pages requested beyond one for each session, so that none waits for us."""


class _Overlap:
    """How many records a page has in common with the one before: more when records leave."""

    def __init__(self, page_size: int) -> None:
        self.records = _FEWEST_IN_COMMON
        self._most = page_size // 2
        self._joined = 0

    def page_joined(self) -> None:
        """Note that a page began no later than where the one before it ended."""
        self._joined += 1
        if self._joined % _GOOD_ROW == 0:
            self.records = max(self.records - 1, _FEWEST_IN_COMMON)

    def page_missed(self) -> None:
        """Note that records between two pages had left."""
        self.records = min(2 * self.records, self._most)
        self._joined = 0


@dataclass(frozen=True)
class _Window:
    """Which records to request.

    Attributes:
        start: The place of the first one, counted from the first page.
        offset: How far that is after the last id that is certain.
        is_last: Whether it shows that there is nothing after the records that were counted.
    """

    start: int
    offset: int
    is_last: bool


class _Windows:
    """Decides which records to request next. Places are counted from the first page.

    Args:
        expected: How many records were counted after the first page.
        page_size: How many records a page has.

    Attributes:
        certain: Where the records begin that no page has shown yet.
    """

    def __init__(self, expected: int, page_size: int) -> None:
        self.certain = 0
        self._expected = expected
        self._page_size = page_size
        self._planned = 0
        self._is_all_planned = False

    def next(self, in_common: int) -> _Window | None:
        """Return the next window; None when the last one is requested."""
        self._planned = max(self._planned, self.certain)
        if self._is_all_planned:
            return None
        self._is_all_planned = self._planned >= self._expected
        start = max(self.certain, min(self._planned, self._expected) - in_common)
        self._planned = start + self._page_size
        return _Window(start, start - self.certain, self._is_all_planned)

    def read(self, window: _Window) -> None:
        """Note that the records of a window were received."""
        self.certain = max(self.certain, window.start + self._page_size)

    def is_whole(self, window: _Window) -> bool:
        """Whether the records that were counted fill a window."""
        return window.start + self._page_size <= self._expected


class ParallelReader:
    """Reads on after a first page. Iterate over it once to get the pages.

    Args:
        keyset: What read the first page.
        pages: What is asked.
        ask: What sends a query and returns what gives its records: `Client.query_deferred`. Pages
            wait undecoded.
        expected: How many records were counted after the first page.
        page_size: How many records a page has.
        sessions: How many pages to request at the same time.
    """

    def __init__(
        self,
        keyset: KeysetReader,
        pages: PageQuery,
        ask: Ask,
        *,
        expected: int,
        page_size: int,
        sessions: int,
    ) -> None:
        self._keyset = keyset
        self._pages = pages
        self._ask = ask
        self._expected = expected
        self._page_size = page_size
        self._sessions = sessions
        self._windows = _Windows(expected, page_size)
        self._overlap = _Overlap(page_size)
        self._asked: deque[tuple[_Window, Future[Callable[[], Page]]]] = deque()
        self._received = 0
        self._were_full = True  # all pages that were received, but the last

    def __iter__(self) -> Iterator[Page]:
        """Yield the pages in the order of the ids.

        Raises:
            KafineaError: What `KeysetReader.next_page` raises, when all before it was yielded.
        """
        threads = ThreadPoolExecutor(self._sessions, thread_name_prefix="kafinea-read-ahead")
        try:
            while page := self._next_page(threads):
                yield page
        finally:
            # Nobody waits for a page that nobody will take.
            threads.shutdown(wait=False, cancel_futures=True)

    def _next_page(self, threads: ThreadPoolExecutor) -> Page:
        self._ask_ahead(threads)
        while self._asked and not self._keyset.is_dividing:
            window, pending = self._asked[0]
            try:
                answer = pending.result()()
            except (Refused, Unavailable):
                if not self._keyset.can_divide:
                    raise
                self._asked.popleft()
                self._were_full = False
                break
            if answer and window.offset and not self._keyset.reaches(answer):
                self._overlap.page_missed()
                break
            self._asked.popleft()
            page = self._keyset.take(answer)
            self._received += len(page)
            if self._windows.is_whole(window) and len(answer) < self._page_size:
                self._were_full = False
            if page:
                self._windows.read(window)
                self._overlap.page_joined()
                return page
            if window.is_last and self._is_end(window, answer):
                return []
        page = self._keyset.next_page()
        self._windows.certain += len(page) if self._keyset.is_dividing else self._page_size
        return page

    def _is_end(self, window: _Window, answer: Page) -> bool:
        """Whether the last page shows the end: it joins, and has room for more.

        Room may also be where records are that cannot be read. So no page before it may have had
        any, nor may others have come in: then just as many were received as were counted.
        """
        joins = bool(answer) or not window.offset
        has_room = len(answer) < self._pages.longest_page
        return joins and has_room and self._were_full and self._received == self._expected

    def _ask_ahead(self, threads: ThreadPoolExecutor) -> None:
        while len(self._asked) < self._sessions + _WAITING:
            window = self._windows.next(self._overlap.records)
            if window is None:
                return
            after, offset = self._keyset.cursor.last, window.offset
            pending = threads.submit(self._pages.page_later, self._ask, after, offset)
            self._asked.append((window, pending))


def map_ahead(function: Callable[[_T], _U], items: Iterable[_T], sessions: int) -> Iterator[_U]:
    """Yield what a function gives for each item, in their order, several at the same time."""
    threads = ThreadPoolExecutor(sessions, thread_name_prefix="kafinea-ahead")
    begun: deque[Future[_U]] = deque()
    try:
        for item in items:
            begun.append(threads.submit(function, item))
            if len(begun) >= sessions + _WAITING:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
