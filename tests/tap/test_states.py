"""The state that a run is given, and how it is refused where this tap cannot have written it."""

from __future__ import annotations

import json
from copy import deepcopy

import pytest

from kafinea.errors import SettingsError, StateError
from tap_kafinea.states import state_of
from tests.tap.running import command, extract, extract_through, settings

GOOD = {
    "replication_key": "modifiedtime",
    "replication_key_value": "2026-01-01T08:00:00+01:00",
    "wire": {"value": "2026-01-01T08:00:00+01:00", "text": "2026-01-01 08:00:00"},
    "seen_at": "2026-01-01T08:00:00+00:00",
    "settled": False,
    "undated": True,
    "version": 1_800_000_000,
    "pass": {
        "since": None,
        "until": "",
        "reached": "2026-01-01 08:00:00",
        "last_id": "12x5",
        "everything": True,
        "undated": False,
    },
    "unreadable": ["12x5"],
    "url": "https://example.org/webservice.php",
    "timezone": "Europe/Paris",
    "most": 3,
    "newest": 2**31,
    "longer": {"7x1": 4},
    "followed": True,
    "owed": ["15x1"],
    "scanned": {"Contacts": "2026-01-01T08:00:00+00:00"},
    "synced": {"Contacts": 1_800_000_000},
}
ANYTHING = ["x", "", -1, 1.5, 10**30, [], {}, [1], {"x": 1}, ["12x-5"], {"12x5": "x"}, True, 7]
DATES = ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "soon", "\uff12026-01-01"]
WIRES = [
    "2026-1-1 1:1:1",
    "2026-01-01  01:01:01",
    "\uff12026-01-01 01:01:01",
    "0001-01-01 00:00:00",
]
MORE = {
    "replication_key_value": DATES,
    "seen_at": DATES,
    "wire": [{**GOOD["wire"], "text": one} for one in WIRES],
    "pass": [
        *({**GOOD["pass"], key: one} for key in ("since", "until", "reached") for one in WIRES),
        *({**GOOD["pass"], "last_id": one} for one in ("12x-5", "12x" + "9" * 20, 5, "x")),
        {**GOOD["pass"], "further": 1},
        {**GOOD["pass"], "undated": "yes"},
    ],
    "unreadable": [["12x5", 5], ["12x" + "9" * 20]],
    "scanned": [{"Contacts": one} for one in (*DATES, 3, None)],
    "synced": [{"Contacts": one} for one in (10**17, -1, 1.5, "1", None)],
    "longer": [{"7x1": 10**17}, {"x": 1}],
    "progress_markers": ["x", [1], {"x": 1}],
    "partitions": ["x", {"x": 1}, [1]],
}
# What each key may hold besides, of what is tried.
ALSO = {
    **{key: ["x", ""] for key in ("replication_key", "url", "timezone")},
    **{key: [True] for key in ("settled", "undated", "followed")},
    **{key: [7] for key in ("version", "most", "newest")},
    **{key: [[]] for key in ("unreadable", "owed")},
    **{key: [{}] for key in ("pass", "longer", "scanned")},
    "synced": [{}, {"x": 1}],
}


def same(one, other):
    return type(one) is type(other) and one == other


def test_state_of_this_tap_is_accepted():
    assert state_of({"bookmarks": {"Contacts": GOOD}}) == {"bookmarks": {"Contacts": GOOD}}


@pytest.mark.parametrize("key", GOOD)
def test_state_with_unknown_key_is_refused_with_stream_and_key(key):
    right = ALSO.get(key, [])
    wrong = [one for one in ANYTHING if not any(same(one, each) for each in right)]
    for value in [*wrong, *MORE.get(key, [])]:
        with pytest.raises(StateError) as raised:
            state_of({"bookmarks": {"Cont\x1bacts": {**GOOD, key: value}}})
        assert str(raised.value) == (
            f"The state of Cont\\x1bacts contains a {key!r} that this tap did not write. Remove "
            "the entry of Cont\\x1bacts from the state to read this stream from the beginning."
        )


def test_state_of_a_stream_contains_no_module(sandbox):
    state = extract(sandbox, modules=["Contacts"]).state
    assert {"url", "timezone", "wire"} < state["bookmarks"]["Contacts"].keys()
    assert "module" not in state["bookmarks"]["Contacts"]


@pytest.mark.parametrize(
    "state", [[], 0, "", False, {"bookmarks": {}, "x": "\ud800"}, {"bookmarks": {"Contacts": []}}]
)
def test_state_that_is_invalid_is_not_empty(state):
    with pytest.raises(StateError, match="is not a Singer state"):
        state_of(state)


def test_state_file_without_a_state_reads_nothing(sandbox, tmp_path):
    config, state = tmp_path / "config.json", tmp_path / "state.json"
    config.write_text(json.dumps(settings(sandbox)), "utf-8")
    for text in ("", "[]", '{"bookmarks": {"Contacts": {"version": 1e999}}}'):
        state.write_text(text, "utf-8")
        done = command("--config", str(config), "--state", str(state))
        assert (done.returncode, done.stdout) == (1, "")
        assert "Traceback" not in done.stderr


def test_bookmark_in_the_future_is_logged(sandbox, caplog):
    state = extract(sandbox, modules=["Contacts"], timezone="UTC").state
    bookmark = state["bookmarks"]["Contacts"]
    assert "the bookmark in the state is" not in caplog.text
    bookmark["replication_key_value"] = "2999-01-01T00:00:00+00:00"
    output = extract(sandbox, modules=["Contacts"], timezone="UTC", state=state)
    assert output.ids("Contacts") == []
    assert "Contacts: the bookmark in the state is 2999-01-01T00:00:00" in caplog.text


def test_lookback_of_a_million_years_is_refused(sandbox):
    state = extract(sandbox, modules=["Contacts"]).state
    _, error = extract_through(
        sandbox, state=state, modules=["Contacts"], lookback_seconds=3 * 10**8
    )
    assert error is None
    with pytest.raises(SettingsError, match="lookback_seconds"):
        extract(sandbox, state=state, modules=["Contacts"], lookback_seconds=10**12)


def test_schema_says_whether_rows_of_earlier_runs_are_left_out(sandbox):
    """A loader whose table is gone must not take the rows that changed for all of them."""
    config = {"modules": ["Invoice", "Currency"], "line_items": "table", "dictionary": True}

    def continuing(state=None, **more):
        output = extract(sandbox, state=state, **config, **more)
        found = [
            message["stream"]
            for message in output.messages
            if message["type"] == "SCHEMA" and message["schema"].get("x-singer-continues")
        ]
        return output, found

    first, found = continuing()
    assert found == []
    begun = deepcopy(first.state)
    begun["bookmarks"]["Invoice"] = {"pass": GOOD["pass"] | {"last_id": first.ids("Invoice")[0]}}
    for state in (first.state, begun):
        assert continuing(deepcopy(state))[1] == ["Invoice", "InvoiceLineItems"]
    # With the lines in a table for the first time, all documents are read again.
    whole = deepcopy(first.state)
    del whole["bookmarks"]["InvoiceLineItems"]
    assert continuing(whole)[1] == []
    assert continuing({"bookmarks": {}})[1] == []


def test_schema_of_deleted_records_says_it_too(sandbox, tmp_path):
    config = {"modules": ["Contacts"], "deletions": "scan", "deletions_path": str(tmp_path)}
    state = None
    for number in range(2):
        output = extract(sandbox, state=state, **config)
        assert ("x-singer-continues" in output.schema("deleted_records")) is bool(number)
        state = output.state
