"""Finding a record that an earlier run created and whose key the server altered.

Servers cut keys that are too long, drop characters and reformat telephone numbers silently
(measured). A look-up by the key then finds nothing, and each run would create the record again. As
a rule such a record is deleted as soon as it is created; where numbers must have no gaps, it has to
be found.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from kafinea.client import Client, Record
from kafinea.load.plan import LoadPlan
from kafinea.load.writing.comparing import changed_fields, may_come_from
from kafinea.query import Condition, select
from kafinea.values import ValueType, value_type_of

_PLAIN = re.compile(r"[A-Za-z0-9 .\-]+")
_ALL = 100


class AlteredKeys:
    """Looks for records that may be others with an altered key.

    Args:
        client: The instance.
        plan: How a stream's records go into their module.
    """

    def __init__(self, client: Client, plan: LoadPlan) -> None:
        self._client = client
        self._plan = plan
        self._fitting = 0  # the length of the longest key that is known to fit

    def find(self, values: Mapping[str, Any]) -> str | None:
        """Return the id of a record that is this one but for its key, if there is one.

        Args:
            values: The wire values of a record that a look-up by its key has not found.
        """
        fields = self._plan.module.fields
        for name in self._plan.match_on:
            text = values.get(name) or ""
            if value_type_of(fields[name].type) is ValueType.TEXT and self._may_be_altered(
                name, text
            ):
                for row in self._candidates(name, text, values):
                    if self._is_twin(row, name, values):
                        record_id: str = row["id"]
                        return record_id
        return None

    def note_kept(self, values: Mapping[str, Any]) -> None:
        """Note a record whose key was stored as it was sent."""
        lengths = [len(values.get(name) or "") for name in self._plan.match_on]
        self._fitting = max([self._fitting, *lengths])

    def _may_be_altered(self, name: str, text: str) -> bool:
        if not _PLAIN.fullmatch(text):
            return True
        if len(text) > self._fitting:
            longer = Condition(name, "LIKE", f"{'_' * len(text)}%")
            query = select(self._plan.module.name, ["id"], where=[longer], limit=1)
            if self._client.query(query):
                self._fitting = len(text)
        return len(text) > self._fitting

    def _candidates(self, name: str, text: str, values: Mapping[str, Any]) -> list[Record]:
        """Return the newest records whose key begins alike."""
        known = [each for each in self._plan.module.queryable if each in values]
        beginning = re.sub(r"[^A-Za-z0-9]+", "%", text[: max(1, len(text) // 3)])
        query = select(
            self._plan.module.name,
            list(dict.fromkeys(["id", name, *known])),
            where=[Condition(name, "LIKE", f"{beginning}%")],
            order_by=["id"],
            descending=True,
            limit=_ALL,
        )
        return self._client.query(query)

    def _is_twin(self, row: Record, name: str, values: Mapping[str, Any]) -> bool:
        if not may_come_from(row.get(name), values[name]):
            return False
        fields = self._plan.module.fields
        known = {each: value for each, value in values.items() if each in row}
        return all(
            each in self._plan.match_on
            and (
                value_type_of(fields[each].type) is not ValueType.TEXT
                or may_come_from(row[each], values[each])
            )
            for each in changed_fields(row, known, fields)
        )
