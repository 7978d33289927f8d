"""Lines of documents as a table: one row for each, keyed by its document and its place in it.

A document that comes again brings all its lines, and their places take those of the lines before.
Where there are fewer than there were, the places behind are reported as deleted, by
`_sdc_deleted_at`: the version of a table would also drop the lines of documents that did not come.
For that it is known how many lines a document had at most. That is exact for those with the most
lines, which the state holds, and one number for all others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from kafinea.describe import LINES, MODIFIED
from kafinea.extract.checkpoint import now
from kafinea.extract.rows import Row
from kafinea.page_query import Page, number

DOCUMENT, NUMBER, DELETED = "document_id", "line_number", "_sdc_deleted_at"
"""The columns of a row beside those of the line and `modifiedtime`, which is the document's."""

MOST = "most"
"""In the state of a table of lines: how many lines a document has had at most."""

_LONGER, _NEWEST = "longer", "newest"
_MOST_LONGER = 500
"""Documents whose number of lines is kept in the state, for each module."""


class LineCounts:
    """How many lines each document has had at most.

    Args:
        state: Where that is kept; changed in place.
    """

    def __init__(self, state: dict[str, Any]) -> None:
        self._state = state
        state.setdefault(MOST, 0)
        state.setdefault(_NEWEST, 0)
        self._longer: dict[str, int] = state.setdefault(_LONGER, {})

    def of(self, document_id: str) -> int:
        """Return how many lines a document may have had: none, if it is newer than all before."""
        if number(document_id) > self._state[_NEWEST]:
            return 0
        most: int = self._state[MOST]
        return self._longer.get(document_id, most)

    def expect(self, lines: Mapping[str, int]) -> dict[str, int]:
        """Take note of how many lines documents will have, and return how many they had."""
        before = {document_id: self.of(document_id) for document_id in lines}
        self._state[_NEWEST] = max([self._state[_NEWEST], *map(number, lines)])
        for document_id, count in lines.items():
            self.keep(document_id, max(count, before[document_id]))
        return before

    def keep(self, document_id: str, lines: int) -> None:
        """Take note of how many lines a document has."""
        self._longer.pop(document_id, None)
        if lines > self._state[MOST]:
            self._longer[document_id] = lines
        if len(self._longer) > _MOST_LONGER:
            self._raise_most()

    def _raise_most(self) -> None:
        """Forget the shorter half of those that are known each."""
        most = sorted(self._longer.values())[_MOST_LONGER // 2]
        self._state[MOST] = most
        for shorter in [
            document_id for document_id, lines in self._longer.items() if lines <= most
        ]:
            del self._longer[shorter]


class LineRows:
    """Makes the rows of the lines of documents.

    Args:
        counts: How many lines each document has had.
        columns: The columns of a row.
    """

    def __init__(self, counts: LineCounts, columns: Sequence[str]) -> None:
        self._counts = counts
        self._empty: Row = dict.fromkeys(columns)
        self._before: dict[str, int] = {}

    def expect(self, documents: Iterable[Row]) -> bool:
        """Take note of how many lines typed documents bring, before their rows are made.

        Returns:
            Whether the state has changed, and must be written before the rows: a run that is killed
            after some of them leaves no other trace.
        """
        known = (document for document in documents if document[LINES] is not None)
        lines = {document["id"]: len(document[LINES]) for document in known}
        self._before = self._counts.expect(lines)
        return any(count > self._before[document_id] for document_id, count in lines.items())

    def of(self, document: Row, lines: Page | None) -> Iterator[Row]:
        """Yield a row for each line of a document, and for each that it has no more.

        Args:
            document: A document that was expected.
            lines: Its lines; None if they are not known, and its rows stay as they are.
        """
        if lines is None:
            return
        before = self._before[document["id"]]
        own = {DOCUMENT: document["id"], MODIFIED: document.get(MODIFIED)}
        for place, line in enumerate(lines, start=1):
            yield self._empty | line | own | {NUMBER: place}
        gone = {DELETED: now().isoformat()}
        for place in range(len(lines) + 1, before + 1):
            yield self._empty | own | gone | {NUMBER: place}
        self._counts.keep(document["id"], len(lines))
