"""The load report: a file with one line of JSON for each record, with its result."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from kafinea.load.reporting.json_lines import JsonLinesFile
from kafinea.load.results import Result


class ResultsFile:
    """The load report. Each run appends to it.

    Args:
        path: Where it is.
        run: The id of the run, in each line.
        with_values: Whether it shows the old and new values of changed fields.
        dry_run: Whether nothing is written to Kafinea; each line says so.

    Raises:
        StorageError: It cannot be written.
    """

    def __init__(self, path: str, run: str, *, with_values: bool, dry_run: bool) -> None:
        self._lines = JsonLinesFile(path, "outcomes_path")
        self._run = run
        self._with_values = with_values
        self._dry_run = dry_run

    def write(self, stream: str, key: Mapping[str, Any], result: Result) -> None:
        """Append the result of a record.

        Args:
            stream: The stream's name.
            key: The names and values that the record was looked for by.
            result: Its result.

        Raises:
            StorageError: It cannot be written.
        """
        line: dict[str, Any] = {
            "time": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
            "run": self._run,
            "stream": stream,
            "key": key,
            "id": result.id,
            "outcome": result.status.value,
            "changed": sorted(result.changed),
        }
        if self._dry_run:
            line["dry_run"] = True
        if result.matched_on:
            line["matched_on"] = list(result.matched_on)
        if result.altered:
            line["altered"] = sorted(result.altered)
        if result.also_changed:
            line["also_changed"] = sorted(result.also_changed)
        if result.rejection:
            line |= {"code": result.rejection.code, "message": result.rejection.message}
        if self._with_values and result.rejection and result.rejection.conflict:
            line["conflict"] = result.rejection.conflict
        if self._with_values and result.before:
            shown = {*result.changed, *result.also_changed} or result.before.keys()
            line["before"] = {k: v for k, v in result.before.items() if k in shown}
        if self._with_values and result.after:
            line["after"] = dict(result.after)
        self._lines.write(line)

    def close(self) -> None:
        """Close the file."""
        self._lines.close()
