"""How a command shows its results: a table on a terminal, JSON or CSV for other programs.

Rows are written as they come. JSON and CSV contain each value exactly. A table is for people: it
shows one line for each row, its texts cut to the width of the terminal, and no control characters.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property, wraps
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

from kafinea.shown import LONGEST_LINE, UNFIT, shown
from kafinea_cli.exact import csv_lines, csv_value, exact_json, json_lines

if TYPE_CHECKING:  # imported when used
    from rich.console import Console

Function = TypeVar("Function", bound=Callable[..., Any])
Row = Mapping[str, Any]

_MEASURED = 100
"""The rows by which the widths of the columns are chosen; the others are not known yet."""
_NARROWEST = 10
"""Characters to which texts may be cut. Where that takes too much, the last are left out."""
_GAP = 2
_LABEL = 24
"""Characters of a label beside a value on a terminal, and the fewest of the value."""
_ID = 12
_CELL = 60
"""Characters of a value that a terminal shows, if there are other columns."""


class Format(Enum):
    """The formats of results."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


@dataclass(frozen=True)
class Column:
    """A column of results.

    Attributes:
        name: The key of its values, also in JSON and CSV.
        title: The heading in a table; the name if empty.
        right: Whether it is aligned right, as numbers are.
        is_name: Whether its values are names, to write in other commands.
    """

    name: str
    title: str = ""
    right: bool = False
    is_name: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether part of a value would be wrong: another number, or no name at all."""
        return self.right or self.is_name or self.name == "id"


def output_options(function: Function) -> Function:
    """Add `--json` and `--csv` to a command, which gets `output`, an `Output`."""

    @click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
    @click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
    @wraps(function)
    def command(*arguments: Any, as_json: bool, as_csv: bool, **options: Any) -> Any:
        if as_json and as_csv:
            raise click.UsageError("Use either --json or --csv.")
        chosen = Format.JSON if as_json else Format.CSV if as_csv else Format.TABLE
        return function(*arguments, output=Output(chosen), **options)

    return command  # type: ignore[return-value]  # click looks at its options only


def json_option(function: Function) -> Function:
    """Add `--json` to a command without rows, which gets `output`, an `Output`."""

    @click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
    @wraps(function)
    def command(*arguments: Any, as_json: bool, **options: Any) -> Any:
        chosen = Format.JSON if as_json else Format.TABLE
        return function(*arguments, output=Output(chosen), **options)

    return command  # type: ignore[return-value]  # as above


class Output:
    """What a command writes to stdout.

    Attributes:
        format: How.
    """

    def __init__(self, chosen: Format) -> None:
        self.format = chosen

    def rows(self, rows: Iterable[Row], columns: Sequence[Column | str] | None = None) -> None:
        """Write rows as they come.

        Args:
            rows: The rows. A key that is missing is an empty value.
            columns: What to show of them; the keys of the first row if None. JSON contains all the
                keys of a row.
        """
        if columns is None:
            rows = iter(rows)
            first = list(islice(rows, 1))
            columns, rows = [*first[0]] if first else [], chain(first, rows)
            if not first and self.format is not Format.JSON:
                return
        shown_columns = [Column(c) if isinstance(c, str) else c for c in columns]
        if self.format is Format.JSON:
            self._binary(json_lines(rows))
        elif self.format is Format.CSV:
            self._binary(csv_lines(rows, [column.name for column in shown_columns]))
        else:
            self._table(rows, shown_columns)

    def document(self, value: Any) -> None:
        """Write one value as a JSON document."""
        self._binary([msgspec.json.format(exact_json(value), indent=2), b"\n"])

    def line(self, text: str = "", style: str = "") -> None:
        """Write a line for people.

        Args:
            text: The line.
            style: How it looks, in rich's words, such as `bold` or `green`.
        """
        self._put(shown(text, LONGEST_LINE), style)

    def pieces(self, *pieces: tuple[str, str]) -> None:
        """Write a line for people of several styles, cut where the terminal ends.

        Args:
            pieces: Each with how it looks, as of `line`.
        """
        from rich.text import Text  # noqa: PLC0415

        text = Text.assemble(*((shown(text, LONGEST_LINE), style) for text, style in pieces))
        if sys.stdout.isatty():
            text.truncate(self.console.width, overflow="ellipsis")
        self.console.print(text, soft_wrap=True)

    def marked(self, mark: str, style: str, name: str, text: str) -> None:
        """Write a line that begins with a mark and a name, broken where the terminal ends.

        Args:
            mark: One character.
            style: How the mark looks, such as `green`.
            name: The name, filled up with spaces.
            text: The text.
        """
        from rich.text import Text  # noqa: PLC0415

        head = f"  {name} "
        room = max(self.console.width - len(mark) - len(head), _LABEL)
        for line in self._lines(shown(text, LONGEST_LINE), room if sys.stdout.isatty() else None):
            self.console.print(Text.assemble((mark, style), head, line), soft_wrap=True)
            mark, style, head = " " * len(mark), "", " " * len(head)

    def values(self, values: Iterable[tuple[str, str, Any]]) -> None:
        """Write the values of one record, each whole.

        Args:
            values: The label, the name and the value of each.
        """
        known = list(values)
        columns = [Column("label"), Column("name")]
        rows = [{"label": label, "name": name} for label, name, _ in known]
        widths = _widths(columns, rows, None)
        room = None
        if sys.stdout.isatty():
            widths[0] = min(widths[0], _LABEL)
            room = max(self.console.width - _total(widths) - _GAP, _LABEL)
        for row, (_, _, value) in zip(rows, known, strict=True):
            heads = ((row[c.name], c, width) for c, width in zip(columns, widths, strict=True))
            head = _fitted(_joined(heads), _total(widths) + _GAP, right=False)
            for line in self._lines(_text(value), room):
                self._put(f"{head}{line}".rstrip())
                head = " " * (_total(widths) + _GAP)

    def _lines(self, text: str, room: int | None) -> Iterator[str]:
        """Yield the lines of a text, broken where they are longer than there is room."""
        from rich.text import Text  # noqa: PLC0415

        for line in text.splitlines() or [""]:
            whole = shown(line, len(line))
            if room is None:
                yield whole
            else:
                yield from (part.plain for part in Text(whole).wrap(self.console, room))

    @cached_property
    def console(self) -> Console:
        """The terminal. It has colours unless NO_COLOR is set or stdout is no terminal."""
        from rich.console import Console  # noqa: PLC0415

        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="replace")  # a terminal without Unicode
        return Console(highlight=False)

    def note(self, text: str) -> None:
        """Write a line on the results, which is none of them, to stderr."""
        click.echo(shown(text, LONGEST_LINE), err=True)

    def _put(self, text: str, style: str = "") -> None:
        """Write a line that contains no control characters."""
        if style:
            self.console.print(text, style=style, markup=False, soft_wrap=True)
        else:  # rich takes 20 times as long
            self.console.file.write(f"{text}\n")

    def _binary(self, pieces: Iterable[bytes]) -> None:
        stream, is_terminal = sys.stdout.buffer, sys.stdout.isatty()
        for piece in pieces:
            stream.write(_harmless(piece) if is_terminal else piece)
            stream.flush()

    def _table(self, rows: Iterable[Row], columns: Sequence[Column]) -> None:
        remaining = iter(rows)
        first = list(islice(remaining, _MEASURED))
        whole = not sys.stdout.isatty()
        room = None if whole else self.console.width
        placed = list(zip(columns, _widths(columns, first, room), strict=False))

        def line(texts: Iterable[str]) -> str:
            return _joined(
                (text, column, max(width, _cells(text)) if whole or column.is_whole else width)
                for text, (column, width) in zip(texts, placed, strict=True)
            )

        self._put(line(column.title or column.name for column, _ in placed), "bold")
        for row in chain(first, remaining):
            self._put(line(_cell(row.get(column.name)) for column, _ in placed))
        if left_out := len(columns) - len(placed):
            self.note(
                f"{left_out} of {len(columns)} columns are not shown: the terminal is too narrow. "
                "--json and --csv have all of them."
            )


def _harmless(piece: bytes) -> bytes:
    """Return lines without what would act on a terminal. JSON stays the same JSON."""
    lines = piece.decode("utf-8", "replace").split("\n")
    escaped = (UNFIT.sub(lambda match: json.dumps(match[0])[1:-1], line) for line in lines)
    return "\n".join(escaped).encode("utf-8", "replace")


def _cell(value: Any) -> str:
    return shown(_text(value))


def _text(value: Any) -> str:
    """Return a value for people."""
    if isinstance(value, (list, tuple)) and all(isinstance(entry, str) for entry in value):
        value = ", ".join(value)
    elif isinstance(value, bool):
        value = "yes" if value else "no"
    return csv_value(value)


def _cells(text: str) -> int:
    """Return how many characters of a terminal a text takes; a Chinese one takes two."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # noqa: PLC0415

    return cell_len(text)


def _joined(cells: Iterable[tuple[str, Column, int]]) -> str:
    """Return a line of a table: texts, each in a column of a width."""
    fitted = (_fitted(text, width, right=column.right) for text, column, width in cells)
    return (" " * _GAP).join(fitted).rstrip()


def _fitted(text: str, width: int, *, right: bool) -> str:
    size = _cells(text)
    if size > width:
        from rich.cells import set_cell_size  # noqa: PLC0415

        return set_cell_size(text, width - 1) + "…"
    space = " " * (width - size)
    return space + text if right else text + space


def _widths(columns: Sequence[Column], rows: Sequence[Row], room: int | None) -> list[int]:
    """Return the widths of the columns; of the first ones, where there is no room for all.

    Args:
        columns: The columns.
        rows: The first rows.
        room: The width of the terminal; None where there is no limit.
    """
    texts = [[c.title or c.name, *(_cell(row.get(c.name)) for row in rows)] for c in columns]
    natural = [max(map(_cells, of_column)) for of_column in texts]
    if room is None:
        return natural
    if len(natural) > 1:
        natural = [min(width, _CELL) for width in natural]
    # Later ids are longer, and half an id is of no use.
    natural = [max(n, _ID) if c.name == "id" else n for c, n in zip(columns, natural, strict=True)]
    least = [
        width if column.is_whole else min(width, _NARROWEST)
        for column, width in zip(columns, natural, strict=True)
    ]
    while len(least) > 1 and _total(least) > room:
        least.pop()
    if len(least) == 1:
        return [min(natural[0], room)]
    widths = natural[: len(least)]
    while _total(widths) > room:
        widest = max(range(len(widths)), key=lambda place: widths[place] - least[place])
        widths[widest] -= 1
    return widths


def _total(widths: Iterable[int]) -> int:
    return sum(width + _GAP for width in widths) - _GAP
