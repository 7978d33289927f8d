"""Fields that `describe` promises and a query refuses, very many fields, repeated and cut rows."""

from __future__ import annotations

import re
from urllib.parse import quote_plus

import pytest

from tests.small_server import Raw, Refusal, SmallServer, serving
from tests.target.running import load, matched, messages

LONGEST = 8_000
GONE = "2026-01-02T00:00:00Z"


class Server(SmallServer):
    """It refuses a query of one column, repeats each record of an answer, and limits addresses.

    Its answers to updates repeat what was sent, so that updates are read back together.
    """

    def __init__(self, refused=None, *, repeats=1, most=100, **fields):
        super().__init__(**fields)
        self.most = most
        self.refused = refused
        self.repeats = repeats
        self.answer = lambda operation, stored, sent: stored if operation == "create" else sent

    def _query(self, said):
        query = said["query"]
        if len(quote_plus(query, safe=",")) > LONGEST:
            raise Raw(414, b"<html>414 Request-URI Too Large</html>")
        if self.refused and re.search(rf"\b{self.refused}\b", query):
            raise Refusal("ACCESS_DENIED", "Permission to access the attribute denied.")
        rows = super()._query(said)[: self.most]
        is_count = "count(*)" in query
        return rows if is_count else [row for row in rows for _ in range(self.repeats)]


def filled(server, count=8, **more):
    for n in range(count):
        server.insert(code=f"c{n}", lastname="old", **more)
    return server


def customers(count=8, **more):
    return [{"code": f"c{n}", **more} for n in range(count)]


def run(server, *records, check=True, **options):
    options = {"streams": matched("Contacts", "code"), "max_rejects": -1, **options}
    login = {"url": server.url, "username": "admin", "access_key": "k"}
    return load(None, messages("Contacts", *records), **login, **options, check=check)


def stored(server, name):
    return {row[name] for row in server.rows.values()}


@pytest.mark.parametrize("more", [{}, {"tax9": 2}])
def test_field_that_no_query_gives_is_no_obstacle(more):
    with serving(filled(Server("tax9", tax9="double"), tax9="1")) as server:
        records = customers(lastname="new", **more)
        assert run(server, *records).tally == {"updated": 8}
        assert stored(server, "lastname") == {"new"}
        assert stored(server, "tax9") == ({"2"} if more else {"1"})
        server.requests.clear()
        assert run(server, *records).tally == {"unchanged": 8}
        if not more:
            assert server.count("query") == 1
            assert server.count("retrieve") <= 1  # the formats of the user


def test_field_that_no_query_gives_is_not_empty():
    with serving(filled(Server("tax9", tax9="double"), tax9="1")) as server:
        streams = matched("Contacts", "code", write={"tax9": "if_empty"})
        assert run(server, *customers(tax9=2), streams=streams).tally == {"unchanged": 8}
        assert stored(server, "tax9") == {"1"}


def test_record_with_such_a_field_is_deleted_as_planned(tmp_path):
    with serving(filled(Server("tax9", tax9="double"), tax9="1")) as server:
        record = {"code": "c1", "_sdc_deleted_at": GONE}
        options = {"plan_path": str(tmp_path / "plan"), "hard_delete": True}
        assert run(server, record, **options, dry_run=True).tally == {"deleted": 1}
        assert run(server, record, **options).tally == {"deleted": 1}


def test_key_that_no_query_gives_ends_the_run():
    with serving(filled(Server("code"))) as server:
        result = run(server, *customers(lastname="new"), check=False)
        assert "ACCESS_DENIED" in result.errors[-1]
        assert stored(server, "lastname") == {"old"}
        assert server.count("create") == 0


def test_number_of_fields_costs_no_requests():
    requests = []
    for count in (0, 250, 500):
        fields = {f"cf_accounts_field_{n:04}": "string" for n in range(count)}
        with serving(filled(Server(**fields))) as server:
            assert run(server, *customers(lastname="new"), max_sessions=1).tally == {"updated": 8}
            requests.append(len(server.requests))
    assert len(set(requests)) == 1


def test_record_that_is_answered_twice_is_one():
    with serving(filled(Server(repeats=2))) as server:
        assert run(server, *customers(lastname="new")).tally == {"updated": 8}


@pytest.mark.parametrize("most", [20, 50])
def test_second_record_of_a_key_is_found_where_pages_are_short(most):
    with serving(filled(Server(most=most), most)) as server:
        server.insert(code="c0", lastname="old")
        result = run(server, *customers(most, lastname="new"), check=False)
        assert result.tally == {"updated": most - 1, "rejected": 1}
        assert result.codes == ["AMBIGUOUS_KEY"]
