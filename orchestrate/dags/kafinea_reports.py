"""The files that a load keeps: its load report and its rejects, in one folder for each run.

Two Airflow Variables decide where, and for how long: `kafinea_reports`, such as
s3://bucket/loads, and `kafinea_reports_days`.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

from airflow.sdk import Variable
from kafinea_meltano import PROJECT
from kafinea_places import Place
from upath import UPath

_DEFAULT = f"file://{PROJECT}/output/loads"
_DAYS = 90


def folder_of(run_id: str, began: datetime) -> UPath:
    """Return the folder of a run, in one for each day."""
    return _root() / f"{began:%Y-%m-%d}" / run_id


def make(folder: UPath) -> None:
    """Create the folder of a run."""
    with _for_the_owner():
        folder.mkdir(parents=True, exist_ok=True)


def keep(files: Path, folder: UPath, try_number: int) -> None:
    """Store the files of a try in the folder of its run."""
    with _for_the_owner():
        for path in files.iterdir():
            with path.open("rb") as source, (folder / f"{try_number}-{path.name}").open("wb") as to:
                shutil.copyfileobj(source, to)


def rejected(rejects: Path) -> str:
    """Return the number of rejected records and the reasons, but not their contents."""
    found: Counter[tuple[str, str]] = Counter()
    # A killed run leaves `rejects.jsonl.part`, possibly with an incomplete last line.
    for path in rejects.parent.glob(f"{rejects.name}*"):
        with path.open(encoding="utf-8") as lines:
            complete = (json.loads(line) for line in lines if line.endswith("\n"))
            found.update(
                (line["stream"], line["code"]) for line in complete if line["type"] == "RECORD"
            )
    reasons = [f"{count:,} of {stream} ({code})" for (stream, code), count in sorted(found.items())]
    return f"Rejected: {', '.join(reasons)}." if reasons else ""


def remove_old() -> None:
    """Remove the folders of days that are too long ago. If that fails, log why."""
    days = int(Variable.get("kafinea_reports_days", default=_DAYS))
    first = datetime.now(timezone.utc).date() - timedelta(days=days)
    try:
        for day in _root().iterdir():
            if _is_before(day.name, first):
                day.rmdir(recursive=True)
    except Exception as error:  # noqa: BLE001 each kind of storage has its own
        text = "Old reports in %s could not be removed: %s. Remove them by hand."
        logging.getLogger(__name__).warning(text, _root(), error)


def place() -> Place:
    """Return where all folders are."""
    where, example = Variable.get("kafinea_reports", default=_DEFAULT), "s3://bucket/loads"
    return Place("kafinea_reports", "AIRFLOW_VAR_KAFINEA_REPORTS", where, example)


@contextmanager
def _for_the_owner() -> Iterator[None]:
    """Let other users of this machine read nothing that is created: it holds personal data."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def _root() -> UPath:
    return UPath(place().where)


def _is_before(name: str, first: date) -> bool:
    try:
        return date.fromisoformat(name) < first
    except ValueError:  # something else
        return False
