"""Reads the query language as far as anyone in the bench uses it: conditions joined with AND."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

_SELECT = re.compile(
    r"\s*SELECT\s+(?P<columns>.+?)\s+FROM\s+(?P<module>\w+)(?:\s+WHERE\s+(?P<where>.+?))?"
    r"(?:\s+ORDER\s+BY\s+(?P<order>[\w\s,]+?)(?P<direction>\s+(?:ASC|DESC))?)?"
    r"(?:\s+LIMIT\s+(?:(?P<offset>\d+)\s*,\s*)?(?P<limit>\d+))?\s*;\s*",
    re.IGNORECASE | re.DOTALL,
)
_TEXT = r"'(?:[^']|'')*'"
_CONDITION = re.compile(
    rf"\s*(\w+)\s*(<=|>=|!=|=|<|>|\bIN\b)\s*({_TEXT}|\w+|\(\s*{_TEXT}(?:\s*,\s*{_TEXT})*\s*\))\s*",
    re.IGNORECASE,
)
_AND = re.compile(r"AND\b", re.IGNORECASE)
_VALUE = re.compile(rf"{_TEXT}|\w+")

PAGE = 100
"""The most rows in one answer, whatever the LIMIT."""


@dataclass(frozen=True)
class Condition:
    """One condition; `values` are several for IN only."""

    field: str
    operator: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Query:
    """One SELECT."""

    columns: tuple[str, ...]
    module: str
    where: tuple[Condition, ...]
    order: tuple[str, ...]
    descending: bool
    offset: int
    limit: int


def parse(text: str) -> Query:
    """Read a query.

    Raises:
        ValueError: It is none, or says more than is known here.
    """
    found = _SELECT.fullmatch(text)
    if not found:
        raise ValueError(text)
    return Query(
        columns=_names(found["columns"]),
        module=found["module"],
        where=_conditions(found["where"] or ""),
        order=_names(found["order"] or ""),
        descending=(found["direction"] or "").strip().upper() == "DESC",
        offset=int(found["offset"] or 0),
        limit=min(PAGE, int(found["limit"] or PAGE)),
    )


@lru_cache
def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _conditions(text: str) -> tuple[Condition, ...]:
    conditions, place = [], 0
    while place < len(text):
        found = _CONDITION.match(text, place)
        if not found:
            raise ValueError(text)
        field, operator, value = found.groups()
        values = tuple(map(_plain, _VALUE.findall(value)))
        conditions.append(Condition(field, operator.upper(), values))
        place = found.end()
        if place < len(text):
            joined = _AND.match(text, place)
            if not joined:
                raise ValueError(text)
            place = joined.end()
    return tuple(conditions)


def _plain(value: str) -> str:
    return value[1:-1].replace("''", "'").replace("\\\\", "\\") if value[0] == "'" else value
