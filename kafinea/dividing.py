"""Finding the one record or field at which the server fails, among many requested at once.

One stored text that no answer can hold, or one key that the server cannot read, fails the whole
request. So a request that fails is divided until what is at fault stands alone; the rest goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

from kafinea.errors import Code, KafineaError, Refused, Unavailable

Error = Refused | Unavailable

FAILURES_AT_FIRST = 2
"""How often the server may fail at all of it together, as it may at a request for an operation
that it does not have. From then on each part has one try."""

TOO_LONG = frozenset({"413", "414", "431"})
"""Codes of a request whose address is too long: some web servers take shorter ones than others."""

_REFUSALS = TOO_LONG | frozenset(
    {
        *(Code.DATABASE_QUERY_ERROR, Code.INTERNAL_SERVER_ERROR, Code.QUERY_SYNTAX_ERROR),
        Code.INVALID_ID_ATTRIBUTE,  # coreBOS: one record whose owner is gone fails its whole page
    }
)

Item = TypeVar("Item", bound=Hashable)
Answer = TypeVar("Answer")


class _Division(Generic[Item, Answer]):
    """What is requested in parts, and the result."""

    def __init__(self, ask: Callable[[Sequence[Item], int], Answer]) -> None:
        self.answers: list[tuple[Sequence[Item], Answer]] = []
        self.failures: dict[Item, Error] = {}
        self._ask = ask

    def attempt(self, items: Sequence[Item], most_failures: int = 1) -> Error | None:
        """Request items together; return the error when it may lie in one of them."""
        try:
            self.answers.append((items, self._ask(items, most_failures)))
        except (Refused, Unavailable) as error:
            if not may_lie_in_the_request(error):
                raise
            return error
        return None

    def divide(self, items: Sequence[Item]) -> None:
        """Request the halves of what failed. When the first one is good, the second is at fault."""
        middle = len(items) // 2
        first, second = items[:middle], items[middle:]
        if first and (error := self.attempt(first)):
            self._note(first, error)
            if error := self.attempt(second):
                self._note(second, error)
        elif len(second) > 1:
            self.divide(second)
        elif error := self.attempt(second):
            self._note(second, error)

    def _note(self, items: Sequence[Item], error: Error) -> None:
        if len(items) > 1:
            self.divide(items)
        else:
            self.failures[items[0]] = error


def divided(
    items: Sequence[Item],
    ask: Callable[[Sequence[Item], int], Answer],
    check_server: Callable[[], object],
) -> tuple[list[tuple[Sequence[Item], Answer]], dict[Item, Error]]:
    """Request items together, and in ever smaller parts where the server fails.

    One item at fault among n costs 2·log2(n) requests more at most, besides the second try of all
    together and the one that shows that the server is there.

    Args:
        items: The items.
        ask: Asks for some of them. It is given how often the server may fail before that is the
            answer.
        check_server: Sends a cheap request. It raises when the server is down.

    Returns:
        What was requested together and the answer to it, part by part; and the items at fault.

    Raises:
        KafineaError: The server is down, has no room, or refuses what does not lie in the items.
    """
    division = _Division(ask)
    if division.attempt(items, FAILURES_AT_FIRST):
        check_server()
        division.divide(items)
    return division.answers, division.failures


def may_lie_in_the_request(error: KafineaError) -> bool:
    """Whether the server may have failed because of the contents of the request."""
    if isinstance(error, Unavailable):
        return not (error.busy or error.nothing_done)
    return isinstance(error, Refused) and error.code in _REFUSALS
