"""No test of this folder waits between two tries."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest


@pytest.fixture(autouse=True)
def waits(monkeypatch, caplog):
    """No waits between tries; how long they would be at most. They are not logged."""
    waits = []
    caplog.set_level(logging.INFO, "backoff")
    monkeypatch.setattr("backoff._sync.time", SimpleNamespace(sleep=waits.append))
    monkeypatch.setattr("backoff._jitter.random", SimpleNamespace(uniform=max))
    yield waits
    assert not [one for one in caplog.get_records("call") if one.name == "backoff"]
