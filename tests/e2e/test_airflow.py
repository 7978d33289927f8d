"""The DAGs of the project on a real Airflow, from a Kafinea into a real PostgreSQL."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import accumulate
from types import SimpleNamespace

import pytest

from kafinea_sandbox import Sandbox
from kafinea_sandbox.company import company
from tests.e2e.airflow import ROOT, Airflow, installed
from tests.e2e.pages import Project, blocks, text_of
from tests.e2e.postgres import Postgres

pytestmark = [pytest.mark.e2e, pytest.mark.operate, pytest.mark.timeout(1200)]

# `make backfill`: 200,000 records in these modules, 23 months and two workers.
LARGE = "BACKFILL_LARGE" in os.environ
ROWS = 660_000 if LARGE else 3000
WORKERS = 2 if LARGE else 4
SINCE = "2023-01" if LARGE else "2024-10"
CUT = ["Contacts", "HelpDesk"]
WHOLE = ["Campaigns", "Products"]
if LARGE:
    CUT += ["Accounts", "Potentials", "Leads"]
LISTS = [{"module": "Campaigns", "related": "Contacts"}]


@pytest.fixture(scope="module")
def kafinea() -> Iterator[Sandbox]:
    """Three years of a company, until the end of 2024."""
    with Sandbox(company=company(ROWS, now=datetime(2024, 12, 20))) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def warehouse(postgres):
    with postgres.fresh() as database:
        yield database


@pytest.fixture(scope="module")
def alerts() -> Iterator[SimpleNamespace]:
    """A chat to which messages can be posted."""
    messages: list[str] = []

    class Chat(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            messages.append(json.loads(body)["text"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Chat) as server:
        threading.Thread(target=server.serve_forever).start()
        yield SimpleNamespace(url=f"http://127.0.0.1:{server.server_port}", messages=messages)
        server.shutdown()


@pytest.fixture(scope="module")
def state(postgres) -> Iterator[Postgres]:
    """The database of Meltano."""
    with postgres.fresh() as database:
        yield database


@pytest.fixture(scope="module")
def migrated(kafinea, warehouse, state, alerts, postgres, tmp_path_factory) -> Iterator[Airflow]:
    """An Airflow that was set up and is not running."""
    home = tmp_path_factory.mktemp("airflow")
    with postgres.fresh() as own:
        settings = {
            "AIRFLOW_VAR_KAFINEA_ALERT_URL": alerts.url,
            "AIRFLOW_VAR_KAFINEA_REPORTS": f"file://{home}/loads",
            "AIRFLOW_VAR_KAFINEA_FRESHNESS": json.dumps({"Contacts": 24, "Campaigns": 10**6}),
            "KAFINEA_SHARED_FOLDERS": f"/nowhere:{home}",
            "MELTANO_ENVIRONMENT": "sandbox",
            "MELTANO_DATABASE_URI": state.uri("postgresql+psycopg"),
            "TAP_KAFINEA_URL": kafinea.url,
            "TAP_KAFINEA_USERNAME": kafinea.username,
            "TAP_KAFINEA_ACCESS_KEY": kafinea.access_key,
            "TAP_KAFINEA_MODULES": json.dumps(CUT + WHOLE),
            "TAP_KAFINEA_RELATIONS": json.dumps(LISTS),
            "TAP_KAFINEA_FILES": json.dumps({"enabled": False}),  # the sandbox's are in the project
            "TAP_KAFINEA_DELETIONS": "scan",
            "TAP_KAFINEA_DELETIONS_PATH": str(home / "deletions"),
            "TARGET_KAFINEA_URL": kafinea.url,
            "TARGET_KAFINEA_USERNAME": kafinea.username,
            "TARGET_KAFINEA_ACCESS_KEY": kafinea.access_key,
            "TARGET_KAFINEA_STREAMS": json.dumps(
                {"visitors": {"module": "Contacts", "match_on": "email"}}
            ),
            "TARGET_KAFINEA_MAX_REJECTS": "1",
            "TAP_POSTGRES_QUERIES": str(home / "queries"),
            "TARGET_POSTGRES_HOST": warehouse.host,
            "TARGET_POSTGRES_PORT": str(warehouse.port),
            "TARGET_POSTGRES_USER": warehouse.user,
            "TARGET_POSTGRES_PASSWORD": warehouse.password,
            "TARGET_POSTGRES_DATABASE": warehouse.name,
        }
        airflow = installed(home, own, workers=WORKERS, **settings)
        (home / "queries").mkdir()
        (home / "queries/visitors.sql").write_text("SELECT * FROM visitors;\n")
        done(airflow.sh("make .meltano/stamp .venv-airflow/stamp"))
        done(airflow.sh("airflow db migrate"))
        done(airflow.sh("airflow pools set kafinea 16 'Maximum number of Kafinea sessions'"))
        yield airflow


@pytest.fixture(scope="module")
def running(migrated) -> Iterator[Airflow]:
    with migrated.running("airflow standalone"):
        done(migrated.sh("airflow dags unpause kafinea"))
        done(migrated.sh("airflow dags unpause kafinea_backfill"))
        done(migrated.sh("airflow dags unpause kafinea_load"))
        yield migrated


def done(process) -> str:
    assert process.returncode == 0, process.stdout
    return process.stdout


def told(alerts) -> dict[str, str]:
    """The messages since the last time, by DAG and task; no task has sent two."""
    messages = [*alerts.messages]
    alerts.messages.clear()
    named = {message.partition(" failed: ")[0]: message for message in messages}
    assert len(named) == len(messages), messages
    return named


def fill_warehouse(warehouse, names) -> None:
    """What `kafinea_load` loads: visitors, and one without a name."""
    warehouse.rows("CREATE TABLE IF NOT EXISTS visitors (lastname text, email text)")
    warehouse.rows("TRUNCATE visitors")
    for name, email in [*((name, f"{name}@x.fr") for name in names), ("", "c@x.fr")]:
        warehouse.rows("INSERT INTO visitors VALUES (%s, %s)", name, email)


# `airflow dags test`


def test_state_invisible_to_other_workers_is_an_error(migrated, alerts):
    there = f"sqlite:///{migrated.home}/meltano.db"
    process = migrated.sh("airflow dags test kafinea", MELTANO_DATABASE_URI=there)
    assert process.returncode == 1
    message = told(alerts)["kafinea: modules"]
    assert "Meltano stores its state in a file on this machine" in message
    assert "It is not retried, because a retry would fail too." in message


def test_folder_invisible_to_other_workers_is_an_error(migrated, alerts):
    process = migrated.sh("airflow dags test kafinea", KAFINEA_SHARED_FOLDERS="/srv/kafinea")
    assert process.returncode == 1
    message = told(alerts)["kafinea: modules"]
    assert (
        f"`deletions_path` is on this machine, where other workers do not find it: {migrated.home}"
        in message
    )
    assert "Set TAP_KAFINEA_DELETIONS_PATH to s3://bucket/ids, for example." in message


def test_wrong_key_fails_for_good_after_two_logins(migrated, kafinea, alerts):
    kafinea.requests.clear()
    process = migrated.sh("airflow dags test kafinea", TAP_KAFINEA_ACCESS_KEY="wr0ngKey")
    assert process.returncode == 1
    assert len(kafinea.requests.of("login")) == 2
    message = told(alerts)["kafinea: modules"]
    assert "Kafinea does not accept this access key for user 'admin'" in message
    assert "It is not retried, because a retry would fail too." in message


RUN_TASK = """
from types import SimpleNamespace as Some
from kafinea_tasks import Meltano
task = Meltano(task_id="extract", command=("invoke", "--dump=catalog", "tap-kafinea"))
try:
    task.execute({{"ti": Some(map_index={}, try_number={}, rendered_map_index="Contacts")}})
except Exception as error:
    print(type(error).__name__)
"""


@pytest.mark.parametrize(
    ("map_index", "try_number", "error"),
    [(-1, 1, "AirflowFailException"), (0, 1, "AirflowException"), (0, 2, "AirflowFailException")],
)
def test_refused_login_of_a_module_is_tried_once_more(
    migrated, tmp_path, map_index, try_number, error
):
    """The first task of the run has logged in with the key: another worker may be the reason."""
    script = tmp_path / "run.py"
    script.write_text(RUN_TASK.format(map_index, try_number))
    command = f"PYTHONPATH={ROOT}/orchestrate/dags python {script}"
    process = migrated.sh(command, TAP_KAFINEA_ACCESS_KEY="wr0ngKey")
    assert process.stdout.splitlines()[-1] == error


RUN_LOST = """
from types import SimpleNamespace as Some
from kafinea_tasks import EXTRACT, Meltano, only, streams
found = {one["stream"]: one for one in streams()}
print(*found)
task = Meltano(task_id="extract", command=EXTRACT, env=only(found["Campaigns"]))
try:
    task.execute({"ti": Some(map_index=0, try_number=1, rendered_map_index="Campaigns")})
except Exception as error:
    print(type(error).__name__, error)
"""


def test_module_that_the_user_may_no_longer_read_fails_its_task(migrated, kafinea, tmp_path):
    script = tmp_path / "run.py"
    script.write_text(RUN_LOST)
    kafinea.set_rights("Campaigns", ["read"])
    try:
        process = migrated.sh(
            f"PYTHONPATH={ROOT}/orchestrate/dags python {script}",
            TAP_KAFINEA_MODULES='["Contacts", "Campaigns"]',
            TAP_KAFINEA_RELATIONS="[]",
        )
    finally:
        kafinea.set_rights("Campaigns")
    assert "Contacts Campaigns" in process.stdout.splitlines()
    last = process.stdout.splitlines()[-1]
    assert last.startswith("AirflowFailException `modules`: Module 'Campaigns' not found"), last


def test_reports_that_cannot_be_kept_fail_before_the_load(migrated, kafinea, alerts):
    kafinea.requests.clear()
    nowhere = migrated.home / "queries/visitors.sql/loads"  # in a file
    process = migrated.sh(
        "airflow dags test kafinea_load", AIRFLOW_VAR_KAFINEA_REPORTS=f"file://{nowhere}"
    )
    assert process.returncode == 1, process.stdout
    message = told(alerts)["kafinea_load: load"]
    assert f"The load report cannot be kept in file://{nowhere}" in message
    assert "(AIRFLOW_VAR_KAFINEA_REPORTS): Not a directory. Nothing was loaded." in message
    assert not kafinea.requests.of("login")


def test_rejects_above_the_limit_are_kept_and_reported_without_values(migrated, warehouse, alerts):
    fill_warehouse(warehouse, ["Roux", "Petit"])
    process = migrated.sh("airflow dags test kafinea_load", TARGET_KAFINEA_MAX_REJECTS="0")
    assert process.returncode == 1, process.stdout
    (kept,) = (migrated.home / "loads").rglob("1-rejects.jsonl")
    assert (stat.S_IMODE(kept.stat().st_mode), kept.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert [json.loads(line)["record"]["email"] for line in kept.read_text().splitlines()[1:]] == [
        "c@x.fr"
    ]
    message = told(alerts)["kafinea_load: load"]
    assert "Rejected: 1 of visitors (MANDATORY_FIELD_MISSING). It is not retried" in message
    assert str(kept) in message
    assert "x.fr" not in message + process.stdout


# A backfill, and the runs after it


class Meanwhile:
    """What happens during a backfill: records change, come and go, and a month is killed."""

    def __init__(self, airflow: Airflow, kafinea: Sandbox) -> None:
        self._airflow, self._kafinea = airflow, kafinea
        self._rows = {module: kafinea.rows(module) for module in CUT}
        contacts = self._rows["Contacts"]
        self._to_go = next(row for row in contacts if row["modifiedtime"].startswith("2024-11"))
        self._rows["Contacts"].remove(self._to_go)
        self._turn = 0
        self.killed: list[str] = []
        self.gone: list[str] = []

    def __call__(self) -> None:
        self._turn += 1
        for module, rows in self._rows.items():
            one = rows[self._turn * 7 % len(rows)]["id"]
            self._kafinea.change(module, one, {"description": f"Changed at turn {self._turn}"})
        if self._turn % 10 == 0:
            self._kafinea.insert("Contacts", {"lastname": f"New at turn {self._turn}"})
        if not self.killed:
            self._kill("Contacts 2024-10-01")
        if not self.gone and self._is_read("Contacts 2024-11-01"):
            self._kafinea.remove("Contacts", self._to_go["id"])
            self.gone.append(self._to_go["id"])

    def _kill(self, task: str) -> None:
        if any(self._airflow.processes("target-postgres", TASK=task)):
            self._airflow.kill(TASK=task)
            self.killed.append(task)

    def _is_read(self, name: str) -> bool:
        tasks = self._airflow.tasks("kafinea_backfill")
        return any(task["name"] == name and task["state"] == "success" for task in tasks)


@pytest.fixture(scope="module")
def backfill(running, kafinea) -> SimpleNamespace:
    """A backfill in which a month is killed, and during which records change."""
    meanwhile = Meanwhile(running, kafinea)
    conf = json.dumps({"from": SINCE, "to": "2024-11", "modules": CUT})
    done(running.sh(f"airflow dags trigger kafinea_backfill --conf '{conf}'"))
    return SimpleNamespace(
        state=running.finish("kafinea_backfill", meanwhile),
        tasks=running.tasks("kafinea_backfill"),
        killed=meanwhile.killed,
        gone=meanwhile.gone,
    )


class Killer:
    """Kills a module of the extraction once, as a machine does that runs out of memory."""

    def __init__(self, airflow: Airflow, state: Postgres, module: str) -> None:
        self._airflow, self._state, self._module = airflow, state, module
        self._is_done = False

    def __call__(self) -> None:
        # Meltano starts the tap after it has locked the state.
        tap = "extractors/tap-kafinea/venv"
        if self._is_done or not any(self._airflow.processes(tap, TASK=self._module)):
            return
        self._airflow.kill(TASK=self._module)
        # Meltano's lock lasts five minutes, of which the test waits for the last one.
        self._state.rows(
            "UPDATE runs SET last_heartbeat_at = last_heartbeat_at - interval '4 minutes'"
            f" WHERE job_name LIKE '%%:{self._module}' AND state = 'RUNNING'"
        )
        self._is_done = True


@pytest.fixture(scope="module")
def first(running, state, backfill, kafinea, alerts) -> SimpleNamespace:
    """The first regular run; a module may not be read, and another is killed once."""
    told(alerts)
    kafinea.faults.add("status", status=403, contains="FROM Products", times=None)
    kafinea.requests.clear()
    done(running.sh("airflow dags trigger kafinea"))
    ended = running.finish("kafinea", Killer(running, state, "HelpDesk"))
    queries = [request.params["query"] for request in kafinea.requests.of("query")]
    kafinea.faults.clear()
    return SimpleNamespace(
        state=ended,
        tasks=running.tasks("kafinea"),
        queries=queries,
        messages=told(alerts),
        waiting={*running.waiting},
        logs=[*logs(running.home, "kafinea")],
    )


def logs(home, dag) -> Iterator[dict]:
    """The lines of the logs of a DAG."""
    for path in home.glob(f"logs/dag_id={dag}/**/*.log"):
        for line in path.read_text().splitlines():
            with suppress(ValueError):
                yield json.loads(line)


def test_backfill_reads_each_month_of_each_module(backfill):
    assert backfill.state == "success"
    read = {
        task["name"]: task["try_number"] for task in backfill.tasks if task["task_id"] == "read"
    }
    months = [f"{y}-{m:02}-01" for y in range(2023, 2025) for m in range(1, 13)]
    months = [month for month in months if f"{SINCE}-01" <= month < "2024-12-01"]
    assert read.keys() == {f"{module} {month}" for module in CUT for month in months}
    assert backfill.killed
    assert {name for name, tries in read.items() if tries > 1} == {*backfill.killed}


def test_run_after_a_backfill_reads_later_changes_only(first):
    for module in CUT:
        # A scan for deletions asks for ids alone.
        queries = [query for query in first.queries if re.match(rf".*,.* FROM {module} ", query)]
        assert queries
        assert all("modifiedtime >= '2024-11-30 23:59:00'" in query for query in queries), queries


@pytest.mark.parametrize("module", CUT)
def test_backfill_leaves_nothing_missing_stale_or_duplicated(first, kafinea, warehouse, module):
    compare(kafinea, warehouse, module)
    changed = "SELECT count(*) FROM kafinea.\"{}\" WHERE description LIKE 'Changed at turn %%'"
    assert warehouse.rows(changed.format(module))[0]["count"] > 0


def test_backfill_reports_deletions_made_meanwhile(first, backfill, warehouse):
    told = warehouse.rows("SELECT id FROM kafinea.deleted_records WHERE module = 'Contacts'")
    assert [row["id"] for row in told] == backfill.gone
    (gone,) = backfill.gone
    assert warehouse.rows('SELECT id FROM kafinea."Contacts" WHERE id = %s', gone)


def test_failing_module_stops_no_other(first, kafinea, warehouse):
    assert first.state == "failed"
    tasks = {task["name"]: task for task in first.tasks if task["task_id"] == "extract"}
    assert tasks.keys() == {*CUT, *WHOLE, "campaigns_contacts"}
    assert {name for name, task in tasks.items() if task["state"] != "success"} == {"Products"}
    tries = {name: task["try_number"] for name, task in tasks.items()}
    # A right that is missing is not tried again. The lock of what was killed costs no try.
    assert tries == dict.fromkeys(tasks, 1) | {"HelpDesk": 2}
    assert any("Waiting until" in line["event"] for line in first.logs)
    compare(kafinea, warehouse, "Campaigns")


def test_task_that_waits_for_its_retry_has_the_name_of_its_module(first):
    assert "HelpDesk" in first.waiting


def test_log_keeps_the_levels_and_has_module_run_and_counts(first):
    own = [line for line in first.logs if line.get("logger") == "kafinea"]
    errors = [line for line in own if line["level"] == "error" and line.get("name")]
    assert {line["module"] for line in errors} == {"Products"}
    assert any("HTTP 403" in line["event"] for line in errors)
    (counted,) = (line for line in own if line.get("summary") and line["module"] == "Campaigns")
    assert counted["run_id"]
    assert counted["summary"]["streams"]["Campaigns"]["received"] > 0


def test_tasks_run_in_parallel(first):
    begun = [(task["start_date"], 1) for task in first.tasks if task["try_number"] == 1]
    ended = [(task["end_date"], -1) for task in first.tasks if task["try_number"] == 1]
    # How many there are depends on how fast the machine starts them.
    assert 1 < max(accumulate(step for _, step in sorted(begun + ended))) <= WORKERS


def test_alert_holds_reason_next_step_and_log(first):
    final, retried = first.messages["kafinea: Products"], first.messages["kafinea: HelpDesk"]
    assert "query of Products: HTTP 403" in final
    assert "It is not retried, because a retry would fail too." in final
    assert "Meltano was killed" in retried
    assert re.search(r"retried between \S+ and \S+ UTC, try 2 of 5\.", retried)
    assert all("/dags/kafinea/runs/" in message for message in first.messages.values())
    assert len(first.messages) == 2


def test_related_lists_have_a_task_of_their_own(first, kafinea, warehouse):
    rows = warehouse.rows("SELECT source_id, related_id FROM kafinea.campaigns_contacts")
    campaigns = {row["id"] for row in kafinea.rows("Campaigns")}
    contacts = {row["id"] for row in kafinea.rows("Contacts")}
    assert rows
    assert {row["source_id"] for row in rows} <= campaigns
    assert {row["related_id"] for row in rows} <= contacts


@pytest.fixture(scope="module")
def second(running, first, kafinea) -> str:
    """The next regular run, with nothing in its way."""
    kafinea.change("Campaigns", kafinea.rows("Campaigns")[0]["id"], {"campaignstatus": "Completed"})
    kafinea.insert("Products", {"productname": "Chair"})
    done(running.sh("airflow dags trigger kafinea"))
    return running.finish("kafinea")


@pytest.mark.parametrize("module", [*CUT, *WHOLE])
def test_next_run_completes_the_failed_module(second, kafinea, warehouse, module):
    assert second == "success"
    compare(kafinea, warehouse, module)


VISITORS = [f"Visitor{n}" for n in range(40)]


@pytest.fixture(scope="module")
def load(running, second, kafinea, warehouse, alerts) -> SimpleNamespace:
    """A load during which the server is away, until it is retried."""
    told(alerts)
    fill_warehouse(warehouse, VISITORS)
    for day in ("2020-01-01", "not-a-day"):
        (running.home / "loads" / day / "run").mkdir(parents=True)
    kafinea.faults.add("status", status=503, nth=30, times=None)

    def come_back() -> None:
        if any(task["state"] == "up_for_retry" for task in running.tasks("kafinea_load")):
            kafinea.faults.clear()

    done(running.sh("airflow dags trigger kafinea_load"))
    ended = running.finish("kafinea_load", come_back)
    (folder,) = (path.parent for path in running.home.glob("loads/*/*/2-outcomes.jsonl"))
    return SimpleNamespace(state=ended, folder=folder, messages=told(alerts))


def test_load_is_retried_after_an_outage_and_finds_what_it_had_done(load, kafinea):
    assert load.state == "success"
    assert "It is retried between" in load.messages["kafinea_load: load"]
    tries = [results(load.folder / f"{number}-outcomes.jsonl") for number in (1, 2)]
    assert tries[1]["unchanged"] == tries[0]["created"] > 0
    assert tries[1]["created"] == len(VISITORS) - tries[0]["created"]
    names = [row["lastname"] for row in kafinea.rows("Contacts")]
    assert sorted(name for name in names if name.startswith("Visitor")) == sorted(VISITORS)


def test_reject_within_the_limit_is_kept_and_fails_nothing(load):
    assert "c@x.fr" in (load.folder / "2-rejects.jsonl").read_text()


def test_old_reports_are_removed(load, running):
    assert not (running.home / "loads/2020-01-01").exists()
    assert (running.home / "loads/not-a-day").exists()


# A table that is gone, rows that are old, and runs that take too long


@pytest.fixture(scope="module")
def gone(running, second, kafinea, warehouse, alerts) -> SimpleNamespace:
    """A run after a table was dropped, and the run that extracts its stream again."""
    warehouse.rows('DROP TABLE kafinea."Campaigns"')
    alerts.messages.clear()
    done(running.sh("airflow dags trigger kafinea"))
    ended, message = running.finish("kafinea"), told(alerts)["kafinea: Campaigns"]
    tries = {task["name"]: task["try_number"] for task in running.tasks("kafinea")}
    kafinea.requests.clear()
    again = """airflow dags trigger kafinea --conf '{"full_refresh": ["Campaigns"]}'"""
    done(running.sh(again))
    return SimpleNamespace(
        state=ended,
        message=message,
        tries=tries["Campaigns"],
        again=running.finish("kafinea"),
        queries=[request.params["query"] for request in kafinea.requests.of("query")],
    )


def test_table_that_is_gone_fails_its_task_for_good(gone):
    assert (gone.state, gone.tries) == ("failed", 1)
    assert "Table Campaigns does not exist, but the state of the tap says" in gone.message
    assert "It is not retried, because a retry would fail too." in gone.message


def test_full_refresh_extracts_one_stream_again(gone, kafinea, warehouse):
    assert gone.again == "success"
    compare(kafinea, warehouse, "Campaigns")
    assert [query for query in gone.queries if re.search(r",.* FROM (?!Campaigns)", query)] == []


def test_rows_that_are_too_old_send_an_alert(gone, migrated, warehouse, alerts):
    alerts.messages.clear()
    move = "UPDATE kafinea.\"Contacts\" SET modifiedtime = modifiedtime {} interval '40 days'"
    warehouse.rows(move.format("-"))
    process = migrated.sh("airflow dags test kafinea_freshness")
    warehouse.rows(move.format("+"))
    assert process.returncode == 1
    message = told(alerts)["kafinea_freshness: newest_rows"]
    assert re.search(
        r"out of date\. Contacts: its newest row is [\d,]+ hours old, 24 are allowed\. It is",
        message,
    )


def test_run_that_takes_too_long_is_stopped_with_an_alert(gone, running, alerts):
    alerts.messages.clear()
    done(running.sh("airflow dags trigger kafinea"))
    began = "UPDATE dag_run SET start_date = start_date - interval '2 days' WHERE state = 'running'"
    ended = running.finish("kafinea", lambda: running.database.rows(began))
    running.wait_for(lambda: alerts.messages, "the alert")
    assert ended == "failed"
    (message,) = alerts.messages
    assert message.startswith("kafinea: the run manual__")
    assert "was stopped, because it took longer than 20 hours (KAFINEA_RUN_HOURS)." in message


PROFILES = ROOT / "kafinea_cli/dbt_package/templates/profiles.yml"
PACKAGE = {
    "transform/dbt_project.yml": "{name: own, version: 1.0.0, profile: kafinea}",
    "transform/profiles.yml": PROFILES.read_text(),
    "transform/models/visitors.sql": "SELECT 'Sum ' || count(*) AS lastname, 'sum@x.fr' AS email"
    ' FROM kafinea."Contacts"',
    "load/visitors.sql": "SELECT * FROM analytics.visitors",
}


def test_pipeline_extracts_transforms_and_loads_in_this_order(
    migrated, kafinea, warehouse, tmp_path
):
    Project(tmp_path)
    (tmp_path / ".venv-dbt").symlink_to(ROOT / ".venv-dbt")
    for name, text in PACKAGE.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    count = kafinea.count("Contacts")
    own = {"MELTANO_PROJECT_ROOT": str(tmp_path), "TAP_POSTGRES_QUERIES": "load"}
    done(migrated.sh("airflow dags test kafinea_pipeline", **own))
    (loaded,) = (row for row in kafinea.rows("Contacts") if row["email"] == "sum@x.fr")
    (here,) = warehouse.rows('SELECT count(*) AS rows FROM kafinea."Contacts"')
    assert here["rows"] >= count  # also those that were deleted since
    assert loaded["lastname"] == f"Sum {here['rows']}"
    updated = {
        row["uri"]
        for row in migrated.database.rows(
            "SELECT a.uri FROM asset_event e JOIN asset a ON a.id = e.asset_id"
        )
    }
    assert updated >= {"kafinea_warehouse", "kafinea_models"}


def results(path) -> Counter[str]:
    """How many records of a load report have which result."""
    lines = map(json.loads, path.read_text().splitlines())
    return Counter(line["outcome"] for line in lines)


def test_secrets_are_in_no_log(second, load, migrated, kafinea, warehouse):
    secret = {kafinea.access_key.encode(), warehouse.password.encode()}
    files = [path for path in migrated.home.rglob("*") if path.is_file()]
    # Meltano writes its settings there. What is killed leaves its folder behind.
    run_folders = [*(migrated.home / "tmp").glob("meltano.*")]
    assert {folder.stat().st_mode & 0o777 for folder in run_folders} <= {0o700}
    logs = [path for path in files if not set(run_folders).intersection(path.parents)]
    assert any("task_id=extract" in str(path) for path in logs)
    assert [path for path in logs if any(one in path.read_bytes() for one in secret)] == []


def test_meltano_may_be_run_by_hand(migrated):
    assert done(migrated.sh("orchestrate/meltano --version")).startswith("meltano, version ")


@pytest.mark.parametrize("page", ["docs/scheduling.md", "docs/backfill.md"])
def test_page_shows_what_was_run_here(second, migrated, page):
    commands = [block.text for block in blocks(text_of(page)) if block.language == "sh"]
    lines = [line for command in commands for line in command.splitlines()]
    assert lines
    assert [line for line in lines if line not in migrated.executed] == []


def test_run_folders_are_removed_after_tasks(second, migrated, backfill):
    # HelpDesk is killed too.
    folders = [*(migrated.home / "tmp").glob("meltano.*")]
    assert len(folders) <= len(backfill.killed) + 1


def compare(kafinea, warehouse, module):
    """Assert that the warehouse has the records of a module, each once and as it is now."""
    there = kafinea.rows(module)
    here = warehouse.rows(
        f'SELECT * FROM kafinea."{module}" r WHERE NOT EXISTS (SELECT 1 FROM'
        " kafinea.deleted_records d WHERE d.id = r.id AND d.detected_at IS NOT NULL)"
    )
    assert len(here) == len({row["id"] for row in here}) == len(there)
    texts = [name for name, value in there[0].items() if name in here[0] and is_text(name, here)]
    assert len(texts) > 3
    assert checksum(texts, here) == checksum(texts, there)


def is_text(name, rows):
    return all(row[name] is None or isinstance(row[name], str) for row in rows)


def checksum(names, rows):
    def values(row):
        modified = row.get("modifiedtime")
        if isinstance(modified, datetime):
            modified = f"{modified.astimezone(timezone.utc):%Y-%m-%d %H:%M:%S}"
        return [modified, *((row[name] or "") for name in names if name != "modifiedtime")]

    return hashlib.sha256(json.dumps(sorted(map(values, rows))).encode()).hexdigest()
