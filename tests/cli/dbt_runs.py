"""Runs dbt on both warehouses at the same time."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.loaders.conftest import DuckDB, PostgreSQL, Warehouse

ROOT = Path(__file__).resolve().parents[2]
DBT = ROOT / ".venv-dbt/bin/dbt"


@dataclass
class Built:
    """A package that dbt has built in a warehouse."""

    warehouse: Warehouse
    results: dict[str, Any]
    log: str

    @property
    def name(self) -> str:
        return self.warehouse.name

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self.warehouse.rows(sql)

    def statuses(self) -> dict[str, str]:
        """The status of each model and test, by its name."""
        return {each["unique_id"]: each["status"] for each in self.results["results"]}

    def problems(self) -> dict[str, str]:
        """The messages of the models and tests that did not succeed, by name."""
        return {
            each["unique_id"].split(".")[2]: each["message"] or each["status"]
            for each in self.results["results"]
            if each["status"] not in {"success", "pass"}
        }


def environment(warehouse: Warehouse) -> dict[str, str]:
    settings = warehouse.settings
    names = ("path", "host", "port", "user", "password", "database")
    kind = type(warehouse).__name__.upper().replace("POSTGRESQL", "POSTGRES")
    variables = {f"TARGET_{kind}_{name.upper()}": str(settings[name])
                 for name in names if name in settings}  # fmt: skip
    return {**os.environ, "DBT_NO_VERSION_CHECK": "true", **variables}


def build(package: Path, warehouses: Sequence[DuckDB | PostgreSQL], *arguments: str) -> list[Built]:
    """Run `dbt build`; each run has a folder of its own for what it writes."""
    runs = []
    for warehouse in warehouses:
        target = package.parent / f"target-{warehouse.name}"
        command = [
            *(DBT, "--no-use-colors", "--log-path", target, "build"),
            *("--project-dir", package, "--profiles-dir", package, "--target", warehouse.name),
            *("--target-path", target, *arguments),
        ]
        run = subprocess.Popen(
            command,
            env=environment(warehouse),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        runs.append((warehouse, target, run))
    built = []
    for warehouse, target, run in runs:
        log, _ = run.communicate(timeout=200)
        results = json.loads((target / "run_results.json").read_text("utf-8"))
        built.append(Built(warehouse, results, log))
    return built
