"""Records whose `modifiedtime` is NULL or a zero date."""

from __future__ import annotations

import pytest

from kafinea_sandbox import Sandbox
from tests.tap.running import discover, extract

DIALECTS = ("kafinea", "stock", "frevo", "legacy", "corebos")
ZERO = "0000-00-00 00:00:00"


@pytest.fixture(params=DIALECTS)
def company(request):
    """Yield a company, and the ids of those of its contacts that have no modifiedtime."""
    with Sandbox(dialect=request.param, rows=1500) as sandbox:
        ids = [row["id"] for row in sandbox.rows("Contacts")]
        undated = [ids[0], ids[120], ids[-1]]
        for one, value in zip(undated, (None, ZERO, None), strict=True):
            sandbox.change("Contacts", one, {"modifiedtime": value})
        yield sandbox, undated


def contacts(sandbox, state=None, **more):
    return extract(sandbox, modules=["Contacts"], state=state, **more)


def test_records_without_modifiedtime_are_in_the_first_run_and_again_once_saved(company, caplog):
    sandbox, undated = company
    first = contacts(sandbox)
    assert first.ids("Contacts") == [row["id"] for row in sandbox.rows("Contacts")]
    assert (
        "Contacts: 3 records have no modifiedtime, for instance after an import into the database."
        in caplog.text
    )
    times = {one["id"]: one["modifiedtime"] for one in first.records("Contacts")}
    assert [one for one, time in times.items() if time is None] == undated

    caplog.clear()
    second = contacts(sandbox, first.state, lookback_seconds=0)
    assert not {*undated} & {*second.ids("Contacts")}
    assert "records have no modifiedtime" not in caplog.text
    sandbox.change("Contacts", undated[0], {"title": "Dr"})
    third = contacts(sandbox, second.state)
    assert undated[0] in third.ids("Contacts")


def test_records_without_modifiedtime_cost_no_request_where_there_are_none():
    with Sandbox(rows=300) as sandbox:
        contacts(sandbox)
        queries = [one.params["query"] for one in sandbox.requests if one.operation == "query"]
        assert len(queries) == 1 + 1 + 1 + 1, queries  # newest, count, page, the end
        assert not any("WHERE modifiedtime" in query for query in queries)


@pytest.mark.parametrize("bound", [{"start_date": "2019-06-01"}, {"end_date": "2030-01-01"}])
def test_records_without_modifiedtime_are_in_runs_with_one_bound(company, bound):
    sandbox, undated = company
    dates = {row["id"]: row["modifiedtime"] for row in sandbox.rows("Contacts")}
    start = bound.get("start_date", "")
    wanted = {one for one, date in dates.items() if one in undated or date >= start}
    output = contacts(sandbox, **bound)
    assert sorted(output.ids("Contacts")) == sorted(wanted)
    assert output.bookmark("Contacts")["replication_key_value"]


def test_records_without_modifiedtime_are_not_in_every_window(company):
    sandbox, undated = company
    output = contacts(sandbox, start_date="2000-01-01", end_date="2030-01-01")
    assert len(output.ids("Contacts")) == sandbox.count("Contacts") - len(undated)


@pytest.mark.parametrize("bound", [{}, {"start_date": "2019-06-01"}])
def test_records_without_modifiedtime_only_are_read_once(bound):
    with Sandbox(rows=100) as sandbox:
        ids = [row["id"] for row in sandbox.rows("Contacts")]
        for one in ids:
            sandbox.change("Contacts", one, {"modifiedtime": None})
        first = contacts(sandbox, **bound)
        assert first.ids("Contacts") == ids
        second = contacts(sandbox, first.state, **bound)
        assert second.ids("Contacts") == []
        sandbox.change("Contacts", ids[3], {"title": "Dr"})
        third = contacts(sandbox, second.state, **bound)
        assert third.ids("Contacts") == [ids[3]]


def test_records_without_modifiedtime_are_in_each_full_table(company, caplog):
    sandbox, _ = company
    catalog = discover(sandbox, modules=["Contacts"])
    catalog["streams"][0]["replication_method"] = "FULL_TABLE"
    output = extract(sandbox, catalog=catalog)
    again = extract(sandbox, catalog=catalog, state=output.state)
    assert again.ids("Contacts") == [row["id"] for row in sandbox.rows("Contacts")]
    assert caplog.text.count("Contacts: 3 records have no modifiedtime") == 2


def test_records_without_modifiedtime_are_in_a_resumed_first_run(company):
    sandbox, undated = company
    first = contacts(sandbox)
    ids = first.ids("Contacts")
    begun = {
        "bookmarks": {
            "Contacts": {
                "pass": {
                    "since": None,
                    "until": "2026-01-01 00:00:00",
                    "reached": None,
                    "last_id": ids[100],
                    "everything": True,
                    "undated": False,
                },
            }
        }
    }
    rest = contacts(sandbox, begun)
    assert rest.ids("Contacts")[: len(ids) - 101] == ids[101:]
    assert {*undated[1:]} <= {*rest.ids("Contacts")}
