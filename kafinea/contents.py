"""The contents of files on the wire: base64 within JSON or within a form, a piece at a time.

So a file of any size takes little memory.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain
from typing import BinaryIO
from urllib.parse import quote_plus

from kafinea.errors import IncompleteRead, TooLarge, TooLong, Unavailable

Lift = Callable[[Iterable[bytes]], bytes]
"""Makes the body of an answer of the pieces that come, perhaps without the contents of a file."""

LARGEST_ANSWER = 2**26
"""Bytes of an answer when it is decoded, the contents of a file not counted.

A page of 1,000 records with 60 fields has a million. One of long texts that has more than this is
requested in parts."""
LARGEST_FILE = 2**31
"""Bytes of a file where nothing else is said. PHP holds a file in memory before it sends it."""

# `files_retrieve` has the one, `retrievedocattachment` of coreBOS the other.
_CONTENTS = re.compile(rb'"(?:filecontents|attachment)"\s*:\s*"')
_SIZE = re.compile(rb'"filesize"\s*:\s*"?(\d{1,18})"?\s*[,}]')
_LONGEST_KEY = 64  # bytes; where a key may have been cut between two pieces
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
_PIECE = 3 * 2**17  # bytes that become whole base64


def bounded(body: Iterable[bytes]) -> bytes:
    """Return the body of the pieces that come.

    Raises:
        TooLong: They are more than any answer has.
    """
    return b"".join(_no_more_than(LARGEST_ANSWER, body))


def _no_more_than(most: int, pieces: Iterable[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        most -= len(piece)
        if most < 0:
            raise TooLong("The server's answer is too long: more than 64 MiB.")
        yield piece


def lift_into(file: BinaryIO, max_bytes: int | None) -> Lift:
    """Return what takes the contents out of an answer that holds a file, into an open one.

    Args:
        file: Where they go; it is emptied first.
        max_bytes: Stop at a file that is larger.
    """
    return partial(_lift, file=file, max_bytes=max_bytes)


def _lift(body: Iterable[bytes], *, file: BinaryIO, max_bytes: int | None) -> bytes:
    try:
        return _lifted(body, file, max_bytes)
    except ValueError:
        raise Unavailable("The server returned file contents that are not base64.") from None


def _lifted(body: Iterable[bytes], file: BinaryIO, max_bytes: int | None) -> bytes:
    file.seek(0)
    file.truncate()
    pieces = iter(body)
    rest = bytearray()
    found = None
    for piece in _no_more_than(LARGEST_ANSWER, pieces):
        seen = len(rest)
        rest += piece
        if found := _CONTENTS.search(rest, max(0, seen - _LONGEST_KEY)):
            break
    if found is None:
        return bytes(rest)  # an error, or nothing of the API's
    reported = _SIZE.search(rest)
    size = int(reported[1]) if reported else None
    most = LARGEST_FILE if max_bytes is None else max_bytes
    if size is not None and size > most:
        raise TooLarge(size)
    first = bytes(rest[found.end() :])
    del rest[found.end() :]
    try:
        rest += _decoded(chain([first], pieces), Decoder(file, most if size is None else size))
    except TooLarge:
        if size is None:
            raise
        text = f"The server returned more than the {size:,} bytes that it reports for the file."
        raise IncompleteRead(text) from None
    for piece in _no_more_than(LARGEST_ANSWER - len(rest), pieces):
        rest += piece
    return bytes(rest)


def _decoded(pieces: Iterable[bytes], decoder: Decoder) -> bytes:
    """Decode the pieces up to the end of the contents; return what follows in the last one."""
    for piece in pieces:
        end = piece.find(b'"')
        decoder.feed(piece if end < 0 else piece[:end])
        if end >= 0:
            decoder.finish()
            return piece[end:]
    return b""


class Decoder:
    """Decodes base64, as JSON has it too, in pieces that are cut anywhere.

    Args:
        file: Where to write what it says.
        max_bytes: How many bytes that may be.
    """

    def __init__(self, file: BinaryIO, max_bytes: int | None = None) -> None:
        self._file = file
        self._most = max_bytes
        self._size = 0
        self._left = b""
        self._is_padded = False

    def feed(self, piece: bytes) -> None:
        """Decode one more piece.

        Raises:
            ValueError: It is no base64.
            TooLarge: The file is larger than it may be.
        """
        text = self._left + piece
        cut = text[-1:] if text.endswith(b"\\") else b""
        if b"\\" in text:
            text = text[: len(text) - len(cut)].replace(b"\\/", b"/")
            text = text.replace(b"\\r", b"").replace(b"\\n", b"")
        whole = len(text) // 4 * 4
        decoded = self._decoded(text[:whole])
        self._left = text[whole:] + cut
        self._size += len(decoded)
        if self._most is not None and self._size > self._most:
            raise TooLarge(self._size)
        self._file.write(decoded)

    def finish(self) -> None:
        """Make sure that nothing is left over.

        Raises:
            ValueError: The last piece was not the end.
        """
        if self._left:
            raise ValueError

    def _decoded(self, text: bytes) -> bytes:
        # Python would pass over what is no base64, and over what follows its end.
        if text and (self._is_padded or text.translate(None, _BASE64)):
            raise ValueError
        self._is_padded = self._is_padded or text.endswith(b"=")
        if b"=" in text.rstrip(b"="):
            raise ValueError
        return binascii.a2b_base64(text)  # its error is a ValueError, too


class Form:
    """A form whose last field is a file in base64, made while it is sent.

    Iterate over it to get its body; any number of times.

    Args:
        fields: The fields before it, encoded.
        name: The name of its field.
        file: The file; it must be able to seek.

    Attributes:
        fields: The fields before the file, encoded.
    """

    def __init__(self, fields: str, name: str, file: BinaryIO) -> None:
        self.fields = fields
        self._name = name
        self._file = file
        self._contents_size = sum(map(len, self._contents()))

    def __len__(self) -> int:
        return len(self._before()) + self._contents_size

    def __iter__(self) -> Iterator[bytes]:
        yield self._before()
        yield from self._contents()

    def with_field(self, pair: str) -> Form:
        """Return the same form with one more field, which is encoded already."""
        form = object.__new__(Form)
        form.__dict__.update(self.__dict__, fields=f"{self.fields}&{pair}")
        return form

    def _before(self) -> bytes:
        return f"{self.fields}&{quote_plus(self._name)}=".encode("ascii")

    def _contents(self) -> Iterator[bytes]:
        self._file.seek(0)
        while piece := self._file.read(_PIECE):
            text = b64encode(piece)
            yield text.replace(b"+", b"%2B").replace(b"/", b"%2F").replace(b"=", b"%3D")
