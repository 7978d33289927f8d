"""A load and an undo that are killed while the server is at work."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.cli.running import variables
from tests.target.running import Files, matched, messages
from tests.target.test_killed_runs import running, until
from tests.undo.loads import actions, client_of, contents, small_company, undo


@pytest.mark.parametrize("kind", ["hang", "hang_after"])
def test_load_and_undo_killed_in_the_middle_of_a_write(kind, tmp_path):
    """With `hang_after`, the server has done what it does not answer; with `hang`, it has not."""
    files, path = Files(tmp_path), tmp_path / "undo.jsonl"
    with small_company() as sandbox:
        for n in range(5):
            sandbox.insert("Contacts", {"cf_853": f"{n}", "lastname": f"Old {n}"})
        before = contents(sandbox, "Contacts")
        lines = messages("Contacts", *({"cf_853": f"{n}", "lastname": "x"} for n in range(20)))
        config = files.config(
            sandbox, streams=matched("Contacts", "cf_853"), undo_path=str(path), max_sessions=1
        )
        sandbox.faults.add(kind, operation="create", nth=9, seconds=300, times=None)
        with running(config, "--input", files.input(lines)) as load:
            until(lambda: any(fault.hits for fault in sandbox.faults))
            until(lambda: sandbox.count("Contacts") == 5 + 8 + (kind == "hang_after"))
            load.kill()
        last = path.read_text().splitlines()[-1]
        assert '"type":"write"' in last  # it was there before the server had the request
        sandbox.faults.clear()

        sandbox.faults.add(kind, operation="delete", nth=3, seconds=300, times=None)
        command = [sys.executable, "-m", "kafinea_cli", "undo", str(path)]
        with subprocess.Popen(
            command, env=variables(sandbox), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as undoing:
            until(lambda: any(fault.hits for fault in sandbox.faults))
            undoing.kill()
        sandbox.faults.clear()

        with client_of(sandbox) as client:
            undone = undo(client, path)
            assert not {"conflict", "failed"} & actions(undone).keys()
            assert contents(sandbox, "Contacts") == before
