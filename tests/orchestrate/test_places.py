"""What tasks store is where every worker finds it, or the first task says what to set."""

from __future__ import annotations

from pathlib import Path

import pytest
from kafinea_places import NotSharedError, check_places, check_state, of_tap, of_target

PROJECT = Path("/srv/singer-kafinea")
LOCAL = "Meltano stores its state in a file on this machine"


def state(uri="systemdb", database="postgresql+psycopg://host/meltano"):
    return {"state_backend": {"uri": uri}, "database_uri": database}


@pytest.mark.parametrize(
    ("settings", "shared", "is_shared"),
    [
        (state(), "", True),
        (state(database="sqlite:////srv/singer-kafinea/meltano.db"), "/srv", False),
        (state("s3://bucket/state"), "", True),
        (state("azure://container/state", "sqlite:///x.db"), "", True),
        (state("file:///srv/singer-kafinea/state"), "", False),
        (state("file:///mnt/kafinea/state"), "/mnt/other:/mnt/kafinea", True),
        (state("file:///mnt/kafinea/../other"), "/mnt/kafinea", False),
        (state("file:///mnt/kafinea-2"), "/mnt/kafinea", False),
    ],
)
def test_state_must_be_where_each_worker_reads_it(monkeypatch, settings, shared, is_shared):
    monkeypatch.setenv("KAFINEA_SHARED_FOLDERS", shared)
    if is_shared:
        check_state(settings, PROJECT)
    else:
        with pytest.raises(NotSharedError, match=LOCAL):
            check_state(settings, PROJECT)


@pytest.mark.parametrize(
    ("places", "names"),
    [
        (of_tap({}), []),
        (of_tap({"deletions": "sync", "deletions_path": "ids"}), []),
        (of_tap({"deletions": "scan", "deletions_path": "gs://bucket/ids"}), []),
        (of_tap({"deletions": "scan", "deletions_path": "ids"}), ["TAP_KAFINEA_DELETIONS_PATH"]),
        (of_tap({"deletions": "scan", "deletions_path": "/mnt/shared/ids"}), []),
        (
            of_tap({"deletions": "scan", "deletions_path": "memory://ids"}),
            ["TAP_KAFINEA_DELETIONS_PATH"],
        ),
        (of_tap({"files": {"enabled": False, "path": "files"}}), []),
        (of_tap({"files": {"enabled": True}}), ["TAP_KAFINEA_FILES"]),
        (
            of_tap({
                "files": {"enabled": True, "path": "file:///data"},
                "deletions": "scan", "deletions_path": "/data",
            }),
            ["TAP_KAFINEA_DELETIONS_PATH", "TAP_KAFINEA_FILES"],
        ),
        (of_target({"files_path": "contracts"}), ["TARGET_KAFINEA_FILES_PATH"]),
        (of_target({}), []),
    ],
)  # fmt: skip
def test_folders_of_this_machine_are_named_with_their_setting(monkeypatch, places, names):
    monkeypatch.setenv("KAFINEA_SHARED_FOLDERS", "/mnt/shared")
    if not names:
        check_places(places, PROJECT)
        return
    with pytest.raises(NotSharedError) as raised:
        check_places(places, PROJECT)
    text = str(raised.value)
    assert [name for name in names if f"Set {name} to" in text] == names
    assert "name it in KAFINEA_SHARED_FOLDERS, such as KAFINEA_SHARED_FOLDERS=/" in text
