"""Documents - quotes, orders, invoices, credit notes - with what a query of them does not give.

Their lines are requested with a query of the module `LineItem`, for a hundred documents at a time.
Where there is no such module, `retrieve` gives them with the document: under `LineItems`, or, on
coreBOS, under `pdoInformation`.

The discounts and charges of their headers come from `retrieve` alone, one document at a time. No
rule spares it: a discount that is written without lines, as `revise` allows, leaves all totals as
they were, so a total that shows no discount proves nothing. As long as one of these fields is
selected, each document is retrieved, and brings its lines along; but not where it is proven that
queries give them as well (see `discounts`).

A document or a line that an answer cannot hold costs no other: lines at which a query fails are
requested in halves, and what `retrieve` does not give of a document, queries give in part.

Lines come with another answer than their header. A document that changes in between has a new
`modifiedtime`, and the next pass reads it again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from kafinea.client import Client
from kafinea.describe import LINES
from kafinea.errors import IncompleteRead, Refused, Unavailable
from kafinea.extract.line_query import LineQuery, can_be_queried
from kafinea.extract.retrieving import Retrieval
from kafinea.page_query import PAGE_SIZE, Page
from kafinea.recovery import BadRecord, Recovery

logger = logging.getLogger(__name__)


class Documents:
    """Completes the documents of a module. Threads may share it.

    Args:
        client: The instance.
        module: The module's name.
        fields: The fields of the header to give.
        costly: Those of them that only `retrieve` gives.
        lines: The fields of the lines to give; none for no lines.
        page_size: Records to request at a time.
        recovery: Takes note of the documents of which not all could be had.

    Attributes:
        columns: What to request in the query of the documents.
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
        self._module = module
        self._recovery = recovery
        self._query = LineQuery(client, lines, page_size)
        avoidable = [*sorted(costly), *([] if can_be_queried(lines) else [LINES])]
        self._retrieves = bool(avoidable)
        lines_left = self._query.of_one if lines else None
        self._retrieval = Retrieval(client, module, fields, avoidable, lines_left, recovery)
        self.columns = ["id"] if self._retrieves else list(fields)
        self.at_once = 1 if self._retrieves else PAGE_SIZE

    def complete(self, page: Page) -> Page:
        """Return documents with their lines, without those that were deleted meanwhile.

        Raises:
            IncompleteRead: Too many documents cannot be read whole.
        """
        if self._retrieves:
            return self._retrieval.documents([record["id"] for record in page])
        return self._with_lines(page)

    def report(self, total: int) -> None:
        """Say once that documents are retrieved one by one, and what it costs.

        Args:
            total: How many there are to read.
        """
        if self._retrieves:
            self._retrieval.report(total)

    def _with_lines(self, page: Page) -> Page:
        """Return documents with the lines that a query gives, else with those of `retrieve`."""
        ids = [record["id"] for record in page]
        try:
            lines = self._query.of(ids)
        except (Refused, IncompleteRead, Unavailable) as error:
            if self._query.may_fail_at_one_line(error):
                lines = self._recovered(ids)
            else:
                self._retrieves = True
                text = (
                    "%s: the documents are retrieved one at a time, because lines cannot be "
                    "queried: %s"
                )
                logger.warning(text, self._module, error)
                lines = None
        if lines is None:
            return self._retrieval.documents(ids)
        return [{**record, LINES: lines[record["id"]]} for record in page]

    def _recovered(self, ids: Sequence[str]) -> dict[str, Page] | None:
        """Return the lines of documents where the server fails at some of them."""
        lines, bad = self._query.with_bad(ids)
        for document_id, line in bad:
            self._recovery.fail(BadRecord(document_id, (LINES,), str(line)))
        return lines
