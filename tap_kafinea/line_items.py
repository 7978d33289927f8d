"""Documents - quotes, orders, invoices, credit notes - with what a query of them does not give.

Their lines are asked for with a query of the module `LineItem`, for a hundred documents at a time.

The discounts and charges of their headers come from `retrieve` alone, one document at a time. No
rule spares it: a discount that is written without lines, as `revise` allows, leaves all totals as
they were, so a total that shows no discount proves nothing. As long as one of these fields is
selected, each document is retrieved, and brings its lines along.

Lines come with another answer than their header. A document that changes in between has a new
`modifiedtime`, and the next pass reads it again.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from kafinea.chain import PAGE_SIZE, Page, Selection, count, number
from kafinea.client import Client, Record
from kafinea.describe import LINE_MODULE, LINES, only_retrieved
from kafinea.errors import IncompleteRead, Refused, Unavailable
from kafinea.query import Condition
from kafinea.reading import Reading

logger = logging.getLogger(__name__)

_PARENT = "parent_id"


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
        has_module = not lines or _PARENT in lines
        self._retrieves = bool(only_retrieved(fields)) or not has_module
        self.columns = ["id"] if self._retrieves else list(fields)
        self.at_once = 1 if self._retrieves else PAGE_SIZE

    def complete(self, page: Page) -> Page:
        """Return documents with their lines, without those that were deleted meanwhile.

        Raises:
            IncompleteRead: A document is there and cannot be retrieved.
        """
        return self._with_lines(page) or [
            document for record in page if (document := self._retrieved(record["id"]))
        ]

    def _with_lines(self, page: Page) -> Page | None:
        """Return documents with the lines that a query gives; None if it does not give all."""
        if self._retrieves:
            return None
        try:
            lines = self._lines_of([record["id"] for record in page])
        except (Refused, IncompleteRead, Unavailable) as error:
            self._retrieves = True
            text = "%s: the documents are retrieved one by one, for lines cannot be queried: %s"
            logger.warning(text, self._module, error)
            return None
        if lines is None:
            return None
        return [{**record, LINES: _in_order(lines[record["id"]])} for record in page]

    def _lines_of(self, ids: Sequence[str]) -> dict[str, Page] | None:
        """Return the lines of up to a hundred documents, by document; None if some do not come."""
        # A hundred ids take 2,000 of the 7,000 bytes that a query may have.
        where = [Condition(_PARENT, "IN", ids)]
        query, columns = self._client.query, self._lines
        owed = count(query, LINE_MODULE, where)
        selection = Selection(query, LINE_MODULE, columns, where, self._page_size)
        full = min(self._page_size, PAGE_SIZE)
        rows: Page = []
        page: Page = []
        # Lines that came in behind the count may have pushed those of other documents out.
        while len(rows) < owed or len(page) >= full:
            if not (page := selection.page(rows[-1]["id"] if rows else None)):
                break
            rows += page
        if len(rows) < owed:
            reading = Reading(self._client, LINE_MODULE, columns, where, page_size=self._page_size)
            rows = [row for page in reading for row in page]
            if reading.unreadable:
                return None
        found: dict[str, Page] = {one: [] for one in ids}
        for row in rows:
            if row.get(_PARENT) not in found:
                return None
            found[row[_PARENT]].append(row)
        return found

    def _retrieved(self, document_id: str) -> Record | None:
        """Return a document, with its lines if they are wanted; None if it was deleted."""
        try:
            document = self._client.retrieve(document_id)
        except (Refused, Unavailable) as error:
            # Where nothing can be read at the moment, this fails too.
            if count(self._client.query, self._module, [Condition("id", "=", document_id)]):
                raise IncompleteRead(
                    f"{document_id} cannot be retrieved: {error} To read {self._module} by queries "
                    "alone, deselect the discounts and charges of its headers."
                ) from None
            return None
        if not self._lines:
            return document
        lines = document.get(LINES)
        # A PHP array with gaps is an object.
        lines = list(lines.values()) if isinstance(lines, dict) else lines
        if not isinstance(lines, list) or not all(isinstance(line, dict) for line in lines):
            raise IncompleteRead(f"{document_id} is given without its lines.")
        # Servers write `7xArray` there.
        own = [{**line, _PARENT: document_id} for line in lines]
        return {**document, LINES: _in_order(own)}


def _in_order(lines: Page) -> Page:
    return sorted(lines, key=lambda line: (_place(line), number(line.get("id"))))


def _place(line: Mapping[str, Any]) -> int:
    text = str(line.get("sequence_no"))
    return int(text) if text.isdecimal() else 0
