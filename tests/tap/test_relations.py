"""Related lists as streams: every pair once, whatever the server does, and at what cost."""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter
from copy import deepcopy

import pytest
from singer_sdk.singerlib import Catalog

from kafinea import SettingsError
from kafinea.errors import IncompleteRead, Refused, Unavailable
from kafinea_sandbox import Sandbox
from kafinea_sandbox.operations.table import OPERATIONS
from tap_kafinea.tap import TapKafinea
from tests.commands import start, stop
from tests.conftest import connect
from tests.tap.running import (
    Output,
    _Collector,
    discover,
    extract,
    extract_through,
    parse,
    settings,
)
from tests.target.running import empty

DIALECTS = ("kafinea", "stock", "frevo")  # `legacy` has no related lists
CONTACTS = [{"module": "Campaigns", "related": "Contacts"}]
STREAM = "campaigns_contacts"
OLD = "2020-01-01 00:00:00"
SIZES = (0, 1, 99, 100, 101, 250, 0)


def number(wire_id):
    return int(wire_id.partition("x")[2])


def link(sandbox, source, related, label="Contacts"):
    sandbox.sql("INSERT INTO _relation VALUES (?, ?, ?)", (number(source), number(related), label))


def campaigns(sandbox, *sizes):
    """Campaigns with so many contacts each; the contacts are shared."""
    contacts = [
        sandbox.insert("Contacts", {"lastname": f"{n}"}, modifiedtime=OLD)
        for n in range(max(sizes, default=0))
    ]
    made = []
    for n, size in enumerate(sizes):
        made.append(sandbox.insert("Campaigns", {"campaignname": f"{n}"}, modifiedtime=OLD))
        for contact in contacts[len(contacts) - size :]:
            link(sandbox, made[-1], contact)
    return made


def truth(sandbox, label="Contacts"):
    rows = sandbox.sql("SELECT source, related FROM _relation WHERE label = ?", (label,))
    return Counter((row["source"], row["related"]) for row in rows)


def pairs(output, stream=STREAM):
    return [(number(r["source_id"]), number(r["related_id"])) for r in output.records(stream)]


def only(sandbox, **more):
    """A catalog of the relation alone."""
    catalog = discover(sandbox, modules=["Campaigns"], relations=CONTACTS, **more)
    catalog["streams"] = [one for one in catalog["streams"] if one["tap_stream_id"] == STREAM]
    return catalog


def asked(sandbox):
    counted = Counter(request.operation for request in sandbox.requests)
    return {name: counted[name] for name in counted if "log" not in name and "chal" not in name}


@pytest.fixture
def sandbox():
    with empty() as sandbox:
        yield sandbox


@pytest.mark.parametrize("dialect", DIALECTS)
def test_pairs_are_extracted_once_and_in_order(dialect):
    with empty(dialect=dialect) as sandbox:
        campaigns(sandbox, *SIZES)
        output = extract(sandbox, modules=["Campaigns"], relations=CONTACTS)
        found = pairs(output)
        assert found == sorted(found)
        assert Counter(found) == truth(sandbox)
        assert len(found) == sum(SIZES)
        prefixes = {(r["source_id"][:-1].split("x")[0]) for r in output.records(STREAM)}
        assert prefixes == {sandbox.instance.tables["Campaigns"].prefix}
        assert not [request for request in sandbox.requests if request.overlapped]


@pytest.mark.parametrize("relations", ["all", ["all"]], ids=str)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_related_all_is_every_list_of_the_selected_modules(dialect, relations):
    with Sandbox(dialect=dialect, rows=60) as sandbox:
        output = extract(sandbox, modules=["Campaigns", "PriceBooks"], relations=relations)
        streams = {one["stream"] for one in output.messages if one["type"] == "SCHEMA"}
        assert streams == {
            *("Campaigns", "campaigns_contacts", "campaigns_leads", "campaigns_potentials"),
            *("campaigns_activities", "campaigns_activity_history", "campaigns_accounts"),
            *("PriceBooks", "price_books_products", "price_books_services"),
        }
        assert Counter(pairs(output, "campaigns_leads")) == truth(sandbox, "Leads")
        books = {number(row["id"]) for row in sandbox.rows("PriceBooks")}
        goods = Counter(p for p in truth(sandbox, "Products") if p[0] in books)
        assert Counter(pairs(output, "price_books_products")) == goods


def test_related_all_of_the_demo_company_has_unique_stream_names(sandbox):
    catalog = discover(sandbox, relations="all")
    names = [one["tap_stream_id"] for one in catalog["streams"]]
    assert len(names) == len(set(names)) > 100
    assert {"pbx_manager", "accounts_pbx_manager", "help_desk_documents"} & set(names) == {
        *("accounts_pbx_manager", "help_desk_documents")
    }


def test_related_lists_with_catalog_request_nothing_else(sandbox):
    campaigns(sandbox, 0, 2, 100, 250)
    catalog = only(sandbox)
    sandbox.requests.clear()
    output = extract(sandbox, catalog=catalog, modules=["Campaigns"])
    assert Counter(pairs(output)) == truth(sandbox)
    # The newest change, how many campaigns and their page, and that no more came. Of each list its
    # first page and its count; of the long one three pages more.
    assert asked(sandbox) == {"query": 4, "query_related": 4 * 2 + 3}


def test_related_lists_in_a_catalog_round_trip(sandbox):
    schema = only(sandbox)["streams"][0]["schema"]
    assert schema["title"] == "Campaigns: Contacts"
    assert schema["properties"].keys() == {"source_id", "related_id"}
    assert schema["properties"]["related_id"]["title"] == "Contacts"


@pytest.mark.parametrize(
    ("module", "related", "stream"),
    [
        ("campaigns", "contacts", "campaigns_contacts"),
        ("Accounts", "Sales Order", "accounts_sales_order"),
        ("Accounts", "SalesOrder", "accounts_sales_order"),
        ("Accounts", "activity history", "accounts_activity_history"),
        ("Products", "Products", "products_product_bundles"),
    ],
)
def test_related_list_is_named_by_label_or_module(sandbox, module, related, stream):
    said = {"module": module, "related": related}
    catalog = discover(sandbox, modules=["Leads"], relations=[said, said])
    assert [one["tap_stream_id"] for one in catalog["streams"]] == ["Leads", stream]


@pytest.mark.parametrize(
    ("module", "related", "said"),
    [
        (
            "Campaigns",
            "Invoice",
            "no related list 'Invoice'. Available: Accounts, .*, Contacts, Leads",
        ),
        ("Accounts", "Calendar", "'Activities' or 'Activity History'"),
        (
            "Campagnes",
            "Contacts",
            "Module 'Campagnes' not found, or user .* Did you mean `Campaigns`",
        ),
        ("SMSNotifier", "Contacts", "Available: none."),
    ],
)
def test_related_list_that_is_unknown_is_an_error_at_discovery(sandbox, module, related, said):
    with pytest.raises(SettingsError, match=f"`relations`.*{said}"):
        discover(sandbox, relations=[{"module": module, "related": related}])


def test_related_list_is_tried_by_name_where_the_server_does_not_list_them(sandbox):
    campaigns(sandbox, 3)
    sandbox.faults.add("status", operation="relatedtypes", status=500, times=None)
    output = extract(sandbox, modules=["Campaigns"], relations=CONTACTS)
    assert Counter(pairs(output)) == truth(sandbox)
    for related in ("Invoice", "Nope", "Sales Order"):
        with pytest.raises(SettingsError, match=f"no related list '{related}'"):
            discover(sandbox, relations=[{"module": "Campaigns", "related": related}])
    with pytest.raises(SettingsError, match="List those that you want"):
        discover(sandbox, relations="all")


@pytest.mark.parametrize("relations", [CONTACTS, "all"])
def test_server_without_related_lists_is_an_error_at_discovery(relations):
    with empty(dialect="legacy") as sandbox:
        campaigns(sandbox, 0)
        with pytest.raises(SettingsError, match="`relations`"):
            discover(sandbox, modules=["Campaigns"], relations=relations)


# Runs that follow each other


def test_related_lists_of_changed_records_are_read_again_only(sandbox):
    first, second, third = campaigns(sandbox, 120, 3, 0)
    sandbox.change("Campaigns", third, {}, modifiedtime="2020-01-02 00:00:00")
    run = extract(sandbox, catalog=only(sandbox))
    unseen, seen = (sandbox.insert("Contacts", {"lastname": "New"}) for _ in range(2))
    link(sandbox, first, unseen)  # by another way, which leaves the campaign as it was
    link(sandbox, second, seen)
    sandbox.change("Campaigns", second, {})
    sandbox.requests.clear()
    again = extract(sandbox, catalog=only(sandbox), state=run.state)
    lists = {request.params["id"] for request in sandbox.requests.of("query_related")}
    assert lists == {second, third}  # the last one before is looked at again
    assert {source for source, _ in pairs(again)} == {number(second)}
    assert len(pairs(again)) == 4


def test_pair_added_by_the_api_is_in_the_next_run(sandbox):
    (campaign,) = campaigns(sandbox, 0)
    contact = sandbox.insert("Contacts", {"lastname": "New"})
    run = extract(sandbox, catalog=only(sandbox))
    assert pairs(run) == []
    with connect(sandbox) as client:
        client.add_related(campaign, "Contacts", contact)
    again = extract(sandbox, catalog=only(sandbox), state=run.state)
    assert pairs(again) == [(number(campaign), number(contact))]


def test_related_lists_with_full_table_are_read_in_full(sandbox):
    campaigns(sandbox, 3, 2)
    catalog = only(sandbox)
    catalog["streams"][0]["replication_method"] = "FULL_TABLE"
    state = extract(sandbox, catalog=catalog).state
    output = extract(sandbox, catalog=catalog, state=state)
    assert Counter(pairs(output)) == truth(sandbox)


def test_run_resumes_from_any_state_without_losing_a_pair(sandbox):
    campaigns(sandbox, *([3, 0, 1] * 20))
    catalog = only(sandbox)
    whole = extract(sandbox, catalog=catalog)
    resumed = 0
    for position, message in enumerate(whole.messages):
        if message["type"] != "STATE":
            continue
        begun = message["value"]["bookmarks"].get(STREAM, {}).get("pass")
        if begun:
            resumed += 1
            before = pairs(Output(whole.messages[:position]))
            sandbox.requests.clear()
            again = extract(sandbox, catalog=catalog, state=message["value"])
            assert set(before) | set(pairs(again)) == set(truth(sandbox))
            assert not again.bookmark(STREAM).get("pass")
    assert resumed == 60 // 20


def test_empty_lists_move_the_state(sandbox):
    made = campaigns(sandbox, *([0] * 45))
    states = extract(sandbox, catalog=only(sandbox)).states
    reached = [state["bookmarks"][STREAM].get("pass", {}).get("last_id") for state in states]
    assert reached[:2] == [made[19], made[39]]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_killed_run_resumes_from_its_last_state(tmp_path, how):
    with empty(latency_ms=10) as sandbox:
        campaigns(sandbox, *([2, 0] * 100))
        files = {"config": settings(sandbox), "catalog": only(sandbox)}
        process = start("tap_kafinea", tmp_path, **files)
        lines = [next(process.stdout) for _ in range(100)]
        before = parse(lines + stop(process, how))
        last = before.bookmark(STREAM)["pass"]["last_id"]
        sandbox.requests.clear()
        after = extract(sandbox, catalog=files["catalog"], state=before.state)
        assert set(pairs(before)) | set(pairs(after)) == set(truth(sandbox))
        asked_first = sandbox.requests.of("query_related")[0].params["id"]
        assert number(asked_first) > number(last)


# Misfortunes


@pytest.mark.parametrize("nth", [1, 4])
@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "empty"},
        {"kind": "empty", "contains": "count("},
        {"kind": "empty", "contains": "ORDER BY", "times": 2},
        {"kind": "reset"},
        {"kind": "reset_after"},
        {"kind": "truncate"},
        {"kind": "html"},
        {"kind": "notices"},
        {"kind": "status", "status": 502},
        {"kind": "session", "code": "SESSION_EXPIRED"},
        {"kind": "session", "times": 3},
    ],
    ids=lambda fault: "-".join(map(str, fault.values())),
)
def test_faults_cost_no_pair(sandbox, fault, nth):
    campaigns(sandbox, 0, 2, 101, 0)
    sandbox.faults.add(**fault, operation="query_related", nth=nth)
    output = extract(sandbox, catalog=only(sandbox))
    assert pairs(output) == sorted(truth(sandbox).elements())


@pytest.mark.parametrize("most", [100, 50])
def test_pairs_added_meanwhile_displace_no_others(sandbox, monkeypatch, most):
    """From the other side too, which does not modify the record that has the list."""
    contacts = [sandbox.insert("Contacts", {"lastname": f"{n}"}, OLD) for n in range(210)]
    (source,) = campaigns(sandbox, 0)
    for contact in contacts[60:]:
        link(sandbox, source, contact)
    catalog = only(sandbox)
    query_related = OPERATIONS["query_related"]

    def grow_when_counted(call):
        answer = query_related.run(call)[:most]
        if "count(" in call.params["query"]:
            for contact in contacts[:60]:
                link(sandbox, source, contact)
        return answer

    monkeypatch.setitem(OPERATIONS, "query_related", query_related._replace(run=grow_when_counted))
    assert pairs(extract(sandbox, catalog=catalog)) == sorted(truth(sandbox).elements())


def test_list_that_is_hidden_stops_no_other(caplog):
    with empty() as plain:
        hidden = plain.insert("Contacts", {"lastname": "hidden"})
    with empty(hidden={"Contacts": [number(hidden)]}) as sandbox:
        assert sandbox.insert("Contacts", {"lastname": "hidden"}) == hidden
        first, second, third = campaigns(sandbox, 2, 0, 3)
        link(sandbox, second, hidden)
        output = extract(sandbox, catalog=only(sandbox), max_sessions=1)
    assert Counter(source for source, _ in pairs(output)) == {number(first): 2, number(third): 3}
    assert "1 of 1 records could not be read" in caplog.text


def test_record_deleted_meanwhile_fails_no_run():
    with empty(latency_ms=20) as sandbox:
        made = campaigns(sandbox, *([1] * 40))
        catalog, outputs = only(sandbox), []
        sandbox.requests.clear()
        run = threading.Thread(target=lambda: outputs.append(extract(sandbox, catalog=catalog)))
        run.start()
        while not sandbox.requests.of("query_related"):
            time.sleep(0.001)
        sandbox.remove("Campaigns", made[-1])
        run.join()
        denied = [r for r in sandbox.requests.of("query_related") if r.code == "ACCESS_DENIED"]
        assert [request.params["id"] for request in denied] == [made[-1]]
        assert {source for source, _ in pairs(outputs[0])} == set(map(number, made[:-1]))


def test_list_that_is_refused_stops_no_other_stream(sandbox):
    made = campaigns(sandbox, 1, 1, 1)
    sandbox.faults.add(
        "status", operation="query_related", contains=made[1], status=200, body=DENIED, times=None
    )
    catalog = discover(sandbox, modules=["Campaigns", "Leads"], relations=CONTACTS)
    catalog["streams"].reverse()
    failing(sandbox, made[1], catalog=catalog)
    assert [r for r in sandbox.requests.of("query") if "FROM Leads" in r.params["query"]]


def test_lists_are_read_by_several_sessions():
    with empty(latency_ms=10) as sandbox:
        campaigns(sandbox, *([1] * 40))
        catalog = only(sandbox)
        sandbox.requests.clear()
        output = extract(sandbox, catalog=catalog, max_sessions=3)
        assert pairs(output) == sorted(truth(sandbox).elements())
        requests = sandbox.requests.of("query_related")
        assert len(requests) == 80
        assert len({request.session for request in requests}) == 3
        assert max(request.at_once for request in requests) == 3
        assert not [request for request in sandbox.requests if request.overlapped]


# A list that cannot be read costs one record


DENIED = '{"success":false,"error":{"message":"denied","code":"ACCESS_DENIED"}}'


def failing(sandbox, match, **more):
    """A run that fails at its end; what it wrote."""
    writer = _Collector()
    config = settings(sandbox, **more.pop("config", {}))
    catalog = Catalog.from_dict(more.pop("catalog", None) or only(sandbox))
    tap = TapKafinea(config=config, catalog=catalog, message_writer=writer, **more)
    with pytest.raises(IncompleteRead, match=match):
        tap.sync_all()
    tap.client.close()
    return parse(writer.lines)


@pytest.mark.parametrize(
    ("dialect", "fault"),
    [
        *((dialect, {"kind": "status", "status": 200, "body": DENIED}) for dialect in DIALECTS),
        ("kafinea", {"kind": "status", "status": 500}),
        ("kafinea", {"kind": "html"}),
        ("kafinea", {"kind": "truncate"}),
    ],
)
def test_unreadable_list_is_named_and_requested_again(dialect, fault, caplog):
    with empty(dialect=dialect) as sandbox:
        made = campaigns(sandbox, *([2, 1] * 15))
        sandbox.change("Campaigns", made[20], {}, modifiedtime="2020-01-02 00:00:00")
        bad = made[7]
        sandbox.faults.add(**fault, operation="query_related", contains=bad, times=None)
        output = failing(sandbox, f"1 record could not be read completely: {bad}.")
        assert set(pairs(output)) == {p for p in truth(sandbox) if p[0] != number(bad)}
        assert caplog.text.count(f"Campaigns: {bad} is incomplete, Contacts is null") == 1
        assert output.bookmark(STREAM)["unreadable"] == [bad]
        assert output.bookmark(STREAM)["replication_key_value"].startswith("2020-01-02")
        assert len([r for r in sandbox.requests.of("query_related") if r.params["id"] == bad]) <= 8

        again = failing(sandbox, f"read completely: {bad}", state=deepcopy(output.state))
        assert again.bookmark(STREAM)["unreadable"] == [bad]

        sandbox.faults.clear()
        sandbox.requests.clear()
        mended = extract(sandbox, catalog=only(sandbox), state=again.state)
        asked_for = {r.params["id"] for r in sandbox.requests.of("query_related")}
        assert asked_for == {bad, made[20]}
        assert {p for p in pairs(mended) if p[0] == number(bad)} == {
            p for p in truth(sandbox) if p[0] == number(bad)
        }
        assert "unreadable" not in mended.bookmark(STREAM)


def test_unreadable_list_has_fewer_records_than_counted(sandbox, caplog):
    first, second, _ = campaigns(sandbox, 2, 3, 0)
    sandbox.faults.add("empty", operation="query_related", contains="SELECT id", nth=2, times=None)
    output = failing(sandbox, second, config={"max_sessions": 1})
    assert {source for source, _ in pairs(output)} == {number(first)}
    assert f"{second} is incomplete, Contacts is null: {second}: Contacts" in caplog.text
    assert output.bookmark(STREAM)["unreadable"] == [second]


def test_server_outage_marks_no_list_as_unreadable(sandbox, caplog):
    campaigns(sandbox, *([1] * 10))
    catalog = only(sandbox)
    sandbox.faults.add("status", status=500, operation="query_related", nth=5, times=None)
    sandbox.faults.add("status", status=500, operation="listtypes", times=None)
    with pytest.raises(Unavailable, match="listtypes"):
        extract(sandbox, catalog=catalog)
    assert "cannot be read" not in caplog.text


@pytest.mark.parametrize("fault", [{"kind": "status", "status": 503}, {"kind": "reset"}])
def test_server_without_room_marks_no_list_as_unreadable(sandbox, fault, caplog):
    campaigns(sandbox, *([1] * 5))
    catalog = only(sandbox)
    sandbox.faults.add(**fault, operation="query_related", nth=3, times=None)
    output, error = extract_through(sandbox, catalog=catalog, max_sessions=1)
    assert isinstance(error, Unavailable)
    assert "unreadable" not in output.bookmark(STREAM)
    assert "is incomplete" not in caplog.text
    sandbox.faults.clear()
    again = extract(sandbox, catalog=catalog, state=output.state)
    assert {*pairs(output), *pairs(again)} == {*truth(sandbox)}


def test_list_of_several_pages_with_hidden_records_is_told(caplog):
    with empty() as plain:
        people = [plain.insert("Contacts", {"lastname": f"{n}"}, OLD) for n in range(150)]
    hidden = [number(person) for person in people[-3:]]
    with empty(hidden={"Contacts": hidden}) as sandbox:
        for n in range(150):
            sandbox.insert("Contacts", {"lastname": f"{n}"}, OLD)
        (source,) = campaigns(sandbox, 0)
        for person in people:
            link(sandbox, source, person)
        output = extract(sandbox, catalog=only(sandbox))
        assert pairs(output) == sorted(p for p in truth(sandbox) if p[1] not in hidden)
    assert "Contacts of a Campaigns: 3 of 150 records could not be read" in caplog.text


def test_transient_fault_costs_no_list(sandbox):
    """Twice at a list is enough to ask whether the server is there; then it is asked once more."""
    campaigns(sandbox, *([1] * 10))
    sandbox.faults.add("status", status=500, operation="query_related", nth=5, times=2)
    output = extract(sandbox, catalog=only(sandbox), max_sessions=1)
    assert Counter(pairs(output)) == truth(sandbox)


def test_unreadable_lists_above_the_limit_end_the_stream(sandbox, monkeypatch):
    monkeypatch.setattr("kafinea.recovery.MOST_BAD", 5)
    campaigns(sandbox, *([1] * 30))
    catalog = only(sandbox)
    sandbox.faults.add("status", status=500, operation="query_related", times=None)
    sandbox.requests.clear()
    failing(sandbox, "failed at 5 records", catalog=catalog, config={"max_sessions": 1})
    assert len({r.params["id"] for r in sandbox.requests.of("query_related")}) < 15


def test_list_that_no_longer_exists_is_one_error(sandbox):
    campaigns(sandbox, *([1] * 10))
    catalog = only(sandbox)
    body = DENIED.replace("ACCESS_DENIED", "UNKOWN_ENTITY")
    sandbox.faults.add("status", operation="query_related", status=200, body=body, times=None)
    with pytest.raises(Refused, match="UNKOWN_ENTITY"):
        extract(sandbox, catalog=catalog, max_sessions=1)
    assert len(sandbox.requests.of("query_related")) < 10


@pytest.mark.parametrize("relations", ["all", [{"module": "Campaigns", "related": "Contacts"}]])
def test_server_without_related_lists_is_an_error_and_not_empty(relations):
    expected = pytest.raises(SettingsError, match="`relations`: ")
    with Sandbox(dialect="corebos", rows=50) as sandbox, expected:
        extract(sandbox, modules=["Campaigns"], relations=relations)
