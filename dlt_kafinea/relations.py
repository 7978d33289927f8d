"""A related list as a resource: which records stand in the list of which."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from typing_extensions import override

from dlt_kafinea.instance import Instance, Shared, checkpoint_in
from dlt_kafinea.tables import PassResource
from kafinea.extract import related_rows
from kafinea.extract.batch import Run
from kafinea.extract.related_lists import NamedList
from kafinea.related import RELATED, SOURCE
from kafinea.values import ValueType


class RelationResource(PassResource):
    """The pairs of a related list.

    Args:
        instance: The instance.
        named: The list.
    """

    def __init__(self, instance: Instance, named: NamedList) -> None:
        key = (SOURCE, RELATED)
        super().__init__(instance, named.name, key, is_incremental=named.is_incremental)
        self._list = named.related

    @property
    @override
    def types(self) -> Mapping[str, ValueType]:
        return dict.fromkeys(self.key, ValueType.TEXT)

    @property
    @override
    def hints(self) -> Mapping[str, Mapping[str, Any]]:
        module, label, related = self._list.module, self._list.label, self._list.related
        return {
            SOURCE: {"description": f"Id of the record of {module} that has the list {label!r}"},
            RELATED: {"description": f"Id of a record of {related} that is in the list"},
        }

    @override
    def start(self, shared: Shared, state: Mapping[str, Any]) -> Run:
        return related_rows.start(
            shared.client,
            self._list,
            checkpoint_in(state),
            clock=shared.clock,
            options=shared.options,
            is_incremental=self.is_incremental,
            name=self.name,
        )
