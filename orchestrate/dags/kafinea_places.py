"""Checks that what tasks store is where every worker finds it. It does not need Airflow."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

SHARED = "KAFINEA_SHARED_FOLDERS"
"""The environment variable with the folders that every worker has, separated by colons."""

_OF_THIS_MACHINE = ("file", "local", "memory")
_STATE = (
    "Meltano stores its state in a file on this machine, which other workers cannot read. Set "
    "MELTANO_DATABASE_URI to a PostgreSQL database, or MELTANO_STATE_BACKEND_URI to an object "
    "store such as s3://bucket/state."
)


class Place(NamedTuple):
    """Where something is stored.

    Attributes:
        setting: The name of the setting.
        variable: The environment variable that sets it.
        where: A path or a URL.
        example: A value that would do.
    """

    setting: str
    variable: str
    where: str
    example: str


class NotSharedError(Exception):
    """Something is stored where other workers do not find it. The text says what to set."""


def check_state(meltano: Mapping[str, Any], project: Path) -> None:
    """Check where Meltano stores its state.

    Args:
        meltano: The settings of Meltano.
        project: The folder that relative paths start from.

    Raises:
        NotSharedError: It is on this machine.
    """
    where = meltano["state_backend"]["uri"]
    if where == "systemdb":
        if meltano["database_uri"].startswith("sqlite"):
            raise NotSharedError(_STATE)
        return
    if not _is_shared(where, project):
        raise NotSharedError(f"{_STATE} {_or_share(where)}")


def check_places(places: Iterable[Place], project: Path) -> None:
    """Check where files are stored.

    Raises:
        NotSharedError: Some are on this machine.
    """
    wrong = [place for place in places if not _is_shared(place.where, project)]
    if wrong:
        raise NotSharedError(
            " ".join(
                f"`{place.setting}` is on this machine, where other workers do not find it: "
                f"{_path(place.where)}. Set {place.variable} to {place.example}, for example."
                for place in wrong
            )
            + f" {_or_share(wrong[0].where)}"
        )


def of_tap(settings: Mapping[str, Any]) -> list[Place]:
    """Return the places that the settings of tap-kafinea name."""
    places = []
    if settings.get("deletions") == "scan":
        where = settings.get("deletions_path") or "."
        variable = "TAP_KAFINEA_DELETIONS_PATH"
        places.append(Place("deletions_path", variable, where, "s3://bucket/ids"))
    files = settings.get("files") or {}
    if files.get("enabled"):
        where = files.get("path") or "files"
        example = '{"enabled": true, "path": "s3://bucket/files"}'
        places.append(Place("files.path", "TAP_KAFINEA_FILES", where, example))
    return places


def of_target(settings: Mapping[str, Any]) -> list[Place]:
    """Return the places that the settings of target-kafinea name."""
    where = settings.get("files_path")
    example = "s3://bucket/files"
    return [Place("files_path", "TARGET_KAFINEA_FILES_PATH", where, example)] if where else []


def _or_share(where: str) -> str:
    return (
        f"If every worker has this folder, or there is only this machine, name it in {SHARED}, "
        f"such as {SHARED}={Path(_path(where)).absolute().parent}."
    )


def _is_shared(where: str, project: Path) -> bool:
    protocol, is_url, _ = where.partition("://")
    if is_url and protocol not in _OF_THIS_MACHINE:
        return True
    if protocol == "memory":
        return False
    # `..` must not lead out of a shared folder.
    path = Path(os.path.normpath(project / _path(where)))
    shared = filter(None, os.environ.get(SHARED, "").split(":"))
    return any(path.is_relative_to(os.path.normpath(folder)) for folder in shared)


def _path(where: str) -> str:
    """Return the path in a URL of this machine; it has no password."""
    return where.partition("://")[2] if "://" in where else where
