"""Values: stored as they came, or rejected. What the server would change silently never gets there.

Each of the bad values stands in section h of the facts about the API with what a real server made
of it.
"""

from __future__ import annotations

import json

import pytest

from tests.target.running import empty, load, matched, messages, write_requests

STREAMS = matched("Contacts", "cf_853")

TYPED = {
    "cf_853": "key",
    "lastname": "Müller",
    "cf_855": 1234.57,
    "cf_857": -42,
    "cf_859": 12.5,
    "cf_861": 0.1,
    "cf_863": "2024-02-29",
    "cf_865": "a@b.example",
    "cf_867": "+33 2 40 00 00 00",
    "cf_871": "https://example.com/?a=b&c=d",
    "cf_873": True,
    "cf_875": "two\nlines",
    "cf_879": "skype.name",
    "cf_881": "14:05:00",
    "cf_887": "Noir & l'ébène",
    "cf_889": ["Alpha", "Été"],
    "donotcall": False,
    "isconvertedfromlead": False,
}
WIRE = TYPED | {
    "cf_855": "1234.570",
    "cf_857": "-42",
    "cf_859": "12.50",
    "cf_861": "0.10",
    "cf_873": "1",
    "cf_889": "Alpha |##| Été",
    "donotcall": "0",
    "isconvertedfromlead": "0",
}


def upsert(sandbox, *records, **more):
    more.setdefault("streams", STREAMS)
    return load(sandbox, messages("Contacts", *records), **more)


def row(sandbox, module="Contacts"):
    (only,) = sandbox.rows(module)
    return only


def test_values_of_every_type_are_stored_as_read_and_then_unchanged(any_sandbox):
    assert upsert(any_sandbox, TYPED).tally == {"created": 1}
    stored = row(any_sandbox)
    assert {name: stored[name] for name in WIRE} == WIRE
    assert upsert(any_sandbox, TYPED).tally == {"unchanged": 1}


@pytest.mark.parametrize(
    ("field", "spellings"),
    [
        ("cf_855", [1234.57, "1234.57", "1234.570", "1234.57000000", "+1234.57", "1.23457e3"]),
        ("cf_857", [42, "42", 42.0, "42.0", "042"]),
        ("cf_861", ["10", 10, 10.0, "10.00"]),
        ("cf_863", ["2024-02-29"]),
        ("cf_873", [True, "1", 1, "true", "on", "yes", "True"]),
        ("cf_873", [False, "0", 0, "false", "off", "no", None]),
        ("cf_881", ["14:05", "14:05:00"]),
        ("cf_889", [["Alpha", "Beta"], "Alpha |##| Beta"]),
        ("mailingzip", ["44000", 44000]),
    ],
)
def test_values_in_other_notations_are_unchanged(sandbox, field, spellings):
    records = [{"cf_853": "k", "lastname": "x", field: value} for value in spellings]
    run = upsert(sandbox, *records)
    assert run.tally.get("created") == 1
    assert run.tally.get("unchanged", 0) == len(spellings) - 1


def test_money_never_passes_through_a_float(sandbox):
    amounts = ["90071992547409.93", "0.07", "1234567.89", "-0.01"]
    for place, amount in enumerate(amounts):
        key = f'"accountname": "A{place}"'
        schema = messages("Accounts", {"accountname": "", "annual_revenue": 0.5})[0]
        line = (
            f'{{"type": "RECORD", "stream": "Accounts", '
            f'"record": {{{key}, "annual_revenue": {amount}}}}}'
        )
        load(sandbox, schema, line, streams=matched("Accounts", "accountname"))
    assert [r["annual_revenue"] for r in sandbox.rows("Accounts")] == [
        f"{amount}000000" for amount in amounts
    ]


TEXTS = [
    "a & b",
    "<b>bold</b>",
    "&amp; &lt;",
    'O\'Brien "quoted"',
    "back\\slash",
    "tab\tand\r\nlines\n",
    "  spaces around  ",
    "日本語",
    "1,5",
    "NA",
    "null",
    "0",
    "é" * 500,
]


def test_strings_are_stored_exactly(any_sandbox):
    records = [
        {"cf_853": f"{n}", "lastname": "x", "description": text} for n, text in enumerate(TEXTS)
    ]
    assert upsert(any_sandbox, *records).tally == {"created": len(TEXTS)}
    by_key = {r["cf_853"]: r["description"] for r in any_sandbox.rows("Contacts")}
    assert by_key == {f"{n}": text for n, text in enumerate(TEXTS)}
    assert upsert(any_sandbox, *records).tally == {"unchanged": len(TEXTS)}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("title", "x" * 51),  # cut at 50
        ("description", "\N{GRINNING FACE}"),  # ???? in a database of three-byte characters
        ("description", "<script>alert(1)</script>"),  # escaped
        ("cf_855", 1.2345),  # rounded to the decimals of the user
    ],
    ids=["too long", "four bytes", "script", "four decimals"],
)
def test_values_altered_by_the_server_are_reported(sandbox, field, value):
    """`describe` tells no lengths and no decimals: the answer is compared with what was sent."""
    record = {"cf_853": "k", "lastname": "x", field: value}
    run = upsert(sandbox, record, max_rejects=-1)
    if run.only["outcome"] != "rejected":
        assert field in " ".join(line for line in run.stderr.splitlines() if "WARNING" in line)
    assert "x" * 51 not in run.stderr
    again = upsert(sandbox, record, max_rejects=-1)
    assert sandbox.count("Contacts") <= 1
    assert again.only["outcome"] in {"unchanged", "updated", "rejected"}


INVALID = [
    ("cf_863", "2024-02-29T10:00:00Z"),
    ("cf_863", "29/02/2024"),
    ("cf_863", "29-02-2024"),
    ("cf_863", "2023-02-29"),
    ("cf_863", "tomorrow"),
    ("cf_863", 20240229),
    ("cf_863", True),
    ("cf_857", "4.9"),
    ("cf_857", 4.9),
    ("cf_857", "abc"),
    ("cf_857", 99999999999),
    ("cf_857", -2147483649),
    ("cf_857", [1]),
    ("cf_855", "1,5"),
    ("cf_855", "abc"),
    ("cf_855", "1 234.5"),
    ("cf_861", "1234,56"),
    ("cf_861", "12 EUR"),
    ("cf_861", {"amount": 1}),
    ("cf_873", "maybe"),
    ("cf_873", 2),
    ("cf_881", "2:05 PM"),
    ("cf_881", "25:00"),
    ("firstname", ["a"]),
    ("firstname", {"a": 1}),
    ("cf_889", {"Alpha": 1}),
    ("cf_889", [["Alpha"]]),
    ("cf_889", 5),
]
UNKNOWN_VALUES = [
    ("cf_887", "Purple"),
    ("cf_887", "red"),
    ("cf_887", "Red "),
    ("leadsource", "Carrier pigeon"),
    ("cf_889", ["Alpha", "Omega"]),
    ("cf_889", "Alpha |##| Omega"),
    ("cf_889", "Alpha, Beta"),
]
OWNERS = ["{user}x999", "{user}x", "1", "admin", "{contact}x1", "{account}x1", "x"]
REFERENCES = ["{account}x999999", "{account}x", "7", "ACME", "{contact}x7", "99x7", "{deleted}"]


def _prefixes(sandbox):
    ids = {"user": "Users", "contact": "Contacts", "account": "Accounts"}
    found = {name: sandbox.instance.tables[module].prefix for name, module in ids.items()}
    deleted = sandbox.insert("Accounts", {"accountname": "Gone"})
    sandbox.remove("Accounts", deleted)
    return found | {"deleted": deleted}


BAD = [
    *(("INVALID_VALUE", field, value) for field, value in INVALID),
    *(("UNKNOWN_PICKLIST_VALUE", field, value) for field, value in UNKNOWN_VALUES),
    *(("UNKNOWN_OWNER", "assigned_user_id", value) for value in OWNERS),
    *(("UNRESOLVED_REFERENCE", "account_id", value) for value in REFERENCES),
    *(("MANDATORY_FIELD_MISSING", "lastname", value) for value in (None, "")),
    ("MANDATORY_FIELD_MISSING", "lastname", ...),
]


def _bad_record(place, field, value, prefixes):
    if isinstance(value, str) and field in {"account_id", "assigned_user_id"}:
        value = value.format(**prefixes)
    record = {"cf_853": f"k{place}", "lastname": "x", field: value}
    return {name: value for name, value in record.items() if value is not ...}


@pytest.fixture(scope="module", params=["create", "update"])
def judged(request):
    """All bad values at once: the outcome of each, the rows, and the writes that were sent."""
    with empty() as sandbox:
        prefixes = _prefixes(sandbox)
        if request.param == "update":
            for place in range(len(BAD)):
                sandbox.insert("Contacts", {"cf_853": f"k{place}", "lastname": "x"})
        before = sandbox.rows("Contacts")
        records = [_bad_record(n, bad[1], bad[2], prefixes) for n, bad in enumerate(BAD)]
        run = upsert(sandbox, *records, max_rejects=-1, check=False)
        writes = [r for r in sandbox.requests if r.operation in {"create", "update"}]
        yield request.param, run, before, sandbox.rows("Contacts"), writes


@pytest.mark.parametrize(
    "place", range(len(BAD)), ids=[f"{field}={str(value)[:20]}" for _, field, value in BAD]
)
def test_values_that_the_server_would_alter_are_rejected(judged, place):
    how, run, before, after, _ = judged
    code, field, value = BAD[place]
    key = f"k{place}"
    if how == "update" and value is ...:
        assert [line["outcome"] for line in run.of(key)] == ["unchanged"]
        return
    (outcome,) = run.of(key)
    assert outcome["outcome"] == "rejected", outcome
    assert outcome["code"] == code
    assert field in outcome["message"]
    assert [r for r in after if r["cf_853"] == key] == [r for r in before if r["cf_853"] == key]


def test_values_that_are_rejected_are_not_sent(judged):
    assert judged[-1] == []
    assert judged[2] == judged[3]


def test_picklist_values_that_are_unknown_are_allowed_if_set(any_sandbox):
    record = {"cf_853": "k", "lastname": "x", "cf_887": "Purple", "cf_889": ["Omega", "Alpha"]}
    assert upsert(any_sandbox, record, unknown_picklist="allow").tally == {"created": 1}
    assert row(any_sandbox)["cf_887"] == "Purple"
    assert row(any_sandbox)["cf_889"] == "Omega |##| Alpha"
    assert upsert(any_sandbox, record, unknown_picklist="allow").tally == {"unchanged": 1}


def test_picklist_value_that_is_stored_already_is_accepted(sandbox):
    """Such values are in every old database; they hold back no other change."""
    sandbox.insert("Contacts", {"cf_853": "k", "lastname": "x", "cf_887": "Retired value"})
    run = upsert(sandbox, {"cf_853": "k", "lastname": "New", "cf_887": "Retired value"})
    assert run.only["changed"] == ["lastname"]
    assert row(sandbox)["cf_887"] == "Retired value"


def test_owner_who_is_inactive_stops_no_change(any_sandbox):
    patrick = f"{any_sandbox.instance.tables['Users'].prefix}x9"
    any_sandbox.insert("Contacts", {"cf_853": "k", "lastname": "x", "assigned_user_id": patrick})
    run = upsert(any_sandbox, {"cf_853": "k", "phone": "1", "assigned_user_id": patrick})
    assert run.only["changed"] == ["phone"]
    assert row(any_sandbox)["assigned_user_id"] == patrick


@pytest.mark.parametrize(("module", "number"), [("Users", 2), ("Groups", 3)])
def test_owner_may_be_a_user_or_a_group(any_sandbox, module, number):
    owner = f"{any_sandbox.instance.tables[module].prefix}x{number}"
    record = {"cf_853": "k", "lastname": "x", "assigned_user_id": owner}
    assert upsert(any_sandbox, record).tally == {"created": 1}
    assert row(any_sandbox)["assigned_user_id"] == owner
    assert upsert(any_sandbox, record).tally == {"unchanged": 1}


@pytest.mark.parametrize("owner", [None, ...], ids=["null", "absent"])
def test_owner_of_a_new_record_defaults_to_the_api_user(any_sandbox, owner):
    record = {"cf_853": "k", "lastname": "x"} | (
        {} if owner is ... else {"assigned_user_id": owner}
    )
    assert upsert(any_sandbox, record).tally == {"created": 1}
    assert (
        row(any_sandbox)["assigned_user_id"] == f"{any_sandbox.instance.tables['Users'].prefix}x1"
    )


@pytest.mark.parametrize("told", [{}, {"assigned_user_id": None}, {"assigned_user_id": ""}])
def test_owner_of_a_record_stays_when_none_is_given(sandbox, told):
    joe = f"{sandbox.instance.tables['Users'].prefix}x2"
    sandbox.insert("Contacts", {"cf_853": "k", "lastname": "x", "assigned_user_id": joe})
    record = {"cf_853": "k", "phone": "1", **told}
    assert upsert(sandbox, record).only["changed"] == ["phone"]
    assert row(sandbox)["assigned_user_id"] == joe
    assert upsert(sandbox, record).tally == {"unchanged": 1}


def test_defaults_of_the_server_for_null_are_no_difference(any_sandbox):
    """Else an invoice would lose its rate and its currency, and a document its folder."""
    product = any_sandbox.insert("Products", {"productname": "Desk"})
    account = any_sandbox.insert("Accounts", {"accountname": "ACME"})
    bill = {"subject": "F", "account_id": account, "bill_street": "a", "ship_street": "b"}
    bill |= {"hdnTaxType": "group", "LineItems": [{"productid": product, "quantity": 1}]}
    bill |= dict.fromkeys(["currency_id", "conversion_rate", "assigned_user_id"])
    document = {"notes_title": "D", "folderid": None, "assigned_user_id": None}
    streams = matched("Invoice", "subject") | matched("Documents", "notes_title")
    for expected in ("created", "unchanged"):
        run = load(
            any_sandbox,
            messages("Invoice", bill),
            messages("Documents", document),
            streams=streams,
        )
        assert run.tally == {expected: 2}
    (invoice,) = any_sandbox.rows("Invoice")
    assert invoice["currency_id"]
    assert float(invoice["conversion_rate"]) == 1
    assert any_sandbox.rows("Documents")[0]["folderid"]
    run = load(any_sandbox, messages("Invoice", bill | {"hdnTaxType": None}), streams=streams)
    assert run.codes == ["MANDATORY_FIELD_MISSING"]
    assert any_sandbox.rows("Invoice")[0]["hdnTaxType"] == "group"


def test_mandatory_fields_that_are_missing_are_named(sandbox):
    lines = messages("Potentials", {"description": "no name, no date, no stage"})
    run = load(sandbox, lines, load_method="append-only")
    assert run.codes == ["MANDATORY_FIELD_MISSING"]
    for field in ("potentialname", "closingdate", "sales_stage"):
        assert field in run.only["message"]
    assert sandbox.requests.of("create") == []


# Against the schema of the stream

SCHEMA = {"phone": {"type": ["string", "null"]}}


@pytest.mark.parametrize("bad", [{"phone": 33}, {"phone": ["33"]}, {"lastname": True}])
def test_record_that_is_invalid_by_its_schema_is_rejected(sandbox, bad):
    good = {"cf_853": "good", "lastname": "x"}
    lines = messages("Contacts", good, properties=SCHEMA)
    line = {
        "type": "RECORD",
        "stream": "Contacts",
        "record": {"cf_853": "k", "lastname": "x"} | bad,
    }
    run = load(sandbox, lines, json.dumps(line), streams=STREAMS, max_rejects=1)
    assert run.tally == {"created": 1, "rejected": 1}
    assert run.codes == ["INVALID_RECORD"]
    assert [r["cf_853"] for r in sandbox.rows("Contacts")] == ["good"]


def test_required_property_that_is_missing_is_rejected(sandbox):
    schema = json.loads(messages("Contacts", {"cf_853": "", "lastname": "", "phone": ""})[0])
    schema["schema"]["required"] = ["phone"]
    line = {"type": "RECORD", "stream": "Contacts", "record": {"cf_853": "k", "lastname": "x"}}
    run = load(sandbox, json.dumps(schema), json.dumps(line), streams=STREAMS)
    assert run.codes == ["INVALID_RECORD"]


def test_validation_can_be_switched_off(sandbox):
    lines = messages("Contacts", {"cf_853": "k", "lastname": "x"}, properties=SCHEMA)
    line = {
        "type": "RECORD",
        "stream": "Contacts",
        "record": {"cf_853": "k", "lastname": "x", "phone": 33},
    }
    run = load(sandbox, lines, json.dumps(line), streams=STREAMS, validate_records=False)
    assert run.tally == {"created": 1, "updated": 1}
    assert row(sandbox)["phone"] == "33"


def test_dates_and_times_of_a_schema_keep_their_meaning(sandbox):
    """The SDK turns texts with a format into Python values; what is stored is the same."""
    formats = {
        "cf_863": {"type": ["string", "null"], "format": "date"},
        "cf_881": {"type": ["string", "null"], "format": "time"},
    }
    record = {"cf_853": "k", "lastname": "x", "cf_863": "2024-02-29", "cf_881": "14:05:00"}
    lines = messages("Contacts", record, properties=formats)
    assert load(sandbox, lines, streams=STREAMS).tally == {"created": 1}
    assert (row(sandbox)["cf_863"], row(sandbox)["cf_881"]) == ("2024-02-29", "14:05:00")
    assert load(sandbox, lines, streams=STREAMS).tally == {"unchanged": 1}


# What a stream brings along


def test_fields_set_by_the_server_are_ignored(any_sandbox):
    record = {
        "cf_853": "k",
        "lastname": "x",
        "contact_no": "CON999",
        "createdtime": "2001-01-01T00:00:00+00:00",
        "modifiedtime": "2001-01-01T00:00:00+00:00",
        "modifiedby": "19x7",
        "source": "SHOP",
    }
    assert upsert(any_sandbox, record).tally == {"created": 1}
    stored = row(any_sandbox)
    assert stored["contact_no"] == "CON1"
    assert stored["createdtime"] > "2026"
    assert upsert(any_sandbox, record).tally == {"unchanged": 1}


def test_columns_added_by_a_loader_are_ignored(sandbox):
    """Rows of a warehouse carry `_sdc_` columns."""
    record = {
        "cf_853": "k",
        "lastname": "x",
        "_sdc_extracted_at": "2026-01-01T00:00:00Z",
        "_sdc_batched_at": "2026-01-01T00:00:00Z",
        "_sdc_sequence": 1767225600000,
        "_sdc_table_version": None,
        "_sdc_deleted_at": None,
    }
    assert upsert(sandbox, record).tally == {"created": 1}
    assert upsert(sandbox, record, add_record_metadata=True).tally == {"unchanged": 1}


def test_users_cannot_be_changed(sandbox):
    """Updates need the whole record, and nobody may read a user's password."""
    joe = next(row for row in sandbox.rows("Users") if row["user_name"] == "joe")
    same = {"id": joe["id"], "first_name": joe["first_name"]}
    run = load(sandbox, messages("Users", same, same | {"first_name": "Joseph"}), max_rejects=1)
    assert run.tally == {"unchanged": 1, "rejected": 1}
    assert run.codes == ["NOT_WRITABLE"]
    assert write_requests(sandbox) == []


def test_property_missing_from_the_schema_is_not_loaded_and_logged(sandbox):
    lines = messages("Contacts", {"cf_853": "k", "lastname": "x"})
    more = messages("Contacts", {"cf_853": "l", "lastname": "x", "phone": "1"})[1:]
    run = load(sandbox, lines, more, more, streams=STREAMS)
    assert run.stderr.count("SCHEMA message does not contain them: phone.") == 1
