"""What the tests of the tap share."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def short_waits(quick: None) -> None:
    """A run within the process waits for no server."""
