"""Fills the warehouse with years of records, with one task for each month of each module.

`from` is the first month. Records that were modified before it are extracted with it. A record that
changes during the backfill leaves its month. The DAG `kafinea` extracts it afterwards, because it
gets a state whose bookmark is the end of `to`. See docs/backfill.md.
"""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from airflow.sdk import Param, dag, task
from airflow.sdk.exceptions import AirflowFailException
from kafinea_tasks import (
    DEFAULTS,
    EXTRACT,
    Meltano,
    Settings,
    is_module,
    meltano,
    of_modules,
    state_id,
    streams,
)

if TYPE_CHECKING:
    from airflow.sdk.types import DagRunProtocol, RuntimeTaskInstanceProtocol

# The tasks use no state: a retry reads the same records and writes the same rows. With a bookmark,
# `start_date` would have no effect.
_NO_STATE = {"MELTANO_RUN_FULL_REFRESH": "true", "MELTANO_RUN_NO_STATE_UPDATE": "true"}

_PARAMS: dict[str, Any] = {
    "from": Param(
        type="string", pattern=r"^\d{4}-\d\d$", description="First month, such as 2020-01"
    ),
    "to": Param(
        None,
        type=["null", "string"],
        pattern=r"^\d{4}-\d\d$",
        description="Last month, which must have ended a day ago; if empty, the latest such month",
    ),
    "every": Param(1, type="integer", minimum=1, description="Number of months for each task"),
    "modules": Param(
        [],
        type="array",
        items={"type": "string"},
        description="Modules to divide; if empty, all with a `modifiedtime`",
    ),
}


@dag(schedule=None, max_active_runs=1, default_args=DEFAULTS, params=_PARAMS, doc_md=__doc__)
def kafinea_backfill() -> None:
    """Build the DAG."""

    @task
    def modules(params: dict[str, Any]) -> list[str]:
        """List the modules to divide."""
        found = [one["stream"] for one in streams() if is_module(one) and _is_dated(one)]
        if unknown := set(params["modules"]) - set(found):
            raise AirflowFailException(
                f"`modules`: {', '.join(sorted(unknown))} cannot be divided into months. "
                f"Available: {', '.join(found)}."
            )
        return params["modules"] or found

    @task(pool_slots=1)
    def months(
        modules: list[str], params: dict[str, Any], dag_run: DagRunProtocol
    ) -> list[Settings]:
        """List the months of each module, the latest first; the last one includes all before it."""
        begin, *cuts = _cuts(params, dag_run.run_after)
        earliest = (None, cuts[0])
        return [
            _between(start, end, module)
            | {"TASK": f"{module} {start or begin}", "TAP_KAFINEA_DELETIONS": "off"}
            for start, end in (*[*pairwise(cuts)][::-1], earliest)
            for module in modules
        ]

    @task
    def tables(modules: list[str], params: dict[str, Any], dag_run: DagRunProtocol) -> None:
        """Create the tables. If the months created them at the same time, most would fail.

        With `deletions: scan`, this task also reads the ids, before any record is read.
        """
        *_, end = _cuts(params, dag_run.run_after)
        meltano(*EXTRACT, settings=_between(end, end, *modules))

    @task.sensor(mode="reschedule", poke_interval=60, pool_slots=1)
    def kafinea_is_idle(ti: RuntimeTaskInstanceProtocol) -> bool:
        """Wait for a run of `kafinea` that started earlier and would still write its state."""
        return not ti.get_dr_count("kafinea", states=["running"])

    @task(pool_slots=1)
    def hand_over(modules: list[str], params: dict[str, Any], dag_run: DagRunProtocol) -> None:
        """Set the state of `kafinea` to the end of the last month, even if it was later."""
        *_, end = _cuts(params, dag_run.run_after)
        states = {state_id(module): _state(module, end) for module in modules}
        meltano("state", "import", given=json.dumps(states))

    found = modules()
    read = Meltano.partial(
        task_id="read", command=EXTRACT, map_index_template="{{ task.env['TASK'] }}"
    ).expand(env=months(found))
    tables(found) >> read >> kafinea_is_idle() >> hand_over(found)


def _is_dated(stream: dict[str, Any]) -> bool:
    return stream.get("replication_key") == "modifiedtime"


def _between(start: str | None, end: str, *modules: str) -> Settings:
    """Return the settings that extract records modified at or after `start` and before `end`.

    Without `start`, the tap's own `start_date` applies.
    """
    since = {"TAP_KAFINEA_START_DATE": start} if start else {}
    return of_modules(*modules) | _NO_STATE | since | {"TAP_KAFINEA_END_DATE": end}


def _state(module: str, end: str) -> dict[str, Any]:
    """Return the state of a module whose records modified before `end` are all extracted."""
    # Without an offset, as in `end_date`: it is the server's local time.
    bookmark = {"replication_key": "modifiedtime", "replication_key_value": f"{end}T00:00:00"}
    singer_state = {"bookmarks": {module: bookmark}}
    return {"completed": {"singer_state": singer_state}, "partial": {}}


def _cuts(params: dict[str, Any], now: datetime) -> list[str]:
    """Return the first day of each task, and the end of the last one.

    Raises:
        AirflowFailException: `from` or `to` is not a valid month.
    """
    # Clocks and time zones differ by less than a day.
    over = (now.date() - timedelta(days=1)).replace(day=1)
    end = _later(_begin(params["to"]), 1) if params["to"] else over
    if end > over:
        raise AirflowFailException(f"`to`: {params['to']} did not end at least a day ago.")
    cuts = [_begin(params["from"])]
    if cuts[0] >= end:
        raise AirflowFailException(f"`from`: {params['from']} is after the last month.")
    while cuts[-1] < end:
        cuts.append(min(_later(cuts[-1], params["every"]), end))
    return [cut.isoformat() for cut in cuts]


def _begin(month: str) -> date:
    try:
        return date.fromisoformat(f"{month}-01")
    except ValueError:
        raise AirflowFailException(f"{month!r} is not a month. Write it as 2020-01.") from None


def _later(month: date, months: int) -> date:
    year, past = divmod(month.month - 1 + months, 12)
    return date(month.year + year, past + 1, 1)


kafinea_backfill()
