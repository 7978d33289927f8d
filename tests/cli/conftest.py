"""What the tests of the command `kafinea` share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.postgres import Postgres
from tests.e2e.postgres import postgres as running_postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with running_postgres() as server:
        yield server
