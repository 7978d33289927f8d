"""An emulator of BigQuery: bqemulator, which stores its tables in DuckDB."""

from __future__ import annotations

import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-bigquery/bin/python"
PROJECT = "kafinea"

# It requires an extension of DuckDB, which comes from pip.
_PROGRAM = """
from bqemulator.cli import main
from duckdb_extensions import import_extension
import_extension("spatial")
main()
"""


@contextmanager
def emulator(home: Path) -> Iterator[str]:
    """The address of an emulator, which keeps its data in memory.

    Args:
        home: A folder for its extension and what is uploaded to it.
    """
    ports = [_free_port(), _free_port()]
    command = [PYTHON, "-c", _PROGRAM, "start", "--project", PROJECT, "--log-level", "error"]
    command += ["--rest-port", str(ports[0]), "--grpc-port", str(ports[1])]
    log = home / "bigquery.log"
    environment = {**os.environ, "HOME": str(home), "TMPDIR": str(home)}
    with log.open("wb") as output:
        server = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
        try:
            address = f"http://127.0.0.1:{ports[0]}"
            _wait(address, server, log)
            yield address
        finally:
            server.terminate()
            server.wait()


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def _wait(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    while server.poll() is None:
        try:
            with urllib.request.urlopen(f"{address}/bigquery/v2/projects/{PROJECT}/datasets"):
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(log.read_text())
