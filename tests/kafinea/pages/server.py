"""A server of pages within the process, so that tests of single queries take no time."""

from __future__ import annotations

import re
from contextlib import suppress

from kafinea.errors import Refused, Unavailable
from kafinea.page_query import PageQuery, number
from tests.kafinea.test_module_reader import Answering

FAILS = Refused("x", code="INTERNAL_SERVER_ERROR")
DENIED = Refused("x", code="ACCESS_DENIED")
BUSY, SLOW = Unavailable("x", busy=True), Unavailable("x", silent=True)


class Server:
    """Records 12x1, 12x2, ... of which some make each query for them fail, or are never given.

    Args:
        rows: How many, or their numbers.
        bad: At which it fails, also at a query for their id with `id_fails`.
        hidden: Which it counts and never gives.
        most: How many it gives at a time.
        longest: The largest LIMIT at which it does not fail.
        end_fails: Whether it fails at a page of no records.
        failures: The errors that pass, by the number of the request.
    """

    def __init__(
        self,
        rows,
        bad=(),
        *,
        hidden=(),
        most=100,
        error=FAILS,
        id_fails=False,
        longest=1000,
        end_fails=False,
        failures=None,
    ):
        self.rows = range(1, rows + 1) if isinstance(rows, int) else rows
        self.bad, self.hidden, self.error, self.most = set(bad), set(hidden), error, most
        self.id_fails, self.longest, self.end_fails = id_fails, longest, end_fails
        self.failures = failures or {}
        self.texts = []

    @property
    def given(self):
        """The numbers of what comes of all, with a `Recovering`."""
        return [n for n in self.rows if n not in self.hidden and (n % 2 or n not in self.bad)]

    def query(self, text):
        self.texts.append(text)
        assert len(self.texts) < 4_000, "There is no end to it."
        if passing := self.failures.get(len(self.texts)):
            raise passing
        columns = text.split()[1]
        if columns not in {"id", "a", "lastname", "*", "count(*)"}:
            raise DENIED
        low = max([int(one) for one in re.findall(r"id > '12x(\d+)'", text)], default=0)
        high = min([int(one) for one in re.findall(r"id <= '12x(\d+)'", text)], default=10**19)
        found = [row for row in self.rows if low < row <= high]
        if "count(*)" in text:
            return [{"count": str(len(found))}]
        if "ORDER BY id" not in text or " DESC" in text:
            found.reverse()
        limit = re.search(r"LIMIT (?:(\d+),)?(\d+);", text)
        start = int(limit[1] or 0)
        page = found[start : start + min(int(limit[2]), self.most)]
        is_bad = self.bad & set(page) and (columns != "id" or self.id_fails)
        if is_bad or int(limit[2]) > self.longest or (self.end_fails and not page):
            raise self.error
        return [{"id": f"12x{row}"} for row in page if row not in self.hidden]


class Trying(Answering):
    """A source that sends a query again, as a client does, as often as it is told."""

    def __init__(self, server, failures=7):
        self.server, self.failures = server, failures
        self.opened = []

    def query(self, text):
        for _ in range(self.failures - 1):
            with suppress(Refused, Unavailable):
                return self.server.query(text)
        return self.server.query(text)

    def giving_up_after(self, failures):
        return Trying(self.server, failures)

    def open_sessions(self, count):
        self.opened.append(count)


class Recovering:
    """Gets the records with an odd number, and none of the others."""

    def __init__(self):
        self.asked = []

    def read(self, record_id, columns, error):
        self.asked.append((record_id, tuple(columns), error))
        return {"id": record_id, "is": "recovered"} if number(record_id) % 2 else None


def pages_of(server, page_size=100, columns=("lastname",), where=()):
    source = Trying(server)
    return PageQuery(
        *(source.query, "Contacts", columns, where, page_size),
        hasty=lambda failures: source.giving_up_after(failures).query,
    )
