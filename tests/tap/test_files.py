"""The files of documents: all of them, once, whole, and never outside their folder."""

from __future__ import annotations

import hashlib
import json
import random
import signal
import subprocess
import sys
import time
import unicodedata
from pathlib import Path

import fsspec
import pytest
from singer_sdk.singerlib import Catalog

from kafinea.errors import (
    IncompleteRead,
    KafineaError,
    Refused,
    SettingsError,
    StorageError,
    Unavailable,
)
from kafinea.names import safe_name
from kafinea.page_query import number
from kafinea_sandbox import Sandbox
from kafinea_sandbox.errors import ApiError
from kafinea_sandbox.operations.table import OPERATIONS
from tap_kafinea.files import FilesStream
from tap_kafinea.tap import TapKafinea
from tests.stored_documents import add_document, add_file, contents, stored_files
from tests.tap import running
from tests.tap.running import discover, extract
from tests.target.running import empty

WITH_FILES = ("kafinea", "stock", "frevo")


def some_bytes(size, seed=0):
    return random.Random(f"{size} {seed}").randbytes(size)


@pytest.fixture
def sandbox():
    """Twelve documents with a file, one with three, one with none, one elsewhere."""
    with empty() as sandbox:
        fill(sandbox)
        yield sandbox


def fill(sandbox):
    for n in range(12):
        modified = f"2020-01-{n + 1:02} 00:00:00"
        add_document(sandbox, (f"file {n}.pdf", some_bytes(1000 + n)), modifiedtime=modified)
    add_document(sandbox, *((f"one of three {n}.txt", some_bytes(50, n)) for n in range(3)))
    add_document(sandbox, filename="lost.pdf", filesize="100")
    add_document(sandbox, filename="https://docs.example/x", filelocationtype="E")


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "files")


def files(sandbox, path, state=None, **more):
    settings = {"enabled": True, "path": path, **more.pop("files", {})}
    return extract(sandbox, state=state, modules=["Documents"], files=settings, **more)


def files_and_failure(sandbox, path, **more):
    """What a run gave, and how it failed."""
    settings = {"enabled": True, "path": path, **more.pop("files", {})}
    return running.extract_through(sandbox, modules=["Documents"], files=settings, **more)


def read(row):
    with fsspec.open(row["path"], "rb") as file:
        return file.read()


def check(output, sandbox):
    """All files are told of and are there, byte for byte."""
    rows = output.records("files")
    stored = stored_files(sandbox)
    assert [row["id"] for row in rows] == [file["id"] for file in stored]
    assert {row["id"]: read(row) for row in rows} == contents(stored)
    for row, file in zip(rows, stored, strict=True):
        assert (row["document_id"], row["name"]) == (file["parent"], file["name"])
        assert row["size"] == len(file["content"])
        assert row["sha256"] == hashlib.sha256(file["content"]).hexdigest()


def fetched(sandbox):
    return [request.params["id"] for request in sandbox.requests.of("files_retrieve")]


# What comes


@pytest.mark.parametrize("dialect", WITH_FILES)
def test_files_are_downloaded_with_all_their_bytes(dialect, path):
    with empty(dialect=dialect) as sandbox:
        fill(sandbox)
        add_document(sandbox, ("empty.txt", b""))
        add_document(sandbox, ("large.bin", some_bytes(3_000_000)))
        output = files(sandbox, path)
        check(output, sandbox)
        assert {row["mime_type"] for row in output.records("files")} == {"x/y"}
        assert len(fetched(sandbox)) == 17


def test_files_without_ids_are_downloaded_by_their_documents(path):
    with empty(dialect="corebos") as sandbox:
        fill(sandbox)
        add_document(sandbox, ("large.bin", some_bytes(3_000_000)))
        output, error = files_and_failure(sandbox, path)
        rows = {row["id"]: row for row in output.records("files")}
        # A document has one file there: the last.
        there = {file["parent"]: file for file in stored_files(sandbox)}
        assert {one: read(row) for one, row in rows.items() if row["path"]} == {
            one: file["content"] for one, file in there.items()
        }
        assert all(row["document_id"] == one for one, row in rows.items())
        lost = [one for one, row in rows.items() if row["path"] is None]
        assert len(lost) == 1
        assert f"{lost[0]}: retrievedocattachment of {lost[0]}: the document has no file" in str(
            error
        )
        asked = [one.params["id"] for one in sandbox.requests.of("retrievedocattachment")]
        assert len(asked) == 1 + len(rows)  # one to find out the way
        # It was replaced by one of the same name and size.
        replaced = next(iter(there))
        new = b"z" * 1000
        sandbox.sql("UPDATE _file SET content = ? WHERE parent = ?", (new, number(replaced)))
        sandbox.change("Documents", replaced, {"notes_title": "A new one"})
        sandbox.requests.clear()
        again, _ = files_and_failure(sandbox, path, state=output.state)
        (row,) = [row for row in again.records("files") if row["id"] == replaced]
        assert read(row) == new


def test_files_without_an_operation_are_one_message(path, caplog):
    with empty(dialect="legacy") as sandbox:
        sandbox.insert("Documents", {"notes_title": "No file", "filelocationtype": "I"})
        assert files(sandbox, path).records("files") == []
        fill(sandbox)
        output, error = files_and_failure(sandbox, path)
        assert output.records("files") == []
        assert len(output.records("Documents")) == 16
        assert "neither the operation files_retrieve nor retrievedocattachment" in str(error)
        said = [one for one in caplog.records if one.levelname == "ERROR"]
        assert [one.message for one in said] == [
            f"files is not complete: {error}",
            f"Not complete: files. {error}",
        ]
        assert len(sandbox.requests.of("files_retrieve")) == 2


def test_files_of_the_demo_company():
    with Sandbox(rows=2000) as sandbox:
        output = files(sandbox, "memory://demo")
        check(output, sandbox)
        assert len(output.records("files")) > 3


def test_files_stream_is_off_by_default(sandbox, path):
    names = [one["tap_stream_id"] for one in discover(sandbox)["streams"]]
    assert "files" not in names
    catalog = discover(sandbox, modules=["Documents"], files={"enabled": True})
    (stream,) = (one for one in catalog["streams"] if one["tap_stream_id"] == "files")
    assert stream["key_properties"] == ["id"]
    assert stream["replication_key"] == "modifiedtime"
    check(files(sandbox, path, catalog=catalog), sandbox)
    without = discover(sandbox, modules=["Accounts"], files={"enabled": True})
    assert [one["tap_stream_id"] for one in without["streams"]] == ["Accounts"]


def test_files_selected_in_the_catalog_with_the_setting_off(sandbox, path):
    catalog = discover(sandbox, modules=["Documents"], files={"enabled": True})
    with pytest.raises(KafineaError, match=r"`files\.enabled` is off"):
        files(sandbox, path, catalog=catalog, files={"enabled": False})


def test_properties_that_are_not_selected_are_not_emitted(sandbox, path):
    catalog = discover(sandbox, modules=["Documents"], files={"enabled": True})
    (stream,) = (one for one in catalog["streams"] if one["tap_stream_id"] == "files")
    for entry in stream["metadata"]:
        if entry["breadcrumb"] == ["properties", "sha256"]:
            entry["metadata"]["selected"] = False
    rows = files(sandbox, path, catalog=catalog).records("files")
    assert len(rows) == 15
    assert not any("sha256" in row for row in rows)


def test_files_stream_activates_a_version(sandbox, path, monkeypatch):
    catalog = discover(sandbox, modules=["Documents"], files={"enabled": True})
    catalog["streams"] = [one for one in catalog["streams"] if one["tap_stream_id"] == "files"]
    catalog["streams"][0]["replication_method"] = "FULL_TABLE"
    for entry in catalog["streams"][0]["metadata"]:
        if not entry["breadcrumb"]:
            entry["metadata"]["forced-replication-method"] = "FULL_TABLE"

    def types(output):
        return [one["type"] for one in output.messages if one.get("stream") == "files"]

    output = files(sandbox, path, catalog=catalog)
    check(output, sandbox)
    assert types(output)[-1] == "ACTIVATE_VERSION"
    missing = stored_files(sandbox)[0]["id"]
    failing(monkeypatch, missing, ApiError("RECORD_NOT_FOUND", "not found"))
    Path(path, missing, ".file.json").unlink()
    output, _ = files_and_failure(sandbox, path, catalog=Catalog.from_dict(catalog))
    assert "ACTIVATE_VERSION" not in types(output)


# What comes again


def test_files_are_downloaded_once(sandbox, path):
    first = files(sandbox, path)
    sandbox.requests.clear()
    again = files(sandbox, path)  # as if the warehouse was emptied
    assert again.records("files") == first.records("files")
    assert fetched(sandbox) == []
    later = files(sandbox, path, first.state)
    assert len(later.records("files")) == 3
    assert fetched(sandbox) == []


def test_files_that_are_new_are_downloaded_only(sandbox, path):
    first = files(sandbox, path)
    changed = first.records("files")[2]["document_id"]
    new = add_file(sandbox, changed, ("second version.pdf", b"new"))
    sandbox.change("Documents", changed, {"filename": "second version.pdf", "filesize": "3"})
    added = add_document(sandbox, ("added.pdf", b"added"))
    sandbox.requests.clear()
    second = files(sandbox, path, first.state)
    rows = {row["id"]: row for row in second.records("files")}
    assert read(rows[new]) == b"new"
    assert added in {row["document_id"] for row in rows.values()}
    # The older file too: what the server says of its document is something else now.
    assert len(fetched(sandbox)) == 3
    third = files(sandbox, path)
    check(third, sandbox)
    assert len(fetched(sandbox)) == 3


def test_file_of_a_renamed_document_is_not_downloaded_again(sandbox, path):
    first = files(sandbox, path)
    document = first.records("files")[0]["document_id"]
    sandbox.change("Documents", document, {"notes_title": "Another title"})
    sandbox.requests.clear()
    rows = files(sandbox, path, first.state).records("files")
    assert document in {row["document_id"] for row in rows}
    assert fetched(sandbox) == []


@pytest.mark.parametrize("damage", ["cut", "gone", "note gone", "note damaged", "note of another"])
def test_file_that_changed_on_disk_is_downloaded_again(sandbox, path, damage):
    row = files(sandbox, path).records("files")[0]
    file = Path(row["path"])
    note = file.parent / ".file.json"
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:-1])
    elif damage == "gone":
        file.unlink()
    elif damage == "note gone":
        note.unlink()
    else:
        told = json.loads(note.read_text())
        told["said"]["filesize"] = "1"
        note.write_text("{" if damage == "note damaged" else json.dumps(told))
    sandbox.requests.clear()
    check(files(sandbox, path), sandbox)
    assert fetched(sandbox) == [row["id"]]


def test_files_of_another_instance_are_others_with_the_same_ids(path):
    for content in (b"one", b"two"):
        with empty() as sandbox:
            add_document(sandbox, ("same.txt", content))
            check(files(sandbox, path), sandbox)


# Names

NAMES = [
    "plain.pdf",
    "Devis signé n° 12 (copie).pdf",
    "../../outside.pdf",
    "/etc/passwd",
    "..\\..\\outside.pdf",
    "..",
    ".",
    "",
    " ",
    ".part",
    ".file.json",
    "nul",
    "COM1.txt",
    "a\x00b\x1f.pdf",
    "a/b/c.pdf",
    "C:\\temp\\x.doc",
    "x" * 300 + ".pdf",
    "é" * 300 + ".tar.gz",
    "x." + "y" * 300,
    "[2024] *?.pdf",
    "100 % #1 & co;.pdf",
    "漢字.pdf",
    "'; DROP TABLE x; --.pdf",
    "file://x",
    "s3::y.zip",
    "~root",
    "ends with a dot.",
    "invoice\N{RIGHT-TO-LEFT OVERRIDE}fdp.exe",
    "\N{ZERO WIDTH SPACE}\N{ZERO WIDTH NO-BREAK SPACE}",
    "a\N{LEFT-TO-RIGHT ISOLATE}b\N{SOFT HYPHEN}.pdf",
    "\x1b]0;title\x07.pdf",
    "e\N{COMBINING ACUTE ACCENT}te\N{COMBINING ACUTE ACCENT}.pdf",
    "con .txt",
    "lpt\N{SUPERSCRIPT ONE}.tar.gz",
    "CONIN$",
    "plan.pdf.part",
    ". .. .hidden",
    "ends with dots and spaces. . .",
    "\N{GREEK QUESTION MARK}",
]


def test_file_names_of_any_kind(tmp_path):
    with empty() as sandbox:
        for name in NAMES:
            add_document(sandbox, (name, name.encode()), filename=name.replace("\x00", ""))
        folder = tmp_path / "inner" / "files"
        output = files(sandbox, str(folder))
        check(output, sandbox)
        there = {file for file in tmp_path.rglob("*") if file.is_file()}
        told = {Path(row["path"]) for row in output.records("files")}
        assert len(told) == len(NAMES)
        assert there == told | {file.parent / ".file.json" for file in told}
        assert all(file.parent.parent == folder for file in told)
        sandbox.requests.clear()
        assert files(sandbox, str(folder)).records("files") == output.records("files")
        assert fetched(sandbox) == []


@pytest.mark.parametrize("name", NAMES)
def test_file_names_are_valid_on_every_system(name):
    safe = safe_name(name)
    assert 0 < len(safe.encode()) <= 200
    assert not set(safe) & set('/\\:*?"<>|\x00')
    assert not safe.startswith(".")
    assert safe == safe.rstrip(". ")
    assert safe.isprintable()
    assert safe == unicodedata.normalize("NFC", safe)
    assert safe.partition(".")[0].strip().lower() not in {"con", "nul", "com1", "lpt\xb9", "conin$"}
    assert safe_name(safe) == safe


def test_file_names_that_are_usual_stay():
    for name in ("plan.pdf", "Devis signé n° 12 (copie).pdf", "漢字.pdf", "[2024] été.tar.gz"):
        assert safe_name(name) == name
    assert safe_name("x" * 300 + ".pdf").endswith("x.pdf")
    assert safe_name("x" + "\u0301\u0316" * 10**6 + ".pdf").endswith(".pdf")  # or takes hours


def test_file_ids_that_are_invalid_lead_nowhere(path, monkeypatch, tmp_path):
    with empty() as sandbox:
        add_document(sandbox, ("good.pdf", b"good"))
        query = OPERATIONS["query"]

        def with_odd_ids(call):
            rows = query.run(call)
            for row in rows:
                if "imageattachmentids" in row:
                    row["imageattachmentids"] += ",../../x, ,15x5/../..,15x\N{FULLWIDTH DIGIT FIVE}"
                    row["imageattachmentids"] += ",15x" + "5" * 300 + "," + "1" * 64 + "x5"
            return rows

        monkeypatch.setitem(OPERATIONS, "query", query._replace(run=with_odd_ids))
        output, failure = files_and_failure(sandbox, path)
        assert [read(row) for row in output.records("files")] == [b"good"]
        assert "contains no id" in str(failure)
        assert len(fetched(sandbox)) == 1


# What is left


def test_file_that_is_too_large_is_reported_and_not_downloaded(sandbox, path, caplog):
    output = files(sandbox, path, files={"max_bytes": 1005})
    rows = {row["id"]: row for row in output.records("files")}
    stored = contents(stored_files(sandbox))
    assert rows.keys() == stored.keys()
    for file, content in stored.items():
        assert rows[file]["size"] == len(content)
        if len(content) > 1005:
            assert rows[file]["path"] is rows[file]["sha256"] is None
            assert rows[file]["name"].endswith(".pdf")
        else:
            assert read(rows[file]) == content
    assert "6 files are larger than `files.max_bytes`" in caplog.text
    assert len(fetched(sandbox)) == 9
    larger = files(sandbox, path)
    check(larger, sandbox)


@pytest.mark.parametrize("told", ["0", "", "3", "garbage"])
def test_file_size_in_the_document_is_not_trusted(path, told):
    with empty() as sandbox:
        add_document(sandbox, ("large.bin", some_bytes(500_000)), filesize=told)
        (row,) = files(sandbox, path, files={"max_bytes": 1000}).records("files")
        assert (row["size"], row["path"]) == (500_000, None)
        assert not Path(path).exists()
        check(files(sandbox, path), sandbox)


# What goes wrong


def failing(monkeypatch, file_id, error):
    whole = OPERATIONS["files_retrieve"]

    def run(call):
        if file_id in (call.params.get("id"), "all"):
            raise error
        return whole.run(call)

    monkeypatch.setitem(OPERATIONS, "files_retrieve", whole._replace(run=run))


def test_missing_file_stops_no_other(sandbox, path, monkeypatch):
    missing = stored_files(sandbox)[4]
    with monkeypatch.context() as patch:
        failing(patch, missing["id"], ApiError("RECORD_NOT_FOUND", "not found"))
        output, failure = files_and_failure(sandbox, path)
    assert isinstance(failure, IncompleteRead)
    assert "1 of 15 files could not be downloaded" in str(failure)
    assert missing["id"] in str(failure)
    rows = {row["id"]: row for row in output.records("files")}
    assert len(rows) == 15
    assert rows.pop(missing["id"])["path"] is None
    assert all(row["path"] for row in rows.values())
    # The server has said that there is none; the next run is about what has changed.
    sandbox.requests.clear()
    assert "pass" not in files(sandbox, path, output.state).bookmark("files")
    assert fetched(sandbox) == []


def test_missing_file_in_the_storage(sandbox, path, monkeypatch):
    whole = OPERATIONS["files_retrieve"]
    lost = stored_files(sandbox)[0]

    def run(call):
        (said,) = whole.run(call)
        return [said | {"filecontents": ""}] if call.params["id"] == lost["id"] else [said]

    monkeypatch.setitem(OPERATIONS, "files_retrieve", whole._replace(run=run))
    output, failure = files_and_failure(sandbox, path)
    assert "0 bytes of the file were received, not 1,000." in str(failure)
    assert not (Path(path) / lost["id"]).exists()
    assert output.records("files")[0]["path"] is None


def test_failed_file_is_tried_again_in_the_next_run(sandbox, path):
    """It stops no other, its run fails, and the next run fetches it."""
    owed = stored_files(sandbox)[4]
    sandbox.faults.add(
        "status", operation="files_retrieve", contains=owed["id"], status=500, times=None
    )
    output, failure = files_and_failure(sandbox, path)
    assert "1 of 15 files could not be downloaded" in str(failure)
    assert len(output.records("files")) == 14
    assert output.bookmark("files")["owed"] == [owed["parent"]]
    assert "replication_key_value" in output.bookmark("files")
    second, _ = files_and_failure(sandbox, path, state=output.state)
    assert second.bookmark("files")["owed"] == [owed["parent"]]
    sandbox.faults.clear()
    sandbox.requests.clear()
    third = files(sandbox, path, second.state)
    assert owed["id"] in third.ids("files")
    assert fetched(sandbox) == [owed["id"]]
    assert "owed" not in third.bookmark("files")
    check(files(sandbox, path), sandbox)


def test_failed_file_whose_document_is_deleted_is_forgotten(sandbox, path):
    owed = stored_files(sandbox)[4]
    sandbox.faults.add(
        "status", operation="files_retrieve", contains=owed["id"], status=500, times=None
    )
    output, _ = files_and_failure(sandbox, path)
    sandbox.remove("Documents", owed["parent"])
    assert "owed" not in files(sandbox, path, output.state).bookmark("files")


def test_refusal_of_all_files_is_no_success(sandbox, path, monkeypatch):
    monkeypatch.setattr("kafinea.extract.file_rows._MOST_PENDING", 5)
    with monkeypatch.context() as patch:
        failing(patch, "all", ApiError("ACCESS_DENIED", "not permitted"))
        output, failure = files_and_failure(sandbox, path)
    assert "not permitted" in str(failure)
    assert output.records("files") == []
    later = files(sandbox, path, output.state)
    assert set(later.ids("files")) == contents(stored_files(sandbox)).keys()


def test_server_without_files(path):
    with empty() as sandbox:
        fill(sandbox)
        sandbox.faults.add("status", operation="files_retrieve", status=500, times=None)
        output, failure = files_and_failure(sandbox, path)
    assert isinstance(failure, Refused)
    assert "files.enabled" in str(failure)
    assert len(output.records("Documents")) == 15
    assert output.records("files") == []
    assert "replication_key_value" not in output.bookmark("files")


def test_busy_server_is_not_one_without_files(path):
    with empty(dialect="corebos") as sandbox:
        fill(sandbox)
        sandbox.faults.add("status", operation="files_retrieve", status=503, times=None)
        sandbox.faults.add("status", operation="retrievedocattachment", status=503, times=None)
        output, failure = files_and_failure(sandbox, path)
        assert isinstance(failure, Unavailable)
        assert "files.enabled" not in str(failure)
        sandbox.faults.clear()
        later, _ = files_and_failure(sandbox, path, state=output.state)
        assert [row["path"] for row in later.records("files")].count(None) == 1


@pytest.mark.parametrize("code", ["UNKNOWN_OPERATION", "OPERATION_NOT_SUPPORTED"])
def test_server_that_lists_files_and_has_no_operation_for_them(path, code):
    body = f'{{"success":false,"error":{{"message":"Unknown","code":"{code}"}}}}'
    with empty() as sandbox:
        fill(sandbox)
        fault = {"status": 200, "body": body, "times": None}
        sandbox.faults.add("status", operation="files_retrieve", **fault)
        output, failure = files_and_failure(sandbox, path)
    assert "Set `files.enabled` to false." in str(failure)
    assert len(output.records("Documents")) == 15
    assert output.records("files") == []
    assert "replication_key_value" not in output.bookmark("files")


@pytest.mark.parametrize("kind", ["truncate", "reset", "reset_after", "hang", "drip", "session"])
def test_faults_during_downloads_are_retried(sandbox, path, kind):
    fault = sandbox.faults.add(kind, operation="files_retrieve", nth=3, times=4, seconds=1)
    check(files(sandbox, path, request_timeout=0.4), sandbox)
    assert fault.hits == 4


def test_unreachable_server_stops_the_run(sandbox, path):
    sandbox.faults.add("status", operation="files_retrieve", nth=6, status=500, times=None)
    sandbox.faults.add("status", operation="listtypes", nth=2, status=500, times=None)
    output, failure = files_and_failure(sandbox, path)
    assert "HTTP 500" in str(failure)
    sandbox.faults.clear()
    state = output.states[-1] if output.states else None
    later = files(sandbox, path, state)
    told = {row["id"] for row in output.records("files") + later.records("files")}
    assert told == contents(stored_files(sandbox)).keys()


def test_files_path_that_cannot_be_written_stops_the_run(sandbox, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match=r"`files\.path` cannot be used: "):
        files(sandbox, str(tmp_path / "file"))


def test_temporary_folder_that_is_full_stops_the_run(sandbox, path, tmp_path, monkeypatch):
    monkeypatch.setattr("kafinea.extract.downloads._IN_MEMORY", 1)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    with pytest.raises(StorageError, match=r"cannot be written to the temporary folder: .* TMPDIR"):
        files(sandbox, path)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("s3://bucket/x", "extra `s3`"),
        ("gs://bucket/x", "extra `gcs`"),
        ("az://bucket/x", "extra `azure`"),
        ("nowhere://user:secret@host", "nowhere://"),
    ],
)
def test_files_path_of_unknown_protocol(sandbox, url, said):
    with pytest.raises(SettingsError, match=said) as caught:
        files(sandbox, url)
    assert "secret" not in str(caught.value)


# Runs that are stopped


def test_state_covers_downloaded_files_only(sandbox, path, monkeypatch):
    monkeypatch.setattr(FilesStream, "ROWS_BETWEEN_STATES", 1)
    messages = files(sandbox, path).messages
    written = set()
    claims = 0
    for message in messages:
        if message["type"] == "RECORD" and message["stream"] == "files":
            written.add(message["record"]["id"])
        told = message.get("value", {}).get("bookmarks", {}).get("files", {})
        if last := (told.get("pass") or {}).get("last_id"):
            claims += 1
            due = {f["id"] for f in stored_files(sandbox) if number(f["parent"]) <= number(last)}
            assert due <= written
    assert claims > 5


def test_killed_run_leaves_no_partial_file_and_the_next_completes_it(tmp_path):
    with empty(latency_ms=30) as sandbox:
        for n in range(30):
            add_document(sandbox, (f"{n}.bin", some_bytes(400_000, n)))
        folder = tmp_path / "files"
        config = running.settings(
            sandbox, modules=["Documents"], files={"enabled": True, "path": str(folder)}
        )
        (tmp_path / "config.json").write_text(json.dumps(config))
        command = [sys.executable, "-m", "tap_kafinea", "--config", str(tmp_path / "config.json")]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
            while len(list(folder.glob("*/*.bin"))) < 8:
                assert run.poll() is None
                time.sleep(0.002)
            run.send_signal(signal.SIGKILL)
        whole = contents(stored_files(sandbox))
        there = {file.parent.name: file.read_bytes() for file in folder.glob("*/*.bin")}
        assert 8 <= len(there) < 30
        assert there == {file: whole[file] for file in there}
        sandbox.requests.clear()
        check(files(sandbox, str(folder)), sandbox)
        assert len(fetched(sandbox)) <= 30 - 8 + 4
        assert not list(folder.glob("*/*.part"))


def test_files_downloaded_ahead_are_few(path):
    """A reader that takes its time must not fill the disk, nor a kill throw much away."""
    with empty() as sandbox:
        for n in range(60):
            add_document(sandbox, (f"{n}.bin", b"x"))
        config = running.settings(
            sandbox, modules=["Documents"], files={"enabled": True, "path": path}
        )
        tap = TapKafinea(config=config)
        rows = iter(tap.streams["files"].get_records(None))
        next(rows)
        time.sleep(0.3)
        assert len(fetched(sandbox)) <= 2 * tap.client.max_sessions + 1
        rows.close()
        tap.client.close()
