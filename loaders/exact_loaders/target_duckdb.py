"""The command `target-duckdb-exact` and its settings."""

from __future__ import annotations

from typing_extensions import override

from exact_loaders.duckdb_database import DuckDB
from exact_loaders.target import SCHEMA, ExactTarget, main, settings


class TargetDuckDB(ExactTarget):
    """Singer target for DuckDB."""

    name = "target-duckdb-exact"
    package_name = "singer-exact-loaders"
    config_jsonschema = settings(
        {
            "path": {
                "type": "string",
                "title": "File",
                "description": "The DuckDB file, such as warehouse.duckdb. It is created if it "
                "does not exist",
            }
        },
        required=["path"],
        default_schema="main",
    )

    @override
    def open_database(self) -> DuckDB:
        return DuckDB(self.config["path"], self.config[SCHEMA])


def run() -> None:
    """Run the command."""
    main(TargetDuckDB)
