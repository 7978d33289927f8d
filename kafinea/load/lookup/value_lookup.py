"""Looking up the records that have one of many values, and the proof that none is missing.

An empty answer proves nothing: a query that fails in SQL gives one, and records that the user may
not read are taken out of a page. So what is missing is counted. A page that fails is divided until
what is at fault stands alone (see `dividing`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from kafinea.client import Client, Record
from kafinea.columns import Columns
from kafinea.dividing import divided
from kafinea.errors import Code, IncompleteRead, Refused
from kafinea.load.results import Error
from kafinea.module_reader import ModuleReader
from kafinea.page_query import PAGE_SIZE, count, may_be_limit
from kafinea.parsing import are_ids, wrong
from kafinea.query import LONGEST_QUERY, Condition, encoded_size, select
from kafinea.retry import TRIES

KEYS_AT_A_TIME = PAGE_SIZE - 1
"""A page with room for one more proves that no key has a second record."""

_PAGING = 80  # bytes that `AND id > ... ORDER BY id LIMIT ...` adds to a query
_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class SoughtValue:
    """One value that is looked up.

    Attributes:
        folded: The form that shows which records of an answer belong to it.
        spellings: The forms in which it is looked up.
    """

    folded: str
    spellings: tuple[str, ...]


@dataclass(frozen=True)
class ValueQuery:
    """What is asked of a module.

    Attributes:
        module: The module's name.
        field: The field that has one of the values.
        columns: The fields to give, as far as the server gives them.
        folded: Brings a value of the field into the form of `SoughtValue.folded`.
    """

    module: str
    field: str
    columns: Columns
    folded: Callable[[Any], str] = str

    @property
    def is_by_id(self) -> bool:
        """Whether each value is an id, which one record has at most."""
        return self.field == "id"

    def where(self, asked: Iterable[SoughtValue]) -> list[Condition]:
        """Return the condition for the records that have one of the values."""
        return [Condition(self.field, "IN", [text for value in asked for text in value.spellings])]

    def query(self, asked: Iterable[SoughtValue]) -> str:
        """Return the query for a page of these records."""
        where = self.where(asked)
        columns = self.columns.asked
        return select(self.module, columns, where=where, order_by=["id"], limit=PAGE_SIZE)

    def chunks(self, asked: Iterable[SoughtValue]) -> Iterator[list[SoughtValue]]:
        """Cut values into lists of up to a hundred, each short enough for a URL.

        No two values of a list have the same folded form. So it is certain for which of them the
        database gave a record, although it may take both for the same.
        """
        most = PAGE_SIZE if self.is_by_id else KEYS_AT_A_TIME
        for layer in _layers(asked):
            for start in range(0, len(layer), most):
                yield from self._short_enough(layer[start : start + most])

    def _short_enough(self, asked: list[SoughtValue]) -> Iterator[list[SoughtValue]]:
        if len(asked) == 1 or encoded_size(self.query(asked)) + _PAGING <= LONGEST_QUERY:
            yield asked
            return
        middle = len(asked) // 2
        for half in (asked[:middle], asked[middle:]):
            yield from self._short_enough(half)


def _layers(asked: Iterable[SoughtValue]) -> Iterator[list[SoughtValue]]:
    alike: dict[str, list[SoughtValue]] = defaultdict(list)
    for value in sorted(asked, key=lambda each: each.spellings):
        alike[value.folded].append(value)
    for depth in range(max(map(len, alike.values()), default=0)):
        yield [group[depth] for group in alike.values() if len(group) > depth]


@dataclass
class LookupAnswers:
    """What there is for each value.

    Attributes:
        rows: The records that the database gives for it.
        unreadable: The values that records have which this user may not read.
        failures: The values at which the server fails, and how.
    """

    rows: dict[SoughtValue, list[Record]] = field(default_factory=dict)
    unreadable: set[SoughtValue] = field(default_factory=set)
    failures: dict[SoughtValue, Error] = field(default_factory=dict)

    def add(self, other: LookupAnswers) -> None:
        """Add the answers to other values."""
        self.rows |= other.rows
        self.unreadable |= other.unreadable
        self.failures |= other.failures


class ValueLookup:
    """Runs one query for one chunk of values.

    Args:
        client: The instance.
        question: What is asked.
        is_patient: Ask for all together, as often as any request is sent, and raise what fails.
    """

    def __init__(self, client: Client, question: ValueQuery, *, is_patient: bool = False) -> None:
        self._client = client
        self._question = question
        self._is_patient = is_patient
        self._answers = LookupAnswers()

    def answers(self, asked: Sequence[SoughtValue]) -> LookupAnswers:
        """Return what there is for each of the values.

        Raises:
            KafineaError: The server is down, has no room, or refuses what does not lie in them.
        """
        pages = list(self._parts(asked, self._page))
        self._take(pages)
        is_whole = all(len(page) < PAGE_SIZE for _, page in pages)
        # A page that has all ids, or a record for each key and room for more, proves itself.
        has_room = is_whole and not any(may_be_limit(len(page)) for _, page in pages)
        if not self._missing() and (has_room or self._question.is_by_id):
            return self._answers
        counted = self._count(self._answered())
        if counted > self._received() or not is_whole:
            self._read_all(counted)
        return self._answers

    def _read_all(self, counted: int) -> None:
        """Read what one page does not give, and find out which values are unreadable."""
        if not (answered := self._answered()):
            return
        self._take(list(self._parts(answered, self._reading)))
        if self._received() >= counted:
            return
        for value in self._missing():
            if self._count([value]):
                self._answers.unreadable.add(value)

    # What was given for which value

    def _take(self, parts: Iterable[tuple[Sequence[SoughtValue], list[Record]]]) -> None:
        for part, rows in parts:
            # Some servers repeat a record, for each of its lines for instance.
            given: dict[str, dict[str, Record]] = {value.folded: {} for value in part}
            for row in rows:
                folded = self._question.folded(row.get(self._question.field))
                if folded in given:
                    given[folded][row["id"]] = row
                elif not self._question.is_by_id:  # the only one in the query
                    given[part[0].folded][row["id"]] = row
            self._answers.rows |= {value: [*given[value.folded].values()] for value in part}

    def _parts(
        self,
        asked: Sequence[SoughtValue],
        ask: Callable[[Sequence[SoughtValue], int], list[Record]],
    ) -> Iterator[tuple[Sequence[SoughtValue], list[Record]]]:
        """Look values up in parts so small that for each record it is known which one it is for."""
        for part, rows in self._divided(asked, ask):
            if len(part) > 1 and self._has_strangers(part, rows):
                middle = len(part) // 2
                for half in (part[:middle], part[middle:]):
                    yield from self._parts(half, ask)
            else:
                yield part, rows

    def _has_strangers(self, part: Sequence[SoughtValue], rows: Iterable[Record]) -> bool:
        """Whether the database gave records by a rule of its own."""
        question = self._question
        known = {value.folded for value in part}
        return not question.is_by_id and any(
            question.folded(row.get(question.field)) not in known for row in rows
        )

    def _answered(self) -> list[SoughtValue]:
        return list(self._answers.rows)

    def _missing(self) -> list[SoughtValue]:
        return [value for value, rows in self._answers.rows.items() if not rows]

    def _received(self) -> int:
        return len({row["id"] for rows in self._answers.rows.values() for row in rows})

    # Requests

    def _page(self, asked: Sequence[SoughtValue], most_failures: int) -> list[Record]:
        client, columns = self._client.giving_up_after(most_failures), self._question.columns
        known = columns.asked
        try:
            rows = client.query(self._question.query(asked))
        except Refused as error:
            # Another refusal is of a value: `describe` promises columns that are denied (measured).
            is_denied = error.code == Code.ACCESS_DENIED
            if not (is_denied and columns.leave_out_refused(known, error)):
                raise
            rows = client.query(self._question.query(asked))
        if not are_ids([row.get("id") for row in rows]):
            raise wrong(f"query of {self._question.module}", "ids of records")
        if known != ("*",):
            return rows
        names = [*dict.fromkeys(("id", *columns.names))]
        return [{name: row[name] for name in names if name in row} for row in rows]

    def _reading(self, asked: Sequence[SoughtValue], most_failures: int) -> list[Record]:
        client, question = self._client.giving_up_after(most_failures), self._question
        reading = ModuleReader(
            client, question.module, question.columns.names, question.where(asked)
        )
        try:
            return [row for page in reading for row in page]
        except IncompleteRead:
            return []

    def _count(self, asked: Sequence[SoughtValue]) -> int:
        """Count the records that have one of the values; what fails at it has no answer."""

        def ask(part: Sequence[SoughtValue], most_failures: int) -> int:
            query = self._client.giving_up_after(most_failures).query
            where = self._question.where(part)
            return count(query, self._question.module, where, tries=most_failures)

        return sum(counted for _, counted in self._divided(asked, ask)) if asked else 0

    def _divided(
        self, asked: Sequence[SoughtValue], ask: Callable[[Sequence[SoughtValue], int], _Answer]
    ) -> list[tuple[Sequence[SoughtValue], _Answer]]:
        if self._is_patient:
            return [(asked, ask(asked, TRIES))]
        answers, failures = divided(asked, ask, self._client.listtypes)
        self._answers.failures |= failures
        for value in failures:
            self._answers.rows.pop(value, None)
        return answers
