"""The query of a page: its text, and the columns that a server refuses."""

from __future__ import annotations

import re
from functools import partial

import pytest

from kafinea.columns import refused_columns
from kafinea.errors import IncompleteRead, NotCounted, Refused
from kafinea.module_reader import ModuleReader
from kafinea.page_query import PageQuery, count, is_there
from kafinea.query import Condition
from tests.kafinea.pages.server import (
    DENIED,
    FAILS,
    Recovering,
    Server,
    pages_of,
)
from tests.kafinea.test_module_reader import Answering, ids

# Queries


@pytest.mark.parametrize(
    ("ask", "text"),
    [
        (lambda pages: pages.page(None), "ORDER BY id LIMIT 100;"),
        (lambda pages: pages.page("12x7"), "WHERE id > '12x7' ORDER BY id LIMIT 100;"),
        (lambda pages: pages.page("12x7", 30, 5), "WHERE id > '12x7' ORDER BY id LIMIT 30,5;"),
        (lambda pages: pages.before("12x7"), "WHERE id <= '12x7' ORDER BY id DESC LIMIT 100;"),
        (lambda pages: pages.before("12x7", 9), "WHERE id <= '12x7' ORDER BY id DESC LIMIT 9,100;"),
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


@pytest.mark.parametrize(
    ("rows", "most", "page_size", "are_cut"),
    [
        (47, 20, 100, [True, True, False]),
        (75, 25, 100, [True, True, True]),
        (60, 30, 100, [True, True]),
        (150, 100, 100, [True, False]),
        (21, 100, 7, [True, True, True]),
        (10, 5, 100, [False, False]),
        (45, 100, 100, [False]),
    ],
)
def test_page_may_be_cut_where_it_is_as_long_as_a_limit_may_be(rows, most, page_size, are_cut):
    pages, last, found = pages_of(Server(rows, most=most), page_size), None, []
    assert not pages.may_be_cut([])
    while page := pages.page(last):
        found.append(pages.may_be_cut(page))
        last = page[-1]["id"]
    assert found == are_cut


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
@pytest.mark.parametrize("failing", [{"b"}, {"a", "c", "e"}, set()])
def test_columns_with_which_a_query_gives_nothing_are_named(after, failing, caplog):
    """They may work again soon: left out, they would be null until each record changes."""
    where = f"id > '{after}'" if after else ""  # with the records before, they work
    fails = (lambda text: where in text) if failing else (lambda text: ",".join(COLUMNS) in text)
    query, texts = refusing(failing or {"a"}, None, on=fails)
    reading = ModuleReader(Answering(query), "Contacts", COLUMNS, after=after)
    names = ", ".join(sorted(failing)) or "all together"
    with pytest.raises(IncompleteRead) as raised:
        ids(reading)
    assert str(raised.value) == (
        "Contacts: the server counts records and returns their ids, but nothing with these fields: "
        f"{names}. Its database fails at them, or does not have them. Check the server's log, or "
        "deselect them."
    )
    assert reading.refused == set()
    assert len(texts) < 30
    assert not [one for one in texts if "id > '12x1'" in one]


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
    PageQuery(query, "Contacts", COLUMNS, (), 100).before("12x7")
    assert texts[-1].endswith("WHERE id <= '12x7' ORDER BY id DESC LIMIT 100;")


def test_columns_of_a_page_that_was_given_are_not_refused_later():
    query, texts = refusing({"b"}, on=lambda text: "id >" in text)
    pages = PageQuery(query, "Contacts", COLUMNS, (), 100)
    pages.page(None)
    with pytest.raises(Refused):
        pages.page("12x1")
    assert len(texts) == 2
