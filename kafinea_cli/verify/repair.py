"""Repair: the wrong records as Singer messages, for the loader that wrote the warehouse.

The alternative was a state that resets each module to before its oldest wrong record. It would read
thousands of records again for one, miss rows that no record has, and replace the state of the tap.
These messages are SCHEMA and RECORD as the tap emits them, of the wrong records alone. There is no
STATE: the state of the tap, and with it the next run, stays as it is.

- A record that is missing, stale, duplicate or different is emitted again.
- A row that no record has gets a row in `deleted_records`, which is how the tap reports deletions.
  The loaders keep its contents, and it counts as deleted in the staging models of `kafinea dbt`.
  If there are more than the tap would report at once, none is: the instance may be another one.
- A document brings its lines, also those of a table of lines, with the places it has no more.
- The schema contains only the fields that the table has, whatever the catalog selects.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

from kafinea.describe import LINES, MODIFIED
from kafinea.extract.hidden_records import ALWAYS_REPORTED
from kafinea.extract.line_fields import line_module
from kafinea.extract.line_rows import DOCUMENT, NUMBER, LineCounts, LineRows
from kafinea.extract.rows import Row
from kafinea.page_query import PAGE_SIZE
from kafinea.parsing import moment, number_in
from kafinea_cli.exact import exact_json
from kafinea_cli.verify.check import Result
from kafinea_cli.verify.due import Due
from kafinea_cli.verify.subject import Subject, types_of_lines
from kafinea_cli.verify.warehouse import DELETED_RECORDS, Table, Warehouse, microseconds
from tap_kafinea.deletions import SCHEMA as SCHEMA_OF_DELETIONS
from tap_kafinea.line_table import schema_of_table
from tap_kafinea.schema import schema_of, with_lines

Message = dict[str, Any]

_NEWEST = 2**63


def lines_of(messages: Iterable[Message]) -> Iterator[bytes]:
    """Yield messages as lines."""
    return (exact_json(message) + b"\n" for message in messages)


class Repair:
    """The messages that repair one module.

    Args:
        subject: The module.
        warehouse: The warehouse.
        due: Which records it must have.
        result: What is wrong. It counts what the messages repair, as they are made.
        limit: The percentage of the rows that are reported as deleted at most.
    """

    def __init__(
        self, subject: Subject, warehouse: Warehouse, due: Due, result: Result, limit: float
    ) -> None:
        self._subject = subject
        self._warehouse = warehouse
        self._due = due
        self._result = result
        self._limit = limit

    def messages(self) -> Iterator[Message]:
        """Yield the messages.

        Raises:
            KafineaError: The instance or the warehouse cannot be read.
        """
        if wrong := self._result.wrong:
            yield from self._records(wrong)
        yield from self._deletions()

    def _records(self, ids: Sequence[str]) -> Iterator[Message]:
        subject = self._subject
        lines = subject.lines
        if lines:
            types = types_of_lines(subject.client, subject.described)
            columns = {name: type_ for name, type_ in types.items() if name in lines.columns}
            subject = replace(subject, line_types=columns)
            yield self._schema_of_lines(lines)
        yield self._schema()
        for start in range(0, len(ids), PAGE_SIZE):
            rows = filter(self._is_due, subject.rows(ids[start : start + PAGE_SIZE]))
            yield from self._rows_with_lines(list(rows), lines) if lines else map(self._row, rows)

    def _row(self, row: Row) -> Message:
        self._result.repaired += 1
        return _record(self._subject.module, row)

    def _is_due(self, row: Row) -> bool:
        """Whether the tap does not extract the record anyway, because it was changed meanwhile."""
        at = row.get(MODIFIED)
        return at is None or self._due.has(number_in(row["id"]), microseconds(moment(at)))

    def _rows_with_lines(self, rows: Sequence[Row], lines: Table) -> Iterator[Message]:
        ids = [row["id"] for row in rows]
        stored = self._warehouse.longest(lines, DOCUMENT, NUMBER, ids) if ids else {}
        counts = LineCounts({"most": 0, "newest": _NEWEST, "longer": {**stored}})
        made = LineRows(counts, [*lines.columns])
        made.expect(rows)
        for row in rows:
            for line in made.of(row, row.pop(LINES)):
                yield _record(lines.stream, line)
            yield self._row(row)

    # Schemas

    def _schema(self) -> Message:
        subject = self._subject
        schema = schema_of(subject.described)
        if subject.line_types:
            line = line_module(subject.client)
            schema = with_lines(schema, subject.described, line)
        return _schema(subject.module, schema, subject.table, ["id"])

    def _schema_of_lines(self, lines: Table) -> Message:
        schema = schema_of_table(self._subject.described, line_module(self._subject.client))
        return _schema(lines.stream, schema, lines, [DOCUMENT, NUMBER])

    # Deletions

    def _deletions(self) -> Iterator[Message]:
        """Yield the deletions of rows without a record, and take back those of records."""
        result, module = self._result, self._subject.module
        gone: Sequence[str] = ()
        if len(result.superfluous) > max(ALWAYS_REPORTED, result.rows * self._limit / 100):
            result.withheld = len(result.superfluous)
        else:
            gone = self._certainly_gone()
        missing = {*result.missing}
        marked = sorted(missing & self._warehouse.marked(module)) if missing else []
        if not (gone or marked):
            return
        keys = ["module", "id"]
        yield _schema(DELETED_RECORDS, SCHEMA_OF_DELETIONS, None, keys)
        now = datetime.now(timezone.utc).isoformat()
        deletions = [*((i, now) for i in gone), *((i, None) for i in marked)]
        for record_id, at in deletions:
            yield _record(DELETED_RECORDS, {"module": module, "id": record_id, "detected_at": at})
        result.repaired += len(gone)

    def _certainly_gone(self) -> Sequence[str]:
        """Return the superfluous rows, now that each of their records is looked up.

        Of many, the comparison has looked up a few: others may be hidden from this user.
        """
        result = self._result
        hidden = self._subject.hidden_among(result.superfluous)
        result.hidden += len(hidden)
        result.superfluous = [row_id for row_id in result.superfluous if row_id not in hidden]
        return result.superfluous


def _schema(
    stream: str, schema: Mapping[str, Any], table: Table | None, keys: Sequence[str]
) -> Message:
    properties = {
        name: definition
        for name, definition in schema["properties"].items()
        if table is None or name in table.columns
    }
    message = {
        "type": "SCHEMA",
        "stream": stream,
        "schema": {**schema, "properties": properties},
        "key_properties": keys,
    }
    return message | ({"bookmark_properties": [MODIFIED]} if MODIFIED in properties else {})


def _record(stream: str, row: Row) -> Message:
    extracted = datetime.now(timezone.utc).isoformat()
    return {"type": "RECORD", "stream": stream, "record": row, "time_extracted": extracted}
