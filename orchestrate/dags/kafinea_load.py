"""Loads records of the warehouse into Kafinea, and sends an alert if records were rejected."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from airflow.sdk import ObjectStoragePath, Variable, dag
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from kafinea_tasks import DEFAULTS, ENVIRONMENT, PROJECT, SESSIONS, Meltano

EXTRACTOR = "tap-duckdb"

# The Airflow Variable `kafinea_rejects` overrides it, such as s3://connection@bucket/rejects.
_REJECTS = f"file://{PROJECT}/output/rejects"


class Load(Meltano):
    """Runs Meltano, and fails without a retry if records were rejected."""

    def execute(self, context: Any) -> None:
        """Load, then keep the rejected records."""
        with TemporaryDirectory() as folder:
            path = f"{folder}/rejects.jsonl"
            self.env = (self.env or {}) | {"TARGET_KAFINEA_REJECTS_PATH": path}
            failure: AirflowException | None = None
            try:
                super().execute(context)
            except AirflowException as error:
                failure = error
            finally:
                # An interrupted run may have rejected records that are not emitted again.
                name = f"{context['run_id']}-{context['ti'].try_number}.jsonl"
                summary = _keep(Path(folder), name)
                self.log.info(summary)
        if failure:  # also when all records of a stream were rejected
            raise AirflowException(f"{failure} {summary}".rstrip())
        if summary:
            raise AirflowFailException(summary)


def _keep(folder: Path, name: str) -> str:
    """Store the rejected records; return their number and reasons, but not their contents."""
    # A killed run leaves `rejects.jsonl.part`, possibly with an incomplete last line.
    text = "".join(path.read_text(encoding="utf-8") for path in folder.iterdir())
    lines = [json.loads(line) for line in text.split("\n")[:-1]]
    found = Counter((line["stream"], line["code"]) for line in lines if line["type"] == "RECORD")
    if not found:
        return ""
    kept = ObjectStoragePath(Variable.get("kafinea_rejects", default=_REJECTS)) / name
    before = os.umask(0o077)  # they hold personal data
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(text, encoding="utf-8")
    finally:
        os.umask(before)
    reasons = [f"{count:,} of {stream} ({code})" for (stream, code), count in sorted(found.items())]
    return f"Rejected records: {', '.join(reasons)}. They are in {kept}."


@dag(schedule=None, max_active_runs=1, default_args=DEFAULTS, doc_md=__doc__)
def kafinea_load() -> None:
    """Build the DAG."""
    Load(
        task_id="load",
        command=("run", "--no-install", EXTRACTOR, "target-kafinea"),
        env={
            "MELTANO_ENVIRONMENT": ENVIRONMENT,
            "TARGET_KAFINEA_MAX_SESSIONS": str(SESSIONS),
            # Rejected records alone are no reason for a retry.
            "TARGET_KAFINEA_MAX_REJECTS": "-1",
        },
    )


kafinea_load()
