"""The summary of a run: which numbers it has, and how they are shown.

A terminal shows a table, a log one line for each stream, and a log of JSON one line with all.
"""

from __future__ import annotations

import logging
import os
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from singer_sdk import metrics
from singer_sdk.logging import StructuredFormatter

from kafinea import progress
from kafinea.shown import shown
from singer_kafinea.logs import Figures

Numbers = Mapping[str, float]
"""The numbers of a stream by column; a column that does not apply is missing."""

REQUESTS, SECONDS = "requests", "seconds"

_OTHERS = "Other requests"
_UNITS = {SECONDS: "s"}
_SHORTEST_NAME = 14


@dataclass(frozen=True)
class Summary:
    """What a run has done.

    Attributes:
        columns: What is counted for each stream, besides `requests` and `seconds`.
        streams: The numbers of each stream, in the order in which they are shown.
        requests: How many requests were sent in all.
        seconds: How long the run took.
        incomplete: The streams of which not all was done.
        brief: The columns that the text of a line of JSON has.
        prefix: What each line of the log begins with.
        operations: How many requests of each operation were sent.
        server_seconds: How long the server took to answer them.
    """

    columns: Sequence[str]
    streams: Mapping[str, Numbers]
    requests: int
    seconds: float
    incomplete: frozenset[str] = frozenset()
    brief: Sequence[str] = ()
    prefix: str = ""
    operations: Mapping[str, int] = field(default_factory=dict)
    server_seconds: float = 0

    def show(self, logger: logging.Logger) -> None:
        """Show the summary where the log goes, and log the requests as metrics of the SDK.

        Args:
            logger: That of the command.
        """
        for stream, numbers in self.streams.items():
            _log_metric(stream, numbers)
        if not logger.isEnabledFor(logging.INFO):
            return
        if _is_json(logger):
            logger.info("%s%s", self.prefix, self._text(), extra={"summary": self._figures()})
        elif progress.is_terminal() and "SINGER_SDK_LOG_CONFIG" not in os.environ:
            progress.erase()
            width = progress.width()
            cost = textwrap.wrap(self._cost(), width - 1)
            progress.write("\n".join(["", *self.table(width), *cost, "", ""]))
            return
        else:
            for line in self._lines():
                logger.info("%s%s", self.prefix, line)
        logger.info("%s%s", self.prefix, self._cost())

    def _cost(self) -> str:
        """Return what the run cost the server, such as `Server: 9 requests (query 7, login 2)`."""
        logins = self.requests - sum(self.operations.values())
        operations = {**self.operations, **({"login": logins} if logins > 0 else {})}
        counted = ", ".join(f"{name} {count:,}" for name, count in operations.items())
        of = f" ({counted})" if counted else ""
        return f"Server: {self.requests:,} requests{of}, {self.server_seconds:,.1f} s."

    @property
    def _total(self) -> dict[str, float]:
        sums = {
            column: sum(numbers.get(column, 0) for numbers in self.streams.values())
            for column in self.columns
        }
        return {**sums, REQUESTS: self.requests, SECONDS: self.seconds}

    # A log of text

    def _lines(self) -> list[str]:
        columns = [*self.columns, REQUESTS, SECONDS]
        lines = [
            f"{self._name(stream)}: {_counted(numbers, columns)}"
            for stream, numbers in self.streams.items()
        ]
        return [*lines, f"Total of {self._count()}: {_counted(self._total, columns)}"]

    def _count(self) -> str:
        count = len(self.streams)
        return f"{count:,} stream{'s' * (count != 1)}"

    def _name(self, stream: str) -> str:
        return f"{shown(stream)} (not complete)" if stream in self.incomplete else shown(stream)

    # A log of JSON

    def _text(self) -> str:
        """Return the numbers in one line, which has no zeros where there are many streams."""
        total = _counted(self._total, [*self.brief, REQUESTS, SECONDS])
        if len(self.streams) == 1:
            return f"{self._name(next(iter(self.streams)))}: {total}"
        found = {
            stream: _counted({name: number for name, number in row.items() if number}, self.brief)
            for stream, row in self.streams.items()
        }
        texts = [
            f"{self._name(stream)}: {text or 'no records'}"
            for stream, text in found.items()
            if text or stream in self.incomplete
        ]
        return "; ".join([f"{self._count()}: {total}", *texts])

    def _figures(self) -> Figures:
        streams = {
            shown(stream): Figures(
                _rounded(numbers) | {"is_complete": stream not in self.incomplete}
            )
            for stream, numbers in self.streams.items()
        }
        return Figures(
            streams=Figures(streams),
            total=Figures(_rounded(self._total)),
            operations=Figures(self.operations),
            server_seconds=round(self.server_seconds, 3),
        )

    # A terminal

    def table(self, width: int) -> list[str]:
        """Return the lines of a table for a terminal.

        Args:
            width: The characters of a line.
        """
        columns = [*self.columns, REQUESTS, SECONDS]
        others = self.requests - sum(int(row.get(REQUESTS, 0)) for row in self.streams.values())
        rows = [(self._name(stream), row) for stream, row in self.streams.items()]
        rows += [(_OTHERS, {REQUESTS: others})] if others else []
        rows += [("Total", self._total)]
        cells = [[_number(row, column) for column in columns] for _, row in rows]
        widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
        names = ["Stream", *(name for name, _ in rows)]
        longest = max(map(len, names))
        room = width - 1 - sum(widths)
        gap = 2 if room - 2 * len(widths) >= min(longest, _SHORTEST_NAME) else 1
        name_width = max(min(longest, room - gap * len(widths)), 1)
        lines = [
            (" " * gap).join(
                [
                    _cut(name, name_width).ljust(name_width),
                    *(text.rjust(size) for text, size in zip(row, widths, strict=True)),
                ]
            )
            for name, row in zip(names, [columns, *cells], strict=True)
        ]
        rule = "-" * len(lines[0])
        return [_bold(lines[0]), rule, *lines[1:-1], rule, _bold(lines[-1])]


def _counted(numbers: Numbers, columns: Sequence[str]) -> str:
    """Return numbers as text, such as `3 counted, 3 received, 0.2 s`."""
    return ", ".join(
        f"{_number(numbers, column)} {_UNITS.get(column, column)}"
        for column in columns
        if column in numbers
    )


def _number(numbers: Numbers, column: str) -> str:
    if column not in numbers:
        return ""
    return f"{numbers[column]:,.1f}" if column == SECONDS else f"{numbers[column]:,.0f}"


def _rounded(numbers: Numbers) -> dict[str, float]:
    return {name: round(n, 3) if name == SECONDS else n for name, n in numbers.items()}


def _cut(name: str, longest: int) -> str:
    return name if len(name) <= longest else f"{name[: longest - 1]}…"


def _bold(text: str) -> str:
    return text if "NO_COLOR" in os.environ else f"\x1b[1m{text}\x1b[0m"


def _is_json(logger: logging.Logger) -> bool:
    handlers = [*logger.handlers, *logging.getLogger().handlers]
    return any(
        isinstance(handler.formatter, StructuredFormatter)
        or "json" in type(handler.formatter).__name__.lower()
        for handler in handlers
    )


def _log_metric(stream: str, numbers: Numbers) -> None:
    if REQUESTS in numbers:
        metric, tags = metrics.Metric.HTTP_REQUEST_COUNT, {metrics.Tag.STREAM.value: stream}
        point = metrics.Point("counter", metric, int(numbers[REQUESTS]), tags)
        metrics.log(metrics.get_metrics_logger(), point)
