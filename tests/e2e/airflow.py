"""A real Airflow for the tests: scheduler, DAG processor and API server, with LocalExecutor."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import psutil

from tests.e2e.postgres import Postgres, free_port

ROOT = Path(__file__).resolve().parents[2]

_LONGEST = 900
"""Seconds that a DAG run of 200,000 records may take before the test gives up."""


@dataclass
class Airflow:
    """An Airflow that runs the project's DAGs.

    Attributes:
        home: Its folder, with the logs.
        database: Where it keeps the states of its runs.
        environment: That of its processes, and so of the tasks.
        executed: The commands that were run, as a page of the documentation shows them.
        waiting: The tasks that have waited for a retry, by the names that they had meanwhile.
    """

    home: Path
    database: Postgres
    environment: Mapping[str, str]
    executed: list[str] = field(default_factory=list)
    waiting: set[str] = field(default_factory=set)

    def sh(self, command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the project's folder, as users do."""
        self.executed.append(command)
        return subprocess.run(
            command,
            shell=True,
            cwd=ROOT,
            env=self.environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    @contextmanager
    def running(self, command: str) -> Iterator[None]:
        """Airflow until the end of the block."""
        self.executed.append(command)
        with (self.home / "standalone.log").open("wb") as log:
            process = subprocess.Popen(
                command,
                shell=True,
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            self.wait_for(lambda: self._is_up(process), "Airflow")
            yield
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            # The tasks are in sessions of their own.
            self.kill()

    def _is_up(self, process: subprocess.Popen[bytes]) -> bool:
        said = (self.home / "standalone.log").read_text(errors="replace")
        assert process.poll() is None, said
        try:
            with urlopen(f"{self.environment['AIRFLOW__API__BASE_URL']}/api/v2/monitor/health"):
                return len(self.database.rows("SELECT dag_id FROM dag")) == 5
        except URLError:
            return False

    def finish(self, dag: str, meanwhile: Callable[[], object] = lambda: None) -> str:
        """Wait for the newest run of a DAG, and return how it ended. Retries do not wait."""
        run = "SELECT state FROM dag_run WHERE dag_id = %s ORDER BY id DESC LIMIT 1"

        def is_over() -> bool:
            meanwhile()
            retried = self.database.rows(
                "UPDATE task_instance SET retry_delay_override = 0 WHERE state = 'up_for_retry'"
                " RETURNING coalesce(rendered_map_index, task_id) AS name"
            )
            self.waiting |= {task["name"] for task in retried}
            return self.database.rows(run, dag)[0]["state"] in {"success", "failed"}

        self.wait_for(is_over, dag)
        return self.database.rows(run, dag)[0]["state"]

    def tasks(self, dag: str) -> list[dict]:
        """The tasks of the newest run of a DAG."""
        return self.database.rows(
            "SELECT task_id, rendered_map_index AS name, state, try_number, start_date, end_date"
            " FROM task_instance WHERE dag_id = %s AND run_id ="
            " (SELECT run_id FROM dag_run WHERE dag_id = %s ORDER BY id DESC LIMIT 1)"
            " ORDER BY task_id, map_index",
            dag,
            dag,
        )

    def processes(self, program: str = "", **environment: str) -> Iterator[psutil.Process]:
        """The processes of this Airflow and its tasks that run a program in an environment."""
        environment["AIRFLOW_HOME"] = str(self.home)
        for process in psutil.process_iter():
            with suppress(psutil.Error):  # it is gone, or somebody else's
                has_program = program in " ".join(process.cmdline())
                if has_program and environment.items() <= process.environ().items():
                    yield process

    def kill(self, **environment: str) -> None:
        """Kill these processes, as a machine does that runs out of memory."""
        for process in self.processes(**environment):
            with suppress(psutil.Error):
                process.kill()

    def wait_for(self, is_so: Callable[[], object], what: str) -> None:
        """Wait until something is so."""
        end = time.monotonic() + _LONGEST
        while not is_so():
            assert time.monotonic() < end, f"{what} takes too long"
            time.sleep(0.5)  # Airflow calls nobody


def installed(home: Path, database: Postgres, workers: int, **environment: str) -> Airflow:
    """An Airflow with the DAGs of the project, which is not running yet."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    own = {
        "PATH": f"{ROOT}/.venv-airflow/bin:{os.environ['PATH']}",
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "orchestrate/dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": str(workers),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database.uri("postgresql+psycopg2"),
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.1",
        "TMPDIR": str(home / "tmp"),
    }
    (home / "tmp").mkdir()
    return Airflow(home, database, os.environ | own | environment)
