"""Rows as JSON and CSV, with each value exactly as it is."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import chain
from typing import Any

import msgspec

Row = Mapping[str, Any]


def json_lines(rows: Iterable[Row]) -> Iterator[bytes]:
    """Yield the pieces of a JSON array, one row a line."""
    start = b"[\n"
    for row in rows:
        yield start + exact_json(row)
        start = b",\n"
    yield b"[]\n" if start == b"[\n" else b"\n]\n"


def exact_json(value: Any) -> bytes:
    """Return a value as JSON; a Decimal is a number with all its digits."""
    return _JSON.encode(value)


_JSON = msgspec.json.Encoder(decimal_format="number")


def csv_lines(rows: Iterable[Row], names: Sequence[str]) -> Iterator[bytes]:
    """Yield the lines of a CSV file, in UTF-8.

    Values are exact: nothing is put before a text that begins with `=`. So a spreadsheet that opens
    the file may run such a text as a formula; an `.xlsx` file has text as text.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    for line in chain([names], ([csv_value(row.get(name)) for name in names] for row in rows)):
        writer.writerow(line)
        yield buffer.getvalue().encode("utf-8", "surrogatepass")
        buffer.seek(0)
        buffer.truncate()


def csv_value(value: Any) -> str:
    """Return a value as text: numbers with all their digits, lists and objects as JSON."""
    if value is None:
        return ""
    if isinstance(value, bool | list | tuple | dict):
        return exact_json(value).decode()
    return format(value, "f") if isinstance(value, Decimal) else str(value)
