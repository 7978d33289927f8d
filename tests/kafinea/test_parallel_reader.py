"""Readings by several sessions at once: the same records, in fewer seconds and no more requests."""

from __future__ import annotations

import re
from bisect import bisect_right
from random import Random
from threading import Event, Lock
from types import SimpleNamespace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kafinea.errors import IncompleteRead, Unavailable
from kafinea.module_reader import ModuleReader
from kafinea.page_query import number
from kafinea.query import Condition
from kafinea_sandbox import Sandbox
from tests.conftest import DIALECTS, connect
from tests.kafinea.test_module_reader import Answering, assert_complete, ids, numbers

_BROKEN_INSIDE = '{"success":true,"result":[{"id":"12x1","lastname":}]}'


class Table:
    """What a server does with ids: rights are looked at after the LIMIT, others delete meanwhile.

    A second, plain reading of how servers answer, quick enough for many examples.
    """

    def __init__(self, rows, hidden, most, leaving, random):
        self.rows = sorted(rows)
        self.hidden = hidden
        self._most = most
        self._leaving = leaving
        self._random = random
        self._lock = Lock()

    def query(self, text):
        with self._lock:
            if self.rows and self._random.random() < self._leaving:
                self.rows.remove(self._random.choice(self.rows))
            above = re.search(r"id > '12x(\d+)'", text)
            upto = re.search(r"id <= '12x(\d+)'", text)
            first = bisect_right(self.rows, int(above[1])) if above else 0
            end = bisect_right(self.rows, int(upto[1])) if upto else len(self.rows)
            if "count(*)" in text:
                return [{"count": str(end - first)}]
            limit = re.search(r"LIMIT (?:(\d+),)?(\d+);", text)
            rows = self.rows[first:end][:: -1 if " DESC " in text else 1]
            start = int(limit[1] or 0)
            given = rows[start : start + min(int(limit[2]), self._most)]
            return [{"id": f"12x{row}"} for row in given if row not in self.hidden]

    @property
    def readable(self):
        return [row for row in self.rows if row not in self.hidden]


@pytest.fixture(scope="module")
def at_once():
    """No waits between tries."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("backoff._sync.time", SimpleNamespace(sleep=lambda _: None))
        yield


@pytest.mark.usefixtures("at_once")
@settings(max_examples=200, deadline=None)
@example(seed=0, rows=1000, density=1, hidden=0.9, leaving=0, most=50, page_size=7, sessions=1)
@example(
    seed=1341796068,
    rows=2500,
    density=1,
    hidden=0.9,
    leaving=0.2,
    most=100,
    page_size=30,
    sessions=1,
)
@example(seed=376, rows=199, density=50, hidden=0.9, leaving=0, most=50, page_size=100, sessions=1)
@given(
    seed=st.integers(0, 2**32),
    rows=st.sampled_from([0, 3, 100, 150, 199, 350, 1000, 2500]),
    density=st.sampled_from([1, 4, 50]),
    hidden=st.sampled_from([0, 0.1, 0.5, 0.9, "block"]),
    leaving=st.sampled_from([0, 0, 0.02, 0.2]),
    most=st.sampled_from([100, 100, 1000, 50]),
    page_size=st.sampled_from([100, 100, 1000, 30, 7]),
    sessions=st.sampled_from([1, 2, 4, 16]),
)
def test_what_stays_and_may_be_read_comes_once_and_in_order(
    seed, rows, density, hidden, leaving, most, page_size, sessions
):
    random = Random(seed)
    every = sorted(random.sample(range(1, rows * density + 2), rows))
    if hidden == "block":
        start = random.randrange(rows + 1)
        unreadable = set(every[start : start + random.randrange(400)])
    else:
        unreadable = {row for row in every if random.random() < hidden}
    table = Table(every, unreadable, most, leaving, random)
    reading = ModuleReader(
        Answering(table.query), "Contacts", page_size=page_size, sessions=sessions
    )
    try:
        found = [number(one) for one in ids(reading)]
    except (IncompleteRead, Unavailable):
        # Nothing readable is left of what was counted, which looks like a query that fails.
        assert leaving or not table.readable
        return
    assert found == sorted(set(found))
    assert set(table.readable) <= set(found)
    assert not unreadable & set(found)


@pytest.fixture(scope="module", params=DIALECTS)
def company(request):
    sandbox = Sandbox(dialect=request.param, rows=6000)
    with sandbox, connect(sandbox, max_sessions=8) as client:
        yield sandbox, client


@pytest.mark.parametrize(
    ("module", "page_size"),
    [("Contacts", 17), ("Contacts", 1000), ("Invoice", 1000), ("LineItem", 1000), ("Users", 17)],
)
def test_every_record_comes_once_and_in_order(company, module, page_size):
    sandbox, client = company
    if module in sandbox.instance.dialect.unreachable:
        pytest.skip("the API of this server has no such module")
    columns = [name for name in client.describe(module).queryable if name != "id"]
    reading = ModuleReader(client, module, columns, page_size=page_size, sessions=8)
    assert_complete(ids(reading), sandbox, module)


def test_a_full_reading_costs_little_more_than_a_request_a_page(company):
    sandbox, client = company
    client.listtypes()
    sandbox.requests.clear()
    found = ids(ModuleReader(client, "Contacts", ["lastname"], sessions=8))
    queries = [request for request in sandbox.requests if request.operation == "query"]
    assert len(found) > 500
    assert len(queries) <= 1.1 * len(found) / 100 + 10
    assert len({request.session for request in queries}) > 1


def test_the_page_that_shows_the_end_is_asked_for_together_with_those_before_it(company):
    _, client = company
    alone = []

    def query(text):
        alone.append(text)
        return client.query(text)

    source = SimpleNamespace(
        query=query, query_deferred=client.query_deferred, open_sessions=client.open_sessions
    )
    assert len(ids(ModuleReader(source, "Contacts", ["lastname"], sessions=8))) > 500
    assert len(alone) == 2  # the count and the first page


def test_sessions_are_opened_while_the_first_page_is_on_its_way():
    with Sandbox(rows=6000) as sandbox, connect(sandbox, max_sessions=8) as client:
        client.listtypes()
        sandbox.faults.add("latency", contains="ORDER BY", seconds=1)
        found = ids(ModuleReader(client, "Contacts", ["lastname"], sessions=8))
        arrived = [
            "page" if "ORDER BY" in request.params.get("query", "") else request.operation
            for request in sandbox.requests
        ]
    second_page = arrived.index("page", arrived.index("page") + 1)
    assert arrived[:second_page].count("login") == min(8, -(-len(found) // 100)) > 4


def test_a_reading_goes_on_behind_an_id(company):
    sandbox, client = company
    every = numbers(sandbox, "Contacts")
    prefix = client.describe("Contacts").id_prefix
    after = f"{prefix}x{every[333]}"
    found = ids(ModuleReader(client, "Contacts", ["lastname"], after=after, sessions=8))
    assert [number(one) for one in found] == every[334:]


@pytest.fixture
def thousand():
    with Sandbox(rows=50) as sandbox, connect(sandbox, max_sessions=4) as client:
        for module_number in range(1000):
            sandbox.insert("Contacts", {"lastname": f"Many {module_number}"})
        yield sandbox, client


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("nth", "kind", "details"),
    [
        *((nth, "empty", {}) for nth in (1, 5, 11)),
        (1, "status", {"status": 503}),
        (5, "status", {"status": 200, "body": _BROKEN_INSIDE}),
        (11, "reset", {}),
        (1, "truncate", {}),
        (5, "notices", {}),
    ],
)
def test_a_page_that_fails_in_the_middle_is_asked_again_by_itself(thousand, nth, kind, details):
    sandbox, client = thousand
    client.listtypes()
    sandbox.requests.clear()
    fault = sandbox.faults.add(
        kind, operation="query", contains="ORDER BY id", nth=nth, times=1, **details
    )
    found = ids(ModuleReader(client, "Contacts", ["lastname"], sessions=4))
    assert_complete(found, sandbox, "Contacts")
    assert fault.hits == 1
    assert sum(request.operation == "query" for request in sandbox.requests) <= 20


def test_what_came_before_a_page_that_fails_for_good_is_given(thousand):
    sandbox, client = thousand
    every = numbers(sandbox, "Contacts")
    found = []

    def query(text):
        answer = client.query(text)
        if any("id" in record and number(record["id"]) == every[500] for record in answer):
            raise Unavailable("The server fails at this record.")
        return answer

    def read():
        for page in ModuleReader(Answering(query), "Contacts", ["lastname"], sessions=4):
            found.extend(number(one["id"]) for one in page)

    with pytest.raises(Unavailable):
        read()
    assert found == every[: len(found)]
    assert 400 <= len(found) <= 500


def test_no_more_is_read_ahead_than_is_taken(thousand):
    sandbox, client = thousand
    client.listtypes()
    sandbox.requests.clear()
    pages = iter(ModuleReader(client, "Contacts", ["lastname"], sessions=2))
    for _ in range(3):
        next(pages)
    pages.close()
    assert len(sandbox.requests) < 12  # of the 13 a whole reading takes: 2 first, 2 taken, 6 ahead


def test_records_that_others_take_out_meanwhile_push_none_out(thousand):
    sandbox, client = thousand
    every = numbers(sandbox, "Contacts")
    doomed = iter(every[::7])
    kept = {*every} - {*every[::7]}

    def query(text):
        if "ORDER BY" in text and (one := next(doomed, None)):
            sandbox.remove("Contacts", one)
        return client.query(text)

    found = [
        number(one)
        for one in ids(ModuleReader(Answering(query), "Contacts", ["lastname"], sessions=4))
    ]
    assert found == sorted(set(found))
    assert kept <= {*found}


def test_records_that_come_in_meanwhile_push_none_out(thousand):
    sandbox, client = thousand
    every = numbers(sandbox, "Contacts")
    for one in every:
        sandbox.change("Contacts", one, {}, modifiedtime="2020-01-01 00:00:00")
    for one in every[:150]:
        sandbox.change("Contacts", one, {}, modifiedtime="2019-01-01 00:00:00")
    where = [Condition("modifiedtime", ">=", "2020-01-01 00:00:00")]

    def query(text):
        answer = client.query(text)
        if "count" in text:  # and now they come in, saved by a slow transaction
            for one in every[:150]:
                sandbox.change("Contacts", one, {}, modifiedtime="2020-01-01 00:00:00")
        return answer

    found = [
        number(one)
        for one in ids(ModuleReader(Answering(query), "Contacts", ["lastname"], where, sessions=4))
    ]
    assert found == sorted(set(found))
    assert {*every[150:]} <= {*found}


def test_records_that_come_in_behind_the_page_that_shows_the_end_push_none_out():
    every = range(1, 593, 2)
    table = Table(every, set(), most=100, leaving=0, random=Random(0))
    end_is_shown = Event()

    def query(text):
        offset = re.search(r"LIMIT (\d+),", text)
        is_end = offset and int(offset[1]) > 150
        if "id >" in text and not is_end:
            assert end_is_shown.wait(60)
        answer = table.query(text)
        if is_end:
            table.rows = sorted([*table.rows, *range(300, 320, 2)])
            end_is_shown.set()
        return answer

    found = [number(one) for one in ids(ModuleReader(Answering(query), "Contacts", sessions=4))]
    assert end_is_shown.is_set()
    assert found == table.readable


@pytest.mark.parametrize("page_size", [1, 2, 3, 7, 100])
def test_a_full_page_shows_no_end_however_many_came(page_size):
    every = range(1, 401, 2)
    table = Table(every, set(), most=100, leaving=0, random=Random(0))
    coming = iter(range(2, 400, 2))

    def query(text):
        if "id >" in text and (one := next(coming, None)):
            table.rows = sorted([*table.rows, one])
        return table.query(text)

    reading = ModuleReader(Answering(query), "Contacts", page_size=page_size, sessions=3)
    found = [number(one) for one in ids(reading)]
    assert found == sorted(set(found))
    assert {*every} <= {*found}
