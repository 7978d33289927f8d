"""The records of a module as rows: typed, documents with their lines."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

from kafinea.client import Client
from kafinea.describe import HEADER_DISCOUNTS, LINES, MODIFIED, only_retrieved
from kafinea.extract.checkpoint import Pass
from kafinea.extract.discounts import are_queryable
from kafinea.extract.line_items import Documents
from kafinea.extract.line_query import can_be_queried
from kafinea.extract.rows import Part, gathered
from kafinea.module_reader import ModuleReader
from kafinea.page_query import PAGE_SIZE, Page
from kafinea.recovery import Recovery
from kafinea.row_decoder import RowDecoder
from kafinea.values import ServerZone, ValueType

logger = logging.getLogger(__name__)

FEWEST = PAGE_SIZE // 2
"""The fewest records of a batch, as long as there are so many: documents that are retrieved one by
one come together. A page that a query gives is a batch: joining two costs a tenth of the CPU."""


@dataclass(frozen=True)
class Fields:
    """The fields to extract, and their types.

    Attributes:
        record: Those of a record, `id` among them.
        line: Those of a line, for `LineItems`; none for no lines.
    """

    record: Mapping[str, ValueType]
    line: Mapping[str, ValueType] = field(default_factory=dict)


class ModuleContent:
    """The records of a module, for one run.

    Args:
        client: The instance.
        module: The module.
        name: The stream's name, for messages.
        fields: The fields to extract.
        zone: The server's time zone.
        page_size: Records to request at a time.
        recovery: What is known of records that cannot be read.
    """

    has_times: ClassVar[bool] = True
    has_versions: ClassVar[bool] = True
    is_whole = True  # rows that are missing a value are rows nevertheless

    def __init__(
        self,
        client: Client,
        module: str,
        name: str,
        fields: Fields,
        zone: ServerZone,
        page_size: int,
        recovery: Recovery,
    ) -> None:
        self._client = client
        self._module = module
        self._name = name
        self._fields = fields
        self._zone = zone
        self._page_size = page_size
        self._undated = 0
        self._gone: set[str] = set()
        self._recovery = recovery

    def open(self, current: Pass) -> ModuleRows:
        """Return what makes the rows of the next reading.

        Args:
            current: The pass, or an empty one for records that belong to none.
        """
        fields = self._fields
        decode_line = RowDecoder(fields.line, self._zone) if fields.line else None
        documents = self._documents()
        names = documents.columns if documents else fields.record
        columns = [name for name in names if name not in self._gone]
        decode = RowDecoder(fields.record, self._zone)
        return ModuleRows(
            self,
            columns,
            decode,
            decode_line,
            documents,
            may_be_undated=current.since is None,
        )

    def report(self) -> None:
        """Log how many records have no `modifiedtime`."""
        if self._undated:
            logger.warning(
                "%s: %s records have no modifiedtime, for instance after an import into the "
                "database. They are extracted in this run. Later incremental runs extract such a "
                "record only after somebody has saved it.",
                self._name,
                f"{self._undated:,}",
            )

    def report_misfits(self, where: str, decode: RowDecoder) -> None:
        """Log which values do not fit the type of their field."""
        for name, count in decode.misfits.items():
            record_id, shape = decode.examples[name]
            logger.warning(
                "%s.%s: %s values do not fit the field's type and are null; the first is in "
                "record %s and looks like %r.",
                f"{self._name}{where}",
                name,
                f"{count:,}",
                record_id,
                shape,
            )

    def _documents(self) -> Documents | None:
        """Return what completes the records, if a query does not give all that is selected."""
        fields, lines = [*self._fields.record], [*self._fields.line]
        costly = only_retrieved(fields)
        if can_be_queried(lines) and costly and costly <= HEADER_DISCOUNTS:
            costly = frozenset() if self._gives_discounts else costly
        if not lines and not costly:
            return None
        return Documents(
            *(self._client, self._module, fields, costly, lines, self._page_size, self._recovery)
        )

    @cached_property
    def _gives_discounts(self) -> bool:
        """Whether a query gives the discounts of headers; found out once in a run."""
        return are_queryable(self._client, self._module, only_retrieved(self._fields.record))

    def add_missing_fields(
        self, page: Page, reading: ModuleReader, columns: Sequence[str], decode: RowDecoder
    ) -> None:
        """Add nulls to a page for the fields that the server does not give any more."""
        # What a query gives is the same for all; what is retrieved is one by one.
        absent = [name for name in decode.columns if name not in page[0]]
        if not absent:
            return
        asked = set() if self._recovery.has_failed(page[0]["id"]) else {*columns}
        if unknown := {*absent} & asked - reading.refused - self._gone:
            logger.warning(
                "%s: these fields are null, because the server does not return them: %s. Either "
                "they were removed from the module, or this user may not read them.",
                self._name,
                ", ".join(sorted(unknown)),
            )
        self._gone |= {*absent} & asked
        for record in page:
            record.update(dict.fromkeys(name for name in absent if name not in record))

    def count_undated(self, page: Page) -> None:
        """Count the records of a page that have no `modifiedtime`."""
        self._undated += sum(record.get(MODIFIED, "") is None for record in page)


class ModuleRows:
    """The rows of one reading.

    Args:
        content: What is known of the records in the whole run.
        columns: The columns to request.
        decode: Types the records.
        decode_line: Types their lines, if they have any.
        documents: Completes documents, if a query does not give all of them.
        may_be_undated: Whether records without a `modifiedtime` may be among them.
    """

    def __init__(
        self,
        content: ModuleContent,
        columns: Sequence[str],
        decode: RowDecoder,
        decode_line: RowDecoder | None,
        documents: Documents | None,
        *,
        may_be_undated: bool,
    ) -> None:
        self._content = content
        self._decode = decode
        self._decode_line = decode_line
        self._documents = documents
        self._may_be_undated = may_be_undated
        self.columns = columns
        self.complete: Callable[[Page], Page] | None = documents.complete if documents else None
        self.complete_at_once = documents.at_once if documents else 1

    def parts(self, reading: ModuleReader, pages: Iterable[Page]) -> Iterator[Part]:
        """Yield pages, typed in place."""
        for some in gathered(pages, FEWEST):
            for page in some:
                self._type(page)
                self._content.add_missing_fields(page, reading, self.columns, self._decode)
                if self._may_be_undated:
                    self._content.count_undated(page)
            if self._documents:
                self._documents.report(reading.total)
            rows = some[0] if len(some) == 1 else [row for page in some for row in page]
            yield Part(rows, [row["id"] for row in rows])

    def report(self) -> None:
        """Log which values do not fit their types."""
        self._content.report_misfits("", self._decode)
        if self._decode_line:
            self._content.report_misfits(f".{LINES}", self._decode_line)

    def _type(self, page: Page) -> None:
        if self._decode_line is None:
            self._decode.rows(page)
            return
        # Null when not all the lines of a document could be had.
        lines = [its and self._decode_line.rows(its) for its in (row.pop(LINES) for row in page)]
        for record, its in zip(self._decode.rows(page), lines, strict=True):
            record[LINES] = its
