"""The modules of the DAGs that do not need Airflow, and a PostgreSQL."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.postgres import Postgres
from tests.e2e.postgres import postgres as running_postgres

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "orchestrate/dags"))


@pytest.fixture(scope="session")
def database() -> Iterator[Postgres]:
    """An empty database of a PostgreSQL."""
    with running_postgres() as server, server.fresh() as own:
        yield own
