"""The ids file: the Kafinea id of each record of the input, for the warehouse that it came from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from kafinea import private
from kafinea.errors import SettingsError, StorageError
from kafinea.load.reporting.json_lines import (
    JsonLinesFile,
    cannot_write,
    is_to_be_regular,
    refuse_other_file,
)
from kafinea.load.results import Result

_SETTING = "ids_path"


class IdsFile:
    """The ids file of one run. It takes the place of an earlier one when all is loaded.

    Until then, its lines are in a file `.part`. So whoever reads it finds a whole load.

    Args:
        path: Where it is.

    Raises:
        SettingsError: What is there cannot be replaced.
        StorageError: It cannot be written, or another run is writing it.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(os.path.realpath(path))
        self._part = self._path.with_name(f"{self._path.name}.part")
        try:
            private.refuse_planted(Path(path))
            if not is_to_be_regular(path):
                raise SettingsError(f"`{_SETTING}` {path!r} must be a file, which a run replaces.")
            refuse_other_file(path, _SETTING, b'{"stream":')
            self._lines = JsonLinesFile(self._part, _SETTING, path)
            if not self._lines.lock():
                self._lines.close()
                raise StorageError(
                    f"`{_SETTING}` {path!r} is in use by another run. Wait for its end, or set "
                    "another path."
                )
            os.truncate(self._part, 0)  # what a run has left that broke off
        except OSError as error:
            raise cannot_write(_SETTING, path, error) from None

    def write(self, stream: str, key: Mapping[str, Any], result: Result) -> None:
        """Append the id of a record.

        Args:
            stream: The stream's name.
            key: What the source knows the record by.
            result: Its result.

        Raises:
            StorageError: It cannot be written.
        """
        self._lines.write(
            {
                "stream": stream,
                "key": key,
                "id": result.id,
                "outcome": result.status.value,
                "loaded_at": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
            }
        )

    def close(self, *, is_complete: bool) -> None:
        """Let the file take its place.

        Args:
            is_complete: Whether the input was read to its end. If not, only the `.part` is there.

        Raises:
            StorageError: It cannot.
        """
        try:
            self._lines.sync()
            if is_complete:
                self._part.replace(self._path)
        except OSError as error:
            raise StorageError(
                f"`{_SETTING}` cannot be written: {error.strerror}. The ids are in {self._part}."
            ) from None
        finally:
            self._lines.close()
