"""Turning the natural keys of other records, to which a record refers, into their ids."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import partial

from msgspec.structs import replace

from kafinea.describe import LINES
from kafinea.load.context import LoadContext
from kafinea.load.plan import RELATED_TO, LoadPlan, Reference
from kafinea.load.records import (
    PreparedRecord,
    QueuedRecord,
    RejectedRecord,
    SettledRecord,
    WireValues,
)
from kafinea.load.results import Rejected
from kafinea.load.stream.preparer import keys_of_record
from kafinea.load.stream.record_files import sources_of


class Resolver:
    """Resolves the references of the records of one stream.

    Args:
        plan: How they go into their module.
        context: What the streams of the run share.

    Attributes:
        resolves_keys: Whether the natural key of the records has references itself.
    """

    def __init__(self, plan: LoadPlan, context: LoadContext) -> None:
        self._plan = plan
        self._context = context
        self.resolves_keys = not plan.references.keys().isdisjoint(plan.match_on)
        fields = plan.module.fields.items()
        # By field, the modules that an id may be of.
        self._refers_to = {
            name: field.refers_to for name, field in fields if field.type == "reference"
        }
        product = plan.lines.fields["productid"] if plan.lines else None
        is_reference = product is not None and product.type == "reference"
        self._products = product.refers_to if product and is_reference else ()

    def resolve(self, records: Sequence[QueuedRecord]) -> list[QueuedRecord]:
        """Return records with ids for natural keys, or why there is none."""
        resolved = list(records)
        for name, reference in self._plan.references.items():
            alive = [record for record in resolved if isinstance(record, PreparedRecord)]
            self._context.references.learn(reference, self._natural_keys(alive, name))
            if name != RELATED_TO:  # which is no field: `Files` resolves it
                resolved = [self._resolved(record, name, reference) for record in resolved]
        return resolved

    def _natural_keys(self, records: Iterable[PreparedRecord], name: str) -> set[str]:
        """Return all values of a reference."""
        if name == RELATED_TO:
            return {source for record in records for source in _sources_of(self._plan, record)}
        places = (values for record in records for values in _places(record, name))
        return {key for values in places if (key := values.get(_leaf(name))) is not None}

    def learn_referenced(self, records: Iterable[SettledRecord]) -> None:
        """Find out which of the records that are newly referred to exist, for `RecordChecks`."""
        ids: dict[str, set[str]] = defaultdict(set)
        for record in records:
            if isinstance(record, RejectedRecord):
                continue
            for name, wire in (record.changes if record.stored else record.prepared.values).items():
                if wire and name in self._refers_to:
                    self._note(ids, wire, self._refers_to[name])
            for line in record.prepared.lines or ():
                self._note(ids, line["productid"] or "", self._products)
        for module, some in ids.items():
            self._context.existing.learn(module, some)

    def _note(self, ids: dict[str, set[str]], wire: str, modules: Sequence[str]) -> None:
        if module := self._context.modules.of(wire, modules):
            ids[module].add(wire)

    def _resolved(self, record: QueuedRecord, name: str, reference: Reference) -> QueuedRecord:
        """Return a record with one of its references resolved."""
        if isinstance(record, RejectedRecord):
            return record
        leaf, is_deleted = _leaf(name), record.input.is_deleted
        resolve = partial(self._context.references.resolve, is_deleted=is_deleted)
        try:
            places = [
                {**values, leaf: resolve(reference, key, name)}
                if (key := values.get(leaf)) is not None
                else values
                for values in _places(record, name)
            ]
        except Rejected as error:
            return RejectedRecord(record.input, error.rejection, record.id, record)
        if leaf != name:
            return replace(record, lines=places) if record.lines else record
        (resolved,) = places
        if not self.resolves_keys:
            return replace(record, values=resolved)
        return replace(record, values=resolved, keys=keys_of_record(resolved, self._plan.keys))


def _sources_of(plan: LoadPlan, record: PreparedRecord) -> list[str]:
    try:
        return sources_of(plan, record.input)
    except Rejected:  # as it will be
        return []


def _leaf(name: str) -> str:
    """Return the field of a reference, or that of a line."""
    return name.removeprefix(f"{LINES}.")


def _places(record: PreparedRecord, name: str) -> Sequence[WireValues]:
    """Return the values that may hold a reference: the record's, or those of its lines."""
    return [record.values] if _leaf(name) == name else record.lines or []
