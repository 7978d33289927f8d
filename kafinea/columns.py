"""The columns of a query. Those that the server refuses are found and left out.

`describe` promises columns that a query of some servers refuses. That shows with the first answer:
once records have been received, the columns stay as they are.

With other columns a query fails in SQL, which some servers answer with `[]` (measured). They are
found too, but not left out: a database may fail for a while, and the values would be lost.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from threading import Lock
from typing import Any

from kafinea.describe import SECRET_MODULES
from kafinea.errors import Code, Refused
from kafinea.query import select

logger = logging.getLogger(__name__)

_Query = Callable[[str], list[dict[str, Any]]]
_IsAtFault = Callable[[Sequence[str]], bool]

_ALL = ("*",)
_REFUSALS = frozenset({Code.ACCESS_DENIED, Code.INTERNAL_SERVER_ERROR, Code.QUERY_SYNTAX_ERROR})


class Columns:
    """The columns that are queried of a module. Threads may share them.

    Args:
        query: What sends a query, such as `Client.query`.
        module: The module's name.
        names: The columns.
        needed: Those without which an answer is useless: a refusal of one of them remains one.
        effect: What becomes of refused columns, for the log.

    Attributes:
        asked: The columns of a query: the names, or `*` where they would make it too long.
        names: The columns, one by one, without those that are refused.
        refused: The columns that turned out to be refused.
    """

    def __init__(
        self,
        query: _Query,
        module: str,
        names: Sequence[str],
        *,
        needed: Collection[str] = (),
        effect: str = "are null",
    ) -> None:
        self.asked = self.names = tuple(names)
        self.refused: frozenset[str] = frozenset()
        self._query = query
        self._module = module
        self._needed = frozenset(needed)
        self._effect = effect
        self._are_all_given = False
        self._lock = Lock()

    def asks_for_all_instead_of(self, asked: Sequence[str]) -> bool:
        """Ask for `*` from now on, in place of columns whose names are too long.

        Returns:
            Whether that is another query. It never is where `*` contains secrets.
        """
        if asked == _ALL or self._module in SECRET_MODULES:
            return False
        self.asked = _ALL
        return True

    def leave_out_refused(self, asked: Sequence[str], error: Refused) -> bool:
        """Find which columns are refused, after a query of them was.

        Args:
            asked: What that query requested.
            error: Its error.

        Returns:
            Whether to send it again, with other columns.
        """
        if error.code not in _REFUSALS or self._are_all_given:
            return False
        with self._lock:
            return self.asked is not asked or self._leave_out_refused()

    def _leave_out_refused(self) -> bool:
        if refused_columns(self._query, self._module, ["id"]):
            return False  # it is the module that is refused
        refused = refused_columns(self._query, self._module, self.asked)
        self._are_all_given = not refused or not self._needed.isdisjoint(refused)
        if refused and self._are_all_given:
            return False
        names = tuple(name for name in self.asked if name not in refused)
        if names and refused:
            logger.warning(
                "%s: these fields %s, because the server refuses them in a query: %s. "
                "Either they were removed from the module, or this user may not read them.",
                self._module,
                self._effect,
                ", ".join(sorted(refused)),
            )
            self.asked = self.names = names
            self.refused = frozenset(refused)
        return bool(names)


def refused_columns(query: _Query, module: str, columns: Sequence[str]) -> set[str]:
    """Return which columns the server refuses to query, found by halving.

    What fails may be a record. So columns are at fault only where they are refused with no record
    requested, and with each of two.
    """
    if not all(_is_refused(query, module, columns, *which) for which in ((0, 0), (0, 1), (1, 1))):
        return set()
    return at_fault(lambda some: _is_refused(query, module, some), columns)


def at_fault(is_at_fault: _IsAtFault, columns: Sequence[str]) -> set[str]:
    """Return which columns are at fault where a query of all of them fails, found by halving.

    Args:
        is_at_fault: Whether a query of some columns fails.
        columns: The columns.
    """
    if not is_at_fault(columns):
        return set()
    if len(columns) == 1:
        return set(columns)
    middle = len(columns) // 2
    return at_fault(is_at_fault, columns[:middle]) | at_fault(is_at_fault, columns[middle:])


def _is_refused(
    query: _Query, module: str, columns: Sequence[str], offset: int = 0, limit: int = 0
) -> bool:
    try:
        query(select(module, columns, offset=offset, limit=limit))
    except Refused:
        return True
    return False
