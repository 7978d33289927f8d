"""Comparing what is stored with what a plan gave it: the server writes values its own way."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from kafinea.describe import LINES
from kafinea.load.approval.inputs import record_digest
from kafinea.load.plan import LoadPlan
from kafinea.load.server.server_rules import may_follow
from kafinea.load.writing.comparing import same_lines, same_value


class StoredValues:
    """Compares the values of the records of one stream.

    Args:
        plan: How they go into their module.

    Attributes:
        loaded: The fields that are loaded.
    """

    def __init__(self, plan: LoadPlan) -> None:
        self.loaded = frozenset(known.name for known in plan.fields.values())
        self._module = plan.module
        self._fields = plan.module.fields
        self._lines = plan.lines

    def rest_digest(self, record: Mapping[str, Any], changed: Collection[str]) -> str:
        """Return the digest of what no line of a plan changes, nor the server because of it.

        Args:
            record: The record.
            changed: The fields that earlier lines change, also those of other streams.
        """
        names = self.loaded.union(changed)
        moving = names | may_follow(self._module, names)
        rest = {name: value for name, value in record.items() if name not in moving}
        return record_digest(rest)

    def are_alike(self, name: str, stored: Any, planned: Any) -> bool:
        """Whether a stored value means the same as one of the plan."""
        if name == LINES:
            return self._lines is not None and same_lines(stored or [], planned or [], self._lines)
        field = self._fields.get(name)
        return field is not None and same_value(stored, planned, field)
