"""The dlt source of this project, into DuckDB.

python -m benchmarks.rivals.dlt_kafinea CONFIG duckdb
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import dlt

from dlt_kafinea import kafinea_source

if __name__ == "__main__":
    path = Path(sys.argv[1])
    config, directory = json.loads(path.read_text()), path.parent
    pipeline = dlt.pipeline(
        pipeline_name="bench",
        pipelines_dir=f"{directory}/pipelines",
        destination=dlt.destinations.duckdb(f"{directory}/warehouse.duckdb"),
        dataset_name="kafinea",
    )
    module = config.pop("module")
    pipeline.run(kafinea_source(**config, modules=[module], timezone="UTC"))
