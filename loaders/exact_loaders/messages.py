"""Reading the input: Singer messages, of which a record stays the bytes of its line."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Mapping
from typing import IO, Any

import msgspec
from singer_sdk.contrib.msgspec import MsgSpecReader
from typing_extensions import override

from exact_loaders.errors import LoaderError
from exact_loaders.reading import lines

_REQUIRED = {"SCHEMA": ("stream", "schema"), "RECORD": ("stream", "record"), "STATE": ("value",),
             "ACTIVATE_VERSION": ("stream", "version"), "BATCH": ("stream",)}  # fmt: skip


class Line(msgspec.Struct, omit_defaults=True):
    """A message. What a warehouse stores is kept as bytes."""

    type: str
    stream: str | None = None
    record: msgspec.Raw = msgspec.Raw()
    schema: dict[str, Any] | None = None
    key_properties: list[str] | None = None
    bookmark_properties: list[str] | None = None
    value: msgspec.Raw = msgspec.Raw()
    version: int | None = None
    time_extracted: str | None = None
    encoding: dict[str, Any] | None = None
    manifest: list[str] | None = None


_NOTHING = msgspec.Raw()
_decode = msgspec.json.Decoder(Line).decode


class Reader(MsgSpecReader):
    """Reads messages, and hands each to the callback of its type as a dict."""

    @override
    def process_lines(
        self, file_input: IO[str] | None, callbacks: Mapping[str, Callable[[Any], None]]
    ) -> Counter[str]:
        """Read all messages.

        A RECORD and a STATE are handed on as `Line`, all others as the dicts that the SDK expects.

        Raises:
            LoaderError: A line is not a Singer message.
        """
        counts: Counter[str] = Counter()
        for number, raw in enumerate(lines(file_input or sys.stdin), start=1):
            line = _read(raw, number)
            counts[line.type] += 1
            is_kept = line.type in {"RECORD", "STATE"}
            callbacks[line.type](line if is_kept else msgspec.to_builtins(line))
        return counts


def _read(raw: bytes, number: int) -> Line:
    try:
        line = _decode(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        # The error of msgspec names a place in the message, and shows nothing of it.
        raise LoaderError(
            f"Line {number:,} of the input is not a Singer message: {error}."
        ) from None
    required = _REQUIRED.get(line.type)
    if required is None:
        raise LoaderError(f"Line {number:,} of the input has an unknown `type`.")
    for name in required:
        if getattr(line, name) in (None, _NOTHING):
            raise LoaderError(f"Line {number:,} of the input is a {line.type} without `{name}`.")
    return line
