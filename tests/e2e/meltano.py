"""`meltano run` from a sandbox into a PostgreSQL, as users type it."""

from __future__ import annotations

import atexit
import os
import shlex
import subprocess
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from kafinea_sandbox import Sandbox
from tests.e2e.postgres import Postgres

ROOT = Path(__file__).resolve().parents[2]
COMMAND = ".venv-meltano/bin/meltano run{} tap-kafinea target-postgres"


def command(*options: str) -> list[str]:
    """The command, without the `.env` of whoever runs the tests."""
    meltano, run, *plugins = shlex.split(COMMAND.format(""))
    return [meltano, "--env-file", os.devnull, run, "--no-install", *options, *plugins]


def environment(sandbox: Sandbox, warehouse: Postgres, state: Postgres, **own: str) -> dict:
    """What `.env` would hold."""
    return os.environ | {
        "MELTANO_SYS_DIR_ROOT": _own_run_folder(),
        "MELTANO_DATABASE_URI": state.uri("postgresql+psycopg"),
        "TAP_KAFINEA_URL": sandbox.url,
        "TAP_KAFINEA_USERNAME": sandbox.username,
        "TAP_KAFINEA_ACCESS_KEY": sandbox.access_key,
        "TARGET_POSTGRES_HOST": warehouse.host,
        "TARGET_POSTGRES_PORT": str(warehouse.port),
        "TARGET_POSTGRES_USER": warehouse.user,
        "TARGET_POSTGRES_PASSWORD": warehouse.password,
        "TARGET_POSTGRES_DATABASE": warehouse.name,
        **own,
    }


_folders = ExitStack()
atexit.register(_folders.close)


def _own_run_folder() -> str:
    """A run folder as orchestrate/meltano makes one: other tests run the same plugins meanwhile."""
    folder = _folders.enter_context(TemporaryDirectory(prefix="meltano."))
    for shared in ("extractors", "loaders"):
        Path(folder, shared).symlink_to(ROOT / ".meltano" / shared)
    return folder


def run(settings: dict, *options: str, check: bool = True) -> str:
    """Run it to its end, a good one unless `check` is false; what it said."""
    done = subprocess.run(
        command(*options),
        cwd=ROOT,
        env=settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert (done.returncode == 0) is check, done.stdout
    for secret in (settings["TAP_KAFINEA_ACCESS_KEY"], settings["TARGET_POSTGRES_PASSWORD"]):
        assert not secret or secret not in done.stdout
    return done.stdout
