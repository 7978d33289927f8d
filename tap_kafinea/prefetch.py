"""Asking for the streams that follow while one is written.

A nightly run over many modules costs a request for each of those that have not changed. So the
first requests of all streams are sent from the start, as many at a time as there are sessions; and
of the streams that have something to read, as many get their first page before it is their turn.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kafinea.extract.prepared_pass import PreparedPass
    from tap_kafinea.streams import ModuleStream


@dataclass
class _Turn:
    """A stream whose turn will come: what it has to read, and the first page of that."""

    opening: Future[PreparedPass | None]
    first_page: Future[None] | None = None


class Prefetch:
    """Opens streams before it is their turn.

    Args:
        streams: The streams that will be read, in their order.
        sessions: How many requests to send at the same time, and how many first pages to keep.
    """

    def __init__(self, streams: Iterable[ModuleStream], sessions: int) -> None:
        self._sessions = sessions
        self._threads = ThreadPoolExecutor(sessions, thread_name_prefix="kafinea-prefetch")
        self._lock = Lock()
        self._turns = {
            stream.name: _Turn(self._threads.submit(stream.open, stream.plan)) for stream in streams
        }
        for turn in list(self._turns.values()):
            turn.opening.add_done_callback(self._fetch_first_pages)

    def opening(self, stream: ModuleStream) -> PreparedPass | None:
        """Return what a stream has to read first, now that it is its turn.

        Raises:
            KafineaError: What went wrong in asking for it.
        """
        with self._lock:
            turn = self._turns.pop(stream.name, None)
        # What has not been begun in the background is done here: it is needed now.
        if turn is None or turn.opening.cancel():
            return stream.open(stream.plan)
        opening = turn.opening.result()
        if turn.first_page and not turn.first_page.cancel():
            turn.first_page.result()
        self._fetch_first_pages()
        return opening

    def close(self) -> None:
        """Ask for nothing more."""
        with self._lock:
            self._turns.clear()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _fetch_first_pages(self, _: Any = None) -> None:
        """Have the first pages fetched of the next streams that have something to read."""
        with self._lock:
            room = self._sessions - sum(
                turn.first_page is not None for turn in self._turns.values()
            )
            for turn in self._turns.values():
                opening = _known(turn.opening)
                if room and opening and turn.first_page is None:
                    turn.first_page = self._threads.submit(opening.reading.begin)
                    room -= 1


def _known(opening: Future[PreparedPass | None]) -> PreparedPass | None:
    done = opening.done() and not opening.cancelled() and not opening.exception()
    return opening.result() if done else None
