"""The command `kafinea ids`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import click
import msgspec

from kafinea import private
from kafinea.errors import StorageError
from kafinea.parsing import NOT_JSON

_TYPES = {str: "string", bool: "boolean", int: "integer", Decimal: "number"}
_TEXT = "string"
_COLUMNS = {
    "kafinea_id": {"type": ["string", "null"]},
    "outcome": {"type": "string"},
    "loaded_at": {"type": "string", "format": "date-time"},
}

_NAMES = {"stream", "key", "id", "outcome", "loaded_at"}

_decoder = msgspec.json.Decoder(float_hook=Decimal)
_encoder = msgspec.json.Encoder(decimal_format="number")

Line = dict[str, Any]


@click.command()
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
def ids(file: Path) -> None:
    """Print the ids of a load as Singer messages.

    They are for the loader of the warehouse. A load writes FILE with its setting `ids_path`. Each
    of its streams becomes a stream with the name and `_ids`: the key of each record, its Kafinea id
    and the result of the load.

    \b
    Examples:
      kafinea ids ids.jsonl | target-duckdb-exact --config warehouse.json
      kafinea ids ids.jsonl > ids.singer.jsonl
    """  # noqa: D301 click keeps the lines behind the character \b
    streams: dict[str, _Stream] = {}
    for line in lines_of(file):
        streams.setdefault(line["stream"], _Stream(line["stream"])).learn(line["key"])
    for stream in streams.values():
        _print(stream.schema())
    for line in lines_of(file):
        _print(streams[line["stream"]].record(line))


class _Stream:
    """The ids of one stream of the load."""

    def __init__(self, name: str) -> None:
        self._name = f"{name}_ids"
        self._kinds: defaultdict[str, set[type]] = defaultdict(set)
        self._with_value: Counter[str] = Counter()
        self._records = 0

    def learn(self, key: Line) -> None:
        """Take note of which keys there are, and of their types."""
        self._records += 1
        for name, value in key.items():
            if value is not None:
                self._kinds[name].add(type(value))
                self._with_value[name] += 1

    def schema(self) -> Line:
        """Return the SCHEMA message: the key properties are those that no record is without."""
        properties = {name: {"type": [self._type(name), "null"]} for name in self._kinds}
        keys = [name for name in self._kinds if self._with_value[name] == self._records]
        return {
            "type": "SCHEMA",
            "stream": self._name,
            "schema": {"type": "object", "properties": {**properties, **_COLUMNS}},
            "key_properties": keys,
        }

    def record(self, line: Line) -> Line:
        """Return the RECORD message of a line."""
        values = {name: self._value(name, value) for name, value in line["key"].items()}
        columns = {
            "kafinea_id": line["id"],
            "outcome": line["outcome"],
            "loaded_at": line["loaded_at"],
        }
        return {"type": "RECORD", "stream": self._name, "record": {**values, **columns}}

    def _type(self, name: str) -> str:
        kinds = self._kinds[name]
        return _TYPES.get(next(iter(kinds)), _TEXT) if len(kinds) == 1 else _TEXT

    def _value(self, name: str, value: Any) -> Any:
        is_other = value is not None and self._type(name) == _TEXT and not isinstance(value, str)
        return str(value) if is_other else value


def lines_of(file: Path) -> Iterator[Line]:
    """Yield the lines of an ids file.

    Raises:
        StorageError: It cannot be read, or is none.
    """
    try:
        with private.open_to_read(file) as lines:
            for number, line in enumerate(lines, start=1):
                yield _decoded(file, number, line)
    except OSError as error:
        raise StorageError(f"{file} cannot be read: {error.strerror}.") from None


def _decoded(file: Path, number: int, line: bytes) -> Line:
    try:
        found = _decoder.decode(line)
    except NOT_JSON:
        found = None
    if not isinstance(found, dict) or not found.keys() >= _NAMES:
        raise StorageError(f"{file}, line {number:,}: this is no ids file (`ids_path`) of a load.")
    return found


def _print(message: Line) -> None:
    click.echo(_encoder.encode(message).decode())
