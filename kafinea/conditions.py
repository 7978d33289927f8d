"""Conditions that a user writes in VTQL: parsed, so that values can be checked and pages requested.

The language has no parentheses. AND comes before OR, as on real servers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NoReturn

from kafinea.describe import Field, Module
from kafinea.errors import QueryError
from kafinea.parsing import is_id
from kafinea.query import AnyOf, Condition, Operator, Value, is_name
from kafinea.shown import shown
from kafinea.suggestions import suggestion
from kafinea.values import ServerZone, ValueType, encode, value_type_of

Where = Sequence[Condition | AnyOf]

_TOKEN = re.compile(
    r"\s*(?:"
    r"(?P<text>'(?:[^'\\]|''|\\.)*')"
    r"|(?P<operator><=|>=|!=|<>|[=<>])"
    r"|(?P<mark>[(),;*])"
    r"|(?P<word>[^\s'=<>!(),;*]+)"
    r")"
)
_OPERATORS = frozenset({"=", "!=", "<", "<=", ">", ">="})
_REFERENCES = frozenset({"reference", "owner"})


@dataclass(frozen=True)
class Token:
    """A part of a query.

    Attributes:
        kind: `text`, `operator`, `mark` or `word`.
        text: What it is; of a quoted text, what it stands for.
        place: Where it begins.
    """

    kind: str
    text: str
    place: int

    def is_word(self, *words: str) -> bool:
        """Whether it is one of these keywords."""
        return self.kind == "word" and self.text.upper() in words

    def is_mark(self, mark: str) -> bool:
        """Whether it is this mark, not in quotes."""
        return self.kind == "mark" and self.text == mark


@dataclass(frozen=True)
class Select:
    """A SELECT of a user.

    Attributes:
        columns: The columns, `*`, or `count(*)`.
        module: The module.
        where: Its conditions.
        is_ordered: Whether it has an ORDER BY.
        is_limited: Whether it has a LIMIT.
    """

    columns: tuple[str, ...]
    module: str
    where: Where
    is_ordered: bool
    is_limited: bool


def parse_where(text: str) -> Where:
    """Return the conditions in a text such as `lastname = 'Roux' AND createdtime > '2026-01-31'`.

    Values need no quotes if they contain no space and no mark.

    Raises:
        QueryError: It is something else.
    """
    parser = _Parser(text)
    where = parser.conditions()
    parser.end()
    return where


def parse_select(text: str) -> Select:
    """Return the parts of a SELECT.

    Raises:
        QueryError: It is something else.
    """
    return _Parser(text).select()


def typed(where: Where, module: Module, zone: ServerZone) -> Where:
    """Return conditions with their values as the server stores them.

    A server compares what it cannot read with anything, or with nothing, and reports no error. So
    each value must be one of its field.

    Args:
        where: The conditions.
        module: Their module.
        zone: The time zone of the server. A date-time with an offset is converted to it.

    Raises:
        QueryError: There is no such field, or it cannot have such a value.
    """

    def all_typed(conditions: Iterable[Condition]) -> tuple[Condition, ...]:
        return tuple(_typed(condition, module, zone) for condition in conditions)

    return [
        AnyOf(tuple(map(all_typed, entry.alternatives)))
        if isinstance(entry, AnyOf)
        else _typed(entry, module, zone)
        for entry in where
    ]


def _typed(condition: Condition, module: Module, zone: ServerZone) -> Condition:
    name = condition.field
    field = module.fields.get(name)
    if field is None:
        raise QueryError(f"{module.name} has no field {name!r}.{suggestion(name, module.fields)}")
    if condition.operator == "LIKE":
        return condition
    if condition.operator == "IN":
        values = condition.value
        return replace(condition, value=[_wire(value, field, zone) for value in values])  # type: ignore[union-attr]  # a list
    return replace(condition, value=_wire(condition.value, field, zone))


def _wire(value: object, field: Field, zone: ServerZone) -> str:
    """Return a value as the server stores it.

    Raises:
        QueryError: The field cannot have it.
    """
    text, kind = str(value), value_type_of(field.type)
    if field.type in _REFERENCES or field.name == "id":
        if not is_id(text):
            raise QueryError(f"`{field.name}`: {shown(text)} is not an id, such as 3x18.")
        return text
    if not text:
        if kind is not ValueType.TEXT:
            raise QueryError(
                f"`{field.name}`: the query language cannot find empty values of this type."
            )
        return " "  # equal to the empty text, for which there is no literal
    if kind is ValueType.LIST:
        return text  # as it is stored; for one of several values, LIKE
    if kind is ValueType.DATETIME and len(text) == len("2026-01-31"):
        text += " 00:00:00"
    try:
        return encode(text, kind, zone) or ""
    except (ValueError, TypeError, ArithmeticError, LookupError):
        raise QueryError(
            f"`{field.name}`: {shown(text)} is not a value of a field of type {field.type}."
        ) from None


class _Parser:
    """Reads a query from left to right."""

    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._next = 0

    def select(self) -> Select:
        """Read a SELECT."""
        self._word("SELECT")
        columns = self._columns()
        self._word("FROM")
        module = self._name()
        where = self.conditions() if self._taken(lambda t: t.is_word("WHERE")) else []
        is_ordered = self._passed_over("ORDER", until=("LIMIT",))
        is_limited = self._passed_over("LIMIT", until=())
        self.end()
        return Select(columns, module, where, is_ordered, is_limited)

    def conditions(self) -> Where:
        """Read conditions, up to what is none."""
        alternatives = [self._conjunction()]
        while self._taken(lambda t: t.is_word("OR")):
            alternatives.append(self._conjunction())
        return alternatives[0] if len(alternatives) == 1 else [AnyOf(tuple(alternatives))]

    def end(self) -> None:
        """Read the end of the query."""
        self._taken(lambda t: t.is_mark(";"))
        if self._next < len(self._tokens):
            self._fail("the end")

    def _columns(self) -> tuple[str, ...]:
        if self._taken(lambda t: t.is_mark("*")):
            return ("*",)
        names = [self._name()]
        if names == ["count"] and self._taken(lambda t: t.is_mark("(")):
            self._mark("*")
            self._mark(")")
            return ("count(*)",)
        while self._taken(lambda t: t.is_mark(",")):
            names.append(self._name())
        return tuple(names)

    def _conjunction(self) -> tuple[Condition, ...]:
        conditions = [self._condition()]
        while self._taken(lambda t: t.is_word("AND")):
            conditions.append(self._condition())
        return tuple(conditions)

    def _condition(self) -> Condition:
        field = self._name()
        if self._taken(lambda t: t.is_word("LIKE")):
            return Condition(field, "LIKE", self._value())
        if self._taken(lambda t: t.is_word("IN")):
            self._mark("(")
            values: list[Value] = [self._value()]
            while self._taken(lambda t: t.is_mark(",")):
                values.append(self._value())
            self._mark(")")
            return Condition(field, "IN", values)
        found = self._taken(lambda t: t.kind == "operator" and t.text in _OPERATORS)
        if found is None:
            self._fail("=, !=, <, <=, >, >=, LIKE or IN")
        operator: Operator = found  # type: ignore[assignment]  # one of them
        return Condition(field, operator, self._value())

    def _value(self) -> str:
        found = self._taken(lambda t: t.kind in {"text", "word"})
        if found is None:
            self._fail("a value")
        return found

    def _name(self) -> str:
        found = self._taken(lambda t: t.kind == "word" and is_name(t.text))
        if found is None:
            self._fail("a name")
        return found

    def _word(self, word: str) -> None:
        if self._taken(lambda t: t.is_word(word)) is None:
            self._fail(word)

    def _mark(self, mark: str) -> None:
        if self._taken(lambda t: t.is_mark(mark)) is None:
            self._fail(mark)

    def _passed_over(self, word: str, until: Sequence[str]) -> bool:
        """Pass over a clause, if it is there. The server reads it."""
        if self._taken(lambda t: t.is_word(word)) is None:
            return False
        while self._taken(lambda t: not t.is_mark(";") and not t.is_word(*until)) is not None:
            pass
        return True

    def _taken(self, is_wanted: Callable[[Token], bool]) -> str | None:
        """Return the next token if it is wanted, and go on behind it."""
        if self._next == len(self._tokens) or not is_wanted(self._tokens[self._next]):
            return None
        self._next += 1
        return self._tokens[self._next - 1].text

    def _fail(self, expected: str) -> NoReturn:
        if self._next == len(self._tokens):
            raise QueryError(f"The query ends where {expected} is expected.")
        token = self._tokens[self._next]
        raise QueryError(
            f"Expected {expected} at character {token.place + 1} of the query, before "
            f"{shown(token.text, 40)!r}."
        )


def _tokens(text: str) -> list[Token]:
    tokens, place, end = [], 0, len(text.rstrip())
    while place < end:
        match = _TOKEN.match(text, place)
        if match is None or match.lastgroup is None:
            raise QueryError(
                f"The query cannot be read from character {place + 1} on: a quote is not closed, "
                "or a mark is none of the query language."
            )
        found, kind = match[match.lastgroup], match.lastgroup
        if kind == "text":
            found = re.sub(r"''|\\(.)", lambda m: m[1] or "'", found[1:-1])
        tokens.append(Token(kind, found, match.start(kind)))
        place = match.end()
    return tokens
