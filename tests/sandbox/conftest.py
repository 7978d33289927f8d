from __future__ import annotations

from collections.abc import Iterator

import pytest
from sandbox_api import Api, small_company

from kafinea_sandbox import Sandbox


@pytest.fixture(scope="module")
def stock() -> Iterator[Sandbox]:
    with Sandbox(dialect="stock", company=small_company()) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def api(stock: Sandbox) -> Api:
    return Api(stock)


@pytest.fixture
def fresh() -> Iterator[Sandbox]:
    """A server of one's own, to break or to change."""
    with Sandbox(dialect="stock", company=small_company()) as sandbox:
        yield sandbox


@pytest.fixture
def fresh_api(fresh: Sandbox) -> Api:
    return Api(fresh)
