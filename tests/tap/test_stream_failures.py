"""What goes wrong in one stream stays there: one line, the other streams, exit code 1."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from kafinea_sandbox import Sandbox
from tests.stored_documents import stored_files
from tests.tap.running import command, discover, extract, parse, program, settings

MODULES = ["Accounts", "Contacts", "Leads"]


@pytest.fixture
def files(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.write_text(json.dumps(content), "utf-8")
        return str(path)

    return write


def errors(done):
    return [line.partition("ERROR")[2] for line in done.stderr.splitlines() if "ERROR" in line]


def run(files, config, *arguments, start=command, **options):
    done = start("--config", files("config.json", config), *arguments, **options)
    assert "Traceback" not in done.stderr
    return done, parse(done.stdout.splitlines())


# Stream maps


def mapped(**maps):
    return {"stream_maps": {"Contacts": maps}}


MAPS = {
    "a null": (mapped(x="firstname.upper()"), "property `x`: the expression fails for record {id}"),
    "a value": (mapped(x="int(lastname)"), "property `x`: the expression fails for record {id}"),
    "a filter": (mapped(__filter__="nope > 3"), "`__filter__`: the expression fails for record"),
    "no JSON": (mapped(x="'\\ud800'"), "record {id} cannot be written: UnicodeEncodeError"),
    "no expression": (mapped(x="lastname.upper("), "property `x`: the expression cannot be parsed"),
    "nothing": (mapped(x=""), "property `x`: the expression cannot be parsed"),
    "no field": (mapped(x="nope"), "It uses a field or function that does not exist."),
    "no filter": (mapped(__filter__="a b"), "`__filter__`: the expression cannot be parsed"),
    "no key": (mapped(id=None), "Removing key property 'id' is not permitted"),
}


@pytest.mark.parametrize("name", MAPS)
def test_stream_map_that_fails_is_one_line_with_the_place(sandbox, files, name):
    change, said = MAPS[name]
    rows = sandbox.rows("Contacts")
    # All records before the third one are sound.
    if name == "a value":
        for row in rows:
            sandbox.change("Contacts", row["id"], {"lastname": "12"})
    first = rows[2 if name in {"a null", "a value"} else 0]["id"]
    for row in rows:
        sandbox.change("Contacts", row["id"], {"firstname": "Ada"})
    sandbox.change("Contacts", first, {"firstname": None, "lastname": "Secretname"})
    done, output = run(files, settings(sandbox, modules=MODULES, **change))
    assert done.returncode == 1
    line, summary = errors(done)
    assert "Contacts is not complete: " in line
    assert said.format(id=first) in line
    assert "Not complete: Contacts." in summary
    assert "Secretname" not in done.stderr
    for other in ("Accounts", "Leads"):
        assert len(output.ids(other)) == sandbox.count(other)
        assert output.bookmark(other)["replication_key_value"]
    before = [row["id"] for row in rows[: [row["id"] for row in rows].index(first)]]
    assert output.ids("Contacts") == before
    assert output.states[-1]["bookmarks"].get("Contacts", {}).get("pass", {}).get("last_id") == (
        before[-1] if before else None
    )


def test_stream_map_of_a_deselected_stream_is_no_failure(sandbox, files):
    catalog = discover(sandbox, modules=MODULES)
    for entry in catalog["streams"]:
        if entry["stream"] == "Contacts":
            entry["metadata"] = [{"breadcrumb": [], "metadata": {"selected": False}}]
    config = settings(sandbox, **mapped(x="lastname.upper("))
    done, output = run(files, config, "--catalog", files("catalog.json", catalog))
    assert (done.returncode, errors(done)) == (0, [])
    assert len(output.ids("Leads")) == sandbox.count("Leads")


# Entries of a catalog


ENTRIES = {
    "its name": ({"stream": "Kunden"}, "the catalog calls it 'Kunden'"),
    "its key": ({"schema": {"properties": {"lastname": {}}}}, "has no `id`. Create a new catalog"),
}


@pytest.mark.parametrize(("change", "said"), ENTRIES.values(), ids=ENTRIES.keys())
def test_catalog_entry_that_a_stream_cannot_follow_fails_the_stream_only(
    sandbox, files, change, said
):
    catalog = discover(sandbox, modules=MODULES)
    for entry in catalog["streams"]:
        entry.update(change if entry["stream"] == "Contacts" else {})
    done, output = run(files, settings(sandbox), "--catalog", files("catalog.json", catalog))
    assert done.returncode == 1
    line, _ = errors(done)
    assert "Contacts is not complete: " in line
    assert said in line
    assert len(output.ids("Leads")) == sandbox.count("Leads")


def test_files_stream_that_is_off_stops_no_other(sandbox, files, tmp_path):
    more = {
        "modules": ["Documents", "Leads"],
        "relations": [{"module": "Leads", "related": "Products"}],
        "files": {"enabled": True, "path": str(tmp_path / "files")},
    }
    catalog = discover(sandbox, **more)
    config = settings(sandbox, **{**more, "files": {"enabled": False}})
    done, output = run(files, config, "--catalog", files("catalog.json", catalog))
    assert done.returncode == 1
    line, _ = errors(done)
    assert "files is not complete: The catalog selects the stream 'files'" in line
    assert {"leads_products"} <= {one.get("stream") for one in output.messages}


# What nobody foresaw


def test_catalog_mistake_fails_its_stream_only(sandbox, files):
    catalog = discover(sandbox, modules=MODULES)
    for entry in catalog["streams"]:
        if entry["stream"] == "Contacts":
            entry["schema"]["properties"]["lastname"] = {"anyOf": 5}
    done, output = run(files, settings(sandbox), "--catalog", files("catalog.json", catalog))
    assert done.returncode == 1
    said = "Contacts is not complete: its schema in the catalog cannot be used (TypeError)"
    assert [said in line for line in errors(done)] == [True, False]
    assert len(output.ids("Leads")) == sandbox.count("Leads")


# The environment


FULL, CLOSED, GONE = "a full disk", "no output", "a reader that has gone"
OUTPUTS = {
    FULL: "The output cannot be written: No space left on device.",
    CLOSED: "The output cannot be written: it is closed.",
    GONE: None,
}


@pytest.mark.parametrize(
    ("kind", "mode"),
    [*((kind, []) for kind in OUTPUTS), (FULL, ["--discover"]), (FULL, ["--test"])],
)
def test_output_that_cannot_be_written_is_one_line(sandbox, files, kind, mode):
    config = files("config.json", settings(sandbox, modules=MODULES))
    arguments = [sys.executable, "-m", "tap_kafinea", "--config", config, *mode]
    if kind == CLOSED:
        arguments = ["/bin/sh", "-c", f"{shlex.join(arguments)} >&-"]
    with broken_output(kind) as output:
        done = subprocess.run(
            arguments, stdout=output, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert [OUTPUTS[kind] in line for line in errors(done)] == [True] * bool(OUTPUTS[kind])
    if kind != CLOSED and not mode:
        assert not sandbox.requests.of("query")[20:]  # the others are not read


@contextmanager
def broken_output(kind):
    if kind == GONE:
        read, write = os.pipe()
        os.close(read)
        yield write
        os.close(write)
    else:
        with Path("/dev/full" if kind == FULL else os.devnull).open("w") as output:
            yield output


def test_run_needs_no_temporary_folder(sandbox, files):
    """No file can be written, as in a container that can only be read."""
    config = files("config.json", settings(sandbox, modules=MODULES))
    command = [sys.executable, "-m", "tap_kafinea", "--config", config]
    done = subprocess.run(
        ["sh", "-c", 'ulimit -f 0; exec "$@"', "sh", *command], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(b'"stream":"Leads","record"') == sandbox.count("Leads")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"deletions": "scan", "deletions_path": "{file}/ids"}, "`deletions_path` cannot be used"),
        ({"files": {"enabled": True, "path": "{file}/files"}}, "`files.path` cannot be used: "),
    ],
)
def test_folder_that_cannot_be_written_is_one_line(files, change, said):
    blocked = files("a file", "")
    with Sandbox(rows=500) as sandbox:
        config = settings(sandbox, modules=["Documents"], **change)
        text = json.dumps(config).replace("{file}", blocked)
        done, _ = run(files, json.loads(text))
    assert done.returncode == 1
    assert [said in line for line in errors(done)] == [True]


@pytest.mark.parametrize("option", ["--config", "--catalog", "--state"])
def test_folder_in_place_of_a_file_is_no_traceback(sandbox, files, tmp_path, option):
    done, _ = run(files, settings(sandbox), option, str(tmp_path))
    assert done.returncode in {1, 2}
    assert str(tmp_path) in done.stderr
    assert "s a directory" in done.stderr


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("REQUESTS_CA_BUNDLE", "/nowhere", "REQUESTS_CA_BUNDLE is '/nowhere'"),
        ("HTTPS_PROXY", "no address", "The proxy in HTTPS_PROXY is not a valid address"),
    ],
)
def test_variable_that_is_wrong_is_one_line(files, variable, value, said):
    config = {"url": "https://kafinea.invalid", "username": "ada", "access_key": "secret"}
    strict = {"PYTHONWARNINGS": "default", variable: value}
    done, _ = run(files, config, env=strict)
    assert done.returncode == 1
    assert [said in line for line in errors(done)] == [True]
    assert "Warning" not in done.stderr


def test_run_leaves_nothing_open(sandbox, files):
    strict = {"PYTHONWARNINGS": "default", "PYTHONDEVMODE": "1"}
    done, _ = run(files, settings(sandbox), start=program, env=strict)
    assert done.returncode == 0
    assert "ResourceWarning" not in done.stderr


def test_discovery_that_fails_under_meltano_logs_no_json(files):
    """Meltano asks for JSON, and shows what a discovery that failed has logged as it came."""
    form = {"()": "singer_sdk.logging.StructuredFormatter"}
    handler = {"class": "logging.StreamHandler", "stream": "ext://sys.stderr", "formatter": "it"}
    log = {"version": 1, "disable_existing_loggers": False, "formatters": {"it": form}}
    log |= {"handlers": {"it": handler}, "root": {"level": "INFO", "handlers": ["it"]}}
    asked = {"SINGER_SDK_LOG_CONFIG": files("logging.yml", log)}
    config = {"url": "https://kafinea.invalid", "username": "ada", "access_key": "secret"}
    said = "The host name kafinea.invalid cannot be resolved. Check `url`."
    done, _ = run(files, config, "--discover", start=program, env=asked)
    assert done.stderr.splitlines()[-1] == f"ERROR {said}"
    assert "{" not in done.stderr
    done, _ = run(files, config, start=program, env=asked)
    assert json.loads(done.stderr.splitlines()[-1])["message"] == said


# What a stream has read before it fails


def test_state_covers_what_was_read_when_a_stream_fails_at_its_end(files, tmp_path):
    with Sandbox(rows=500) as sandbox:
        gone = stored_files(sandbox)[0]["id"]
        fault = {"operation": "files_retrieve", "contains": gone, "times": None}
        refused = '{"success":false,"error":{"message":"denied","code":"ACCESS_DENIED"}}'
        sandbox.faults.add("status", status=200, body=refused, **fault)
        config = settings(sandbox, modules=["Documents"])
        config["files"] = {"enabled": True, "path": str(tmp_path / "files")}
        done, output = run(files, config)
    assert done.returncode == 1
    assert [("files is not complete: 1 of" in line) for line in errors(done)] == [True, False]
    assert output.bookmark("files")["replication_key_value"]
    assert output.bookmark("files")["owed"]


def test_scan_keeps_its_ids_when_a_stream_map_fails(files, tmp_path):
    """The ids of records that were written out, and that no scan had found yet."""
    maps = {"Contacts": {"x": "firstname.upper()"}}
    with Sandbox(rows=300) as sandbox:
        rows = sandbox.rows("Contacts")
        for row in rows:
            sandbox.change("Contacts", row["id"], {"firstname": "Ada"})
        sandbox.change("Contacts", rows[-1]["id"], {"firstname": None})
        config = settings(sandbox, modules=["Contacts"], stream_maps=maps)
        config |= {"deletions": "scan", "deletions_path": str(tmp_path / "ids")}
        done, output = run(files, config)
        assert done.returncode == 1
        assert output.ids("Contacts") == [row["id"] for row in rows[:-1]]
        sandbox.remove("Contacts", rows[0]["id"])
        sandbox.change("Contacts", rows[-1]["id"], {"firstname": "Bob"})
        done, output = run(files, config, "--state", files("state.json", output.state))
    assert done.returncode == 0
    assert [row["id"] for row in output.records("deleted_records")] == [rows[0]["id"]]


# A server whose tokens serve one login each


@pytest.mark.parametrize("code", ["INVALID_TOKEN", "AUTHENTICATION_FAILURE", "ACCESS_DENIED"])
def test_sessions_log_in_where_a_token_serves_once(files, code):
    with Sandbox(rows=300, latency_ms=20, used_token=code) as sandbox:
        for n in range(1_500):
            sandbox.insert("Contacts", {"lastname": f"{n}"})
        sandbox.requests.clear()
        done, output = run(files, settings(sandbox, modules=["Contacts"], max_sessions=4))
        assert (done.returncode, errors(done)) == (0, [])
        assert sorted(output.ids("Contacts")) == sorted(
            row["id"] for row in sandbox.rows("Contacts")
        )
        assert len({one.session for one in sandbox.requests.of("query")}) > 1
        assert code in {one.code for one in sandbox.requests.of("login")}


def test_stream_map_of_an_unknown_stream_is_named(sandbox, caplog):
    maps = {
        "Contact": {"email": "None"},
        "people": {"__source__": "Contcts"},
        "Conta*": {},
        "__else__": None,
    }
    extract(sandbox, modules=["Contacts"], stream_maps=maps)
    said = [line for line in caplog.messages if "there is no stream" in line]
    assert said == [
        f"`stream_maps`: there is no stream `{one}`. Did you mean `Contacts`?"
        for one in ("Contact", "Contcts")
    ]
