"""Servers that share no code with the sandbox: what they fail at costs no other record."""

from __future__ import annotations

import re
from contextlib import contextmanager

import pytest

from kafinea.errors import KafineaError
from tap_kafinea.tap import TapKafinea
from tests.small_server import Raw, Refusal, SmallServer, serving
from tests.tap.running import _Collector, parse


class Failing(SmallServer):
    """Fails at each answer that would show a field of a bad record, and at long pages.

    Attributes:
        bad: What it says, by the number of the record.
        unshowable: The fields of bad records that no answer can hold.
        longest: The greatest LIMIT at which it does not run out of memory.
    """

    def __init__(self, count, *, bad=(), error=None, unshowable="lastname", longest=1000):
        super().__init__()
        for n in range(count):
            self.insert(lastname=f"N{n}")
        self.bad = dict.fromkeys(bad, error or Raw(500))
        self.unshowable = unshowable
        self.longest = longest

    def _listtypes(self, _):
        return {"types": ["Contacts"], "information": {"Contacts": {"label": "Contacts"}}}

    def _query(self, said):
        columns, _, rest = said["query"].partition(" FROM ")
        limit = re.search(r"(\d+);", rest)
        if "description" in columns and limit and int(limit[1]) > self.longest:
            raise Raw(500)
        rows = super()._query(said)
        if self.unshowable == "id" or re.search(rf"\b{self.unshowable}\b", columns):
            self._show(rows)
        return rows

    def _retrieve(self, said):
        self._show([{"id": said["id"]}])
        return super()._retrieve(said)

    def _show(self, rows):
        for row in rows:
            if (error := self.bad.get(int(row.get("id", "x0").partition("x")[2]))) is not None:
                raise error

    @property
    def queries(self):
        return [said["query"] for operation, said in self.requests if operation == "query"]


@contextmanager
def running(server, **more):
    """Yield what a run over a server writes, and how it ended."""
    with serving(server):
        yield run(server, **more)


def run(server, state=None, catalog=None, **more):
    writer = _Collector()
    config = {"url": server.url, "username": "admin", "access_key": "k", "timezone": "UTC", **more}
    tap = TapKafinea(config=config, state=state, catalog=catalog, message_writer=writer)
    try:
        tap.sync_all()
    except KafineaError as error:
        return parse(writer.lines), error
    else:
        return parse(writer.lines), None
    finally:
        tap.client.close()


@pytest.mark.parametrize("sessions", [1, 4])
@pytest.mark.parametrize("code", ["INTERNAL_SERVER_ERROR", "DATABASE_QUERY_ERROR"])
def test_first_records_bad_cost_no_field_of_the_others(sessions, code):
    server = Failing(150, bad=[101, 102, 103], error=Refusal(code))
    with running(server, max_sessions=sessions) as (output, error):
        nameless = [one["id"] for one in output.records("Contacts") if one["lastname"] is None]
        assert nameless == ["12x101", "12x102", "12x103"]
        assert len(output.ids("Contacts")) == 150
        assert "3 records could not be read completely" in str(error)


@pytest.mark.parametrize("bad", [[101, 102], [101, 102, 103, 105], range(101, 126)])
def test_first_records_unreadable_cost_no_other_record(bad):
    server = Failing(150, bad=bad, unshowable="id")
    with running(server) as (output, error):
        assert output.ids("Contacts") == [f"12x{n}" for n in range(101, 251) if n not in bad]
        assert output.bookmark("Contacts")["unreadable"] == [f"12x{n}" for n in bad]
        assert f"{len(bad)} records could not be read completely" in str(error)


def test_page_size_shrinks_when_the_server_runs_out_of_memory():
    server = Failing(1000, longest=300)
    with running(server, max_sessions=1) as (output, error):
        assert error is None
        assert len(output.ids("Contacts")) == 1000
        too_long = [q for q in server.queries if re.search(r"LIMIT (1000|500);", q)]
        assert len(too_long) == 4  # twice, in parts, and never again


def test_page_larger_than_the_limit_is_requested_in_parts(monkeypatch):
    monkeypatch.setattr("kafinea.contents.LARGEST_ANSWER", 150_000)
    server = Failing(1000)
    with running(server, max_sessions=1) as (output, error):
        assert error is None
        assert len(output.ids("Contacts")) == len(set(output.ids("Contacts"))) == 1000
        too_long = [q for q in server.queries if q.endswith(" LIMIT 1000;")]
        assert len(too_long) == 1  # it would be as long again


def test_unreadable_record_costs_few_requests_whatever_the_number_of_fields():
    server = Failing(150, bad=[150, 180, 210], unshowable="id")
    server.fields |= {f"cf_{n}": "string" for n in range(100)}
    with running(server, max_sessions=1) as (output, error):
        assert len(output.ids("Contacts")) == 147
        assert error
        assert len(server.requests) < 3 * 32


@pytest.mark.parametrize("at", ["retrieve", "lastname,.*LIMIT 1;", "lastname,.*id = '"])
def test_connection_lost_at_bad_record_costs_no_other_field(at):
    server = Failing(150, bad=[150])
    asked = []

    def before(operation, said):
        query = said.get("query", operation)
        if asked or re.search(at, query):
            asked.append(query)
        if asked and sum("count(*)" in one for one in asked) < 4:
            raise Raw(500)

    server.before = before
    with running(server, max_sessions=1) as (output, error):
        assert len(output.ids("Contacts")) == 150
        record = next(one for one in output.records("Contacts") if one["id"] == "12x150")
        assert (record["lastname"], record["createdtime"]) == (None, "2026-01-01T00:00:50+00:00")
        assert "1 record could not be read completely: 12x150" in str(error)


def test_unreadable_record_without_modifiedtime_fails_the_run(caplog):
    server = Failing(150, bad=[130], unshowable="id")
    server.row("12x130")["modifiedtime"] = "0000-00-00 00:00:00"
    with running(server, start_date="2025-01-01") as (output, error):
        assert len(output.ids("Contacts")) == 149
        assert "1 record could not be read completely: 12x130" in str(error)
        assert output.bookmark("Contacts")["unreadable"] == ["12x130"]
        assert caplog.text.count("12x130 could not be read: ") == 1
