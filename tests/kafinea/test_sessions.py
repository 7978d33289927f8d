"""Threads that share a client: whose turn it is, a server that has no room, and the end."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from kafinea import Closed
from kafinea.concurrency import ConcurrencyLimit
from kafinea_sandbox import Sandbox
from tests.conftest import connect

SMALL = "SELECT id FROM Currency LIMIT 1;"


def ask(client, times, threads):
    """Ask the same again and again in several threads; whether each was answered."""
    with ThreadPoolExecutor(threads) as pool:
        return [bool(rows) for rows in pool.map(lambda _: client.query(SMALL), range(times))]


def at_once(requests):
    return [request.at_once for request in requests]


def until(condition):
    while not condition():  # pytest-timeout ends it
        time.sleep(0.005)


# How many at once


@pytest.mark.parametrize("threads", [2, 12])
def test_no_more_requests_at_once_than_sessions(threads):
    with Sandbox(rows=50, latency_ms=10) as sandbox, connect(sandbox, max_sessions=3) as client:
        assert ask(client, 60, threads) == [True] * 60
        assert max(at_once(sandbox.requests)) == min(3, threads)
        sessions = {request.session for request in sandbox.requests.of("query")}
        assert len(sessions) == min(3, threads)


def test_sessions_of_ones_own_and_single_requests_share_the_bound():
    with Sandbox(rows=50, latency_ms=5) as sandbox, connect(sandbox, max_sessions=3) as client:

        def in_one_session(_):
            with client.one_session() as session, session.one_session() as same:
                return [session.query(SMALL), same.query(SMALL), session.user_id()]

        with ThreadPoolExecutor(6) as pool:
            own = pool.map(in_one_session, range(30))
            alone = pool.map(lambda _: client.query(SMALL), range(30))
            assert all(all(answers) for answers in own)
            assert all(alone)
        assert max(at_once(sandbox.requests)) <= 3
        assert not any(request.overlapped for request in sandbox.requests)


def test_a_client_of_one_session_may_be_shared_by_threads(sandbox, client):
    with client.one_session() as session:
        assert ask(session, 40, 4) == [True] * 40
    assert not any(request.overlapped for request in sandbox.requests)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("refusal", "own"),
    [
        ({"status": 429}, True),
        ({"status": 429, "retry_after": 1}, False),
        ({"status": 503}, True),
        ({"status": 502}, False),
    ],
    ids=str,
)
def test_a_server_without_room_is_sent_fewer_requests_and_none_is_lost(refusal, own, caplog):
    with Sandbox(rows=50, latency_ms=10) as sandbox, connect(sandbox, max_sessions=8) as client:
        fault = sandbox.faults.add("status", operation="query", nth=100, times=8, **refusal)

        def in_one_session(_):
            with client.one_session() as session:
                return [bool(session.query(SMALL)) for _ in range(40)]

        if own:
            with ThreadPoolExecutor(8) as pool:
                answers = [one for some in pool.map(in_one_session, range(8)) for one in some]
        else:
            answers = ask(client, 320, 8)
        assert answers == [True] * 320
        assert fault.hits == 8
        sent = sandbox.requests.of("query")
        assert len(sent) == 320 + 8
        last = max(n for n, request in enumerate(sent) if request.fault)
        assert max(at_once(sent[:last])) == 8
        assert max(at_once(sent[last + 10 : last + 40])) <= 4
        said = [line for line in caplog.messages if "too busy for 8 concurrent requests" in line]
        assert len(said) == 1


def test_all_wait_when_the_server_asks_one_to():
    with Sandbox(rows=50) as sandbox, connect(sandbox, max_sessions=8) as client:
        fault = sandbox.faults.add("status", operation="query", nth=100, status=429, retry_after=2)
        with ThreadPoolExecutor(8) as pool:
            answers = [pool.submit(client.query, SMALL) for _ in range(400)]
            until(lambda: fault.hits)
            sent = len(sandbox.requests)
            time.sleep(1)
            assert len(sandbox.requests) <= sent + 8  # those that were on their way
            assert all(answer.result() for answer in answers)


def test_a_login_without_room_makes_all_wait_too():
    with Sandbox(rows=50) as sandbox, connect(sandbox, max_sessions=4) as client:
        fault = sandbox.faults.add("status", operation="login", status=503, retry_after=1)
        assert ask(client, 8, 4) == [True] * 8
        assert fault.hits == 1


def by_a_clock(monkeypatch, seconds):
    """Answers take the `seconds` of a limit: on a busy machine, some take longer."""
    answered = ConcurrencyLimit.answered
    monkeypatch.setattr(
        ConcurrencyLimit,
        "answered",
        lambda self, kind, _, epoch: answered(self, kind, seconds(self.limit), epoch),
    )


def test_a_server_that_queues_is_sent_fewer_requests_and_more_when_it_no_longer_does(
    caplog, monkeypatch
):
    cores = 2
    by_a_clock(monkeypatch, lambda limit: 0.025 * max(1, limit / cores))
    with Sandbox(rows=50, latency_ms=5) as sandbox, connect(sandbox, max_sessions=4) as client:
        assert all(ask(client, 320, 4))
        sent = sandbox.requests.of("query")
        assert max(at_once(sent[:50])) == 4
        assert client._sessions._limit.baseline == 2
        assert max(at_once(sent[-30:])) <= 2
        assert len(caplog.messages) == 1
        assert "no faster with 4 concurrent requests than with 2" in caplog.messages[0]
        cores = 4
        while client._sessions._limit.baseline < 4:
            assert all(ask(client, 30, 4))
        assert all(ask(client, 30, 4))
        assert max(at_once(sandbox.requests.of("query")[-30:])) == 4
        assert len(caplog.messages) == 1


def test_a_server_that_is_only_far_away_is_sent_as_many_as_may_be(caplog, monkeypatch):
    by_a_clock(monkeypatch, lambda _: 0.025)
    with Sandbox(rows=50, latency_ms=5) as sandbox, connect(sandbox, max_sessions=4) as client:
        assert all(ask(client, 600, 4))
        assert client._sessions._limit.limit == 4
        assert max(at_once(sandbox.requests.of("query")[-30:])) == 4
        assert caplog.messages == []


# The end


def test_all_sessions_are_logged_out_at_once():
    with Sandbox(rows=50, latency_ms=50) as sandbox:
        with connect(sandbox, max_sessions=8) as client:
            here = Barrier(8)

            def open_one(_):
                with client.one_session() as session:
                    here.wait(60)
                    session.user_id()

            with ThreadPoolExecutor(8) as pool:
                list(pool.map(open_one, range(8)))
        logouts = sandbox.requests.of("logout")
        assert len(logouts) == 8
        assert max(at_once(logouts)) > 4


def test_a_session_in_use_is_not_waited_for_at_the_end(sandbox):
    client = connect(sandbox, max_sessions=2)
    client.listtypes()
    sandbox.faults.add("latency", operation="query", seconds=2)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(client.query, SMALL)
        until(lambda: sandbox.requests.of("query"))
        client.listtypes()
        client.close()
        assert not answer.done()
        assert len(sandbox.requests.of("logout")) == 1
        assert answer.result()
    client.close()
    assert len(sandbox.requests.of("logout")) == 1


def test_what_waits_at_the_end_ends(sandbox):
    """One waits for another try, one for the session that it holds, one as the server asked."""
    for fault in ({"status": 500}, {"status": 429, "retry_after": 60}):
        sandbox.faults.clear()
        ordered = sandbox.faults.add("status", operation="query", times=None, **fault)
        client = connect(sandbox, max_sessions=1)
        with ThreadPoolExecutor(8) as pool:
            answers = [pool.submit(client.query, SMALL) for _ in range(8)]
            until(lambda: ordered.hits >= (2 if fault["status"] == 500 else 1))  # noqa: B023 it is called at once
            client.close()
            for answer in answers:
                with pytest.raises(Closed, match="was closed"):
                    answer.result()


def test_a_closed_client_sends_nothing(sandbox, client):
    client.listtypes()
    with client.one_session() as session:
        client.close()
        sandbox.requests.clear()
        with pytest.raises(Closed):
            session.create("Contacts", {"lastname": "x"})
    with pytest.raises(Closed):
        client.query(SMALL)
    assert len(sandbox.requests) == 0


@pytest.mark.usefixtures("quick")
def test_a_request_without_an_answer_holds_no_other_up(sandbox):
    """A server runs the requests of a session one after the other, to their ends."""
    sandbox.faults.add("hang", operation="query", seconds=60)
    with connect(sandbox, max_sessions=1, request_timeout=2) as client:
        assert client.query(SMALL)
    first, *_, again = sandbox.requests.of("query")
    assert first.session != again.session
    sandbox.faults.clear()


def test_a_thread_that_is_interrupted_leaves_its_session_to_expire(sandbox):
    with connect(sandbox, max_sessions=1) as client:
        client.listtypes()
        with pytest.raises(SystemExit), client.one_session():
            raise SystemExit
        (begun,) = {request.session for request in sandbox.requests.of("listtypes")}
        assert client.query(SMALL)  # in another session
    assert begun not in {request.session for request in sandbox.requests.of("logout")}
