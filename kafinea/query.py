"""VTQL, the query language: the only place that writes query text.

The library joins conditions with AND only. The maker's document says that AND and OR are read from
left to right, real servers give AND precedence, and there are no parentheses; with ANDs alone all
readings give the same records. Where a user has written an OR, `AnyOf` keeps it as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Literal
from urllib.parse import quote_plus

from typing_extensions import Self

from kafinea.errors import QueryError

Operator = Literal["=", "!=", "<", "<=", ">", ">=", "LIKE", "IN"]
Value = str | int | Decimal | date

LONGEST_QUERY = 7_000
"""Bytes of a query in the URL. Web servers refuse URLs over about 8,000."""

PLAIN_IN_URL = ","
"""What need not be encoded there. Sixty columns have a comma each, and urllib3 looks at every
character: encoded, they would make a request a quarter more work."""

_OPERATORS = frozenset({"=", "!=", "<", "<=", ">", ">=", "LIKE", "IN"})
_NAME = re.compile(r"[A-Za-z0-9_]+")
_FROM = re.compile(r"\bFROM\s+(\w+)", re.IGNORECASE)


class Query(str):
    """The text of a query, with what it was made of.

    Attributes:
        module: The module that it reads.
        shape: The query without its values. Queries of one shape take about the same time.
    """

    __slots__ = ("module", "shape")
    module: str
    shape: str

    def __new__(cls, text: str, module: str, shape: str) -> Self:
        """Return the query."""
        query = super().__new__(cls, text)
        query.module, query.shape = module, shape
        return query


@dataclass(frozen=True)
class Condition:
    """One condition: a field, an operator and a value (several for IN)."""

    field: str
    operator: Operator
    value: Value | Sequence[Value]

    def __str__(self) -> str:
        """Return the condition as query text.

        Raises:
            QueryError: The language cannot say it.
        """
        if self.operator not in _OPERATORS:
            raise QueryError(f"The query language has no operator {self.operator!r}.")
        field = name(self.field)
        if self.operator == "IN":
            if isinstance(self.value, (str, int, Decimal, date)) or not self.value:
                raise QueryError(f"IN on {field} needs a list with at least one value.")
            return f"{field} IN ({','.join(literal(value) for value in self.value)})"
        if not isinstance(self.value, (str, int, Decimal, date)):
            raise QueryError(f"{self.operator} on {field} takes one value.")
        return f"{field} {self.operator} {literal(self.value)}"


@dataclass(frozen=True)
class AnyOf:
    """What a user has written with OR: alternatives, each with conditions that are joined with AND.

    A further condition is added to each alternative. That narrows the result in the same way,
    whether the server gives AND precedence or reads from left to right.
    """

    alternatives: tuple[tuple[Condition, ...], ...]


def is_name(text: str) -> bool:
    """Whether the language can read a module or field name: A-Z, a-z, 0-9 and _ only."""
    return _NAME.fullmatch(text) is not None


def name(text: str) -> str:
    """Return a module or field name that the language can read.

    Raises:
        QueryError: The name holds another character than A-Z, a-z, 0-9 and _. Inventory modules
            have such fields (`shipping_&_handling`); only `retrieve` gives them.
    """
    if not is_name(text):
        raise QueryError(f"The query language cannot read the name {text!r}.")
    return text


def literal(value: Value) -> str:
    """Return a value as a quoted literal; `'` is doubled and a backslash is doubled.

    Numbers are quoted too: the language cannot read an unquoted decimal.

    Raises:
        QueryError: The value is the empty text, for which the language has no literal.
    """
    if isinstance(value, datetime):
        text = value.strftime("%Y-%m-%d %H:%M:%S")
    elif isinstance(value, bool):
        text = str(int(value))
    else:
        text = str(value)
    if not text:
        raise QueryError(
            "The query language has no empty string. Use one space (' ') to find empty fields."
        )
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def select(
    module: str,
    columns: Iterable[str],
    *,
    where: Iterable[Condition | AnyOf] = (),
    order_by: Sequence[str] = (),
    descending: bool = False,
    limit: int | None = None,
    offset: int = 0,
) -> Query:
    """Return a SELECT with its final semicolon, which is mandatory.

    Select each column you order by: a column whose table is not joined makes the server answer
    an empty list as if there were no records. `id` and `modifiedtime` are always joined.

    Args:
        module: The module's name; case matters.
        columns: Field names, or `*`, or `count(*)`.
        where: Conditions, joined with AND. At most one is an `AnyOf`.
        order_by: Field names.
        descending: The direction; the language has one for all columns.
        limit: How many records at most; the server gives 100 at most whatever is asked.
        offset: How many records to pass over.

    Raises:
        QueryError: The language cannot say it.
    """
    head = f"SELECT {_columns(columns)} FROM {name(module)}"  # noqa: S608 this quotes
    alternatives = _alternatives(where)
    texts = (" AND ".join(map(str, conditions)) for conditions in alternatives)
    parts = [f"WHERE {' OR '.join(texts)}"] if any(alternatives) else []
    shape = [f"{one.field} {one.operator}" for conditions in alternatives for one in conditions]
    end = []
    if order_by:
        end.append(f"ORDER BY {','.join(map(name, order_by))}{' DESC' if descending else ''}")
    shape += end
    if limit is not None:
        end.append(f"LIMIT {offset},{limit}" if offset else f"LIMIT {limit}")
        shape.append("LIMIT n,n" if offset else "LIMIT n")
    return Query(" ".join([head, *parts, *end]) + ";", module, " ".join([head, *shape]))


def _alternatives(where: Iterable[Condition | AnyOf]) -> list[list[Condition]]:
    """Return alternatives of conditions that are joined with AND; a single one without `AnyOf`."""
    given = list(where)
    common = [condition for condition in given if isinstance(condition, Condition)]
    any_of = [condition for condition in given if isinstance(condition, AnyOf)]
    if not any_of:
        return [common]
    return [[*conditions, *common] for conditions in any_of[0].alternatives]


def as_query(text: str) -> Query:
    """Return a query that was written by hand as one of ours; its shape is not known."""
    if isinstance(text, Query):
        return text
    found = _FROM.search(text)
    return Query(text, found[1] if found else "", shape="")


def encoded_size(query: str) -> int:
    """Return the bytes that a query takes in a URL."""
    return len(quote_plus(query, safe=PLAIN_IN_URL))


def _columns(columns: Iterable[str]) -> str:
    chosen = list(columns)
    if not chosen:
        raise QueryError("A query needs at least one column.")
    if chosen in (["*"], ["count(*)"]):
        return chosen[0]
    return ",".join(map(name, chosen))
