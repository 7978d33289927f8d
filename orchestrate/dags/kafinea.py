"""Extracts Kafinea into the warehouse every night, with one task for each module.

See docs/scheduling.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import Param, dag, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from kafinea_tasks import (
    DEFAULTS,
    EXTRACTED,
    RUN_TIMEOUT,
    Settings,
    extraction,
    only,
    streams,
)

if TYPE_CHECKING:
    from airflow.sdk.types import RuntimeTaskInstanceProtocol


_PARAMS: dict[str, Any] = {
    "full_refresh": Param(
        [],
        type="array",
        items={"type": "string"},
        description="Streams to extract again from their first record. The run extracts no other",
    )
}


@dag(
    schedule="0 3 * * *",
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULTS,
    params=_PARAMS,
    doc_md=__doc__,
    **RUN_TIMEOUT,
)
def kafinea() -> None:
    """Build the DAG."""

    @task
    def modules(ti: RuntimeTaskInstanceProtocol, params: dict[str, Any]) -> list[Settings]:
        """List the streams to extract."""
        if ti.get_dr_count("kafinea_backfill", states=["running"]):
            raise AirflowSkipException(
                "A backfill is running. The first run after it continues from its end."
            )
        again = params["full_refresh"]
        found = [only(stream) for stream in streams()]
        if unknown := {*again} - {settings["TASK"] for settings in found}:
            names = ", ".join(settings["TASK"] for settings in found)
            raise AirflowFailException(
                f"`full_refresh`: not extracted: {', '.join(sorted(unknown))}. Available: {names}."
            )
        if not again:
            return found
        # In place of its state, which Meltano replaces when the stream is complete.
        full = {"MELTANO_RUN_FULL_REFRESH": "true"}
        return [settings | full for settings in found if settings["TASK"] in again]

    @task(pool_slots=1, outlets=[EXTRACTED])
    def extracted() -> None:
        """Report that all modules were extracted, to the DAGs that wait for it."""

    extraction().expand(env=modules()) >> extracted()


kafinea()
