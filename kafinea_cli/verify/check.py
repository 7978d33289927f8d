"""Comparing a module with its table: what differs, once it was looked at twice.

The first look reads `id` and `modifiedtime` of all records, and those of all rows, in the same
order. The instance is in use meanwhile. So what differs is requested once more, and is wrong only
if the instance then returns the same as before.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from kafinea.describe import MODIFIED
from kafinea.page_query import PAGE_SIZE
from kafinea.parsing import is_id, prefix_of
from kafinea_cli.verify.comparing import FoundId, Pair, pairs
from kafinea_cli.verify.due import Due
from kafinea_cli.verify.subject import Subject
from kafinea_cli.verify.values import Times, is_same
from kafinea_cli.verify.warehouse import StoredId, Table, Warehouse


@dataclass
class Result:
    """What was found for a module.

    Attributes:
        module: The module.
        until: The moment before which the warehouse must have all changes; None if that is unknown.
        records: How many records the instance has.
        rows: How many of them the warehouse has.
        missing: The ids of records that have no row.
        superfluous: The ids of rows that have no record.
        stale: The ids of records whose row has another `modifiedtime`.
        duplicate: The ids of records that have several rows.
        sampled: How many records were compared value by value.
        different: For records whose row has other values: the fields.
        later: How many records were created or changed after the last run, or meanwhile.
        hidden: How many rows have a record that this user may not read.
        unreadable: How many records the server cannot return.
        repaired: How many of the wrong records and rows were written for the loader.
        withheld: How many superfluous rows are too many to report all of them as deleted.
        error: Why the module could not be compared.
    """

    module: str
    until: datetime | None = None
    records: int = 0
    rows: int = 0
    missing: list[str] = field(default_factory=list)
    superfluous: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    duplicate: list[str] = field(default_factory=list)
    sampled: int = 0
    different: dict[str, list[str]] = field(default_factory=dict)
    later: int = 0
    hidden: int = 0
    unreadable: int = 0
    repaired: int = 0
    withheld: int = 0
    error: str | None = None

    @property
    def wrong(self) -> list[str]:
        """The ids of the records that the warehouse does not have as the instance has them."""
        kinds = (self.missing, self.stale, self.duplicate, self.different)
        return list(dict.fromkeys(record_id for kind in kinds for record_id in kind))

    @property
    def is_right(self) -> bool:
        """Whether the module was compared, and nothing is wrong."""
        return not (self.wrong or self.superfluous or self.unreadable or self.error)


class Check:
    """Compares one module.

    Args:
        subject: The module.
        warehouse: The warehouse.
        due: Which records it must have.
        deep: How many records to compare value by value.
    """

    def __init__(self, subject: Subject, warehouse: Warehouse, due: Due, *, deep: int = 0) -> None:
        self._subject = subject
        self._warehouse = warehouse
        self._due = due
        self._deep = deep
        modified = subject.table.modified
        self._times = Times(subject.clock.zone, modified.kind if modified else None)
        self._unreadable: set[str] = set()
        self._unmatched: list[FoundId] = []  # records that have no row, or another one
        self._stale: dict[str, StoredId] = {}  # the rows of those that have another one
        self._unknown: dict[str, StoredId] = {}  # rows that have no record
        self._sample: list[FoundId] = []
        self._seen = 0
        self._prefix = ""  # of the ids of the module
        self.result = Result(subject.module, due.until)

    def run(self) -> Result:
        """Return what is wrong.

        Raises:
            KafineaError: The instance or the warehouse cannot be read.
        """
        for pair in pairs(self._subject.ids(self._unreadable), self._warehouse.ids(self._table)):
            self._look_at(pair)
        self._check_unmatched()
        self._check_unknown()
        self._check_values()
        self.result.unreadable = len(self._unreadable)
        return self.result

    @property
    def _table(self) -> Table:
        return self._subject.table

    # The first look

    def _look_at(self, pair: Pair) -> None:
        found, stored, result = pair.found, pair.stored, self.result
        result.rows += bool(stored)
        if pair.copies > 1 and stored:
            result.duplicate.append(stored.id)
        if found is None:
            if stored:
                self._unknown[stored.id] = stored
            return
        self._prefix = self._prefix or prefix_of(found.id)
        if stored is None and not self._due.ever_has(self._times.of(found.modified)):
            return
        result.records += 1
        if found.id in self._unreadable:
            return
        if stored and self._times.is_same(found.modified, stored.modified):
            self._draw(found)
        elif not self._is_due(found):
            result.later += 1
        else:
            self._unmatched.append(found)
            if stored:
                self._stale[found.id] = stored

    def _is_due(self, found: FoundId) -> bool:
        return self._due.has(found.number, self._times.of(found.modified))

    def _draw(self, found: FoundId) -> None:
        """Keep a random sample of all records that are drawn, each with the same probability."""
        self._seen += 1
        if len(self._sample) < self._deep:
            self._sample.append(found)
        elif self._deep and (place := random.randrange(self._seen)) < self._deep:
            self._sample[place] = found

    # The second look

    def _check_unmatched(self) -> None:
        now = self._subject.look_again([found.id for found in self._unmatched])
        self._check_vanished([found.id for found in self._unmatched if found.id not in now])
        for found in self._unmatched:
            if (again := now.get(found.id)) is None:
                continue
            if again.modified != found.modified:
                self.result.later += 1
            elif found.id in self._stale:
                self.result.stale.append(found.id)
            else:
                self.result.missing.append(found.id)

    def _check_vanished(self, ids: Sequence[str]) -> None:
        """Find out what became of records that the second look did not return."""
        gone, hidden = self._subject.missing_of(ids)
        self.result.hidden += len(hidden)
        self._unreadable |= {*ids} - gone - hidden

    def _check_unknown(self) -> None:
        ids = [row_id for row_id in self._unknown if is_id(row_id)]
        prefix = self._prefix or (prefix_of(ids[0]) if ids else "")
        ids = [row_id for row_id in ids if prefix_of(row_id) == prefix]
        gone, hidden = self._subject.missing_of(ids)
        there = self._subject.look_again([i for i in ids if i not in gone and i not in hidden])
        possible = {*ids}
        for row_id, row in self._unknown.items():
            if row_id not in possible or row_id in gone:
                self.result.superfluous.append(row_id)
            elif row_id not in there:
                self.result.hidden += 1
            else:
                self._look_at_restored(there[row_id], row)

    def _look_at_restored(self, found: FoundId, row: StoredId) -> None:
        """Compare a record that the first look did not find."""
        self.result.records += 1
        if self._times.is_same(found.modified, row.modified):
            return
        if self._is_due(found):
            self.result.stale.append(found.id)
        else:
            self.result.later += 1

    # Values

    def _check_values(self) -> None:
        # What changed twice in a second has the same `modifiedtime`. The next run reads it again.
        due = {found.id: self._is_due(found) for found in self._sample}
        ids = [*due]
        for some in (ids[start : start + PAGE_SIZE] for start in range(0, len(ids), PAGE_SIZE)):
            first = self._differences(some)
            self.result.sampled += len(first)
            if differing := [record_id for record_id, fields in first.items() if fields]:
                second = self._differences(differing)
                wrong = {record_id: fields for record_id, fields in second.items() if fields}
                self.result.different |= {i: wrong[i] for i in wrong if due[i]}
                self.result.later += sum(not due[i] for i in wrong)

    def _differences(self, ids: Sequence[str]) -> Mapping[str, list[str]]:
        """Return the fields in which records differ.

        Records that were changed since the first look, or cannot be read whole, are left out.
        """
        fields = self._subject.fields
        stored = dict(self._warehouse.rows(self._table, fields, ids))
        types, columns = self._subject.types, self._table.columns
        found = {}
        for row in self._subject.rows(ids):
            values = dict(zip(fields, stored[row["id"]], strict=True))
            differing = [
                name
                for name, value in values.items()
                if not is_same(row[name], value, types.get(name), columns[name].kind)
            ]
            if MODIFIED not in differing:
                found[row["id"]] = differing
        return found
