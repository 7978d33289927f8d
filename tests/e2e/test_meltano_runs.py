"""How the DAGs run Meltano: why it failed, whether a retry makes sense, locks, the first start."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from kafinea_sandbox import Sandbox

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).resolve().parents[2]


def runs(project: Path, monkeypatch: pytest.MonkeyPatch):
    """The module of the DAGs, for a project."""
    monkeypatch.setenv("MELTANO_PROJECT_ROOT", str(project))
    path = ROOT / "orchestrate/dags/kafinea_meltano.py"
    spec = spec_from_file_location("kafinea_meltano", path)
    module = module_from_spec(spec)
    # A data class looks its module up.
    monkeypatch.setitem(sys.modules, "kafinea_meltano", module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    """Runs whose Meltano only writes recorded logs, one after the other, and ends as it did."""
    (tmp_path / "orchestrate").mkdir()
    script = tmp_path / "orchestrate/meltano"
    script.write_text(
        '#!/bin/bash\nn=$(ls started.* 2>/dev/null | wc -l); touch "started.$n"\n'
        'cat "log.$n" >&2; exit $(cat "code.$n")\n'
    )
    script.chmod(0o755)
    meltano = runs(tmp_path, monkeypatch)

    def play(*ends):
        for number, (code, lines) in enumerate(ends):
            texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
            (tmp_path / f"log.{number}").write_text("\n".join(texts) + "\n")
            (tmp_path / f"code.{number}").write_text(str(code))
        logged = []
        run = meltano.MeltanoRun(
            ["run"], {}, lambda level, event, **facts: logged.append((level, event, facts))
        )
        try:
            run.run()
        except meltano.MeltanoFailed as error:
            return error, logged
        return None, logged

    return play


def said(plugin, text, level="error", **more):
    """A line of a plugin in Meltano's log."""
    common = {"stdio": "stderr", "name": plugin, "consumer": plugin.startswith("target")}
    return common | {"event": text, "level": level, "run_id": "1"} | more


def ended(err, **codes):
    return {"event": "Block run completed", "err": err, "exit_codes": codes, "level": "error"}


DISCOVERY = {"type": "discovery", "level": "info", "consumer": None}
FAILURES = {
    "the tap, for good": (
        [said("tap-kafinea", "No right."), ended("Extractor failed", extractors=2)],
        ("No right.", True),
    ),
    "the tap, in an outage": (
        [said("tap-kafinea", "HTTP 503."), ended("Extractor failed", extractors=1)],
        ("HTTP 503.", False),
    ),
    "the target, after which the tap has nobody to write to": (
        [
            said("target-postgres", "No such database."),
            said("tap-kafinea", "Contacts: 3 received", "info"),
            {"event": "", "level": "error", "exception": "Traceback ..."},
            "Traceback (most recent call last):",
            {"event": "Task exception was never retrieved", "level": "error"},
        ],
        ("No such database.", False),
    ),
    "the same, for good": (
        [
            said("target-kafinea", "Wrong key.", is_final=True),
            {"event": "Task exception was never retrieved", "level": "error"},
        ],
        ("Wrong key.", True),
    ),
    "a target that succeeds, although it has logged an error": (
        [
            said("target-kafinea", "One record is odd."),
            said("tap-kafinea", "HTTP 503."),
            ended("Extractor failed", extractors=1),
        ],
        ("HTTP 503.", False),
    ),
    "discovery": (
        [
            said("tap-kafinea", "ERROR Wrong key.") | DISCOVERY,
            {
                "event": "Cannot start plugin tap-kafinea: Catalog discovery failed: command ['x'] "
                "returned 2 with stderr:\nERROR Wrong key.",
                "level": "error",
            },
        ],
        ("Wrong key.", True),
    ),
    "memory": (
        [said("tap-kafinea", "Begins", "info"), ended("Extractor failed", extractors=-9)],
        ("tap-kafinea was killed, perhaps because memory ran out.", False),
    ),
    "a setting that Meltano cannot read": (
        [{"event": "invalid literal for int() with base 10: 'many'", "level": "error"}],
        ("invalid literal for int() with base 10: 'many'", True),
    ),
    "memory, of Meltano itself": (
        [said("tap-kafinea", "Begins", "info")],
        ("Meltano was killed, perhaps because memory ran out.", False),
        137,
    ),
    "something else": (["bash: meltano: not found"], ("bash: meltano: not found", False)),
    "nothing": ([], ("Meltano ended with exit code 1.", False)),
}


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
def test_failure_has_the_reason_and_whether_it_is_final(recorded, failure):
    lines, expected, *code = failure
    error, _ = recorded((code[0] if code else 1, lines))
    assert (error.reason, error.is_final) == expected


def test_log_keeps_levels_counts_and_run_id(recorded):
    summary = {"streams": {"Contacts": {"received": 3}}}
    _, logged = recorded(
        (
            0,
            [
                said("tap-kafinea", "Old.", "warning"),
                said("tap-kafinea", "WARNING Odd.") | DISCOVERY,
                said("tap-kafinea", "3 received", "info", summary=summary, pid=7),
            ],
        )
    )
    assert [line[:2] for line in logged] == [
        (logging.WARNING, "Old."),
        (logging.WARNING, "Odd."),
        (logging.INFO, "3 received"),
    ]
    assert logged[-1][2] == {"run_id": "1", "name": "tap-kafinea", "summary": summary}


def test_lock_of_a_killed_run_is_waited_for(recorded):
    until = datetime.now(timezone.utc) + timedelta(seconds=1)
    text = (
        "Another 'prod:tap-kafinea-to-target-postgres:Contacts' pipeline is already running which "
        f"started at 2026-11-29 02:00:00+00:00. Wait until {until} when the job will be "
        "automatically cancelled if stale, or ignore this check using the '--force' option."
    )
    locked = [{"event": text, "level": "error"}, ended(text)]
    error, logged = recorded((1, locked), (1, locked), (0, []))
    assert error is None
    waits = [line for line in logged if "Waiting until" in line[1]]
    assert len(waits) == 2
    assert datetime.now(timezone.utc) > until


# With the Meltano of the project


def test_first_starts_at_the_same_time_all_succeed(tmp_path):
    environment = os.environ | {"MELTANO_DATABASE_URI": f"sqlite:///{tmp_path}/meltano.db"}
    command = [ROOT / "orchestrate/meltano", "--env-file", os.devnull, "environment", "list"]
    started = [
        subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for _ in range(3)
    ]
    ends = [(process.communicate()[0], process.returncode) for process in started]
    assert [code for _, code in ends] == [0, 0, 0], ends


def test_wrong_key_is_final_after_two_logins(tmp_path, monkeypatch):
    meltano = runs(ROOT, monkeypatch)
    logged = []
    with Sandbox(rows=20) as sandbox:
        settings = {
            "MELTANO_DATABASE_URI": f"sqlite:///{tmp_path}/meltano.db",
            "MELTANO_ENVIRONMENT": "sandbox",
            "TAP_KAFINEA_URL": sandbox.url,
            "TAP_KAFINEA_USERNAME": sandbox.username,
            "TAP_KAFINEA_ACCESS_KEY": "wr0ngKey",
            "TAP_KAFINEA_REQUEST_TIMEOUT": "59.5",
        }
        run = meltano.MeltanoRun(
            ["--env-file", os.devnull, "run", "--no-install", "tap-kafinea", "target-duckdb"],
            settings,
            lambda level, event, **_: logged.append((level, event)),
        )
        with pytest.raises(meltano.MeltanoFailed) as caught:
            run.run()
        assert len(sandbox.requests.of("login")) == 2
    assert caught.value.is_final
    assert "does not accept this access key" in caught.value.reason
    assert (logging.ERROR, caught.value.reason) in logged
