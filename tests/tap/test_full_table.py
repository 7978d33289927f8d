"""Tables that are read whole: loaders learn which version of their rows is complete."""

from __future__ import annotations

import json
import signal

import pytest
from singer_sdk.singerlib import Catalog

from kafinea.errors import KafineaError, StateError
from kafinea_sandbox import Sandbox
from tap_kafinea.tap import TapKafinea
from tests.commands import start, stop
from tests.tap.running import _Collector, discover, extract, parse, settings

OLD = "2020-01-01 00:00:00"


def whole(sandbox, *modules, **more):
    """A catalog in which modules are read whole."""
    catalog = discover(sandbox, modules=list(modules), **more)
    for stream in catalog["streams"]:
        stream["replication_method"] = "FULL_TABLE"
    return catalog


def contacts(sandbox, state=None, **more):
    return extract(sandbox, state=state, catalog=whole(sandbox, "Contacts"), **more)


def there(sandbox, module="Contacts"):
    return {row["id"] for row in sandbox.rows(module)}


class Loader:
    """What Singer asks of a loader: upsert by key, and drop older versions when told to."""

    def __init__(self):
        self.tables = {}

    def load(self, messages):
        for message in messages:
            table = self.tables.setdefault(message.get("stream"), {})
            if message["type"] == "RECORD":
                table[message["record"]["id"]] = message.get("version")
            elif message["type"] == "ACTIVATE_VERSION":
                for id_, version in list(table.items()):
                    if version is not None and version < message["version"]:
                        del table[id_]
        return self

    def ids(self, stream="Contacts"):
        return set(self.tables.get(stream, {}))


def failing(sandbox, catalog, state, **more):
    """Return what a run writes before it fails."""
    writer = _Collector()
    tap = TapKafinea(
        config=settings(sandbox, **more),
        state=state,
        catalog=Catalog.from_dict(catalog),
        message_writer=writer,
    )
    with pytest.raises(KafineaError):
        tap.sync_all()
    tap.client.close()
    return parse(writer.lines)


def activations(output):
    return [message for message in output.messages if message["type"] == "ACTIVATE_VERSION"]


@pytest.mark.parametrize("sessions", [1, 4])
def test_version_is_activated_after_the_last_record_and_before_the_state(any_sandbox, sessions):
    output = extract(any_sandbox, modules=["Currency", "Leads"], max_sessions=sessions)
    of_currency = [message for message in output.messages if message.get("stream") == "Currency"]
    schema, *records, activation = of_currency
    assert schema["type"] == "SCHEMA"
    assert {record["record"]["id"] for record in records} == there(any_sandbox, "Currency") != set()
    assert {record["version"] for record in records} == {activation["version"]}
    assert activation == {
        "type": "ACTIVATE_VERSION",
        "stream": "Currency",
        "version": output.bookmark("Currency")["version"],
    }
    behind = output.messages[output.messages.index(activation) + 1]
    assert behind["type"] == "STATE"
    assert not behind["value"]["bookmarks"]["Currency"].get("pass")
    assert activations(output) == [activation]  # leads are incremental
    leads = [m for m in output.messages if m["type"] == "RECORD" and m["stream"] == "Leads"]
    assert leads
    assert all(message.get("version") is None for message in leads)


def test_loader_drops_deleted_rows_and_nothing_else(any_sandbox):
    for n in range(250):
        any_sandbox.insert("Contacts", {"lastname": f"{n}"}, modifiedtime=OLD)
    catalog = whole(any_sandbox, "Contacts")
    first = extract(any_sandbox, catalog=catalog)
    loader = Loader().load(first.messages)
    for gone in sorted(there(any_sandbox))[::7]:
        any_sandbox.remove("Contacts", gone)
    any_sandbox.insert("Contacts", {"lastname": "New"})
    second = extract(any_sandbox, catalog=catalog, state=first.state)  # within the same second
    assert second.bookmark("Contacts")["version"] > first.bookmark("Contacts")["version"]
    loader.load(second.messages)
    assert loader.ids() == there(any_sandbox)


def test_empty_table_is_emptied(sandbox):
    catalog = whole(sandbox, "Vendors")
    first = extract(sandbox, catalog=catalog)
    loader = Loader().load(first.messages)
    for id_ in there(sandbox, "Vendors"):
        sandbox.remove("Vendors", id_)
    assert loader.ids("Vendors")
    loader.load(extract(sandbox, catalog=catalog, state=first.state).messages)
    assert loader.ids("Vendors") == set()


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "empty", "contains": "ORDER BY id", "times": None, "nth": 3},
        {"kind": "reset", "contains": "ORDER BY id", "times": None, "nth": 3},
        {"kind": "empty", "contains": "count(*)", "times": None},
        {"kind": "status", "contains": "FROM Contacts", "times": None, "nth": 3, "status": 500},
    ],
    ids=lambda fault: fault["kind"],
)
@pytest.mark.parametrize("sessions", [1, 4])
def test_failed_read_activates_no_version(fault, sessions):
    with Sandbox(rows=50) as sandbox:
        for n in range(450):
            sandbox.insert("Contacts", {"lastname": f"{n}"}, modifiedtime=OLD)
        catalog = whole(sandbox, "Contacts")
        first = extract(sandbox, catalog=catalog)
        loader, everything = Loader().load(first.messages), there(sandbox)
        sandbox.faults.add(operation="query", **fault)
        failed = failing(sandbox, catalog, first.state, max_sessions=sessions)
        assert not activations(failed)
        assert loader.load(failed.messages).ids() == everything
        sandbox.faults.clear()
        loader.load(extract(sandbox, catalog=catalog, state=failed.state).messages)
        assert loader.ids() == everything


def test_transient_faults_cost_no_activation(any_sandbox):
    for n in range(450):
        any_sandbox.insert("Contacts", {"lastname": f"{n}"}, modifiedtime=OLD)
    any_sandbox.faults.add("session", operation="query", nth=3)
    any_sandbox.faults.add("empty", operation="query", contains="ORDER BY id", nth=2)
    any_sandbox.faults.add("reset", operation="query", nth=5)
    output = contacts(any_sandbox)
    assert len(activations(output)) == 1
    assert Loader().load(output.messages).ids() == there(any_sandbox)


def test_unreadable_records_keep_the_loaded_rows(caplog):
    with Sandbox(rows=300) as plain:
        hidden = [int(one.partition("x")[2]) for one in sorted(there(plain))[5:8]]
        visible = contacts(plain)
    with Sandbox(rows=300, hidden={"Contacts": hidden}) as sandbox:
        loader = Loader().load(visible.messages)
        everything = loader.ids()
        del visible.state["bookmarks"]["Contacts"]["url"]  # both are meant to be one
        output = contacts(sandbox, visible.state)
        assert len(output.ids("Contacts")) == len(everything) - 3
        assert not activations(output)
        assert loader.load(output.messages).ids() == everything
        assert "so deleted rows are not removed" in caplog.text


def test_resumed_run_activates_no_version(sandbox):
    catalog = whole(sandbox, "Contacts")
    first = extract(sandbox, catalog=catalog)
    loader = Loader().load(first.messages)
    gone = first.ids("Contacts")[3]
    sandbox.remove("Contacts", gone)
    begun = json.loads(json.dumps(first.state))
    begun["bookmarks"]["Contacts"]["pass"] = {
        "since": None,
        "until": None,
        "reached": None,
        "last_id": first.ids("Contacts")[30],
    }
    rest = extract(sandbox, catalog=catalog, state=begun)
    assert rest.ids("Contacts") == first.ids("Contacts")[31:]
    assert not activations(rest)
    assert loader.load(rest.messages).ids() == there(sandbox) | {gone}
    loader.load(extract(sandbox, catalog=catalog, state=rest.state).messages)
    assert loader.ids() == there(sandbox)


def test_stopped_run_loses_no_row_and_the_next_complete_run_drops_deleted_rows(tmp_path):
    with Sandbox(rows=50, latency_ms=10) as sandbox:
        for n in range(2500):
            sandbox.insert("Contacts", {"lastname": f"{n}"}, modifiedtime=OLD)
        catalog = whole(sandbox, "Contacts")
        loader, state, everything = Loader(), {}, there(sandbox)
        first = extract(sandbox, catalog=catalog)
        loader.load(first.messages)
        gone = sorted(everything)[:20]
        for id_ in gone:
            sandbox.remove("Contacts", id_)

        files = {"config": settings(sandbox), "catalog": catalog, "state": first.state}
        process = start("tap_kafinea", tmp_path, **files)
        lines = [next(process.stdout) for _ in range(1300)]
        killed = parse(lines + stop(process, signal.SIGTERM))
        assert not activations(killed)
        state = killed.states[-1]
        assert state["bookmarks"]["Contacts"]["pass"]["last_id"]

        loader.load(killed.messages)
        assert loader.ids() == everything
        resumed = extract(sandbox, catalog=catalog, state=state)
        assert 0 < len(resumed.ids("Contacts")) < len(there(sandbox))
        assert not activations(resumed)
        assert loader.load(resumed.messages).ids() == everything
        loader.load(extract(sandbox, catalog=catalog, state=resumed.state).messages)
        assert loader.ids() == there(sandbox)


def test_stream_map_renames_the_activate_version_message(sandbox):
    maps = {"Currency": {"__alias__": "currencies"}}
    output = extract(sandbox, modules=["Currency"], stream_maps=maps)
    assert [message["stream"] for message in activations(output)] == ["currencies"]


def test_version_in_an_edited_state_is_refused_or_used(sandbox):
    state = {"bookmarks": {"Currency": {"version": 2_000_000_000}}}
    output = extract(sandbox, modules=["Currency"], state=state)
    assert activations(output)[0]["version"] == 2_000_000_001
    state = {"bookmarks": {"Currency": {"version": "new"}}}
    with pytest.raises(StateError, match="state"):
        extract(sandbox, modules=["Currency"], state=state)
