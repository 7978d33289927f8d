"""Loads records of the warehouse into Kafinea, and keeps a report of each run."""

from __future__ import annotations

from airflow.sdk import dag
from kafinea_loading import LOAD, Load
from kafinea_tasks import DEFAULTS, RUN_TIMEOUT


@dag(schedule=None, max_active_runs=1, default_args=DEFAULTS, doc_md=__doc__, **RUN_TIMEOUT)
def kafinea_load() -> None:
    """Build the DAG."""
    Load(task_id="load", **LOAD)


kafinea_load()
