"""What the tests of the command `kafinea` share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kafinea_sandbox import Sandbox
from tests.cli.running import variables
from tests.e2e.postgres import Postgres
from tests.e2e.postgres import postgres as running_postgres


@pytest.fixture(scope="module")
def company() -> Iterator[Sandbox]:
    """A small company, which the tests of a module share."""
    with Sandbox(rows=300) as sandbox:
        yield sandbox


@pytest.fixture
def environment(company: Sandbox) -> dict[str, str]:
    """The variables of somebody who has set the connection to it."""
    return variables(company)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with running_postgres() as server:
        yield server
