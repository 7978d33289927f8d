"""dlt's rest_api source, to JSON lines in a directory, or into DuckDB.

python -m benchmarks.rivals.dlt_source CONFIG [duckdb]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import dlt
import requests
from dlt.sources.helpers.requests import Request, Response
from dlt.sources.helpers.rest_client.paginators import BasePaginator
from dlt.sources.rest_api import rest_api_source

from benchmarks.rivals.login import login


class QueryPaginator(BasePaginator):  # type: ignore[misc]  # dlt is not in .venv
    """The offset stands in the query, not in a parameter of its own."""

    def __init__(self, module: str) -> None:
        super().__init__()
        self._module, self._offset = module, 0

    def init_request(self, request: Request) -> None:
        """Ask for the first page."""
        self.update_request(request)

    def update_request(self, request: Request) -> None:
        """Ask for the next page."""
        request.params["query"] = (
            f"SELECT * FROM {self._module} ORDER BY id LIMIT {self._offset},100;"
        )

    def update_state(self, response: Response, data: list[Any] | None = None) -> None:  # noqa: ARG002 as dlt calls it
        """End with an empty page."""
        self._offset += 100
        self._has_next_page = bool(data)


if __name__ == "__main__":
    path = Path(sys.argv[1])
    config, directory = json.loads(path.read_text()), path.parent
    with requests.Session() as http:
        session = login(http, config)
    source = rest_api_source(
        {
            "client": {"base_url": config["url"]},
            "resources": [
                {
                    "name": config["module"],
                    "primary_key": "id",
                    "write_disposition": "merge",
                    "endpoint": {
                        "path": "webservice.php",
                        "params": {"operation": "query", "sessionName": session},
                        "paginator": QueryPaginator(config["module"]),
                        "data_selector": "result",
                    },
                }
            ],
        }
    )
    into_duckdb = sys.argv[2:] == ["duckdb"]
    pipeline = dlt.pipeline(
        pipeline_name="bench",
        pipelines_dir=f"{directory}/pipelines",
        destination=dlt.destinations.duckdb(f"{directory}/warehouse.duckdb")
        if into_duckdb
        else dlt.destinations.filesystem(f"{directory}/records"),
        dataset_name="kafinea",
    )
    pipeline.run(source, loader_file_format=None if into_duckdb else "jsonl")
