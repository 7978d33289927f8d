"""Progress of long work: a line on a terminal, else a line in the log every few seconds."""

from __future__ import annotations

import logging
import os
import sys
import time
from contextlib import suppress
from types import TracebackType

from typing_extensions import Self

from kafinea.shown import shown

_INTERVAL = 5  # seconds between two lines of the log
_BLINK = 0.1  # seconds between two drawings on a terminal
_BAR = 20  # characters
_LEFT_OF_LINE = "\r\x1b[2K"


class Progress:
    """Shows how many records are done, how many come in a second, and the time that is left.

    On a terminal that is a line which vanishes at the end, and gives way to lines of the log.

    Args:
        name: What they are, such as the name of their module.
        total: How many records are expected.
        logger: Where to say so when there is no terminal, and at the end of long work.
    """

    def __init__(self, name: str, total: int, logger: logging.Logger) -> None:
        self._name = shown(name)
        self._total = total
        self._logger = logger
        self._count = 0
        self._began = self._shown_at = time.monotonic()
        self._logged: int | None = None  # how many were done when it was last logged
        self._on_terminal = is_terminal()
        self._handlers: list[logging.Handler] = []

    def __enter__(self) -> Self:
        if self._on_terminal:
            self._handlers = list(logging.getLogger().handlers)
            for handler in self._handlers:
                handler.addFilter(erased)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        erase()
        for handler in self._handlers:
            handler.removeFilter(erased)
        is_long = self._logged is not None or (self._on_terminal and self._seconds() >= _INTERVAL)
        if is_long and self._logged != self._count:
            self._log()

    def advance(self, records: int) -> None:
        """Add records that are done."""
        self._count += records
        now = time.monotonic()
        if now - self._shown_at < (_BLINK if self._on_terminal else _INTERVAL):
            return
        self._shown_at = now
        if self._on_terminal:
            self._draw()
        else:
            self._log()

    def _log(self) -> None:
        self._logged = self._count
        self._logger.info("%s %s", self._name, ", ".join(self._parts()))

    def _draw(self) -> None:
        share = min(1.0, self._count / self._total) if self._total else 1.0
        done = round(_BAR * share)
        bar = f"[{'#' * done}{'-' * (_BAR - done)}]"
        text = "  ".join([self._name, bar, f"{share:.0%}", *self._parts()])
        draw(text)

    def _parts(self) -> list[str]:
        """Return what to say: `1,200 of 5,000`, `300/s` and `13 s left`."""
        rate = self._count / max(self._seconds(), 0.001)
        missing = self._total - self._count
        left = [f"{duration(max(missing / rate, 1))} left"] if missing > 0 and rate else []
        return [f"{self._count:,} of {self._total:,}", f"{rate:,.0f}/s", *left]

    def _seconds(self) -> float:
        return time.monotonic() - self._began


def duration(seconds: float) -> str:
    """Return a duration as text, in two units at most."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 1:
        return f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes} min" if hours else f"{minutes} min {rest} s"


def is_terminal() -> bool:
    """Whether the standard error, where progress is shown, is a terminal."""
    return sys.stderr is not None and sys.stderr.isatty()


def width() -> int:
    """Return how many characters a line of the terminal has."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80
    except (OSError, ValueError):
        return 80


_drawn = False


def draw(text: str) -> None:
    """Show a line on the terminal in place of the one before."""
    global _drawn  # noqa: PLW0603 a process has one terminal
    _drawn = True
    write(_LEFT_OF_LINE + text[: width() - 1])


def erase() -> None:
    """Take the line away, for other lines."""
    global _drawn  # noqa: PLW0603 as above
    if _drawn:
        _drawn = False
        write(_LEFT_OF_LINE)


def erased(_: logging.LogRecord) -> bool:
    """Let a line of the log pass, as a filter of a handler, when it has room."""
    erase()
    return True


def write(text: str) -> None:
    """Write to the terminal. If it was closed, or a signal came while it is written to, do not."""
    with suppress(OSError, ValueError, RuntimeError):
        sys.stderr.write(text)
        sys.stderr.flush()
