"""`write` and `null` of a stream: what an update may overwrite, and what an empty value means."""

from __future__ import annotations

import threading
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kafinea import Client
from kafinea.load import Load
from tests.target.conftest import DIALECTS
from tests.target.running import empty, load, messages, write_requests
from tests.target.test_lines import DESK, HOUR, invoice, stocked

KEY = "a"


def upsert(sandbox, *records, dry_run=False, **more):
    records = [{"cf_853": KEY, **record} for record in records]
    streams = {"Contacts": {"match_on": "cf_853", **more}}
    return load(sandbox, messages("Contacts", *records), streams=streams, dry_run=dry_run)


# Each type of field: how it reads when it is empty, and two values

EMPTY = {
    "title": [""],
    "birthday": ["", "0000-00-00"],
    "cf_857": ["0", ""],
    "cf_855": ["0.000", ""],
    "donotcall": ["0", ""],
    "account_id": [""],
    "cf_889": [""],
}
VALUES = {
    "title": ["Boss", "Clerk"],
    "birthday": ["1980-01-31", "1999-12-31"],
    "cf_857": ["5", "-7"],
    "cf_855": ["1.500", "2.250"],
    "donotcall": ["1"],
    "cf_889": ["Alpha", "Beta |##| Gamma"],
}


@pytest.fixture(scope="module", params=DIALECTS)
def shared(request):
    """A server with two accounts, and a client of it."""
    with empty(dialect=request.param) as sandbox:
        accounts = [sandbox.insert("Accounts", {"accountname": name}) for name in "ab"]
        with Client(sandbox.url, sandbox.username, sandbox.access_key) as client:
            yield sandbox, client, {**VALUES, "account_id": accounts}


def expected(stored, loaded, write, null):
    """What a field holds after an update; `stored` is None where it is empty."""
    if loaded == "absent" or (loaded is None and null == "keep"):
        return stored
    if write == "always" or (write == "if_empty" and stored is None):
        return loaded
    return stored


STATES = st.tuples(st.sampled_from(["empty", "filled"]), st.sampled_from([0, 1]))
INPUTS = st.sampled_from(["absent", None, 0, 1])


@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    write=st.fixed_dictionaries(
        {}, optional=dict.fromkeys(["*", *EMPTY], st.sampled_from(["always", "if_empty", "never"]))
    ),
    null=st.fixed_dictionaries(
        {}, optional=dict.fromkeys(["*", *EMPTY], st.sampled_from(["clear", "keep"]))
    ),
    some=st.lists(
        st.fixed_dictionaries(dict.fromkeys(EMPTY, st.tuples(STATES, INPUTS))),
        min_size=8,
        max_size=8,
    ),
)
def test_update_writes_what_the_policies_say(shared, write, null, some):
    sandbox, client, values = shared
    records, wanted = [], {}
    for number, fields in enumerate(some):
        stored, record, end = {}, {}, {}
        for name, ((state, form), choice) in fields.items():
            choices = values[name]
            before = choices[0] if state == "filled" else None
            loaded = choices[choice % len(choices)] if choice in {0, 1} else choice
            stored[name] = EMPTY[name][form % len(EMPTY[name])] if before is None else before
            if loaded != "absent":
                record[name] = loaded
            policies = (write.get("*", "always"), null.get("*", "clear"))
            policies = (write.get(name, policies[0]), null.get(name, policies[1]))
            end[name] = expected(before, loaded, *policies)
        key = {"cf_853": f"{number}", "lastname": "x"}
        wanted[sandbox.insert("Contacts", {**key, **stored})] = end
        records.append({**key, **record})
    with Load(client, "Contacts", match_on="cf_853", write=write, null=null) as loading:
        assert {result.rejection for result in loading(records)} == {None}
        assert {result.status.value for result in loading(records)} == {"unchanged"}
    for row in sandbox.rows("Contacts"):
        left = {name: None if row[name] in EMPTY[name] else row[name] for name in values}
        assert left == wanted[row["id"]]
        sandbox.remove("Contacts", row["id"])


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize(
    ("write", "null", "title", "phone"),
    [
        ("always", "clear", "Second", ""),
        ("always", "keep", "Second", "1"),
        ("if_empty", "clear", "First", "1"),
        ("never", None, "First", "1"),
        ({"title": "never"}, {"phone": "keep"}, "First", "1"),
        ({"*": "never", "phone": "always"}, None, "First", ""),
        ({"*": "if_empty", "title": "always"}, {"*": "keep"}, "Second", "1"),
    ],
)
def test_new_record_gets_all_values_whatever_the_policies(
    sandbox, write, null, title, phone, dry_run
):
    """And the same record once more in the input is an update, also of a dry run."""
    records = [
        {"lastname": "x", "title": "First", "phone": "1"},
        {"lastname": "x", "title": "Second", "phone": None},
    ]
    run = upsert(sandbox, *records, write=write or {}, null=null or {}, dry_run=dry_run)
    updated = (title, phone) != ("First", "1")
    assert [line["outcome"] for line in run.outcomes] == [
        "created",
        "updated" if updated else "unchanged",
    ]
    assert [(row["title"], row["phone"]) for row in sandbox.rows("Contacts")] == (
        [] if dry_run else [(title, phone)]
    )


def test_kept_null_is_no_value_of_a_new_record_and_no_missing_mandatory_field(sandbox):
    """The server's default is left, and a mandatory field that an update does not clear."""
    assert upsert(sandbox, {"lastname": "x", "leadsource": None}, null="keep").code == 0
    assert upsert(sandbox, {"lastname": None, "title": "Boss"}, null="keep").tally == {"updated": 1}
    assert upsert(sandbox, {"lastname": None}).codes == ["MANDATORY_FIELD_MISSING"]


def test_field_that_matched_may_be_kept_as_it_is(sandbox):
    sandbox.insert("Contacts", {"lastname": "x", "cf_853": "A"})
    assert upsert(sandbox, {"title": "Boss"}, write={"cf_853": "never"}).tally == {"updated": 1}
    assert [(row["cf_853"], row["title"]) for row in sandbox.rows("Contacts")] == [("A", "Boss")]


def test_field_that_is_filled_in_while_it_is_loaded_is_kept(sandbox):
    """The record is read once more right before it is written."""
    number = sandbox.insert("Contacts", {"cf_853": "a", "lastname": "A"}).partition("x")[2]
    fault = sandbox.faults.add("latency", operation="retrieve", seconds=0.3)

    def fill_in():
        while not fault.hits:
            time.sleep(0.005)
        sandbox.change("Contacts", number, {"phone": "Theirs"})

    colleague = threading.Thread(target=fill_in)
    colleague.start()
    record = {"cf_853": "a", "phone": "Ours", "title": "Ours"}
    streams = {"Contacts": {"match_on": "cf_853", "write": "if_empty"}}
    run = load(sandbox, messages("Contacts", record), streams=streams)
    colleague.join()
    assert run.only["changed"] == ["title"], run.stderr
    (contact,) = sandbox.rows("Contacts")
    assert (contact["phone"], contact["title"]) == ("Theirs", "Ours")


# Lines, discounts and files

TWICE = [{**DESK, "quantity": 4}]


@pytest.fixture(scope="module")
def shop():
    with empty() as sandbox:
        yield stocked(sandbox)


def bill(shop, number, **record):
    references = {
        "account_id": {"module": "Accounts", "match_on": "accountname"},
        "LineItems.productid": [
            {"module": "Products", "match_on": "productcode"},
            {"module": "Services", "match_on": "servicename"},
        ],
    }
    policies = {name: record.pop(name) for name in ("write", "null") if name in record}
    streams = {
        "Invoice": {
            "match_on": "cf_911",
            "references": references,
            "accept_side_effects": True,
            **policies,
        }
    }
    record = {"cf_911": number, **record}
    return load(shop, messages("Invoice", record), streams=streams)


@pytest.mark.parametrize(
    ("policies", "lines", "changed"),
    [
        ({}, TWICE, ["LineItems"]),
        ({"write": {"LineItems": "never"}}, TWICE, None),
        ({"write": {"LineItems": "if_empty"}}, TWICE, None),
        ({"write": "never"}, [], None),
        ({"write": {"*": "never", "LineItems": "always"}}, [DESK, HOUR], ["LineItems"]),
        ({"null": {"LineItems": "keep"}}, [], None),
        ({"null": "keep"}, None, None),
    ],
)
def test_policy_of_lines(shop, policies, lines, changed):
    number = f"{hash(repr((policies, lines))):x}"[-10:]
    whole = {**invoice(DESK), "cf_911": number}
    assert bill(shop, number, **whole, **policies).tally == {"created": 1}
    shop.requests.clear()
    run = bill(shop, number, subject="Order 1", LineItems=lines, **policies)
    assert run.only["outcome"] == ("updated" if changed else "unchanged")
    assert run.only["changed"] == (changed or [])
    if policies.get("write") == "never":
        assert not [one for one in shop.requests.of("query") if "LineItem" in one.params["query"]]
    if not changed:
        assert write_requests(shop) == []


@pytest.mark.parametrize("write", ["if_empty", "always"])
def test_discount_in_the_other_form_is_a_value(shop, write):
    """A document has a percentage or an amount: to fill in one would clear the other."""
    number = f"discount {write}"
    whole = {**invoice(DESK), "hdnDiscountAmount": 5, "hdnTaxType": "group", "cf_911": number}
    assert bill(shop, number, **whole).code == 0
    run = bill(shop, number, hdnDiscountPercent=10, write={"hdnDiscountPercent": write})
    assert run.only["outcome"] == ("unchanged" if write == "if_empty" else "updated")


@pytest.mark.parametrize(
    ("write", "end"), [("always", "updated"), ("if_empty", "unchanged"), ("never", "unchanged")]
)
def test_policy_of_files(sandbox, write, end):
    for content, outcome in (("YQ==", "created"), ("Yg==", end)):
        record = {"notes_title": "x", "_file_base64": content, "filename": "a.txt"}
        streams = {"Documents": {"match_on": "notes_title", "write": {"_file_base64": write}}}
        run = load(sandbox, messages("Documents", record), streams=streams)
        assert run.only["outcome"] == outcome


# Wrong settings


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"write": "sometimes"}, ["`write`", "'sometimes'", "`always`, `if_empty` or `never`"]),
        ({"null": {"title": "never"}}, ["`null`, title", "'never'", "`clear` or `keep`"]),
        ({"write": {"titel": "never"}}, ["`write`", "titel", "`title`"]),
        ({"null": {"contact_no": "keep"}}, ["`null`", "contact_no", "the server sets"]),
        ({"write": {"LineItems": "never"}}, ["`write`", "LineItems"]),
        ({"match_on": [["cf_853"], "email"]}, ["`match_on`", "[lastname, phone]"]),
        ({"match_on": [["cf_853"], []]}, ["`match_on`", "list of lists"]),
        ({"match_on": [["cf_853"], ["emial"]]}, ["`match_on`", "emial", "`email`"]),
    ],
)
def test_wrong_setting_stops_the_run(sandbox, more, named):
    streams = {"Contacts": {"match_on": "cf_853", **more}}
    record = {"cf_853": KEY, "lastname": "x"}
    run = load(sandbox, messages("Contacts", record), streams=streams, check=False)
    assert run.code == 1
    (error,) = run.errors
    assert all(one in error for one in ["'Contacts'", "TARGET_KAFINEA_STREAMS", *named]), error
