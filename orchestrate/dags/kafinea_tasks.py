"""What the DAGs share: how they run Meltano, the streams to extract, and the alert on failure."""

from __future__ import annotations

import json
import logging
import os
import subprocess
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import Variable
from airflow.sdk.exceptions import AirflowException, AirflowFailException

LOADER = "target-postgres"
ENVIRONMENT = os.environ.get("MELTANO_ENVIRONMENT", "prod")

SESSIONS = 4
"""Number of Kafinea sessions that a task uses, and of slots in the pool."""

DEFAULTS: dict[str, Any] = {
    "pool": "kafinea",
    "pool_slots": SESSIONS,
    "retries": 4,
    "retry_delay": timedelta(minutes=1),
    "retry_exponential_backoff": 2,
    "max_retry_delay": timedelta(minutes=30),
    "execution_timeout": timedelta(hours=12),
    "on_failure_callback": lambda context: alert(_failure(context)),
}

PROJECT = Path(os.environ.get("MELTANO_PROJECT_ROOT") or Path(__file__).resolve().parents[2])
EXTRACT = ("run", "--no-install", "tap-kafinea", LOADER)
_DELETED = "deleted_records"

Settings = dict[str, str]


def alert(message: str) -> None:
    """Send an alert. Replace this function to use e-mail, a pager or a notifier of Airflow.

    The Airflow Variable `kafinea_alert_url` is the address of the incoming webhook of a chat.
    """
    url = Variable.get("kafinea_alert_url", default=None)
    if not url:
        text = "No alert was sent: the Airflow Variable kafinea_alert_url is not set."
        logging.getLogger(__name__).warning(text)
        return
    body = json.dumps({"text": message}).encode()
    urlopen(Request(url, body, {"Content-Type": "application/json"}), timeout=30).close()  # noqa: S310 the operator's own setting


def _failure(context: Mapping[str, Any]) -> str:
    task = context["ti"]
    what = task.rendered_map_index or task.task_id
    # If the worker was killed, there is no exception.
    why = context.get("exception") or "the task was stopped."
    return f"{task.dag_id}: {what} failed: {why} The log is at {task.log_url}"


class Meltano(BashOperator):
    """Runs Meltano. The settings in `env` override those of the project. It can be killed."""

    def __init__(self, *, command: Sequence[str], **options: Any) -> None:
        super().__init__(
            bash_command=" ".join(["orchestrate/meltano", *command]),
            cwd=str(PROJECT),
            append_env=True,
            skip_on_exit_code=None,
            **options,
        )


def meltano(*command: str, settings: Settings | None = None, given: str = "") -> str:
    """Run a short command of Meltano, and return its output.

    Args:
        command: The command.
        settings: Settings that override those of the project.
        given: The input of the command.

    Raises:
        AirflowException: It failed.
    """
    done = subprocess.run(  # noqa: S603 - our own command
        [PROJECT / "orchestrate/meltano", "--log-level=warning", *command],
        cwd=PROJECT,
        env=os.environ | {"MELTANO_ENVIRONMENT": ENVIRONMENT} | (settings or {}),
        input=given,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise AirflowException(
            f"`meltano {' '.join(command)}` failed with exit code {done.returncode}."
        )
    return done.stdout


def streams() -> list[dict[str, Any]]:
    """Return the catalog entries of the selected streams.

    The tap creates the catalog, so `modules` and `select` in meltano.yml apply.

    Raises:
        AirflowFailException: Meltano stores its state where other workers cannot read it.
    """
    own = json.loads(meltano("config", "print", "meltano"))
    if own["state_backend"]["uri"] == "systemdb" and own["database_uri"].startswith("sqlite"):
        raise AirflowFailException(
            "Meltano stores its state in a file on this machine, which other workers cannot read. "
            "Set MELTANO_DATABASE_URI to a PostgreSQL database, or MELTANO_STATE_BACKEND_URI to an "
            "object store such as s3://bucket/state."
        )
    catalog = json.loads(meltano("invoke", "--dump=catalog", "tap-kafinea"))
    return [one for one in catalog["streams"] if one["selected"] and one["stream"] != _DELETED]


def is_module(stream: Mapping[str, Any]) -> bool:
    """Return whether a stream contains the records of a module, not files or a related list."""
    return stream["key_properties"] == ["id"] and stream["stream"] != "files"


def only(stream: Mapping[str, Any]) -> Settings:
    """Return the settings that extract one stream, with a state of its own."""
    name = stream["stream"]
    # A related list needs the descriptions of all modules, because its name depends on them.
    narrowed = of_modules(name) if is_module(stream) else _filter(name)
    return narrowed | {"TASK": name, "MELTANO_RUN_STATE_ID_SUFFIX": name}


def state_id(stream: str) -> str:
    """Return the id under which Meltano stores the state of a stream."""
    return f"{ENVIRONMENT}:tap-kafinea-to-{LOADER}:{stream}"


def of_modules(*names: str) -> Settings:
    """Return the settings that extract modules and their deleted records."""
    return _filter(*names, _DELETED) | {"TAP_KAFINEA_MODULES": json.dumps(names)}


def _filter(*names: str) -> Settings:
    return {
        "MELTANO_ENVIRONMENT": ENVIRONMENT,
        "TAP_KAFINEA_MAX_SESSIONS": str(SESSIONS),
        # In addition to `select` of the project.
        "TAP_KAFINEA__SELECT_FILTER": json.dumps(names),
    }
