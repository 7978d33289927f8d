"""Comparing two sequences of ids that are in the same order, without keeping them in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from kafinea_cli.verify.warehouse import StoredId


class FoundId(NamedTuple):
    """What a record of the instance is compared by first.

    Attributes:
        number: The number in its id, by which records are ordered.
        id: Its id.
        modified: Its `modifiedtime` as the server writes it; None if it has none.
    """

    number: int
    id: str
    modified: str | None


@dataclass(frozen=True, slots=True)
class Pair:
    """A record and its row.

    Attributes:
        found: The record; None if the instance has none with the id of the row.
        stored: The row that was changed last; None if the warehouse has none of the record.
        copies: How many rows the record has.
    """

    found: FoundId | None
    stored: StoredId | None
    copies: int


def pairs(found: Iterable[FoundId], stored: Iterable[StoredId]) -> Iterator[Pair]:
    """Yield each record with its row, in the order of the ids.

    Args:
        found: The records, by number.
        stored: The rows, by number and then by id.
    """
    rows = (list(same) for _, same in groupby(stored, key=itemgetter(0, 1)))
    row = next(rows, None)
    for record in found:
        while row and row[0][:2] < record[:2]:
            yield Pair(None, _latest(row), len(row))
            row = next(rows, None)
        if row and row[0][:2] == record[:2]:
            yield Pair(record, _latest(row), len(row))
            row = next(rows, None)
        else:
            yield Pair(record, None, 0)
    while row:
        yield Pair(None, _latest(row), len(row))
        row = next(rows, None)


def _latest(rows: list[StoredId]) -> StoredId:
    return max(rows, key=lambda row: (row.modified is not None, row.modified or 0))
