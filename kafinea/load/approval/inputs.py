"""By what a plan knows a record of the input again: the digest of all that is loaded of it.

Its key alone would not do: the plan that was approved is that of these values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any

import msgspec

from kafinea.load.lookup.keys import KeyValues
from kafinea.load.plan import Key, LoadPlan
from kafinea.load.records import InputRecord
from kafinea.load.relation_plan import RelationPlan

_SIZE = 16  # bytes
UNKNOWN = "0" * 2 * _SIZE
"""The digest of a record of which it is not known what would be loaded."""

_encoder = msgspec.json.Encoder(decimal_format="number", enc_hook=str, order="deterministic")


class InputDigests:
    """The digests of the records of one stream.

    Args:
        plan: How they go into their module, or their related list.
    """

    def __init__(self, plan: LoadPlan | RelationPlan) -> None:
        self._stream = plan.stream
        self._names = frozenset(_loaded(plan))

    def of(self, record: InputRecord) -> str:
        """Return the digest of a record."""
        loaded = {name: value for name, value in record.record.items() if name in self._names}
        content = _encoder.encode([self._stream, record.is_deleted, loaded])
        return blake2b(content, digest_size=_SIZE).hexdigest()


def _loaded(plan: LoadPlan | RelationPlan) -> Iterable[str]:
    """Return the properties that decide what is written."""
    if isinstance(plan, RelationPlan):
        return plan.properties.values()
    others = (plan.id_property, plan.lines_property)
    return [*plan.fields, *plan.files.values(), *(name for name in others if name is not None)]


def record_digest(values: Mapping[str, Any]) -> str:
    """Return the digest of a whole record that is to be deleted."""
    return blake2b(_encoder.encode(values), digest_size=_SIZE).hexdigest()


def reference_digest(key: Key, values: KeyValues) -> str:
    """Return the digest of a natural key, for a record that is created from it alone."""
    content = _encoder.encode([key.module.name, key.fields, values])
    return blake2b(content, digest_size=_SIZE).hexdigest()
