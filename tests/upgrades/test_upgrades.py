"""This version reads what older versions have written: see `make.py`."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kafinea_sandbox import Sandbox
from tests.loaders.conftest import DuckDB
from tests.tap.running import extract
from tests.target.running import Files, in_process
from tests.upgrades.make import CONTACTS, EXTRACTED, HERE, URL, VISITORS, company, fill, with_url

VERSIONS = sorted(path for path in HERE.iterdir() if (path / "state.json").exists())


@pytest.fixture(params=VERSIONS, ids=lambda path: path.name)
def written(request: pytest.FixtureRequest) -> Path:
    """The files of a version."""
    path: Path = request.param
    return path


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """The server of these files, after one contact was changed, and one deleted."""
    with company() as sandbox:
        fill(sandbox)
        sandbox.change("Contacts", 7, {"lastname": "Nouveau"}, "2025-12-24 18:00:00")
        sandbox.remove("Contacts", 9)
        yield sandbox


@pytest.fixture(autouse=True)
def short_waits(quick: None) -> None:
    """A run within the process waits for no server."""


def state(path: Path, sandbox: Sandbox) -> Any:
    return json.loads(with_url(path.read_text("utf-8"), URL, sandbox.url))


def stored_ids(written: Path, sandbox: Sandbox, folder: Path) -> str:
    """A copy of the stored ids, as those of this server."""
    shutil.copytree(written / "deletions", folder)
    for path in folder.iterdir():
        ids = gzip.decompress(path.read_bytes()).decode()
        path.write_bytes(gzip.compress(with_url(ids, URL, sandbox.url).encode()))
    return str(folder)


def warehouse(written: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> DuckDB:
    loaded = DuckDB(folder)
    monkeypatch.chdir(written / "warehouse")
    loaded.rows(Path("schema.sql").read_text("utf-8"))
    loaded.rows(Path("load.sql").read_text("utf-8"))
    return loaded


def test_run_extracts_what_changed_since_an_older_version(written, sandbox, tmp_path, monkeypatch):
    loaded = warehouse(written, tmp_path, monkeypatch)
    types = loaded.types("Contacts")
    assert loaded.rows("SELECT count(*) FROM kafinea.contacts") == [(CONTACTS,)]
    output = extract(
        sandbox,
        state=state(written / "state.json", sandbox),
        deletions_path=stored_ids(written, sandbox, tmp_path / "deletions"),
        **EXTRACTED,
    )
    assert set(output.ids("Contacts")) == changed(sandbox)
    deleted = output.records("deleted_records")
    assert [(each["module"], each["id"]) for each in deleted] == [("Contacts", "8x9")]
    loaded.load(*map(as_line, output.messages))
    assert loaded.types("Contacts") == types
    names = loaded.rows("SELECT id, lastname FROM kafinea.contacts WHERE id <> '8x9'")
    assert dict(names) == {row["id"]: row["lastname"] for row in sandbox.rows("Contacts")}


def test_run_resumes_where_an_older_version_was_interrupted(written, sandbox, tmp_path):
    begun = state(written / "interrupted.json", sandbox)
    last = number(begun["bookmarks"]["Contacts"]["pass"]["last_id"])
    output = extract(sandbox, state=begun, deletions_path=str(tmp_path), **EXTRACTED)
    behind = {row["id"] for row in sandbox.rows("Contacts") if number(row["id"]) > last}
    assert set(output.ids("Contacts")) == behind | changed(sandbox)
    assert 0 < len(behind) < CONTACTS - 1


def test_rejects_of_an_older_version_are_loaded(written, sandbox, tmp_path):
    sandbox.insert("Accounts", {"accountname": "Nobody"})
    files = Files(tmp_path)
    for name in ("rejects", "outcomes"):
        shutil.copy(written / f"{name}.jsonl", files.path(name))
    arguments = [
        "--config",
        files.config(sandbox, **VISITORS),
        "--input",
        str(files.path("rejects")),
    ]
    run = files.read(*in_process(arguments))
    assert run.code == 0, run.stderr
    assert run.summary == {"visitors": {"created": 1}}
    assert [line["outcome"] for line in run.outcomes] == ["rejected", "updated", "created"]
    assert {line["key"]["email"] for line in run.outcomes} == {"new@example.org", "7@example.org"}
    assert "New" in {row["lastname"] for row in sandbox.rows("Contacts")}


def test_state_has_the_version_that_wrote_it(written):
    for name in ("state.json", "interrupted.json"):
        assert json.loads((written / name).read_text("utf-8"))["version"] == written.name


def changed(sandbox: Sandbox) -> set[str]:
    """The contacts since the bookmark of the files, with the minute before it."""
    rows = sandbox.rows("Contacts")
    return {row["id"] for row in rows if row["modifiedtime"] >= "2025-03-28 09:59:55"}


def number(id: str) -> int:
    return int(id.partition("x")[2])


def as_line(message: Any) -> str:
    return json.dumps(message, default=str)
