"""`match_on` with several keys: the first that finds exactly one record decides."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kafinea import Client
from kafinea.load import Load
from tests.target.running import empty, load, messages, write_requests
from tests.target.test_duplicate_creation import another_writer

KEYS = (("cf_853",), ("email",), ("title", "phone"))
FIELDS = ("cf_853", "email", "title", "phone")
STREAMS = {"Contacts": {"match_on": KEYS}}


def upsert(sandbox, *records, **more):
    records = [{"lastname": "New", **record} for record in records]
    return load(sandbox, messages("Contacts", *records), **{"streams": STREAMS, **more})


def contact(sandbox, **values):
    return sandbox.insert("Contacts", {"lastname": "Old", **values})


def lookups(sandbox, field):
    queries = [request.params["query"] for request in sandbox.requests.of("query")]
    return [query for query in queries if f" WHERE {field} IN" in query and "count(" not in query]


def test_record_is_matched_by_the_first_key_that_finds_one(any_sandbox):
    ids = [
        contact(any_sandbox, cf_853="S-1", email="x@a.example"),
        contact(any_sandbox, email="B@B.example"),
        contact(any_sandbox, title="Baker", phone="3"),
    ]
    run = upsert(
        any_sandbox,
        {"cf_853": "s-1", "email": "a@b.example"},
        {"cf_853": "S-2", "email": "b@b.example", "title": "Smith", "phone": "3"},
        {"cf_853": None, "email": "", "title": "Baker", "phone": "3"},
        {"cf_853": "S-4", "email": "d@d.example", "title": "Baker", "phone": None},
    )
    assert run.tally == {"updated": 3, "created": 1}
    matched_on = {line["id"]: line.get("matched_on") for line in run.outcomes}
    assert [matched_on.pop(one) for one in ids] == [["cf_853"], ["email"], ["title", "phone"]]
    assert list(matched_on.values()) == [None]


@pytest.mark.parametrize("match_on", ["cf_853", ["cf_853"], [["cf_853"]]])
def test_outcome_of_a_stream_with_one_key_does_not_repeat_it(sandbox, match_on):
    contact(sandbox, cf_853="S-1")
    run = upsert(sandbox, {"cf_853": "S-1"}, streams={"Contacts": {"match_on": match_on}})
    assert run.tally == {"updated": 1}
    assert "matched_on" not in run.only


def test_id_comes_before_all_keys(sandbox):
    by_id, by_key = contact(sandbox, cf_853="S-1"), contact(sandbox, cf_853="S-2")
    run = upsert(sandbox, {"id": by_id, "email": "a@a.example"}, {"cf_853": "S-2"})
    assert [(line["id"], line["matched_on"]) for line in run.outcomes] == [
        (by_id, ["id"]),
        (by_key, ["cf_853"]),
    ]


@pytest.mark.parametrize(
    ("email", "expected"),
    [
        ("one@a.example", ("updated", ["email"], None)),
        ("none@a.example", ("rejected", None, "AMBIGUOUS_KEY")),
        ("two@a.example", ("rejected", None, "AMBIGUOUS_KEY")),
        (None, ("rejected", None, "AMBIGUOUS_KEY")),
    ],
)
def test_key_that_finds_several_leaves_it_to_the_next(any_sandbox, email, expected):
    twins = [contact(any_sandbox, cf_853="S-1") for _ in range(2)]
    contact(any_sandbox, email="one@a.example")
    others = [contact(any_sandbox, email="two@a.example") for _ in range(2)]
    run = upsert(any_sandbox, {"cf_853": "S-1", "email": email})
    line = run.only
    assert (line["outcome"], line.get("matched_on"), line.get("code")) == expected
    assert any_sandbox.count("Contacts") == 5
    if line["outcome"] == "rejected":
        named = twins + (others if email == "two@a.example" else [])
        assert all(one in line["message"] for one in named)
        assert "cf_853: several records have this key" in line["message"]


def test_record_without_any_complete_key_is_rejected(sandbox):
    run = upsert(sandbox, {"title": "Baker", "cf_853": " "})
    assert run.codes == ["NO_KEY"]
    assert "cf_853, email, title + phone (`match_on`)" in run.only["message"]


@pytest.mark.parametrize(
    ("number", "zero"), [("cf_857", 0), ("cf_855", "-0.00"), ("cf_873", False)]
)
def test_zero_is_no_key_because_records_without_a_value_have_it(any_sandbox, number, zero):
    contact(any_sandbox, email="a@a.example")
    streams = {"Contacts": {"match_on": [[number], ["email"]]}}
    records = [{number: zero}, {number: zero, "email": "b@a.example"}]
    run = upsert(any_sandbox, *records, streams=streams, max_rejects=-1)
    assert (run.codes, run.tally) == (["NO_KEY"], {"rejected": 1, "created": 1})
    assert [row["lastname"] for row in any_sandbox.rows("Contacts")] == ["Old", "New"]


def test_zero_counts_in_a_key_of_several_fields(any_sandbox):
    first = contact(any_sandbox, cf_853="order", cf_857="0")
    contact(any_sandbox, cf_853="order", cf_857="1")
    streams = {"Contacts": {"match_on": ["cf_853", "cf_857"]}}
    run = upsert(any_sandbox, {"cf_853": "order", "cf_857": 0}, streams=streams)
    assert (run.only["outcome"], run.only["id"]) == ("updated", first)


def test_only_what_a_key_leaves_open_is_looked_up_by_the_next(sandbox):
    records = [
        {"cf_853": f"S-{n}", "email": f"{n}@a.example", "title": "t", "phone": f"{n}"}
        for n in range(198)
    ]
    for record in records[:99]:
        contact(sandbox, **record)
    for record in records[99:]:
        contact(sandbox, **{**record, "cf_853": "", "title": ""})
    sandbox.requests.clear()
    assert upsert(sandbox, *records[:99], dry_run=True).tally == {"updated": 99}
    assert [len(lookups(sandbox, field)) for field in ("cf_853", "email", "phone")] == [1, 0, 0]
    sandbox.requests.clear()
    assert upsert(sandbox, *records[99:], dry_run=True).tally == {"updated": 99}
    assert [len(lookups(sandbox, field)) for field in ("cf_853", "email", "phone")] == [1, 1, 0]


def test_creations_are_confirmed_by_each_key_in_bulk(sandbox):
    records = [
        {"cf_853": f"S-{n}", "email": f"{n}@a.example", "title": "t", "phone": f"{n}"}
        for n in range(99)
    ]
    assert upsert(sandbox, *records).tally == {"created": 99}
    # A page before, one for the first new record, and one afterwards; counts prove those that
    # found nothing. And the newest record, of which a count proves that there is none.
    assert len(sandbox.requests.of("query")) == 4 * 3 + 2
    sandbox.requests.clear()
    assert upsert(sandbox, *records).tally == {"unchanged": 99}
    assert (len(sandbox.requests.of("query")), write_requests(sandbox)) == (1, [])


@pytest.mark.parametrize("theirs", [{"cf_853": "S-1"}, {"email": "a@a.example", "cf_853": "S-2"}])
def test_record_created_by_another_load_under_any_key_is_updated(any_sandbox, theirs):
    ours = {"cf_853": "S-1", "email": "a@a.example", "title": "Ours"}
    with another_writer(any_sandbox, lambda: contact(any_sandbox, **theirs)):
        run = upsert(any_sandbox, ours)
    (row,) = any_sandbox.rows("Contacts")
    assert {name: row[name] for name in ours} == ours
    assert (run.only["outcome"], run.only["id"]) == ("updated", row["id"])
    assert run.only["matched_on"] == (["cf_853"] if theirs["cf_853"] == "S-1" else ["email"])


@pytest.mark.parametrize("fault", ["reset_after", "fatal_after"])
@pytest.mark.parametrize("key", [None, "cut" * 200])
def test_creation_whose_response_is_lost_is_found_by_the_key_that_is_left(sandbox, fault, key):
    """The record has no first key, or the server cuts it."""
    sandbox.faults.add(fault, operation="create", times=1)
    streams = {"Contacts": {"match_on": KEYS, "allow_changes": "cf_853"}}
    run = upsert(sandbox, {"cf_853": key, "email": "a@a.example"}, streams=streams)
    assert run.tally == {"created": 1}
    assert sandbox.count("Contacts") == 1


def test_key_that_the_server_alters_matters_only_where_no_other_is_left(sandbox):
    size = sandbox.instance.tables["Contacts"].columns["cf_853"].field.size
    streams = {"Contacts": {"match_on": KEYS, "allow_changes": "cf_853"}}
    run = upsert(
        sandbox,
        {"cf_853": "a" * (size + 1), "email": "a@a.example"},
        {"cf_853": "b" * (size + 1)},
        streams=streams,
        max_rejects=1,
    )
    assert run.of("a@a.example")[0]["outcome"] == "created"
    assert run.codes == ["KEY_ALTERED"]
    assert sandbox.count("Contacts") == 1


def test_unreadable_record_of_an_earlier_key_is_not_passed_over():
    """Otherwise the record of another key would be overwritten, or a second one be created."""
    with empty(hidden={"Contacts": [1]}) as sandbox:
        contact(sandbox, cf_853="S-1")
        contact(sandbox, email="a@a.example")
        run = upsert(sandbox, {"cf_853": "S-1", "email": "a@a.example"})
        assert run.codes == ["NOT_READABLE"]
        assert {row["lastname"] for row in sandbox.rows("Contacts")} == {"Old"}


def test_failed_look_up_by_an_earlier_key_is_not_passed_over(sandbox):
    old = contact(sandbox, email="a@a.example")
    sandbox.faults.add("status", operation="query", contains="S-1", status=500, times=None)
    run = upsert(sandbox, {"cf_853": "S-1", "email": "a@a.example"})
    assert run.codes == ["UNAVAILABLE"]
    assert [(row["id"], row["lastname"]) for row in sandbox.rows("Contacts")] == [(old, "Old")]


# A slow implementation that says the same


def expected(stored, records):
    """What becomes of records that are loaded one after the other; `stored` as it is then."""
    results = []
    for record in records:
        found, is_ambiguous, has_key = None, False, False
        for key in KEYS:
            values = [record.get(name) for name in key]
            if not all(values):
                continue
            has_key = True
            rows = [row for row in stored if [row.get(name) for name in key] == values]
            if len(rows) == 1:
                found = (rows[0], key)
                break
            is_ambiguous |= len(rows) > 1
        if found:
            row, key = found
            is_same = {**row, **record} == row
            row.update(record)
            results.append(("unchanged" if is_same else "updated", key))
        elif is_ambiguous or not has_key:
            results.append(("rejected", "AMBIGUOUS_KEY" if is_ambiguous else "NO_KEY"))
        else:
            stored.append({**dict.fromkeys(FIELDS), **record})
            results.append(("created", ()))
    return results


def result_of(result):
    if result.rejection:
        return result.status.value, result.rejection.code
    return result.status.value, result.matched_on


def values_of(rows):
    return sorted([row[name] or "" for name in FIELDS] for row in rows)


SOME = st.fixed_dictionaries(
    {}, optional={name: st.sampled_from([None, "a1", "b2"]) for name in FIELDS}
)


@pytest.fixture(scope="module")
def shared():
    with empty() as sandbox:
        yield sandbox


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stored=st.lists(SOME, max_size=4), records=st.lists(SOME, min_size=1, max_size=8))
def test_records_of_a_batch_get_what_they_get_one_after_the_other(shared, stored, records):
    for row in shared.rows("Contacts"):
        shared.remove("Contacts", row["id"])
    there = [{**dict.fromkeys(FIELDS), **row} for row in stored]
    for row in there:
        contact(shared, **{name: value or "" for name, value in row.items()})
    client = Client(shared.url, shared.username, shared.access_key)
    records = [{**record, "lastname": "Old"} for record in records]
    for row in there:
        row["lastname"] = "Old"
    with client, Load(client, "Contacts", match_on=KEYS) as loading:
        results = [result_of(result) for result in loading(records)]
    assert results == expected(there, records)
    assert values_of(shared.rows("Contacts")) == values_of(there)


def test_records_looked_up_ahead_get_what_they_get_one_after_the_other(sandbox):
    choice = random.Random(21)
    records = [
        {
            name: choice.choice([None, *(f"{name[0]}{n}" for n in range(40))])
            for name in choice.sample(FIELDS, choice.randint(1, 4))
        }
        | {"lastname": "Old"}
        for _ in range(300)
    ]
    there = []
    lines = messages("Contacts", *records)
    run = load(sandbox, lines, streams=STREAMS, batch_size_rows=200, max_rejects=-1)
    wanted = expected(there, records)
    assert values_of(sandbox.rows("Contacts")) == values_of(there)
    counted = sorted((line["outcome"], line.get("matched_on", [])) for line in run.outcomes)
    assert counted == sorted(
        (outcome, [] if outcome == "rejected" else list(key)) for outcome, key in wanted
    )
