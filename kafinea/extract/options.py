"""How to extract."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from kafinea.errors import SettingsError

_LONGEST_LOOKBACK = 315_360_000  # seconds


@dataclass(frozen=True)
class Options:
    """How to extract.

    Attributes:
        page_size: The most records to request at a time; servers give 100 or 1,000 at most.
        lookback: Seconds before the bookmark to read again, for records that were saved late.
        start: Without a checkpoint, only records modified since. A moment without an offset is in
            the `timezone` of the extraction.
        end: Only records modified before; the same holds for its offset.

    Raises:
        SettingsError: A value cannot be used.
    """

    page_size: int = 1000
    lookback: float = 60
    start: datetime | None = None
    end: datetime | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.page_size, int) or self.page_size < 1:
            raise SettingsError(
                f"`page_size` is {self.page_size!r}. Set it to a whole number, 1 or more."
            )
        is_number = isinstance(self.lookback, (int, float))
        if not is_number or not 0 <= self.lookback <= _LONGEST_LOOKBACK:
            raise SettingsError(
                f"`lookback` is {self.lookback!r}. Set it to a number of seconds, from 0 to "
                f"{_LONGEST_LOOKBACK:,} (10 years)."
            )
        for name, value in (("start", self.start), ("end", self.end)):
            if value is not None and not isinstance(value, datetime):
                raise SettingsError(
                    f"`{name}` is {value!r}. Set it to a datetime, such as datetime(2026, 1, 31)."
                )
