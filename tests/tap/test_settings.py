"""Where a run begins: settings, states, time zones, and which modules there are."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import pytest

from kafinea import Unavailable
from kafinea_sandbox import Sandbox
from kafinea_sandbox.errors import ApiError
from kafinea_sandbox.operations.table import OPERATIONS
from tap_kafinea.tap import TapKafinea
from tests.tap.running import command, discover, extract, extract_through, parse, settings

ALL = ("kafinea", "stock", "frevo", "corebos", "legacy")
ZONE = {"timezone": "UTC"}


@pytest.fixture(scope="module", params=ALL)
def server(request):
    """A company that no test changes, on each kind of server."""
    with Sandbox(dialect=request.param, rows=50) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def kafinea():
    with Sandbox(rows=50) as sandbox:
        yield sandbox


@pytest.fixture
def run(tmp_path):
    """Run the command with settings and files, as users do."""

    def run(config, *arguments, env=None, **files):
        paths = []
        for option, content in {"config": config, **files}.items():
            path = tmp_path / f"{option}.json"
            path.write_text(content if isinstance(content, str) else json.dumps(content))
            paths += [f"--{option}", str(path)]
        done = command(*paths, *arguments, env=env or {})
        assert "Traceback" not in done.stderr
        return done

    return run


def said(done, level="WARNING"):
    return [line for line in done.stderr.splitlines() if f"| {level} " in line]


# start_date


@pytest.mark.parametrize("dialect", ALL)
def test_start_date_is_ignored_with_a_bookmark(dialect):
    with Sandbox(dialect=dialect, rows=50) as sandbox:
        catalog = discover(sandbox, modules=["Contacts"])
        state = extract(sandbox, catalog=catalog, **ZONE).state
        changed = [row["id"] for row in sandbox.rows("Contacts")[:7]]
        for one in changed:
            sandbox.change("Contacts", one, {"phone": "+33 1"})
        later = (datetime.now(timezone.utc) + timedelta(days=2)).isoformat()
        output = extract(sandbox, catalog=catalog, state=state, start_date=later, **ZONE)
        assert set(changed) <= set(output.ids("Contacts"))
        assert extract(sandbox, catalog=catalog, start_date=later, **ZONE).ids("Contacts") == []


# States

MESSAGES = {
    "a state": lambda state: state,
    "a whole message": lambda state: {"type": "STATE", "value": state},
}
NO_STATES = {
    "another message": {"type": "RECORD", "stream": "Contacts", "record": {}},
    "of another shape": {"Contacts": "2026-01-01T00:00:00Z"},
    "what Meltano shows": {"singer_state": {"bookmarks": {}}},
    "a list": [{"bookmarks": {}}],
    "a text": '"2026-01-01"',
    "bookmarks that are none": {"bookmarks": ["Contacts"]},
    "a bookmark that is none": {"bookmarks": {"Contacts": "2026-01-01"}},
    "a message of nothing known": {"type": "STATE", "value": {"Contacts": 1}},
}


@pytest.mark.parametrize("wrap", MESSAGES.values(), ids=MESSAGES.keys())
def test_state_may_be_a_whole_message_and_keeps_other_bookmarks(kafinea, run, wrap):
    config = settings(kafinea, modules=["Contacts"], **ZONE)
    state = parse(run(config).stdout.splitlines()).state
    other = {"replication_key": "modifiedtime", "replication_key_value": "2026-01-01T00:00:00Z"}
    state["bookmarks"]["Leads"] = other
    again = parse(run(config, state=wrap(state)).stdout.splitlines())
    assert len(again.records("Contacts")) < kafinea.count("Contacts")
    assert again.bookmark("Leads") == other


@pytest.mark.parametrize("state", ["{}", "null", '{"type": "STATE", "value": {}}'])
def test_state_that_is_empty_starts_from_the_beginning(kafinea, run, state):
    config = settings(kafinea, modules=["Contacts"], **ZONE)
    output = parse(run(config, state=state).stdout.splitlines())
    assert len(output.records("Contacts")) == kafinea.count("Contacts")


@pytest.mark.parametrize("state", NO_STATES.values(), ids=NO_STATES.keys())
def test_state_that_is_invalid_stops_the_run(kafinea, run, state):
    kafinea.requests.clear()
    done = run(settings(kafinea, modules=["Contacts"]), state=state)
    (error,) = said(done, "ERROR")
    assert done.returncode == 1
    assert "is not a Singer state" in error
    assert done.stdout == ""
    assert not kafinea.requests


OF_NO_TAP = {
    "pass": {"until": 5},
    "replication_key_value": 5,
    "unreadable": "8x15",
    "timezone": 5,
}


@pytest.mark.parametrize("key", OF_NO_TAP)
def test_bookmark_with_unknown_key_is_named(kafinea, run, key):
    state = {"bookmarks": {"Contacts": {key: OF_NO_TAP[key]}}}
    done = run(settings(kafinea, modules=["Contacts"], **ZONE), state=state)
    (error,) = said(done, "ERROR")
    assert done.returncode == 1
    assert f"{key!r} that this tap did not write" in error


def test_file_that_is_not_utf_8_is_named(kafinea, tmp_path):
    config, state = tmp_path / "config.json", tmp_path / "state.json"
    config.write_text(json.dumps(settings(kafinea)), "utf-8")
    state.write_text('{"bookmarks": {}}', "utf-16")  # as a shell of Windows writes it
    done = command("--config", str(config), "--state", str(state))
    (error,) = said(done, "ERROR")
    assert "state.json is not JSON: it is not UTF-8 text" in error


# Settings

WRONG = {
    "access_key": ("", "`access_key` is empty"),
    "username": (" ", "`username` is empty"),
    "url": ("https://kafinea.example:99999", "`url` must be the address"),
    "timezone": ("Paris", "is not a known time zone"),
    "page_size": (0, "less than the minimum of 1"),
    "start_date": ("yesterday", "`start_date` 'yesterday' is not a date"),
    "end_date": ("31/12/2026", "`end_date` '31/12/2026' is not a date"),
}


@pytest.mark.parametrize("mode", [[], ["--discover"], ["--test"]])
def test_wrong_settings_are_reported_together_before_any_request(kafinea, run, mode):
    kafinea.requests.clear()
    bookmark = {"replication_key_value": "2026-01-01T00:00:00Z"}
    files = {"state": {"bookmarks": {"Contacts": bookmark}}} if not mode else {}
    wrong = {name: value for name, (value, _) in WRONG.items() if name != "timezone"}
    done = run(settings(kafinea, **wrong), *mode, **files)
    (error,) = said(done, "ERROR")
    assert done.returncode == 1
    for name in wrong:
        assert WRONG[name][1] in error
        assert f"(TAP_KAFINEA_{name.upper()})" in error
    assert "`.env`" in error
    assert not kafinea.requests


@pytest.mark.parametrize(("name", "wrong"), WRONG.items(), ids=WRONG.keys())
def test_wrong_setting_is_named_with_its_variable(kafinea, run, name, wrong):
    (error,) = said(run(settings(kafinea, **{name: wrong[0]})), "ERROR")
    assert wrong[1] in error
    assert f"(TAP_KAFINEA_{name.upper()})" in error


@pytest.mark.parametrize(
    ("variable", "value", "text"),
    [
        ("TAP_KAFINEA_PAGE_SIZE", "many", "TAP_KAFINEA_PAGE_SIZE is not a whole number"),
        ("TAP_KAFINEA_FILES", "on", "TAP_KAFINEA_FILES is not JSON"),
        ("TAP_KAFINEA_RELATIONS", "{", "TAP_KAFINEA_RELATIONS is not JSON"),
        ("TAP_KAFINEA_DICTIONARY", "ture", "TAP_KAFINEA_DICTIONARY is neither true nor false"),
        ("TAP_KAFINEA_DELETIONS_LIMIT", "5%", "(TAP_KAFINEA_DELETIONS_LIMIT)"),
        ("TAP_KAFINEA_DELETIONS_LIMIT", "NaN", "(TAP_KAFINEA_DELETIONS_LIMIT)"),
        ("TAP_KAFINEA_FILES", "true", "`files` is not an object"),
    ],
)
def test_variable_that_cannot_be_read_is_named(kafinea, variable, value, text):
    config = {f"TAP_KAFINEA_{k.upper()}": v for k, v in settings(kafinea).items()}
    done = command("--config", "ENV", env={**config, variable: value})
    (error,) = said(done, "ERROR")
    assert done.returncode == 1
    assert text in error
    assert "Traceback" not in done.stderr


def test_variables_with_numbers_and_blanks_are_read(kafinea):
    config = {f"TAP_KAFINEA_{k.upper()}": v for k, v in settings(kafinea, **ZONE).items()}
    numbers = {"TAP_KAFINEA_DELETIONS_LIMIT": "100", "TAP_KAFINEA_REQUEST_TIMEOUT": "59.5"}
    modules = {"TAP_KAFINEA_MODULES": "Contacts, Leads,"}
    done = command("--config", "ENV", env={**config, **numbers, **modules})
    assert (done.returncode, said(done, "ERROR")) == (0, [])
    output = parse(done.stdout.splitlines())
    assert {one["stream"] for one in output.messages if one["type"] == "SCHEMA"} == {
        "Contacts",
        "Leads",
    }


def test_number_may_be_text_as_meltano_writes_it(kafinea):
    run = extract(kafinea, modules=["Contacts"], request_timeout="59.5", deletions_limit="100")
    assert len(run.ids("Contacts")) == kafinea.count("Contacts")


def test_setting_that_is_null_has_its_default(kafinea, run):
    own = TapKafinea.config_jsonschema["properties"].keys() - {"url", "username", "access_key"}
    nulls = dict.fromkeys([*own, "stream_maps", "flattening_enabled"])
    done = run(settings(kafinea, **{**nulls, "modules": ["Contacts"], **ZONE}))
    assert (done.returncode, said(done, "ERROR")) == (0, [])
    assert len(parse(done.stdout.splitlines()).ids("Contacts")) == kafinea.count("Contacts")


def test_page_size_may_be_written_with_a_point(kafinea, caplog):
    assert extract(kafinea, modules=["Contacts"], page_size=100.0).ids("Contacts")
    assert "Retrying" not in caplog.text


def test_flattening_without_depth_is_reported_with_the_other_settings(kafinea, run):
    (error,) = said(run(settings(kafinea, flattening_enabled=True, access_key="")), "ERROR")
    assert "(TAP_KAFINEA_FLATTENING_MAX_DEPTH)" in error
    assert "`access_key` is empty" in error


@pytest.mark.parametrize("value", [True, "files", ["files"]])
def test_setting_that_should_be_an_object_is_named(kafinea, run, value):
    (error,) = said(run(settings(kafinea, files=value, access_key="")), "ERROR")
    assert "`files` is not an object" in error
    assert "(TAP_KAFINEA_FILES)" in error
    assert "`access_key` is empty" in error


@pytest.mark.parametrize("option", ["config", "state", "catalog"])
@pytest.mark.parametrize("content", ["{", "", "\x1f\x8b", '{"url": }'])
def test_file_that_is_not_json_is_named(kafinea, run, option, content):
    files = {"config": settings(kafinea), option: content}
    done = run(files.pop("config"), **files)
    (error,) = said(done, "ERROR")
    assert done.returncode == 1
    assert f"--{option}" in error
    assert f"{option}.json is not JSON" in error


def test_config_that_is_a_list_of_pairs_is_named(kafinea, run):
    (error,) = said(run("[[null, true]]"), "ERROR")
    assert "config.json is not JSON with settings in it" in error


@pytest.mark.parametrize("option", ["config", "state", "catalog"])
def test_file_with_a_number_that_nothing_holds_is_named(kafinea, run, option):
    files = {"config": settings(kafinea), option: '{"x": 1e99999999999999999999}'}
    (error,) = said(run(files.pop("config"), **files), "ERROR")
    assert f"{option}.json contains a number that is out of range." in error


def test_unknown_setting_is_a_warning_with_the_nearest_name(kafinea, run):
    sdk = {"stream_map_config": {}, "flattening_enabled": False, "batch_config": None}
    config = settings(kafinea, modules=["Tax"], page_sise=50, **ZONE)
    config |= {name: value for name, value in sdk.items() if value is not None}
    done = run(config, env={"TAP_KAFINEA_START_DAT": "2026-01-01"})
    unknown, variable = said(done)
    assert done.returncode == 0
    assert "There is no setting `page_sise`. Did you mean `page_size`?" in unknown
    assert "TAP_KAFINEA_START_DAT" in variable
    assert "TAP_KAFINEA_START_DATE?" in variable


# The time zone


def test_timezone_missing_is_one_warning(kafinea, run):
    config = settings(kafinea, modules=["Contacts", "Leads"])
    (warning,) = said(run(config))
    assert "`timezone` is not set" in warning
    assert "UTC" in warning
    assert "TAP_KAFINEA_TIMEZONE" in warning
    assert said(run(config | ZONE)) == []
    assert said(run(config, "--discover")) == []


@pytest.mark.parametrize("dialect", ALL)
@pytest.mark.parametrize(
    ("of_server", "assumed", "is_doubted"),
    [
        ("Europe/Paris", "UTC", True),
        ("Asia/Tokyo", "Europe/Paris", True),
        ("Asia/Tokyo", "Asia/Tokyo", False),
        ("America/New_York", "America/New_York", False),
    ],
)
def test_timezone_that_is_wrong_shows_in_times_ahead_of_the_server(
    dialect, of_server, assumed, is_doubted, caplog
):
    with Sandbox(dialect=dialect, rows=50, timezone=of_server) as sandbox:
        for module in ("Contacts", "Leads"):
            sandbox.change(module, sandbox.rows(module)[0]["id"], {"phone": "+33 1"})
        extract(sandbox, modules=["Contacts", "Leads"], timezone=assumed)
    doubts = [text for text in caplog.messages if "`timezone` looks wrong" in text]
    assert len(doubts) == is_doubted
    if doubts:
        assert assumed in doubts[0]


def test_timezone_is_not_doubted_for_a_record_of_the_far_future(caplog):
    with Sandbox(rows=50) as sandbox:
        sandbox.insert("Contacts", {"lastname": "x"}, modifiedtime="2099-01-01 00:00:00")
        extract(sandbox, modules=["Contacts"], **ZONE)
    assert "looks wrong" not in caplog.text


def test_timezone_change_since_the_last_run_is_logged_once(kafinea, caplog):
    modules = ["Contacts", "Leads", "Currency"]
    state = extract(kafinea, modules=modules).state
    caplog.clear()
    state = extract(kafinea, modules=modules, state=state, timezone="Europe/Paris").state
    (warning,) = [text for text in caplog.messages if "in the last run" in text]
    assert "Europe/Paris, and was UTC" in warning
    assert "Contacts, Leads" in warning
    assert "Currency" not in warning
    assert "--full-refresh" in warning
    caplog.clear()
    extract(kafinea, modules=modules, state=state, timezone="Europe/Paris")
    assert caplog.messages == [] or "in the last run" not in caplog.text


# Which modules there are


@pytest.mark.parametrize(
    ("modules", "expected"),
    [
        (["*", "!SMSNotifier", "!PBX*"], lambda name: name != "SMSNotifier" and name[:3] != "PBX"),
        (["!P*"], lambda name: name[0] != "P"),
        (["Project*", "!projecttask"], lambda name: name in {"Project", "ProjectMilestone"}),
        (["!A*", "Accounts", "Leads"], lambda name: name == "Leads"),
    ],
)
def test_modules_takes_exclusions(kafinea, modules, expected):
    everything = {one["stream"] for one in discover(kafinea)["streams"]}
    found = {one["stream"] for one in discover(kafinea, modules=modules)["streams"]}
    assert found == set(filter(expected, everything))


def test_modules_exclusion_without_match_is_named_with_the_nearest(kafinea, caplog):
    discover(kafinea, modules=["!SMSNotifer", "!Nothing*", "Tax"])
    (warning,) = [text for text in caplog.messages if "`modules` excludes" in text]
    assert "Did you mean `!SMSNotifier`?" in warning


def test_modules_exclusions_that_leave_nothing_stop_the_run(kafinea, run):
    done = run(settings(kafinea, modules=["!*"]))
    (error,) = said(done, "ERROR")
    assert done.returncode == 1
    assert "`modules` selects no module" in error
    assert "Contacts" in error


def test_module_is_found_by_its_label(kafinea, run):
    (error,) = said(run(settings(kafinea, modules=["Organizations"])), "ERROR")
    assert "Did you mean `Accounts`" in error


def test_module_that_no_longer_exists_fails_alone(server, run):
    config = settings(server, modules=["Leads", "Contackts", "Nope*"], **ZONE)
    catalog = run(config, "--discover")
    assert catalog.returncode == 0
    for files in ({}, {"catalog": catalog.stdout}):
        done = run(config, **files)
        output = parse(done.stdout.splitlines())
        assert done.returncode == 1
        assert len(output.ids("Leads")) == server.count("Leads")
        assert {m["stream"] for m in output.messages if m["type"] == "SCHEMA"} == {"Leads"}
        (meant,) = [line for line in said(done) if "Contackts" in line]
        assert "Did you mean `Contacts`" in meant
        assert "Contackts, Nope*" in said(done, "ERROR")[-1]


def test_module_missing_from_the_catalog_is_a_warning(kafinea, run):
    catalog = run(settings(kafinea, modules=["Leads"]), "--discover").stdout
    done = run(settings(kafinea, modules=["Leads", "Contacts"], **ZONE), catalog=catalog)
    (warning,) = said(done)
    assert done.returncode == 0
    assert "'Contacts' is in `modules`, but not in the catalog" in warning


@pytest.mark.parametrize("with_catalog", [False, True])
def test_module_in_the_state_that_is_no_longer_visible_is_named(with_catalog, caplog):
    with Sandbox(rows=50) as sandbox:
        modules = ["Leads", "Campaigns", "Invoice", "Tax"]
        others = {"relations": [{"module": "Campaigns", "related": "Contacts"}]}
        others |= {"line_items": "table", "dictionary": True}
        state = extract(sandbox, modules=modules, **others).state
        assert {"InvoiceLineItems", "Fields"} <= state["bookmarks"].keys()
    with Sandbox(rows=50, absent=["Campaigns"]) as sandbox:
        for bookmark in state["bookmarks"].values():
            bookmark.pop("url")  # both are meant to be one
        catalog = discover(sandbox, modules=["!Currency"]) if with_catalog else None
        caplog.clear()
        output = extract(sandbox, catalog=catalog, state=state, modules=["!Currency"])
        (warning,) = [text for text in caplog.messages if "can no longer see" in text]
        assert "The state contains Campaigns, but user 'admin'" in warning
        assert output.bookmark("Campaigns") == state["bookmarks"]["Campaigns"]
        # Who leaves a module out does not miss it.
        caplog.clear()
        extract(sandbox, state=state, modules=["Leads"])
        assert "can no longer see" not in caplog.text


def test_module_that_cannot_be_counted_is_named_with_its_exclusion(run):
    with Sandbox(rows=50) as sandbox:
        sandbox.faults.add("empty", operation="query", contains="FROM Campaigns", times=None)
        config = settings(sandbox, modules=["Leads", "C*"], **ZONE)
        done = run(config)
        error = next(line for line in said(done, "ERROR") if "Campaigns is not complete" in line)
        assert done.returncode == 1
        assert 'set `modules` to ["Leads", "C*", "!Campaigns"]' in error
        done = run(config | {"modules": ["Leads", "C*", "!Campaigns"]})
        assert done.returncode == 0


# What cannot be read by design


@pytest.mark.parametrize(("dialect", "rows"), [("kafinea", 0), ("kafinea", 2), ("corebos", 2)])
def test_default_run_exits_with_0_and_logs_what_is_left_out(dialect, rows, run):
    with Sandbox(dialect=dialect, rows=50) as sandbox:
        for n in range(rows):
            tax = {"productid": 3 + n, "taxid": 1, "taxpercentage": "20.000"}
            sandbox.insert("ProductTaxes", tax)
        config = settings(sandbox, **ZONE)
        older = discover(sandbox, modules=["Tax"])["streams"][0]
        done = run(config)
        assert done.returncode == 0
        (line,) = [line for line in said(done, "INFO") if "ProductTaxes" in line]
        assert "left out" in line
        assert not [line for line in said(done) if "ProductTaxes" in line]
        assert '"ProductTaxes"' not in done.stdout

        older |= {"tap_stream_id": "ProductTaxes", "stream": "ProductTaxes"}
        for method in ("FULL_TABLE", None):
            older["replication_method"] = method
            done = run(config, catalog={"streams": [older]})
            output = parse(done.stdout.splitlines())
            assert done.returncode == 0
            assert said(done, "ERROR") == []
            assert output.records("ProductTaxes") == []
            left_out = [line for line in said(done, "INFO") if "ProductTaxes is left out" in line]
            assert len(left_out) == (rows > 0)


DATABASE_FAILS = {
    "status": 200,
    "body": '{"success":false,"error":{"message":"no","code":"DATABASE_QUERY_ERROR"}}',
    "operation": "describe",
    "times": None,
}


@pytest.mark.parametrize("fault", [DATABASE_FAILS, DATABASE_FAILS | {"status": 500, "body": ""}])
def test_module_that_cannot_be_described_stops_no_other(fault, caplog):
    with Sandbox(rows=50) as sandbox:
        sandbox.faults.add("status", contains="Leads", **fault)
        output, error = extract_through(sandbox)
        assert "Leads cannot be described" in str(error)
        assert 'set `modules` to ["*", "!Leads"]' in caplog.text
        assert len(output.ids("Contacts")) == sandbox.count("Contacts")


def test_lines_lose_no_field_because_the_database_fails_at_their_description():
    with Sandbox(rows=50) as sandbox:
        sandbox.faults.add("status", contains="LineItem", **DATABASE_FAILS)
        with pytest.raises(Unavailable, match="describe of LineItem"):
            extract(sandbox, modules=["Invoice"])


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("is_refused", [True, False])
def test_module_that_may_not_be_read_fails_the_run_if_modules_names_it(
    named, is_refused, monkeypatch, caplog
):
    describe = OPERATIONS["describe"]

    def answer(call):
        if is_refused and call.params["elementType"] == "Leads":
            raise ApiError("ACCESS_DENIED", "denied")
        result = describe.run(call)
        return result | {"retrieveable": result["name"] != "Leads"}

    monkeypatch.setitem(OPERATIONS, "describe", describe._replace(run=answer))
    why = 'described: describe of Leads: "denied"' if is_refused else "read by user 'admin'."
    with Sandbox(rows=50) as sandbox:
        output, error = extract_through(sandbox, modules=["Vendors", "LEADS" if named else "L*"])
        assert len(output.ids("Vendors")) == sandbox.count("Vendors")
        assert output.ids("Leads") == []
    if named:
        assert str(error).startswith(f"`modules`: Leads cannot be {why}")
        assert error.is_final
    else:
        assert error is None
        assert f"Leads is left out, because it cannot be {why}" in caplog.text


@pytest.mark.parametrize(
    ("code", "is_left_out"), [("ACCESS_DENIED", True), ("DATABASE_QUERY_ERROR", False)]
)
def test_helper_table_is_left_out_only_if_its_ids_are_refused_for_good(code, is_left_out, caplog):
    caplog.set_level("INFO")
    body = f'{{"success":false,"error":{{"message":"no","code":"{code}"}}}}'
    with Sandbox(rows=50) as sandbox:
        for contains in ("FROM Currency ORDER", "FROM Currency LIMIT"):  # it is counted
            fault = {"contains": contains, "status": 200, "body": body, "times": None}
            sandbox.faults.add("status", operation="query", **fault)
        output, error = extract_through(sandbox, modules=["Currency", "Leads"])
        assert len(output.ids("Leads")) == sandbox.count("Leads")
    assert ("Currency is left out" in caplog.text) == is_left_out == (error is None)
