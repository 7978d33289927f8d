"""Which other records refer to a record, or are in its related lists: it is not deleted then.

Servers of the family delete the opportunities and quotes of a deleted account with it, and empty
the references of others. What others have put into its related lists, such as documents, would be
lost there. What the load itself has put there does not count.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import cache, cached_property, partial
from typing import Any

from kafinea.client import Client, Record
from kafinea.describe import LINE_MODULE, Module
from kafinea.errors import Refused, Unavailable
from kafinea.load.modules import Modules
from kafinea.page_query import PAGE_SIZE, Query, count
from kafinea.query import Condition, is_name, select
from kafinea.related import RelatedList, lists_of

_PARTS = {(LINE_MODULE, "parent_id"), ("InventoryDetails", "related_to")}
"""The references of lines to their document: they are part of it, and go with it."""


class Referrers:
    """Looks for records that refer to others.

    Args:
        client: The instance.
        modules: Its modules.
        linked: The pairs of ids that the load has added to related lists.
        in_parallel: As `map`; for several requests at a time.
    """

    def __init__(
        self,
        client: Client,
        modules: Modules,
        linked: Collection[frozenset[str]],
        in_parallel: Callable[..., Iterable[Any]],
    ) -> None:
        self._client = client
        self._modules = modules
        self._linked = linked
        self._in_parallel = in_parallel
        self._lists_of = cache(self._lists)

    def of(self, module: str, ids: Sequence[str]) -> dict[str, set[str]]:
        """Return records that refer to these, by their ids: some, if there are many.

        Args:
            module: The module of these records.
            ids: Their ids, 100 at most.
        """
        found: dict[str, set[str]] = {}
        for described in self._described:
            for known in described.fields.values():
                is_part = (described.name, known.name) in _PARTS
                if known.type == "reference" and module in known.refers_to and not is_part:
                    self._look(described, known.name, ids, found)
        for related_list in self._lists_of(module):
            others = self._in_parallel(partial(self._in_list, related_list), ids)
            for record_id, some in zip(ids, others, strict=True):
                if some:
                    found.setdefault(record_id, set()).update(some)
        return found

    def _lists(self, module: str) -> list[RelatedList]:
        """Return the related lists of a module that do not follow a reference."""
        try:
            lists = lists_of(self._client, module) or []
        except (Refused, Unavailable):
            self._client.listtypes()
            return []
        following = {
            described.name
            for described in self._described
            for known in described.fields.values()
            if known.type == "reference" and module in known.refers_to
        }
        return [one for one in lists if one.related not in following]

    def _in_list(self, related_list: RelatedList, record_id: str) -> set[str]:
        """Return records that others have put into a list: some, if there are many."""
        related = related_list.related

        def query(text: str) -> list[Record]:
            return self._client.query_related(record_id, related_list.label, text)

        # A list that contains nothing may return no count either.
        counted = self._counted(lambda text: query(text) or [{"count": "0"}], related, [])
        if counted == 0:
            return set()
        try:
            ids = {str(row.get("id")) for row in query(select(related, ["id"]))}
        except (Refused, Unavailable):
            self._client.listtypes()  # fails as well when the server is away
            ids = set()
        others = {one for one in ids if frozenset((record_id, one)) not in self._linked}
        is_hidden = counted is not None and len(ids) < min(counted, PAGE_SIZE)
        return others or ({_hidden(related)} if is_hidden else set())

    def _look(
        self, module: Module, field: str, ids: Sequence[str], found: dict[str, set[str]]
    ) -> None:
        """Add the records that refer to these by a field: some, if there are many."""

        def count_of(some: Sequence[str]) -> int | None:
            where = [Condition(field, "IN", some)]
            return self._counted(self._client.query, module.name, where)

        # An empty answer proves nothing: it is also that of a query that fails in SQL.
        if (counted := count_of(ids)) == 0:
            return
        shown = self._shown(module, field, ids)
        for record_id, referrers in shown.items():
            if others := referrers - {record_id}:
                found.setdefault(record_id, set()).update(others)
        left = [one for one in ids if one not in found]
        if counted is None or not left or not count_of(left):
            return
        counts = self._in_parallel(lambda one: count_of([one]), left)
        for one, each in zip(left, counts, strict=True):
            if each is None or each > len(shown.get(one, ())):
                found[one] = {_hidden(module.name)}

    def _shown(self, module: Module, field: str, ids: Sequence[str]) -> dict[str, set[str]]:
        """Return the records that a query gives, by the record to which they refer."""
        remaining, shown = list(ids), defaultdict[str, set[str]](set)
        owner = "parent_id" if module.name == LINE_MODULE else "id"
        while remaining:
            where = [Condition(field, "IN", remaining)]
            query = select(module.name, list(dict.fromkeys([owner, field])), where=where)
            try:
                rows = self._client.query(query)
            except (Refused, Unavailable):
                self._client.listtypes()  # fails as well when the server is away
                break
            for row in rows:
                if (record_id := str(row.get(field))) in remaining:
                    shown[record_id].add(str(row.get(owner) or module.name))
            # A full page may hide others.
            left = [one for one in remaining if not shown.get(one, set()) - {one}]
            remaining = left if len(rows) >= PAGE_SIZE and len(left) < len(remaining) else []
        return shown

    def _counted(self, query: Query, module: str, where: Sequence[Condition]) -> int | None:
        """Return how many records there are; None where they cannot be counted."""
        try:
            return count(query, module, where, tries=2)
        except (Refused, Unavailable):
            self._client.listtypes()  # fails as well when the server is away
            return None

    @cached_property
    def _described(self) -> list[Module]:
        """The modules that may refer to others, as far as this user may see them."""
        described = []
        for name in self._modules.names:
            if not is_name(name):
                continue
            try:
                described.append(self._modules.get(name))
            except (Refused, Unavailable):
                self._client.listtypes()
        return described


def _hidden(module: str) -> str:
    return f"records of {module} that this user may not read"
