"""Fills the warehouse with years of Kafinea: a task for each month of each module.

`from` only says where to cut: what was modified earlier comes with the first month. A record that
changes meanwhile leaves its month. The DAG `kafinea` reads it afterwards, for it is handed a state
that has read what was modified before the end of `to`. See docs/backfill.md.
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

# No task needs a state: who tries it again reads the same records, and writes the same rows. With a
# bookmark, `start_date` would play no part.
_NO_STATE = {"MELTANO_RUN_FULL_REFRESH": "true", "MELTANO_RUN_NO_STATE_UPDATE": "true"}

_PARAMS: dict[str, Any] = {
    "from": Param(type="string", pattern=r"^\d{4}-\d\d$", description="First month, as 2020-01"),
    "to": Param(
        None,
        type=["null", "string"],
        pattern=r"^\d{4}-\d\d$",
        description="Last month, which must be over; the latest that is, if empty",
    ),
    "every": Param(1, type="integer", minimum=1, description="Months that a task reads"),
    "modules": Param(
        [],
        type="array",
        items={"type": "string"},
        description="Modules to cut; all with a `modifiedtime` if empty",
    ),
}


@dag(schedule=None, max_active_runs=1, default_args=DEFAULTS, params=_PARAMS, doc_md=__doc__)
def kafinea_backfill() -> None:
    """Build the DAG."""

    @task
    def modules(params: dict[str, Any]) -> list[str]:
        """List the modules to cut."""
        found = [one["stream"] for one in streams() if is_module(one) and _is_dated(one)]
        if unknown := set(params["modules"]) - set(found):
            raise AirflowFailException(
                f"{', '.join(sorted(unknown))}: no such module can be cut by months. "
                f"There is {', '.join(found)}."
            )
        return params["modules"] or found

    @task(pool_slots=1)
    def months(
        modules: list[str], params: dict[str, Any], dag_run: DagRunProtocol
    ) -> list[Settings]:
        """List each month of each module, the latest first, and last all that is older."""
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
        """Make the tables. The months would all make them at once, and most would fail.

        With `deletions: scan`, the ids are read here, before any record is.
        """
        *_, end = _cuts(params, dag_run.run_after)
        meltano(*EXTRACT, settings=_between(end, end, *modules))

    @task.sensor(mode="reschedule", poke_interval=60, pool_slots=1)
    def kafinea_is_idle(ti: RuntimeTaskInstanceProtocol) -> bool:
        """Wait for a run of `kafinea` that began before, and would still write its state."""
        return not ti.get_dr_count("kafinea", states=["running"])

    @task(pool_slots=1)
    def hand_over(modules: list[str], params: dict[str, Any], dag_run: DagRunProtocol) -> None:
        """Let `kafinea` go on from the end of the last month, also where it was further."""
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
    """Return what extracts modules as far as they were modified from `start` on, before `end`.

    Without `start`, from the tap's own `start_date` on.
    """
    since = {"TAP_KAFINEA_START_DATE": start} if start else {}
    return of_modules(*modules) | _NO_STATE | since | {"TAP_KAFINEA_END_DATE": end}


def _state(module: str, end: str) -> dict[str, Any]:
    """Return the state of a module of which all is read that was modified before `end`."""
    # Without an offset, as in `end_date`: it is the server's own time.
    bookmark = {"replication_key": "modifiedtime", "replication_key_value": f"{end}T00:00:00"}
    singer_state = {"bookmarks": {module: bookmark}}
    return {"completed": {"singer_state": singer_state}, "partial": {}}


def _cuts(params: dict[str, Any], now: datetime) -> list[str]:
    """Return the days on which the tasks begin, and the end of the last.

    Raises:
        AirflowFailException: There is no such time.
    """
    # A day is more than clocks and time zones differ by.
    over = (now.date() - timedelta(days=1)).replace(day=1)
    end = _later(_begin(params["to"]), 1) if params["to"] else over
    if end > over:
        raise AirflowFailException(f"`to`: {params['to']} was not over a day ago.")
    cuts = [_begin(params["from"])]
    if cuts[0] >= end:
        raise AirflowFailException(f"`from`: {params['from']} is behind the last month.")
    while cuts[-1] < end:
        cuts.append(min(_later(cuts[-1], params["every"]), end))
    return [cut.isoformat() for cut in cuts]


def _begin(month: str) -> date:
    try:
        return date.fromisoformat(f"{month}-01")
    except ValueError:
        raise AirflowFailException(f"{month!r} is no month. Write it as 2020-01.") from None


def _later(month: date, months: int) -> date:
    year, past = divmod(month.month - 1 + months, 12)
    return date(month.year + year, past + 1, 1)


kafinea_backfill()
