"""A pass of a module that is about to be read, and what types its records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kafinea.describe import LINES
from kafinea.extract.line_items import Documents
from kafinea.extract.passes import Pass
from kafinea.module_reader import ModuleReader
from kafinea.page_query import Page
from kafinea.values import RowDecoder


@dataclass(frozen=True)
class PreparedPass:
    """A pass that is about to be read.

    Attributes:
        current: The pass.
        reading: Its records.
        columns: The fields that its query asks for.
        decode: Types them.
        decode_line: Types their lines, if they carry any.
        documents: What completes them, if a query does not give all that is selected.
        began: When it began, on this machine's clock.
        is_resumed: An earlier run began it, so what is newer comes behind it.
    """

    current: Pass
    reading: ModuleReader
    columns: Sequence[str]
    decode: RowDecoder
    decode_line: RowDecoder | None
    documents: Documents | None
    began: datetime
    is_resumed: bool

    def type(self, page: Page) -> Page:
        """Type the records of a page, in place."""
        if self.decode_line is None:
            return self.decode.rows(page)
        # Null when not all the lines of a document could be had.
        lines = [rows and self.decode_line.rows(rows) for rows in (one.pop(LINES) for one in page)]
        for record, its in zip(self.decode.rows(page), lines, strict=True):
            record[LINES] = its
        return page


def emptied(page: Page) -> Iterator[dict[str, Any]]:
    """Yield the records of a page and let go of each behind it.

    The next page then takes memory that is still in the processor's cache.
    """
    page.reverse()
    while page:
        yield page.pop()
