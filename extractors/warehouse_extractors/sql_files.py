"""What the taps have in common: each SQL file of a directory is a Singer stream of the same name.

Each run emits all rows; the target detects which of them changed. The warehouse itself writes the
rows as JSON, so numbers keep all their digits, and lists and objects stay what they are.
"""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple


class Rows(NamedTuple):
    """What a query returns.

    Attributes:
        columns: The names of its columns.
        lines: Each row as a JSON object.
    """

    columns: Sequence[str]
    lines: Iterable[str]


def config_of(description: str) -> dict[str, Any]:
    """Return the settings of a tap, from the file that its command line names."""
    parser = ArgumentParser(description=description)
    parser.add_argument("--config", required=True, type=Path)
    settings = json.loads(parser.parse_args().config.read_text(encoding="utf-8"))
    return {name: value for name, value in settings.items() if value not in {"", None}}


def sql_files(directory: str) -> list[Path]:
    """Return the SQL files of a directory, which must have one."""
    files = sorted(Path(directory).glob("*.sql"))
    if not files:
        sys.exit(f"No .sql file found in {directory!r} (`queries`).")
    return files


def messages(file: Path, rows: Rows) -> Iterator[str]:
    """Yield the messages of a stream."""
    stream = file.stem
    repeated = sorted({name for name in rows.columns if rows.columns.count(name) > 1})
    if repeated:
        sys.exit(f"{file}: it has several columns {repeated[0]!r}. Give each a name of its own.")
    schema = {"type": "object", "properties": {name: {} for name in rows.columns}}
    message = {"type": "SCHEMA", "stream": stream, "schema": schema, "key_properties": []}
    yield json.dumps(message)
    start = json.dumps({"type": "RECORD", "stream": stream})[:-1]
    for line in rows.lines:
        yield f'{start}, "record": {line}}}'


def end() -> str:
    """Return the message after all streams: targets ask for the proof that nothing is missing."""
    return json.dumps({"type": "STATE", "value": {"bookmarks": {}}})


def write(files: Sequence[Path], ask: Callable[[str], Rows], error: type[Exception]) -> None:
    """Write the messages of all streams to stdout. A query that fails ends the program.

    Args:
        files: The files of SQL.
        ask: Returns what a query returns.
        error: What a query that fails raises.
    """
    for file in files:
        try:
            for message in messages(file, ask(file.read_text("utf-8"))):
                print(message)
        except error as failure:
            sys.exit(f"{file}: {str(failure).strip()}")
