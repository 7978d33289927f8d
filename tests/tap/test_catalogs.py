"""Catalogs: what they select, how streams are replicated, and what the instance has no more."""

from __future__ import annotations

import json
import re

import pytest

from kafinea.errors import SettingsError
from kafinea_sandbox import Sandbox
from tap_kafinea.catalogs import catalog_of
from tests.tap.running import discover, extract, extract_through, parse
from tests.tap.test_settings import ALL, ZONE, run, said, settings  # noqa: F401 `run` is a fixture

FULL, INCREMENTAL = "FULL_TABLE", "INCREMENTAL"


@pytest.fixture(scope="module", params=ALL)
def server(request):
    """A company that no test changes, on each kind of server, with its catalog and a state."""
    with Sandbox(dialect=request.param, rows=50) as sandbox:
        for n in range(30):
            sandbox.insert("Contacts", {"lastname": f"{n}"}, modifiedtime="2020-01-01 00:00:00")
        modules = ["Contacts", "Currency", "Leads"]
        sandbox.catalog = discover(sandbox, modules=modules)
        sandbox.state = extract(sandbox, modules=modules, **ZONE).state
        yield sandbox


def with_metadata(catalog, name="Contacts", **said):
    """The catalog as Meltano's `metadata:` writes it, for a stream or (`*`) for all."""
    catalog = json.loads(json.dumps(catalog))
    for stream in catalog["streams"]:
        if name in {stream["stream"], "*"}:
            root = next(one for one in stream["metadata"] if not one["breadcrumb"])
            root["metadata"] |= {key.replace("_", "-"): value for key, value in said.items()}
    return catalog


def activations(output):
    return [one["stream"] for one in output.messages if one["type"] == "ACTIVATE_VERSION"]


# How streams are replicated


@pytest.mark.parametrize("where", ["replication_method", "forced_replication_method"])
def test_replication_method_full_table_in_catalog_metadata(server, where):
    catalog = with_metadata(server.catalog, **{where: FULL})
    output = extract(server, catalog=catalog, state=server.state, **ZONE)
    assert len(output.ids("Contacts")) == server.count("Contacts")
    assert activations(output) == ["Contacts", "Currency"]


def test_replication_method_in_metadata_overrides_the_entry(server):
    catalog = with_metadata(server.catalog, replication_method=INCREMENTAL)
    catalog["streams"][0]["replication_method"] = FULL
    output = extract(server, catalog=catalog, state=server.state, **ZONE)
    assert len(output.ids("Contacts")) < server.count("Contacts") - 29


@pytest.mark.parametrize(
    ("said_for_all", "warned_of"),
    [
        ({"replication_method": INCREMENTAL}, ["Currency"]),
        ({"replication_method": INCREMENTAL, "replication_key": "modifiedtime"}, ["Currency"]),
        ({"replication_key": "modifiedtime"}, []),
    ],
)
def test_replication_method_incremental_without_modifiedtime_is_a_warning(
    server, said_for_all, warned_of, caplog
):
    catalog = with_metadata(server.catalog, "*", **said_for_all)
    caplog.clear()
    output = extract(server, catalog=catalog, state=server.state, **ZONE)
    warnings = [
        text for text in caplog.messages if INCREMENTAL in text and "has no `modifiedtime`" in text
    ]
    assert [text.partition(":")[0] for text in warnings] == warned_of
    assert len(output.ids("Currency")) == server.count("Currency")
    assert len(output.ids("Contacts")) < server.count("Contacts") - 29


def test_replication_method_incremental_of_list_without_modifiedtime_reads_the_full_table(caplog):
    with Sandbox(rows=50) as sandbox:
        lists = [{"module": "Campaigns", "related": "Contacts"}]
        catalog = discover(sandbox, modules=["Campaigns"], relations=lists)
        found = extract(sandbox, catalog=with_metadata(catalog, "*", replication_method=FULL))
        state = extract(sandbox, catalog=catalog, state=found.state).state
        catalog = with_metadata(catalog, "campaigns_contacts", forced_replication_method=FULL)
        catalog = with_metadata(catalog, "*", replication_method=INCREMENTAL)
        caplog.clear()
        output = extract(sandbox, catalog=catalog, state=state)
        name = "campaigns_contacts"
        assert output.records(name) == found.records(name) != []
        assert [text for text in caplog.messages if INCREMENTAL in text and name in text]


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"replication_key": "createdtime"}, "replication key 'createdtime'"),
        ({"replication_method": "LOG_BASED"}, "replication method 'LOG_BASED'"),
    ],
)
def test_replication_method_that_a_stream_cannot_do_fails_it_alone(server, run, wrong, text):  # noqa: F811
    done = run(settings(server, **ZONE), catalog=with_metadata(server.catalog, **wrong))
    output = parse(done.stdout.splitlines())
    assert done.returncode == 1
    assert output.ids("Contacts") == []
    assert len(output.ids("Leads")) == server.count("Leads")
    (error,) = [line for line in said(done, "ERROR") if "Contacts is not complete" in line]
    assert text in error


# What is selected


def deselected(catalog):
    return with_metadata(catalog, "*", selected=False)


@pytest.mark.parametrize(
    ("change", "texts"),
    [
        (deselected, ["No stream is selected", "Contacts, Currency, Leads"]),
        (lambda _: {"streams": []}, ["Nothing to extract", "tap-kafinea --discover"]),
    ],
    ids=["nothing selected", "an empty catalog"],
)
def test_selection_of_nothing_is_an_error_with_the_available_streams(server, run, change, texts):  # noqa: F811
    done = run(settings(server, **ZONE), catalog=change(server.catalog))
    (error,) = said(done, "ERROR")
    assert done.returncode == 1
    assert done.stdout == ""
    for text in texts:
        assert text in error


def test_selection_of_one_stream_is_enough(server):
    catalog = with_metadata(deselected(server.catalog), "Currency", selected=True)
    output = extract(server, catalog=catalog, **ZONE)
    assert {one["stream"] for one in output.messages if "stream" in one} == {"Currency"}


# What the instance has no more


@pytest.mark.parametrize(
    ("name", "text"),
    [("Contackts", "Did you mean `Contacts`"), ("Qqq", "Available: Accounts, ")],
)
def test_stream_unknown_to_the_instance_fails_alone(server, run, name, text):  # noqa: F811
    catalog = json.loads(json.dumps(server.catalog))
    for stream in catalog["streams"]:
        if stream["stream"] == "Contacts":
            stream |= {"stream": name, "tap_stream_id": name}
    server.requests.clear()
    done = run(settings(server, **ZONE), catalog=catalog)
    output = parse(done.stdout.splitlines())
    assert done.returncode == 1
    assert len(output.ids("Leads")) == server.count("Leads")
    (error,) = [line for line in said(done, "ERROR") if f"{name} is not complete" in line]
    assert f"Module {name!r} not found, or user 'admin' may not read it. {text}" in error
    assert "ACCESS_DENIED" not in done.stderr
    assert len(server.requests.of("describe")) == 0


def test_stream_unknown_and_deselected_is_ignored(server, run):  # noqa: F811
    catalog = json.loads(json.dumps(server.catalog))
    gone = with_metadata({"streams": catalog["streams"][:1]}, "*", selected=False)["streams"][0]
    catalog["streams"].append(gone | {"stream": "Gone", "tap_stream_id": "Gone"})
    done = run(settings(server, **ZONE), catalog=catalog)
    assert done.returncode == 0
    assert "Gone" not in "".join(said(done))


@pytest.mark.parametrize(
    ("module", "dialect"),
    [*(("Contacts", dialect) for dialect in ALL), ("Campaigns", "kafinea"), ("Currency", "stock")],
)
def test_selected_fields_that_no_longer_exist_are_null_with_one_warning(dialect, module, caplog):
    with Sandbox(dialect=dialect, rows=50) as sandbox:
        catalog = discover(sandbox, modules=[module, "Leads"])
        gone = {"Contacts": "title", "Campaigns": "campaigntype", "Currency": "currency_symbol"}
        state = extract(sandbox, catalog=catalog, **ZONE).state
        first = sandbox.rows(module)[0]["id"]
        bookmark = state["bookmarks"][module]
        if until := (bookmark.get("wire") or {}).get("text"):
            # A pass that was broken off: two readings in one run.
            bookmark["pass"] = {"since": None, "until": until, "reached": until, "last_id": first}
        sandbox.redefine(module, without=[gone[module]])
        caplog.clear()
        output = extract(sandbox, catalog=catalog, state=state, **ZONE)
        assert len(output.records(module)) >= sandbox.count(module) - 1
        assert {record[gone[module]] for record in output.records(module)} == {None}
        warnings = [text for text in caplog.messages if gone[module] in text]
        (warning,) = warnings
        assert warning.startswith(f"{module}: these fields are null")
        others = output.records(module)[0].keys() - {gone[module]}
        assert len(others) > 5


@pytest.mark.usefixtures("quick")
def test_field_at_which_the_database_fails_is_named_and_no_value_of_it_lost():
    """Each query for it fails in SQL, which gives `[]`, for a while or for ever."""
    with Sandbox(dialect="stock", rows=50) as sandbox:
        sandbox.faults.add("empty", operation="query", contains="title", times=None)
        output, error = extract_through(sandbox, modules=["Contacts"], **ZONE)
        assert "nothing with these fields: title. Its database fails at them" in str(error)
        assert output.records("Contacts") == []
        sandbox.faults.clear()
        again, error = extract_through(sandbox, modules=["Contacts"], state=output.state, **ZONE)
        assert error is None
        assert len(again.records("Contacts")) == sandbox.count("Contacts")
        assert {one["title"] for one in again.records("Contacts")} != {None}


# What is no catalog, or one of other settings


def test_metadata_may_be_null_and_invalid_property_is_named(server, run):  # noqa: F811
    config = settings(server, **ZONE)
    catalog = json.loads(json.dumps(server.catalog))
    catalog["streams"][0]["metadata"] = None
    done = run(config, catalog=catalog)
    assert (done.returncode, said(done, "ERROR")) == (0, [])
    catalog["streams"][0]["schema"]["properties"]["lastname"] = True
    (error,) = said(run(config, catalog=catalog), "ERROR")
    assert "The catalog is not a Singer catalog" in error


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"stream": []}, "stream"),
        ({"key_properties": [["id"]]}, "key_properties[0]"),
        ({"key_properties": 5}, "key_properties"),
        ({"replication_key": {"x": 1}}, "replication_key"),
        ({"replication_method": ["FULL_TABLE"]}, "replication_method"),
        ({"metadata": 5}, "metadata"),
        ({"metadata": [{"breadcrumb": [[]], "metadata": {}}]}, "metadata[0].breadcrumb[0]"),
        (
            {"metadata": [{"breadcrumb": [], "metadata": {"replication-key": ["x"]}}]},
            "metadata[0].metadata.replication-key",
        ),
        ({"schema": {"properties": {"x": {"type": [[]]}}}}, "schema.properties[...].type[0]"),
        ({"schema": {"properties": {"x": {"items": [5]}}}}, "schema.properties[...].items"),
        ({"schema": {"properties": {"x": {"title": 5}}}}, "schema.properties[...].title"),
    ],
    ids=str,
)
def test_catalog_of_another_shape_is_refused_with_the_place(change, place):
    stream = {"tap_stream_id": "Contacts", "stream": "Contacts", "schema": {"properties": {}}}
    assert catalog_of({"streams": [stream]})
    with pytest.raises(SettingsError, match=re.escape(f" - at `$.streams[0].{place}`. Create")):
        catalog_of({"streams": [stream | change]})


def test_settings_without_stream_in_the_catalog_are_named(tmp_path, run):  # noqa: F811
    more = {
        "relations": [{"module": "Campaigns", "related": "Contacts"}],
        "files": {"enabled": True, "path": str(tmp_path / "files")},
        "deletions": "scan",
        "deletions_path": str(tmp_path / "ids"),
        "dictionary": True,
        "line_items": "table",
    }
    with Sandbox(rows=50) as sandbox:
        config = settings(sandbox, modules=["Documents", "Invoice"], **ZONE)
        older = discover(sandbox, modules=["Documents", "Invoice"])
        newer = discover(sandbox, modules=["Documents", "Invoice"], **more)
        warnings = said(run({**config, **more}, catalog=older))
        named = ["relations", "files.enabled", "deletions", "dictionary", "line_items"]
        assert len(warnings) == len(named)
        for setting, warning in zip(named, warnings, strict=True):
            assert f"`{setting}` has no effect: the catalog has no stream for it" in warning
        assert said(run({**config, **more}, catalog=newer)) == []
        assert said(run(config, catalog=older)) == []
