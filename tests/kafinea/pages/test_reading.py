"""Reading pages: records that are counted and do not come, sessions, the newest change."""

from __future__ import annotations

import itertools
import re
from contextlib import suppress
from threading import Barrier

import pytest

from kafinea.errors import IncompleteRead, Refused, Unavailable
from kafinea.module_reader import LATEST, ModuleReader, newest
from kafinea.page_query import number
from kafinea.query import Condition
from tests.kafinea.pages.server import (
    BUSY,
    DENIED,
    FAILS,
    SLOW,
    Recovering,
    Server,
    Trying,
)
from tests.kafinea.test_module_reader import Answering, ids

# Records that are counted and not given


@pytest.mark.parametrize("sessions", [1, 3])
def test_hidden_records_are_counted_and_said(sessions, caplog):
    server = Server(1234, hidden=range(200, 500))
    reading = ModuleReader(Answering(server.query), "Contacts", sessions=sessions)
    assert len(ids(reading)) == 1234 - 300
    assert reading.unreadable == 300
    assert "Contacts: 300 of 1,234 records could not be read." in caplog.text


@pytest.mark.parametrize("sessions", [1, 3])
def test_only_hidden_records_are_an_error_unless_others_came_before(sessions):
    source = Answering(Server(1234, hidden=range(1, 1235)).query)
    with pytest.raises(IncompleteRead) as caught:
        ids(ModuleReader(source, "Contacts", sessions=sessions))
    assert str(caught.value) == (
        "Contacts: the server counts 1,234 records but returns none of them. Either its query "
        "fails (check the server's log), or this user may not read them."
    )
    with pytest.raises(Unavailable, match="Its queries fail"):  # an earlier run was given some
        ids(ModuleReader(source, "Contacts", after="12x1000", sessions=sessions))
    for rows in (range(1, 1235), range(1001, 1235)):  # they may all have left since
        source = Answering(Server(rows, hidden=range(1001, 1235)).query)
        rest = ModuleReader(source, "Contacts", after="12x1000", sessions=sessions)
        assert ids(rest) == []
        assert (rest.total, rest.unreadable) == (234, 234)


@pytest.mark.parametrize("seen", [{1200}, {30, 1200}, {30}])
def test_resumed_reading_goes_on_where_the_last_that_came_earlier_are_hidden_by_now(seen):
    """A user who sees few records, and not the last one any more: somebody else owns it by now."""
    source = Answering(Server(1234, hidden={*range(1, 1235)} - seen).query)
    rest = ModuleReader(source, "Contacts", after="12x1000")
    assert [number(one) for one in ids(rest)] == sorted(one for one in seen if one > 1000)
    assert rest.unreadable == 234 - len(seen - {30})


@pytest.mark.parametrize("error", [FAILS, SLOW])
def test_resumed_reading_goes_on_where_the_server_fails_at_the_last_that_came_earlier(error):
    server = Server(1234, bad=[1000], hidden=range(1001, 1235), error=error)
    rest = ModuleReader(Answering(server.query), "Contacts", after="12x1000")
    if error is SLOW:  # it says nothing of the record
        with pytest.raises(Unavailable):
            ids(rest)
    else:
        assert (ids(rest), rest.unreadable) == ([], 234)


def test_server_that_gives_nothing_more_is_no_lack_of_permission():
    server = Server(300)

    def query(text):
        is_later = len(server.texts) > 2 and "count" not in text
        return [] if is_later else server.query(text)

    with pytest.raises(Unavailable) as raised:
        ids(ModuleReader(Answering(query), "Contacts"))
    assert str(raised.value) == (
        "Contacts: the server counts records but returns none, not even those that it returned "
        "before. Its queries fail. Check the server's log."
    )


@pytest.mark.parametrize("sessions", [1, 3])
@pytest.mark.parametrize("after", [None, "12x20"])
@pytest.mark.parametrize("hidden", [(), range(1, 171), range(101, 251)])
def test_queries_that_fail_in_sql_for_a_while_cost_no_record(after, hidden, sessions):
    """They give nothing, as if all was hidden, while the server counts as ever."""
    for began, ended in itertools.product((0, 1, 9, 12, 17), range(2, 40)):
        server, asked = Server(300, hidden=hidden), itertools.count()

        def query(text, server=server, asked=asked, failing=range(began, ended)):
            fails = "count(*)" not in text and next(asked) in failing
            return [] if fails else server.query(text)

        reading = ModuleReader(Answering(query), "Contacts", after=after, sessions=sessions)
        with suppress(IncompleteRead, Unavailable):  # a failure that is said is none of silence
            found = [number(one) for one in ids(reading)]
            assert found == [n for n in server.given if n > number(after or "12x0")]


@pytest.mark.parametrize("counted", [0, 100])
def test_records_that_come_in_after_the_count_are_read_also_behind_one_at_fault(counted):
    server = Server(counted, [101])

    def query(text):
        answer = server.query(text)
        server.rows = range(1, 104)
        return answer

    assert [
        number(one)
        for one in ids(ModuleReader(Answering(query), "Contacts", recovery=Recovering()))
    ] == list(range(1, 104))


def test_records_that_leave_after_the_count_are_not_unreadable(caplog):
    server = Server(250)

    def query(text):
        answer = server.query(text)
        server.rows = range(1, 246)
        return answer

    reading = ModuleReader(Answering(query), "Contacts")
    assert len(ids(reading)) == 245
    assert (reading.total, reading.unreadable, caplog.messages) == (250, 0, [])


@pytest.mark.parametrize("sessions", [1, 3])
def test_reading_goes_on_behind_an_id(sessions):
    reading = ModuleReader(Trying(Server(950)), "Contacts", after="12x123", sessions=sessions)
    assert [number(one) for one in ids(reading)] == list(range(124, 951))
    assert reading.total == 950 - 123


# Several sessions


@pytest.mark.parametrize(
    ("options", "rows", "opened"),
    [
        ({}, 250, []),
        ({"sessions": 2}, 250, [2]),
        ({"sessions": 8}, 250, [3]),
        ({"sessions": 8}, 10, [1]),
        ({"sessions": 8, "page_size": 10}, 55, [6]),
    ],
)
def test_a_session_is_opened_for_each_page_that_is_counted(options, rows, opened):
    source = Trying(Server(rows))
    assert len(ids(ModuleReader(source, "Contacts", **options))) == rows
    assert source.opened == opened


def test_two_sessions_send_the_count_with_the_first_page_and_two_pages_at_once():
    server, asked, both = Server(300), itertools.count(), Barrier(2)

    def query(text):
        if next(asked) < 4:
            both.wait(60)
        return server.query(text)

    assert len(ids(ModuleReader(Answering(query), "Contacts", sessions=2))) == 300


# Begun, and in parts


def test_reading_that_is_begun_has_counted():
    server = Server(150)
    reading = ModuleReader(Answering(server.query), "Contacts")
    assert reading.total == 0
    reading.begin()
    assert (reading.total, len(server.texts)) == (150, 2)
    reading.begin()
    assert len(server.texts) == 2
    assert len(ids(reading)) == 150


@pytest.mark.parametrize("sessions", [1, 3])
def test_records_are_completed_in_parts(sessions):
    parts = []

    def complete(page):
        parts.append(len(page))
        return [one for one in page if number(one["id"]) > 100]

    reading = ModuleReader(
        Answering(Server(150).query),
        "Contacts",
        sessions=sessions,
        complete=complete,
        complete_at_once=30,
    )
    assert [number(one) for one in ids(reading)] == list(range(101, 151))
    assert sorted(parts) == [10, 20, 30, 30, 30, 30]


# The newest modification


def modified(answers):
    """A function that answers with what stands at each place, or raises it."""
    texts = []

    def query(text):
        texts.append(text)
        if "count(*)" in text:
            return [{"count": str(answers["count"])}]
        if len(texts) <= answers.get("empty at first", 0):
            return []
        limit = re.search(r"LIMIT (?:(\d+),)?(\d+);", text)
        start = int(limit[1] or 0)
        most = min(int(limit[2]), answers.get("most", 100))
        found = [answers[n] for n in range(start, start + most) if n in answers]
        for one in found:
            if isinstance(one, Exception):
                raise one
        return [one if isinstance(one, dict) else {"modifiedtime": one} for one in found]

    return query, texts


DAY = "2026-01-01 00:00:00"


@pytest.mark.parametrize(
    ("answers", "found", "requests"),
    [
        ({0: DAY}, DAY, 1),
        ({"count": 0}, None, 2),
        ({0: FAILS, 1: DAY, 2: FAILS, "count": 9}, DAY, 3),
        ({0: FAILS, 1: FAILS, 2: DAY, "count": 9}, DAY, 4),
        ({0: FAILS, 1: FAILS, 2: FAILS, 10: DAY, "count": 11}, DAY, 5),
        ({0: FAILS, 1: FAILS, 2: FAILS, 10: FAILS, 100: DAY, "count": 101}, DAY, 6),
        ({0: FAILS, 1: FAILS, 2: FAILS, 10: DAY, "count": 10}, Refused, 4),
        ({0: FAILS, "count": 1}, Refused, 2),
        ({0: SLOW, 1: DAY, "count": 9}, DAY, 3),
        ({0: BUSY, 1: DAY, "count": 9}, Unavailable, 1),
        ({0: DENIED, 1: DAY, "count": 9}, Refused, 1),
        ({"empty at first": 3, 0: DAY, 1: "2025-01-01 00:00:00", "count": 9}, DAY, 4),
        ({"count": 101}, IncompleteRead, 13),
        ({"count": 150}, IncompleteRead, 15),
        ({100: DAY, "count": 150}, DAY, 9),
        ({140: DAY, "count": 150}, DAY, 11),
        ({30: DAY, 250: "2025-01-01 00:00:00", "most": 20, "count": 300}, DAY, 9),
        ({0: "soon"}, LATEST, 1),
    ],
)
def test_newest_modification_is_found_behind_what_is_not_given(answers, found, requests, waits):
    query, texts = modified(answers)
    where = [Condition("a", "=", "1")]
    if isinstance(found, type):
        with pytest.raises(found):
            newest(query, "Contacts", where)
    else:
        assert newest(query, "Contacts", where) == found
    assert len(texts) == requests
    assert waits == [0.5, 1, 2, 4, 8][: len(waits)]
    assert all("FROM Contacts WHERE a = '1'" in text for text in texts)
    assert texts[0] == (
        "SELECT modifiedtime FROM Contacts WHERE a = '1' ORDER BY modifiedtime DESC LIMIT 1;"
    )


@pytest.mark.parametrize(
    "answers",
    [
        {0: {}},
        {0: FAILS, 1: {}, "count": 9},
        {"empty at first": 1, 0: {}, "count": 9},
        {100: {}, "count": 150},
    ],
)
def test_newest_record_without_modifiedtime_is_an_error(answers):
    with pytest.raises(IncompleteRead, match=r"^Contacts: the server returned no modifiedtime"):
        newest(modified(answers)[0], "Contacts")
