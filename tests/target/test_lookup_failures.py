"""One bad record costs one record: the look-up that fails is divided until it stands alone."""

from __future__ import annotations

from math import log2

import pytest

from kafinea.dividing import divided
from kafinea.errors import Unavailable
from tests.target.running import empty, load, matched, messages

BY_KEY = matched("Contacts", "cf_853")
REFUSAL = '{{"success":false,"error":{{"message":"no","code":"{}"}}}}'
FAILURES = {
    "an empty 500": ({"kind": "status", "status": 500}, "UNAVAILABLE"),
    "an empty answer": ({"kind": "status", "status": 200}, "UNAVAILABLE"),
    "a page of HTML": ({"kind": "html"}, "UNAVAILABLE"),
    "JSON that ends too early": ({"kind": "truncate"}, "UNAVAILABLE"),
    "another kind of JSON": ({"kind": "status", "status": 200, "body": '"no"'}, "UNAVAILABLE"),
    "an address that is too long": ({"kind": "status", "status": 414}, "414"),
    **{
        code: ({"kind": "status", "status": 200, "body": REFUSAL.format(code)}, code)
        for code in (
            *("DATABASE_QUERY_ERROR", "INVALID_ID_ATTRIBUTE"),
            *("INTERNAL_SERVER_ERROR", "QUERY_SYNTAX_ERROR"),
        )
    },
}
BATCH = 198
MOST = 2 * log2(99)
"""The requests more that one bad record of a look-up of 99 keys may cost."""


def upsert(sandbox, records, streams=BY_KEY, **more):
    lines = messages("Contacts", *records)
    return load(sandbox, lines, streams=streams, **{"max_rejects": -1, **more})


def person(n, **values):
    return {"cf_853": f"K-{n:03}", "lastname": "Same", **values}


def people(sandbox, count=BATCH):
    return [sandbox.insert("Contacts", person(n)) for n in range(count)]


def number(wire_id):
    return int(wire_id.partition("x")[2])


def reads(sandbox):
    asked = [request.operation for request in sandbox.requests]
    return asked.count("query") + asked.count("retrieve") + asked.count("query_related")


# What is looked up by its key


@pytest.mark.parametrize(
    ("name", "bad"),
    [*((name, 50) for name in FAILURES), *(("an empty 500", bad) for bad in (0, 98, 99, 197))],
)
def test_key_at_which_the_server_fails_rejects_one_record(sandbox, name, bad):
    people(sandbox)
    fault, code = FAILURES[name]
    sandbox.faults.add(operation="query", contains=f"'K-{bad:03}'", times=None, **fault)
    run = upsert(sandbox, [person(n) for n in range(BATCH)])
    assert run.tally == {"unchanged": BATCH - 1, "rejected": 1}
    assert [line["key"]["cf_853"] for line in run.outcomes if "code" in line] == [f"K-{bad:03}"]
    assert run.codes == [code]
    assert reads(sandbox) <= 2 + 1 + MOST  # both look-ups, the second try, and the halves


@pytest.mark.parametrize("dialect", ["kafinea", "stock", "frevo", "legacy"])
def test_record_larger_than_any_answer_rejects_one_record(dialect):
    with empty(dialect=dialect) as probe:
        first = number(people(probe, 1)[0])
    bad = [first + 7, first + 150]
    with empty(dialect=dialect, unencodable={"Contacts": bad}) as sandbox:
        ids = people(sandbox)
        run = upsert(sandbox, [{**person(n), "phone": "1"} for n in range(BATCH)])
        assert run.tally == {"updated": BATCH - 2, "rejected": 2}
        assert set(run.codes) == {"UNAVAILABLE"}
        phones = {row["id"]: row["phone"] for row in sandbox.rows("Contacts")}
        assert {one for one in ids if phones[one] != "1"} == {ids[7], ids[150]}


def test_bad_records_among_two_thousand_reject_two_records():
    with empty() as probe:
        first = number(people(probe, 1)[0])
    with empty(unencodable={"Contacts": [first + 3, first + 1500]}) as sandbox:
        people(sandbox, 2000)
        run = upsert(sandbox, [person(n) for n in range(2000)])
        assert run.tally == {"unchanged": 1998, "rejected": 2}
        assert reads(sandbox) <= 21 + 2 * (1 + MOST)


@pytest.mark.parametrize("count", [1, 2, 3, 40, 198])
def test_new_records_are_created_beside_a_bad_one(sandbox, count):
    fault = {"kind": "status", "status": 500, "times": None}
    sandbox.faults.add(operation="query", contains="'K-000'", **fault)
    run = upsert(sandbox, [person(n) for n in range(count)])
    assert run.tally == {k: v for k, v in {"created": count - 1, "rejected": 1}.items() if v}
    assert sandbox.count("Contacts") == count - 1


def test_key_that_the_server_cannot_count_rejects_one_record(sandbox):
    """The page of a query that fails in SQL is empty, and so is its count."""
    sandbox.faults.add("empty", operation="query", contains="'K-007'", times=None)
    run = upsert(sandbox, [person(n) for n in range(50)])
    assert run.tally == {"created": 49, "rejected": 1}
    assert run.of("K-007")[0]["code"] == "UNAVAILABLE"


def test_key_of_many_records_that_cannot_be_counted_rejects_its_record(sandbox):
    """A page is full, so there may be more; and no key is left to read them for."""
    people(sandbox, 100)
    counts = "count(*) FROM Contacts WHERE lastname"
    sandbox.faults.add("status", operation="query", contains=counts, status=500, times=None)
    run = upsert(sandbox, [{"lastname": "Same"}], matched("Contacts", "lastname"))
    assert run.codes == ["UNAVAILABLE"]


@pytest.mark.parametrize(("times", "end"), [(1, "created"), (None, "UNAVAILABLE")])
def test_record_that_the_database_may_distinguish_is_not_taken_for_another(times, end):
    """One field of a key is looked up; then the database says what it takes for equal in all."""
    with empty(collation="binary") as sandbox:
        sandbox.insert("Contacts", {"lastname": "Roux", "firstname": "ANNA", "title": "stays"})
        both = "lastname = 'Roux' AND firstname = 'Anna'"
        sandbox.faults.add("status", operation="query", contains=both, status=500, times=times)
        record = {"lastname": "Roux", "firstname": "Anna", "title": "new"}
        run = upsert(sandbox, [record], matched("Contacts", "lastname", "firstname"))
        assert run.only.get("code", run.only["outcome"]) == end
        titles = [row["title"] for row in sandbox.rows("Contacts")]
        assert titles == (["stays", "new"] if end == "created" else ["stays"])


def test_server_outage_rejects_no_record(sandbox):
    people(sandbox, 20)
    sandbox.faults.add("status", operation="query", status=500, nth=1, times=None)
    sandbox.faults.add("status", operation="listtypes", status=500, nth=2, times=None)
    run = upsert(sandbox, [person(n) for n in range(20)], check=False)
    assert run.code == 1
    assert "Traceback" not in run.stderr
    assert "rejected" not in run.tally


def test_transient_fault_rejects_no_record(sandbox):
    people(sandbox)
    sandbox.faults.add("status", operation="query", status=500, times=3)
    run = upsert(sandbox, [person(n) for n in range(BATCH)])
    assert run.tally == {"unchanged": BATCH}


def test_lookup_ahead_that_fails_rejects_one_record(sandbox):
    """While the older half of a batch is settled, the younger one is looked up."""
    people(sandbox, 400)
    sandbox.faults.add("status", operation="query", contains="'K-350'", status=500, times=None)
    records = [{**person(n), "phone": "1"} for n in range(400)]
    run = upsert(sandbox, records, batch_size_rows=200)
    assert run.tally == {"updated": 399, "rejected": 1}
    assert run.of("K-350")[0]["code"] == "UNAVAILABLE"


@pytest.mark.parametrize("by", ["id", "key"])
def test_record_known_by_id_is_not_looked_up_otherwise(sandbox, by):
    ids = people(sandbox, 30)
    bad = f"'{ids[3]}'" if by == "id" else "'K-003'"
    sandbox.faults.add("status", operation="query", contains=bad, status=500, times=None)
    records = [person(n, phone="1", **({"id": ids[n]} if by == "id" else {})) for n in range(30)]
    run = upsert(sandbox, records)
    assert run.tally == {"updated": 29, "rejected": 1}


# What else is looked up


def test_reference_at_which_the_server_fails_rejects_the_records_that_name_it(sandbox):
    for n in range(60):
        sandbox.insert("Accounts", {"accountname": f"Company {n}"})
    sandbox.faults.add("status", operation="query", contains="'Company 7'", status=500, times=None)
    to_account = {"account_id": {"module": "Accounts", "match_on": "accountname"}}
    records = [person(n, account_id=f"Company {n % 60}") for n in range(120)]
    run = upsert(sandbox, records, streams=matched("Contacts", "cf_853", references=to_account))
    assert run.tally == {"created": 118, "rejected": 2}
    assert set(run.codes) == {"UNAVAILABLE"}
    assert all("account_id" in line["message"] for line in run.outcomes if "code" in line)


def test_reference_by_id_that_fails_rejects_the_records_that_name_it(sandbox):
    ids = [sandbox.insert("Accounts", {"accountname": f"Company {n}"}) for n in range(60)]
    sandbox.faults.add("status", operation="query", contains=f"'{ids[7]}'", status=500, times=None)
    run = upsert(sandbox, [person(n, account_id=ids[n % 60]) for n in range(120)])
    assert run.tally == {"created": 118, "rejected": 2}
    assert set(run.codes) == {"UNAVAILABLE"}


def quote(sandbox, n, account, product):
    id_ = sandbox.insert(
        "Quotes", {"subject": f"Q-{n}", "quotestage": "Created", "account_id": account}
    )
    line = {"parent_id": id_, "productid": product, "sequence_no": 1, "quantity": 1}
    sandbox.insert("LineItem", {**line, "listprice": 10})
    return id_


def quotes(sandbox, count=20):
    account = sandbox.insert("Accounts", {"accountname": "ACME"})
    product = sandbox.insert("Products", {"productname": "Desk", "unit_price": "10"})
    ids = [quote(sandbox, n, account, product) for n in range(count)]
    lines = [{"productid": product, "quantity": 1, "listprice": 10}]
    return ids, [{"subject": f"Q-{n}", "LineItems": lines} for n in range(count)]


def test_lines_at_which_the_server_fails_reject_one_document(sandbox):
    ids, records = quotes(sandbox)
    sandbox.faults.add("status", operation="query", contains=f"'{ids[5]}'", status=500, times=None)
    run = load(
        sandbox, messages("Quotes", *records), streams=matched("Quotes", "subject"), max_rejects=-1
    )
    assert run.of("Q-5")[0]["code"] == "UNAVAILABLE"
    assert [line["key"]["subject"] for line in run.outcomes if "code" in line] == ["Q-5"]


def test_document_that_cannot_be_retrieved_is_rejected_only(sandbox):
    """The discount of a head stands in no query."""
    ids, records = quotes(sandbox)
    for record in records:
        record["hdnDiscountAmount"] = "0"
    sandbox.faults.add("status", operation="retrieve", contains=ids[5], status=500, times=None)
    run = load(
        sandbox, messages("Quotes", *records), streams=matched("Quotes", "subject"), max_rejects=-1
    )
    assert run.of("Q-5")[0]["code"] == "UNAVAILABLE"
    assert [line["key"]["subject"] for line in run.outcomes if "code" in line] == ["Q-5"]
    asked = [r for r in sandbox.requests.of("retrieve") if r.params["id"] == ids[5]]
    assert len(asked) <= 3


@pytest.mark.parametrize("dialect", ["kafinea", "stock", "frevo"])
def test_pair_at_which_the_server_fails_rejects_one_pair(dialect):
    with empty(dialect=dialect) as sandbox:
        fair = sandbox.insert("Campaigns", {"campaignname": "Fair"})
        ids = people(sandbox, 80)
        fault = {"kind": "status", "status": 500, "times": None}
        sandbox.faults.add(operation="query_related", contains=f"'{ids[7]}'", **fault)
        pairs = [{"source_id": fair, "related_id": one} for one in ids]
        streams = {"visits": {"module": "Campaigns", "related": "Contacts"}}
        run = load(sandbox, messages("visits", *pairs), streams=streams, max_rejects=-1)
        assert run.tally == {"created": 79, "rejected": 1}
        assert run.of(ids[7])[0]["code"] == "UNAVAILABLE"


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({"status": 500}, "UNAVAILABLE"),
        ({"status": 200, "body": REFUSAL.format("ACCESS_DENIED")}, "ACCESS_DENIED"),
    ],
)
def test_list_that_fails_as_a_whole_is_not_divided(sandbox, fault, code):
    fair = sandbox.insert("Campaigns", {"campaignname": "Fair"})
    other = sandbox.insert("Campaigns", {"campaignname": "Other"})
    ids = people(sandbox, 80)
    sandbox.faults.add("status", operation="query_related", contains=fair, times=None, **fault)
    pairs = [{"source_id": fair, "related_id": one} for one in ids]
    pairs.append({"source_id": other, "related_id": ids[0]})
    streams = {"visits": {"module": "Campaigns", "related": "Contacts"}}
    run = load(sandbox, messages("visits", *pairs), streams=streams, max_rejects=-1)
    assert (run.codes, run.tally["created"]) == ([code] * 80, 1)
    assert len(sandbox.requests.of("query_related")) <= 4 + 2


# What seems to be there and cannot be read


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("size", [6, 300])
def test_concurrent_writer_makes_no_key_unreadable(sandbox, times, size):
    """It is counted, and gone when the page is asked for once more; twice, ahead of the writes."""
    body = '{"success":true,"result":[{"count":"9999"}]}'
    one = '{"success":true,"result":[{"count":"1"}]}'
    counts = "SELECT count(*) FROM Contacts WHERE cf_853 IN ("
    sandbox.faults.add("status", operation="query", contains=counts, status=200, body=body)
    sandbox.faults.add(
        "status", operation="query", contains=counts, status=200, body=one, nth=2, times=2 * times
    )
    run = upsert(sandbox, [person(n) for n in range(size)])
    assert run.tally == {"created": size}


def test_unreadable_key_is_remembered_for_one_lookup_only():
    """Another batch asks again, and what the user may read by then is found."""
    with empty() as probe:
        hidden = number(people(probe, 1)[0])
    with empty(hidden={"Contacts": [hidden]}) as sandbox:
        people(sandbox, 2)
        run = upsert(sandbox, [person(0), person(1)])
        assert run.codes == ["NOT_READABLE"]
        assert run.tally == {"rejected": 1, "unchanged": 1}


# Dividing


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 13, 50, 99, 100])
def test_bad_item_is_found_with_twice_the_logarithm_of_requests(count):
    for bad in range(count):
        asked = []

        def ask(items, _, bad=bad, asked=asked):
            asked.append(items)
            if bad in items:
                raise Unavailable("no")
            return sum(items)

        answers, failures = divided(range(count), ask, lambda: None)
        assert set(failures) == {bad}
        assert sum(answer for _, answer in answers) == sum(range(count)) - bad
        assert len(asked) - 1 <= max(1, 2 * log2(count))
