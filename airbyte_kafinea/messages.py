"""Messages of Airbyte's protocol, written to stdout as JSON lines."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from typing_extensions import override

_encode = msgspec.json.Encoder(decimal_format="number").encode
_LEVELS = {"CRITICAL": "FATAL", "WARNING": "WARN"}


def write(kind: str, **content: Any) -> None:
    """Write a message."""
    _write([{"type": kind, **content}])


def write_records(stream: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write records of a stream."""
    record = {"stream": stream, "emitted_at": _now()}
    _write({"type": "RECORD", "record": record | {"data": row}} for row in rows)


def write_state(stream: str, state: Mapping[str, Any]) -> None:
    """Write the state of a stream, which is valid once the records before it are loaded."""
    of_stream = {"stream_descriptor": {"name": stream}, "stream_state": state}
    write("STATE", state={"type": "STREAM", "stream": of_stream})


def write_status(stream: str, status: str) -> None:
    """Write how far a stream is: STARTED, COMPLETE or INCOMPLETE."""
    stream_status = {"stream_descriptor": {"name": stream}, "status": status}
    _write_trace("STREAM_STATUS", stream_status=stream_status)


def write_failure(message: str, kind: str) -> None:
    """Write why something could not be read, and who can fix it."""
    _write_trace("ERROR", error={"message": message, "failure_type": kind})


class LogHandler(logging.Handler):
    """Writes log records as messages."""

    @override
    def emit(self, record: logging.LogRecord) -> None:
        level = _LEVELS.get(record.levelname, record.levelname)
        write("LOG", log={"level": level, "message": record.getMessage()})


def _write_trace(kind: str, **content: Any) -> None:
    write("TRACE", trace={"type": kind, "emitted_at": _now(), **content})


def _write(messages: Iterable[Mapping[str, Any]]) -> None:
    output = sys.stdout.buffer
    output.write(b"".join(_encode(message) + b"\n" for message in messages))
    output.flush()


def _now() -> int:
    return int(time.time() * 1000)
