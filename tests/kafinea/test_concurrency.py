"""How many requests at once, decided from latencies that are made up here: no clock, no server."""

from __future__ import annotations

import heapq
import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafinea.concurrency import ConcurrencyLimit


class Server:
    """Works on `cores` requests at once, each for `work` seconds; the way there takes `way`."""

    def __init__(self, work, cores=10**6, way=0.0, noise=0.2):
        self.work, self.cores, self.way, self.noise = work, cores, way, noise

    def seconds(self, under_way):
        return self.way + self.work * max(1.0, under_way / self.cores)


def run(pace, server, answers, kinds=lambda _: ("query", 1.0), seed=1):
    """Send as many requests at once as the pace allows; the limit at each answer, and the rate."""
    random_ = random.Random(seed)
    now, flying, limits = 0.0, [], []
    for n in range(answers):
        while len(flying) < pace.limit:
            kind, cost = kinds(n + len(flying))
            seconds = cost * server.seconds(len(flying) + 1)
            seconds *= random_.lognormvariate(0, server.noise)
            heapq.heappush(flying, (now + seconds, random_.random(), kind, seconds, pace.epoch))
        now, _, kind, seconds, epoch = heapq.heappop(flying)
        pace.answered(kind, seconds, epoch)
        limits.append(pace.limit)
    return limits, answers / now


@pytest.mark.parametrize("cores", [1, 2, 4])
@pytest.mark.parametrize("most", [4, 16, 64])
@pytest.mark.parametrize("noise", [0.05, 0.3])
def test_a_server_that_queues_is_asked_as_much_as_it_can_do_and_no_more(cores, most, noise):
    pace = ConcurrencyLimit(most)
    limits, rate = run(pace, Server(0.05, cores, noise=noise), 1500)
    assert 0.9 * cores <= sum(limits[-500:]) / 500 <= 2 * cores
    assert rate >= 0.9 * cores / 0.05 / (1 + noise**2)


@pytest.mark.parametrize("most", [2, 4, 16, 64])
@pytest.mark.parametrize("noise", [0.05, 0.3, 0.6])
@pytest.mark.parametrize("seed", range(5))
def test_a_server_that_does_not_queue_is_asked_all_the_time(most, noise, seed):
    limits, _ = run(ConcurrencyLimit(most), Server(0.05, noise=noise), 5000, seed=seed)
    assert sum(limits) / len(limits) >= 0.93 * most


def test_a_short_run_is_all_at_full_speed():
    limits, _ = run(ConcurrencyLimit(16), Server(0.05, 2), 200)
    assert set(limits) == {16}


@pytest.mark.parametrize("most", [4, 8, 16])
def test_our_own_work_is_no_reason_for_fewer(most):
    """Parsing makes answers of 50 ms three milliseconds longer for each that is parsed at once."""
    limits, _ = run(ConcurrencyLimit(most), Server(0.003, 1, way=0.05), 5000)
    assert sum(limits) / len(limits) >= 0.93 * most


@pytest.mark.parametrize("most", [4, 8])
def test_latencies_of_a_few_milliseconds_are_no_reason_for_fewer(most):
    limits, _ = run(ConcurrencyLimit(most), Server(0.002, 1), 5000)
    assert set(limits) == {most}


@pytest.mark.parametrize("most", [4, 16])
def test_a_server_that_gets_slow_by_itself_is_asked_as_before(most):
    pace, server = ConcurrencyLimit(most), Server(0.05)
    run(pace, server, 2000)
    server.work = 0.25
    limits, _ = run(pace, server, 5000)
    assert sum(limits) / len(limits) >= 0.9 * most


@pytest.mark.parametrize("work", [0.05, 0.004])
def test_a_server_that_gets_quick_again_is_asked_more_again(work):
    pace, server = ConcurrencyLimit(16), Server(0.05, 2)
    run(pace, server, 1500)
    assert pace.baseline <= 4
    server.work, server.cores = work, 10**6
    run(pace, server, 3000)
    assert pace.baseline == 16


def test_queries_that_take_longer_than_others_are_no_reason_for_fewer():
    """A hundred requests for one kind, a hundred for another that takes twenty times as long."""
    kinds = [("quick", 0.5), ("slow", 10.0)]
    limits, _ = run(ConcurrencyLimit(16), Server(0.05), 5000, lambda n: kinds[n // 100 % 2])
    assert sum(limits) / len(limits) >= 0.93 * 16


def test_many_small_modules_are_read_at_full_speed():
    """No kind comes often enough to be known."""
    limits, _ = run(
        ConcurrencyLimit(16), Server(0.05, 2), 5000, lambda n: (f"module {n // 5}", 1.0)
    )
    assert set(limits) == {16}


def test_a_trial_ends_when_other_things_are_asked_for():
    kinds = [f"{n}" for n in range(5000)]
    pace = ConcurrencyLimit(16)
    run(pace, Server(0.05), 212)
    assert pace.limit == 8
    run(pace, Server(0.05), 200, lambda n: (kinds[n], 1.0))
    assert pace.limit == 16


def test_requests_refused_together_count_once_and_a_row_of_good_answers_brings_one_back():
    pace = ConcurrencyLimit(16)
    together = pace.epoch
    for _ in range(16):
        pace.refused(together)
    assert pace.limit == 8
    pace.refused(pace.epoch)
    assert pace.limit == 4
    limits, _ = run(pace, Server(0.001), 1000)
    steps = [b - a for a, b in pairwise(limits) if b != a]
    assert steps == [1] * 12
    assert limits.index(5) == 49
    assert pace.limit == 16


def test_a_refusal_ends_a_row():
    pace = ConcurrencyLimit(4)
    pace.refused(pace.epoch)
    for _ in range(20):
        run(pace, Server(0.001), 40)
        pace.refused(-1)
    assert pace.limit == 2


events = st.lists(
    st.tuples(st.sampled_from(["a", "b", "refused"]), st.floats(0, 200), st.integers(-3, 0)),
    max_size=60,
)


@given(st.integers(1, 64), events, st.integers(1, 40))
def test_whatever_comes_at_least_one_and_at_most_all_work(most, events, times):
    pace = ConcurrencyLimit(most)
    for kind, seconds, ago in events * times:
        if kind == "refused":
            pace.refused(pace.epoch + ago)
        else:
            pace.answered(kind, seconds, pace.epoch + ago)
        assert 1 <= pace.limit <= most
        assert 1 <= pace.baseline <= most
