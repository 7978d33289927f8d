"""Empty servers to load records into."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kafinea_sandbox import Sandbox
from tests.target.running import empty

DIALECTS = ("kafinea", "stock", "legacy")


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A Kafinea without records."""
    with empty() as sandbox:
        yield sandbox


@pytest.fixture(params=DIALECTS)
def any_sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """One of each kind of server, without records."""
    with empty(dialect=request.param) as sandbox:
        yield sandbox


@pytest.fixture(autouse=True)
def short_waits(quick: None) -> None:
    """A run within the process waits for no server."""
