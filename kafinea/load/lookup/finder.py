"""Finding records that exist, many keys in one query: by id, by natural key, by their document."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import partial
from threading import Lock

from kafinea.client import Client, Record
from kafinea.columns import Columns
from kafinea.describe import LINE_MODULE, LINES, Field
from kafinea.dividing import FAILURES_AT_FIRST, may_lie_in_the_request
from kafinea.errors import Code, Refused, Unavailable
from kafinea.line_order import in_order
from kafinea.load.lookup import keys
from kafinea.load.lookup.keys import KeyValues
from kafinea.load.lookup.simulated_records import SimulatedRecords
from kafinea.load.lookup.value_lookup import LookupAnswers, SoughtValue, ValueLookup, ValueQuery
from kafinea.load.modules import Modules
from kafinea.load.plan import Key
from kafinea.load.results import NOT_READABLE, Error, Rejected, Rejection, rejection_of
from kafinea.page_query import PAGE_SIZE
from kafinea.query import LONGEST_QUERY, Condition, encoded_size, select

_ID = re.compile(r"\d+x\d+", re.ASCII)
_LEFT_OUT = "are left out of look-ups"
_LONGEST_NAMES = LONGEST_QUERY // 2  # the rest is for the values
_LINES_NOT_GIVEN = Rejection(
    NOT_READABLE,
    f"{LINES}: the server counts lines of this record but returns none. Either its query fails "
    "(check the server's log), or this user may not read them",
)
_MISREAD = frozenset({Code.QUERY_SYNTAX_ERROR, Code.INTERNAL_SERVER_ERROR})
Map = Callable[
    [Callable[[list[SoughtValue]], LookupAnswers], Iterable[list[SoughtValue]]],
    Iterable[LookupAnswers],
]


@dataclass(frozen=True)
class Found:
    """What a look-up gives for one key, or one id.

    Attributes:
        record: The record that it means; None if there is none, or if it is not certain which.
        equal: The records whose key is equal.
        near: Others that the database gives for the key: it treats them as equal.
        is_unreadable: Whether there are such records, of which this user may read none.
        ambiguity: Why none of the records may be taken.
        failure: Why it is not known which records there are.
        matched_on: The fields of the key that found the record, where it may have been another.
    """

    record: Record | None = None
    equal: Sequence[Record] = ()
    near: Sequence[Record] = ()
    is_unreadable: bool = False
    ambiguity: Rejection | None = None
    failure: Rejection | None = None
    matched_on: tuple[str, ...] = ()

    @property
    def is_only_unreadable(self) -> bool:
        """Whether there are such records and nothing else is known of them."""
        return self.is_unreadable and not (self.rows or self.failure)

    @property
    def rows(self) -> list[Record]:
        """All records that the database gives."""
        return [*self.equal, *self.near]


NOTHING = Found()


class Finder:
    """Looks records up by id or by natural key.

    Args:
        client: The instance, or one session of it.
        modules: Its modules.
        in_parallel: How to run several queries; one after the other by default.
        simulated: The records that a dry run would have left otherwise than they are found.
    """

    def __init__(
        self,
        client: Client,
        modules: Modules,
        in_parallel: Map = map,
        simulated: SimulatedRecords | None = None,
    ) -> None:
        self._client = client
        self._modules = modules
        self._in_parallel = in_parallel
        self._spellings = _Spellings()
        self._simulated = simulated or SimulatedRecords()
        self._columns: dict[tuple[str, tuple[str, ...], tuple[str, ...]], Columns] = {}

    def alone(self) -> Finder:
        """Return this finder without threads, to be used within one of them."""
        alone = copy(self)
        alone._in_parallel = map  # noqa: SLF001 it is one of us
        return alone

    def by_id(
        self, module: str, ids: Collection[str], columns: Sequence[str] = ("id",)
    ) -> dict[str, Found]:
        """Return what there is for each of these ids. What is no id of the module finds nothing."""
        # The server ignores the prefix, and would find another module's record.
        own = re.compile(rf"{self._modules.get(module).id_prefix}x\d+", re.ASCII)
        asked = {one: SoughtValue(one, (one,)) for one in ids if own.fullmatch(one)}
        question = ValueQuery(module, "id", self._columns_of(module, columns))
        answers = self._ask(question, asked.values())
        found = dict.fromkeys(ids, NOTHING)
        for one, each in asked.items():
            rows = answers.rows.get(each, [])
            if one in self._simulated:
                record = self._simulated.over(next(iter(rows), {"id": one}))
                found[one] = Found(record, [record] if record else [])
                continue
            found[one] = Found(
                next(iter(rows), None),
                rows,
                is_unreadable=each in answers.unreadable,
                failure=_failure("id", one, answers.failures.get(each)),
            )
        return found

    def by_key(
        self, key: Key, values: Collection[KeyValues], columns: Sequence[str] = ()
    ) -> dict[KeyValues, Found]:
        """Return what there is for each of these natural keys."""
        return self._by_key(key, values, columns)

    def by_single_key(self, key: Key, values: KeyValues) -> Record | None:
        """Return the record with a natural key, with as many retries as any request.

        Raises:
            Rejected: It is not certain which one it is, or this user may not read it.
        """
        found = self._by_key(key, {values}, is_patient=True)[values]
        if why := found.failure or found.ambiguity:
            raise Rejected.of(why)
        if found.is_unreadable and not found.record:
            raise Rejected.of(not_readable())
        return found.record

    def lines_of(
        self, ids: Collection[str]
    ) -> tuple[dict[str, list[Record]], dict[str, Rejection]]:
        """Return the lines of these records in their order, by the record's id.

        Returns:
            The lines; and why it is not known which lines a record has, where the server fails.
        """
        if not ids:
            return {}, {}
        names = self._modules.get(LINE_MODULE).queryable
        simulated = self._simulated.lines_of(ids)
        asked = [SoughtValue(one, (one,)) for one in ids if one not in simulated]
        columns = self._columns_of(LINE_MODULE, names, needed=names)  # they are written together
        answers = self._ask(ValueQuery(LINE_MODULE, "parent_id", columns), asked)
        found = {one.folded: in_order(lines) for one, lines in answers.rows.items()}
        failures = {one.folded: rejection_of(why) for one, why in answers.failures.items()}
        failures |= {one.folded: _LINES_NOT_GIVEN for one in answers.unreadable}
        return {**found, **simulated}, failures

    def _by_key(
        self,
        key: Key,
        values: Collection[KeyValues],
        columns: Sequence[str] = (),
        *,
        is_patient: bool = False,
    ) -> dict[KeyValues, Found]:
        if not values:
            return {}
        fields = key.described
        # The part of the key that has the most different values finds the fewest others.
        parts = [set(part) for part in zip(*values, strict=True)]
        position = max(range(len(parts)), key=lambda place: len(parts[place]))
        asked = self._spellings.asked(key.module.name, fields[position], parts[position])
        question = ValueQuery(
            key.module.name,
            fields[position].name,
            self._columns_of(key.module.name, [*key.fields, *columns], needed=key.fields),
            partial(keys.folded_part, field=fields[position]),
        )
        answers = self._ask(question, set(asked.values()), is_patient=is_patient)
        return {
            value: self._found(key.module.name, fields, value, position, asked, answers)
            for value in values
        }

    def _found(
        self,
        module: str,
        fields: Sequence[Field],
        values: KeyValues,
        position: int,
        asked: Mapping[str, SoughtValue],
        answers: LookupAnswers,
    ) -> Found:
        """Choose, of what the database gives for one part of a key, what it means for all of it."""
        one = asked[values[position]]
        if failure := _failure(fields[position].name, values[position], answers.failures.get(one)):
            return Found(failure=failure)
        stored = answers.rows[one]
        rows = [row for row in stored if row["id"] not in self._simulated]
        if len(fields) > 1:
            try:
                rows = self._with_all_parts(module, fields, values, position, rows)
            except (Refused, Unavailable) as error:
                if may_lie_in_the_request(error):
                    return Found(failure=rejection_of(error))
                raise
        rows += self._simulated.with_key(module, values, fields, stored)
        equal, near = keys.part(fields, values, rows)
        record = ambiguity = None
        try:
            record = keys.choose(fields, values, rows)
        except Rejected as error:
            ambiguity = error.rejection
        is_unreadable = one in answers.unreadable
        return Found(record, equal, near, is_unreadable=is_unreadable, ambiguity=ambiguity)

    def _with_all_parts(
        self,
        module: str,
        fields: Sequence[Field],
        values: KeyValues,
        position: int,
        rows: Sequence[Record],
    ) -> list[Record]:
        """Return the records that the database would give for all parts of a key."""
        others = [
            (field, keys.folded_part(value, field))
            for place, (field, value) in enumerate(zip(fields, values, strict=True))
            if place != position
        ]
        rows = [
            row
            for row in rows
            if all(keys.folded_part(row.get(field.name), field) == part for field, part in others)
        ]
        equal, near = keys.part(fields, values, rows)
        return equal or self._equal_in_the_database(module, fields, values, near)

    def _equal_in_the_database(
        self, module: str, fields: Sequence[Field], values: KeyValues, near: list[Record]
    ) -> list[Record]:
        """Return those of some records that the database finds for a key."""
        if not near:
            return []
        where = [Condition(one.name, "=", value) for one, value in zip(fields, values, strict=True)]
        where.append(Condition("id", "IN", [row["id"] for row in near[:PAGE_SIZE]]))
        client = self._client.giving_up_after(FAILURES_AT_FIRST)
        same = client.query(select(module, ["id"], where=where))
        return [row for row in near if row["id"] in {one["id"] for one in same}]

    def _columns_of(self, module: str, names: Iterable[str], needed: Sequence[str] = ()) -> Columns:
        """Return the columns of look-ups; which of them are refused is learned once."""
        names, needed = tuple(dict.fromkeys(names)), tuple(needed)
        known = self._columns.get((module, names, needed))
        if known is None:
            columns = Columns(self._client.query, module, names, needed=needed, effect=_LEFT_OUT)
            if encoded_size(select(module, names)) > _LONGEST_NAMES:
                columns.asks_for_all_instead_of(columns.asked)
            known = self._columns.setdefault((module, names, needed), columns)
        return known

    def _ask(
        self, question: ValueQuery, asked: Iterable[SoughtValue], *, is_patient: bool = False
    ) -> LookupAnswers:
        def ask(chunk: list[SoughtValue]) -> LookupAnswers:
            return ValueLookup(self._client, question, is_patient=is_patient).answers(chunk)

        answers = LookupAnswers()
        for some in self._in_parallel(ask, question.chunks(asked)):
            answers.add(some)
        return answers


class _Spellings:
    """The forms in which keys have been looked up. Threads may share it.

    A key with a tab at its end, once it is stored so, is found by none of its other forms.
    """

    def __init__(self) -> None:
        self._odd: dict[tuple[str, str, str], set[str]] = {}
        self._lock = Lock()

    def asked(self, module: str, field: Field, values: Iterable[str]) -> dict[str, SoughtValue]:
        """Return what to look up for each of the values: equal ones are looked up together."""
        form_of: dict[str, str] = {}
        forms: dict[str, set[str]] = defaultdict(set)
        for value in values:
            form = form_of[value] = keys.equal_part(value, field)
            forms[form] |= keys.spellings(value, field)
        asked = {}
        with self._lock:
            for form, spellings in forms.items():
                slot = (module, field.name, form)
                if slot in self._odd or len(spellings) > 1:
                    known = self._odd.setdefault(slot, set())
                    known |= spellings
                    forms[form] = set(known)
                folded = keys.folded_part(form, field)
                asked[form] = SoughtValue(folded, tuple(sorted(forms[form])))
        return {value: asked[form] for value, form in form_of.items()}


def not_readable() -> Rejection:
    """Return the rejection of a record that is there and cannot be compared."""
    return Rejection(NOT_READABLE, "the record exists, but this user may not read it")


def _failure(name: str, value: str, error: Error | None) -> Rejection | None:
    """Return why it is not known what there is for a value, if it is not."""
    if error is None:
        return None
    odd = keys.odd_characters(value)
    if odd and isinstance(error, Refused) and error.code in _MISREAD:
        text = f"{name}: the server refuses a query for a value that contains {odd} ({error})"
        return Rejection("INVALID_KEY", text)
    return rejection_of(error)
