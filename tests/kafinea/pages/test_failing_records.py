"""Records at which the server fails: what comes, and how many requests it costs."""

from __future__ import annotations

from contextlib import nullcontext

import pytest

from kafinea.errors import IncompleteRead, Refused, Unavailable
from kafinea.module_reader import ModuleReader
from kafinea.page_query import PageQuery, number
from tests.kafinea.pages.server import (
    BUSY,
    DENIED,
    FAILS,
    SLOW,
    Recovering,
    Server,
    Trying,
    pages_of,
)
from tests.kafinea.test_module_reader import Answering, ids

DOWN = Unavailable("x")


@pytest.mark.parametrize(
    ("rows", "bad"),
    [
        (250, [1]),
        (250, [2]),
        (250, [250]),
        (250, [100, 101]),
        (250, [50, 51, 52, 53, 54, 150]),
        (250, range(1, 251)),
        (250, [7, 107, 207]),
        (1, [1]),
        (3, [2]),
    ],
)
@pytest.mark.parametrize("page_size", [1000, 100, 30])
@pytest.mark.parametrize("id_fails", [False, True])
def test_record_at_which_the_server_fails_is_stepped_over(rows, bad, page_size, id_fails):
    server, recovery = Server(rows, bad, id_fails=id_fails), Recovering()
    reading = ModuleReader(
        Answering(server.query), "Contacts", ["a"], page_size=page_size, recovery=recovery
    )
    if id_fails and len(bad) == rows:  # no id is known, so not even the prefix of one
        with pytest.raises(IncompleteRead, match="even at a query for its id alone"):
            ids(reading)
        return
    assert [number(one) for one in ids(reading)] == [
        n for n in range(1, rows + 1) if n not in set(bad) or n % 2
    ]
    assert recovery.asked == [(f"12x{n}", ("a",), FAILS) for n in bad]
    assert reading.total == rows
    assert reading.unreadable == 0


@pytest.mark.parametrize(
    ("rows", "page_size", "sessions", "requests"),
    [
        # a request a page, one for the count and one for the end
        ({"rows": 0}, 100, 1, 2),
        ({"rows": 250}, 100, 1, 5),
        ({"rows": 2000}, 100, 3, 23),
        ({"rows": 2000, "most": 50}, 100, 3, 44),
        ({"rows": 2000, "most": 20}, 100, 3, 113),
        # records at fault: alone, in a row, at the end of a page, on a long page, before the end
        ({"rows": 1000, "bad": [500]}, 100, 1, 24),
        ({"rows": 2000, "bad": [151]}, 100, 3, 37),
        ({"rows": 250, "bad": [7, 107, 207]}, 100, 1, 44),
        ({"rows": 250, "bad": [50, 51, 53]}, 100, 1, 44),
        ({"rows": 250, "bad": [50, 51, 52, 53, 54, 150]}, 100, 1, 50),
        ({"rows": 250, "bad": range(1, 251)}, 100, 1, 525),
        ({"rows": 100, "bad": [100]}, 100, 1, 19),
        ({"rows": 3000, "bad": [700], "most": 1000}, 1000, 1, 25),
        ({"rows": 130, "bad": [129, 130], "end_fails": True}, 100, 1, 31),
        # failures that lie in no record
        ({"rows": 250, "end_fails": True}, 100, 1, 7),
        ({"rows": 300, "failures": dict.fromkeys((2, 3, 6, 7), FAILS)}, 1000, 1, 12),
        ({"rows": 3000, "longest": 500, "most": 1000}, 1000, 1, 25),
        # hidden records: in the middle, at the start, around others, on small pages
        ({"rows": 1234, "hidden": range(200, 500)}, 100, 1, 28),
        ({"rows": 500, "hidden": range(1, 301)}, 100, 1, 41),
        ({"rows": 200, "hidden": {*range(1, 25), *range(31, 201)}, "most": 20}, 100, 1, 44),
        ({"rows": 10, "hidden": range(2, 7)}, 1, 1, 27),
        (
            {"rows": 200, "hidden": range(1, 21), "most": 20}
            | {"failures": dict.fromkeys((2, 3, 5), DOWN)},
            *(100, 1, 30),
        ),
        # both: behind hidden ones on the same page, or on others; many, whose number is no surplus
        ({"rows": 100, "bad": [81], "hidden": range(1, 61)}, 100, 1, 37),
        ({"rows": 400, "bad": [261], "hidden": range(101, 251)}, 100, 1, 36),
        ({"rows": 60, "bad": range(1, 41, 2), "hidden": range(41, 56), "most": 10}, 10, 1, 200),
        ({"rows": 60, "bad": range(2, 42, 2), "hidden": range(41, 56), "most": 10}, 10, 1, 200),
    ],
)
def test_what_comes_and_how_many_requests_it_costs(rows, page_size, sessions, requests):
    server, recovery = Server(**rows), Recovering()
    reading = ModuleReader(
        *(Trying(server), "Contacts", ["a"]),
        page_size=page_size,
        sessions=sessions,
        recovery=recovery,
    )
    assert [number(one) for one in ids(reading)] == server.given
    assert [number(one) for one, *_ in recovery.asked] == sorted(server.bad)
    assert reading.unreadable == len(server.hidden)
    assert len(server.texts) == requests


@pytest.mark.parametrize("silent", range(1, 30))
def test_silence_at_one_request_changes_nothing(silent):
    server = Server(100, [81], hidden=range(1, 61), failures={silent: SLOW})
    recovery = Recovering()
    assert [
        number(one) for one in ids(ModuleReader(Trying(server), "Contacts", recovery=recovery))
    ] == server.given
    assert [one for one, *_ in recovery.asked] == ["12x81"]


@pytest.mark.parametrize("is_slow", [False, True])
@pytest.mark.parametrize(
    ("bad", "hidden", "options"),
    [
        ([38, 301], (), {}),
        ([38, 301], range(130, 290), {}),
        ([90, 301], range(1, 60), {}),
        # A page and its first half fail, and what comes in between stands on one short page only.
        (
            [],
            {*range(1, 21), *range(31, 60)},
            {"most": 20, "failures": dict.fromkeys((2, 4), DOWN)},
        ),
    ],
)
@pytest.mark.parametrize("failing", range(40))
def test_one_query_without_an_answer_costs_no_record(failing, bad, hidden, options, is_slow):
    """It fails in SQL, which is answered with nothing, or takes too long; whichever it is."""
    server = Server(400, bad, hidden=hidden, **options)
    first = max(server.failures, default=0)

    def query(text):
        if len(server.texts) != first + failing:
            return server.query(text)
        if is_slow and ("SELECT lastname" not in text or "DESC" in text):
            return server.query(text)  # a client tries it seven times
        server.texts.append(text)
        if is_slow:
            raise SLOW
        return []

    reading = ModuleReader(Answering(query), "Contacts", ["lastname"], recovery=Recovering())
    assert [number(one) for one in ids(reading)] == server.given
    assert reading.unreadable == len(hidden)


@pytest.mark.parametrize("error", [BUSY, SLOW, Unavailable("x", nothing_done=True), DENIED])
def test_failure_that_lies_in_no_record_ends_the_reading(error):
    server = Server(250, [150], error=error)
    recovery = Recovering()
    with pytest.raises(type(error)):
        ids(ModuleReader(Answering(server.query), "Contacts", recovery=recovery))
    assert recovery.asked == []


def test_failure_without_a_recovery_ends_the_reading_after_all_tries():
    server = Server(250, [150])
    with pytest.raises(Refused):
        ids(ModuleReader(Trying(server), "Contacts"))
    assert len(server.texts) == 2 + 7


@pytest.mark.parametrize(
    ("rows", "after", "is_error"), [(0, None, False), (9, "12x9", False), (9, None, True)]
)
def test_module_that_is_refused_is_an_error_if_it_has_records(rows, after, is_error):
    reading = ModuleReader(Trying(Server(rows)), "Contacts", ["refused"], after=after)
    with pytest.raises(Refused) if is_error else nullcontext():
        assert ids(reading) == []


@pytest.mark.parametrize(
    ("rows", "bad", "after", "offset", "found", "requests"),
    [
        (9, [], None, 0, "12x1", 1),
        (9, [], None, 4, "12x5", 1),
        (9, [], "12x4", 0, "12x5", 1),
        (9, [], "12x4", 4, "12x9", 1),
        (9, [], "12x4", 5, None, 2),
        (9, [6], "12x4", 0, "12x5", 1),
        (0, [], None, 0, None, 2),
        (9, [5], "12x4", 0, "12x5", 4),
        (9, [5], None, 4, "12x5", 10),
        (9, [1], None, 0, "12x1", 6),
        (9, [8, 9], "12x4", 4, "12x9", 8),
        ([3, 5, 6], [5], "12x3", 0, "12x5", 6),
        ([5, 6], [5], None, 0, "12x5", 10),
        ([5, 6, 7], [5, 7], None, 0, "12x5", 10),
        (40, range(1, 20), None, 0, "12x1", 12),
        ([3, 4000, 2**39], [4000], "12x3", 0, "12x4000", 26),
        ([3, 4000, 2**39], [2**39], "12x3", 1, f"12x{2**39}", 80),
        ([3, 2**45], [2**45], "12x3", 0, "fails at each query for it", 44),
        ([5], [5], None, 0, "fails at each query for it", 4),
        ([5, 6], [5, 6], None, 0, "fails at each query for it", 5),
    ],
)
def test_id_of_a_record_is_found_where_no_query_gives_it(rows, bad, after, offset, found, requests):
    server = Server(rows, bad, id_fails=True)
    pages = pages_of(server)
    if found and "x" not in found.split()[0]:
        with pytest.raises(IncompleteRead, match=found):
            pages.id_at(after, offset)
    else:
        assert pages.id_at(after, offset) == found
    assert len(server.texts) == requests


@pytest.mark.parametrize("offset", [0, 1])
def test_id_of_another_kind_is_an_error_that_names_the_module(offset):
    def query(text):
        if text.endswith("ORDER BY id LIMIT 1;") and offset:
            raise FAILS
        return [{"count": "2"}] if "count(*)" in text else [{"id": "x"}]

    with pytest.raises(IncompleteRead, match=r"^Contacts: the server returned a record without"):
        PageQuery(query, "Contacts", ["a"], (), 100).id_at(None, 0)


@pytest.mark.parametrize("error", [BUSY, DENIED])
def test_id_is_not_looked_for_where_the_failure_lies_in_no_record(error):
    with pytest.raises(type(error)):
        pages_of(Server(9, [5], error=error, id_fails=True)).id_at("12x4", 0)
