"""The lines of an undo file: what a load wrote, and what is needed to take it back.

A line of type `write` is on the disk before its request is sent; a line `stored` follows its
answer. A write without the second line may have happened or not: its run was killed, or the server
did not answer.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec
from msgspec import Struct

from kafinea.client import Record

VERSION = 1


class Header(Struct, frozen=True, tag_field="type", tag="undo"):
    """The first line: which load of which instance it was.

    Attributes:
        version: That of the format.
        url: The address of the instance.
        user: The id of the user that wrote.
        run: The id of the run.
        time: When it began, in UTC.
    """

    version: int
    url: str
    user: str
    run: str
    time: str


class Write(Struct, frozen=True, tag_field="type", tag="write", omit_defaults=True):
    """A write that is about to be sent.

    Attributes:
        note: Its number in the file.
        operation: `create`, `update`, `revise`, `delete`, `add_related`, `FileUpload`.
        module: The module, where the request names it.
        id: The record; none if it is to be created. Of a related list, the record that has it.
        before: The whole record before the write.
        sent: The values that are sent.
        above: Of a creation or deletion, the highest number of an id in the module before it.
        label: The related list.
        related: The record that is added to it.
    """

    note: int
    operation: str
    module: str = ""
    id: str = ""
    before: Record | None = None
    sent: Record | None = None
    above: int | None = None
    label: str = ""
    related: str = ""


class Stored(Struct, frozen=True, tag_field="type", tag="stored"):
    """What the server has stored.

    Attributes:
        note: The number of the write.
        id: The record.
        after: The whole record, if it is new; else the values that differ from those before.
    """

    note: int
    id: str
    after: Record


class Recreated(Struct, frozen=True, tag_field="type", tag="recreated"):
    """A deleted record that `kafinea undo` has created anew.

    Attributes:
        id: Its old id.
        new_id: Its new id.
    """

    id: str
    new_id: str


Line = Header | Write | Stored | Recreated

_encoder = msgspec.json.Encoder(decimal_format="number", enc_hook=str)
_decoder = msgspec.json.Decoder(Line, float_hook=Decimal)


def encoded(line: Line) -> bytes:
    """Return a line with its end."""
    return _encoder.encode(line) + b"\n"


def decoded(line: bytes) -> Line:
    """Return what a line says.

    Raises:
        NOT_JSON: One of these. It is no line of an undo file.
    """
    read: Line = _decoder.decode(line)
    return read
