"""Documents - quotes, orders, invoices, credit notes - with what a query of them does not give.

Their lines are asked for with a query of the module `LineItem`, for a hundred documents at a time.
Where there is no such module, `retrieve` gives them with the document: under `LineItems`, or, on
coreBOS, under `pdoInformation`.

The discounts and charges of their headers come from `retrieve` alone, one document at a time. No
rule spares it: a discount that is written without lines, as `revise` allows, leaves all totals as
they were, so a total that shows no discount proves nothing. As long as one of these fields is
selected, each document is retrieved, and brings its lines along.

A document or a line that an answer cannot hold costs no other: a hundred documents whose lines
cannot be queried together are halved, and what `retrieve` does not give, queries give in part.

Lines come with another answer than their header. A document that changes in between has a new
`modifiedtime`, and the next pass reads it again.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from kafinea.chain import PAGE_SIZE, Page, Selection, count, number
from kafinea.client import Client
from kafinea.describe import LINE_MODULE, LINES, only_retrieved
from kafinea.errors import IncompleteRead, KafineaError, Refused, Unavailable
from kafinea.query import Condition, select
from kafinea.reading import Reading
from kafinea.recovery import BadRecord
from tap_kafinea.retrieving import Retrieval

logger = logging.getLogger(__name__)

_PARENT = "parent_id"
_IMPATIENT = 2
"""Tries of what is likely to fail again."""


class Documents:
    """Completes the documents of a module. Threads may share it.

    Args:
        client: The instance.
        module: The module's name.
        fields: The fields of the header to give.
        lines: The fields of the lines to give; none for no lines.
        page_size: Records to ask for at a time.

    Attributes:
        columns: What to ask for in the query of the documents.
        at_once: How many documents to give `complete` at a time.
    """

    def __init__(
        self,
        client: Client,
        module: str,
        fields: Sequence[str],
        lines: Sequence[str],
        page_size: int,
    ) -> None:
        self._client = client
        self._module = module
        self._lines = lines
        self._page_size = page_size
        # A catalog tells of no such column when it was made where LineItem could not be described.
        self._has_module = _PARENT in lines
        costly = sorted(only_retrieved(fields))
        if lines and not self._has_module:
            costly.append(LINES)
        self._retrieves = bool(costly)
        lines_left = self._lines_left if lines else None
        self._retrieval = Retrieval(client, module, fields, costly, lines_left)
        self.columns = ["id"] if self._retrieves else list(fields)
        self.at_once = 1 if self._retrieves else PAGE_SIZE

    @property
    def failed(self) -> list[BadRecord]:
        """The documents of which not all could be had."""
        return self._retrieval.failed

    def complete(self, page: Page) -> Page:
        """Return documents with their lines, without those that were deleted meanwhile.

        Raises:
            IncompleteRead: No document can be retrieved, although the server gives their ids.
        """
        if self._retrieves:
            return self._each_retrieved(page)
        return self._with_lines(page, self._client)

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

    def _with_lines(self, page: Page, client: Client) -> Page:
        """Return documents with the lines that a query gives, else with those of `retrieve`."""
        try:
            lines = self._lines_of([record["id"] for record in page], client)
        except (Refused, IncompleteRead, Unavailable) as error:
            if not self._may_be_one_line(error):
                self._retrieves = True
                text = "%s: the documents are retrieved one by one, for lines cannot be queried: %s"
                logger.warning(text, self._module, error)
            elif len(page) > 1:
                middle = len(page) // 2
                brief = self._client.giving_up_after(_IMPATIENT)
                return self._with_lines(page[:middle], brief) + self._with_lines(
                    page[middle:], brief
                )
            return self._each_retrieved(page)
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

    def _lines_left(self, document_id: str) -> Page | None:
        """Return the lines that queries give of a document that cannot be retrieved."""
        if not self._has_module:
            return None
        try:
            lines = self._lines_of([document_id], self._client.giving_up_after(_IMPATIENT))
        except (Refused, IncompleteRead, Unavailable):
            return None
        return lines[document_id] if lines else None

    def _lines_of(self, ids: Sequence[str], client: Client) -> dict[str, Page] | None:
        """Return the lines of up to a hundred documents, by document; None if some do not come."""
        # A hundred ids take 2,000 of the 7,000 bytes that a query may have.
        where = [Condition(_PARENT, "IN", ids)]
        columns = self._lines
        owed = count(client.query, LINE_MODULE, where)
        selection = Selection(client.query, LINE_MODULE, columns, where, self._page_size)
        full = min(self._page_size, PAGE_SIZE)
        rows: Page = []
        page: Page = []
        # Lines that came in behind the count may have pushed those of other documents out.
        while len(rows) < owed or len(page) >= full:
            if not (page := selection.page(rows[-1]["id"] if rows else None)):
                break
            rows += page
        if len(rows) < owed:
            reading = Reading(client, LINE_MODULE, columns, where, page_size=self._page_size)
            rows = [row for page in reading for row in page]
            if reading.unreadable:
                return None
        found: dict[str, Page] = {one: [] for one in ids}
        for row in rows:
            if row.get(_PARENT) not in found:
                return None
            found[row[_PARENT]].append(row)
        return found


def _in_order(lines: Page) -> Page:
    return sorted(lines, key=lambda line: (_place(line), number(line.get("id", "x0"))))


def _place(line: Mapping[str, Any]) -> int:
    text = str(line.get("sequence_no"))
    return int(text) if text.isdecimal() else 0
