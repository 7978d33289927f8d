"""target-duckdb 0.8.0, with a fixed CSV format, so that no row is lost.

target-duckdb passes its rows to DuckDB in CSV files and does not specify their format, so DuckDB
detects it. If it takes the first row for a header, the row is lost. If it detects the wrong quote
or escape character, strings change. All versions from DuckDB 1.1 on sometimes detect the wrong
format, mostly in small loads such as those of daily runs. The header is fixed upstream after 0.8.0
(pull request 58). Delete this file when that is released and the end-to-end tests pass without it.
"""

from typing import Any

import target_duckdb

DETECTED_FORMAT = r"WITH (new_line '\r\n')"
EXACT_FORMAT = (
    r"(FORMAT csv, AUTO_DETECT false, HEADER false, DELIMITER ',', "
    r"""QUOTE '"', ESCAPE '"', NEW_LINE '\r\n')"""
)


class Connection:
    """A DuckDB connection that specifies the format of the CSV files."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, query: str, *parameters: Any) -> Any:
        """Run one statement of the target."""
        return self._connection.execute(query.replace(DETECTED_FORMAT, EXACT_FORMAT), *parameters)


def main() -> None:
    """Run target-duckdb with these connections."""
    connect = target_duckdb.duckdb_connect
    target_duckdb.duckdb_connect = lambda config: Connection(connect(config))
    target_duckdb.main()
