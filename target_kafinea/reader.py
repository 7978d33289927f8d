"""Reading the input: one Singer message a line, each of a shape and a size that can be worked with.

What follows (the SDK, the schema's validation, the load) reads messages without a look at what they
are. So what is no message of Singer ends here, in one error that names the line.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import IO, Any, NamedTuple, Protocol

import msgspec
from singer_sdk.contrib.msgspec import MsgSpecReader, decoder
from singer_sdk.exceptions import RecordsWithoutSchemaException
from typing_extensions import override

from kafinea.errors import FatalError
from kafinea.shown import shown
from singer_kafinea.nesting import is_deeper
from target_kafinea import halves, huge_numbers

LONGEST_LINE = 2**28
"""Bytes of a line: a file of 190 MB in base64, far more than servers take."""
MOST_VALUES = 2**21
"""Values in a long line. Each takes up to a hundred bytes of memory, so few bytes may become many;
a file in base64 is one."""
_LONG = 2**20  # bytes of a line whose values are counted
_DEEPEST = 100
"""How deep lists and objects may nest."""

_REQUIRED: Mapping[str, Mapping[str, type]] = {
    "SCHEMA": {"stream": str, "schema": dict},
    "RECORD": {"stream": str, "record": dict},
    "STATE": {"value": dict},
    "ACTIVATE_VERSION": {"stream": str, "version": object},
    "BATCH": {"stream": str},
}
_KINDS: Mapping[type, str] = {str: "text", dict: "an object"}
_BYTE_ORDER_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")


class InputError(FatalError):
    """Correct the input: what comes in is no Singer message. Its text shows nothing of the line."""


class NoSchema(InputError, RecordsWithoutSchemaException):
    """A record came before the schema of its stream; the SDK has an error of its own for it."""


class Message(NamedTuple):
    """A message as it came.

    Attributes:
        content: The message.
        line: Which line of the input it stood in.
        size: How many bytes that line has.
        problem: What is wrong with its record, of which something cannot be read as it came.
    """

    content: dict[str, Any]
    line: int
    size: int
    problem: str


class Order(Protocol):
    """Decides in which order messages are handed on, and what becomes of them before."""

    def now(self, message: Message) -> Iterable[Message]:
        """Return what is to be handed on now that a message was read."""

    def at_the_end(self) -> Iterable[Message]:
        """Return what is to be handed on when the whole input was read."""


class Reader(MsgSpecReader):
    """Reads messages, and keeps the one at hand as it came: the SDK hands on parts of it only.

    Attributes:
        message: The message at hand.
        order: In which order messages are handed on. The target sets it before it reads.
        before_failing: Called before an `InputError` leaves here, to load what was read till then.
        last_state: The value of the STATE message after the last record; None if none follows it.
    """

    order: Order

    def __init__(self) -> None:
        super().__init__()
        self.message = Message({}, 0, 0, "")
        self._line = 0
        self._problem = ""
        self.before_failing: Callable[[], None] = lambda: None
        self.last_state: dict[str, Any] | None = None
        self._streams: set[str] = set()

    @override
    def process_lines(
        self, file_input: IO[str] | None, callbacks: Mapping[str, Callable[[dict[str, Any]], None]]
    ) -> Counter[str]:
        """Read all messages, and hand each to the callback of its type.

        Raises:
            InputError: A line is no message.
        """
        text = file_input or sys.stdin
        if text is None:
            raise InputError("No input: the standard input is closed.")
        # As bytes: text takes up to four bytes a character, and its encoding is the machine's.
        source: Any = getattr(text, "buffer", text)
        counts: Counter[str] = Counter()
        try:
            while kind := self._read(source):
                counts[kind] += 1
                if kind == "RECORD":
                    self.last_state = None
                elif kind == "STATE":
                    self.last_state = self.message.content["value"]
                self._hand_on(self.order.now(self.message), callbacks)
            self._hand_on(self.order.at_the_end(), callbacks)
        except InputError:
            self.before_failing()
            raise
        return counts

    def _hand_on(
        self,
        messages: Iterable[Message],
        callbacks: Mapping[str, Callable[[dict[str, Any]], None]],
    ) -> None:
        for message in messages:
            self.message = message
            callbacks[str(message.content["type"])](message.content)

    def _read(self, source: IO[bytes]) -> str | None:
        """Read the next message; return its type, or None at the end."""
        self.message = Message({}, 0, 0, "")  # the last one may be large, as the next one may
        line = self._next_line(source)
        if not line:
            return None
        content = self.deserialize_json(line)
        self.message = Message(content, self._line, len(line), self._problem)
        return str(content["type"])

    def _next_line(self, source: IO[bytes]) -> bytes:
        try:
            line = source.readline(LONGEST_LINE + 1)
        except OSError as error:
            raise InputError(f"The input cannot be read: {error.strerror}.") from None
        self._line += 1
        if len(line) > LONGEST_LINE:
            raise self.wrong(
                f"it is longer than {LONGEST_LINE:,} bytes. Load large files with `_file_path` and "
                "the setting `files_path`"
            )
        return line

    @override
    def deserialize_json(self, line: str | bytes) -> dict[str, Any]:
        """Return the message of a line.

        Raises:
            InputError: It is none.
        """
        raw = line.encode() if isinstance(line, str) else line
        if len(raw) >= _LONG and sum(map(raw.count, (b",", b"[", b"{"))) > MOST_VALUES:
            raise self.wrong(f"it has more than {MOST_VALUES:,} values")
        message = self._decoded(raw)
        if raw.count(b"[") + raw.count(b"{") > _DEEPEST and is_deeper(message, _DEEPEST):
            raise self.wrong(_TOO_DEEP)
        return self._checked(message)

    def wrong(self, why: str) -> InputError:
        """Return the error that the line at hand is not what it should be."""
        return InputError(f"Line {self._line:,} of the input is not a Singer message: {why}.")

    def _decoded(self, line: bytes) -> Any:
        self._problem = ""
        try:
            try:
                return decoder.decode(line)
            except (msgspec.DecodeError, ArithmeticError):
                return self._repaired(line.decode())
        except RecursionError:
            raise self.wrong(_TOO_DEEP) from None
        except ArithmeticError:
            raise self.wrong("it contains a number that is out of range") from None
        except (UnicodeError, msgspec.DecodeError) as error:
            raise self.wrong(_why_not_json(line, error)) from None

    def _repaired(self, line: str) -> Any:
        """Return a message in which something was replaced that cannot be read."""
        whole, half = halves.without_halves(line)
        whole, has_huge = huge_numbers.as_texts(whole)
        message = decoder.decode(whole)
        record = message.get("record") if isinstance(message, dict) else None
        if has_huge and not isinstance(record, dict):
            raise ArithmeticError
        if isinstance(record, dict):
            self._problem = halves.problem(record, half) if half else huge_numbers.problem(record)
        return message

    def _checked(self, message: Any) -> dict[str, Any]:
        if not isinstance(message, dict):
            raise self.wrong("it is not an object")
        kind = message.get("type")
        required = _REQUIRED.get(kind) if isinstance(kind, str) else None
        if required is None:
            raise self.wrong("its `type` is unknown" if "type" in message else "it has no `type`")
        for name, wanted in required.items():
            if name not in message:
                raise self.wrong(f"it is a {kind} and has no `{name}`")
            if not isinstance(message[name], wanted) or message[name] == "":
                raise self.wrong(f"its `{name}` is not {_KINDS[wanted]}{_of_stream(message)}")
        if kind == "SCHEMA":
            self._check_schema(message)
            self._streams.add(message["stream"])
        elif kind != "STATE" and message["stream"] not in self._streams:
            why = f"there is no SCHEMA message of its stream before it{_of_stream(message)}"
            raise NoSchema(str(self.wrong(why)))
        return message

    def _check_schema(self, message: Mapping[str, Any]) -> None:
        here = _of_stream(message)
        if not message["stream"].isprintable():
            raise self.wrong(f"its `stream` has characters that cannot be printed{here}")
        if not isinstance(message["schema"].get("properties"), dict):
            raise self.wrong(f"its `schema` has no object `properties`{here}")
        keys = message.get("key_properties") or []
        if not isinstance(keys, list) or not all(isinstance(name, str) for name in keys):
            raise self.wrong(f"its `key_properties` is not a list of names{here}")


_TOO_DEEP = f"its lists and objects are nested more than {_DEEPEST} deep"


def _why_not_json(line: bytes, error: Exception) -> str:
    if line.startswith(_BYTE_ORDER_MARKS):
        return "it begins with a byte order mark. Write the input as UTF-8 without one"
    if isinstance(error, UnicodeError):
        return "it is not UTF-8 text"
    if not line.strip():
        return "it is empty"
    return f"it is not JSON ({shown(error)})"


def _of_stream(message: Mapping[str, Any]) -> str:
    stream = message.get("stream")
    return f" (stream {shown(repr(stream), 80)})" if isinstance(stream, str) and stream else ""
