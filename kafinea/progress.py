"""Progress of long work: a bar on a terminal, else a line in the log every few seconds."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from logging import Logger
from types import TracebackType
from typing import Any

import click
from typing_extensions import Self

from kafinea.shown import shown

_INTERVAL = 5  # seconds


class Progress:
    """Shows how many records are done.

    Args:
        name: What they are, such as the name of their module.
        total: How many records are expected.
        logger: Where to say so when there is no terminal.
    """

    def __init__(self, name: str, total: int, logger: Logger) -> None:
        self._name = shown(name)
        self._total = total
        self._logger = logger
        self._count = 0
        self._began = self._logged_at = time.monotonic()
        self._stack = ExitStack()
        self._bar: Any = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            self._bar = self._stack.enter_context(
                click.progressbar(
                    length=self._total, label=self._name, file=sys.stderr, show_pos=True
                )
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()
        if self._bar is None and self._count:
            self._say()

    def advance(self, records: int) -> None:
        """Add records that are done."""
        self._count += records
        if self._bar is not None:
            self._bar.update(records)
        elif time.monotonic() - self._logged_at >= _INTERVAL:
            self._say()

    def _say(self) -> None:
        self._logged_at = time.monotonic()
        rate = self._count / max(self._logged_at - self._began, 0.001)
        self._logger.info(
            "%s %s of %s, %s/s", self._name, *map(_grouped, (self._count, self._total, rate))
        )


def _grouped(number: float) -> str:
    return f"{number:,.0f}"
