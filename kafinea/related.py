"""Related lists: which a module has, and the ids that stand in one, with the proof.

The server pastes the ids of the list into the text of a query. So conditions are joined with AND
only, and only a text with a WHERE may have an ORDER BY or a LIMIT. A list in which nothing stands
answers nothing, also to `count(*)`; a query that fails in SQL does the same. So nothing is believed
to be in a list when both say so, and what is there is believed to be all when it is as much as the
server counts.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import backoff

from kafinea.client import Client
from kafinea.errors import Refused, SettingsError, Unavailable
from kafinea.keyset import PATIENCE, Cursor, KeysetReader, none_given
from kafinea.page_query import PAGE_SIZE, Page, PageQuery, Query, count, ids_of, number
from kafinea.parsing import prefix_of
from kafinea.query import Condition, is_name, select
from kafinea.suggestions import suggestion

logger = logging.getLogger(__name__)

SOURCE = "source_id"
RELATED = "related_id"
"""The two columns of a related list as a table of pairs."""

MOST_AT_A_TIME = 100
"""The most ids to request in one query; all of them come in one answer."""


@dataclass(frozen=True)
class RelatedList:
    """A list that the records of a module have.

    Attributes:
        module: The module whose records have the list.
        label: The name of the list, which the API requires.
        related: The module of the records in the list.
    """

    module: str
    label: str
    related: str


def lists_of(client: Client, module: str) -> list[RelatedList] | None:
    """Return the related lists of a module; None when the server does not report them.

    Raises:
        Refused: There is no such module for this user.
    """
    lists = client.relatedtypes(module)
    if lists is None:
        return None
    return [
        RelatedList(module, label, related) for label, related in lists.items() if is_name(related)
    ]


def find_list(client: Client, module: str, name: str) -> RelatedList:
    """Return a related list of a module, by its label or by the module of its records.

    If the server does not report which lists exist, the name is tried as both.

    Raises:
        SettingsError: There is no such list, or several.
    """
    known = lists_of(client, module)
    if known is None:
        return _tried(client, RelatedList(module, name, name))
    wanted = name.casefold()
    found = [known_list for known_list in known if known_list.label.casefold() == wanted] or [
        known_list for known_list in known if known_list.related.casefold() == wanted
    ]
    if len(found) == 1:
        return found[0]
    if found:
        labels = " or ".join(repr(known_list.label) for known_list in found)
        raise SettingsError(
            f"{module} has several related lists of {name}. Specify the list: {labels}."
        )
    hint = suggestion(name, [known_list.label for known_list in known])
    raise SettingsError(f"{module} has no related list {name!r}.{hint}")


def related_ids(
    client: Client,
    related_list: RelatedList,
    source_id: str,
    among: Sequence[str] = (),
    *,
    giving: str | None = None,
) -> list[str]:
    """Return the ids in the list of a record, in their order.

    Args:
        client: The instance.
        related_list: The list.
        source_id: The record whose list it is.
        among: Only these, `MOST_AT_A_TIME` at most; all if empty.
        giving: A record whose list contained something before. If its list still does, records
            that are counted here and not returned are records that this user may not see.

    Raises:
        IncompleteRead: The server counts records in the list and returns none of them.
        Refused: There is no such record or list for this user.
    """
    where = [Condition("id", "IN", among)] if among else []
    reading = _ListReading(client, related_list, source_id, where)
    return sorted(reading.ids(among, giving), key=number)


@dataclass(frozen=True)
class _ListReading:
    """Reads the list of one record.

    Attributes:
        client: The instance.
        of: The list.
        source_id: The record whose list it is.
        where: What the records in the list must meet.
    """

    client: Client
    of: RelatedList
    source_id: str
    where: Sequence[Condition]

    def ids(self, expected: Sequence[str], giving: str | None) -> set[str]:
        """Return the ids in the list. No count is needed if all that are expected are there."""
        related = self.of.related
        everything = select(related, ["id"], where=self.where)
        page = self._query(everything)
        found = {*ids_of(related, page)}
        if expected and found.issuperset(expected):
            return found
        counted = count(self._query if page else self._count_of_nothing, related, self.where)
        if len(found) == counted:
            return found
        if not page and giving and self.client.query_related(giving, self.of.label, everything):
            self._warn_of_unreadable(counted, counted)
            return set()
        page = page or _patiently(self._query, everything)
        if not page:
            raise none_given(f"{self.source_id}: {self.of.label}", counted)
        return self._all(ids_of(related, page)[0], counted)

    def _query(self, text: str) -> Page:
        return self.client.query_related(self.source_id, self.of.label, text)

    def _count_of_nothing(self, text: str) -> Page:
        """Run a query for a count. A list that returned nothing may return no count either."""
        return self._query(text) or [{"count": "0"}]

    def _all(self, some_id: str, counted: int) -> set[str]:
        """Return the ids of a list that did not come in one answer."""
        everything = Condition("id", ">", f"{prefix_of(some_id)}x0")  # there must be a WHERE
        where = [*self.where, everything]
        pages = PageQuery(self._query, self.of.related, ["id"], where, PAGE_SIZE)
        found: set[str] = set()
        keyset = KeysetReader(pages, Cursor(None, total=counted))
        page: Page = []
        # Records that were added after the count may have pushed others out.
        while len(found) < counted or pages.may_be_cut(page):
            if not (page := keyset.next_page()):
                break
            found.update(ids_of(self.of.related, page, some_id))
        unreadable = pages.count(None) - len(found) if len(found) < counted else 0
        if unreadable > 0:
            self._warn_of_unreadable(unreadable, counted)
        return found

    def _warn_of_unreadable(self, unreadable: int, counted: int) -> None:
        logger.warning(
            "%s of a %s: %s of %s records could not be read. Usually this user may not see them. "
            "Use a user who can read all records.",
            self.of.label,
            self.of.module,
            f"{unreadable:,}",
            f"{counted:,}",
        )


@backoff.on_predicate(backoff.expo, max_tries=PATIENCE, factor=0.5, logger=None)
def _patiently(query: Query, text: str) -> Page:
    return query(text)


def _tried(client: Client, related_list: RelatedList) -> RelatedList:
    """Return a list if the server gives that of the first record.

    Raises:
        SettingsError: It does not.
    """
    missing = f"{related_list.module} has no related list {related_list.label!r} that can be read"
    if not is_name(related_list.related):
        raise SettingsError(f"{missing}. Specify the module of its records instead.")
    for first in ids_of(
        related_list.module, client.query(select(related_list.module, ["id"], limit=1))
    ):
        try:
            client.query_related(first, related_list.label, select(related_list.related, ["id"]))
        except (Refused, Unavailable) as error:
            raise SettingsError(f"{missing}: {error}") from None
    return related_list
