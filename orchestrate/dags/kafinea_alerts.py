"""The alert on a failed task: what failed, why, what happens next, and where the log is."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any
from urllib.request import Request, urlopen

from airflow.sdk import Variable
from airflow.sdk.exceptions import AirflowFailException

_STOPPED = (
    "Airflow stopped the task, or could not start it: if its log ends without an error, see the "
    "log of the scheduler."
)


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


def on_failure(context: Mapping[str, Any]) -> None:
    """Send the alert of a task that is not retried."""
    if isinstance(context.get("exception"), AirflowFailException):
        alert(_message(context, "It is not retried, because a retry would fail too."))
        return
    task = context["ti"]
    tries = f"try {task.try_number} of {task.task.retries + 1}"
    alert(_message(context, f"It is not retried: this was {tries}."))


def on_timeout(context: Mapping[str, Any], hours: float) -> None:
    """Send the alert of a run that was stopped. Of one that failed, its tasks have sent one."""
    if context.get("reason") == "timed_out":
        alert(
            f"{context['dag'].dag_id}: the run {context['run_id']} was stopped, because it took "
            f"longer than {hours:g} hours (KAFINEA_RUN_HOURS). The next run resumes from the last "
            "states."
        )


def on_retry(context: Mapping[str, Any]) -> None:
    """Send the alert of a task that fails for the first time, and is retried."""
    task = context["ti"]
    if task.try_number > 1:
        return
    shortest = task.task.retry_delay
    now = datetime.now(timezone.utc)  # Airflow waits up to twice as long
    first, last = (f"{now + shortest * factor:%H:%M:%S}" for factor in (1, 2))
    tries = task.task.retries + 1
    alert(_message(context, f"It is retried between {first} and {last} UTC, try 2 of {tries}."))


def _message(context: Mapping[str, Any], next_step: str) -> str:
    task = context["ti"]
    what = task.rendered_map_index or task.task_id
    # If the worker was killed, or could not ask the API server to start, there is no exception.
    why = str(context.get("exception") or _STOPPED).rstrip()
    why += "" if why.endswith((".", "?", "!")) else "."
    return f"{task.dag_id}: {what} failed: {why} {next_step} The log is at {task.log_url}"
