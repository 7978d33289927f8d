"""Whole readings: nothing missing, nothing twice, whatever a page looks like."""

from __future__ import annotations

import logging
import re
from functools import partial
from itertools import chain

import pytest

from kafinea.columns import refused_columns
from kafinea.errors import IncompleteRead, Refused, Unavailable
from kafinea.module_reader import LATEST, ModuleReader, newest
from kafinea.page_query import count, number
from kafinea.query import Condition
from kafinea_sandbox import Sandbox
from tests.conftest import DIALECTS, connect

pytestmark = pytest.mark.usefixtures("quick")


class Answering:
    """A source of records that is not a client: a function answers its queries."""

    def __init__(self, query):
        self.query = query

    def query_deferred(self, query):
        return partial(list, self.query(query))

    def open_sessions(self, count):
        """There are none."""

    def giving_up_after(self, _):
        return self


def ids(reading):
    return [record["id"] for page in reading for record in page]


def numbers(sandbox, module):
    """Return the numbers of all records; servers leave out users who are not active."""
    rows = sandbox.rows(module)
    return sorted(number(str(row["id"])) for row in rows if row.get("status") != "Inactive")


def assert_complete(found, sandbox, module, missing=()):
    assert [number(one) for one in found] == [
        n for n in numbers(sandbox, module) if n not in missing
    ]


@pytest.fixture(scope="module", params=DIALECTS)
def company(request):
    with Sandbox(dialect=request.param, rows=3000) as sandbox, connect(sandbox) as client:
        yield sandbox, client


@pytest.mark.parametrize(
    ("module", "page_size"),
    [
        *(("Contacts", size) for size in (1000, 100, 7)),
        *((module, 1000) for module in ("Invoice", "Documents", "Users", "LineItem", "Tax")),
    ],
)
def test_every_record_comes_once_and_in_order(company, module, page_size):
    sandbox, client = company
    if module in sandbox.instance.dialect.unreachable:
        pytest.skip("the API of this server has no such module")
    columns = [name for name in client.describe(module).queryable if name != "id"]
    assert_complete(
        ids(ModuleReader(client, module, columns, page_size=page_size)), sandbox, module
    )


def test_all_columns_of_an_inventory_module_give_short_pages_and_still_every_record(company):
    sandbox, client = company
    sandbox.requests.clear()
    assert_complete(ids(ModuleReader(client, "Invoice", ["*"])), sandbox, "Invoice")


def test_a_full_reading_costs_a_request_a_page_one_for_the_count_and_one_for_the_end(company):
    sandbox, client = company
    client.listtypes()
    sandbox.requests.clear()
    found = ids(ModuleReader(client, "Contacts", ["lastname"]))
    assert len(sandbox.requests) == -(-len(found) // 100) + 2


def test_the_notebook_way(company):
    _, client = company
    records = list(client.records("Contacts", where=[Condition("lastname", "LIKE", "%a%")]))
    assert records
    assert all("a" in record["lastname"].lower() or "à" in record["lastname"] for record in records)


@pytest.fixture
def thousand():
    with Sandbox(rows=50) as sandbox, connect(sandbox) as client:
        for module_number in range(350):
            sandbox.insert("Contacts", {"lastname": f"Many {module_number}"})
        yield sandbox, client


@pytest.mark.parametrize("nth", [1, 2, 4])
@pytest.mark.parametrize("times", [1, 2, 3])
def test_an_empty_answer_of_a_failed_query_is_not_taken_for_the_end(thousand, nth, times):
    sandbox, client = thousand
    fault = sandbox.faults.add(
        "empty", operation="query", contains="ORDER BY id", nth=nth, times=times
    )
    assert_complete(ids(ModuleReader(client, "Contacts", ["lastname"])), sandbox, "Contacts")
    assert fault.hits == times


@pytest.mark.parametrize("times", [1, 3])
def test_a_count_that_fails_is_asked_again(thousand, times):
    sandbox, client = thousand
    sandbox.faults.add("empty", operation="query", contains="count", times=times)
    assert_complete(ids(ModuleReader(client, "Contacts", ["lastname"])), sandbox, "Contacts")


def test_a_server_that_never_counts_is_an_error(thousand):
    sandbox, client = thousand
    sandbox.faults.add("empty", operation="query", contains="count", times=None)
    with pytest.raises(Unavailable, match="count"):
        ids(ModuleReader(client, "Contacts", ["lastname"]))


def test_counted_records_that_never_come_are_an_error(thousand):
    sandbox, client = thousand
    sandbox.faults.add("empty", operation="query", contains="ORDER BY", times=None)
    with pytest.raises(IncompleteRead, match="counts"):
        ids(ModuleReader(client, "Contacts", ["lastname"]))


def next_number():
    """Return the number that the next record in a small company will get."""
    with Sandbox(rows=50) as sandbox:
        return number(sandbox.insert("Contacts", {"lastname": "next"}))


@pytest.mark.parametrize("hidden", [(0, 1), (0, 150), (60, 260), (100, 200), (199, 355)])
def test_records_behind_those_the_user_may_not_read_are_found(hidden, caplog):
    first = next_number()
    chosen = list(range(first + hidden[0], first + hidden[1]))
    with Sandbox(rows=50, hidden={"Contacts": chosen}) as sandbox, connect(sandbox) as client:
        for n in range(350):
            sandbox.insert("Contacts", {"lastname": f"Many {n}"})
        reading = ModuleReader(client, "Contacts", ["lastname"])
        found = ids(reading)
        there = set(numbers(sandbox, "Contacts")) & set(chosen)
        assert there
        assert_complete(found, sandbox, "Contacts", missing=there)
        assert reading.unreadable == len(there)
        assert f"{len(there)} of {len(found) + len(there)} records could not be read" in caplog.text


def test_a_reading_goes_on_behind_an_id(thousand):
    sandbox, client = thousand
    every = numbers(sandbox, "Contacts")
    prefix = client.describe("Contacts").id_prefix
    reading = ModuleReader(client, "Contacts", ["lastname"], after=f"{prefix}x{every[123]}")
    assert [number(one) for one in ids(reading)] == every[124:]
    assert reading.total == len(every) - 124


def test_a_server_that_stops_giving_in_the_middle_is_not_taken_for_a_lack_of_permission(thousand):
    sandbox, client = thousand
    sandbox.faults.add("empty", operation="query", contains="ORDER BY id", nth=3, times=None)
    reading = ModuleReader(client, "Contacts", ["lastname"])
    found = []
    with pytest.raises(Unavailable, match="Its queries fail"):
        found.extend(chain.from_iterable(reading))
    assert len(found) == 200


def test_records_that_come_in_while_reading_push_no_others_out(thousand):
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

    assert_complete(
        ids(ModuleReader(Answering(query), "Contacts", ["lastname"], where)), sandbox, "Contacts"
    )


def test_records_between_two_stretches_that_the_user_may_not_read_are_found():
    first = next_number()
    chosen = [first + n for n in range(350) if not 150 <= n < 155]
    with Sandbox(rows=50, hidden={"Contacts": chosen}) as sandbox, connect(sandbox) as client:
        for n in range(350):
            sandbox.insert("Contacts", {"lastname": f"Many {n}"})
        reading = ModuleReader(client, "Contacts", ["lastname"])
        assert_complete(ids(reading), sandbox, "Contacts", missing=set(chosen))
        assert reading.unreadable == len(chosen)


@pytest.mark.parametrize("page_size", [10, 30, 100, 1000])
def test_small_pages_find_what_stands_behind_the_unreadable_too(page_size):
    first = next_number()
    chosen = list(range(first + 40, first + 75))
    with Sandbox(rows=50, hidden={"Contacts": chosen}) as sandbox, connect(sandbox) as client:
        for n in range(150):
            sandbox.insert("Contacts", {"lastname": f"Many {n}"})
        reading = ModuleReader(client, "Contacts", ["lastname"], page_size=page_size)
        assert_complete(ids(reading), sandbox, "Contacts", missing=chosen)


def test_a_count_is_not_tried_again_what_the_client_has_tried_again(thousand):
    sandbox, client = thousand
    client.listtypes()
    fault = sandbox.faults.add("status", operation="query", status=500, times=None)
    with pytest.raises(Unavailable):
        count(client.query, "Contacts")
    assert fault.hits == 7


@pytest.mark.parametrize("said", ["-1", "", "1e3", "many", None])
def test_a_count_that_is_no_number_is_an_error(said):
    with pytest.raises(Unavailable):
        count(lambda _: [{"count": said}], "Contacts")


@pytest.mark.parametrize("row", [{}, {"id": None}, {"id": "garbage"}, {"id": 3}])
def test_a_record_without_an_id_is_an_error(row):
    with pytest.raises(IncompleteRead):
        ids(
            ModuleReader(
                Answering(lambda text: [{"count": "1"}] if "count" in text else [row]), "Contacts"
            )
        )


@pytest.mark.parametrize(
    ("wire", "read"),
    [
        ("2026-11-22 07:54:35", "2026-11-22 07:54:35"),
        ("2026-11-22T07:54:35", "2026-11-22 07:54:35"),
        ("1000-01-01 00:00:00", "1000-01-01 00:00:00"),
        *((wire, "") for wire in (None, "", "0000-00-00 00:00:00", "0001-01-01 00:00:00")),
        *((wire, LATEST) for wire in ("garbage", "2026-1-1 1:1:1", "2026-11-22  07:54:35")),
        *((wire, LATEST) for wire in ("\uff12026-11-22 07:54:35", "10000-01-01 00:00:00", [1])),
    ],
)
def test_a_newest_change_is_one_that_a_bookmark_can_hold(wire, read):
    assert newest(lambda _: [{"modifiedtime": wire}], "Contacts") == read


def test_one_passing_error_costs_no_column(thousand):
    sandbox, client = thousand
    client.listtypes()
    body = '{"success":false,"error":{"message":"x","code":"INTERNAL_SERVER_ERROR"}}'
    sandbox.faults.add(
        "status", operation="query", contains="ORDER BY id", status=200, body=body, times=3
    )
    pages = list(ModuleReader(client, "Contacts", ["lastname", "phone"]))
    assert {"lastname", "phone"} <= pages[0][0].keys()


def test_records_that_go_away_while_reading_are_not_missed_nor_reported(thousand, caplog):
    sandbox, client = thousand
    gone = numbers(sandbox, "Contacts")[-5:]
    found = []
    for page in ModuleReader(client, "Contacts", ["lastname"]):
        found += [record["id"] for record in page]
        for one in gone:
            sandbox.remove("Contacts", one)
    assert_complete(found, sandbox, "Contacts")
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_server_that_does_not_order_by_id_is_an_error():
    def backwards(query):
        return [{"count": "2"}] if "count" in query else [{"id": "12x2"}, {"id": "12x1"}]

    with pytest.raises(IncompleteRead, match="order"):
        ids(ModuleReader(Answering(backwards), "Contacts"))


def test_a_server_that_repeats_the_same_page_is_an_error():
    def stuck(query):
        return [{"count": "4"}] if "count" in query else [{"id": "12x1"}, {"id": "12x2"}]

    with pytest.raises(IncompleteRead, match="order"):
        ids(ModuleReader(Answering(stuck), "Contacts"))


def test_fields_that_are_described_and_refused_are_found_and_left_out(company, caplog):
    sandbox, client = company
    columns = ["productname", "tax1", "unit_price", "currency1", "tax2"]
    assert refused_columns(client.query, "Products", columns) == {"tax1", "tax2", "currency1"}
    found = list(ModuleReader(client, "Products", columns))
    assert_complete([record["id"] for page in found for record in page], sandbox, "Products")
    assert "unit_price" in found[0][0]
    assert "currency1, tax1, tax2" in caplog.text


def test_a_module_that_is_refused_as_a_whole_is_an_error(client):
    with pytest.raises(Refused):
        list(ModuleReader(client, "Nope"))


def test_more_columns_than_a_url_holds_are_asked_for_as_a_star(thousand):
    sandbox, client = thousand
    columns = ["lastname", *(f"cf_{'x' * 40}_{n}" for n in range(150))]
    assert_complete(ids(ModuleReader(client, "Contacts", columns)), sandbox, "Contacts")


def test_the_newest_change_is_found_behind_records_that_cannot_be_read():
    first = next_number()
    hidden = {"Contacts": list(range(first + 1, first + 151))}
    with Sandbox(rows=50, hidden=hidden) as sandbox, connect(sandbox) as client:
        sandbox.insert("Contacts", {"lastname": "seen"}, modifiedtime="2037-01-01 00:00:00")
        for _ in range(150):
            sandbox.insert("Contacts", {"lastname": "hidden"}, modifiedtime="2037-01-02 00:00:00")
        assert newest(client.query, "Contacts") == "2037-01-01 00:00:00"


def test_no_record_has_no_newest_change(client):
    nobody = [Condition("lastname", "=", "nobody is called so")]
    assert newest(client.query, "Contacts", nobody) is None
    assert count(client.query, "Contacts", nobody) == 0


@pytest.mark.parametrize("most", [20, 50, 100])
@pytest.mark.parametrize("hidden", [21, 84, 130])
def test_the_newest_change_is_found_however_few_records_a_server_gives(most, hidden):
    def answered(query):
        if "count(*)" in query:
            return [{"count": "150"}]
        limit = re.search(r"LIMIT (?:(\d+),)?(\d+);", query)
        start, asked = int(limit[1] or 0), int(limit[2])
        places = range(start, min(start + min(asked, most), 150))
        return [
            {"modifiedtime": f"2026-01-01 00:{(150 - place) // 60:02}:{(150 - place) % 60:02}"}
            for place in places
            if place >= hidden
        ]

    newest_shown = 150 - hidden
    expected = f"2026-01-01 00:{newest_shown // 60:02}:{newest_shown % 60:02}"
    assert newest(answered, "Contacts") == expected


@pytest.mark.parametrize(("dialect", "largest"), [("kafinea", 100), ("frevo", 1000)])
@pytest.mark.parametrize("sessions", [1, 4])
def test_the_first_page_asks_for_1000_and_the_others_for_what_came(dialect, largest, sessions):
    with Sandbox(dialect=dialect, rows=50) as sandbox, connect(sandbox) as client:
        for n in range(2300):
            sandbox.insert("Contacts", {"lastname": f"Many {n}"})
        reading = ModuleReader(client, "Contacts", ["lastname"], page_size=1000, sessions=sessions)
        assert_complete(ids(reading), sandbox, "Contacts")
        asked = [one.params["query"] for one in sandbox.requests if one.operation == "query"]
        limits = [int(re.search(r"(\d+);$", one)[1]) for one in asked if "LIMIT" in one]
        assert limits[0] == 1000
        assert set(limits[1:]) == {largest}
        assert len(limits) <= 2300 // largest + 2
