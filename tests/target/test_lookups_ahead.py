"""Records are looked up ahead of the writes, and yet each sees what those before it wrote."""

from __future__ import annotations

import random

import pytest

from tests.target.running import empty, load, matched, messages, write_requests

STREAMS = matched("Contacts", "cf_853")
BATCH = 200
"""Two look-ups: while the records of the older are written, the younger is under way."""


def person(key, name, **more):
    return {"cf_853": key, "lastname": name, **more}


def upsert(sandbox, records, **more):
    more = {"streams": STREAMS, "batch_size_rows": BATCH, **more}
    return load(sandbox, messages("Contacts", *records), **more)


def names(sandbox):
    return sorted((row["cf_853"], row["lastname"]) for row in sandbox.rows("Contacts"))


@pytest.mark.parametrize("batch", [1, 98, 99, 100, 197, 198, 199, 396, 400, 1000])
def test_records_have_a_result_whatever_the_batch_size(sandbox, batch):
    records = [person(f"{n}", f"Name {n}") for n in range(396)]
    for record in records:
        sandbox.insert("Contacts", record)
    assert upsert(sandbox, records, batch_size_rows=batch).tally == {"unchanged": 396}
    assert sandbox.count("Contacts") == 396


def test_unchanged_record_costs_a_hundredth_of_a_request(sandbox):
    records = [person(f"{n}", f"Name {n}") for n in range(990)]
    for record in records:
        sandbox.insert("Contacts", record)
    assert upsert(sandbox, records).tally == {"unchanged": 990}
    assert len(sandbox.requests.of("query")) == 10
    assert write_requests(sandbox) == []


def test_new_records_cost_one_create_each(sandbox):
    upsert(sandbox, [person(f"{n}", "New") for n in range(198)])
    asked = [request.operation for request in sandbox.requests]
    assert asked.count("create") == 198
    # Two pages, two counts that prove them, the newest record, of which a count proves that there
    # is none, one page that shows that the first new record is found again, and two pages that
    # show nothing was created twice.
    assert asked.count("query") == 9
    assert asked.count("describe") == 1


def test_record_created_meanwhile_is_not_created_again(any_sandbox):
    records = [person(f"{n % 100}", f"Name {n}") for n in range(300)]
    run = upsert(any_sandbox, records)
    assert run.tally == {"created": 100, "updated": 200}
    assert names(any_sandbox) == sorted((f"{n}", f"Name {200 + n}") for n in range(100))


def test_record_deleted_meanwhile_is_created_again(sandbox):
    upsert(sandbox, [person(f"{n}", "Old") for n in range(100)])
    gone = [person(f"{n}", "Old", _sdc_deleted_at="2026-01-01T00:00:00Z") for n in range(100)]
    back = [person(f"{n}", "New") for n in range(100)]
    run = upsert(sandbox, [*gone, *back], hard_delete=True)
    assert run.tally == {"deleted": 100, "created": 100}
    assert names(sandbox) == sorted((f"{n}", "New") for n in range(100))


def test_key_that_moved_meanwhile_is_found(sandbox):
    """The older half gives the keys of some records to others, which the younger half means."""
    ids = [sandbox.insert("Contacts", person(f"a{n}", "Old")) for n in range(100)]
    moved = [person(f"b{n}", "Moved", id=id_) for n, id_ in enumerate(ids)]
    by_key = [person(f"b{n}", "New", id=None) for n in range(100)]
    once = [person(f"a{n}", "Another", id=None) for n in range(100)]
    run = upsert(sandbox, [*moved, *by_key, *once])
    assert run.tally == {"updated": 200, "created": 100}
    expected = [
        *((f"b{n}", "New") for n in range(100)),
        *((f"a{n}", "Another") for n in range(100)),
    ]
    assert names(sandbox) == sorted(expected)


def test_key_that_the_server_cut_meanwhile_is_not_created_twice(sandbox):
    """It stands last in the older half."""
    long, others = "k" * 300, [person(f"{n}", "Other") for n in range(197)]
    size = sandbox.instance.tables["Contacts"].columns["cf_853"].field.size
    again = [person(long[:size], "Cut") for _ in range(250)]
    run = upsert(sandbox, [*others, person(long, "Cut"), *again], max_rejects=1)
    assert run.codes == ["KEY_ALTERED"]
    assert [name for _, name in names(sandbox)].count("Cut") == 1


def test_batches_leave_the_same_records_as_one_at_a_time():
    """Ids, keys that move, and deletions."""
    left = []
    for batch in (1, BATCH):
        with empty() as sandbox:
            records = list(adventures(sandbox, random.Random(0)))
            run = upsert(sandbox, records, batch_size_rows=batch, hard_delete=True)
            left.append((names(sandbox), run.tally))
    assert left[0] == left[1]


def adventures(sandbox, dice):
    """Records that mean each other: known by an old key or a new one, by id, deleted and back."""
    keys = [f"k{n}" for n in range(30)]
    ids = [sandbox.insert("Contacts", person(key, "Old")) for key in keys[:15]]
    for n in range(230):
        record = person(dice.choice(keys), f"Name {n}", id=None, _sdc_deleted_at=None)
        fate = dice.random()
        if fate < 0.1:
            record["_sdc_deleted_at"] = "2026-01-01T00:00:00Z"
        elif fate < 0.3:
            record |= {"id": dice.choice(ids), "cf_853": f"moved{n}"}
            keys.append(record["cf_853"])
        yield record


def test_dry_run_of_many_records_reports_what_the_run_does(sandbox):
    records = [person(f"{n % 125}", f"Name {n % 150}") for n in range(300)]
    dry = upsert(sandbox, records, dry_run=True)
    assert sandbox.count("Contacts") == 0
    assert dry.tally == upsert(sandbox, records).tally
