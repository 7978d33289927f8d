"""A record reads no file but those below `files_path`, whatever path it tells."""

from __future__ import annotations

import base64
import os
import socket

import fsspec
import pytest

from kafinea.load import source_files
from kafinea.load.results import Rejected
from kafinea.load.source_files import SourceFiles
from tests.stored_documents import stored_files
from tests.target.running import Files, command, empty, load, matched, messages

TITLE = matched("Documents", "notes_title")
SECRET = b"the access key"
GOOD = "in/a n\u00e9 %2e.pdf"


@pytest.fixture(scope="module")
def server():
    with empty() as sandbox:
        yield sandbox


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with files, and with links and other things that lead elsewhere."""
    (tmp_path / "secret").write_bytes(SECRET)
    (tmp_path / "files-too").mkdir()
    (tmp_path / "files-too" / "x").write_bytes(SECRET)
    folder = tmp_path / "files"
    (folder / "in").mkdir(parents=True)
    (folder / GOOD).write_bytes(b"good")
    (folder / "to-a-file").symlink_to(folder / GOOD)
    (folder / "to-a-folder").symlink_to("in")
    (folder / "out").symlink_to(tmp_path)
    (folder / "out-file").symlink_to("../secret")
    (folder / "loop").symlink_to("loop")
    (folder / "environ").symlink_to("/proc/self/environ")
    os.mkfifo(folder / "fifo")
    (folder / "null").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as listener:
        monkeypatch.chdir(folder)  # the path of a socket may only be short
        listener.bind("socket")
        monkeypatch.undo()
    return folder


def loaded(server, path, **more):
    lines = messages("Documents", {"notes_title": path[:50], "_file_path": path})
    run = load(server, lines, streams=TITLE, max_rejects=1, check=False, **more)
    assert "Traceback" not in run.stderr
    sent = [file["content"] for file in stored_files(server)]
    assert SECRET not in sent
    return run.only.get("code", run.only["outcome"]), run.only.get("message", "")


@pytest.mark.parametrize("path", [GOOD, "to-a-file", "to-a-folder/a n\u00e9 %2e.pdf"])
@pytest.mark.parametrize("told", ["{}", "{folder}/{}", "{folder}//{}", "file://{folder}/{}"])
@pytest.mark.parametrize("setting", ["{}", "{}/", "file://{}"])
def test_file_below_files_path_is_read(folder, path, told, setting):
    file, name = SourceFiles(setting.format(folder)).open(told.format(path, folder=folder))
    with file:
        assert file.read() == b"good"
    assert name == path.rpartition("/")[2]


def test_files_path_may_be_relative(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    for told in (f"files/{GOOD}", GOOD):
        file, _ = SourceFiles("files").open(told)
        with file:
            assert file.read() == b"good"


OUTSIDE = [
    "/etc/passwd",
    "file:///etc/passwd",
    "local:///etc/passwd",
    "simplecache::file:///etc/passwd",
    "/proc/self/environ",
    "environ",
    "..",
    "../secret",
    "in/../../secret",
    "{}/../secret",
    "{}-too/x",
    "../files-too/x",
    "out/secret",
    "out-file",
    "null",
    "http://127.0.0.1:{port}/x",
    "ftp://127.0.0.1:{port}/x",
    "webhdfs://127.0.0.1:{port}/x",
    "memory://put/x",
    "github://a:b@/x",
    "nonsense://x",
    "x\0y",
]


@pytest.mark.parametrize("path", OUTSIDE)
def test_file_elsewhere_is_not_read(server, folder, path):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        told = path.format(folder, port=listener.getsockname()[1])
        code, said = loaded(server, told, files_path=str(folder))
        assert code == "FILE_NOT_ALLOWED"
        assert said == "_file_path: the file is outside `files_path`"
        with pytest.raises(BlockingIOError):
            listener.accept()


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("fifo", "FILE_NOT_READABLE"),
        ("socket", "FILE_NOT_READABLE"),
        ("in", "FILE_NOT_READABLE"),
        (".", "FILE_NOT_READABLE"),
        ("loop", "FILE_NOT_READABLE"),
        ("x" * 5000, "FILE_NOT_READABLE"),
        ("to-a-file/x", "FILE_NOT_READABLE"),
        ("nowhere/x", "FILE_NOT_FOUND"),
        ("~", "FILE_NOT_FOUND"),
    ],
)
def test_file_that_is_not_regular_is_not_read(server, folder, path, code):
    assert loaded(server, path, files_path=str(folder))[0] == code


@pytest.mark.parametrize("path", ["in/x", "/etc/passwd", "memory://x/y"])
@pytest.mark.parametrize("setting", [None, ""])
def test_file_is_not_read_without_files_path(server, path, setting):
    code, said = loaded(server, path, files_path=setting)
    assert code == "FILE_NOT_ALLOWED"
    assert said == "_file_path: no file may be read: set `files_path`"


def test_link_placed_after_the_check_is_not_followed(folder, monkeypatch):
    """Neither as the file nor as a folder on the way."""
    opened = source_files._open_regular

    def swapped(planted, leads_to):
        def open_later(root, parts):
            target = folder / planted
            target.rename(folder / f"was {planted}")
            target.symlink_to(folder.parent / leads_to)
            return opened(root, parts)

        return open_later

    (folder / "in" / "secret").write_bytes(b"good")
    monkeypatch.setattr(source_files, "_open_regular", swapped("in", ""))
    with pytest.raises(OSError, match="in"):
        SourceFiles(str(folder)).open("in/secret")
    (folder / "secret").write_bytes(b"good")
    monkeypatch.setattr(source_files, "_open_regular", swapped("secret", "secret"))
    with pytest.raises(Rejected):
        SourceFiles(str(folder)).open("secret")


# URLs


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("memory://below", "a/x.pdf"),
        ("memory://below/", "memory://below/a/x.pdf"),
        ("memory://below", "memory:///below/a/x.pdf"),  # as the tap shows it
    ],
)
def test_file_below_a_url_is_read(setting, told):
    with fsspec.open("memory://below/a/x.pdf", "wb") as file:
        file.write(b"good")
    file, name = SourceFiles(setting).open(told)
    assert (file.read(), name) == (b"good", "x.pdf")


@pytest.mark.parametrize(
    "told",
    [
        "memory://above",
        "memory://below-too/x",
        "memory://below/../above",
        "../above",
        "a/../../above",
        "%2e%2e/above",
        "..%2fabove",
        "..\\above",
        "/above",
        "//above",
        "./above",
        "",
        "/",
        "file:///etc/passwd",
        "/etc/passwd",
        "simplecache::memory://above",
        "a::memory://above",
        "http://127.0.0.1/x",
        "a\0",
    ],
)
def test_file_beside_a_url_is_not_read(told):
    for path in ("memory://above", "memory://below-too/x"):
        with fsspec.open(path, "wb") as file:
            file.write(SECRET)
    with pytest.raises(Rejected, match="outside") as rejected:
        SourceFiles("memory://below").open(told)
    assert rejected.value.rejection.code == "FILE_NOT_ALLOWED"


@pytest.mark.parametrize(
    "setting", ["simplecache::memory://x", "nonsense://x", "zip://x::memory://y"]
)
def test_files_path_that_cannot_be_opened_is_an_error_before_any_write(server, setting):
    run = load(server, messages("Contacts", {"lastname": "x"}), files_path=setting, check=False)
    assert run.code == 1
    assert "`files_path`: " in run.errors[0]
    assert run.outcomes == []


@pytest.mark.parametrize("told_in", ["_file_path", "_file_base64"])
def test_temporary_folder_that_is_full_is_named(server, tmp_path, told_in):
    resource = pytest.importorskip("resource")  # Windows has none
    content = b"x" * 3_000_000
    (tmp_path / "large").write_bytes(content)
    told = {"_file_path": "large", "_file_base64": base64.b64encode(content).decode()}
    record = {"notes_title": "large", "filename": "large", told_in: told[told_in]}
    files = Files(tmp_path)
    config = files.config(server, streams=TITLE, files_path=str(tmp_path), rejects_path=None)
    done = command(
        *("--config", config, "--input", files.input(messages("Documents", record))),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
    )
    assert done.returncode == 1
    assert "the temporary folder cannot hold the file: File too large. Set TMPDIR" in done.stderr
    (outcome,) = files.lines("outcomes")
    assert outcome["code"] == "FILE_NOT_READABLE"
