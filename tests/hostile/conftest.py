"""No test of this folder waits between two tries."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr("kafinea.retry.LONGEST_WAIT", 0)
    monkeypatch.setattr("kafinea.login._SPREAD", (0, 0))
    monkeypatch.setattr("backoff._sync.time.sleep", lambda _: None)
