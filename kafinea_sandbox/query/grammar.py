"""The query language VTQL, as its lexer and parser on the server read it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from lark import Lark, Token, Transformer, UnexpectedCharacters, UnexpectedToken

from kafinea_sandbox.errors import ApiError

# No parentheses, no NOT, no functions but count(*): that is all there is. A text has at least one
# character, a quote in it is doubled. All that is not listed here (dots, double quotes, a bare
# minus, a backslash before a quote) cannot even be cut into words: another error than a
# misplaced word.
_GRAMMAR = r"""
query: SELECT columns FROM NAME where? order? limit? SEMICOLON
columns: STAR             -> star
       | COUNT LEFT STAR RIGHT -> count
       | names            -> some
names: NAME (COMMA NAME)*
where: WHERE condition ((AND | OR) condition)*
condition: NAME OPERATOR value          -> compared
         | NAME LIKE value              -> compared
         | NAME IN LEFT value (COMMA value)* RIGHT -> listed
value: NAME | NUMBER | TEXT
order: ORDER BY names (ASC | DESC)?
limit: LIMIT value (COMMA value)?

SELECT.2: /select\b/i
FROM.2: /from\b/i
WHERE.2: /where\b/i
ORDER.2: /order\b/i
BY.2: /by\b/i
LIMIT.2: /limit\b/i
AND.2: /and\b/i
OR.2: /or\b/i
IN.2: /in\b/i
LIKE.2: /like\b/i
ASC.2: /asc\b/i
DESC.2: /desc\b/i
COUNT.2: /count(?=\s*\()/i
OPERATOR: "<=" | ">=" | "!=" | "=" | "<" | ">"
NAME: /[A-Za-z0-9_]+/
NUMBER: /[+-][0-9]+/
TEXT: /'([^'\\]|\\[^']|'')+'(?!')/
STAR: "*"
COMMA: ","
LEFT: "("
RIGHT: ")"
SEMICOLON: ";"
%ignore /\s+/
"""


@dataclass(frozen=True)
class Value:
    """A value in a query: its text, and whether it stood in quotes."""

    text: str
    quoted: bool


@dataclass(frozen=True)
class Condition:
    """`field operator values`; only IN has more than one."""

    field: str
    operator: str
    values: tuple[Value, ...]


@dataclass(frozen=True)
class Query:
    """A query that was read without an error."""

    module: str
    columns: tuple[str, ...] | None = None
    """None: all."""
    counts: bool = False
    conditions: tuple[Condition, ...] = ()
    glue: tuple[str, ...] = ()
    """AND or OR, between the conditions."""
    order: tuple[str, ...] = ()
    direction: str = ""
    limit: tuple[Value, ...] = ()


class _Reader(Transformer[Token, Query]):
    def query(self, parts: list[Any]) -> Query:
        clauses = (part for part in parts if isinstance(part, dict))
        return Query(str(parts[3]), **{k: v for clause in clauses for k, v in clause.items()})

    def star(self, _: list[Any]) -> dict[str, Any]:
        return {"columns": None}

    def count(self, _: list[Any]) -> dict[str, Any]:
        return {"counts": True}

    def some(self, parts: list[Any]) -> dict[str, Any]:
        return {"columns": parts[0]}

    def names(self, parts: list[Token]) -> tuple[str, ...]:
        return tuple(str(part) for part in parts if part.type == "NAME")

    def where(self, parts: list[Any]) -> dict[str, Any]:
        glue = tuple(str(word).upper() for word in parts[2::2])
        return {"conditions": tuple(parts[1::2]), "glue": glue}

    def compared(self, parts: list[Any]) -> Condition:
        name, operator, value = parts
        return Condition(str(name), str(operator).upper(), (value,))

    def listed(self, parts: list[Any]) -> Condition:
        values = tuple(part for part in parts if isinstance(part, Value))
        return Condition(str(parts[0]), "IN", values)

    def value(self, parts: list[Token]) -> Value:
        text = str(parts[0])
        if parts[0].type == "TEXT":
            return Value(text[1:-1].replace("''", "'"), quoted=True)
        return Value(text, quoted=False)

    def order(self, parts: list[Any]) -> dict[str, Any]:
        direction = str(parts[3]).upper() if len(parts) > 3 else ""
        return {"order": parts[2], "direction": direction}

    def limit(self, parts: list[Any]) -> dict[str, Any]:
        return {"limit": tuple(part for part in parts if isinstance(part, Value))}


@lru_cache(maxsize=1)
def _parser() -> Lark:
    # The basic lexer cuts words without looking at the grammar, as the server's does.
    return Lark(
        _GRAMMAR,
        start="query",
        parser="lalr",
        lexer="basic",
        transformer=_Reader(),
        keep_all_tokens=True,
        maybe_placeholders=False,
    )


@lru_cache(maxsize=500)
def parse(text: str) -> Query:
    """Read a query. Most are the same as one before, and reading takes as long as answering.

    Raises:
        ApiError: INTERNAL_SERVER_ERROR for what is no word, QUERY_SYNTAX_ERROR for misplaced words.
    """
    try:
        result: Any = _parser().parse(text)
    except UnexpectedCharacters:
        raise ApiError("INTERNAL_SERVER_ERROR", "Unknown Error while processing request") from None
    except UnexpectedToken as error:
        raise _misplaced(error, text) from None
    assert isinstance(result, Query)  # noqa: S101 - the transformer made it
    return result


def _misplaced(error: UnexpectedToken, text: str) -> ApiError:
    ended = error.token.type == "$END"
    word = re.findall(r"\w+|\S", text)[-1] if ended else str(error.token)
    found = "End of Input(0)" if ended else f"{error.token.type}({error.token})"
    expected = ",".join(sorted(error.accepts or error.expected))
    return ApiError(
        "QUERY_SYNTAX_ERROR",
        f"Syntax Error on line {max(error.line, 1)}: token '{word}' Unexpected {found}, "
        f"expected one of: {expected}",
    )
