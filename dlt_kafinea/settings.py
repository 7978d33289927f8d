"""The arguments of the source, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kafinea.errors import SettingsError
from kafinea.extract.options import Options
from kafinea.values import ServerZone


@dataclass(frozen=True)
class FileSettings:
    """The argument `files`; see `kafinea_source`."""

    enabled: bool = False
    path: str = "files"
    max_bytes: int | None = None


@dataclass(frozen=True)
class Settings:
    """The arguments of the source; see `kafinea_source`.

    Raises:
        SettingsError: One cannot be used.
    """

    url: str
    username: str
    access_key: str
    modules: Sequence[str]
    timezone: str | None
    start_date: str | None
    lookback_seconds: float
    page_size: int
    line_items: str
    relations: Any
    files: Mapping[str, Any]
    deletions: str
    deletions_path: str
    deletions_limit: float
    max_sessions: int
    request_timeout: float
    allow_http: bool

    def __post_init__(self) -> None:
        _check("line_items", self.line_items, ("embed", "table", "off"))
        _check("deletions", self.deletions, ("off", "scan", "sync"))
        _ = self.options, self.of_files

    @property
    def options(self) -> Options:
        """How to extract."""
        start = ServerZone(self.timezone).setting("start_date", self.start_date)
        return Options(page_size=self.page_size, lookback=self.lookback_seconds, start=start)

    @property
    def of_files(self) -> FileSettings:
        """Whether to download files, and where to."""
        try:
            return FileSettings(**self.files)
        except TypeError:
            raise SettingsError(
                f"`files` is {self.files!r}. Set it to a table with `enabled`, and if you want "
                "`path` and `max_bytes`."
            ) from None


def _check(name: str, value: Any, allowed: Sequence[str]) -> None:
    if value not in allowed:
        known = ", ".join(f'"{each}"' for each in allowed)
        raise SettingsError(f"`{name}` is {value!r}. Set it to one of {known}.")
