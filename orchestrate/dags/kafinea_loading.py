"""The task that loads records of the warehouse into Kafinea, and keeps a report of each run."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowException, AirflowFailException
from kafinea_meltano import PROJECT
from kafinea_places import NotSharedError, check_places, of_target
from kafinea_reports import folder_of, keep, make, place, rejected, remove_old
from kafinea_tasks import ENVIRONMENT, EXTRACTOR, SESSIONS, Meltano, meltano

if TYPE_CHECKING:
    from upath import UPath

_TO_CORRECT = (FileNotFoundError, NotADirectoryError, PermissionError)
"""What does not pass: a wrong path, or a right that is missing. Object stores raise them too."""

LOAD: dict[str, Any] = {
    "command": ("run", "--no-install", EXTRACTOR, "target-kafinea"),
    "env": {"MELTANO_ENVIRONMENT": ENVIRONMENT, "TARGET_KAFINEA_MAX_SESSIONS": str(SESSIONS)},
}


class Load(Meltano):
    """Runs Meltano, and keeps the load report and the rejects, also of a run that fails.

    Rejected records fail it above `max_rejects` and `max_rejects_percent` of the target. After an
    outage, it is retried: what was loaded before is then found to be unchanged.
    """

    def execute(self, context: Any) -> None:
        """Load, then keep the files."""
        _check_places()
        task = context["ti"]
        kept = folder_of(task.run_id, context["dag_run"].run_after)
        _make(kept)
        with TemporaryDirectory() as folder:
            rejects, outcomes = Path(folder, "rejects.jsonl"), Path(folder, "outcomes.jsonl")
            self.env = (self.env or {}) | {
                "TARGET_KAFINEA_REJECTS_PATH": str(rejects),
                "TARGET_KAFINEA_OUTCOMES_PATH": str(outcomes),
            }
            failed = None
            try:
                super().execute(context)
            except AirflowException as error:
                text = str(error).replace(
                    str(rejects), f"{kept / f'{task.try_number}-{rejects.name}'}"
                )
                failed = type(error)(f"{text} {rejected(rejects)}".rstrip())
                raise failed from None
            else:
                if summary := rejected(rejects):
                    self.log.warning("%s They are in %s.", summary, kept)
            finally:
                _keep(Path(folder), kept, task.try_number, failed)
                remove_old()


def _make(folder: UPath) -> None:
    """Create the folder of a run, before anything is loaded.

    Raises:
        AirflowFailException: It cannot be created until a person has corrected something.
        AirflowException: It cannot be created now.
    """
    try:
        make(folder)
    except Exception as error:  # noqa: BLE001 each kind of storage has its own
        failed = AirflowFailException if isinstance(error, _TO_CORRECT) else AirflowException
        raise failed(f"{_not_kept(folder, error)} Nothing was loaded.") from None


def _keep(files: Path, folder: UPath, try_number: int, failed: AirflowException | None) -> None:
    """Store the files of a try.

    Raises:
        AirflowException: They cannot be stored. It is final unless the load itself is to be
            retried, because a retry would load again.
    """
    try:
        keep(files, folder, try_number)
    except Exception as error:  # noqa: BLE001 each kind of storage has its own
        text = _not_kept(folder, error)
        if failed:
            raise type(failed)(f"{failed} {text}") from None
        raise AirflowFailException(text) from None


def _not_kept(folder: UPath, error: Exception) -> str:
    why = (isinstance(error, OSError) and error.strerror) or error
    return f"The load report cannot be kept in {folder} (AIRFLOW_VAR_KAFINEA_REPORTS): {why}."


def _check_places() -> None:
    """Check that other workers find the files that a load reads and keeps.

    Raises:
        AirflowFailException: They do not.
    """
    settings = json.loads(meltano("config", "print", "target-kafinea"))
    try:
        check_places([*of_target(settings), place()], PROJECT)
    except NotSharedError as error:
        raise AirflowFailException(str(error)) from None
