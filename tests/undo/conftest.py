"""A Kafinea without records, and where its loads are noted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kafinea import Client
from kafinea_sandbox import Sandbox
from tests.undo.loads import client_of, small_company


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """One for all tests of a file: each has records of its own."""
    with small_company() as sandbox:
        yield sandbox


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[Client]:
    sandbox.faults.clear()
    sandbox.requests.clear()
    with client_of(sandbox) as client:
        yield client


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "undo.jsonl"


@pytest.fixture(autouse=True)
def short_waits(quick: None) -> None:
    """A run within the process waits for no server."""
