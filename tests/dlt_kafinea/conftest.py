"""dlt's destinations, each on this machine. These tests run in `.venv-dlt`."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import pytest

from kafinea_sandbox import Sandbox
from tests.dlt_kafinea.bigquery import PROJECT, emulator
from tests.e2e.postgres import postgres as running_postgres

if importlib.util.find_spec("dlt") is None:  # in .venv
    collect_ignore_glob = ["test_*.py"]

ZONE = "Europe/Paris"
OLD = "2020-01-01 00:00:00"


class Warehouse:
    """A pipeline into a destination."""

    keeps_deleted = False
    """Whether deleted rows stay, with `_deleted`."""
    only_appends = False
    """Whether a changed row is one more row."""
    adds_columns = True
    """Whether a table gets a new column together with changed rows."""
    has_lists = False
    nul = "\0"
    run_options: ClassVar[dict[str, Any]] = {}

    def __init__(self, directory):
        self.directory = directory

    def destination(self):
        raise NotImplementedError

    def table(self, name) -> list[dict[str, Any]]:
        raise NotImplementedError

    def pipeline(self, name="kafinea", directory="pipelines"):
        import dlt

        return dlt.pipeline(
            name,
            destination=self.destination(),
            dataset_name="kafinea",
            pipelines_dir=str(self.directory / directory),
        )

    def run(self, source, **options):
        return self.pipeline().run(source, **self.run_options | options)

    def rows(self, name) -> list[dict[str, Any]]:
        """The rows that are valid: for files that are only appended to, those loaded last."""
        rows = self.table(name)
        if self.only_appends:
            key = ("document_id", "line_number") if name.endswith("_line_items") else ("id",)
            rows = [*{tuple(row[part] for part in key): row for row in rows}.values()]
        return [row for row in rows if not row.get("_deleted")]


class DuckDB(Warehouse):
    def destination(self):
        import dlt

        return dlt.destinations.duckdb(str(self.directory / "warehouse.duckdb"))

    def sql(self, text):
        import duckdb

        with duckdb.connect(self.directory / "warehouse.duckdb") as connection:
            connection.execute("SET TimeZone = 'UTC'")
            cursor = connection.execute(text)
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def table(self, name):
        return self.sql(f"SELECT * FROM kafinea.{name}")


class PostgreSQL(Warehouse):
    nul = "\N{REPLACEMENT CHARACTER}"

    def __init__(self, directory, database):
        super().__init__(directory)
        self.database = database

    def destination(self):
        import dlt

        return dlt.destinations.postgres(self.database.uri())

    def table(self, name):
        return self.database.rows(f"SELECT * FROM kafinea.{name}")


class Parquet(Warehouse):
    has_lists = only_appends = keeps_deleted = True
    run_options: ClassVar = {"loader_file_format": "parquet"}

    def destination(self):
        import dlt

        return dlt.destinations.filesystem(str(self.directory / "files"))

    def table(self, name):
        import pyarrow.parquet as pq

        folder = self.directory / "files" / "kafinea" / name
        return [row for file in sorted(folder.iterdir()) for row in pq.read_table(file).to_pylist()]


class Delta(Parquet):
    only_appends = keeps_deleted = False
    run_options: ClassVar = {"table_format": "delta"}

    def table(self, name):
        import pyarrow as pa
        from deltalake import DeltaTable, QueryBuilder

        table = DeltaTable(self.directory / "files" / "kafinea" / name)
        query = QueryBuilder().register("it", table)
        return pa.table(query.execute("SELECT * FROM it").read_all()).to_pylist()


class Iceberg(Parquet):
    only_appends = False
    adds_columns = False  # pyiceberg 0.12 compares them with rows of the schema before
    run_options: ClassVar = {"table_format": "iceberg"}

    def table(self, name):
        from dlt.common.libs.pyiceberg import get_iceberg_tables

        return get_iceberg_tables(self.pipeline())[name].scan().to_arrow().to_pylist()


class BigQuery(Warehouse):
    """The emulator. It does not unpack files, so they are not compressed."""

    def __init__(self, directory, address):
        super().__init__(directory)
        self.address = address

    def destination(self):
        import dlt
        from dlt.common.configuration.specs import GcpServiceAccountCredentials

        credentials = GcpServiceAccountCredentials()
        credentials.parse_native_representation(self._credentials())
        return dlt.destinations.bigquery(credentials=credentials)

    def run(self, source, **options):
        with _environment(
            BIGQUERY_EMULATOR_HOST=self.address,
            NORMALIZE__DATA_WRITER__DISABLE_COMPRESSION="true",
            DATA_WRITER__DISABLE_COMPRESSION="true",
        ):
            return super().run(source, **options)

    def table(self, name):
        from google.cloud import bigquery

        with _environment(BIGQUERY_EMULATOR_HOST=self.address):
            client = bigquery.Client(PROJECT, credentials=self._credentials())
            query = client.query(f"SELECT * FROM kafinea.{name}")
            return [dict(row) for row in query.result()]

    def _credentials(self):
        from google.oauth2.service_account import Credentials

        class Accepted(Credentials):
            """The emulator accepts any token."""

            def refresh(self, _):
                self.token = "token"

            def with_scopes(self, *_, **__):
                return self

        return Accepted(None, "user", self.address, project_id=PROJECT)


@pytest.fixture(scope="session")
def bigquery(tmp_path_factory):
    if sys.version_info < (3, 11):
        pytest.skip("The emulator needs Python 3.11.")
    with emulator(tmp_path_factory.mktemp("bigquery")) as address:
        yield address


@pytest.fixture(scope="session")
def postgres():
    with running_postgres() as server:
        yield server


@pytest.fixture(
    params=[
        *(DuckDB, PostgreSQL, Parquet, Delta, Iceberg),
        pytest.param(BigQuery, marks=pytest.mark.operate),  # its emulator takes a minute
    ],
    ids=lambda it: it.__name__,
)
def warehouse(request, tmp_path) -> Iterator[Warehouse]:
    """Each destination, empty."""
    if request.param is BigQuery:
        yield BigQuery(tmp_path, request.getfixturevalue("bigquery"))
    elif request.param is PostgreSQL:
        with request.getfixturevalue("postgres").fresh() as database:
            yield PostgreSQL(tmp_path, database)
    else:
        yield request.param(tmp_path)


@pytest.fixture
def duckdb_warehouse(tmp_path):
    return DuckDB(tmp_path)


@pytest.fixture
def sandbox():
    with Sandbox(rows=300, timezone=ZONE) as sandbox:
        yield sandbox


def source(sandbox, *modules, **options):
    from dlt_kafinea import kafinea_source

    where = {"url": sandbox.url, "username": sandbox.username, "access_key": sandbox.access_key}
    return kafinea_source(**where | {"modules": [*modules], "timezone": ZONE} | options)


@contextmanager
def _environment(**variables):
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


@pytest.fixture(autouse=True)
def short_waits(quick):
    """A run within the process waits for no server."""


@pytest.fixture(autouse=True, scope="session")
def quiet_dlt():
    """No telemetry, and no log."""
    with _environment(RUNTIME__DLTHUB_TELEMETRY="false", RUNTIME__LOG_LEVEL="ERROR"):
        yield
