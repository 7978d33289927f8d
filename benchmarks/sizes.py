"""Memory, CPU and disk of each process of a pipeline: the table of docs/scheduling.md.

python -m benchmarks.sizes                          10,000 and 100,000 records
python -m benchmarks.sizes --rows 1000000           a million
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.measure import ENVIRONMENT, ROOT, CommandFailed, Server
from benchmarks.reading import MODULE
from benchmarks.server import ACCESS_KEY, USER
from tests.e2e.postgres import Postgres, postgres

_EVERY = 0.05
"""Seconds between two looks at the processes."""
_MOST_LOADED = 100_000
"""Records that are loaded back. More take longer, and not more memory: it depends on the batch."""
_KINDS = ("tap-kafinea", "target-postgres", "target-duckdb", "tap-postgres", "target-kafinea")
_QUERY = f'SELECT id AS cf_853, firstname, lastname, email, phone FROM kafinea."{MODULE}"'
_HEADER = f"{'records':>10}  {'process':16} {'memory, MB':>10} {'CPU, s':>8} {'seconds':>8}"


@dataclass
class Size:
    """The most memory that a process held, and its time of CPU."""

    megabytes: float = 0
    cpu: float = 0


class Watch:
    """Looks at all processes under one, again and again.

    Attributes:
        sizes: What was seen, by the kind of process.
    """

    def __init__(self, root: psutil.Process) -> None:
        self._root = root
        self._ended = threading.Event()
        self._cpu: dict[tuple[str, int], float] = {}
        self.sizes: dict[str, Size] = defaultdict(Size)

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Look until the end of the block."""
        thread = threading.Thread(target=self._look_on)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()
            for (kind, _), seconds in self._cpu.items():
                self.sizes[kind].cpu += seconds

    def _look_on(self) -> None:
        while not self._ended.wait(_EVERY):
            with suppress(psutil.Error):  # one that has ended meanwhile
                for process in self._root.children(recursive=True):
                    self._look_at(process)

    def _look_at(self, process: psutil.Process) -> None:
        command = " ".join(process.cmdline())
        kind = next((kind for kind in _KINDS if f"bin/{kind}" in command), "")
        if not kind and "bin/meltano" in command and "python" in command:
            kind = "Meltano"
        if not kind:
            return  # a shell
        size = self.sizes[kind]
        size.megabytes = max(size.megabytes, process.memory_info().rss / 1e6)
        times = process.cpu_times()
        self._cpu[kind, process.pid] = times.user + times.system


def measure(rows: int, plugins: tuple[str, str], settings: Mapping[str, str]) -> None:
    """Run a pipeline, and print what its processes took."""
    command = [
        str(ROOT / "orchestrate/meltano"),
        "--log-level=warning",
        "run",
        "--no-install",
        *plugins,
    ]
    began = time.monotonic()
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env={**ENVIRONMENT, **settings}, stdout=log, stderr=subprocess.STDOUT
        )
        watch = Watch(psutil.Process(process.pid))
        with watch.looking():
            process.wait()
        if process.returncode:
            log.seek(0)
            raise CommandFailed(log.read()[-2_000:])
    seconds = time.monotonic() - began
    for kind, size in sorted(watch.sizes.items()):
        print(f"{rows:>10,}  {kind:16} {size.megabytes:>10,.0f} {size.cpu:>8,.0f} {seconds:>8,.0f}")


def measure_all(rows: int, server: Server, warehouse: Postgres, work: Path) -> None:
    """Measure extraction into both warehouses, and loading back, with a number of records."""
    queries = work / "load"
    queries.mkdir(exist_ok=True)
    (queries / "customers.sql").write_text(_QUERY)
    settings = {
        "MELTANO_DATABASE_URI": f"sqlite:///{work}/meltano-{rows}.db",
        "MELTANO_ENVIRONMENT": "prod",
        "TAP_KAFINEA_URL": server.url,
        "TAP_KAFINEA_USERNAME": USER,
        "TAP_KAFINEA_ACCESS_KEY": ACCESS_KEY,
        "TAP_KAFINEA_MODULES": f'["{MODULE}"]',
        "TAP_KAFINEA_MAX_SESSIONS": "4",
        "TARGET_KAFINEA_URL": server.url,
        "TARGET_KAFINEA_USERNAME": USER,
        "TARGET_KAFINEA_ACCESS_KEY": ACCESS_KEY,
        "TARGET_KAFINEA_MAX_SESSIONS": "4",
        "TARGET_KAFINEA_STREAMS": json.dumps(
            {"customers": {"module": MODULE, "match_on": "cf_853"}}
        ),
        "TARGET_POSTGRES_HOST": warehouse.host,
        "TARGET_POSTGRES_PORT": str(warehouse.port),
        "TARGET_POSTGRES_USER": warehouse.user,
        "TARGET_POSTGRES_PASSWORD": warehouse.password,
        "TARGET_POSTGRES_DATABASE": warehouse.name,
        "TARGET_DUCKDB_PATH": str(work / f"{rows}.duckdb"),
        "TAP_POSTGRES_QUERIES": str(queries),
        "TMPDIR": str(work),
    }
    server.order("set_up", formulas={MODULE: rows}, latency_ms=20)
    for loader in ("target-postgres", "target-duckdb"):
        measure(rows, ("tap-kafinea", loader), settings)
    if rows <= _MOST_LOADED:
        server.order("set_up", stored=[MODULE], latency_ms=20)
        measure(rows, ("tap-postgres", "target-kafinea"), settings)
    (size,) = warehouse.rows(f"SELECT pg_total_relation_size('kafinea.\"{MODULE}\"') AS size")
    disk = (work / f"{rows}.duckdb").stat().st_size
    print(f"{rows:>10,}  disk, MB: PostgreSQL {size['size'] / 1e6:,.0f}, DuckDB {disk / 1e6:,.0f}")


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000])
    options = parser.parse_args()
    print(f"{os.cpu_count()} processors, Python {sys.version.split()[0]}", _HEADER, sep="\n")
    with postgres() as database, Server() as server, tempfile.TemporaryDirectory() as work:
        for rows in options.rows:
            with database.fresh() as warehouse:
                measure_all(rows, server, warehouse, Path(work))


if __name__ == "__main__":
    main()
