"""Files that commands write: who may read them, and that nothing planted is written through."""

from __future__ import annotations

import errno
import gzip
import json
import os
import stat
from io import BytesIO
from pathlib import Path

import pytest

from kafinea import private
from kafinea.errors import StateError
from kafinea.extract.id_snapshots import IdSnapshot, SnapshotStore
from tests.stored_documents import add_document, contents, stored_files
from tests.tap.running import extract, extract_through
from tests.target.running import empty, load, matched, messages

SHARED = 0o777
SECRET = "what another program has in its file"
ROWS = messages(
    "Contacts",
    {"cf_853": "a", "lastname": "Roux"},
    {"cf_853": "b", "lastname": "Petit", "cf_863": "no date"},
)
STRANGER = 12345
is_root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away"
)


@pytest.fixture(scope="module")
def server():
    with empty() as sandbox:
        add_document(sandbox, ("plan.pdf", b"the plan"))
        yield sandbox


@pytest.fixture(autouse=True)
def any_umask():
    before = os.umask(0)
    yield
    os.umask(before)


def write_all(sandbox, folder):
    """Write every kind of file into a folder, and return what the runs said or failed with."""
    load_into(sandbox, folder, outcomes_path=str(folder / "report.jsonl"))
    return extract_into(sandbox, folder)


def load_into(sandbox, folder, **more):
    more = {"rejects_path": str(folder / "rejects.jsonl"), "outcomes_path": None, **more}
    streams = matched("Contacts", "cf_853")
    return load(sandbox, ROWS, streams=streams, max_rejects=-1, check=False, **more)


def extract_into(sandbox, folder):
    return extract_through(
        sandbox,
        modules=["Documents"],
        files={"enabled": True, "path": str(folder / "new" / "files")},
        deletions="scan",
        deletions_path=str(folder / "new" / "ids"),
    )


def mode(path):
    return stat.S_IMODE(path.lstat().st_mode)


def test_files_are_readable_by_this_user_only(server, tmp_path):
    write_all(server, tmp_path)
    write_all(server, tmp_path)  # and what takes the place of it, or is put aside
    files = {path for path in tmp_path.rglob("*") if path.is_file()}
    own = {"plan.pdf", ".file.json", "Documents.json.gz", "report.jsonl", "rejects.jsonl"}
    assert own < {path.name for path in files}
    assert {mode(path) for path in files} == {0o600}
    assert {mode(path) for path in tmp_path.rglob("*") if path.is_dir()} == {0o700}


PLANTED = {
    "rejects.jsonl.part": "refused",
    "new/ids/.Documents.json.gz.part": "replaced",
    "new/ids/Documents.json.gz": "refused",
    "new/files/{id}/.plan.pdf.part": "replaced",
    "new/files/{id}/plan.pdf": "replaced",
    "new/files/{id}/.file.json": "replaced",
    "new/files/{id}": "refused",
}
"""Names that are ours, and what is done about a link there."""


@pytest.mark.parametrize("kind", ["link", "pipe"])
@pytest.mark.parametrize("name", PLANTED)
def test_planted_links_are_not_followed(server, tmp_path, name, kind):
    (document,) = stored_files(server)
    place = tmp_path / name.format(id=document["id"])
    place.parent.mkdir(parents=True, exist_ok=True)
    victim = tmp_path / "victim"
    if name.endswith("{id}"):
        victim.mkdir()
        victim /= "plan.pdf"
    victim.write_text(SECRET)
    if kind == "link":
        place.symlink_to(victim.parent if name.endswith("{id}") else victim)
    else:
        os.mkfifo(place)
    if "rejects" in name:
        run = load_into(server, tmp_path)
        said = "".join(run.errors)
        assert run.code == 1
        assert "Traceback" not in run.stderr
    else:
        output, error = extract_into(server, tmp_path)
        said = str(error or "")
    assert victim.read_text() == SECRET
    assert len(list(victim.parent.iterdir())) < 10
    if PLANTED[name] == "refused":
        assert place.name in said
        assert "Remove it" in said
    else:
        assert said == ""
        (row,) = output.records("files")
        assert Path(row["path"]).read_bytes() == contents([document])[document["id"]]
        assert not place.is_symlink()


@is_root
@pytest.mark.parametrize("setting", ["outcomes_path", "rejects_path"])
@pytest.mark.parametrize("kind", ["link", "file", "part", "folder"])
def test_files_of_strangers_in_shared_folders_are_refused(server, tmp_path, setting, kind):
    if (setting, kind) == ("outcomes_path", "part"):
        pytest.skip("the load report has no parts")
    shared, victim = tmp_path / "shared", tmp_path / "victim"
    shared.mkdir()
    shared.chmod(0o1777)
    victim.write_text(SECRET)
    place = shared / {"part": "lines.jsonl.part", "folder": "here"}.get(kind, "lines.jsonl")
    path = shared / ("here/lines.jsonl" if kind == "folder" else "lines.jsonl")
    if kind == "link":
        place.symlink_to(victim)
    elif kind == "folder":
        place.mkdir()
    else:
        place.touch()
    os.chown(place, STRANGER, STRANGER, follow_symlinks=False)
    paths = {"rejects_path": None, setting: str(path)}
    run = load_into(server, tmp_path, **paths)
    (error,) = run.errors
    assert f"`{setting}`" in error
    assert "belongs to another user. Remove it" in error
    assert victim.read_text() == SECRET
    assert kind in {"link", "folder"} or place.read_bytes() == b""
    os.chown(place, 0, 0, follow_symlinks=False)
    assert load_into(server, tmp_path, **paths).code == 0


@is_root
@pytest.mark.parametrize("name", ["new", "new/ids", "new/files", "new/files/{id}"])
def test_folders_of_strangers_are_refused(server, tmp_path, name):
    (document,) = stored_files(server)
    place = tmp_path / name.format(id=document["id"])
    place.mkdir(parents=True)
    place.parent.chmod(0o1777)
    os.chown(place, STRANGER, STRANGER)
    _, error = extract_into(server, tmp_path)
    assert f"{place} belongs to another user. Remove it" in str(error)
    assert "plan.pdf" not in {path.name for path in tmp_path.rglob("*")} or name == "new/ids"
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("name", ["rejects.jsonl", "rejects.jsonl.part", "report.jsonl"])
def test_hard_links_in_shared_folders_are_refused(server, tmp_path, name):
    victim, shared = tmp_path / "victim", tmp_path / "shared"
    victim.write_text(SECRET)
    shared.mkdir()
    shared.chmod(0o1777)
    os.link(victim, shared / name)
    run = load_into(server, shared, outcomes_path=str(shared / "report.jsonl"))
    (error,) = run.errors
    assert f"{shared / name} is a hard link. Remove it" in error
    assert victim.read_text() == SECRET


def test_full_disk_leaves_the_old_file_and_no_partial_one(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_text("old")

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        private.replace(path, BytesIO(b"new"), durable=True)
    assert path.read_text() == "old"
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


def test_folder_that_others_may_write_is_logged_once(server, tmp_path, caplog):
    shared = tmp_path / "shared"
    shared.mkdir(mode=SHARED)
    write_all(server, shared)
    write_all(server, shared)
    told = [one.getMessage() for one in caplog.records if "can write to the folder" in one.message]
    assert sorted(line.partition(":")[0] for line in told) == [
        *("`deletions_path`", "`files.path`", "`outcomes_path`", "`rejects_path`")
    ]
    assert all(f"Run: chmod o-w {shared}" in line for line in told)


@pytest.mark.parametrize(("before", "is_told"), [(0o644, True), (0o640, False)])
def test_report_that_others_may_read_is_logged_and_kept(server, tmp_path, before, is_told, caplog):
    report = tmp_path / "report.jsonl"
    report.touch(before)
    load_into(server, tmp_path, outcomes_path=str(report))
    assert mode(report) == before
    assert (f"Run: chmod o-rwx {report}" in caplog.text) == is_told


def test_file_of_a_module_stays_in_its_folder(tmp_path):
    folder = SnapshotStore(str(tmp_path / "ids"))
    for module in ("../../x", "/etc/x", "x\x00", "X" * 300, "\N{RIGHT-TO-LEFT OVERRIDE}x"):
        folder.save(IdSnapshot("u", "n", module, "4", [1]))
        assert folder.load("u", "n", module).ids == [1]
    assert {path.parent for path in tmp_path.rglob("*") if path.is_file()} == {tmp_path / "ids"}


GOOD = {"url": "u", "user": "n", "module": "M", "prefix": "4", "ids": [1, 1]}
CHANGE = {"at": "2026-01-01T00:00:00Z", "gone": [], "back": []}


@pytest.mark.parametrize(
    "content",
    [
        b" " * 2**26 + json.dumps(GOOD).encode(),
        *(
            json.dumps(GOOD | wrong).encode()
            for wrong in (
                {"ids": [3, -1]},
                {"ids": [3, 0]},
                {"ids": [-3]},
                {"ids": [2**63]},
                {"ids": [2**62, 2**62]},
                {"ids": [10**400]},
                {"ids": ["1"]},
                {"hidden": [-1]},
                {"hidden": [2**63]},
                {"prefix": "4x../"},
                {"prefix": 4},
                {"changes": [CHANGE | {"gone": [2, -2]}]},
                {"changes": [CHANGE | {"at": "2026-01-01T00:00:00"}]},
                {"changes": [CHANGE | {"at": "0001-01-01T00:00:00+14:00"}]},
            )
        ),
        b'{"x":' + b"[" * 100_000,
    ],
    ids=lambda content: f"{content[-40:]!r}",
)
def test_ids_file_that_no_run_has_written_is_one_error(tmp_path, content):
    with gzip.open(tmp_path / "M.json.gz", "wb") as file:
        file.write(content)
    with pytest.raises(StateError, match=r"M\.json\.gz is damaged\. Restore it, or remove it"):
        SnapshotStore(str(tmp_path)).load("u", "n", "M")


@pytest.mark.parametrize(
    "note",
    [
        {"row": "x"},
        {"row": {"name": 3}},
        {"said": []},
        {"row": {"size": 1e99}},
        {"row": {"id": "15x999"}},
        {"row": {"document_id": "15x999"}},
        "large",
        "deep",
    ],
    ids=str,
)
def test_planted_note_of_a_download_is_ignored(server, tmp_path, note):
    (row,) = extract_into(server, tmp_path)[0].records("files")
    path = Path(row["path"]).with_name(".file.json")
    good = json.loads(path.read_text())
    if note == "large":
        planted = " " * 2**20 + json.dumps(good)
    elif note == "deep":
        planted = '{"said":' + "[" * 100_000
    else:
        rows = note.get("row")
        planted = json.dumps(
            good | note | ({"row": good["row"] | rows} if isinstance(rows, dict) else {})
        )
    path.write_text(planted)
    Path(row["path"]).chmod(0o640)
    output, error = extract_into(server, tmp_path)
    assert error is None
    assert output.records("files") == [row]
    assert mode(Path(row["path"])) == 0o600  # it was fetched again
    assert json.loads(path.read_text()) == good


def test_owners_are_not_checked_where_there_are_none(server, tmp_path, monkeypatch, caplog):
    """As on Windows."""
    monkeypatch.setattr(private, "_HAS_OWNERS", False)
    shared = tmp_path / "shared"
    shared.mkdir(mode=SHARED)
    assert write_all(server, shared)[1] is None
    assert "other users" not in caplog.text


def test_killed_download_leaves_nothing_that_the_next_run_keeps(server, tmp_path):
    (document,) = stored_files(server)
    folder = tmp_path / "new" / "files" / document["id"]
    folder.mkdir(parents=True)
    (folder / ".plan.pdf.part").write_text("half of")
    (row,) = extract(
        server,
        modules=["Documents"],
        files={"enabled": True, "path": str(tmp_path / "new" / "files")},
    ).records("files")
    assert Path(row["path"]).read_bytes() == document["content"]
    assert {path.name for path in folder.iterdir()} == {"plan.pdf", ".file.json"}


def test_concurrent_runs_write_the_whole_file(tmp_path):
    path = tmp_path / "plan.pdf"

    class Slow(BytesIO):
        def read(self, size=-1):
            if not path.exists():
                private.replace(path, BytesIO(b"of the other run"), durable=False)
            return super().read(size)

    private.replace(path, Slow(b"of this run"), durable=False)
    assert path.read_bytes() == b"of this run"
    assert list(tmp_path.iterdir()) == [path]
