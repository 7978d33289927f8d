"""What a run reports: the log, the load report and the rejects file."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import combinations
from logging import Logger
from threading import Lock
from typing import Any
from uuid import uuid4

from kafinea import Client
from kafinea.errors import FatalError, SettingsError
from kafinea.load import Result, Status
from kafinea.load.reporting.counts import Counts
from kafinea.load.reporting.ids_file import IdsFile
from kafinea.load.reporting.json_lines import is_same_file, is_stdout
from kafinea.load.reporting.results_file import ResultsFile
from singer_kafinea.summary import REQUESTS, SECONDS, Summary
from target_kafinea.rejects_file import Message, RejectsFile

_INTERVAL = 5  # seconds between two lines of the log that say how far a stream is


class Report:
    """Reports the results of a run. Threads may share it.

    Args:
        config: The settings of the target.
        logger: Where to log.
        client: What sends the requests, and counts them.

    Attributes:
        counts: The results, counted.

    Raises:
        StorageError: A file cannot be written.
    """

    def __init__(self, config: Mapping[str, Any], logger: Logger, client: Client) -> None:
        self._logger = logger
        self._client = client
        self._modules: dict[str, str] = {}  # by stream
        self._seconds: defaultdict[str, float] = defaultdict(float)  # by stream
        self._current = ""  # the stream of the last result
        self._dry_run: bool = config["dry_run"]
        results, rejects = config.get("outcomes_path"), config.get("rejects_path")
        self._paths = {"outcomes_path": results, "rejects_path": rejects}
        others = {name: config.get(name) for name in ("undo_path", "ids_path", "plan_path")}
        _check_different({**self._paths, **others})
        run = uuid4().hex
        with_values: bool = config["outcomes_values"]
        self._results = (
            ResultsFile(results, run, with_values=with_values, dry_run=self._dry_run)
            if results
            else None
        )
        self._rejects: RejectsFile | None = None
        self._ids: IdsFile | None = None
        try:
            self._rejects = RejectsFile(rejects, run) if rejects else None
            if (ids := config.get("ids_path")) and not self._dry_run:
                self._ids = IdsFile(ids)
        except FatalError:
            self._close_files(is_complete=False)
            raise
        self.counts = Counts(config["max_rejects"], rejects, config["max_rejects_percent"])
        self._lock = Lock()
        self._began = self._logged_at = time.monotonic()
        self._is_closed = False
        if self._dry_run:
            logger.info("This is a dry run: nothing will be written to Kafinea.")

    def begin(self, stream: str, module: str) -> None:
        """Take note of the module into which a stream is loaded."""
        self._modules[stream] = module

    @contextmanager
    def timing(self, stream: str) -> Iterator[None]:
        """Count the time of a block as that of a stream."""
        began = time.monotonic()
        try:
            yield
        finally:
            self._seconds[stream] += time.monotonic() - began

    def add(
        self,
        stream: str,
        key: Mapping[str, Any],
        result: Result,
        *,
        schema: Message,
        record: Message | None,
        line: int,
        source_key: Mapping[str, Any] | None = None,
    ) -> None:
        """Report the result of a record.

        Args:
            stream: The stream's name.
            key: The names and values that the record was looked for by.
            result: Its result.
            schema: The SCHEMA message of its stream, as it came.
            record: Its RECORD message, as it came; None if the input does not contain it.
            line: The line of the input that it stood in.
            source_key: What the source knows it by, besides; None if it has no id in Kafinea.

        Raises:
            StorageError: It cannot be written down.
        """
        with self._lock:
            self._current = stream
            self.counts.add(stream, result)
            if time.monotonic() - self._logged_at >= _INTERVAL:
                self._log_counts(stream)
            if self._results:
                self._results.write(stream, key, result)
            if self._ids and source_key is not None and (known := {**key, **source_key}):
                self._ids.write(stream, known, result)
            if result.rejection and self._rejects and record is not None:
                self._rejects.write(result.rejection, schema, record)
        if result.rejection:
            self._logger.warning(
                "%s, %s rejected: %s (%s)",
                stream,
                f"line {line:,} of the input" if record else f"{result.id} missing in the input",
                result.rejection.message,
                result.rejection.code,
            )
        if result.altered:
            self._logger.warning(
                "%s %s: the server stored other values than those sent in %s.",
                stream,
                result.id,
                ", ".join(result.altered),
            )

    @property
    def on_stdout(self) -> str | None:
        """The setting that has a file on the standard output, where states are too."""
        return next((name for name, path in self._paths.items() if path and is_stdout(path)), None)

    def close(self, *, is_complete: bool) -> None:
        """Show what was counted for each stream, and close the files.

        Args:
            is_complete: Whether the input was read to its end.

        Raises:
            StorageError: The rejects cannot take their place.
        """
        if self._is_closed:
            return
        self._is_closed = True
        if is_complete or self._current:
            self._summary(is_complete=is_complete).show(self._logger)
        if self._dry_run:
            self._logger.info("End of the dry run: nothing was written to Kafinea.")
        self._close_files(is_complete=is_complete)

    def _close_files(self, *, is_complete: bool) -> None:
        if self._results:
            self._results.close()
        if self._rejects:
            self._rejects.close(is_complete=is_complete)
            if renamed_to := self._rejects.renamed_to:
                self._logger.info(
                    "The rejects file of an earlier run was renamed to %s.", renamed_to
                )
        if self._ids:
            self._ids.close(is_complete=is_complete)

    def _log_counts(self, stream: str) -> None:
        self._logged_at = time.monotonic()
        self._logger.info("%s%s: %s", self._prefix, stream, self.counts.text(stream))

    @property
    def _prefix(self) -> str:
        return "dry run: " if self._dry_run else ""

    def _summary(self, *, is_complete: bool) -> Summary:
        columns = [status.value for status in Status]
        # The requests of a module are those of the first stream that is loaded into it.
        modules = {module: stream for stream, module in reversed(self._modules.items())}
        requests = {stream: self._client.requests.of(module) for module, stream in modules.items()}
        streams = {
            stream: {
                **self.counts.of(stream),
                **({REQUESTS: requests[stream]} if stream in requests else {}),
                SECONDS: self._seconds[stream],
            }
            for stream in self.counts
        }
        return Summary(
            columns=columns,
            streams=streams,
            requests=self._client.requests_sent,
            seconds=time.monotonic() - self._began,
            incomplete=frozenset() if is_complete else frozenset({self._current}),
            brief=columns,
            prefix=self._prefix,
            operations=self._client.requests.by_operation(),
            server_seconds=self._client.requests.seconds,
        )


def _check_different(paths: Mapping[str, str | None]) -> None:
    """Refuse two settings that have the same file."""
    for (one, path), (other, other_path) in combinations(paths.items(), 2):
        if path and other_path and is_same_file(path, other_path):
            raise SettingsError(
                f"`{one}` (TARGET_KAFINEA_{one.upper()}) and `{other}` "
                f"(TARGET_KAFINEA_{other.upper()}) are the same file. Set two different paths."
            )
