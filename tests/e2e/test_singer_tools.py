"""`singer-check-tap` of singer-tools finds the output of the tap valid, in two runs."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from kafinea_sandbox import Sandbox
from tests.stored_documents import add_document
from tests.tap.running import program, settings

CHECK = Path(__file__).resolve().parents[2] / ".venv-singer/bin/singer-check-tap"

pytestmark = [pytest.mark.e2e, pytest.mark.operate]


def checked(output, folder):
    """Return how many records of each stream are valid.

    By the standard input: with `--tap`, the check does not wait for the end of what it reads.
    """
    done = subprocess.run(
        [CHECK], input=output, capture_output=True, text=True, cwd=folder, check=True, timeout=120
    )
    assert "The output is valid." in done.stdout
    rows = re.findall(r"^\| (\w+) +\| (\d+) +\| 1 +\|$", done.stdout, re.MULTILINE)
    return {stream: int(records) for stream, records in rows}


def test_singer_check_tap_finds_the_output_valid(tmp_path):
    with Sandbox(rows=120) as sandbox:
        add_document(sandbox, ("plan.pdf", b"the plan"))
        config, state = tmp_path / "config.json", tmp_path / "state.json"
        more = {
            "timezone": "Europe/Paris",
            "dictionary": True,
            "line_items": "table",
            "relations": [{"module": "Campaigns", "related": "Contacts"}],
            "files": {"enabled": True, "path": str(tmp_path / "files")},
            "deletions": "scan",
            "deletions_path": str(tmp_path / "ids"),
        }
        config.write_text(json.dumps(settings(sandbox, **more)))
        done = program("--config", str(config))
        assert done.returncode == 0, done.stderr
        counts = checked(done.stdout, tmp_path)
        for module in ("Contacts", "Invoice"):
            assert counts[module] == sandbox.count(module)
        assert all(counts[name] for name in ("files", "campaigns_contacts", "Fields"))

        state.write_text(done.stdout.splitlines()[-1])
        sandbox.remove("Contacts", sandbox.rows("Contacts")[0]["id"])
        done = program("--config", str(config), "--state", str(state))
        assert done.returncode == 0, done.stderr
        assert checked(done.stdout, tmp_path)["deleted_records"] == 1
