from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner

from kafinea_sandbox.cli import sandbox

RUN = [sys.executable, "-m", "kafinea_cli", "sandbox"]


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_command_prints_its_address_and_stops_cleanly(tmp_path: Path, end: signal.Signals):
    command = [*RUN, "--rows", "300", "--data", str(tmp_path), "--dialect", "stock"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        facts = json.loads(process.stdout.readline())
        assert set(facts) == {"url", "username", "access_key", "control", "control_token"}
        assert facts["url"].startswith("http://127.0.0.1:")
        params = {"operation": "getchallenge", "username": facts["username"]}
        answer = requests.get(facts["url"] + "/x/webservice.php", params=params, timeout=60).json()
        assert answer["success"] is True
        asked = {"json": {"module": "Contacts"}, "timeout": 60}
        assert requests.post(facts["control"] + "/count", **asked).status_code == 401
        asked["headers"] = {"Authorization": f"Bearer {facts['control_token']}"}
        assert requests.post(facts["control"] + "/count", **asked).ok
        process.send_signal(end)
        rest, errors = process.communicate(timeout=60)
    assert (process.returncode, rest) == (0, b"")
    assert b"for this machine only. Press Ctrl-C" in errors
    assert b"Traceback" not in errors
    assert [path.name for path in tmp_path.iterdir()] == ["kafinea.sqlite"]


def test_command_names_the_extra_that_is_missing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delitem(sys.modules, "kafinea_sandbox.sandbox", raising=False)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    result = CliRunner().invoke(sandbox)
    assert result.exit_code == 1
    assert "Install the extra `sandbox` of singer-kafinea" in result.output
    assert len(result.output.strip().splitlines()) == 1


def test_command_help_needs_no_extra():
    extra = ["uvicorn", "starlette", "lark", "tomli", "tomllib"]
    script = (
        f"import sys; sys.modules |= dict.fromkeys({extra});"
        " from kafinea_cli.__main__ import main; main()"
    )
    command = [sys.executable, "-c", script, "sandbox", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "--dialect [kafinea|stock|frevo|corebos|legacy]" in done.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--port", "99999"], "Invalid value for '--port'"),
        (["--data", "{path}"], "file is not a database"),
    ],
)
def test_command_reports_an_unusable_option(tmp_path: Path, options: list[str], message: str):
    (tmp_path / "kafinea.sqlite").write_bytes(b"another program's" * 100)
    command = [*RUN, *(text.replace("{path}", str(tmp_path)) for text in options)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode in {1, 2}
    assert message in done.stderr
    assert "Traceback" not in done.stderr
