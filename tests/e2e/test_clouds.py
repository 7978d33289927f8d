"""State, ids and files in object stores, with what `make install` installs."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator

import duckdb
import pytest

from kafinea_sandbox import Sandbox
from tests.e2e.clouds import BUCKET, CLOUDS, ROOT, Cloud

pytestmark = [pytest.mark.e2e, pytest.mark.operate]
MODULES = ["Contacts", "Documents"]


@pytest.fixture(params=CLOUDS)
def cloud(request) -> Iterator[Cloud]:
    with CLOUDS[request.param]() as running:
        yield running


def meltano(*command: str, given: str = "", **settings: str) -> str:
    done = subprocess.run(
        [ROOT / ".venv-meltano/bin/meltano", "--env-file", os.devnull, *command],
        cwd=ROOT, env=os.environ | settings, input=given, text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_pipeline_keeps_state_ids_and_files_in_an_object_store(cloud, tmp_path):
    with Sandbox(rows=100) as sandbox:
        files = json.dumps({"enabled": True, "path": f"{cloud.url}/files"})
        target = {
            "TARGET_KAFINEA_URL": sandbox.url,
            "TARGET_KAFINEA_USERNAME": sandbox.username,
            "TARGET_KAFINEA_ACCESS_KEY": sandbox.access_key,
            "TARGET_KAFINEA_FILES_PATH": f"{cloud.url}/files",
            "TARGET_KAFINEA_STREAMS": json.dumps(
                {"files": {"module": "Documents", "match_on": "notes_title"}}
            ),
        }
        settings = {
            **cloud.environment,
            "MELTANO_STATE_BACKEND_URI": f"{cloud.state}/state",
            "MELTANO_DATABASE_URI": f"sqlite:///{tmp_path}/meltano.db",
            "TAP_KAFINEA_URL": sandbox.url,
            "TAP_KAFINEA_USERNAME": sandbox.username,
            "TAP_KAFINEA_ACCESS_KEY": sandbox.access_key,
            "TAP_KAFINEA_MODULES": json.dumps(MODULES),
            "TAP_KAFINEA_DELETIONS": "scan",
            "TAP_KAFINEA_DELETIONS_PATH": f"{cloud.url}/ids",
            "TAP_KAFINEA_FILES": files,
            "TARGET_DUCKDB_PATH": str(tmp_path / "warehouse.duckdb"),
        }
        run = ("run", "--no-install", "tap-kafinea", "target-duckdb")
        meltano(*run, **settings)
        gone = sandbox.rows("Contacts")[0]["id"]
        sandbox.remove("Contacts", gone)
        added = sandbox.insert("Contacts", {"lastname": "Added"})
        sandbox.requests.clear()
        # Another worker: it has no database of the first one.
        settings["MELTANO_DATABASE_URI"] = f"sqlite:///{tmp_path}/other.db"
        meltano(*run, **settings)
        sent = [request.params["query"] for request in sandbox.requests.of("query")]
        with duckdb.connect(tmp_path / "warehouse.duckdb", read_only=True) as warehouse:
            deleted = warehouse.sql("SELECT id FROM kafinea.deleted_records").fetchall()
            ids = warehouse.sql("SELECT id FROM kafinea.contacts").fetchall()
            path, size = warehouse.sql("SELECT path, size FROM kafinea.files").fetchone()
        assert deleted == [(gone,)]
        assert (added,) in ids
        assert all("modifiedtime >=" in query for query in sent if "lastname" in query)
        folder, _, name = path.partition("/files/")  # adlfs writes az:// as abfs://
        assert folder.partition("://")[2] == BUCKET

        schema = {
            "properties": {"notes_title": {"type": "string"}, "_file_path": {"type": "string"}}
        }
        record = {"notes_title": "From the store", "_file_path": name}
        messages = [
            {"type": "SCHEMA", "stream": "files", "schema": schema, "key_properties": []},
            {"type": "RECORD", "stream": "files", "record": record},
        ]
        meltano(
            "invoke", "--no-install", "target-kafinea", **settings, **target,
            given="".join(json.dumps(message) + "\n" for message in messages),
        )  # fmt: skip
        loaded = next(
            row for row in sandbox.rows("Documents") if row["notes_title"] == "From the store"
        )
        assert int(loaded["filesize"]) == size
