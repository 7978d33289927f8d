"""One outcome per record: counted, written down, and for rejects ready to be loaded again."""

from __future__ import annotations

import json
import re
import threading
import time
from contextlib import contextmanager
from functools import partial
from itertools import count
from types import SimpleNamespace

import pytest

from tests.target.running import (
    Files,
    command,
    empty,
    in_process,
    load,
    matched,
    messages,
    state,
    write_requests,
)

STREAMS = matched("Contacts", "cf_853")
GONE = "2026-01-01T00:00:00Z"


def upsert(sandbox, *records, **more):
    more.setdefault("streams", STREAMS)
    return load(sandbox, messages("Contacts", *records), **more)


def good(key, **values):
    return {"cf_853": key, "lastname": f"Name {key}", **values}


def bad(key):
    return good(key, cf_863="no date")


def keys(sandbox):
    return {row["cf_853"] for row in sandbox.rows("Contacts")}


def all_five(sandbox):
    """Records that end in each of the five ways."""
    for key in ("updated", "unchanged", "deleted"):
        sandbox.insert("Contacts", good(key))
    return [
        good("created", _sdc_deleted_at=None),
        good("updated", phone="1"),
        good("unchanged"),
        good("deleted", _sdc_deleted_at=GONE),
        bad("rejected"),
    ]


def test_outcomes_of_each_kind_are_counted_and_reported(sandbox):
    run = upsert(sandbox, *all_five(sandbox), hard_delete=True)
    ids = {row["cf_853"]: row["id"] for row in sandbox.rows("Contacts")}
    for key in ("created", "updated", "unchanged", "deleted", "rejected"):
        (line,) = run.of(key)
        assert line["outcome"] == key
        assert line["changed"] == (["phone"] if key == "updated" else [])
        if key in ids:
            assert line["id"] == ids[key]
    assert run.of("rejected")[0]["id"] is None
    assert run.of("rejected")[0]["code"] == "INVALID_VALUE"
    assert "Contacts: 1 created, 1 updated, 1 unchanged, 1 deleted, 1 rejected" in run.stderr


def test_summary_has_a_line_for_each_stream(sandbox):
    run = load(
        sandbox,
        messages("Contacts", good("a"), good("b")),
        messages("Accounts", {"accountname": "ACME"}),
        messages("Leads"),
        streams={**STREAMS, **matched("Accounts", "accountname")},
    )
    assert run.summary == {"Contacts": {"created": 2}, "Accounts": {"created": 1}}


def test_summary_is_logged_when_the_run_fails(sandbox):
    run = load(
        sandbox, messages("Contacts", good("a")), "this is no message", streams=STREAMS, check=False
    )
    assert run.code == 1
    assert run.summary.get("Contacts", {}) == ({"created": 1} if keys(sandbox) else {})


def test_report_files_are_optional(sandbox):
    run = upsert(sandbox, bad("a"), check=False, outcomes_path=None, rejects_path=None)
    assert (run.code, run.outcomes, run.rejects) == (1, [], [])
    assert run.summary == {"Contacts": {"rejected": 1}}


def test_progress_is_logged_every_few_seconds(sandbox, monkeypatch):
    """By clocks that advance two seconds whenever they are read."""
    for place in ("kafinea.progress.time", "target_kafinea.report.time"):
        monkeypatch.setattr(place, SimpleNamespace(monotonic=partial(next, count(0, 2))))
    run = upsert(sandbox, *[good(f"{n}") for n in range(30)])
    lines = run.stderr.splitlines()
    assert len([line for line in lines if "Contacts " in line and " of " in line]) >= 2
    assert len([line for line in lines if "created, " in line]) >= 2


# Exit codes


@pytest.mark.parametrize(
    ("max_rejects", "rejects", "code"),
    [(0, 0, 0), (0, 1, 1), (2, 2, 0), (2, 3, 1), (-1, 3, 0)],
)
def test_exit_code_is_1_above_max_rejects(sandbox, max_rejects, rejects, code):
    records = [bad(f"bad {n}") for n in range(rejects)] + [good("good")]
    run = upsert(sandbox, *records, max_rejects=max_rejects)
    assert run.code == code
    assert keys(sandbox) == {"good"}
    assert len(run.errors) == code
    if code:
        assert "max_rejects" in run.errors[0]


@pytest.mark.parametrize(
    ("max_rejects", "percent", "code"), [(0, 20, 0), (0, 19.9, 1), (2, 1, 0), (1, 1, 1), (-1, 1, 0)]
)
def test_run_fails_above_both_max_rejects_and_its_percentage(sandbox, max_rejects, percent, code):
    records = [bad("bad 1"), bad("bad 2"), *[good(f"{n}") for n in range(8)]]
    more = {"max_rejects": max_rejects, "max_rejects_percent": percent, "check": False}
    run = upsert(sandbox, *records, **more)
    assert run.code == code
    assert run.tally == {"created": 8, "rejected": 2}
    assert len(run.errors) == code
    if code:
        assert f"`max_rejects` ({max_rejects}) and `max_rejects_percent` ({percent:g} %)" in str(
            run.errors
        )


@pytest.mark.parametrize("max_rejects", [-1, 10, 0])
def test_stream_of_rejects_only_fails_the_run(sandbox, max_rejects):
    """With max_rejects at 0 the run stops there; else the other streams are loaded."""
    accounts = messages("Accounts", {"accountname": "ACME"})
    streams = {**STREAMS, **matched("Accounts", "accountname")}
    lines = [messages("Contacts", bad("a"), bad("b")), accounts, messages("Leads")]
    run = load(sandbox, *lines, streams=streams, max_rejects=max_rejects, check=False)
    assert run.code == 1
    (error,) = run.errors
    if max_rejects:
        assert "Stream 'Contacts': all of its records were rejected (2)." in error
        assert "Accounts" not in error
        assert sandbox.count("Accounts") == 1


def test_records_read_are_loaded_before_max_rejects_ends_the_run(sandbox):
    """Also over several batches: what has no outcome is not claimed by a state."""
    lines = messages("Contacts", *[bad(f"{n}") if n == 20 else good(f"{n}") for n in range(520)])
    lines = lines[:1] + [
        one for n, line in enumerate(lines[1:]) for one in (line, state({"done": n}))
    ]
    run = load(sandbox, lines, streams=STREAMS, batch_size_rows=400)
    assert run.code == 1
    with_outcome = {line["key"]["cf_853"] for line in run.outcomes}
    claimed = max((one["done"] for one in run.states), default=-1)
    assert {f"{n}" for n in range(claimed + 1)} <= with_outcome
    assert keys(sandbox) == with_outcome - {"20"}
    assert len(with_outcome) >= 400


def test_state_is_emitted_as_read_after_the_records_before_it(sandbox):
    value = {"bookmarks": {"x": {"replication_key_value": "2026-01-01", "ü": [1, None, 0.5]}}}
    run = load(sandbox, messages("Contacts", good("a"), state=value), streams=STREAMS)
    assert run.states == [value]


def test_stdout_has_states_only(sandbox):
    run = upsert(sandbox, good("a"), bad("b"))
    assert run.stdout == ""


# The rejects file


def test_rejects_are_singer_messages_as_read(sandbox):
    properties = {"cf_855": {"type": ["number", "null"]}, "nested": {"type": "object"}}
    shop = {
        "module": "Contacts",
        "match_on": "cf_853",
        "fields": {"ref": "cf_853", "nested": None},
    }
    record = {
        "ref": "a",
        "lastname": "Müller",
        "cf_863": "no date",
        "cf_855": 1234.5,
        "phone": None,
        "nested": {"deep": [1, 2.5]},
    }
    lines = messages("shop", record, key=["ref"], properties=properties)
    run = load(sandbox, lines, streams={"shop": shop})
    schema, reject = run.rejects
    assert schema == json.loads(lines[0])
    assert reject["record"] == record
    assert (reject["type"], reject["stream"]) == ("RECORD", "shop")
    assert reject["code"] == "INVALID_VALUE"
    assert "cf_863" in reject["message"]


def test_rejects_keep_the_digits_of_numbers(sandbox, tmp_path):
    files = Files(tmp_path)
    schema = messages("Contacts", {"cf_853": "", "lastname": "", "cf_863": "", "cf_855": 0.5})[0]
    line = (
        '{"type": "RECORD", "stream": "Contacts", "record": {"cf_853": "a", "lastname": "x",'
        ' "cf_863": "no date", "cf_855": 90071992547409.93}}'
    )
    path = str(files.path("rejects"))
    load(sandbox, schema, line, streams=STREAMS, rejects_path=path, check=False)
    assert '"cf_855": 90071992547409.93' in files.path("rejects").read_text("utf-8").replace(
        '"cf_855":9', '"cf_855": 9'
    )


def test_rejects_follow_the_schema_they_were_read_with(sandbox):
    first = messages("Contacts", bad("a"))
    second = messages("Contacts", bad("b") | {"phone": "1"})
    run = load(sandbox, first, second, streams=STREAMS, max_rejects=2)
    kinds = [(one["type"], one.get("record", {}).get("cf_853")) for one in run.rejects]
    assert kinds == [("SCHEMA", None), ("RECORD", "a"), ("SCHEMA", None), ("RECORD", "b")]
    assert "phone" in run.rejects[2]["schema"]["properties"]


@pytest.mark.parametrize(
    "reject",
    [bad("a"), good("a", cf_887="Purple"), good("a", account_id="9x9"), {"cf_853": "a"}],
    ids=["value", "picklist", "reference", "mandatory"],
)
def test_rejects_file_that_was_corrected_can_be_loaded(sandbox, tmp_path, reject):
    files = Files(tmp_path)
    config = files.config(sandbox, streams=STREAMS)
    source = files.input([messages("Contacts", reject, good("b"), properties={"lastname": {}})])
    first = command("--config", config, "--input", source)
    assert first.returncode == 2, first.stderr
    assert keys(sandbox) == {"b"}

    corrected = []
    for line in files.lines("rejects"):
        if line["type"] == "RECORD":
            line["record"] = good("a")
        corrected.append(json.dumps(line))
    run = load(sandbox, corrected, streams=STREAMS)
    assert run.tally == {"created": 1}
    assert keys(sandbox) == {"a", "b"}


def test_rejects_file_is_never_overwritten_by_the_run_that_reads_it(sandbox, tmp_path):
    """Who corrects `rejects.jsonl` and loads it with the same settings loses nothing."""
    files = Files(tmp_path)
    lines = messages("Contacts", good("a"), bad("b"))
    path = files.path("rejects")
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    config = files.config(sandbox, streams=STREAMS)
    done = command("--config", config, "--input", str(path))
    assert "Traceback" not in done.stderr
    left = files.lines("rejects")
    assert keys(sandbox) | {one["record"]["cf_853"] for one in left if "record" in one} == {
        "a",
        "b",
    }


def test_rejects_of_an_earlier_run_are_renamed_and_not_lost(sandbox, tmp_path):
    files = Files(tmp_path)
    nameless = {"cf_853": "a", "lastname": None}
    some = messages("Contacts", nameless, good("b"))
    none = messages("Contacts", good("b"))
    for lines in (some, none, some, none):
        config = files.config(sandbox, streams=STREAMS, max_rejects=-1)
        assert in_process(["--config", config, "--input", files.input(lines)])[0] == 0
    aside = [path for path in tmp_path.glob("rejects.jsonl.*") if path.stat().st_size]
    assert len(aside) == 2
    assert all(
        json.loads(path.read_text().splitlines()[1])["record"]["cf_853"] == "a" for path in aside
    )
    assert files.lines("rejects") == []


def test_rejects_loaded_and_rejected_again_have_new_marks(sandbox):
    schema, line = messages("Contacts", bad("a"))
    marked = json.dumps({**json.loads(line), "code": "OLD", "message": "old"})
    run = load(sandbox, schema, marked, streams=STREAMS)
    assert run.rejects[-1]["code"] == "INVALID_VALUE"
    assert run.rejects[-1]["message"] != "old"


# Dry runs


def test_dry_run_reports_all_and_writes_nothing(any_sandbox):
    records = all_five(any_sandbox)
    before = any_sandbox.rows("Contacts")
    run = upsert(any_sandbox, *records, hard_delete=True, dry_run=True)
    assert write_requests(any_sandbox) == []
    assert any_sandbox.rows("Contacts") == before
    assert run.code == 1
    said = [(line["key"], line["outcome"], line["changed"]) for line in run.outcomes]
    real = upsert(any_sandbox, *records, hard_delete=True)
    done = [(line["key"], line["outcome"], line["changed"]) for line in real.outcomes]
    assert sorted(said, key=str) == sorted(done, key=str)
    assert run.summary == real.summary
    assert run.rejects == real.rejects


def test_dry_run_is_named_in_each_line_of_the_log(sandbox):
    lines = [messages("Contacts", good("a")), messages("Accounts", {"accountname": "ACME"})]
    streams = {**STREAMS, **matched("Accounts", "accountname")}
    run = load(sandbox, *lines, streams=streams, dry_run=True)
    said = [line.split(" | ")[-1] for line in run.stderr.splitlines() if "dry run" in line]
    assert said[4].startswith("dry run: Server: ")
    counts = "created, 0 updated, 0 unchanged, 0 deleted, 0 rejected"
    assert [re.sub(r", \d+ requests, \d+\.\d s", "", line) for line in said] == [
        "This is a dry run: nothing will be written to Kafinea.",
        f"dry run: Contacts: 1 {counts}",
        f"dry run: Accounts: 1 {counts}",
        f"dry run: Total of 2 streams: 2 {counts}",
        said[4],
        "End of the dry run: nothing was written to Kafinea.",
    ]
    assert "dry run" not in load(sandbox, *lines, streams=streams).stderr


def test_dry_run_creates_no_references(sandbox):
    to_account = {"module": "Accounts", "match_on": "accountname", "create": True}
    streams = matched("Contacts", "cf_853", references={"account_id": to_account})
    records = [good(f"{n}", account_id="ACME") for n in range(3)]
    run = upsert(sandbox, *records, streams=streams, dry_run=True)
    assert run.tally == {"created": 3}
    assert write_requests(sandbox) == []
    assert upsert(sandbox, *records, streams=streams).tally == {"created": 3}


def test_dry_run_finds_what_it_would_have_created(sandbox):
    """Later records of the same key, and references to it, end as they would in a real run."""
    to_account = {"module": "Accounts", "match_on": "accountname"}
    streams = {
        **matched("Contacts", "cf_853", references={"account_id": to_account}),
        **matched("Accounts", "accountname"),
    }
    lines = [
        messages("Accounts", {"accountname": "ACME"}),
        messages("Contacts", good("a", account_id="ACME"), good("a", account_id="ACME", phone="1")),
    ]
    dry = load(sandbox, *lines, streams=streams, dry_run=True)
    assert write_requests(sandbox) == []
    real = load(sandbox, *lines, streams=streams)
    assert dry.summary == real.summary


def test_dry_run_finds_by_id_what_it_would_have_changed(sandbox):
    stored = sandbox.insert("Contacts", good("a"))
    first, gone = {"id": stored, "phone": "1"}, {"id": stored, "_sdc_deleted_at": "2026-01-01"}
    records = [first, first, {"id": stored, "phone": "2"}, gone, gone, first]
    options = {"hard_delete": True, "max_rejects": 1}
    dry = upsert(sandbox, *records, dry_run=True, **options)
    assert (write_requests(sandbox), dry.codes) == ([], ["NOT_FOUND"])
    real = upsert(sandbox, *records, **options)
    expected = {"updated": 2, "unchanged": 2, "deleted": 1, "rejected": 1}
    assert (dry.tally, real.tally) == (expected, expected)


def test_dry_run_finds_by_another_key_what_it_would_have_changed(sandbox):
    """Each of two streams needs fields that the other does not."""
    for key in "ab":
        sandbox.insert("Contacts", good(key, email=f"{key}@example.com", title="Dr"))
    streams = {
        "by_code": {"module": "Contacts", "match_on": "cf_853"},
        "by_email": {"module": "Contacts", "match_on": "email"},
    }
    codes = [{"cf_853": "a", "phone": "1"}, {"cf_853": "b", "phone": "1", "email": "c@example.com"}]
    emails = [
        {"email": f"{key}@example.com", "phone": "1", "title": title, "lastname": "New"}
        for key, title in (("a", "Pr"), ("b", "Dr"), ("c", "Dr"))
    ]
    del emails[2]["lastname"]
    lines = [messages("by_code", *codes), messages("by_email", *emails)]
    dry = load(sandbox, *lines, streams=streams, dry_run=True)
    assert write_requests(sandbox) == []
    real = load(sandbox, *lines, streams=streams)
    assert [sorted(run.tally.items()) for run in (dry, real)] == [
        [("created", 1), ("unchanged", 1), ("updated", 3)]
    ] * 2


def test_dry_run_emits_no_state(sandbox):
    """What a state claims would never be loaded."""
    lines = messages("Contacts", good("a"), state={"done": 1})
    assert load(sandbox, lines, streams=STREAMS, dry_run=True).states == []


# Sessions


@contextmanager
def most_at_once(sandbox, operation):
    """Watch how many requests of an operation are under way at the same time."""
    seen, stop = [0], threading.Event()

    def watch():
        while not stop.wait(0.001):
            seen.append(sum(r.status is None for r in sandbox.requests.of(operation)))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield lambda: max(seen)
    finally:
        stop.set()
        watcher.join()


@pytest.mark.parametrize("sessions", [1, 2, 4])
def test_sessions_bound_the_concurrent_writes(sessions):
    with empty(latency_ms=20) as sandbox:
        with most_at_once(sandbox, "create") as most:
            records = [good(f"{n}") for n in range(40)]
            assert upsert(sandbox, *records, max_sessions=sessions).tally == {"created": 40}
        assert most() == sessions
        assert len({r.session for r in sandbox.requests if r.session}) <= sessions
        assert len(sandbox.requests.of("login")) <= sessions


@pytest.mark.parametrize(
    ("module", "serial"),
    [("Invoice", None), ("Invoice", []), ("Quotes", ["Quotes"]), ("Quotes", None)],
)
def test_records_with_lines_are_written_one_at_a_time(module, serial):
    """Parallel creates make duplicate numbers, and records that lack lines."""
    with empty(latency_ms=15) as sandbox:
        account = sandbox.insert("Accounts", {"accountname": "ACME"})
        product = sandbox.insert("Products", {"productname": "Desk"})
        record = {"account_id": account, "bill_street": "a", "ship_street": "b"}
        record |= {"hdnTaxType": "group", "quotestage": "Created"}
        record |= {"LineItems": [{"productid": product, "quantity": 1, "listprice": 1}]}
        if module == "Invoice":
            del record["quotestage"]
        lines = messages(module, *[{"subject": f"{n}", **record} for n in range(40)])
        more = {} if serial is None else {"serial_modules": serial}
        with most_at_once(sandbox, "create") as most:
            load(sandbox, lines, streams=matched(module, "subject"), max_sessions=4, **more)
        assert most() == 1
        assert sandbox.count(module) == 40
        number = {"Invoice": "invoice_no", "Quotes": "quote_no"}[module]
        rows = {row["subject"]: row[number] for row in sandbox.rows(module)}
        prefix = {"Invoice": "INV", "Quotes": "QUO"}[module]
        assert rows == {f"{n}": f"{prefix}{n + 1}" for n in range(40)}


def test_sessions_are_logged_out_at_the_end(sandbox):
    upsert(sandbox, *[good(f"{n}") for n in range(20)])
    time.sleep(0.05)
    logins = len(sandbox.requests.of("login"))
    assert logins == len(sandbox.requests.of("logout")) > 0
