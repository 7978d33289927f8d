"""Whether the records that a scan does not find any more were deleted, or are hidden."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from kafinea.client import Client
from kafinea.describe import LINE_MODULE
from kafinea.errors import KafineaError
from kafinea.page_query import PAGE_SIZE, Query, count, ids_of, number
from kafinea.parallel_reader import map_ahead
from kafinea.parsing import prefix_of
from kafinea.query import Condition, select
from kafinea.refusals import NotRetrieved, refusal, refusal_of_none

ALWAYS_REPORTED = 20
"""So many deletions of a module are reported at once, however small it is."""

_ASKED_FIRST = 20
"""Records to look up, one by one, before there is any question of reporting more."""


class Withheld(KafineaError):
    """Records are missing and not reported: this user may only not see them any more."""


@dataclass(frozen=True)
class Brake:
    """Stops wrong deletions before they are reported.

    Args:
        kafinea: The client.
        user: The user's name, for messages.
        percent: How much of a module may be reported at once; 100 lets everything through, hidden
            records too.
        setting: How messages name the setting of this percentage.
    """

    kafinea: Client
    user: str
    percent: float
    setting: str

    @property
    def is_off(self) -> bool:
        """Whether everything is reported that is missing."""
        return self.percent >= 100

    def hidden(self, module: str, gone: Sequence[str], *, known: int) -> list[str]:
        """Return those of some missing records that are hidden from this user, not deleted.

        Args:
            module: The module.
            gone: The ids that no query gives any more, ascending.
            known: How many records of the module there were.

        Raises:
            Withheld: There are too many to report at once, or to find out which are hidden.
        """
        # Whoever saves a document gives its lines new ids, and no sharing rule hides lines.
        if self.is_off or not gone or module == LINE_MODULE:
            return []
        sample = [*gone[:: -(-len(gone) // _ASKED_FIRST)]]
        hidden = hidden_of(self.kafinea, sample)
        if len(gone) <= _ASKED_FIRST:
            return hidden
        if hidden:
            raise Withheld(
                f"{len(gone):,} of {known:,} known records of {module} are missing, but not all of "
                f"them were deleted: user {self.user!r} may no longer see some of them, such as "
                f"{hidden[0]}. Restore the rights of the user (role, profile, sharing rules). "
                f"{self.how_to_let_through}"
            )
        if len(gone) > max(ALWAYS_REPORTED, known * self.percent / 100):
            raise Withheld(
                f"{len(gone):,} of {known:,} known records of {module} are missing, more than "
                f"`deletions_limit` ({self.percent:g} %) allows at once. Either many records were "
                f"deleted, or user {self.user!r} may see fewer records than before (rights, a "
                f"filter). Look for some of the missing records in Kafinea, such as {gone[0]} and "
                f"{gone[-1]}. {self.how_to_let_through}"
            )
        # A few among many: each one would be a living record that the warehouse drops.
        return hidden_of(self.kafinea, sorted({*gone} - {*sample}, key=number))

    @property
    def how_to_let_through(self) -> str:
        """The sentence that explains how to report hidden records as deleted."""
        return f"To report them as deleted, set {self.setting} to 100 for one run."


def hidden_of(kafinea: Client, ids: Sequence[str]) -> list[str]:
    """Return those of some ids that no query returns whose records are hidden, not deleted.

    Args:
        kafinea: The client.
        ids: The ids; each costs a request.

    Raises:
        Unavailable: The server is away.
        Withheld: It fails at one of them.
    """
    try:
        of_none = refusal_of_none(kafinea, prefix_of(ids[0]))
    except NotRetrieved:
        return []  # this server does not answer
    refusals = map_ahead(partial(_refusal, kafinea), ids, kafinea.max_sessions)
    return [
        record_id
        for record_id, words in zip(ids, refusals, strict=True)
        if words not in {None, "", of_none}  # a converted lead is returned
    ]


def _refusal(kafinea: Client, record_id: str) -> str | None:
    """Return in which words a record is refused.

    Raises:
        Unavailable: The server is away.
        Withheld: It fails at this record.
    """
    try:
        return refusal(kafinea, record_id)
    except NotRetrieved as error:
        raise Withheld(
            f"It is unknown whether {record_id} was deleted or is hidden from this user: {error}"
        ) from None


def deleted(query: Query, module: str, ids: Sequence[str]) -> Iterator[str]:
    """Yield those of some ids that no record has any more, after another query.

    On many servers it counts also what this user may not read.

    Raises:
        Unavailable: The server cannot count.
    """
    for start in range(0, len(ids), PAGE_SIZE):
        yield from _uncounted(query, module, ids[start : start + PAGE_SIZE])


def _uncounted(query: Query, module: str, ids: Sequence[str]) -> Sequence[str]:
    where = [Condition("id", "IN", ids)]
    if not count(query, module, where):
        return ids
    if len(ids) == 1:
        return []
    given = query(select(module, ["id"], where=where, limit=len(ids)))
    rest = sorted({*ids} - {*ids_of(module, given)}, key=number)
    middle = (len(rest) + 1) // 2
    halves = filter(None, (rest[:middle], rest[middle:]))
    return [record_id for half in halves for record_id in _uncounted(query, module, half)]
