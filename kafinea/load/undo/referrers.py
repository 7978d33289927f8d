"""Which other records refer to a record: it is not deleted then.

Servers of the family delete the opportunities and quotes of a deleted account with it, and empty
the references of others.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from kafinea.client import Client
from kafinea.describe import LINE_MODULE, Module
from kafinea.errors import Refused, Unavailable
from kafinea.load.modules import Modules
from kafinea.page_query import PAGE_SIZE
from kafinea.query import Condition, is_name, select

_PARTS = {(LINE_MODULE, "parent_id"), ("InventoryDetails", "related_to")}
"""The references of lines to their document: they are part of it, and go with it."""


class Referrers:
    """Looks for records that refer to others.

    Args:
        client: The instance.
        modules: Its modules.
    """

    def __init__(self, client: Client, modules: Modules) -> None:
        self._client = client
        self._modules = modules

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
        return found

    def _look(
        self, module: Module, field: str, ids: Sequence[str], found: dict[str, set[str]]
    ) -> None:
        remaining = list(ids)
        owner = "parent_id" if module.name == LINE_MODULE else "id"
        while remaining:
            where = [Condition(field, "IN", remaining)]
            query = select(module.name, list(dict.fromkeys([owner, field])), where=where)
            try:
                rows = self._client.query(query)
            except (Refused, Unavailable):
                self._client.listtypes()  # fails as well when the server is away
                return  # a table that cannot be queried so
            for row in rows:
                referrer, record_id = str(row.get(owner) or module.name), row.get(field)
                if record_id in remaining and referrer != record_id:
                    found.setdefault(record_id, set()).add(referrer)
            # A full page may hide others.
            is_full = len(rows) >= PAGE_SIZE
            left = [one for one in remaining if one not in found]
            remaining = left if is_full and len(left) < len(remaining) else []

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
