"""Pages, counts and what the server fails at, within the process: query by query."""

from __future__ import annotations

import itertools
import logging
import re
from contextlib import nullcontext, suppress
from functools import partial
from threading import Barrier
from types import SimpleNamespace

import pytest

from kafinea.columns import refused_columns
from kafinea.errors import IncompleteRead, NotCounted, Refused, Unavailable
from kafinea.module_reader import LATEST, ModuleReader, newest
from kafinea.page_query import PageQuery, count, is_there, number
from kafinea.query import Condition
from tests.kafinea.test_module_reader import Answering, ids

FAILS = Refused("x", code="INTERNAL_SERVER_ERROR")
DENIED = Refused("x", code="ACCESS_DENIED")
BUSY, SLOW = Unavailable("x", busy=True), Unavailable("x", silent=True)


@pytest.fixture(autouse=True)
def waits(monkeypatch, caplog):
    """No waits between tries; how long they would be at most. They are not logged."""
    waits = []
    caplog.set_level(logging.INFO, "backoff")
    monkeypatch.setattr("backoff._sync.time", SimpleNamespace(sleep=waits.append))
    monkeypatch.setattr("backoff._jitter.random", SimpleNamespace(uniform=max))
    yield waits
    assert not [one for one in caplog.get_records("call") if one.name == "backoff"]


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


# Queries


@pytest.mark.parametrize(
    ("ask", "text"),
    [
        (lambda pages: pages.page(None), "ORDER BY id LIMIT 100;"),
        (lambda pages: pages.page("12x7"), "WHERE id > '12x7' ORDER BY id LIMIT 100;"),
        (lambda pages: pages.page("12x7", 30, 5), "WHERE id > '12x7' ORDER BY id LIMIT 30,5;"),
        (
            lambda pages: pages.before("12x7", "12x3"),
            "WHERE id <= '12x7' AND id > '12x3' ORDER BY id DESC LIMIT 100;",
        ),
        (
            lambda pages: pages.before("12x7", None),
            "WHERE id <= '12x7' ORDER BY id DESC LIMIT 100;",
        ),
    ],
)
def test_query_of_a_page(ask, text):
    server = Server(50)
    ask(pages_of(server))
    assert server.texts == [f"SELECT lastname FROM Contacts {text}"]
    ask(pages_of(server, where=[Condition("a", "=", "1")]))
    with_condition = text.replace("ORDER", "WHERE ORDER") if "WHERE" not in text else text
    with_condition = with_condition.replace("WHERE", "WHERE a = '1' AND").replace("AND O", "O")
    assert server.texts[1] == f"SELECT lastname FROM Contacts {with_condition}"


def test_page_requested_later_is_the_same():
    server, asked = Server(50), []

    def ask(text):
        asked.append(text)
        return lambda: server.query(text)

    later = pages_of(server).page_later(ask, "12x7", 10)
    assert server.texts == []
    assert [one["id"] for one in later()] == [f"12x{n}" for n in range(18, 51)]
    assert asked == server.texts


@pytest.mark.parametrize(
    ("rows", "after", "given"),
    [
        (["12x1", "12x2"], None, ["12x1", "12x2"]),
        (["12x9", "12x10"], "12x8", ["12x9", "12x10"]),
        (["12x1", "12x1", "12x2"], None, ["12x1", "12x2"]),
        ([], "12x8", []),
        (["12x8", "12x9"], "12x8", "Contacts: the server does not return records in the order"),
        (["12x7"], "12x8", "Contacts: the server does not return records in the order"),
        (["12x2", "12x1"], None, "Contacts: the server does not return records in the order"),
        (["12x1", "11x2"], None, "Contacts: the server returned 11x2, a record of another module"),
        (["11x9"], "12x8", "The ids of Contacts begin with 12x."),
        (["12x1", ""], None, "Contacts: the server returned a record without an id."),
        ([None], None, "Contacts: the server returned a record without an id."),
    ],
)
@pytest.mark.parametrize("is_later", [False, True])
def test_records_of_a_page_are_of_the_module_and_ascend(rows, after, given, is_later):
    def query(_):
        return [{"id": one} for one in rows]

    def page():
        if is_later:
            return pages.page_later(lambda text: partial(query, text), after, 0)()
        return pages.page(after)

    pages = PageQuery(query, "Contacts", ["x"], (), 100)
    if isinstance(given, str):
        with pytest.raises(IncompleteRead) as caught:
            page()
        assert given in str(caught.value)
    else:
        assert [one["id"] for one in page()] == given
        assert pages.longest_page == len(rows)


@pytest.mark.parametrize(
    ("page_size", "longest", "usual", "asked_for_less"),
    [
        (1000, 0, 1000, {0: 100, 99: 100, 250: 250, 2000: 1000}),
        (1000, 20, 100, {0: 100}),
        (1000, 1000, 1000, {500: 500}),
        (7, 7, 7, {0: 7, 5: 7}),
        (7, 0, 7, {}),
    ],
)
def test_length_of_a_page(page_size, longest, usual, asked_for_less):
    for limit, length in asked_for_less.items():
        pages = pages_of(Server(0), page_size)
        pages.ask_for_less(limit)
        assert pages.page_size == length
    pages = pages_of(Server(longest, most=1000), page_size)
    pages.page(None)
    assert pages.usual_length == usual


@pytest.mark.parametrize(
    ("answers", "counted", "tries"),
    [
        ([[{"count": "7"}]], 7, 1),
        ([[{"count": 7}]], 7, 1),
        ([[], [{"count": "x"}], [{}], [{"count": "7"}]], 7, 4),
        ([[]] * 4, None, 4),
    ],
)
def test_count_is_asked_for_until_there_is_one(answers, counted, tries, waits):
    texts, given = [], iter(answers)

    def query(text):
        texts.append(text)
        return next(given)

    if counted is None:
        with pytest.raises(NotCounted, match="Contacts: the server returned no record count"):
            count(query, "Contacts")
    else:
        assert count(query, "Contacts", [Condition("a", "=", "1")]) == counted
    assert len(texts) == tries
    assert waits == [0.25, 0.5, 1][: tries - 1]


@pytest.mark.parametrize(("counted", "there"), [("0", False), ("1", True)])
def test_record_is_there_if_it_is_counted(counted, there):
    texts = []

    def query(text):
        texts.append(text)
        return [{"count": counted}]

    assert is_there(query, "Contacts", "12x7") is there
    assert texts == ["SELECT count(*) FROM Contacts WHERE id = '12x7';"]
    with pytest.raises(NotCounted):
        count(lambda _: [], "Contacts", tries=1)


# Columns


def refusing(refused, error=DENIED, on=lambda _: True):
    """What a server answers that refuses some columns."""
    texts = []

    def query(text):
        texts.append(text)
        names = set(re.search("SELECT (.*) FROM", text)[1].split(","))
        if names & refused and on(text):
            if error:
                raise error
            return []  # as some servers answer what fails in SQL
        if "count(*)" in text:
            return [{"count": "1"}]
        return [{"id": "12x1", **dict.fromkeys(names, "x")}] if "LIMIT 0" not in text else []

    return query, texts


COLUMNS = ["a", "b", "c", "d", "e"]


@pytest.mark.parametrize("refused", [{"a"}, {"e"}, {"b", "c"}, {"a", "b", "c", "d", "e"}, set()])
def test_refused_columns_are_found_by_halving(refused):
    query, texts = refusing(refused)
    assert refused_columns(query, "Contacts", COLUMNS) == refused
    assert len(texts) <= 3 + 2 * len(COLUMNS)


@pytest.mark.parametrize(
    ("where", "requests"), [("LIMIT 0;", 1), ("LIMIT 1;", 2), ("LIMIT 1,1;", 3)]
)
def test_columns_are_not_at_fault_where_a_query_of_them_works(where, requests):
    query, texts = refusing({"a"}, on=lambda text: not text.endswith(where))
    assert refused_columns(query, "Contacts", COLUMNS) == set()
    assert len(texts) == requests


def test_columns_are_not_at_fault_because_of_a_record():
    query, _ = refusing({"a", "b"}, on=lambda text: "a" in text.split()[1] or "LIMIT 1" in text)
    assert refused_columns(query, "Contacts", COLUMNS) == {"a"}


@pytest.mark.parametrize(
    ("refused", "error", "given", "requests"),
    [
        ({"b"}, DENIED, {"a", "c", "d", "e", "id"}, 11),
        ({"b"}, FAILS, {"a", "c", "d", "e", "id"}, 11),
        ({"b"}, Refused("x", code="QUERY_SYNTAX_ERROR"), {"a", "c", "d", "e", "id"}, 11),
        ({"b"}, Refused("x", code="DATABASE_QUERY_ERROR"), {"a", "c", "d", "e", "id"}, 11),
        ({"b"}, Refused("x", code="OTHER"), None, 1),
        ({"b", "id"}, DENIED, None, 5),
        (set(COLUMNS), DENIED, None, 14),
    ],
)
def test_page_is_read_without_the_columns_that_are_refused(refused, error, given, requests, caplog):
    query, texts = refusing(refused, error)
    pages = PageQuery(query, "Contacts", COLUMNS, (), 100)
    if given is None:
        with pytest.raises(Refused):
            pages.page(None)
        assert pages.refused == frozenset()
        assert len(texts) == requests
    else:
        (record,) = pages.page(None)
        assert len(texts) == requests
        assert record.keys() == given
        assert pages.refused == refused
        assert list(pages.names) == [name for name in COLUMNS if name not in refused]
        assert "Contacts: these fields are null" in caplog.text
        assert pages.page(None) == [record]


@pytest.mark.parametrize("after", [None, "12x0"])
@pytest.mark.parametrize(
    ("refused", "given"),
    [({"b"}, {"a", "c", "d", "e", "id"}), ({"a", "c", "e"}, {"b", "d", "id"}), (set(), None)],
)
def test_columns_with_which_a_query_gives_nothing_are_left_out(after, refused, given, caplog):
    fails = (lambda _: True) if refused else (lambda text: ",".join(COLUMNS) in text)
    query, texts = refusing(refused or {"a"}, None, on=fails)

    def ending(text):
        if "id > '12x1'" in text:
            return [{"count": "0"}] if "count(*)" in text else []
        return query(text)

    reading = ModuleReader(Answering(ending), "Contacts", COLUMNS, after=after)
    if given is None:
        with pytest.raises(Unavailable, match="Its queries fail"):
            ids(reading)
        return
    ((record,),) = reading
    assert record.keys() == given
    assert reading.refused == refused
    assert f"refuses them in a query: {', '.join(sorted(refused))}" in caplog.text
    assert len(texts) < 30


@pytest.mark.parametrize(("module", "is_star"), [("Contacts", True), ("Users", False)])
def test_columns_that_make_a_query_too_long_are_a_star_but_for_secrets(module, is_star):
    query, texts = refusing(set())
    PageQuery(query, module, [f"cf_{n}" for n in range(1000, 2500)], (), 100).page(None)
    assert texts[0].startswith("SELECT * FROM") is is_star


def test_columns_are_looked_at_once_where_none_is_refused():
    query, texts = refusing({"a"}, FAILS, on=lambda text: "ORDER BY" in text)
    pages = PageQuery(query, "Contacts", COLUMNS, (), 100)
    for requests in (4, 5):
        with pytest.raises(Refused):
            pages.page(None)
        assert len(texts) == requests


@pytest.mark.parametrize("code", ["413", "414", "431"])
def test_page_is_read_with_all_columns_where_their_names_are_too_long(code):
    server, longest = Server(250), 100

    def query(text):
        if len(text) > longest:
            server.texts.append(text)
            raise Refused("x", code=code)
        return server.query(text)

    names = [f"cf_{n}" for n in range(900, 920)]
    reading = ModuleReader(Answering(query), "Contacts", names, recovery=Recovering())
    assert len(ids(reading)) == 250
    assert [len(text) > longest for text in server.texts] == [False, True, *[False] * 4]
    longest = 0
    pages = PageQuery(query, "Contacts", ["a"], (), 100)
    users = PageQuery(query, "Users", names, (), 100)  # `*` would contain their access keys
    for each, sent in [(pages, ["a", "*"]), (pages, ["*"]), (users, [",".join(names)])]:
        server.texts.clear()
        with pytest.raises(Refused):
            each.page(None)
        assert [text.split()[1] for text in server.texts] == sent


def test_page_without_refused_columns_is_the_same_page():
    query, texts = refusing({"b"})
    ask = PageQuery(query, "Contacts", COLUMNS, (), 100).page
    ask("12x0", 30, 5)
    assert texts[-1].endswith("WHERE id > '12x0' ORDER BY id LIMIT 30,5;")
    PageQuery(query, "Contacts", COLUMNS, (), 100).before("12x7", None)
    assert texts[-1].endswith("WHERE id <= '12x7' ORDER BY id DESC LIMIT 100;")


def test_columns_of_a_page_that_was_given_are_not_refused_later():
    query, texts = refusing({"b"}, on=lambda text: "id >" in text)
    pages = PageQuery(query, "Contacts", COLUMNS, (), 100)
    pages.page(None)
    with pytest.raises(Refused):
        pages.page("12x1")
    assert len(texts) == 2


# Records at which the server fails


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
        # hidden records: in the middle, at the start, on small pages
        ({"rows": 1234, "hidden": range(200, 500)}, 100, 1, 27),
        ({"rows": 500, "hidden": range(1, 301)}, 100, 1, 25),
        ({"rows": 10, "hidden": range(2, 7)}, 1, 1, 26),
        # both: behind hidden ones on the same page, or on others; many, whose number is no surplus
        ({"rows": 100, "bad": [81], "hidden": range(1, 61)}, 100, 1, 29),
        ({"rows": 400, "bad": [261], "hidden": range(101, 251)}, 100, 1, 35),
        ({"rows": 60, "bad": range(1, 41, 2), "hidden": range(41, 56), "most": 10}, 10, 1, 199),
        ({"rows": 60, "bad": range(2, 42, 2), "hidden": range(41, 56), "most": 10}, 10, 1, 199),
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
    ("bad", "hidden"),
    [([38, 301], ()), ([38, 301], range(130, 290)), ([90, 301], range(1, 60))],
)
@pytest.mark.parametrize("failing", range(40))
def test_one_query_without_an_answer_costs_no_record(failing, bad, hidden, is_slow):
    """It fails in SQL, which is answered with nothing, or takes too long; whichever it is."""
    server = Server(400, bad, hidden=hidden)

    def query(text):
        if len(server.texts) != failing:
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


def test_server_that_gives_nothing_more_is_no_lack_of_permission():
    server = Server(300)

    def query(text):
        is_later = len(server.texts) > 2 and "count" not in text
        return [] if is_later else server.query(text)

    with pytest.raises(Unavailable, match="Its queries fail"):
        ids(ModuleReader(Answering(query), "Contacts"))


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
        found = [answers[n] for n in range(start, start + int(limit[2])) if n in answers]
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
        ({"count": 101}, IncompleteRead, 10),
        ({"count": 150}, IncompleteRead, 12),
        ({100: DAY, "count": 150}, DAY, 10),
        ({140: DAY, "count": 150}, DAY, 12),
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
