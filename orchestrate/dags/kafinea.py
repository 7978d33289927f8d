"""Extracts Kafinea into the warehouse every night, with one task for each module.

See docs/scheduling.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import dag, task
from airflow.sdk.exceptions import AirflowSkipException
from kafinea_tasks import DEFAULTS, EXTRACT, Meltano, Settings, only, streams

if TYPE_CHECKING:
    from airflow.sdk.types import RuntimeTaskInstanceProtocol


@dag(schedule="0 3 * * *", catchup=False, max_active_runs=1, default_args=DEFAULTS, doc_md=__doc__)
def kafinea() -> None:
    """Build the DAG."""

    @task
    def modules(ti: RuntimeTaskInstanceProtocol) -> list[Settings]:
        """List the streams to extract."""
        if ti.get_dr_count("kafinea_backfill", states=["running"]):
            raise AirflowSkipException(
                "A backfill is running. The first run after it continues from its end."
            )
        return [only(stream) for stream in streams()]

    Meltano.partial(
        task_id="extract", command=EXTRACT, map_index_template="{{ task.env['TASK'] }}"
    ).expand(env=modules())


kafinea()
