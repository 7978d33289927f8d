"""The lines of a plan: a header, one for each record, and an end that proves them complete.

A plan is a file of lines of JSON. The digest at its end finds mistakes, and no forgery: whoever may
write the file may also write the end.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
from msgspec import Struct

VERSION = 1


class Header(Struct, kw_only=True, omit_defaults=True):
    """The first line.

    Attributes:
        plan: The version of the format.
        run: The id of the dry run.
        time: When it began, in UTC.
        instance: The address of the instance.
        username: The user that it was made as.
        settings: The settings that decide what is written.
    """

    plan: int
    run: str
    time: str
    instance: str
    username: str
    settings: dict[str, Any]


class PlanLine(Struct, kw_only=True, omit_defaults=True):
    """The line of a record.

    Attributes:
        stream: The stream's name; null for a record that is created because others refer to it.
        module: The module.
        key: The names and values that the record is looked for by.
        id: Its id. That of a record to be created is provisional: other lines refer to it by this.
        outcome: `created`, `updated`, `unchanged`, `deleted` or `rejected`.
        before: The old values of the fields that change.
        after: The new values.
        keys: The natural keys that new ids were looked up by, by field name.
        code: Why it is rejected.
        message: The same in words.
        whole: Of a record to be deleted, the digest of all that a query gives of it.
        rest: The same of the fields that no line of the plan changes.
        input: The digest of the record as it came.
    """

    stream: str | None
    module: str
    key: dict[str, Any]
    id: str | None = None
    outcome: str
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    keys: dict[str, Any] = {}
    code: str | None = None
    message: str | None = None
    whole: str | None = None
    rest: str | None = None
    input: str


class End(Struct, kw_only=True):
    """The last line.

    Attributes:
        end: How many lines there are between the first and this one.
        sha256: The digest of all lines before this one.
    """

    end: int
    sha256: str


header_decoder = msgspec.json.Decoder(Header)
line_decoder = msgspec.json.Decoder(PlanLine, float_hook=Decimal)
end_decoder = msgspec.json.Decoder(End)
encoder = msgspec.json.Encoder(decimal_format="number", enc_hook=str)
