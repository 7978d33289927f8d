"""References by natural key: resolved a hundred at a time, asked for once, never left empty."""

from __future__ import annotations

import pytest

from tests.target.running import empty, load, matched, messages, write_requests

TO_ACCOUNT = {"module": "Accounts", "match_on": "accountname"}


def contacts(reference=TO_ACCOUNT, **more):
    return matched("Contacts", "cf_853", references={"account_id": reference}, **more)


def upsert(sandbox, *records, streams=None, **more):
    return load(sandbox, messages("Contacts", *records), streams=streams or contacts(), **more)


def account(sandbox, name, **values):
    return sandbox.insert("Accounts", {"accountname": name, **values})


def linked(sandbox):
    return {row["cf_853"]: row["account_id"] for row in sandbox.rows("Contacts")}


def person(key, company):
    return {"cf_853": key, "lastname": key, "account_id": company}


def test_reference_is_found_by_its_natural_key(any_sandbox):
    acme, other = account(any_sandbox, "ACME & Cie"), account(any_sandbox, "L'Autre")
    records = [person("a", "ACME & Cie"), person("b", "L'Autre")]
    assert upsert(any_sandbox, *records).tally == {"created": 2}
    assert linked(any_sandbox) == {"a": acme, "b": other}
    assert upsert(any_sandbox, *records).tally == {"unchanged": 2}


def test_update_to_another_reference_names_the_field(any_sandbox):
    acme, other = account(any_sandbox, "ACME"), account(any_sandbox, "Other")
    any_sandbox.insert("Contacts", {"lastname": "a", "cf_853": "a", "account_id": acme})
    assert upsert(any_sandbox, person("a", "Other")).only["changed"] == ["account_id"]
    assert linked(any_sandbox) == {"a": other}


def test_unresolved_reference_rejects_its_record_only(any_sandbox):
    acme = account(any_sandbox, "ACME")
    run = upsert(any_sandbox, person("a", "Nobody"), person("b", "ACME"), max_rejects=1)
    assert run.codes == ["UNRESOLVED_REFERENCE"]
    assert run.of("a")[0]["outcome"] == "rejected"
    assert "account_id" in run.of("a")[0]["message"]
    assert linked(any_sandbox) == {"b": acme}
    assert any_sandbox.count("Accounts") == 1


def test_unresolved_reference_changes_nothing_of_an_existing_record(sandbox):
    acme = account(sandbox, "ACME")
    sandbox.insert("Contacts", {"lastname": "Old", "cf_853": "a", "account_id": acme})
    upsert(sandbox, person("a", "Nobody"))
    assert linked(sandbox) == {"a": acme}
    assert [row["lastname"] for row in sandbox.rows("Contacts")] == ["Old"]


@pytest.mark.parametrize("dry_run", [False, True])
def test_reference_may_be_a_part_of_the_key(sandbox, dry_run):
    acme, other = account(sandbox, "ACME"), account(sandbox, "Other")
    for company, title in ((acme, "old"), (other, "stays")):
        sandbox.insert("Contacts", {"lastname": "Roux", "account_id": company, "title": title})
    to_account = {"account_id": {**TO_ACCOUNT, "create": True}}
    streams = matched("Contacts", "account_id", "lastname", references=to_account)
    companies = ["ACME", "Third", "Third", ""]
    records = [{"lastname": "Roux", "account_id": name, "title": "new"} for name in companies]
    run = upsert(sandbox, *records, streams=streams, max_rejects=1, dry_run=dry_run)
    assert run.tally == {"updated": 1, "created": 1, "unchanged": 1, "rejected": 1}
    assert run.codes == ["NO_KEY"]
    if not dry_run:
        rows = sandbox.rows("Contacts")
        titles = {row["account_id"]: row["title"] for row in rows}
        assert (len(rows), titles[acme], titles[other]) == (3, "new", "stays")


@pytest.mark.parametrize("create", [False, True])
def test_reference_by_the_number_zero_leads_to_no_record_without_a_number(sandbox, create):
    account(sandbox, "ACME")
    to_account = {"module": "Accounts", "match_on": "employees", "create": create}
    streams = matched("Contacts", "cf_853", references={"account_id": to_account})
    assert upsert(sandbox, person("a", "0"), streams=streams).codes == ["INVALID_KEY"]
    assert write_requests(sandbox) == []


def test_ambiguous_reference_is_rejected_with_the_ids(sandbox):
    twins = [sandbox.insert("Contacts", {"lastname": "Twin", "cf_853": k}) for k in "ab"]
    streams = matched(
        "Contacts",
        "cf_853",
        references={"contact_id": {"module": "Contacts", "match_on": "lastname"}},
    )
    record = {"cf_853": "c", "lastname": "c", "contact_id": "Twin"}
    run = upsert(sandbox, record, streams=streams)
    assert run.codes[0] in {"UNRESOLVED_REFERENCE", "AMBIGUOUS_KEY"}
    assert all(twin in run.only["message"] for twin in twins)


@pytest.mark.parametrize("blank", [None, ""], ids=["null", "empty text"])
def test_blank_reference_clears_the_field(any_sandbox, blank):
    acme = account(any_sandbox, "ACME")
    any_sandbox.insert("Contacts", {"lastname": "a", "cf_853": "a", "account_id": acme})
    run = upsert(any_sandbox, person("a", blank), person("b", blank))
    assert run.tally == {"updated": 1, "created": 1}
    assert linked(any_sandbox) == {"a": "", "b": ""}


def test_references_are_looked_up_a_hundred_at_a_time_and_only_once(sandbox):
    for n in range(150):
        account(sandbox, f"Company {n}")
    streams = {**contacts(), "again": {"module": "Contacts", **contacts()["Contacts"]}}
    records = [person(f"{n}", f"Company {n % 150}") for n in range(300)]
    run = load(
        sandbox, messages("Contacts", *records), messages("again", *records), streams=streams
    )
    assert run.summary == {"Contacts": {"created": 300}, "again": {"unchanged": 300}}
    queries = [request.params["query"] for request in sandbox.requests.of("query")]
    asked = [query for query in queries if "'Company " in query]
    assert len(asked) <= 6  # for each hundred: a page, a count, and a page again


def test_created_record_can_be_referred_to_later_in_the_run(any_sandbox):
    streams = {**contacts(), **matched("Accounts", "accountname")}
    run = load(
        any_sandbox,
        messages("Accounts", {"accountname": "ACME"}),
        messages("Contacts", person("a", "ACME")),
        messages("Accounts", {"accountname": "Other"}),
        messages("Contacts", person("b", "Other"), person("c", "ACME")),
        streams=streams,
    )
    assert run.summary == {"Accounts": {"created": 2}, "Contacts": {"created": 3}}
    ids = {row["accountname"]: row["id"] for row in any_sandbox.rows("Accounts")}
    assert linked(any_sandbox) == {"a": ids["ACME"], "b": ids["Other"], "c": ids["ACME"]}


def test_missing_reference_is_found_once_it_was_created(sandbox):
    run = load(
        sandbox,
        messages("Accounts", {"accountname": "Other"}),  # so the contacts do not wait for it
        messages("Contacts", person("a", "ACME")),
        messages("Accounts", {"accountname": "ACME"}),
        messages("Contacts", person("b", "ACME")),
        streams={**contacts(), **matched("Accounts", "accountname")},
        max_rejects=1,
    )
    assert run.of("a")[0]["outcome"] == "rejected"
    assert run.of("b")[0]["outcome"] == "created"
    (_other, acme) = sandbox.rows("Accounts")
    assert linked(sandbox) == {"b": acme["id"]}


def test_parent_may_precede_its_child_in_the_same_stream(any_sandbox):
    streams = matched("Accounts", "accountname", references={"account_id": TO_ACCOUNT})
    records = [
        {"accountname": "Holding", "account_id": None},
        {"accountname": "Daughter", "account_id": "Holding"},
        {"accountname": "Granddaughter", "account_id": "Daughter"},
    ]
    run = load(any_sandbox, messages("Accounts", *records), streams=streams)
    assert run.tally == {"created": 3}
    rows = {row["accountname"]: row for row in any_sandbox.rows("Accounts")}
    assert rows["Daughter"]["account_id"] == rows["Holding"]["id"]
    assert rows["Granddaughter"]["account_id"] == rows["Daughter"]["id"]


def test_deleted_record_can_no_longer_be_referred_to(sandbox):
    account(sandbox, "ACME")
    run = load(
        sandbox,
        messages("Contacts", person("a", "ACME")),
        messages("Accounts", {"accountname": "ACME", "_sdc_deleted_at": "2026-01-01T00:00:00Z"}),
        messages("Contacts", person("b", "ACME")),
        streams={**contacts(), **matched("Accounts", "accountname")},
        hard_delete=True,
        max_rejects=1,
    )
    assert run.of("ACME")[0]["outcome"] == "deleted"
    assert run.of("b")[0]["code"] == "UNRESOLVED_REFERENCE"


def test_key_that_another_record_has_by_now_refers_to_that_one(sandbox):
    first, second = account(sandbox, "ACME"), account(sandbox, "New")
    run = load(
        sandbox,
        messages("Accounts", {"accountname": "Other"}),  # so the contacts do not wait for it
        messages("Contacts", person("a", "ACME")),
        messages("Accounts", {"id": first, "accountname": "ACME (old)"}),
        messages("Accounts", {"id": second, "accountname": "ACME"}),
        messages("Contacts", person("b", "ACME")),
        streams={**contacts(), **matched("Accounts", "accountname")},
    )
    assert run.summary == {"Accounts": {"created": 1, "updated": 2}, "Contacts": {"created": 2}}
    assert linked(sandbox) == {"a": first, "b": second}


def test_missing_reference_is_created_once_if_set(any_sandbox):
    streams = contacts({**TO_ACCOUNT, "create": True})
    records = [person(f"{n}", "ACME") for n in range(20)]
    assert upsert(any_sandbox, *records, streams=streams, max_sessions=4).tally == {"created": 20}
    (acme,) = any_sandbox.rows("Accounts")
    assert acme["accountname"] == "ACME"
    assert set(linked(any_sandbox).values()) == {acme["id"]}
    assert upsert(any_sandbox, *records, streams=streams).tally == {"unchanged": 20}


def test_existing_reference_is_not_created_again(sandbox):
    acme = account(sandbox, "ACME")
    streams = contacts({**TO_ACCOUNT, "create": True})
    upsert(sandbox, person("a", "ACME"), streams=streams)
    assert linked(sandbox) == {"a": acme}
    assert sandbox.count("Accounts") == 1


def test_rejected_record_leaves_no_created_reference(sandbox):
    streams = contacts({**TO_ACCOUNT, "create": True})
    run = upsert(sandbox, person("a", "ACME") | {"cf_863": "no date"}, streams=streams)
    assert run.codes == ["INVALID_VALUE"]
    assert sandbox.count("Accounts") == 0


def test_reference_that_needs_more_than_its_key_is_not_created(sandbox):
    """A potential has three mandatory fields, and the record has a name."""
    streams = {
        "Invoice": {
            "match_on": "cf_911",
            "references": {
                "potential_id": {
                    "module": "Potentials",
                    "match_on": "potentialname",
                    "create": True,
                }
            },
        }
    }
    record = {"cf_911": "F-1", "potential_id": "Big deal", "invoicestatus": "Created"}
    acme, product = account(sandbox, "ACME"), sandbox.insert("Products", {"productname": "Desk"})
    record |= {"subject": "x", "account_id": acme, "bill_street": "a", "ship_street": "b"}
    record |= {"LineItems": [{"productid": product, "quantity": 1, "listprice": 1}]}
    run = load(sandbox, messages("Invoice", record), streams=streams)
    assert run.tally == {"rejected": 1}
    assert write_requests(sandbox) == []


def test_reference_may_have_several_modules_in_order(any_sandbox):
    boss = any_sandbox.insert("Contacts", {"lastname": "Boss", "email": "boss@example.com"})
    acme = account(any_sandbox, "ACME")
    ways = [TO_ACCOUNT, {"module": "Contacts", "match_on": "email"}]
    streams = matched("ServiceContracts", "subject", references={"sc_related_to": ways})
    run = load(
        any_sandbox,
        messages(
            "ServiceContracts",
            {"subject": "one", "sc_related_to": "ACME"},
            {"subject": "two", "sc_related_to": "boss@example.com"},
        ),
        streams=streams,
    )
    assert run.tally == {"created": 2}
    found = {r["subject"]: r["sc_related_to"] for r in any_sandbox.rows("ServiceContracts")}
    assert found == {"one": acme, "two": boss}


def test_owner_may_be_named(any_sandbox):
    streams = matched(
        "Contacts",
        "cf_853",
        references={"assigned_user_id": {"module": "Users", "match_on": "user_name"}},
    )
    record = {"cf_853": "a", "lastname": "a", "assigned_user_id": "joe"}
    assert upsert(any_sandbox, record, streams=streams).tally == {"created": 1}
    (row,) = any_sandbox.rows("Contacts")
    assert row["assigned_user_id"] == f"{any_sandbox.instance.tables['Users'].prefix}x2"


def test_reference_may_be_a_number(sandbox):
    acme = account(sandbox, "ACME", cf_901="1007")
    streams = contacts({"module": "Accounts", "match_on": "cf_901"})
    assert upsert(sandbox, person("a", 1007), streams=streams).tally == {"created": 1}
    assert linked(sandbox) == {"a": acme}


def test_references_setting_uses_field_names_of_the_module(sandbox):
    acme = account(sandbox, "ACME")
    streams = contacts(fields={"company": "account_id"})
    record = {"cf_853": "a", "lastname": "a", "company": "ACME"}
    assert upsert(sandbox, record, streams=streams).tally == {"created": 1}
    assert linked(sandbox) == {"a": acme}


@pytest.mark.parametrize("nth", [1, 2])
def test_empty_answer_makes_no_duplicate_reference(sandbox, nth):
    acme = account(sandbox, "ACME")
    sandbox.faults.add("empty", operation="query", contains="'ACME'", nth=nth)
    streams = contacts({**TO_ACCOUNT, "create": True})
    upsert(sandbox, person("a", "ACME"), streams=streams, max_rejects=-1)
    assert [row["id"] for row in sandbox.rows("Accounts")] == [acme]


def test_references_that_differ_by_an_accent_find_their_own_records(sandbox):
    plain, accented = account(sandbox, "Muller"), account(sandbox, "Müller")
    upsert(sandbox, person("a", "Muller"), person("b", "Müller"))
    assert linked(sandbox) == {"a": plain, "b": accented}


def test_reference_that_looks_like_an_id_is_a_name_first(sandbox):
    other = account(sandbox, "Other")
    named = account(sandbox, other)
    upsert(sandbox, person("a", other))
    assert linked(sandbox) == {"a": named}


def test_reference_that_no_record_can_have_is_unresolved(sandbox):
    by_number = contacts({"module": "Accounts", "match_on": "employees"})
    run = upsert(sandbox, person("a", "abc"), streams=by_number, max_rejects=-1)
    assert run.codes == ["UNRESOLVED_REFERENCE"]


def test_module_without_lines_needs_no_line_module(sandbox):
    denied = '{"success":false,"error":{"message":"no","code":"ACCESS_DENIED"}}'
    sandbox.faults.add(
        "status", operation="describe", contains="LineItem", status=200, body=denied, times=None
    )
    assert upsert(sandbox, person("a", None)).tally == {"created": 1}


@pytest.mark.parametrize(
    ("names", "asked", "code"),
    [
        (["Muller"], "Müller", "AMBIGUOUS_KEY"),
        (["muller", "MULLER"], "Muller", "AMBIGUOUS_KEY"),
        (["Muller"], "MULLER", None),
        (["Muller", "Müller"], "Müller ", None),
        (["ACME"], "\u200b", "INVALID_KEY"),
        (["ACME"], "  ", "INVALID_KEY"),
    ],
)
@pytest.mark.parametrize("create", [False, True])
def test_reference_does_not_match_a_similar_record(sandbox, names, asked, code, create):
    reference = {"module": "Contacts", "match_on": "lastname", "create": create}
    ids = [sandbox.insert("Contacts", {"lastname": name, "cf_853": name}) for name in names]
    streams = matched("Contacts", "cf_853", references={"contact_id": reference})
    record = {"cf_853": "new", "lastname": "new", "contact_id": asked}
    run = upsert(sandbox, record, streams=streams, max_rejects=1)
    assert run.codes == ([code] if code else [])
    assert sandbox.count("Contacts") == len(names) + (not code)
    if code:
        assert run.only["message"].startswith("contact_id: ")
        assert code != "AMBIGUOUS_KEY" or all(one in run.only["message"] for one in ids)
    else:
        (row,) = [row for row in sandbox.rows("Contacts") if row["cf_853"] == "new"]
        assert row["contact_id"] == ids[-1]


@pytest.mark.parametrize(
    ("collation", "left", "codes"),
    [("ci_ai", 1, ["AMBIGUOUS_KEY"]), ("binary", 3, [])],
)
@pytest.mark.parametrize("dry_run", [False, True])
def test_similar_references_are_created_as_the_database_distinguishes_them(
    collation, left, codes, dry_run
):
    streams = contacts({**TO_ACCOUNT, "create": True})
    records = [person(f"{n}", name) for n, name in enumerate(["Zoe", "Zoé", "ZOE", "Zoe "])]
    with empty(collation=collation) as sandbox:
        run = upsert(sandbox, *records, streams=streams, max_rejects=-1, dry_run=dry_run)
        if dry_run:  # which database it is, is not known then
            assert run.codes == ["AMBIGUOUS_KEY"]
            assert sandbox.count("Accounts") == 0
            return
        assert run.codes == codes
        assert sandbox.count("Accounts") == left
        assert upsert(sandbox, *records, streams=streams, max_rejects=-1).codes == codes
        assert sandbox.count("Accounts") == left


def test_unreadable_reference_is_not_created_again():
    with empty() as probe:
        hidden = int(account(probe, "ACME").partition("x")[2])
    with empty(hidden={"Accounts": [hidden]}) as sandbox:
        account(sandbox, "ACME")
        streams = contacts({**TO_ACCOUNT, "create": True})
        run = upsert(
            sandbox, person("a", "ACME"), person("b", "Other"), streams=streams, max_rejects=1
        )
        assert run.codes == ["NOT_READABLE"]
        assert run.of("b")[0]["outcome"] == "created"
        assert sorted(row["accountname"] for row in sandbox.rows("Accounts")) == ["ACME", "Other"]
