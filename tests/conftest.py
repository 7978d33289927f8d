"""What the tests share: sandboxes to talk to, and clients that talk to them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import cache
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, settings
from singer_sdk import plugin_base

from kafinea import Client
from kafinea_sandbox import Sandbox

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# No test depends on how fast the machine is.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")

# For `make mutants`: the same examples each time, and no time spent on making them smaller.
settings.register_profile(
    "mutants",
    settings.get_profile("any machine"),
    derandomize=True,
    max_examples=50,
    phases=(Phase.explicit, Phase.generate),
)

# In each run, the SDK parses the description of two installed packages to log their versions.
plugin_base.get_package_version = cache(plugin_base.get_package_version)

DIALECTS = ("kafinea", "stock", "frevo", "corebos", "legacy")


@pytest.fixture(params=DIALECTS)
def any_sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """A small company on each kind of server."""
    with Sandbox(dialect=request.param, rows=300) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A small company on a Kafinea."""
    with Sandbox(rows=300) as sandbox:
        yield sandbox


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[Client]:
    with connect(sandbox) as client:
        yield client


@pytest.fixture
def any_client(any_sandbox: Sandbox) -> Iterator[Client]:
    with connect(any_sandbox) as client:
        yield client


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from tests.browser import chromium, launched  # noqa: PLC0415 few tests need it

    if chromium() is None:
        pytest.skip("This machine has no Chromium. On Debian: apt-get install chromium")
    with launched() as browser:
        yield browser


def connect(sandbox: Sandbox, **options) -> Client:
    return Client(sandbox.url, sandbox.username, sandbox.access_key, **options)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits between tries are a fiftieth of what they are for users."""
    hurried = SimpleNamespace(sleep=lambda seconds: time.sleep(seconds / 50))
    monkeypatch.setattr("backoff._sync.time", hurried)
    monkeypatch.setattr("kafinea.retry._FIRST_WAIT", 0.01)
    monkeypatch.setattr("kafinea.login._SPREAD", (0.004, 0.016))
