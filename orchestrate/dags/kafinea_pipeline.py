"""An example: extracts Kafinea, builds the models of dbt, and loads records back, in this order.

Each step runs only if the one before was successful. `transform` has the package that `kafinea dbt`
writes; each `.sql` file in `load` is a stream. See docs/scheduling.md.
"""

from __future__ import annotations

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import Asset, dag, task
from kafinea_loading import LOAD, Load
from kafinea_meltano import PROJECT
from kafinea_tasks import (
    DEFAULTS,
    EXTRACTED,
    RUN_TIMEOUT,
    WAREHOUSE,
    Settings,
    extraction,
    only,
    streams,
)

MODELS = Asset("kafinea_models")
"""The models of dbt were built."""

# `dotenv` reads `.env`, as Meltano does. The environment overrides it.
_DBT = (
    "[ -e .env ] && set -- .venv-meltano/bin/dotenv run --no-override -- || set --; "
    '"$@" .venv-dbt/bin/dbt build --project-dir transform --profiles-dir transform'
    f" --target {WAREHOUSE}"
)


@dag(schedule=None, max_active_runs=1, default_args=DEFAULTS, doc_md=__doc__, **RUN_TIMEOUT)
def kafinea_pipeline() -> None:
    """Build the DAG."""

    @task
    def modules() -> list[Settings]:
        """List the streams to extract."""
        return [only(stream) for stream in streams()]

    @task(pool_slots=1, outlets=[EXTRACTED])
    def extracted() -> None:
        """Report that all modules were extracted."""

    transform = BashOperator(
        task_id="transform",
        bash_command=_DBT,
        cwd=str(PROJECT),
        append_env=True,
        pool_slots=1,
        inlets=[EXTRACTED],
        outlets=[MODELS],
    )
    load = Load(task_id="load", inlets=[MODELS], **LOAD)
    extraction().expand(env=modules()) >> extracted() >> transform >> load


kafinea_pipeline()
