"""The lines of documents by queries of the module `LineItem`, for a hundred documents at a time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kafinea.client import Client, Record
from kafinea.describe import LINE_MODULE
from kafinea.dividing import FAILURES_AT_FIRST, may_lie_in_the_request
from kafinea.errors import IncompleteRead, KafineaError, Refused, Unavailable
from kafinea.line_order import in_order
from kafinea.module_reader import ModuleReader
from kafinea.page_query import Page, PageQuery, count
from kafinea.parsing import text
from kafinea.query import Condition, select
from kafinea.recovery import BadRecord, Recovery

_PARENT = "parent_id"


class LineQuery:
    """Queries the lines of documents. Threads may share it.

    Args:
        client: The instance.
        fields: The fields of the lines to give.
        page_size: Records to request at a time.
    """

    def __init__(self, client: Client, fields: Sequence[str], page_size: int) -> None:
        self._client = client
        self._fields = fields
        self._page_size = page_size

    def of(self, ids: Sequence[str]) -> dict[str, Page] | None:
        """Return the lines of up to a hundred documents, by document; None if some do not come."""
        # A hundred ids take 2,000 of the 7,000 bytes that a query may have.
        where = [Condition(_PARENT, "IN", ids)]
        columns = self._fields
        # Lines at which the server fails are soon requested in halves instead.
        client = self._client.giving_up_after(FAILURES_AT_FIRST)
        expected = count(client.query, LINE_MODULE, where)
        selection = PageQuery(client.query, LINE_MODULE, columns, where, self._page_size)
        rows: Page = []
        page: Page = []
        # Lines that came in after the count may have pushed those of other documents out.
        while len(rows) < expected or selection.may_be_cut(page):
            if not (page := selection.page(rows[-1]["id"] if rows else None)):
                break
            rows += page
        if len(rows) < expected:
            reading = ModuleReader(client, LINE_MODULE, columns, where, page_size=self._page_size)
            rows = [row for page in reading for row in page]
            if reading.unreadable:
                return None
        return _by_document(rows, ids)

    def of_one(self, document_id: str) -> tuple[Page | None, list[BadRecord]]:
        """Return the lines of a document that cannot be retrieved, and those that are not whole."""
        if not can_be_queried(self._fields):
            return None, []
        try:
            lines, bad = self.with_bad([document_id])
        except (Refused, IncompleteRead, Unavailable):
            return None, []
        return lines[document_id] if lines else None, [line for _, line in bad]

    def with_bad(
        self, ids: Sequence[str]
    ) -> tuple[dict[str, Page] | None, list[tuple[str, BadRecord]]]:
        """Return the lines of documents, and those that are not whole with their documents' ids.

        A line of which nothing comes but its id has its place among the others.
        """
        recovery = Recovery(self._client, LINE_MODULE)
        where = [Condition(_PARENT, "IN", ids)]
        columns, size = self._fields, self._page_size
        reading = ModuleReader(
            self._client, LINE_MODULE, columns, where, page_size=size, recovery=recovery
        )
        lines = {line["id"]: line for page in reading for line in page}
        bad = []
        for record in recovery.failed:
            line = {**dict.fromkeys(columns), **lines.get(record.id, {}), "id": record.id}
            line[_PARENT] = line[_PARENT] or self._parent_of(record.id, ids)
            lines[record.id] = line
            bad.append((line[_PARENT], record))
        return None if reading.unreadable else _by_document(lines.values(), ids), bad

    def may_fail_at_one_line(self, error: KafineaError) -> bool:
        """Whether a query of lines fails because of some of them: others are still given.

        Raises:
            Unavailable: The server is away.
        """
        if isinstance(error, IncompleteRead):
            return False
        try:
            return bool(self._client.query(select(LINE_MODULE, ["id"], limit=1)))
        except Refused:
            return False
        except Unavailable as failure:
            if not may_lie_in_the_request(failure):
                raise
            self._client.listtypes()  # fails as well when the server is away
            return False  # it fails at the very first line, so this shows nothing of the others

    def _parent_of(self, line_id: str, ids: Sequence[str]) -> str:
        """Return which of some documents a line belongs to, if its own field is missing."""
        while len(ids) > 1:
            half, rest = ids[: len(ids) // 2], ids[len(ids) // 2 :]
            where = [Condition(_PARENT, "IN", half), Condition("id", "=", line_id)]
            ids = half if count(self._client.query, LINE_MODULE, where) else rest
        return ids[0]


def can_be_queried(lines: Sequence[str]) -> bool:
    """Whether a query gives lines with these fields, or none are wanted.

    A catalog has no such column when it was made where LineItem could not be described.
    """
    return not lines or _PARENT in lines


def _by_document(lines: Iterable[Record], ids: Sequence[str]) -> dict[str, Page] | None:
    """Return the lines of each document in their order; None if one belongs to another."""
    found: dict[str, Page] = {document_id: [] for document_id in ids}
    for line in lines:
        if (its := found.get(text(line.get(_PARENT)) or "")) is None:
            return None
        its.append(line)
    return {document_id: in_order(its) for document_id, its in found.items()}
