"""Which records a pass reads, and where the bookmark goes: the tables of `passes`, row by row."""

from datetime import datetime, timedelta, timezone

import pytest

from kafinea.extract.checkpoint import Checkpoint, Pass
from kafinea.extract.passes import PassPlanner
from kafinea.module_reader import LATEST
from kafinea.values import ServerZone

FUTURE = datetime(2026, 7, 1, tzinfo=timezone.utc)
START, END = datetime(2026, 5, 1), datetime(2026, 6, 15)
DAY = "2026-06-{:02} 10:00:00".format
B, N, LATE, BEYOND = DAY(1), DAY(10), DAY(20), "2099-01-01 00:00:00"
BACK, AFTER_B = "2026-06-01 09:59:00", "2026-06-01 10:00:01"
NEW = Checkpoint()
AT_B = Checkpoint(bookmark="2026-06-01T10:00:00+00:00", wire=B, is_up_to_date=False)
SETTLED = Checkpoint(bookmark="2026-06-01T10:00:00+00:00", wire=B, is_up_to_date=True)
UNDATED = Checkpoint(is_undated=True)


def planner(**options):
    zone = options.pop("zone", "UTC")
    return PassPlanner(ServerZone(zone), lambda: FUTURE, **{"lookback": 60, **options})


def newest_of(times):
    """What a server with records of these times answers. None and "" are as `newest` has them."""

    def newest(conditions):
        meets = {">=": str.__ge__, "<": str.__lt__}
        assert all(one.field == "modifiedtime" for one in conditions)
        found = [t for t in times if all(meets[one.operator](t, one.value) for one in conditions)]
        return max(found, default=None)

    return newest


@pytest.mark.parametrize(
    ("options", "checkpoint", "times", "planned"),
    [
        ({}, NEW, [], None),
        ({}, NEW, [""], Pass(None, "", None, everything=True)),
        ({}, NEW, [B, N], Pass(None, N, N, everything=True)),
        ({}, NEW, [B, BEYOND], Pass(None, BEYOND, B, everything=True)),
        ({}, NEW, [BEYOND], Pass(None, BEYOND, None, everything=True)),
        ({}, NEW, [LATEST], Pass(None, "", None, everything=True)),
        ({"start": START}, NEW, [B], Pass("2026-05-01 00:00:00", B, B, undated=True)),
        ({"start": START}, NEW, [DAY(1).replace("-06-", "-04-")],
         Pass("2026-05-01 00:00:00", "", None, undated=True)),
        ({"end": END}, NEW, [N, LATE], Pass(None, N, N, undated=True)),
        ({"end": END}, NEW, [LATE], Pass(None, "", None, undated=True)),
        ({"end": END}, NEW, ["2026-06-15 00:00:00", "2026-06-14 23:59:59"],
         Pass(None, "2026-06-14 23:59:59", "2026-06-14 23:59:59", undated=True)),
        ({"start": START, "end": END}, NEW, [B, LATE], Pass("2026-05-01 00:00:00", B, B)),
        ({"start": START, "end": END}, NEW, [LATE], None),
        ({"start": END, "end": END}, NEW, [B, LATE], None),
        ({"start": START}, AT_B, [B, N], Pass(BACK, N, N)),
        ({}, AT_B, [B], Pass(BACK, B, B)),
        ({}, AT_B, [DAY(1).replace("10:", "08:")], None),
        ({}, AT_B, [], None),
        ({}, AT_B, [N, BEYOND], Pass(BACK, BEYOND, N)),
        ({}, SETTLED, [], None),
        ({}, SETTLED, [B], None),
        ({}, SETTLED, [B, N], Pass(BACK, N, N)),
        ({}, SETTLED, [AFTER_B], Pass(BACK, AFTER_B, AFTER_B)),
        ({"end": END}, SETTLED, [N, LATE], Pass(BACK, N, N)),
        ({"end": datetime(2026, 6, 1, 9, 59)}, AT_B, [BACK, B], None),
        ({"end": datetime(2026, 6, 1, 9, 59, 1)}, AT_B, [BACK, B], Pass(BACK, BACK, BACK)),
        ({}, UNDATED, [], None),
        ({}, UNDATED, [""], None),
        ({}, UNDATED, ["", N], Pass(None, N, N)),
        # A bookmark that somebody has changed has no text of the server's own.
        ({"zone": "Europe/Paris"}, Checkpoint(bookmark="2026-06-01T10:00:00+02:00"), [N],
         Pass(BACK, N, N)),
        # In the hour that comes twice, the first one is read again too.
        ({"zone": "Europe/London"},
         Checkpoint(bookmark="2025-10-26T01:30:00+01:00", wire="2025-10-26 01:30:00"), [N],
         Pass("2025-10-26 00:29:00", N, N)),
        # What is dated in the future, as the server's clock shows it.
        ({"zone": "Asia/Kolkata"}, NEW, ["2026-07-01 05:30:00"],
         Pass(None, "2026-07-01 05:30:00", "2026-07-01 05:30:00", everything=True)),
        ({"zone": "Asia/Kolkata"}, NEW, ["2026-07-01 05:30:01"],
         Pass(None, "2026-07-01 05:30:01", None, everything=True)),
        ({"end": datetime(2026, 8, 1)}, NEW, [N, "2026-07-15 00:00:00"],
         Pass(None, "2026-07-15 00:00:00", N, undated=True)),
        ({"end": END}, NEW, [N, "2026-06-14 00:00:00"],
         Pass(None, "2026-06-14 00:00:00", "2026-06-14 00:00:00", undated=True)),
    ],
)  # fmt: skip
def test_next_pass_is_from_the_bookmark_to_the_newest_record(options, checkpoint, times, planned):
    assert planner(**options).next(checkpoint, newest_of(times)) == planned


@pytest.mark.parametrize(("options", "until"), [({}, ""), ({"end": END}, "2026-06-14 23:59:59")])
@pytest.mark.parametrize(
    ("times", "reached"), [([LATEST], None), ([N, "2026-06-14 23:00:00"], "2026-06-14 23:00:00")]
)
def test_a_newest_record_that_cannot_be_dated_moves_no_bookmark(options, until, times, reached):
    def newest(conditions):
        since = [one for one in conditions if one.operator == ">="]
        return LATEST if since or times == [LATEST] else newest_of([*times, *later])(conditions)

    later = [LATE, BEYOND] if "end" in options else [BEYOND]
    planned = planner(**options).next(AT_B, newest)
    assert planned == Pass(BACK, until, reached)


def test_the_server_is_not_asked_where_the_bookmark_is_at_the_end():
    at_end = planner(end=datetime(2026, 6, 1, 9, 59))
    assert at_end.next(AT_B, lambda _: pytest.fail("the server was asked")) is None


BEGAN = datetime(2026, 6, 30, 12, tzinfo=timezone.utc)


def seen(seconds):
    return (BEGAN - timedelta(seconds=seconds)).isoformat()


@pytest.mark.parametrize(
    ("before", "done", "after"),
    [
        # over all records of a module that is read whole
        ({"bookmark": None}, Pass(), {"bookmark": None}),
        # all records are undated
        ({"bookmark": None}, Pass(until=""), {"bookmark": None, "is_undated": True}),
        # the bookmark moves
        ({"bookmark": None, "is_undated": True}, Pass(until=N, reached=N), "moved"),
        ({"is_up_to_date": True}, Pass(BACK, N, N), "moved"),
        ({}, Pass(BACK, N, N, last_id="12x3"), "moved"),
        # it was reached again: late enough, or too early
        ({"seen_at": seen(60)}, Pass(BACK, B, B), {"seen_at": seen(60), "is_up_to_date": True}),
        ({"seen_at": seen(59)}, Pass(BACK, B, B), {"seen_at": seen(59), "is_up_to_date": False}),
        ({}, Pass(BACK, B, B), {"is_up_to_date": False}),
        ({"seen_at": "2026-06-01T00:00:00"}, Pass(BACK, B, B),
         {"seen_at": "2026-06-01T00:00:00", "is_up_to_date": False}),
        ({"seen_at": seen(99)}, Pass(BACK, BEYOND, None),
         {"seen_at": seen(99), "is_up_to_date": True}),
        # a pass that was resumed, or that ended before the bookmark, shows nothing
        ({"seen_at": seen(99)}, Pass(BACK, B, B, last_id="12x3"), {"seen_at": seen(99)}),
        ({"seen_at": seen(99)}, Pass(BACK, BACK, BACK), {"seen_at": seen(99)}),
        ({"seen_at": seen(99), "is_up_to_date": True}, Pass(BACK, BACK, BACK),
         {"seen_at": seen(99), "is_up_to_date": True}),
    ],
)  # fmt: skip
def test_complete_pass_moves_the_bookmark_or_settles_it(before, done, after):
    at_b = {"bookmark": "2026-06-01T10:00:00+00:00", "wire": B}
    moved = {
        "bookmark": "2026-06-10T10:00:00+00:00",
        "wire": N,
        "seen_at": BEGAN.isoformat(),
        "is_up_to_date": False,
    }
    kept = {} if "bookmark" in before else at_b
    checkpoint = Checkpoint(**{**kept, **before}, current=done)
    expected = Checkpoint(**(moved if after == "moved" else {**kept, **after}))
    assert planner().complete(checkpoint, done, BEGAN) == expected


@pytest.mark.parametrize(("lookback", "age", "is_up_to_date"), [(0, 0, False), (0, 1, True)])
def test_bookmark_is_settled_after_a_second_at_least(lookback, age, is_up_to_date):
    checkpoint = Checkpoint(bookmark="2026-06-01T10:00:00+00:00", wire=B, seen_at=seen(age))
    done = planner(lookback=lookback).complete(checkpoint, Pass(B, B, B), BEGAN)
    assert done.is_up_to_date is is_up_to_date


def test_bookmark_in_an_hour_that_comes_twice_is_never_settled():
    wire = "2025-10-26 01:30:00"
    checkpoint = Checkpoint(bookmark="2025-10-26T01:30:00+01:00", wire=wire, seen_at=seen(9999))
    done = planner(zone="Europe/London").complete(checkpoint, Pass(wire, wire, wire), BEGAN)
    assert done.is_up_to_date is False


@pytest.mark.parametrize(
    ("current", "whole"),
    [
        (None, Pass()),
        (Pass(last_id="12x3"), Pass(last_id="12x3")),
        (Pass(BACK, B, B, last_id="12x3"), Pass()),
    ],
)
def test_full_reading_resumes_only_a_full_reading(current, whole):
    assert planner().whole(Checkpoint(current=current)) == whole
