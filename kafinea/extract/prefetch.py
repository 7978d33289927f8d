"""Asking for the streams that follow while one is written.

A nightly run over many modules costs a request for each of those that have not changed. So the
first requests of all streams are sent from the start, as many at a time as there are sessions; and
of the streams that have something to read, as many get their first page before it is their turn.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from typing import Any

from kafinea.extract.batch import Prepare, PreparedPass


@dataclass
class _Turn:
    """A stream whose turn will come: what it has to read, and the first page of that."""

    prepared: Future[PreparedPass | None]
    first_page: Future[None] | None = None


class Prefetch:
    """Prepares the first pass of streams before it is their turn.

    Args:
        prepare: What prepares the first pass of each stream by its name, in the order of their
            turns.
        sessions: How many requests to send at the same time, and how many first pages to keep.
    """

    def __init__(self, prepare: Mapping[str, Prepare], sessions: int) -> None:
        self._prepare = prepare
        self._sessions = sessions
        self._threads = ThreadPoolExecutor(sessions, thread_name_prefix="kafinea-prefetch")
        self._lock = Lock()
        self._turns = {name: _Turn(self._threads.submit(first)) for name, first in prepare.items()}
        for turn in list(self._turns.values()):
            turn.prepared.add_done_callback(self._fetch_first_pages)

    def take(self, name: str) -> PreparedPass | None:
        """Return what a stream has to read first, now that it is its turn.

        Raises:
            KafineaError: What went wrong in requesting it.
        """
        with self._lock:
            turn = self._turns.pop(name, None)
        # What has not been begun in the background is done here: it is needed now.
        if turn is None or turn.prepared.cancel():
            return self._prepare[name]()
        prepared = turn.prepared.result()
        if turn.first_page and not turn.first_page.cancel():
            turn.first_page.result()
        self._fetch_first_pages()
        return prepared

    def close(self) -> None:
        """Request nothing more."""
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
                prepared = _known(turn.prepared)
                if room and prepared and turn.first_page is None:
                    turn.first_page = self._threads.submit(prepared.reading.begin)
                    room -= 1


def _known(prepared: Future[PreparedPass | None]) -> PreparedPass | None:
    is_done = prepared.done() and not prepared.cancelled() and not prepared.exception()
    return prepared.result() if is_done else None
