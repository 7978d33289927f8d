"""Which record of Kafinea a record of the stream is: by id, else by `match_on`, else none."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest

from tests.target.running import empty, load, matched, messages, write_requests

BY_KEY = matched("Contacts", "cf_853")


def upsert(sandbox, *records, streams=BY_KEY, **more):
    return load(sandbox, messages("Contacts", *records), streams=streams, **more)


def contact(sandbox, key, **values):
    return sandbox.insert("Contacts", {"lastname": "Old", "cf_853": key, **values})


def stored(sandbox, field="lastname"):
    return {row["id"]: row[field] for row in sandbox.rows("Contacts")}


def lookups(sandbox, text):
    return [r.params["query"] for r in sandbox.requests.of("query") if text in r.params["query"]]


def test_upsert_updates_existing_records_and_creates_others(any_sandbox):
    old = contact(any_sandbox, "A-1")
    run = upsert(
        any_sandbox,
        {"cf_853": "A-1", "lastname": "New"},
        {"cf_853": "A-2", "lastname": "Other"},
    )
    assert run.tally == {"updated": 1, "created": 1}
    (created,) = stored(any_sandbox).keys() - {old}
    assert stored(any_sandbox) == {old: "New", created: "Other"}
    (line,) = run.of("A-1")
    assert {name: value for name, value in line.items() if name not in {"time", "run"}} == (
        {
            "stream": "Contacts",
            "key": {"cf_853": "A-1"},
            "id": old,
            "outcome": "updated",
            "changed": ["lastname"],
        }
    )
    assert run.of("A-2")[0]["id"] == created


def test_second_run_of_the_same_input_sends_no_write(any_sandbox):
    records = [{"cf_853": f"A-{n}", "lastname": f"{n}", "cf_855": n + 0.5} for n in range(5)]
    assert upsert(any_sandbox, *records).tally == {"created": 5}
    any_sandbox.requests.clear()
    assert upsert(any_sandbox, *records).tally == {"unchanged": 5}
    assert write_requests(any_sandbox) == []


def test_id_comes_before_match_on(sandbox):
    by_id, by_key = contact(sandbox, "A-1"), contact(sandbox, "A-2")
    run = upsert(sandbox, {"id": by_id, "cf_853": "A-2", "lastname": "New"})
    assert run.only["key"]["id"] == run.only["id"] == by_id
    assert stored(sandbox) == {by_id: "New", by_key: "Old"}


def test_id_that_is_null_gives_way_to_match_on(sandbox):
    old = contact(sandbox, "A-1")
    run = load(
        sandbox,
        messages(
            "Contacts",
            {"id": None, "cf_853": "A-1", "lastname": "New"},
            {"cf_853": "A-2", "lastname": "No id at all"},
            key=["id"],
        ),
        streams=BY_KEY,
    )
    assert run.of("A-1")[0]["outcome"] == "updated"
    assert run.of("A-2")[0]["outcome"] == "created"
    assert stored(sandbox)[old] == "New"


def test_id_needs_no_setting(any_sandbox):
    old = contact(any_sandbox, "A-1")
    run = upsert(any_sandbox, {"id": old, "lastname": "New"}, streams={})
    assert run.tally == {"updated": 1}
    assert stored(any_sandbox) == {old: "New"}


@pytest.mark.parametrize("which", ["never there", "deleted", "of another module", "no id at all"])
def test_id_that_does_not_exist_is_rejected(sandbox, which):
    there = contact(sandbox, "A-1")
    prefix = there.partition("x")[0]
    ids = {
        "never there": f"{prefix}x999999",
        "deleted": contact(sandbox, "A-2"),
        "of another module": sandbox.insert("Accounts", {"accountname": "ACME"}),
        "no id at all": "garbage",
    }
    sandbox.remove("Contacts", ids["deleted"])
    run = upsert(
        sandbox,
        {"id": ids[which], "lastname": "New"},
        {"id": there, "lastname": "New"},
        streams={},
        max_rejects=-1,
    )
    assert run.codes == ["NOT_FOUND"]
    assert run.tally == {"rejected": 1, "updated": 1}
    assert stored(sandbox) == {there: "New"}


def test_record_without_id_and_match_on_is_rejected(sandbox):
    run = upsert(sandbox, {"lastname": "Whoever"}, streams={})
    assert run.codes == ["NO_KEY"]
    assert sandbox.count("Contacts") == 0


@pytest.mark.parametrize("key", [None, "", "   "], ids=["null", "empty", "blank"])
def test_key_without_a_value_is_no_key(sandbox, key):
    contact(sandbox, "")
    run = upsert(sandbox, {"cf_853": key, "lastname": "Whoever"})
    assert run.codes == ["NO_KEY"]
    assert list(stored(sandbox).values()) == ["Old"]


def test_key_without_one_of_its_parts_is_no_key(sandbox):
    streams = matched("Contacts", "lastname", "firstname")
    assert upsert(sandbox, {"lastname": "Whoever"}, streams=streams).codes == ["NO_KEY"]


def test_id_of_a_deleted_record_gives_way_to_match_on(sandbox):
    gone, old = contact(sandbox, "A-0"), contact(sandbox, "A-1")
    sandbox.remove("Contacts", gone)
    run = upsert(sandbox, {"id": gone, "cf_853": "A-1", "lastname": "New"})
    assert run.only["id"] == old
    assert stored(sandbox) == {old: "New"}


def test_append_only_creates_missing_records_and_keeps_others(any_sandbox):
    old = contact(any_sandbox, "A-1")
    records = [{"cf_853": key, "lastname": "New"} for key in ("A-1", "A-2")]
    run = upsert(any_sandbox, *records, load_method="append-only")
    assert run.of("A-1")[0]["outcome"] == "unchanged"
    assert run.of("A-2")[0]["outcome"] == "created"
    assert stored(any_sandbox)[old] == "Old"
    assert sorted(stored(any_sandbox).values()) == ["New", "Old"]


def test_append_only_without_match_on_creates_every_record(sandbox):
    run = upsert(sandbox, *[{"lastname": "Same"}] * 3, streams={}, load_method="append-only")
    assert run.tally == {"created": 3}
    assert sandbox.count("Contacts") == 3


def test_create_missing_off_updates_existing_records_only(sandbox):
    old = contact(sandbox, "A-1")
    run = upsert(
        sandbox,
        {"cf_853": "A-1", "lastname": "New"},
        {"cf_853": "A-2", "lastname": "New"},
        create_missing=False,
        max_rejects=1,
    )
    assert run.tally == {"updated": 1, "rejected": 1}
    assert run.codes == ["NOT_FOUND"]
    assert stored(sandbox) == {old: "New"}


def test_key_of_several_records_is_rejected_with_their_ids(any_sandbox):
    twins = [contact(any_sandbox, "A-1"), contact(any_sandbox, "A-1")]
    run = upsert(any_sandbox, {"cf_853": "A-1", "lastname": "New"})
    assert run.codes == ["AMBIGUOUS_KEY"]
    assert all(twin in run.only["message"] for twin in twins)
    assert set(stored(any_sandbox).values()) == {"Old"}


def test_keys_with_many_records_each_do_not_hide_other_keys(any_sandbox):
    """A page holds 100 records: the hundred keys of a query may have more than one page."""
    for _ in range(3):
        for n in range(60):
            contact(any_sandbox, f"A-{n}")
    last = contact(any_sandbox, "Z-1")
    keys = [*(f"A-{n}" for n in range(60)), "Z-1"]
    run = upsert(any_sandbox, *[{"cf_853": k, "lastname": "New"} for k in keys], max_rejects=-1)
    assert run.tally == {"rejected": 60, "updated": 1}
    assert set(run.codes) == {"AMBIGUOUS_KEY"}
    assert {id_ for id_, name in stored(any_sandbox).items() if name == "New"} == {last}


def test_key_of_several_fields(any_sandbox):
    people = [("Curie", "Marie"), ("Curie", "Pierre"), ("Joliot", "Marie")]
    ids = {
        person: any_sandbox.insert("Contacts", {"lastname": person[0], "firstname": person[1]})
        for person in people
    }
    run = upsert(
        any_sandbox,
        {"lastname": "Curie", "firstname": "Pierre", "phone": "1"},
        {"lastname": "Joliot", "firstname": "Pierre", "phone": "2"},
        streams=matched("Contacts", "lastname", "firstname"),
    )
    assert run.tally == {"updated": 1, "created": 1}
    assert run.of("Curie", "Pierre")[0]["id"] == ids["Curie", "Pierre"]
    phones = {
        (row["lastname"], row["firstname"]): row["phone"] for row in any_sandbox.rows("Contacts")
    }
    assert phones == {
        **dict.fromkeys(people, ""),
        ("Curie", "Pierre"): "1",
        ("Joliot", "Pierre"): "2",
    }


def test_key_with_a_reference(sandbox):
    one, other = (sandbox.insert("Accounts", {"accountname": name}) for name in ("One", "Other"))
    mine = contact(sandbox, "", account_id=one)
    contact(sandbox, "", account_id=other)
    run = upsert(
        sandbox,
        {"lastname": "Old", "account_id": one, "phone": "1"},
        streams=matched("Contacts", "lastname", "account_id"),
    )
    assert run.only["id"] == mine
    assert stored(sandbox, field="phone")[mine] == "1"


@pytest.mark.parametrize(
    ("field", "value", "wire"),
    [("cf_857", 42, "42"), ("cf_863", "2024-02-29", "2024-02-29"), ("email", "a@b.fr", "a@b.fr")],
)
def test_key_of_any_type(any_sandbox, field, value, wire):
    old = contact(any_sandbox, "", **{field: wire})
    contact(any_sandbox, "")
    run = upsert(any_sandbox, {field: value, "lastname": "New"}, streams=matched("Contacts", field))
    assert run.tally == {"updated": 1}
    assert stored(any_sandbox)[old] == "New"


HOSTILE = [
    "O'Brien",
    "''",
    "back\\slash",
    "end\\",
    "%",
    "_",
    "semi;colon",
    "a, b) OR (c",
    'double "quotes"',
    "été à Noël",
    "<b>&amp;</b>",
    "12x34",
    "0",
    "SELECT * FROM Users WHERE id IN ('19x1')",
    "日本",
    "tab\there",
]


def test_key_with_any_characters_is_found_again(any_sandbox):
    bystander = contact(any_sandbox, "anything")
    records = [{"cf_853": key, "lastname": f"{n}"} for n, key in enumerate(HOSTILE)]
    assert upsert(any_sandbox, *records).tally == {"created": len(HOSTILE)}
    assert upsert(any_sandbox, *records).tally == {"unchanged": len(HOSTILE)}
    by_key = {row["cf_853"]: row["lastname"] for row in any_sandbox.rows("Contacts")}
    assert by_key == {"anything": "Old"} | {r["cf_853"]: r["lastname"] for r in records}
    assert stored(any_sandbox)[bystander] == "Old"


@pytest.mark.parametrize("incoming", ["ACME", "acme", "Acmé", "ACME "])
def test_names_equal_for_the_server_are_not_duplicated(sandbox, incoming):
    """Its collation ignores case, accents and spaces at the end."""
    old = sandbox.insert("Accounts", {"accountname": "ACME"})
    streams = matched("Accounts", "accountname")
    lines = messages("Accounts", {"accountname": incoming, "phone": "1"})
    run = load(sandbox, lines, streams=streams, max_rejects=-1)
    assert [row["id"] for row in sandbox.rows("Accounts")] == [old]
    assert run.only["outcome"] in {"updated", "rejected"}


@pytest.mark.parametrize(
    "keys", [("zoe", "Zoe"), ("zoe", "zoé"), ("zoe", "zoe ")], ids=["case", "accent", "space"]
)
def test_keys_of_one_run_equal_for_the_server_have_a_stable_result(sandbox, keys):
    """Whichever it is: a second run must find what the first one left."""
    records = [{"cf_853": key, "lastname": "Same"} for key in keys]
    upsert(sandbox, *records, max_rejects=-1)
    count = sandbox.count("Contacts")
    again = upsert(sandbox, *records, max_rejects=-1)
    assert sandbox.count("Contacts") == count
    assert "created" not in again.tally


def test_keys_are_looked_up_a_hundred_at_a_time(sandbox):
    for n in range(0, 250, 2):
        contact(sandbox, f"A-{n}")
    records = [{"cf_853": f"A-{n}", "lastname": "New"} for n in range(250)]
    assert upsert(sandbox, *records).tally == {"updated": 125, "created": 125}
    asked = {query.partition(" IN ")[2].partition(")")[0] for query in lookups(sandbox, "'A-")}
    # 250 keys before, the first new record alone, and the 125 of the new records once more.
    assert sorted(keys.count("'A-") for keys in asked) == [1, 26, 52, 99, 99, 99]


def test_ids_are_looked_up_a_hundred_at_a_time(sandbox):
    ids = [contact(sandbox, f"A-{n}") for n in range(250)]
    run = upsert(sandbox, *[{"id": id_, "lastname": "Old"} for id_ in ids], streams={})
    assert run.tally == {"unchanged": 250}
    reads = [r for r in sandbox.requests if r.operation in {"query", "retrieve"}]
    assert len(reads) <= 12


@pytest.mark.parametrize("letter", ["k", "é", "日"])
def test_lookup_urls_are_at_most_7000_bytes(sandbox, letter):
    records = [{"cf_875": letter * 120 + f"{n}", "lastname": f"{n}"} for n in range(100)]
    streams = matched("Contacts", "cf_875")
    assert upsert(sandbox, *records, streams=streams).tally == {"created": 100}
    assert upsert(sandbox, *records, streams=streams).tally == {"unchanged": 100}
    for request in sandbox.requests.of("query"):
        line = {**request.params, "operation": "query", "sessionName": "x" * 20}
        assert len("/webservice.php?" + urlencode(line)) <= 7000


def test_key_too_long_for_any_query_does_not_end_the_run(sandbox):
    records = [{"cf_875": "k" * 9000, "lastname": "Long"}, {"cf_875": "short", "lastname": "Short"}]
    run = upsert(sandbox, *records, streams=matched("Contacts", "cf_875"), max_rejects=-1)
    assert run.of("short")[0]["outcome"] == "created"
    assert len(run.outcomes) == 2


@pytest.mark.parametrize("nth", [1, 2])
def test_lookup_with_an_empty_answer_is_no_proof_of_absence(sandbox, nth):
    """A query that fails in SQL answers `[]` and success."""
    old = contact(sandbox, "A-1")
    fault = sandbox.faults.add("empty", operation="query", contains="'A-1'", nth=nth)
    upsert(sandbox, {"cf_853": "A-1", "lastname": "New"}, max_rejects=-1)
    assert list(stored(sandbox)) == [old]
    assert fault.seen


def test_records_of_one_key_are_written_in_order(any_sandbox):
    names = [f"v{n}" for n in range(8)]
    records = [
        record
        for name in names
        for record in ({"cf_853": "A", "lastname": name}, {"cf_853": "B", "lastname": name})
    ]
    run = upsert(any_sandbox, *records, max_sessions=4)
    for key in "AB":
        assert [line["outcome"] for line in run.of(key)] == ["created", *["updated"] * 7]
        assert len({line["id"] for line in run.of(key)}) == 1
    assert list(stored(any_sandbox).values()) == ["v7", "v7"]


def test_key_created_deleted_and_created_again_exists_once(sandbox):
    deleted = "2026-01-01T00:00:00Z"
    run = upsert(
        sandbox,
        {"cf_853": "A", "lastname": "First", "_sdc_deleted_at": None},
        {"cf_853": "A", "lastname": "First", "_sdc_deleted_at": deleted},
        {"cf_853": "A", "lastname": "Second", "_sdc_deleted_at": None},
        hard_delete=True,
    )
    assert [line["outcome"] for line in run.outcomes] == ["created", "deleted", "created"]
    assert list(stored(sandbox).values()) == ["Second"]


def test_record_by_id_and_by_key_in_one_run_is_one_record(sandbox):
    id_ = contact(sandbox, "A")
    run = upsert(
        sandbox,
        {"id": id_, "cf_853": "B", "lastname": "By id"},
        {"id": None, "cf_853": "B", "lastname": "By key"},
    )
    assert {line["id"] for line in run.outcomes} == {id_}
    assert stored(sandbox) == {id_: "By key"}


def test_key_that_a_run_changes_no_longer_matches(sandbox):
    id_ = contact(sandbox, "A")
    upsert(
        sandbox,
        {"id": id_, "cf_853": "B", "lastname": "Renamed"},
        {"id": None, "cf_853": "A", "lastname": "New"},
    )
    by_key = {row["cf_853"]: row["lastname"] for row in sandbox.rows("Contacts")}
    assert by_key == {"A": "New", "B": "Renamed"}


@pytest.mark.parametrize("stream", ["contacts", "CONTACTS", "Contacts"])
def test_stream_finds_its_module_in_any_case(sandbox, stream):
    record = {"lastname": "Any"}
    run = load(sandbox, messages(stream, record), load_method="append-only")
    assert run.only["stream"] == stream
    assert sandbox.count("Contacts") == 1


def test_streams_setting_maps_a_stream_and_its_properties(sandbox):
    shop = {
        "module": "contacts",
        "match_on": ["cf_853"],
        "fields": {"customer_ref": "cf_853", "name": "lastname", "internal": None},
    }
    record = {"customer_ref": "C-7", "name": "Lovelace", "phone": "1", "internal": "x"}
    run = load(sandbox, messages("shop_customers", record), streams={"shop_customers": shop})
    assert run.only["stream"] == "shop_customers"
    assert run.only["key"] == {"cf_853": "C-7"}
    (row,) = sandbox.rows("Contacts")
    assert (row["cf_853"], row["lastname"], row["phone"]) == ("C-7", "Lovelace", "1")


def test_match_on_may_be_a_string(sandbox):
    streams = {"Contacts": {"match_on": "cf_853"}}
    contact(sandbox, "A-1")
    run = upsert(sandbox, {"cf_853": "A-1", "lastname": "New"}, streams=streams)
    assert run.tally == {"updated": 1}


def test_two_streams_may_load_into_one_module(sandbox):
    streams = {
        "shop": {"module": "Contacts", "match_on": "cf_853"},
        "news": {"module": "Contacts", "match_on": "email"},
    }
    run = load(
        sandbox,
        messages("shop", {"cf_853": "C-7", "lastname": "Lovelace", "email": "ada@example.com"}),
        messages("news", {"email": "ada@example.com", "lastname": "Lovelace", "phone": "1"}),
        streams=streams,
    )
    assert run.summary == {"shop": {"created": 1}, "news": {"updated": 1}}
    (row,) = sandbox.rows("Contacts")
    assert (row["cf_853"], row["phone"]) == ("C-7", "1")


# Deletions

GONE = "2026-01-01T00:00:00Z"


@pytest.mark.parametrize("by", ["key", "id"])
def test_hard_delete_deletes_records_deleted_in_the_source(any_sandbox, by):
    gone, stays = contact(any_sandbox, "A-1"), contact(any_sandbox, "A-2")
    key = {"cf_853": "A-1"} if by == "key" else {"id": gone}
    run = upsert(any_sandbox, {**key, "lastname": "Old", "_sdc_deleted_at": GONE}, hard_delete=True)
    assert run.only["outcome"] == "deleted"
    assert run.only["id"] == gone
    assert list(stored(any_sandbox)) == [stays]
    assert write_requests(any_sandbox) == ["delete"]


@pytest.mark.parametrize("by", ["key", "id"])
@pytest.mark.parametrize("hard_delete", [True, False])
def test_hard_delete_of_a_deleted_record_is_no_error(sandbox, by, hard_delete):
    gone = contact(sandbox, "A-1")
    sandbox.remove("Contacts", gone)
    key = {"cf_853": "A-1"} if by == "key" else {"id": gone}
    record = {**key, "lastname": "New", "_sdc_deleted_at": GONE}
    run = upsert(sandbox, record, hard_delete=hard_delete)
    assert run.tally == {"unchanged": 1}
    assert write_requests(sandbox) == []


@pytest.mark.parametrize("more", [{}, {"hard_delete": True, "load_method": "append-only"}])
def test_hard_delete_off_keeps_deleted_records(sandbox, more):
    old = contact(sandbox, "A-1")
    run = upsert(sandbox, {"cf_853": "A-1", "lastname": "New", "_sdc_deleted_at": GONE}, **more)
    assert run.tally == {"unchanged": 1}
    assert stored(sandbox) == {old: "Old"}


def test_hard_delete_needs_the_key_only(sandbox):
    contact(sandbox, "A-1")
    run = upsert(sandbox, {"cf_853": "A-1", "_sdc_deleted_at": GONE}, hard_delete=True)
    assert run.tally == {"deleted": 1}


def test_hard_delete_of_several_matches_deletes_none(sandbox):
    contact(sandbox, "A-1"), contact(sandbox, "A-1")
    run = upsert(sandbox, {"cf_853": "A-1", "_sdc_deleted_at": GONE}, hard_delete=True)
    assert run.codes == ["AMBIGUOUS_KEY"]
    assert sandbox.count("Contacts") == 2


# Records that this user may not read: the server counts them, and gives them to nobody


def test_unreadable_record_is_not_duplicated_and_does_not_end_the_run():
    with empty(hidden={"Contacts": [1]}) as sandbox:
        contact(sandbox, "A-1")
        contact(sandbox, "A-2")
        records = [{"cf_853": f"A-{n}", "lastname": "New"} for n in (1, 2, 3)]
        run = upsert(sandbox, *records, max_rejects=-1)
        assert run.of("A-1")[0]["outcome"] == "rejected"
        assert run.of("A-2")[0]["outcome"] == "updated"
        assert run.of("A-3")[0]["outcome"] == "created"
        keys = [row["cf_853"] for row in sandbox.rows("Contacts")]
        assert sorted(keys) == ["A-1", "A-2", "A-3"]


def test_key_with_unreadable_records_only_rejects_its_record():
    with empty(hidden={"Contacts": [1]}) as sandbox:
        contact(sandbox, "A-1")
        records = [{"cf_853": f"A-{n}", "lastname": "New"} for n in (1, 2)]
        run = upsert(sandbox, *records, max_rejects=-1)
        assert run.of("A-1")[0]["outcome"] == "rejected"
        assert run.of("A-2")[0]["outcome"] == "created"
        assert sandbox.count("Contacts") == 2


@pytest.mark.parametrize("left_out", [None, ""])
def test_ids_of_another_instance_are_ignored(sandbox, left_out):
    """An empty text means the same as null, which Meltano takes out of its files."""
    other = contact(sandbox, "A-9")
    streams = matched("Contacts", "cf_853", fields={"id": left_out})
    run = upsert(sandbox, {"id": other, "cf_853": "A-1", "lastname": "New"}, streams=streams)
    assert run.tally == {"created": 1}
    assert stored(sandbox)[other] == "Old"


def test_key_with_a_date_at_midnight_is_a_date(sandbox):
    for key, text in {"a": "2024-02-29T00:00:00Z", "b": "2024-02-29 00:00:00.000"}.items():
        upsert(sandbox, {"cf_853": key, "lastname": "x", "cf_863": text})
    assert {row["cf_863"] for row in sandbox.rows("Contacts")} == {"2024-02-29"}


def test_keys_that_differ_by_an_accent_find_their_own_records(sandbox):
    plain, accented = contact(sandbox, "Muller"), contact(sandbox, "Müller")
    records = [{"cf_853": key, "lastname": key} for key in ("Müller", "Muller")]
    assert upsert(sandbox, *records).tally == {"updated": 2}
    assert stored(sandbox) == {plain: "Muller", accented: "Müller"}


@pytest.mark.parametrize("id_", [42, 42.5, True, ["8x1"], {"a": 1}])
def test_id_of_another_type_does_not_end_the_run(sandbox, id_):
    run = upsert(sandbox, {"id": id_, "cf_853": "a", "lastname": "x"}, max_rejects=-1)
    assert set(run.tally) <= {"created", "rejected"}


def test_key_that_the_server_cuts_is_rejected(sandbox):
    run = upsert(sandbox, {"cf_853": "k" * 300, "lastname": "x"}, max_rejects=-1)
    assert run.codes == ["KEY_ALTERED"]
    assert sandbox.count("Contacts") == 0  # else each run would create one more


def test_key_with_a_time_is_found_again(sandbox):
    streams = matched("Contacts", "lastname", "cf_881")
    record = {"lastname": "x", "cf_881": "9:05"}
    assert upsert(sandbox, record, streams=streams).tally == {"created": 1}
    assert upsert(sandbox, record, streams=streams).tally == {"unchanged": 1}


def test_hard_delete_ignores_wrong_values_besides_the_key(sandbox):
    contact(sandbox, "A")
    bad = {"cf_853": "A", "birthday": "31/12/1990", "_sdc_deleted_at": "2026-01-01T00:00:00Z"}
    assert upsert(sandbox, bad, hard_delete=True).tally == {"deleted": 1}


def test_unreadable_created_record_is_not_created_twice():
    with empty() as probe:
        number = int(contact(probe, "A").partition("x")[2])
    with empty(hidden={"Contacts": [number]}) as sandbox:
        sandbox.faults.add("reset_after", operation="create")
        run = upsert(sandbox, {"cf_853": "A", "lastname": "x"}, max_rejects=-1)
        assert run.codes == ["UNKNOWN_OUTCOME"]
        assert sandbox.count("Contacts") == 1


def test_key_is_looked_up_by_its_most_selective_part(sandbox):
    streams = matched("Contacts", "firstname", "cf_853")
    records = [{"firstname": "Jean", "cf_853": f"{n}", "lastname": "x"} for n in range(91)]
    assert upsert(sandbox, *records, streams=streams).tally == {"created": 91}
    sandbox.requests.clear()
    assert upsert(sandbox, *records, streams=streams).tally == {"unchanged": 91}
    assert len(sandbox.requests.of("query")) == 1


def test_failing_record_stops_no_other(sandbox):
    bad, good = contact(sandbox, "A"), contact(sandbox, "B")
    sandbox.faults.add("status", operation="retrieve", contains=bad, status=500, times=None)
    records = [{"cf_853": key, "lastname": "New"} for key in "AB"]
    run = upsert(sandbox, *records, max_rejects=-1)
    assert run.codes == ["UNAVAILABLE"]
    assert stored(sandbox)[good] == "New"
