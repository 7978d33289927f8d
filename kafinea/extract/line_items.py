"""Documents - quotes, orders, invoices, credit notes - with what a query of them does not give.

Their lines are asked for with a query of the module `LineItem`, for a hundred documents at a time.
Where there is no such module, `retrieve` gives them with the document: under `LineItems`, or, on
coreBOS, under `pdoInformation`.

The discounts and charges of their headers come from `retrieve` alone, one document at a time. No
rule spares it: a discount that is written without lines, as `revise` allows, leaves all totals as
they were, so a total that shows no discount proves nothing. As long as one of these fields is
selected, each document is retrieved, and brings its lines along; but not where it is proven that
queries give them as well (see `discounts`).

A document or a line that an answer cannot hold costs no other: lines at which a query fails are
asked for in halves, and what `retrieve` does not give of a document, queries give in part.

Lines come with another answer than their header. A document that changes in between has a new
`modifiedtime`, and the next pass reads it again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kafinea.client import Client, Record
from kafinea.describe import LINE_MODULE, LINES
from kafinea.dividing import FAILURES_AT_FIRST
from kafinea.errors import IncompleteRead, KafineaError, Refused, Unavailable
from kafinea.extract.retrieving import Retrieval
from kafinea.module_reader import ModuleReader
from kafinea.page_query import PAGE_SIZE, Page, PageQuery, count, number
from kafinea.parsing import text, whole
from kafinea.query import Condition, select
from kafinea.recovery import BadRecord, Recovery

logger = logging.getLogger(__name__)

_PARENT = "parent_id"


class Documents:
    """Completes the documents of a module. Threads may share it.

    Args:
        client: The instance.
        module: The module's name.
        fields: The fields of the header to give.
        costly: Those of them that only `retrieve` gives.
        lines: The fields of the lines to give; none for no lines.
        page_size: Records to ask for at a time.
        recovery: Takes note of the documents of which not all could be had.

    Attributes:
        columns: What to ask for in the query of the documents.
        at_once: How many documents to give `complete` at a time.
    """

    def __init__(
        self,
        client: Client,
        module: str,
        fields: Sequence[str],
        costly: Iterable[str],
        lines: Sequence[str],
        page_size: int,
        recovery: Recovery,
    ) -> None:
        self._client = client
        self._module = module
        self._lines = lines
        self._page_size = page_size
        self._recovery = recovery
        avoidable = [*sorted(costly), *([] if can_be_queried(lines) else [LINES])]
        self._retrieves = bool(avoidable)
        lines_left = self._lines_left if lines else None
        self._retrieval = Retrieval(client, module, fields, avoidable, lines_left, recovery)
        self.columns = ["id"] if self._retrieves else list(fields)
        self.at_once = 1 if self._retrieves else PAGE_SIZE

    def complete(self, page: Page) -> Page:
        """Return documents with their lines, without those that were deleted meanwhile.

        Raises:
            IncompleteRead: Too many documents cannot be read whole.
        """
        return self._each_retrieved(page) if self._retrieves else self._with_lines(page)

    def report(self, total: int) -> None:
        """Say once that documents are retrieved one by one, and what it costs.

        Args:
            total: How many there are to read.
        """
        if self._retrieves:
            self._retrieval.report(total)

    def _each_retrieved(self, page: Page) -> Page:
        documents = self._retrieval.documents([record["id"] for record in page])
        for document in documents:
            if document.get(LINES):
                document[LINES] = _in_order(document[LINES])
        return documents

    def _with_lines(self, page: Page) -> Page:
        """Return documents with the lines that a query gives, else with those of `retrieve`."""
        ids = [record["id"] for record in page]
        try:
            lines = self._lines_of(ids)
        except (Refused, IncompleteRead, Unavailable) as error:
            if self._may_be_one_line(error):
                lines = self._recovered(ids)
            else:
                self._retrieves = True
                text = "%s: the documents are retrieved one by one, for lines cannot be queried: %s"
                logger.warning(text, self._module, error)
                lines = None
        if lines is None:
            return self._each_retrieved(page)
        return [{**record, LINES: _in_order(lines[record["id"]])} for record in page]

    def _may_be_one_line(self, error: KafineaError) -> bool:
        """Whether a query of lines fails because of some of them: others are still given."""
        if isinstance(error, IncompleteRead):
            return False
        try:
            return bool(self._client.query(select(LINE_MODULE, ["id"], limit=1)))
        except Refused:
            return False

    def _recovered(self, ids: Sequence[str]) -> dict[str, Page] | None:
        """Return the lines of documents as `_lines_of`, when the server fails at some of them."""
        lines, bad = self._lines_and_bad(ids)
        for document_id, line in bad:
            self._recovery.fail(BadRecord(document_id, (LINES,), str(line)))
        return lines

    def _lines_left(self, document_id: str) -> tuple[Page | None, list[BadRecord]]:
        """Return the lines of a document that cannot be retrieved, and those that are not whole."""
        if not can_be_queried(self._lines):
            return None, []
        try:
            lines, bad = self._lines_and_bad([document_id])
        except (Refused, IncompleteRead, Unavailable):
            return None, []
        return lines[document_id] if lines else None, [line for _, line in bad]

    def _lines_and_bad(
        self, ids: Sequence[str]
    ) -> tuple[dict[str, Page] | None, list[tuple[str, BadRecord]]]:
        """Return the lines of documents, and those that are not whole with their documents' ids.

        A line of which nothing comes but its id has its place among the others.
        """
        recovery = Recovery(self._client, LINE_MODULE)
        where = [Condition(_PARENT, "IN", ids)]
        columns, size = self._lines, self._page_size
        reading = ModuleReader(
            self._client, LINE_MODULE, columns, where, page_size=size, recovery=recovery
        )
        lines = {line["id"]: line for page in reading for line in page}
        bad = []
        for one in recovery.failed:
            line = {**dict.fromkeys(columns), **lines.get(one.id, {}), "id": one.id}
            line[_PARENT] = line[_PARENT] or self._parent_of(one.id, ids)
            lines[one.id] = line
            bad.append((line[_PARENT], one))
        return None if reading.unreadable else _by_document(lines.values(), ids), bad

    def _parent_of(self, line_id: str, ids: Sequence[str]) -> str:
        """Return which of some documents a line belongs to that does not say so itself."""
        while len(ids) > 1:
            half, rest = ids[: len(ids) // 2], ids[len(ids) // 2 :]
            where = [Condition(_PARENT, "IN", half), Condition("id", "=", line_id)]
            ids = half if count(self._client.query, LINE_MODULE, where) else rest
        return ids[0]

    def _lines_of(self, ids: Sequence[str]) -> dict[str, Page] | None:
        """Return the lines of up to a hundred documents, by document; None if some do not come."""
        # A hundred ids take 2,000 of the 7,000 bytes that a query may have.
        where = [Condition(_PARENT, "IN", ids)]
        columns = self._lines
        # Lines at which the server fails are soon asked for in halves instead.
        client = self._client.giving_up_after(FAILURES_AT_FIRST)
        owed = count(client.query, LINE_MODULE, where)
        selection = PageQuery(client.query, LINE_MODULE, columns, where, self._page_size)
        size = min(self._page_size, PAGE_SIZE)
        rows: Page = []
        page: Page = []
        # Lines that came in behind the count may have pushed those of other documents out.
        # A page may be full where it has a round number of them.
        while len(rows) < owed or (page and len(page) % size == 0):
            if not (page := selection.page(rows[-1]["id"] if rows else None)):
                break
            rows += page
        if len(rows) < owed:
            reading = ModuleReader(client, LINE_MODULE, columns, where, page_size=self._page_size)
            rows = [row for page in reading for row in page]
            if reading.unreadable:
                return None
        return _by_document(rows, ids)


def can_be_queried(lines: Sequence[str]) -> bool:
    """Whether a query gives lines with these fields, or none are wanted.

    A catalog has no such column when it was made where LineItem could not be described.
    """
    return not lines or _PARENT in lines


def _by_document(lines: Iterable[Record], ids: Sequence[str]) -> dict[str, Page] | None:
    """Return the lines of each document; None if one belongs to another."""
    found: dict[str, Page] = {one: [] for one in ids}
    for line in lines:
        if (its := found.get(text(line.get(_PARENT)) or "")) is None:
            return None
        its.append(line)
    return found


def _in_order(lines: Page) -> Page:
    return sorted(lines, key=lambda line: (_place(line), _number(line)))


def _place(line: Mapping[str, Any]) -> int:
    return whole(line.get("sequence_no")) or 0


def _number(line: Mapping[str, Any]) -> int:
    try:
        return number(line.get("id"))
    except IncompleteRead:
        return 0  # what `retrieve` gives need not have an id, or has one of its own kind
