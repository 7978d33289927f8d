"""How fast an instance answers: the time of a page, the largest page, how many sessions help."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from threading import Barrier

from kafinea.client import Client
from kafinea.describe import SECRET_MODULES, Module
from kafinea.errors import KafineaError
from kafinea.page_query import PAGE_SIZE, count
from kafinea.query import select

_LARGEST = 1000
"""The most records that any known server returns at a time."""
_PAGES = 3
_FEWEST = 4
"""The fewest pages by which a rate is measured."""
_GAIN = 1.2
"""How many times as many pages twice the sessions must bring."""


@dataclass(frozen=True)
class Sample:
    """The module that is read to measure.

    Attributes:
        module: Its name.
        records: How many it has.
    """

    module: str
    records: int


def sample(client: Client, modules: Sequence[Module]) -> Sample | None:
    """Return the module with the most records; None if all are empty. One request for each.

    Not one with documents: their pages are of another size.
    """
    samples = []
    for module in modules:
        if not module.is_inventory and module.name not in SECRET_MODULES:
            with suppress(KafineaError):
                samples.append(Sample(module.name, count(client.query, module.name, tries=1)))
    largest = max(samples, key=lambda one: one.records, default=None)
    return largest if largest and largest.records else None


def seconds_of_a_page(client: Client, of: Sample) -> tuple[float, int]:
    """Return the median time of a page, and how many records it has."""
    seconds, records = [], 0
    for _ in range(_PAGES):
        began = time.monotonic()
        records = _page(client, of, 0)
        seconds.append(time.monotonic() - began)
    return statistics.median(seconds), records


def largest_page(client: Client, of: Sample) -> int | None:
    """Return the most records that the server returns at a time; None if there are too few."""
    if of.records <= PAGE_SIZE:
        return None
    found = len(client.query(select(of.module, ["id"], order_by=["id"], limit=_LARGEST)))
    return None if found == of.records < _LARGEST else found


def pages_a_second(client: Client, of: Sample, most: int) -> Mapping[int, float]:
    """Return how many pages a number of sessions gets in a second: 1, 2, 4, ... sessions.

    It ends where twice the sessions help no more.

    Args:
        client: The instance.
        of: What to read.
        most: The most sessions to try.
    """
    found: dict[int, float] = {}
    sessions = 1
    while sessions <= most:
        found[sessions] = _rate(client, of, sessions)
        if sessions > 1 and found[sessions] < _GAIN * found[sessions // 2]:
            break
        sessions *= 2
    return found


def useful_sessions(rates: Mapping[int, float]) -> int:
    """Return the most sessions that still bring more."""
    *before, last = rates
    if before and rates[last] < _GAIN * rates[before[-1]]:
        return before[-1]
    return last


def _rate(client: Client, of: Sample, sessions: int) -> float:
    barrier = Barrier(sessions)

    def log_in(_: int) -> None:
        try:
            with client.one_session() as own:
                own.query(select(of.module, ["id"], limit=1))
                barrier.wait()  # so that each thread has a session of its own
        except BaseException:
            barrier.abort()  # else the other threads would wait for ever
            raise

    def page(place: int) -> int:
        return _page(client, of, place * PAGE_SIZE % of.records)

    threads = ThreadPoolExecutor(sessions)
    try:
        list(threads.map(log_in, range(sessions)))
        began = time.monotonic()
        pages = list(threads.map(page, range(max(_FEWEST, 2 * sessions))))
        return len(pages) / (time.monotonic() - began)
    finally:
        threads.shutdown(wait=False, cancel_futures=True)  # Ctrl-C does not wait for answers


def _page(client: Client, of: Sample, offset: int) -> int:
    """Return how many records a page has."""
    text = select(of.module, ["*"], order_by=["id"], limit=PAGE_SIZE, offset=offset)
    return len(client.query(text))
