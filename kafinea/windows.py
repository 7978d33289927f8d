"""A long reading by several sessions at once, its pages in the order of the ids.

The ids behind the first page are cut into windows, each read by a chain of its own. A window ends
where a page shows a record of the window that follows, so it needs no proof of its own end: the
page shows that nothing is left between. That costs half a page for each window, in which records
come twice; they are dropped.

Ids are one sequence of all modules, so how many records a window holds is a guess, made from how
far apart the latest ones were. A guess that was too low costs time, and is made good by cutting
what is left of the window; one that was too high costs a page.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import takewhile
from math import ceil
from threading import Condition

from kafinea.chain import Chain, Page, number

LOOK_AHEAD = 10_000
"""Records that wait to be taken, at which reading on behind them ends. About 50 MB."""

_MOST_PAGES = 10
"""Pages in a window. More would cost memory, fewer requests."""

_WORTH_CUTTING = 3
"""Pages in the rest of a window that a session with nothing else to do takes a half of."""


class _Window:
    """Some ids, from behind one up to another.

    Attributes:
        chain: Reads it.
        at: The number of the last id that was read, or behind which it begins.
        end: The number of its last id; a mere plan as long as no window follows.
        stride: How many ids its latest page spanned, if that was a full one.
        pages: What was read and not yet taken.
        waiting: How many records that is.
        has_read: It has read a page.
        is_busy: Its next page is being asked for.
        is_done: It has been read to its end.
        error: What went wrong; nothing behind it is read any more.
    """

    def __init__(self, chain: Chain, at: int, end: int, stride: int) -> None:
        self.chain = chain
        self.at = at
        self.end = end
        self.stride = stride
        self.pages: deque[Page] = deque()
        self.waiting = 0
        self.is_busy = self.is_done = self.has_read = False
        self.error: BaseException | None = None

    @property
    def is_open(self) -> bool:
        """Whether there is more to read in it."""
        return not (self.is_done or self.error)


class Windows:
    """Reads what is behind a first page. Iterate over it once to get the pages.

    Args:
        chain: The chain that gave the first page.
        chain_after: Makes a chain that begins behind an id number.
        first: The first page.
        highest: The number of the highest id, as far as is known.
        owed: About how many records there are behind the first page.
        sessions: How many pages to ask for at the same time.
        take_in: Takes note of records that came; called by one thread at a time.
    """

    def __init__(
        self,
        chain: Chain,
        chain_after: Callable[[int], Chain],
        first: Page,
        *,
        highest: int,
        owed: int,
        sessions: int,
        take_in: Callable[[Page], None],
    ) -> None:
        self._chain_after = chain_after
        self._highest = highest
        self._sessions = sessions
        self._take_in = take_in
        self._page_size = len(first)
        # All windows of a round are read at once, so rounds of equal windows leave nobody idle.
        pages_each = owed / len(first) / sessions
        self._pages_each = max(2, pages_each / ceil(pages_each / _MOST_PAGES))
        at = number(first[-1]["id"])
        self._windows = deque([self._window(chain, at, at - number(first[0]["id"]) + 1)])
        self._changed = Condition()
        self._is_closed = False

    def __iter__(self) -> Iterator[Page]:
        """Yield the pages in the order of the ids.

        Raises:
            KafineaError: What `Chain.next_page` raises, when all before it was yielded.
        """
        readers = ThreadPoolExecutor(self._sessions, thread_name_prefix="kafinea-reader")
        for _ in range(self._sessions):
            readers.submit(self._read)
        try:
            while page := self._next_page():
                yield page
        finally:
            with self._changed:
                self._is_closed = True
                self._changed.notify_all()
            # Nobody waits for a page that nobody will take.
            readers.shutdown(wait=False, cancel_futures=True)

    def _next_page(self) -> Page:
        """Return the next page, when it has come; none at the end."""
        with self._changed:
            while self._windows:
                window = self._windows[0]
                if window.pages:
                    page = window.pages.popleft()
                    window.waiting -= len(page)
                    self._changed.notify_all()
                    return page
                if window.error:
                    raise window.error
                if window.is_done:
                    self._windows.popleft()
                else:
                    self._changed.wait()
            return []

    # In the threads of the readers

    def _read(self) -> None:
        while window := self._window_to_read():
            try:
                page = window.chain.next_page()
                self._deliver(window, page)
            except BaseException as error:  # noqa: BLE001 raised again where the page is taken
                with self._changed:
                    window.error = error
                    self._changed.notify_all()

    def _window_to_read(self) -> _Window | None:
        """Return a window whose next page is to be asked for; None when there are no more."""
        with self._changed:
            while not self._is_closed and any(window.is_open for window in self._windows):
                if window := self._first_idle() or self._open() or self._cut():
                    window.is_busy = True
                    return window
                self._changed.wait()
            return None

    def _deliver(self, window: _Window, page: Page) -> None:
        """Take a page in, as far as it belongs to the window."""
        with self._changed:
            window.is_busy = False
            reached = window.at
            if page:
                reached = number(page[-1]["id"])
                window.has_read = True
                window.stride = max(1, (reached - window.at) * self._page_size // len(page))
            if window is not self._windows[-1]:
                window.is_done = not page or reached >= window.end
                page = [*takewhile(lambda record: number(record["id"]) <= window.end, page)]
            elif not page:
                window.is_done = True
            elif reached >= window.end:
                window.end = self._planned_end(reached, window.stride)
            if page:
                window.at = reached
                window.pages.append(page)
                window.waiting += len(page)
                self._take_in(page)
            self._changed.notify_all()

    def _first_idle(self) -> _Window | None:
        """Return the first window that nobody reads, unless too much waits in front of it."""
        for window in self._within_look_ahead():
            if window.is_open and not window.is_busy:
                return window
        return None

    def _open(self) -> _Window | None:
        """Open a window behind the last one, unless too much waits in front of it."""
        last = self._windows[-1]
        if last.end >= self._highest or last not in self._within_look_ahead():
            return None
        window = self._window(self._chain_after(last.end), last.end, self._latest_stride())
        self._windows.append(window)
        return window

    def _cut(self) -> _Window | None:
        """Cut the window of which the most is left in two."""
        candidates = [window for window in self._within_look_ahead() if window.is_open]
        window = max(candidates, key=self._pages_left, default=None)
        if window is None or self._pages_left(window) < _WORTH_CUTTING:
            return None
        # A page of it is being asked for at this moment.
        middle = (window.at + window.stride + min(window.end, self._highest)) // 2
        half = _Window(self._chain_after(middle), middle, window.end, window.stride)
        window.end = middle
        self._windows.insert(self._windows.index(window) + 1, half)
        return half

    def _pages_left(self, window: _Window) -> float:
        return (min(window.end, self._highest) - window.at) / window.stride

    def _within_look_ahead(self) -> Iterator[_Window]:
        waiting = 0
        for window in self._windows:
            yield window
            waiting += window.waiting
            if window.error or waiting >= LOOK_AHEAD:
                return

    def _latest_stride(self) -> int:
        """Return the stride of the last window that has read anything."""
        read = (window for window in reversed(self._windows) if window.has_read)
        return next(read, self._windows[0]).stride

    def _window(self, chain: Chain, at: int, stride: int) -> _Window:
        return _Window(chain, at, self._planned_end(at, stride), stride)

    def _planned_end(self, at: int, stride: int) -> int:
        return at + max(1, int(self._pages_each * stride))
