"""Noting the results of one stream: in the plan that is written, or for the one that is applied."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kafinea.load.approval.approved_plan import ApprovedPlan
from kafinea.load.approval.inputs import InputDigests
from kafinea.load.approval.plan_writer import PlanWriter
from kafinea.load.approval.stored_values import StoredValues
from kafinea.load.plan import LoadPlan
from kafinea.load.records import InputRecord
from kafinea.load.relation_plan import RelationPlan
from kafinea.load.results import Result, Status


class PlanNotes:
    """Notes the results of one stream.

    Args:
        plan: How its records go into their module, or their related list.
        written: The plan that is written, in a dry run.
        applied: The plan that is applied.
    """

    def __init__(
        self,
        plan: LoadPlan | RelationPlan,
        written: PlanWriter | None,
        applied: ApprovedPlan | None,
    ) -> None:
        self._stream = plan.stream
        self._written = written
        self._applied = applied
        self._digests = InputDigests(plan)
        if isinstance(plan, RelationPlan):
            self._module, sources = plan.related_list.module, dict(plan.properties)
            self._loaded = frozenset[str]()
            self._values: StoredValues | None = None
        else:
            self._module = plan.module.name
            sources = {known.name: name for name, known in plan.fields.items()}
            self._loaded = frozenset({*sources, *plan.match_on})
            self._values = StoredValues(plan)
        self._keys = {name: sources[name] for name in plan.references if name in sources}

    def note(self, record: InputRecord, key: Mapping[str, Any], result: Result) -> None:
        """Note the result of a record.

        Args:
            record: The record.
            key: The names and values that it was looked for by.
            result: Its result.

        Raises:
            StorageError: It cannot be written.
        """
        if self._applied:
            self._applied.note_result(self._digests.of(record))
        if self._written:
            values = record.record
            keys = {name: values.get(source) for name, source in self._keys.items()}
            digest = self._digests.of(record)
            rest = None
            if self._values and result.status is Status.DELETED:
                changed = self._written.changed_of(result.id)
                rest = self._values.rest_digest(result.before or {}, changed)
            self._written.note(
                self._stream,
                self._module,
                key,
                result,
                digest=digest,
                keys=keys,
                loaded=self._loaded,
                rest=rest,
            )
