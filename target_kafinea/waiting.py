"""In which order streams are loaded: records wait for those of the streams to which they refer.

A stream waits if one that it refers to has not come yet, and then until the input ends: only there
it is known that all of that stream has come. Later records of the same module wait behind it: the
last one in the input has the last word.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import takewhile
from logging import Logger
from tempfile import SpooledTemporaryFile

from singer_sdk.contrib.msgspec import decoder, encoder

from kafinea.errors import SettingsError, StorageError
from kafinea.load.stream_mapping import StreamMapping
from kafinea.related import RELATED, SOURCE
from target_kafinea.nested import (
    Nested,
    Settings,
    Splitter,
    containing,
    nested_in,
    with_references,
)
from target_kafinea.reader import Message
from target_kafinea.states import States

_IN_MEMORY = 2**20  # bytes of a stream that waits; more of it is in a temporary file


class Order:
    """Hands on the messages of a run in an order in which references are found.

    Args:
        streams: The setting `streams`.
        states: Learns whether records wait: no state after them is true.
        logger: Where to log.

    Attributes:
        streams: The settings, with the references of nested records.
        containing: For each stream of nested records, the streams whose records contain them.

    Raises:
        SettingsError: There is no such order, or `nested` has another form.
    """

    def __init__(self, streams: Settings, states: States, logger: Logger) -> None:
        nested = nested_in(streams)
        self.streams = with_references(streams, nested)
        self.containing = containing(nested)
        self._states = states
        self._logger = logger
        self._splitter = Splitter(nested) if nested else None
        # They come together, so that the first record of one does not mean that all have come.
        self._mixed = {(one.second, one.first) for one in nested}
        mappings = {name: StreamMapping.parse(name, one) for name, one in self.streams.items()}
        self._modules = {
            name: None if mapping.related else _module(mapping, name)
            for name, mapping in mappings.items()
        }
        self._awaited = _awaited(mappings, nested)
        self._begun: set[str] = set()
        self._waiting: dict[str, SpooledTemporaryFile[bytes]] = {}

    def now(self, message: Message) -> Iterator[Message]:
        """Yield what is to be loaded now that a message was read."""
        for part in self._splitter.split(message) if self._splitter else (message,):
            if not self._waits(part):
                yield part

    def at_the_end(self) -> Iterator[Message]:
        """Yield what waited, when the whole input was read."""
        while self._waiting:
            stream = next(filter(self._is_next, self._waiting), next(iter(self._waiting)))
            with self._waiting[stream] as spool:
                spool.seek(0)
                for line in spool:
                    yield Message(*decoder.decode(line))
            del self._waiting[stream]
        self._states.wait(None)

    def stop(self) -> None:
        """Say what is not loaded when the run breaks off."""
        for stream, spool in self._waiting.items():
            spool.close()
            self._logger.warning(
                "Stream %r was not loaded completely: it was to be loaded at the end of the input.",
                stream,
            )
        self._waiting.clear()

    def _waits(self, message: Message) -> bool:
        """Whether a message waits till the end; if so, it is kept."""
        stream, kind = message.content.get("stream"), message.content["type"]
        if stream not in self._waiting:
            if stream is None or kind != "RECORD":
                return False
            if stream in self._begun and not self._waiting:
                return False
            awaited = [] if stream in self._begun else self._late_ones(stream)
            rivals = self._rivals(stream)
            if not (awaited or rivals):
                self._begun.add(stream)
                return False
            self._logger.info(
                "Stream %r is loaded at the end of the input, after %s, %s.",
                stream,
                " and ".join(map(repr, awaited or rivals)),
                "to which it refers" if awaited else "which goes into the same module",
            )
            self._states.wait(message.line)
            self._waiting[stream] = SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 `at_the_end` closes it
        elif kind not in {"RECORD", "SCHEMA"}:
            return False
        self._keep(stream, message)
        return True

    def _is_next(self, stream: str) -> bool:
        """Whether a waiting stream need not wait for another one."""
        awaited = self._awaited.get(stream, ())
        return self._waiting.keys().isdisjoint(awaited) and not self._rivals(stream)

    def _rivals(self, stream: str) -> list[str]:
        """Return the streams that began to wait before, and go into the same module."""
        module = self._modules.get(stream, stream.casefold())
        return [
            one
            for one in takewhile(lambda other: other != stream, self._waiting)
            if self._modules.get(one, one.casefold()) == module is not None
            and stream not in _reached(one, self._awaited)
        ]

    def _late_ones(self, stream: str) -> list[str]:
        """Return the awaited streams whose records may come after those of this one."""
        return [
            other
            for other in self._awaited.get(stream, ())
            if (stream, other) in self._mixed or other not in self._begun or other in self._waiting
        ]

    def _keep(self, stream: str, message: Message) -> None:
        try:
            self._waiting[stream].write(encoder.encode(message) + b"\n")
        except OSError as error:
            raise StorageError(
                f"Stream {stream!r}: the temporary folder cannot hold its records until the "
                f"streams to which they refer have come: {error.strerror}. Set TMPDIR to a folder "
                "with more space, or let it come after them."
            ) from None


def _awaited(mappings: Mapping[str, StreamMapping], nested: list[Nested]) -> dict[str, list[str]]:
    """Return, for each stream, the streams that are loaded before it.

    Streams that refer to each other have no order: they are loaded as they come.

    Raises:
        SettingsError: Streams of nested records refer to each other.
    """
    bring = {name: _module(one, name) for name, one in mappings.items() if not one.related}
    refer = {
        name: [
            other
            for other, module in bring.items()
            if other != name and module in _referred(mapping, name)
        ]
        for name, mapping in mappings.items()
    }
    reached = {name: _reached(name, refer) for name in refer}
    for one in nested:
        if one.second in reached[one.first]:
            raise SettingsError(
                f"Stream {one.inside!r}, `nested`, {one.name!r}: {one.first!r} and "
                f"{one.second!r} refer to each other, so neither can be loaded first. Load the "
                f"`references` of {one.first!r} to {one.module!r} with a third stream."
            )
    return {
        name: [other for other in others if name not in reached[other]]
        for name, others in refer.items()
    }


def _module(mapping: StreamMapping, name: str) -> str:
    return (mapping.module or name).casefold()


def _referred(mapping: StreamMapping, name: str) -> set[str]:
    """Return the modules that the references of a stream look in."""
    sides = {SOURCE: mapping.module, RELATED: mapping.related} if mapping.related else {}
    return {
        (choice.module or sides.get(field) or name).casefold()
        for field, choices in mapping.references.items()
        for choice in choices
    }


def _reached(name: str, refer: Mapping[str, list[str]]) -> set[str]:
    """Return the streams that a stream refers to, directly or by others."""
    found: set[str] = set()
    ahead = [name]
    while ahead:
        new = set(refer.get(ahead.pop(), ())) - found
        found |= new
        ahead += new
    return found
