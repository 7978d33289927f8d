"""Fails, and so sends an alert, if the newest row of a module in the warehouse is too old.

The Airflow Variable `kafinea_freshness` has the most hours for each module, such as
{"Contacts": 48, "Invoice": 24}. It also finds that `kafinea` did not run at all.
"""

from __future__ import annotations

import json
from typing import Any

from airflow.sdk import Variable, dag, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from kafinea_newest import stale
from kafinea_tasks import DEFAULTS, EXTRACTOR, LOADER, QUERIES, meltano


@dag(schedule="0 7 * * *", catchup=False, max_active_runs=1, default_args=DEFAULTS, doc_md=__doc__)
def kafinea_freshness() -> None:
    """Build the DAG."""

    @task(pool_slots=1)
    def newest_rows() -> None:
        """Compare the newest row of each module with its limit."""
        limits: dict[str, Any] = Variable.get("kafinea_freshness", {}, deserialize_json=True)
        if not limits:
            raise AirflowSkipException(
                "The Airflow Variable kafinea_freshness is not set, such as {'Contacts': 48}: no "
                "module is checked."
            )
        schema = json.loads(meltano("config", "print", LOADER))["default_target_schema"]
        wrong = stale(limits, schema, _ask)
        if wrong:
            raise AirflowFailException(f"The warehouse is out of date. {' '.join(wrong)}")

    newest_rows()


def _ask(folder: str) -> str:
    return meltano("invoke", "--no-install", EXTRACTOR, settings={QUERIES: folder})


kafinea_freshness()
