"""The SDK's standard tests of a target, with DuckDB."""

from __future__ import annotations

import atexit
from tempfile import TemporaryDirectory

import pytest
from exact_loaders.errors import LoaderError
from exact_loaders.target_duckdb import TargetDuckDB
from singer_sdk.exceptions import MissingKeyPropertiesError, RecordsWithoutSchemaException
from singer_sdk.testing import get_target_test_class, target_tests

_directory = TemporaryDirectory()
atexit.register(_directory.cleanup)


@pytest.fixture(autouse=True)
def own_errors(monkeypatch):
    """The loader reports both with an error of its own, which is one line for users."""
    for name in (MissingKeyPropertiesError.__name__, RecordsWithoutSchemaException.__name__):
        monkeypatch.setattr(target_tests, name, LoaderError)


TestTargetDuckDB = get_target_test_class(
    TargetDuckDB,
    config={"path": f"{_directory.name}/warehouse.duckdb", "default_target_schema": "standard"},
)
