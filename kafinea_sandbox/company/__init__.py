"""The demo company: a maker and reseller of office furniture and computers in Nantes.

All of it is invented, and the same for the same seed and time. It is a discrete-event simulation
of three years: `office.py` is its clock and its queue, the other files are its processes. Records
are generated in the order of their numbers, and of time, with little memory: a million in seconds.

An empty reference, and a number in a column that was added later, is None. Any other value is the
text of answers. The columns of lines in an invoice, and `shipping_&_handling`, are in no row.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

from kafinea_sandbox.company import catalogue, people, sales, settings, work
from kafinea_sandbox.company.calendar import Calendar
from kafinea_sandbox.company.office import Office

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kafinea_sandbox.company.office import Record, Story

__all__ = ["company"]

_DAILY: tuple[tuple[int, Callable[[Office], Story]], ...] = (
    (45, people.customer),
    (18, people.lead),
    (30, sales.deal),
    (14, sales.direct_sale),
    (5, sales.purchase),
    (12, work.ticket),
    (1, work.project),
    (1, work.contract),
    (10, work.task),
    (9, work.meeting),
    (5, work.mail),
    (2, work.call),
    (1, work.message),
    (4, work.document),
    (12, work.note),
)
"""The processes that start on any day, and how often."""

_PER_STORY = 4.2
"""Records of a process of `_DAILY`, on average; measured."""

_ENOUGH_FOR_LONG_INVOICES = 3000
_ENOUGH_FOR_THE_WHOLE_CATALOGUE = 2000


def company(rows: int = 5000, seed: int = 1, now: datetime | None = None) -> Iterator[Record]:
    """Generate the last three years of the company, up to `now` (UTC), in about `rows` records.

    A company of 0 rows has only its settings, such as users and currencies.
    """
    if now is None:
        now = datetime.now(timezone.utc).replace(second=0, microsecond=0)
    office = Office(Calendar(now), seed)
    yield from settings.rows()
    if rows == 0:
        return
    office.start(_history(office, rows), at=0)
    yield from office.run()
    yield from _just_now(office, now)


def _history(office: Office, rows: int) -> Story:
    """Start the catalogue, each process once, then those of each day."""
    share = min(1.0, rows / _ENOUGH_FOR_THE_WHOLE_CATALOGUE)
    yield from catalogue.catalogue(office, share)
    for _ in range(3):
        yield from people.customer(office)
    for _, story in _DAILY:
        office.start(story(office), at=office.time)
        yield 900
    office.start(sales.deal(office, lucky=True), at=office.time)
    office.start(people.fair(office), at=office.calendar.end // 10)
    rows -= people.FAIR_VISITORS
    if rows >= _ENOUGH_FOR_LONG_INVOICES:
        rows -= sum(sales.LONG_INVOICES)
        for place, lines in enumerate(sales.LONG_INVOICES, 4):
            office.start(sales.long_invoice(office, lines), at=office.calendar.end * place // 10)
    # The processes that were just started will write records of their own.
    yield from _days(office, rows - office.total - int(len(_DAILY) * _PER_STORY))


def _days(office: Office, rows: int) -> Story:
    stories = [story for times, story in _DAILY for _ in range(times)]
    pause = (office.calendar.end - office.time) * _PER_STORY / max(rows, 1)
    at = float(office.time)
    while True:
        at += pause * (0.5 + office.chance())
        yield int(at) - office.time
        office.start(office.one_of(stories)(office), at=office.time)


def _just_now(office: Office, now: datetime) -> Iterator[Record]:
    """A ticket that is opened at `now`, also outside working hours."""
    office.time, office.now = office.calendar.end, f"{now:%Y-%m-%d %H:%M:%S}"
    for record in work.ticket(office):
        if not isinstance(record, int):
            yield record
            return
