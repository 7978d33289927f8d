"""Whatever a server answers while records are loaded: an outcome for each, or one clear line.

Each case lets one answer be odd in one place, chosen by the number of the case; so a failure can be
run again.
"""

from __future__ import annotations

import importlib
import json
import random
from collections import Counter
from itertools import count

import pytest

from kafinea.load.lookup.finder import Finder
from kafinea.load.stream.matcher import Matcher
from tests.small_server import Raw, SmallServer, serving
from tests.target.running import load, matched, messages

CASES = 12  # of each operation
OPERATIONS = ["create", "update", "revise", "retrieve", "query", "describe", "delete", "listtypes"]
ODD = [
    *("null", "[]", "{}", '""', '"x"', "true", "-1", "0", "5", '"0"', '[["x"]]', '{"id": "12x1"}'),
    *('"12x-5"', '"12x101"', '"12x102"', '"11x101"', '"19x1"', '["12x101"]', '"12x"', '"x101"'),
    *(
        "9" * 5000,
        f'"{"9" * 5000}"',
        f'"12x{"9" * 5000}"',
        "1e99999999",
        '"1e99999999"',
        f"1e{'9' * 20}",
    ),
    *('"NaN"', '"\\u0000"', '"\\ud800"', '"\u0661\u0662x\u0663"', '"0001-01-01 00:00:00"'),
    *('[{"id": "12x101"}, {"id": "12x102"}]', "[null]", '{"0": null}', "[" * 40 + "]" * 40),
]
STREAMS = matched(
    "Contacts", "code", references={"account_id": {"module": "Accounts", "match_on": "user_name"}}
)


def records():
    return [
        {"code": "a", "lastname": "new", "amount": 1.5},
        {"code": "b", "lastname": "new too", "born": "2026-01-01"},
        {"code": "c", "lastname": "changed", "count": 7},
        {"code": "d", "lastname": "same"},
        {"code": "e", "lastname": "gone", "_sdc_deleted_at": "2026-01-01T00:00:00Z"},
        {"code": "f", "description": "changed <too>", "seen": "2026-01-01T00:00:00Z"},
        {"code": "b", "lastname": "twice"},
        {"id": "12x105", "phone": "1"},
    ]


def server_with_records():
    server = SmallServer()
    for code, name in (("c", "C"), ("d", "same"), ("e", "E"), ("f", "F"), ("g", "G")):
        server.insert(code=code, lastname=name)
    return server


def places(value, path=()):
    """All places within an answer."""
    yield path
    if isinstance(value, list):
        value = dict(enumerate(value))
    for key, one in value.items() if isinstance(value, dict) else ():
        yield from places(one, (*path, key))


def changed(result, chance):
    """An answer as JSON, with something odd in one place of it."""
    path = chance.choice(list(places(result)))
    odd = chance.choice([*ODD, None])
    if not path:
        return odd or "null"
    copy = json.loads(json.dumps(result))
    at = copy
    for key in path[:-1]:
        at = at[key]
    if odd is None:
        del at[path[-1]]
    else:
        at[path[-1]] = "ODD PLACE"
    return json.dumps(copy).replace('"ODD PLACE"', odd or "")


def odd(server, operation, chance):
    """Let one answer, or all from one on, of an operation be odd."""
    do, first, always = server.do, chance.choice((0, 0, 0, 1, 2, 4)), chance.random() < 0.5
    seen = Counter()

    def do_oddly(asked, said):
        result = do(asked, said)
        if asked == operation:
            seen[asked] += 1
            if seen[asked] > first + 1 if always else seen[asked] == first + 1:
                body = changed(result, chance)
                raise Raw(200, f'{{"success": true, "result": {body}}}'.encode())
        return result

    server.do = do_oddly


@pytest.mark.parametrize("operation", OPERATIONS)
def test_random_answers_give_a_result_for_each_record_or_one_error(operation):
    for case in range(CASES):
        chance = random.Random(f"{operation} {case}")
        server = server_with_records()
        server.revises = operation != "update"
        odd(server, operation, chance)
        with serving(server):
            where = {"url": server.url, "username": "admin", "access_key": "k" * 16}
            more = {"streams": STREAMS, "hard_delete": True, "max_rejects": -1}
            run = load(None, messages("Contacts", *records()), **where, **more)
        said = f"{operation} {case}\n{run.stderr}"
        assert "Traceback" not in run.stderr, said
        assert len(run.outcomes) <= 8, said
        if len(run.outcomes) < 8:
            assert run.code == 1, said
            assert len(run.errors) == 1, said
        rejected = [one["record"] for one in run.rejects if one["type"] == "RECORD"]
        assert len(rejected) == run.tally.get("rejected", 0), said
        assert "9" * 400 not in run.stderr, said


def broken(*_, **__):
    raise LookupError("a value")


UNFORESEEN = {
    "as it is prepared": ("writing.checks.wire_values", "INTERNAL_ERROR", 0),
    "as it is compared": ("stream.comparer.changed_fields", "INTERNAL_ERROR", 0),
    "before it is sent": ("writing.checks.check_mandatory", "INTERNAL_ERROR", 0),
    "behind a creation": ("writing.record_writer.altered_fields", "UNKNOWN_OUTCOME", 1),
}


@pytest.mark.parametrize(("where", "code", "writes"), UNFORESEEN.values(), ids=UNFORESEEN.keys())
def test_unexpected_error_rejects_its_record_only(monkeypatch, where, code, writes):
    """And says whether the record may have been written."""
    place, _, name = where.rpartition(".")
    module = importlib.import_module(f"kafinea.load.{place}")
    real = getattr(module, name)

    def mistaken(*told, **more):
        return (broken if "UNLUCKY" in repr(told) else real)(*told, **more)

    monkeypatch.setattr(module, name, mistaken)
    server = SmallServer()
    server.insert(code="a", lastname="stored")
    record = {"code": "a" if "comparer" in where else "c"}
    lines = messages("Contacts", {"code": "b", "lastname": "x"}, {**record, "lastname": "UNLUCKY"})
    with serving(server):
        where_to = {"url": server.url, "username": "admin", "access_key": "k" * 16}
        run = load(None, lines, **where_to, streams=matched("Contacts", "code"), max_rejects=1)
    assert "Traceback" not in run.stderr
    assert run.codes == [code]
    assert run.tally == {"created": 1, "rejected": 1}
    (message,) = [one["message"] for one in run.outcomes if "message" in one]
    assert "LookupError, test_unexpected_answers.py, line " in message
    assert "a value" not in message
    assert server.count("create") == 1 + writes


def fails_once_for(several, real):
    """Fail for several records at a time, as often as it is asked."""

    def mistaken(self, told, *more, **named):
        return broken() if len(told) > several else real(self, told, *more, **named)

    return mistaken


def test_failed_check_of_many_creations_is_repeated_for_each(monkeypatch):
    monkeypatch.setattr(Matcher, "ids_by_key", fails_once_for(1, Matcher.ids_by_key))
    server = SmallServer()
    lines = messages("Contacts", *({"code": code, "lastname": "x"} for code in "abc"))
    run = load_small(server, lines)
    assert (run.code, run.tally) == (0, {"created": 3})


def test_failed_check_of_a_creation_reports_an_unknown_result(monkeypatch):
    monkeypatch.setattr(Matcher, "ids_by_key", fails_once_for(0, Matcher.ids_by_key))
    run = load_small(SmallServer(), messages("Contacts", {"code": "a", "lastname": "x"}))
    assert (run.codes, run.only["id"], run.code) == (["UNKNOWN_OUTCOME"], "12x101", 1)


def test_failed_check_of_many_updates_is_repeated_for_each(monkeypatch):
    real = Finder.by_id

    def mistaken(self, module, ids, *more):
        return broken() if len(more and more[0]) > 5 else real(self, module, ids, *more)

    monkeypatch.setattr(Finder, "by_id", mistaken)
    server = server_with_records()
    server.answer = lambda _operation, _stored, sent: sent
    run = load_small(server, messages("Contacts", *({"code": c, "lastname": "x"} for c in "cdf")))
    assert (run.code, run.tally) == (0, {"updated": 3})


def test_failed_lookup_ahead_is_repeated_for_each_record(monkeypatch):
    real = Matcher._look_up
    monkeypatch.setattr(Matcher, "_look_up", fails_once_for(1, real))
    records = [{"code": f"c{n}", "lastname": "x"} for n in range(120)]
    run = load_small(server_with_records(), messages("Contacts", *records), dry_run=True)
    assert run.tally == {"created": 120}


# Answers that say less than they seem to


@pytest.mark.parametrize("revises", [True, False])
def test_update_that_cannot_be_proven_does_not_undo_a_concurrent_change(revises):
    """It is not sent again with the record as it was before."""
    server = SmallServer(revises=revises)
    server.answer = lambda _operation, _stored, sent: sent  # it does not show the record
    done = []

    def meanwhile(operation, _):
        if operation == "query" and server.count("update", "revise") == 6 and not done:
            done.append(operation)
            server.row("12x104").update(phone="theirs", modifiedby="19x5")

    server.before = meanwhile
    for n in range(6):
        server.insert(lastname=f"n{n}", code=f"c{n}", phone=f"{n}")
    run = load_small(
        server,
        messages("Contacts", *({"code": f"c{n}", "lastname": f"new{n}"} for n in range(6))),
        max_sessions=1,  # so that all are read back at once
    )
    assert server.row("12x104")["phone"] == "theirs"
    assert run.codes == ["OTHER_FIELDS_CHANGED"]
    assert server.count("update", "revise") == 6


class _Numbered(str):
    """A message with the number of the request."""

    __slots__ = ()
    numbers = count(4711)

    def format(self, *_):
        return super().format(next(self.numbers))


@pytest.mark.parametrize(
    "message",
    ["Unknown operation {} requested", _Numbered("Unknown operation requested (request {})")],
)
def test_error_of_an_unknown_operation_may_name_it_or_the_request(message):
    """The messages differ then; still, there is no `revise`."""
    server = SmallServer(revises=False)
    server.unknown = message
    server.insert(lastname="old", code="c1")
    run = load_small(server, messages("Contacts", {"code": "c1", "lastname": "new"}))
    assert run.tally == {"updated": 1}


def test_answer_of_a_creation_that_repeats_what_was_sent_proves_nothing():
    server = SmallServer()
    server.store = lambda _, old, sent: old | sent | {"lastname": sent["lastname"].upper()}
    server.answer = lambda _operation, _stored, sent: sent
    run = load_small(
        server, messages("Contacts", *({"code": code, "lastname": "new"} for code in ("c1", "c2")))
    )
    assert run.codes == ["NOT_AS_SENT", "NOT_AS_SENT"]
    assert len(server.rows) == 1


def test_record_that_was_not_asked_for_by_its_id_is_not_taken_for_the_one_that_was():
    server = server_with_records()
    server.shown = lambda operation, row: row if operation != "query" else row | {"id": "12x102"}
    run = load_small(server, messages("Contacts", {"id": "12x101", "lastname": "new"}))
    assert run.codes == ["NOT_READABLE"]
    assert server.count("revise", "update") == 0


def test_rows_without_ids_are_an_error():
    server = server_with_records()
    server.shown = lambda operation, row: {"code": row["code"]} if operation == "query" else row
    run = load_small(server, messages("Contacts", {"code": "c", "lastname": "new"}))
    assert run.code == 1
    assert "query of Contacts: the server's answer contains no ids of records" in (
        run.stderr + "".join(one.get("message", "") for one in run.outcomes)
    )
    assert server.count("create", "revise", "update") == 0


@pytest.mark.parametrize("value", [["."], 1, {}, None])
def test_formats_of_the_user_that_are_not_strings_are_accepted(value):
    server = SmallServer()
    names = ("currency_decimal_separator", "currency_grouping_separator", "conv_rate")
    server.user = {"id": "19x1", "no_of_currency_decimals": value, **dict.fromkeys(names, value)}
    run = load_small(server, messages("Contacts", {"code": "c1", "lastname": "new", "amount": 1.5}))
    assert run.tally == {"created": 1}


def test_server_that_is_busy_for_most_writes_rejects_no_record():
    """Each write is refused four times, and then done."""
    server = SmallServer()
    sent = Counter()

    def before(operation, said):
        element = said.get("element", "{}")
        sent[element] += 1
        if operation in {"create", "revise"} and element != "{}" and sent[element] < 5:
            raise Raw(503, b"no room", Retry_After="0")

    server.before = before
    server.insert(lastname="old", code="c0")
    run = load_small(
        server, messages("Contacts", *({"code": f"c{n}", "lastname": "new"} for n in range(3)))
    )
    assert run.tally == {"updated": 1, "created": 2}
    assert len(server.rows) == 3


def test_records_that_the_run_had_no_time_to_check_are_reported(monkeypatch):
    monkeypatch.setattr("kafinea.retry._FIRST_WAIT", 0.01)
    server = SmallServer()
    server.answer = lambda _operation, _stored, sent: sent

    def before(operation, _):
        if operation in {"query", "retrieve", "listtypes"} and server.count("revise") == 4:
            raise Raw(500)

    server.before = before
    for n in range(4):
        server.insert(lastname="old", code=f"c{n}")
    run = load_small(
        server, messages("Contacts", *({"code": f"c{n}", "lastname": "new"} for n in range(4)))
    )
    assert run.code == 1
    assert "the run ended before 0 created and 3 updated records were checked: 12x" in run.stderr


def load_small(server, lines, **more):
    with serving(server):
        where = {"url": server.url, "username": "admin", "access_key": "k" * 16}
        run = load(None, lines, **where, streams=matched("Contacts", "code"), **more)
    assert "Traceback" not in run.stderr
    return run
