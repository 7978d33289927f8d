"""The task that loads records of the warehouse into Kafinea, and keeps a report of each run."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from airflow.sdk.exceptions import AirflowException, AirflowFailException
from kafinea_meltano import PROJECT
from kafinea_places import NotSharedError, check_places, of_target
from kafinea_reports import folder_of, keep, place, rejected, remove_old
from kafinea_tasks import ENVIRONMENT, EXTRACTOR, SESSIONS, Meltano, meltano

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
        with TemporaryDirectory() as folder:
            rejects, outcomes = Path(folder, "rejects.jsonl"), Path(folder, "outcomes.jsonl")
            self.env = (self.env or {}) | {
                "TARGET_KAFINEA_REJECTS_PATH": str(rejects),
                "TARGET_KAFINEA_OUTCOMES_PATH": str(outcomes),
            }
            try:
                super().execute(context)
            except AirflowException as error:
                text = str(error).replace(
                    str(rejects), f"{kept / f'{task.try_number}-{rejects.name}'}"
                )
                raise type(error)(f"{text} {rejected(rejects)}".rstrip()) from None
            else:
                if summary := rejected(rejects):
                    self.log.warning("%s They are in %s.", summary, kept)
            finally:
                keep(Path(folder), kept, task.try_number)
                remove_old()


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
