"""Files of documents and images of products: sent once, whole, and linked."""

from __future__ import annotations

import base64
import json
import random
import signal
import time
from itertools import count

import fsspec
import pytest

from kafinea_sandbox import Sandbox
from kafinea_sandbox.operations.table import OPERATIONS
from tests.stored_documents import add_document, add_file, stored_files
from tests.tap.running import extract
from tests.target import running as runs
from tests.target.running import Files, empty, matched, messages, write_requests
from tests.target.test_killed_runs import running, until

TITLE = matched("Documents", "notes_title")
_places = count()


def some_bytes(size, seed=0):
    return random.Random(f"{size} {seed}").randbytes(size)


def put(content, name="plan é.pdf"):
    """Put a file where the target can read it."""
    path = f"memory://put/{next(_places)}/{name}"
    with fsspec.open(path, "wb") as file:
        file.write(content)
    return path


def load(*arguments, **more):
    """Run the target, which may read what was `put`."""
    return runs.load(*arguments, **{"files_path": "memory://put", **more})


def encoded(content):
    return base64.b64encode(content).decode()


@pytest.fixture
def account(sandbox):
    return sandbox.insert("Accounts", {"accountname": "Acme"})


@pytest.fixture
def folder(sandbox):
    return sandbox.insert("DocumentFolders", {"foldername": "Contrats"})


def only_file(sandbox, module="Documents"):
    (file,) = stored_files(sandbox, module)
    return file


def documents_of(sandbox, source):
    numbers = sandbox.sql("SELECT related FROM _relation WHERE source = ?", (source.split("x")[1],))
    table = sandbox.instance.tables["Documents"]
    return [table.wire_id(row["related"]) for row in numbers]


# The documented dance


@pytest.mark.parametrize("how", ["path", "local path", "base64"])
def test_document_with_its_file(sandbox, account, folder, how, tmp_path):
    content = some_bytes(100_000)
    record = {"notes_title": "Le plan", "folderid": "contrats", "_related_to": account}
    if how == "base64":
        record |= {"filename": "plan é.pdf", "_file_base64": encoded(content)}
    elif how == "path":
        record["_file_path"] = put(content)
    else:
        record["_file_path"] = str(tmp_path / "plan é.pdf")
        (tmp_path / "plan é.pdf").write_bytes(content)
    more = {"files_path": str(tmp_path)} if how == "local path" else {}
    run = load(sandbox, messages("Documents", record), streams=TITLE, **more)
    assert run.only["outcome"] == "created"
    file = only_file(sandbox)
    assert file["content"] == content
    assert file["parent"] == run.only["id"]
    (row,) = sandbox.rows("Documents")
    said = {name: row[name] for name in ("filetype", "filesize", "filestatus", "filelocationtype")}
    assert said == {
        "filetype": "application/pdf",
        "filesize": "100000",
        "filestatus": "1",
        "filelocationtype": "I",
    }
    assert row["filename"] == "plan_é.pdf"
    assert row["folderid"] == folder
    assert documents_of(sandbox, account) == [run.only["id"]]
    created = sandbox.requests.of("create")[0].params["element"]
    assert json.loads(created)["filename"] == "plan é.pdf"


def test_document_loaded_again_writes_nothing(sandbox, account):
    lines = messages(
        "Documents",
        *(
            {
                "notes_title": f"{n}",
                "_file_path": put(some_bytes(1000 + n), f"{n}.pdf"),
                "_related_to": account,
            }
            for n in range(30)
        ),
    )
    assert load(sandbox, lines, streams=TITLE).tally == {"created": 30}
    sandbox.requests.clear()
    assert load(sandbox, lines, streams=TITLE).tally == {"unchanged": 30}
    # One upload to nothing asks whether this server takes files.
    assert [r.params["parentId"] for r in sandbox.requests.of("fileupload")] == [""]
    assert set(write_requests(sandbox)) == {"fileupload"}
    assert len(stored_files(sandbox)) == 30


@pytest.mark.parametrize("other", [b"other bytes", b"thf file"])
def test_file_that_differs_is_sent_and_the_same_is_not(sandbox, other):
    """Also when it has the same name and the same size."""

    def record(content):
        return messages("Documents", {"notes_title": "x", "_file_path": put(content, "x.txt")})

    load(sandbox, record(b"the file"), streams=TITLE)
    run = load(sandbox, record(other), streams=TITLE)
    assert (run.only["outcome"], run.only["changed"]) == ("updated", ["_file_path"])
    assert [file["content"] for file in stored_files(sandbox)] == [b"the file", other]
    assert load(sandbox, record(other), streams=TITLE).only["outcome"] == "unchanged"
    assert load(sandbox, record(b"the file"), streams=TITLE).only["outcome"] == "updated"


def test_document_whose_field_and_file_change(sandbox):
    first = {"notes_title": "x", "notecontent": "a", "_file_path": put(b"one")}
    load(sandbox, messages("Documents", first), streams=TITLE)
    second = first | {"notecontent": "b", "_file_path": put(b"two")}
    run = load(sandbox, messages("Documents", second), streams=TITLE)
    assert run.only["changed"] == ["_file_path", "notecontent"]
    assert sandbox.rows("Documents")[0]["notecontent"] == "b"


def test_document_that_lacks_its_file_gets_it(sandbox, account):
    document = add_document(sandbox, notes_title="x", filename="x.pdf", filesize="3")
    record = {"notes_title": "x", "_file_path": put(b"new"), "_related_to": [account]}
    run = load(sandbox, messages("Documents", record), streams=TITLE)
    assert (run.only["id"], run.only["outcome"]) == (document, "updated")
    assert run.only["changed"] == ["_file_path", "_related_to"]
    assert only_file(sandbox)["content"] == b"new"


def test_links_of_several_records(sandbox):
    sources = [sandbox.insert("Accounts", {"accountname": f"{n}"}) for n in range(3)]
    record = {"notes_title": "x", "_file_path": put(b"x"), "_related_to": sources[:2]}
    load(sandbox, messages("Documents", record), streams=TITLE)
    record["_related_to"] = f"{sources[0]}, {sources[2]}"
    run = load(sandbox, messages("Documents", record), streams=TITLE)
    assert run.only["changed"] == ["_related_to"]
    assert [documents_of(sandbox, source) for source in sources] == [[run.only["id"]]] * 3


def test_links_without_a_file(sandbox, account):
    record = {"notes_title": "x", "_related_to": account}
    assert load(sandbox, messages("Documents", record), streams=TITLE).tally == {"created": 1}
    assert len(documents_of(sandbox, account)) == 1
    assert load(sandbox, messages("Documents", record), streams=TITLE).tally == {"unchanged": 1}
    assert "fileupload" not in write_requests(sandbox)


def test_records_without_a_file_are_what_they_were(sandbox):
    records = [{"notes_title": "x", "filename": "y.pdf", "_file_path": None}, {"notes_title": "z"}]
    assert load(sandbox, messages("Documents", *records), streams=TITLE).tally == {"created": 2}
    assert write_requests(sandbox) == ["create", "create"]
    assert {row["filename"] for row in sandbox.rows("Documents")} == {""}


def test_properties_of_other_names(sandbox):
    streams = {
        "files": {
            "module": "Documents",
            "match_on": "notes_title",
            "fields": {"path": "_file_path", "title": "notes_title", "size": "", "id": None},
        }
    }
    record = {"id": "99x1", "title": "x", "path": put(b"x"), "filename": "a.bin", "size": 1}
    run = load(sandbox, messages("files", record), streams=streams)
    assert run.only["outcome"] == "created"
    assert only_file(sandbox)["name"] == "a.bin"
    run = load(sandbox, messages("files", record | {"path": put(b"y")}), streams=streams)
    assert run.only["changed"] == ["path"]


def test_image_of_a_new_product(sandbox):
    record = {"productname": "Chair", "imagename": "chair.png", "_file_base64": encoded(b"image")}
    streams = matched("Products", "productname")
    assert load(sandbox, messages("Products", record), streams=streams).tally == {"created": 1}
    assert only_file(sandbox, "Products")["content"] == b"image"
    assert load(sandbox, messages("Products", record), streams=streams).tally == {"unchanged": 1}


def test_file_that_the_server_has_lost_is_sent_again(sandbox):
    record = {"notes_title": "Contract", "filename": "a.txt", "_file_base64": encoded(b"file")}
    load(sandbox, messages("Documents", record), streams=TITLE)
    for code, end in (("ACCESS_DENIED", "rejected"), ("RECORD_NOT_FOUND", "updated")):
        sandbox.requests.clear()
        error = {"success": False, "error": {"code": code, "message": "no"}}
        sandbox.faults.add("status", operation="files_retrieve", status=200, body=json.dumps(error))
        run = load(sandbox, messages("Documents", record), streams=TITLE)
        assert run.tally == {end: 1}
        assert write_requests(sandbox).count("fileupload") == (2 if end == "updated" else 1)


@pytest.mark.parametrize("how", ["path", "base64"])
def test_image_of_a_product(sandbox, how):
    product = sandbox.insert("Products", {"productname": "Chair"})
    record = {"productname": "Chair", "imagename": "chair.png"}
    record |= (
        {"_file_path": put(b"image")} if how == "path" else {"_file_base64": encoded(b"image")}
    )
    streams = matched("Products", "productname")
    run = load(sandbox, messages("Products", record), streams=streams)
    assert run.only["outcome"] == "updated"
    file = only_file(sandbox, "Products")
    assert (file["parent"], file["name"], file["content"]) == (product, "chair.png", b"image")
    assert sandbox.requests.of("fileupload")[-1].params["attachmentType"] == "Image"
    add_file(sandbox, product, ("another view.png", b"another"))
    assert load(sandbox, messages("Products", record), streams=streams).tally == {"unchanged": 1}


def test_properties_of_files_are_fields_of_no_other_module(sandbox):
    run = load(sandbox, messages("Contacts", {"lastname": "x", "_file_path": "y"}), check=False)
    assert run.code == 1
    assert "Contacts has no field '_file_path'" in run.stderr


# What is refused


@pytest.mark.parametrize(
    ("told", "code"),
    [
        ({"_file_path": "memory://put/nowhere/x"}, "FILE_NOT_FOUND"),
        ({"_file_path": "nowhere.pdf"}, "FILE_NOT_FOUND"),
        ({"_file_base64": "not base64!", "filename": "x"}, "INVALID_VALUE"),
        ({"_file_base64": "QUJDR", "filename": "x"}, "INVALID_VALUE"),
        ({"_file_base64": "QQ==QUJD", "filename": "x"}, "INVALID_VALUE"),
        ({"_file_base64": "é" * 8, "filename": "x"}, "INVALID_VALUE"),
        ({"_file_base64": "\\//8=", "filename": "x"}, "INVALID_VALUE"),  # escaped as JSON twice
        ({"_file_base64": 5, "filename": "x"}, "INVALID_VALUE"),
        ({"_file_base64": "QUJD"}, "MANDATORY_FIELD_MISSING"),
        ({"_file_base64": "\n", "filename": "x"}, "INVALID_VALUE"),
        ({"_file_base64": "QUJD", "_file_path": "x", "filename": "x"}, "INVALID_VALUE"),
        ({"_file_path": "EMPTY"}, "INVALID_VALUE"),
        ({"_file_path": "FILE", "_related_to": "garbage"}, "UNRESOLVED_REFERENCE"),
        ({"_file_path": "FILE", "_related_to": "3x99999"}, "UNRESOLVED_REFERENCE"),
        ({"_file_path": "FILE", "_related_to": {"a": 1}}, "INVALID_VALUE"),
        ({"_file_path": "FILE", "folderid": "No such folder"}, "UNRESOLVED_REFERENCE"),
    ],
)
def test_file_that_cannot_be_sent_is_rejected_before_any_write(sandbox, told, code):
    places = {"EMPTY": put(b""), "FILE": put(b"x")}
    record = {"notes_title": "x", **told}
    record["_file_path"] = places.get(record.get("_file_path"), record.get("_file_path"))
    good = {"notes_title": "good", "_file_path": put(b"good")}
    run = load(sandbox, messages("Documents", record, good), streams=TITLE, max_rejects=1)
    assert run.codes == [code], run.outcomes
    assert len(sandbox.rows("Documents")) == 1
    assert only_file(sandbox)["content"] == b"good"
    assert run.rejected_records == [record | dict.fromkeys(good.keys() - record.keys())] or (
        run.rejected_records == [record]
    )


def test_file_larger_than_the_server_takes(sandbox, monkeypatch):
    monkeypatch.setattr("kafinea_sandbox.operations.describe._MAX_UPLOAD", 1000)
    big = some_bytes(1001)
    records = [
        {"notes_title": "a", "filename": "a", "_file_base64": encoded(big), "_file_path": None},
        {"notes_title": "b", "filename": "b", "_file_base64": None, "_file_path": put(big)},
        {"notes_title": "c", "filename": "c", "_file_base64": None, "_file_path": put(big[1:])},
    ]
    run = load(sandbox, messages("Documents", *records), streams=TITLE, max_rejects=2)
    assert run.codes == ["FILE_TOO_LARGE"] * 2
    assert only_file(sandbox)["content"] == big[1:]


def test_file_contents_are_not_in_the_log(sandbox):
    secret = encoded(b"the secret of the file" * 10)
    records = [
        {"notes_title": "a", "filename": "a", "_file_base64": secret},
        {"notes_title": "b", "filename": "b", "_file_base64": secret + "!"},
        {"notes_title": "c", "_file_base64": secret},
    ]
    run = load(sandbox, messages("Documents", *records), streams=TITLE, max_rejects=2)
    assert len(run.codes) == 2
    assert secret[:20] not in run.stderr
    assert secret[:20] not in json.dumps(run.outcomes)
    # A reject is the record as it came, to be corrected and loaded again.
    assert secret in run.rejected_records[0]["_file_base64"]


@pytest.mark.parametrize("dialect", ["stock", "frevo", "legacy"])
def test_servers_that_take_no_files(dialect):
    with empty(dialect=dialect) as sandbox:
        records = [
            {"notes_title": "with", "_file_path": put(b"x")},
            {"notes_title": "without", "_file_path": None},
        ]
        run = load(sandbox, messages("Documents", *records), streams=TITLE, max_rejects=1)
        assert run.codes == ["NOT_SUPPORTED"]
        assert [row["notes_title"] for row in sandbox.rows("Documents")] == ["without"]


def test_dry_run_writes_no_file_and_reports_what_it_would(sandbox, account):
    load(
        sandbox,
        messages("Documents", {"notes_title": "same", "_file_path": put(b"same")}),
        messages("Documents", {"notes_title": "other", "_file_path": put(b"old")}),
        streams=TITLE,
    )
    sandbox.requests.clear()
    records = [
        {"notes_title": "same", "_file_path": put(b"same")},
        {"notes_title": "other", "_file_path": put(b"new")},
        {"notes_title": "new", "_file_path": put(b"new"), "_related_to": account},
        {"notes_title": "bad", "_file_path": "memory://put/nowhere/x"},
        {"notes_title": "new", "_file_path": put(b"again")},
    ]
    run = load(sandbox, messages("Documents", *records), streams=TITLE, dry_run=True, max_rejects=1)
    assert write_requests(sandbox) == []
    assert run.of("same")[0]["outcome"] == "unchanged"
    assert run.of("other")[0]["outcome"] == "updated"
    assert run.of("new")[0]["outcome"] == "created"
    assert run.codes == ["FILE_NOT_FOUND"]
    link = messages("Documents", {"notes_title": "same", "_related_to": account})
    run = load(sandbox, link, streams=TITLE, dry_run=True)
    assert run.only["changed"] == ["_related_to"]
    assert documents_of(sandbox, account) == []


def test_append_only_keeps_existing_files_and_completes_missing_ones(sandbox):
    add_document(sandbox, ("x.txt", b"old"), notes_title="has one")
    add_document(sandbox, notes_title="has none")
    records = [
        {"notes_title": name, "_file_path": put(b"new")} for name in ("has one", "has none", "new")
    ]
    run = load(sandbox, messages("Documents", *records), streams=TITLE, load_method="append-only")
    assert run.tally == {"created": 1, "updated": 1, "unchanged": 1}
    assert [file["content"] for file in stored_files(sandbox)] == [b"old", b"new", b"new"]


def test_append_only_adds_the_links_missing_after_a_killed_run(sandbox, account):
    document = add_document(sandbox, ("x.txt", b"x"), notes_title="x")
    record = {"notes_title": "x", "_file_path": put(b"x"), "_related_to": account}
    for expected in ("updated", "unchanged"):
        lines = messages("Documents", record)
        run = load(sandbox, lines, streams=TITLE, load_method="append-only")
        assert run.tally == {expected: 1}
    assert documents_of(sandbox, account) == [document]
    assert len(stored_files(sandbox)) == 1


# What goes wrong


@pytest.mark.parametrize("operation", ["create", "fileupload", "add_related"])
@pytest.mark.parametrize(
    "kind", ["reset", "reset_after", "fatal_after", "truncate", "hang", "hang_after", "session"]
)
def test_fault_during_an_upload_makes_no_duplicates(sandbox, account, operation, kind):
    # The first upload is to nothing.
    sandbox.faults.add(kind, operation=operation, nth=3, times=2, seconds=1)
    lines = messages(
        "Documents",
        *(
            {"notes_title": f"{n}", "_file_path": put(f"{n}".encode()), "_related_to": account}
            for n in range(6)
        ),
    )
    run = load(sandbox, lines, streams=TITLE, request_timeout=0.4)
    assert run.tally == {"created": 6}
    titles = {row["id"]: row["notes_title"] for row in sandbox.rows("Documents")}
    files = stored_files(sandbox)
    assert sorted(titles.values()) == [f"{n}" for n in range(6)]
    assert {titles[file["parent"]]: file["content"] for file in files} == {
        f"{n}": f"{n}".encode() for n in range(6)
    }
    assert len(files) == 6
    assert sorted(documents_of(sandbox, account)) == sorted(titles)


@pytest.mark.parametrize("kind", ["reset", "fatal_after", "html"])
def test_transient_fault_does_not_mean_no_files(sandbox, kind):
    sandbox.faults.add(kind, operation="fileupload", times=2)
    record = {"notes_title": "x", "_file_path": put(b"x")}
    run = load(sandbox, messages("Documents", record), streams=TITLE)
    assert run.tally == {"created": 1}
    assert only_file(sandbox)["content"] == b"x"


def test_file_that_may_not_be_read_back_is_not_sent_again(sandbox):
    record = {"notes_title": "x", "_file_path": put(b"x")}
    lines = messages("Documents", record)
    load(sandbox, lines, streams=TITLE)
    denied = {"success": False, "error": {"code": "ACCESS_DENIED", "message": "Denied"}}
    sandbox.faults.add("status", operation="files_retrieve", status=200, body=json.dumps(denied))
    assert load(sandbox, lines, streams=TITLE).codes == ["ACCESS_DENIED"]
    assert load(sandbox, lines, streams=TITLE).tally == {"unchanged": 1}
    assert len(stored_files(sandbox)) == 1


def test_file_that_the_server_cannot_store_stops_no_other(sandbox):
    sandbox.faults.add("status", operation="fileupload", contains="bad.txt", status=500, times=None)
    records = [
        {"notes_title": name, "_file_path": put(b"x", f"{name}.txt")} for name in ("bad", "good")
    ]
    lines = messages("Documents", *records)
    run = load(sandbox, lines, streams=TITLE, max_rejects=1)
    assert run.codes == ["FILE_NOT_STORED"]
    (rejected,) = run.of("bad")
    assert "HTTP 500" in rejected["message"]
    document = next(row for row in sandbox.rows("Documents") if row["notes_title"] == "bad")
    assert rejected["id"] == document["id"]
    sandbox.faults.clear()
    assert load(sandbox, lines, streams=TITLE).tally == {"updated": 1, "unchanged": 1}
    assert len(stored_files(sandbox)) == 2


def test_file_stored_in_part_is_rejected(sandbox, monkeypatch):
    whole = OPERATIONS["fileupload"]

    def half(call):
        contents = call.params.get("fileContents", "")
        call.params["fileContents"] = contents[: len(contents) // 8 * 4]
        return whole.run(call)

    lines = messages("Documents", {"notes_title": "x", "_file_path": put(some_bytes(3000))})
    with monkeypatch.context() as patch:
        patch.setitem(OPERATIONS, "fileupload", whole._replace(run=half))
        assert load(sandbox, lines, streams=TITLE, max_rejects=1).codes == ["FILE_NOT_STORED"]
    assert load(sandbox, lines, streams=TITLE).tally == {"updated": 1}
    assert stored_files(sandbox)[-1]["content"] == some_bytes(3000)


def test_file_not_stored_is_rejected(sandbox, account, monkeypatch):
    for operation, code in (("fileupload", "FILE_NOT_STORED"), ("add_related", "NOT_RELATED")):
        whole = OPERATIONS[operation]

        def nothing(call, whole=whole):
            return whole.run(call) if not call.params.get("parentId", "x") else {"message": "ok"}

        record = {"notes_title": code, "_file_path": put(b"x"), "_related_to": account}
        with monkeypatch.context() as patch:
            patch.setitem(OPERATIONS, operation, whole._replace(run=nothing))
            lines = messages("Documents", record)
            run = load(sandbox, lines, streams=TITLE, max_rejects=1)
            assert run.codes == [code]
        assert load(sandbox, lines, streams=TITLE).tally == {"updated": 1}


@pytest.mark.parametrize(
    ("after", "how"),
    [
        ("create", signal.SIGKILL),
        ("fileupload", signal.SIGKILL),
        ("fileupload", signal.SIGTERM),
        ("add_related", signal.SIGKILL),
    ],
)
def test_killed_run_is_completed_by_the_next(tmp_path, after, how):
    with empty(latency_ms=20) as sandbox:
        account = sandbox.insert("Accounts", {"accountname": "Acme"})
        records = []
        for n in range(20):
            path = tmp_path / f"{n}.bin"
            path.write_bytes(some_bytes(5000, n))
            records.append({"notes_title": f"{n}", "_file_path": str(path), "_related_to": account})
        lines = messages("Documents", *records)
        files = Files(tmp_path)
        config = files.config(sandbox, streams=TITLE, files_path=str(tmp_path))
        with running(config, "--input", files.input([lines])) as process:
            until(lambda: len(sandbox.requests.of(after)) >= 6)
            process.send_signal(how)
            process.wait(timeout=60)
        time.sleep(0.2)  # the server ends what it was at
        run = load(sandbox, lines, streams=TITLE, files_path=str(tmp_path))
        assert run.code == 0
        rows = {row["id"]: row["notes_title"] for row in sandbox.rows("Documents")}
        assert sorted(rows.values(), key=int) == [f"{n}" for n in range(20)]
        stored = stored_files(sandbox)
        assert len(stored) == 20
        assert {rows[file["parent"]]: file["content"] for file in stored} == {
            f"{n}": some_bytes(5000, n) for n in range(20)
        }
        assert sorted(documents_of(sandbox, account)) == sorted(rows)


# There and back


def test_documents_round_trip_into_another_kafinea(tmp_path):
    def files_of(sandbox, name):
        told = {"enabled": True, "path": str(tmp_path / name)}
        return extract(sandbox, modules=["Documents", "DocumentFolders"], files=told)

    with Sandbox(rows=1000) as first, empty() as second:
        for n, size in enumerate((0, 1, 2, 3, 100, 300_000)):
            odd = (f"odd n° {n}.bin", some_bytes(size))
            add_document(first, odd, notes_title=f"Odd {n}", folderid=1)
        there = files_of(first, "first")
        folders = {row["id"]: row["foldername"] for row in there.records("DocumentFolders")}
        documents = {row["id"]: row for row in there.records("Documents")}
        rows = [row for row in there.records("files") if row["size"]]
        records = [
            {
                "notes_title": f"{documents[row['document_id']]['notes_title']} {row['id']}",
                "folderid": folders.get(documents[row["document_id"]]["folderid"]),
                "filename": row["name"],
                "filetype": row["mime_type"],
                "_file_path": row["path"],
            }
            for row in rows
        ]
        assert len(records) > 5
        for expected in ("created", "unchanged"):
            more = {"streams": TITLE, "files_path": str(tmp_path / "first")}
            run = load(second, messages("Documents", *records), **more)
            assert run.tally == {expected: len(records)}
        back = files_of(second, "second")
        assert sorted(row["sha256"] for row in back.records("files")) == sorted(
            row["sha256"] for row in rows
        )
        found = {}
        for row in back.records("files"):
            with fsspec.open(row["path"], "rb") as file:
                found[row["document_id"]] = file.read()
        titles = {row["id"]: row["notes_title"] for row in second.rows("Documents")}
        original = {file["id"]: file["content"] for file in stored_files(first)}
        assert {titles[one].rpartition(" ")[2]: content for one, content in found.items()} == {
            row["id"]: original[row["id"]] for row in rows
        }


def test_batch_is_loaded_early_when_its_last_file_is_large(sandbox, monkeypatch):
    monkeypatch.setattr("kafinea.load.stream.look_ahead.HEAVY", 1000)
    documents = [{"notes_title": f"{n}"} for n in range(400)]
    documents[-1] |= {"_file_base64": encoded(bytes(1000)), "filename": "a.bin"}
    run = load(sandbox, messages("Documents", *documents, state={"all": True}), streams=TITLE)
    assert run.tally == {"created": 400}
    assert run.states == [{"all": True}]
    assert sandbox.count("Documents") == 400
