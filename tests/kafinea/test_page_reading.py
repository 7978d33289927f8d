"""Pages, counts and what the server fails at, within the process: query by query."""

from __future__ import annotations

import re
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
def waits(monkeypatch):
    """No waits between tries; for how long they would be."""
    waits = []
    monkeypatch.setattr("backoff._sync.time", SimpleNamespace(sleep=waits.append))
    return waits


class Server:
    """Records 12x1, 12x2, ... of which some make each query for them fail, or are never given."""

    def __init__(self, rows, bad=(), *, hidden=(), most=100, error=FAILS, id_fails=False):
        self.rows = range(1, rows + 1) if isinstance(rows, int) else rows
        self.bad, self.hidden, self.error, self.most = set(bad), set(hidden), error, most
        self.id_fails = id_fails
        self.texts = []

    def query(self, text):
        self.texts.append(text)
        low = max([int(one) for one in re.findall(r"id > '12x(\d+)'", text)], default=0)
        high = min([int(one) for one in re.findall(r"id <= '12x(\d+)'", text)], default=10**19)
        found = [row for row in self.rows if low < row <= high]
        if "count(*)" in text:
            return [{"count": str(len(found))}]
        if " DESC" in text:
            found.reverse()
        limit = re.search(r"LIMIT (?:(\d+),)?(\d+);", text)
        start = int(limit[1] or 0)
        page = found[start : start + min(int(limit[2]), self.most)]
        if self.bad & set(page) and ("SELECT id FROM" not in text or self.id_fails):
            raise self.error
        return [{"id": f"12x{row}"} for row in page if row not in self.hidden]


class Recovering:
    """Gets the records with an odd number, and none of the others."""

    def __init__(self):
        self.asked = []

    def read(self, record_id, columns, error):
        self.asked.append((record_id, tuple(columns), error))
        return {"id": record_id, "is": "recovered"} if number(record_id) % 2 else None


def pages_of(server, page_size=100, columns=("lastname",), where=()):
    return PageQuery(server.query, "Contacts", columns, where, page_size)


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
    with pytest.raises(IncompleteRead, match="order"):
        pages_of(server).page_later(lambda _: lambda: [{"id": "12x2"}, {"id": "12x1"}], None, 0)()


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
def test_records_of_a_page_are_of_the_module_and_ascend(rows, after, given):
    pages = PageQuery(lambda _: [{"id": one} for one in rows], "Contacts", ["x"], (), 100)
    if isinstance(given, str):
        with pytest.raises(IncompleteRead) as caught:
            pages.page(after)
        assert given in str(caught.value)
    else:
        assert [one["id"] for one in pages.page(after)] == given
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
    assert len(waits) == tries - 1
    assert all(wait <= 0.25 * 2**n for n, wait in enumerate(waits))


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
            raise error
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


@pytest.mark.parametrize("where", ["LIMIT 0;", "LIMIT 1;", "LIMIT 1,1;"])
def test_columns_are_not_at_fault_where_a_query_of_them_works(where):
    query, _ = refusing({"a"}, on=lambda text: not text.endswith(where))
    assert refused_columns(query, "Contacts", COLUMNS) == set()


@pytest.mark.parametrize(
    ("refused", "error", "given"),
    [
        ({"b"}, DENIED, {"a", "c", "d", "e", "id"}),
        ({"b"}, FAILS, {"a", "c", "d", "e", "id"}),
        ({"b"}, Refused("x", code="QUERY_SYNTAX_ERROR"), {"a", "c", "d", "e", "id"}),
        ({"b"}, Refused("x", code="OTHER"), None),
        ({"b", "id"}, DENIED, None),
        (set(COLUMNS), DENIED, None),
    ],
)
def test_page_is_read_without_the_columns_that_are_refused(refused, error, given, caplog):
    query, _ = refusing(refused, error)
    pages = PageQuery(query, "Contacts", COLUMNS, (), 100)
    if given is None:
        with pytest.raises(Refused):
            pages.page(None)
        assert pages.refused == frozenset()
    else:
        (record,) = pages.page(None)
        assert record.keys() == given
        assert pages.refused == refused
        assert list(pages.names) == [name for name in COLUMNS if name not in refused]
        assert "Contacts: these fields are null" in caplog.text
        assert pages.page(None) == [record]


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
    assert [len(text) > longest for text in server.texts].count(True) == 1
    longest = 0
    with pytest.raises(Refused):
        PageQuery(query, "Contacts", ["a"], (), 100).page(None)
    with pytest.raises(Refused):  # `*` would contain the access key
        PageQuery(query, "Users", names, (), 100).page(None)


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


@pytest.mark.parametrize("hidden", [(), range(130, 290)])
@pytest.mark.parametrize("silent", range(40))
def test_one_query_that_fails_in_sql_costs_no_record(silent, hidden):
    """It is answered with nothing and no error, whichever it is: also a part of a page."""
    server = Server(400, [38, 301], hidden=hidden)

    def query(text):
        if len(server.texts) == silent:
            server.texts.append(text)
            return []
        return server.query(text)

    reading = ModuleReader(Answering(query), "Contacts", recovery=Recovering())
    assert [number(one) for one in ids(reading)] == [
        n for n in range(1, 401) if n not in hidden and n != 38
    ]
    assert reading.unreadable == len(hidden)


def test_a_few_records_at_fault_cost_few_requests():
    server = Server(1000, [500])
    reading = ModuleReader(Answering(server.query), "Contacts", recovery=Recovering())
    assert len(ids(reading)) == 999
    assert len(server.texts) <= 12 + 20


@pytest.mark.parametrize("error", [BUSY, SLOW, Unavailable("x", nothing_done=True), DENIED])
def test_failure_that_lies_in_no_record_ends_the_reading(error):
    server = Server(250, [150], error=error)
    recovery = Recovering()
    with pytest.raises(type(error)):
        ids(ModuleReader(Answering(server.query), "Contacts", recovery=recovery))
    assert recovery.asked == []


def test_failure_without_a_recovery_ends_the_reading():
    with pytest.raises(Refused):
        ids(ModuleReader(Answering(Server(250, [150]).query), "Contacts"))


@pytest.mark.parametrize(
    ("rows", "bad", "after", "offset", "found"),
    [
        (9, [], None, 0, "12x1"),
        (9, [], None, 4, "12x5"),
        (9, [], "12x4", 0, "12x5"),
        (9, [], "12x4", 4, "12x9"),
        (9, [], "12x4", 5, None),
        (0, [], None, 0, None),
        (9, [5], "12x4", 0, "12x5"),
        (9, [5], None, 4, "12x5"),
        (9, [1], None, 0, "12x1"),
        (9, [8, 9], "12x4", 4, "12x9"),
        ([3, 4000, 2**39], [4000], "12x3", 0, "12x4000"),
        ([3, 4000, 2**39], [2**39], "12x3", 1, f"12x{2**39}"),
        ([3, 2**45], [2**45], "12x3", 0, "fails at each query for it"),
        ([5], [5], None, 0, "fails at each query for it"),
        ([5, 6], [5, 6], None, 0, "fails at each query for it"),
    ],
)
def test_id_of_a_record_is_found_where_no_query_gives_it(rows, bad, after, offset, found):
    pages = pages_of(Server(rows, bad, id_fails=True))
    if found and "x" not in found.split()[0]:
        with pytest.raises(IncompleteRead, match=found):
            pages.id_at(after, offset)
    else:
        assert pages.id_at(after, offset) == found


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
    with pytest.raises(IncompleteRead, match="Contacts: the server counts 1,234 records but"):
        ids(ModuleReader(source, "Contacts", sessions=sessions))
    rest = ModuleReader(source, "Contacts", after="12x1000", sessions=sessions)
    assert ids(rest) == []
    assert (rest.total, rest.unreadable) == (234, 234)


def test_server_that_gives_nothing_more_is_no_lack_of_permission():
    server = Server(300)

    def query(text):
        is_later = len(server.texts) > 2 and "count" not in text
        return [] if is_later else server.query(text)

    with pytest.raises(Unavailable, match="not even those that it returned before"):
        ids(ModuleReader(Answering(query), "Contacts"))


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


def modified(server_answers):
    """A function that answers by offset, or raises."""
    texts = []

    def query(text):
        texts.append(text)
        if "count(*)" in text:
            return [{"count": str(server_answers["count"])}]
        limit = re.search(r"LIMIT (?:(\d+),)?(\d+);", text)
        answer = server_answers.get(int(limit[1] or 0), [])
        if isinstance(answer, Exception):
            raise answer
        return [{"modifiedtime": answer}] if answer else []

    return query, texts


DAY = "2026-01-01 00:00:00"


@pytest.mark.parametrize(
    ("answers", "found"),
    [
        ({0: DAY}, DAY),
        ({"count": 0}, None),
        ({0: FAILS, 1: DAY, "count": 9}, DAY),
        ({0: FAILS, 1: FAILS, 2: DAY, "count": 9}, DAY),
        ({0: FAILS, 1: FAILS, 2: FAILS, 10: DAY, "count": 11}, DAY),
        ({0: FAILS, 1: FAILS, 2: FAILS, 10: FAILS, 100: DAY, "count": 101}, DAY),
        ({0: FAILS, 1: FAILS, 2: FAILS, 10: DAY, "count": 10}, Refused),
        ({0: FAILS, "count": 1}, Refused),
        ({0: SLOW, 1: DAY, "count": 9}, DAY),
        ({0: BUSY, 1: DAY, "count": 9}, Unavailable),
        ({0: DENIED, 1: DAY, "count": 9}, Refused),
        ({"count": 150}, IncompleteRead),
        ({100: DAY, "count": 150}, DAY),
        ({140: DAY, "count": 150}, DAY),
        ({0: "soon"}, LATEST),
    ],
)
def test_newest_modification_is_found_behind_what_is_not_given(answers, found):
    query, texts = modified(answers)
    where = [Condition("a", "=", "1")]
    if isinstance(found, type):
        with pytest.raises(found):
            newest(query, "Contacts", where)
    else:
        assert newest(query, "Contacts", where) == found
    assert all("FROM Contacts WHERE a = '1'" in text for text in texts)
    assert texts[0].endswith("ORDER BY modifiedtime DESC LIMIT 1;")
