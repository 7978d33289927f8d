"""Documents one by one, by `retrieve`, and what queries give of one that it does not give."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from kafinea.client import Client, Record
from kafinea.describe import LINES, PDO_LINES, only_retrieved
from kafinea.dividing import FAILURES_AT_FIRST
from kafinea.errors import KafineaError, Refused, Unavailable
from kafinea.line_order import in_order
from kafinea.page_query import Page, is_there
from kafinea.query import Condition, select
from kafinea.recovery import BadRecord, Recovery

logger = logging.getLogger(__name__)

_PARENT = "parent_id"
_PLACE = "sequence_no"
_FEW = 20
"""Documents after which the pace is known."""


class Retrieval:
    """Retrieves the documents of a module. Threads may share it.

    Args:
        client: The instance.
        module: The module's name.
        fields: The fields of the header to give.
        costly: Those, and `LineItems`, that are why the documents are retrieved.
        lines: Returns the lines of a document that queries give, None if they give none, and those
            of them that are not whole; without it, no lines are wanted.
        recovery: Takes note of the documents of which not all could be had.
    """

    def __init__(
        self,
        client: Client,
        module: str,
        fields: Sequence[str],
        costly: Sequence[str],
        lines: Callable[[str], tuple[Page | None, list[BadRecord]]] | None,
        recovery: Recovery,
    ) -> None:
        self._client, self._brief = client, client.giving_up_after(FAILURES_AT_FIRST)
        self._module = module
        self._fields = fields
        self._costly = costly
        self._lines = lines
        self._came = self._without_lines = 0
        self._began: float | None = None
        self._is_reported = False
        self._recovery = recovery

    def documents(self, ids: Sequence[str]) -> Page:
        """Return documents, those left out that were deleted meanwhile.

        Raises:
            IncompleteRead: Too many cannot be retrieved.
        """
        self._began = self._began or time.monotonic()
        return [document for document_id in ids if (document := self._document(document_id))]

    def report(self, total: int) -> None:
        """Say once what it costs to retrieve so many documents, as soon as the pace is known."""
        came = self._came + len(self._recovery.failed)
        if self._is_reported or self._began is None or not came or came < min(_FEW, total):
            return
        self._is_reported = True
        seconds = (time.monotonic() - self._began) / came * max(came, total)
        logger.info(
            "%s: %s documents are retrieved one at a time, which takes about %s. %s",
            self._module,
            f"{max(came, total):,}",
            _duration(seconds),
            self._how_to_avoid_it,
        )
        if self._came and self._without_lines == self._came:
            logger.warning(
                "%s: the server returns these documents without lines. If it never returns lines, "
                "set `line_items` to `off`.",
                self._module,
            )

    @property
    def _how_to_avoid_it(self) -> str:
        return f"To read them by queries, deselect {', '.join(self._costly)}."

    def _document(self, document_id: str) -> Record | None:
        try:
            document = self._brief.retrieve(document_id)
        except (Refused, Unavailable) as error:
            # Where nothing can be read at the moment, this waits until that has passed.
            if not is_there(self._client.query, self._module, document_id):
                return None
            passed = isinstance(error, Unavailable) and self._tried_again(document_id)
            if not passed:
                return self._from_queries(document_id, error)
            document = passed
        self._came += 1
        return self._with_its_lines(document_id, document) if self._lines else document

    def _tried_again(self, document_id: str) -> Record | None:
        try:
            return self._brief.retrieve(document_id)
        except (Refused, Unavailable):
            return None

    def _with_its_lines(self, document_id: str, document: Record) -> Record:
        lines = document.pop(PDO_LINES, document.get(LINES))
        if not lines:
            self._without_lines += LINES not in document
            return {**document, LINES: []}
        # A PHP array with gaps is an object.
        lines = list(lines.values()) if isinstance(lines, dict) else lines
        if not isinstance(lines, list) or not all(isinstance(line, dict) for line in lines):
            bad = BadRecord(document_id, (LINES,), "The server did not return the lines as a list.")
            self._recovery.fail(bad)
            return {**document, LINES: None}
        # Servers write `7xArray` there.
        own = [{_PLACE: place, **line, _PARENT: document_id} for place, line in enumerate(lines, 1)]
        return {**document, LINES: in_order(own)}

    def _from_queries(self, document_id: str, error: KafineaError) -> Record:
        """Return what queries give of a document; the rest is null.

        Raises:
            IncompleteRead: It is one too many.
        """
        asked = [name for name in self._fields if not only_retrieved([name])]
        found = self._queried(document_id, asked)
        lost = [name for name in self._fields if name != "id" and name not in found]
        document = {**dict.fromkeys(self._fields), **found, "id": document_id}
        reason = str(error)
        if self._lines:
            document[LINES], bad = self._lines(document_id)
            lost += [LINES] if document[LINES] is None or bad else []
            reason = " ".join([reason, *map(str, bad[:1])])
        if lost:
            self._recovery.fail(BadRecord(document_id, tuple(sorted(lost)), reason))
        return document

    def _queried(self, document_id: str, columns: Sequence[str]) -> Record:
        """Return the fields of a document that a query gives."""
        if found := self._answer(document_id, columns):
            return found
        return self._in_halves(document_id, columns) if self._answer(document_id, ["id"]) else {}

    def _in_halves(self, document_id: str, columns: Sequence[str]) -> Record:
        """Return those fields of a document that a query gives, when it does not give all."""
        if len(columns) == 1:
            return {}
        middle = len(columns) // 2
        record: Record = {}
        for half in (columns[:middle], columns[middle:]):
            record |= self._answer(document_id, half) or self._in_halves(document_id, half)
        return record

    def _answer(self, document_id: str, columns: Sequence[str]) -> Record:
        text = select(self._module, columns, where=[Condition("id", "=", document_id)])
        try:
            answer = self._brief.query(text)
        except (Refused, Unavailable):
            return {}
        return answer[0] if answer and answer[0].get("id") == document_id else {}


def _duration(seconds: float) -> str:
    return f"{seconds:,.0f} s" if seconds < 120 else f"{seconds / 60:,.0f} minutes"
