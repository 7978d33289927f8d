"""The rejects file (dead-letter file): Singer messages that can be corrected and loaded again."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from kafinea import private
from kafinea.errors import StorageError
from kafinea.load import Rejection
from kafinea.load.reporting.json_lines import (
    JsonLinesFile,
    cannot_write,
    end_whole,
    is_to_be_regular,
)

Message = Mapping[str, Any]
"""A Singer message."""

_NOT_RENAMED = {errno.EBUSY, errno.EXDEV}
"""A file that is itself a mount, as containers have it, can be written to but not renamed."""


class RejectsFile:
    """The rejects file. It takes its place when it is closed.

    So the rejects of an earlier run can be read as input while those of this run are written, and
    what is read does not grow meanwhile. An earlier file is renamed to the time when it was
    written. Where the path is a link, the rejects are appended to the file that it leads to.

    Args:
        path: Where it is.
        run: The id of the run.

    Attributes:
        renamed_to: Where the rejects of an earlier run are now, if there were any.

    Raises:
        StorageError: It cannot be written.
    """

    _SETTING = "rejects_path"

    def __init__(self, path: str, run: str) -> None:
        self._path = Path(path)
        self._real = Path(os.path.realpath(path))
        self._part: Path | None = None
        self._is_empty = True
        self._schemas: dict[str, Message] = {}
        self.renamed_to: Path | None = None
        try:
            private.refuse_planted(self._path)
            is_regular = is_to_be_regular(path)
            self._lines = self._open_part(run) if is_regular else JsonLinesFile(path, self._SETTING)
        except OSError as error:
            raise cannot_write(self._SETTING, path, error) from None

    def write(self, rejection: Rejection, schema: Message, record: Message) -> None:
        """Append a rejected record, after the schema of its stream.

        Args:
            rejection: Why it was rejected.
            schema: The SCHEMA message of its stream, as it came.
            record: Its RECORD message, as it came.

        Raises:
            StorageError: It cannot be written.
        """
        if self._schemas.get(schema["stream"]) != schema:
            self._lines.write(schema)
            self._schemas[schema["stream"]] = schema
        why = {"code": rejection.code, "message": rejection.message}
        values = {"before": rejection.before, "conflict": rejection.conflict}
        shown = {name: value for name, value in values.items() if value}
        self._lines.write({**record, **why, **shown})
        self._is_empty = False

    def close(self, *, is_complete: bool) -> None:
        """Let the file take its place.

        Args:
            is_complete: Whether the input was read to its end. If not, and nothing was rejected,
                what stands in its place stays: perhaps it is the input, and is to be loaded again.

        Raises:
            StorageError: It cannot.
        """
        if self._part is None:
            self._lines.close()
            return
        try:
            self._lines.sync()
            self._lines.close()
            if self._is_empty and not is_complete:
                self._part.unlink()
            elif self._path.is_symlink():
                self._append(self._part)
            else:
                self._replace(self._part)
        except OSError as error:
            raise StorageError(
                f"`{self._SETTING}` cannot be written: {error.strerror}. The rejected records are "
                f"in {self._part}."
            ) from None

    def _open_part(self, run: str) -> JsonLinesFile:
        """Open what becomes the file; a run that is at work with the same path has its own."""
        for suffix in ("part", f"{run}.part"):
            self._part = self._real.with_name(f"{self._real.name}.{suffix}")
            self._rescue(self._part)
            lines = JsonLinesFile(self._part, self._SETTING, self._path)
            if lines.lock():
                break
            lines.close()
        return lines

    def _rescue(self, part: Path) -> None:
        """Rename what a killed run has left."""
        if not os.path.lexists(part):
            return
        private.refuse_planted(part)
        with private.open_to_read(part) as left:
            is_left = private.lock(left)
        if is_left:
            end_whole(part)
            self._rename(part)

    def _replace(self, part: Path) -> None:
        try:
            self._rename(self._path)
            part.replace(self._path)
        except OSError as error:
            if error.errno not in _NOT_RENAMED:
                raise
            self._append(part)

    def _append(self, part: Path) -> None:
        lines = JsonLinesFile(self._path, self._SETTING)
        with part.open("rb") as rejects:
            for line in rejects:
                lines.write_line(line)
        lines.close()
        part.unlink()

    def _rename(self, path: Path) -> None:
        if path.exists() and path.stat().st_size:
            written = datetime.fromtimestamp(path.stat().st_mtime, timezone.utc)
            new = self._real.with_name(f"{self._real.name}.{written:%Y%m%dT%H%M%S%f}")
            path.replace(new)
            self.renamed_to = new
