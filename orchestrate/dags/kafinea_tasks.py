"""What the DAGs share: how they run Meltano, and the streams to extract."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

import structlog
from airflow.sdk import Asset, BaseOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from airflow.sdk.execution_time import task_runner
from kafinea_alerts import on_failure, on_retry, on_timeout
from kafinea_meltano import PROJECT, MeltanoFailed, MeltanoRun
from kafinea_missing import missing
from kafinea_places import NotSharedError, check_places, check_state, of_tap

WAREHOUSE = os.environ.get("KAFINEA_WAREHOUSE", "postgres")
"""`postgres` or `duckdb`: where all DAGs load to, and read from."""
LOADER, EXTRACTOR = f"target-{WAREHOUSE}", f"tap-{WAREHOUSE}"
QUERIES = f"TAP_{WAREHOUSE.upper()}_QUERIES"
EXTRACTED = Asset("kafinea_warehouse")
"""All modules were extracted. A DAG with `schedule=[Asset("kafinea_warehouse")]` runs after it."""
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
    "on_failure_callback": on_failure,
    "on_retry_callback": on_retry,
}

HOURS = float(os.environ.get("KAFINEA_RUN_HOURS", "20"))
RUN_TIMEOUT: dict[str, Any] = {
    "dagrun_timeout": timedelta(hours=HOURS),
    "on_failure_callback": partial(on_timeout, hours=HOURS),
}
"""A run that takes longer is stopped, and an alert is sent: the next one could not begin."""

EXTRACT = ("run", "--no-install", "tap-kafinea", LOADER)
_DELETED = "deleted_records"
_REFUSED_KEY = "does not accept this access key"

Settings = dict[str, str]
_Result = TypeVar("_Result")


class Meltano(BaseOperator):
    """Runs Meltano. The settings in `env` override those of the project. It can be killed.

    Each line of its log keeps its level, and has the module and the run id of Meltano as facts.
    """

    def __init__(
        self, *, command: Sequence[str], env: Settings | None = None, **options: Any
    ) -> None:
        super().__init__(**options)
        self.command = command
        self.env = env
        self._run: MeltanoRun | None = None

    def execute(self, context: Any) -> None:
        """Run it to its end."""
        task = context["ti"]
        _keep_name(task.rendered_map_index)
        self._run = _run(self.command, self.env or {})
        try:
            _or_fail(self._run.run)
        except AirflowFailException as error:
            is_mapped = task.map_index >= 0
            if not (is_mapped and task.try_number == 1 and _REFUSED_KEY in str(error)):
                raise
            # The first task of the run has logged in with this key. A server keeps one token for
            # each user, so logins of two workers at the same moment look like a wrong key.
            raise AirflowException(str(error)) from None

    def on_kill(self) -> None:
        """End it."""
        if self._run:
            self._run.stop()


def extraction() -> Any:
    """Return the task that extracts a stream, to be expanded by the settings of each."""
    # One process at a time has a DuckDB file.
    limit = {"max_active_tis_per_dag": 1} if WAREHOUSE == "duckdb" else {}
    return Meltano.partial(
        task_id="extract",
        command=EXTRACT,
        map_index_template="{{ task.env['TASK'] }}",
        **limit,
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
    own = {"MELTANO_ENVIRONMENT": ENVIRONMENT}
    return _or_fail(partial(_run(command, own | (settings or {})).run, given))


def _run(command: Sequence[str], settings: Settings) -> MeltanoRun:
    log = structlog.get_logger("kafinea")
    if module := settings.get("TASK"):
        log = log.bind(module=module)
    return MeltanoRun(command, settings, log.log)


def _or_fail(run: Callable[[], _Result]) -> _Result:
    """Run Meltano.

    Raises:
        AirflowFailException: It failed, and a retry would too.
        AirflowException: It failed.
    """
    try:
        return run()
    except MeltanoFailed as error:
        failed = AirflowFailException if error.is_final else AirflowException
        raise failed(error.reason) from None


def _keep_name(name: str | None) -> None:
    """Keep the name of a mapped task while it waits for a retry: else its index would be shown.

    Airflow 3.3 reports a retry without the name, and has none until the task starts again. Each
    task has a process of its own, so this concerns no other.
    """
    if name and hasattr(task_runner, "RetryTask"):
        task_runner.RetryTask = partial(task_runner.RetryTask, rendered_map_index=name)


def streams() -> list[dict[str, Any]]:
    """Return the catalog entries of the selected streams.

    The tap creates the catalog, so `modules` and `select` in meltano.yml apply. What `modules`
    names and the catalog lacks has an entry too: its task fails, and reports why.

    Raises:
        AirflowFailException: Something is stored where other workers do not find it.
    """
    tap = json.loads(meltano("config", "print", "tap-kafinea"))
    try:
        check_state(json.loads(meltano("config", "print", "meltano")), PROJECT)
        check_places(of_tap(tap), PROJECT)
    except NotSharedError as error:
        raise AirflowFailException(str(error)) from None
    catalog = json.loads(meltano("invoke", "--dump=catalog", "tap-kafinea"))["streams"]
    lost = missing(tap.get("modules"), [one["stream"] for one in catalog])
    return [
        *(one for one in catalog if one["selected"] and one["stream"] != _DELETED),
        *({"stream": name, "key_properties": ["id"]} for name in lost),
    ]


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
