"""Finding records that exist: many keys in one query, and a proof for each that is not found."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from copy import copy
from threading import Lock
from typing import Any

from kafinea.chain import PAGE_SIZE, count
from kafinea.client import Client, Record
from kafinea.describe import LINE_MODULE, Field
from kafinea.errors import IncompleteRead
from kafinea.query import LONGEST_QUERY, Condition, encoded_size, select
from kafinea.reading import Reading
from kafinea.values import ServerZone, encode, kind_of
from target_kafinea.merge import fold, key_of
from target_kafinea.outcomes import Rejection
from target_kafinea.plan import Key, Modules, Reference

KEYS_AT_A_TIME = PAGE_SIZE - 1
"""A page with room for one more proves that no key has a second record."""

KeyValues = tuple[str, ...]
"""The wire values of a natural key."""

_Slot = tuple[str, tuple[str, ...], KeyValues]
_ID = re.compile(r"\d+x\d+", re.ASCII)
_LONGEST_KEY = 4_000  # bytes in the URL
_PAGING = 80  # bytes that `AND id > ... ORDER BY id LIMIT ...` adds to a query
_LONGEST_CHARACTER = 12  # bytes in the URL
Map = Callable[[Callable[[list[str]], list[Record]], Iterable[list[str]]], Iterable[list[Record]]]


class Finder:
    """Looks records up by id or by natural key.

    Args:
        client: The instance, or one session of it.
        modules: Its modules.
        in_parallel: How to run several queries; one after the other by default.

    Attributes:
        hidden: Values that records have which this user may not read, by module and field.
    """

    def __init__(self, client: Client, modules: Modules, in_parallel: Map = map) -> None:
        self.hidden: set[tuple[str, str, str]] = set()
        self._client = client
        self._modules = modules
        self._in_parallel = in_parallel
        self._pretended: dict[str, _Pretended] = {}
        self._pretended_lines: dict[str, list[Record]] = {}

    def alone(self) -> Finder:
        """Return this finder without threads, to be used within one of them."""
        alone = copy(self)
        alone._in_parallel = map  # noqa: SLF001 it is one of us
        return alone

    def by_id(
        self, module: str, ids: Collection[str], columns: Sequence[str] = ("id",)
    ) -> dict[str, Record]:
        """Return the records with these ids, by id. What is no id of the module finds nothing."""
        # The server ignores the prefix, and would find another module's record.
        own = re.compile(rf"{self._modules.get(module).id_prefix}x\d+", re.ASCII)
        asked = {one for one in ids if own.fullmatch(one)}
        if not asked:
            return {}
        found = {row["id"]: row for row in self._rows(module, "id", asked, columns)}
        pretended = self._pretended_of(module).records
        told = {one: pretended.get(one, found.get(one)) for one in asked}
        return {one: record for one, record in told.items() if record}

    def by_key(
        self, key: Key, values: Collection[KeyValues], columns: Sequence[str] = ()
    ) -> dict[KeyValues, list[Record]]:
        """Return the records with each of these natural keys.

        Exact matches go before others, which only the database takes for the same.
        """
        if not values:
            return {}
        fields = [key.module.fields[name] for name in key.fields]
        # The part of the key that has the most different values finds the fewest others.
        parts = [set(part) for part in zip(*values, strict=True)]
        position = max(range(len(parts)), key=lambda place: len(parts[place]))
        names = list(dict.fromkeys([*key.fields, *columns]))
        rows = self._rows(key.module.name, key.fields[position], parts[position], names)
        found: dict[KeyValues, list[Record]] = defaultdict(list)
        pretended = self._pretended_of(key.module.name)
        for row in rows:
            if (known_by := _known_by(row, fields)) and row["id"] not in pretended.records:
                found[known_by].append(row)
        return {
            value: _exact(key, value, [*found[known_by], *pretended.with_key(known_by, fields)])
            for value in values
            for known_by in [key_of(value, fields)]
        }

    def one(self, key: Key, values: KeyValues) -> Record | None:
        """Return the record with a natural key, the oldest if there are several."""
        return next(iter(self.by_key(key, {values})[values]), None)

    def lines_of(self, ids: Collection[str]) -> dict[str, list[Record]]:
        """Return the lines of these records in their order, by the record's id."""
        if not ids:
            return {}
        names = self._modules.get(LINE_MODULE).queryable
        pretended = {one: self._pretended_lines[one] for one in ids if one in self._pretended_lines}
        found: dict[str, list[Record]] = defaultdict(list, pretended)
        for line in self._rows(LINE_MODULE, "parent_id", set(ids) - pretended.keys(), names):
            found[line["parent_id"]].append(line)
        for one in found.keys() - pretended.keys():
            found[one].sort(key=lambda line: int(line.get("sequence_no") or 0))
        return found

    def is_hidden(self, module: str, field: str, value: str) -> bool:
        """Whether a record has this value that this user may not read, as far as was asked."""
        return (module, field, fold(value)) in self.hidden

    def pretend(
        self,
        module: str,
        record_id: str,
        record: Record | None,
        lines: Sequence[Mapping[str, Any]] | None,
    ) -> None:
        """Find a record as a dry run would have written it; None when it would be deleted."""
        self._pretended_of(module).put(record_id, record)
        if lines:
            self._pretended_lines[record_id] = [dict(line) for line in lines]

    def _pretended_of(self, module: str) -> _Pretended:
        return self._pretended.setdefault(module, _Pretended())

    def _rows(
        self, module: str, field: str, values: Collection[str], columns: Sequence[str]
    ) -> Iterator[Record]:
        def ask(chunk: list[str]) -> list[Record]:
            return self._ask(module, columns, field, chunk)

        for rows in self._in_parallel(ask, _chunks(module, columns, field, sorted(values))):
            yield from rows

    def _ask(
        self, module: str, columns: Sequence[str], field: str, values: list[str]
    ) -> list[Record]:
        """Return the records that have one of the values, and prove that there are no others."""
        where = [Condition(field, "IN", values)]
        query = select(module, columns, where=where, order_by=["id"], limit=PAGE_SIZE)
        page = self._client.query(query)
        is_whole = len(page) < PAGE_SIZE
        # A page that has all ids, or a record for each key and room for more, proves itself.
        if not _missing(values, field, page) and (field == "id" or is_whole):
            return page
        counted = count(self._client.query, module, where)
        if is_whole and counted == len(page):
            return page
        return self._ask_for_all(module, columns, field, values, counted)

    def _ask_for_all(
        self, module: str, columns: Sequence[str], field: str, values: list[str], counted: int
    ) -> list[Record]:
        where = [Condition(field, "IN", values)]
        try:
            reading = Reading(self._client, module, columns, where)
            rows = [row for page in reading for row in page]
        except IncompleteRead:
            rows = []
        if len(rows) < counted:
            for value in _missing(values, field, rows):
                if count(self._client.query, module, [Condition(field, "=", value)]):
                    self.hidden.add((module, field, fold(value)))
        return rows


class _Pretended:
    """The records of a module as a dry run would have left them. Threads may share it."""

    def __init__(self) -> None:
        self.records: dict[str, Record | None] = {}
        self._ids: dict[tuple[Field, ...], defaultdict[KeyValues, set[str]]] = {}
        self._lock = Lock()

    def put(self, record_id: str, record: Record | None) -> None:
        """Note a record; None when it would be deleted."""
        with self._lock:
            self.records[record_id] = record
            for fields, ids in self._ids.items():
                ids[_known_by(record or {}, fields)].add(record_id)

    def with_key(self, known_by: KeyValues, fields: Sequence[Field]) -> list[Record]:
        """Return the records that are known by a key."""
        with self._lock:
            ids = self._ids.setdefault(tuple(fields), defaultdict(set))
            if not ids:
                for one, record in self.records.items():
                    ids[_known_by(record or {}, fields)].add(one)
            once_known = sorted(ids.get(known_by, ()))
            records = [self.records[one] for one in once_known]
        return [one for one in records if one and _known_by(one, fields) == known_by]


def _known_by(row: Record, fields: Sequence[Field]) -> KeyValues:
    """Return the key of a record in the form in which equal keys are equal; none if incomplete."""
    values = [row.get(field.name) for field in fields]
    return key_of(values, fields) if all(values) else ()


def _exact(key: Key, values: KeyValues, rows: list[Record]) -> list[Record]:
    exact = [row for row in rows if tuple(row[name] for name in key.fields) == values]
    return exact or rows


def _missing(values: Iterable[str], field: str, rows: Iterable[Record]) -> list[str]:
    """Return the values that no record has."""
    seen = {fold(str(row.get(field))) for row in rows}
    return [value for value in values if fold(value) not in seen]


class References:
    """Turns natural keys into ids, and remembers them.

    Args:
        create: Creates a record of a module from wire values and returns its id.
    """

    def __init__(self, create: Callable[[Key, KeyValues], str]) -> None:
        self._create = create
        self._ids: dict[_Slot, str | Rejection] = {}
        self._slots: dict[str, list[_Slot]] = defaultdict(list)

    def forget(self, record_id: str) -> None:
        """Forget a record that was changed or deleted: its key may stand for another now."""
        for slot in self._slots.pop(record_id, ()):
            self._ids.pop(slot, None)

    def learn(self, finder: Finder, reference: Reference, values: Collection[str]) -> None:
        """Look up the values that are not known yet."""
        for key in reference.keys:
            unknown = {
                (value,)
                for value in values
                if not isinstance(self._known(key, value), str) and _fits(key, value)
            }
            found = finder.by_key(key, unknown)
            for value in unknown:
                rows = found[value]
                if len(rows) == 1:
                    self._remember(key, value[0], rows[0]["id"])
                elif rows:
                    ids = ", ".join(row["id"] for row in rows)
                    self._remember(
                        key,
                        value[0],
                        Rejection(
                            "UNRESOLVED_REFERENCE",
                            f"several {key.module.name} have this {key.fields[0]}: {ids}",
                        ),
                    )

    def resolve(self, reference: Reference, value: str, field: str) -> str:
        """Return the id that a natural key stands for; an id stands for itself.

        Raises:
            Rejection: There is none, or several.
        """
        for key in reference.keys:
            known = self._known(key, value)
            if isinstance(known, str):
                return known
            if known is not None:
                raise Rejection(known.code, f"{field}: {known}")
        if is_id(value):
            return value
        key = reference.keys[0]
        if reference.create:
            made = self._create(key, (value,))
            self._remember(key, value, made)
            return made
        where = " or ".join(f"{key.module.name}.{key.fields[0]}" for key in reference.keys)
        raise Rejection("UNRESOLVED_REFERENCE", f"{field}: no record has this value in {where}")

    def _known(self, key: Key, value: str) -> str | Rejection | None:
        return self._ids.get(self._slot(key, value))

    def _remember(self, key: Key, value: str, known: str | Rejection) -> None:
        slot = self._slot(key, value)
        self._ids[slot] = known
        if isinstance(known, str):
            self._slots[known].append(slot)

    def _slot(self, key: Key, value: str) -> _Slot:
        return key.module.name, key.fields, (value,)


def _fits(key: Key, value: str) -> bool:
    """Whether a value may be one of the key's field, and is short enough for a query."""
    try:
        encode(value, kind_of(key.module.fields[key.fields[0]].type), ServerZone())
    except (ValueError, ArithmeticError):
        return False
    return can_be_asked(value)


def is_id(value: str) -> bool:
    """Whether a text has the form of a Kafinea id, such as 12x34."""
    return _ID.fullmatch(value) is not None


def can_be_asked(value: str) -> bool:
    """Whether a key value is short enough for a query."""
    surely = len(value) * _LONGEST_CHARACTER <= _LONGEST_KEY
    return surely or encoded_size(value) <= _LONGEST_KEY


def _chunks(
    module: str, columns: Sequence[str], field: str, values: Sequence[str]
) -> Iterator[list[str]]:
    """Cut values into lists of up to a hundred, each short enough for a URL."""
    most = PAGE_SIZE if field == "id" else KEYS_AT_A_TIME  # no id has a second record
    for start in range(0, len(values), most):
        yield from _short_enough(module, columns, field, values[start : start + most])


def _short_enough(
    module: str, columns: Sequence[str], field: str, values: Sequence[str]
) -> Iterator[list[str]]:
    query = select(module, columns, where=[Condition(field, "IN", values)])
    if len(values) == 1 or encoded_size(query) + _PAGING <= LONGEST_QUERY:
        yield list(values)
        return
    middle = len(values) // 2
    for half in (values[:middle], values[middle:]):
        yield from _short_enough(module, columns, field, half)
