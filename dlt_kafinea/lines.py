"""The lines of documents as a table of their own (see `kafinea.extract.line_rows`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dlt

from dlt_kafinea.arrow import ArrowTable, Storage
from dlt_kafinea.columns import DELETED, deleted_hint, hints_of, types_of
from kafinea.describe import LINES, MODIFIED, Field
from kafinea.extract import line_rows
from kafinea.extract.line_rows import DOCUMENT, NUMBER, LineCounts, LineRows
from kafinea.extract.rows import Row
from kafinea.values import ValueType

_COUNTS = "line_counts"
"""In the state of the resource: how many lines documents have had."""
_KEY = (DOCUMENT, NUMBER)
_OWN = {DOCUMENT: ValueType.TEXT, NUMBER: ValueType.INTEGER, MODIFIED: ValueType.DATETIME}
_HINTS = {
    DOCUMENT: {"description": "Id of the document"},
    NUMBER: {"description": "Place of the line in its document, from 1"},
    MODIFIED: {"description": "That of the document"},
    **deleted_hint("line"),
}


def add_line_table(resource: Any, fields: Sequence[Field]) -> None:
    """Give a dlt resource a second table, that of the lines of its documents.

    Its format and disposition are those of the resource, as they are when this is called.
    """
    table = {"table_name": resource.name + LINES, "create_table_variant": True}
    resource.apply_hints(**table, columns={})  # not those of the documents
    resource.apply_hints(**table, columns=hints_of(fields) | _HINTS, primary_key=_KEY)


class LineTable:
    """Makes the tables of lines, in one extraction of their documents.

    Args:
        module: The module of the documents.
        fields: The fields of a line.
        state: The state of the resource; changed in place.
        storage: What the destination can store.
    """

    def __init__(
        self, module: str, fields: Sequence[Field], state: dict[str, Any], storage: Storage
    ) -> None:
        self._name = module + LINES
        types = _OWN | types_of(fields) | _OWN | {DELETED: ValueType.BOOLEAN}
        self._table = ArrowTable(self._name, types, _KEY, storage)
        self._rows = LineRows(LineCounts(state.setdefault(_COUNTS, {})), [*types])

    def of(self, documents: Sequence[Row]) -> Any:
        """Return the table of the lines of documents, which lose them.

        A place at which a document may have had a line, and has none, is a deleted row.
        """
        self._rows.expect(documents)
        rows = [
            row for document in documents for row in self._rows.of(document, document.pop(LINES))
        ]
        for row in rows:
            row[DELETED] = True if row.pop(line_rows.DELETED, None) else None
        return dlt.mark.with_table_name(self._table.of(rows), self._name)
