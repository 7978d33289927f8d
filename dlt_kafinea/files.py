"""The files of documents as a resource; their contents go into a folder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from typing_extensions import override

from dlt_kafinea.instance import Instance, Shared, checkpoint_in
from dlt_kafinea.tables import PassResource
from kafinea.extract.batch import Run
from kafinea.extract.file_rows import COLUMNS, NAME, FileRun
from kafinea.values import ValueType


class FilesResource(PassResource):
    """The files of documents.

    Args:
        instance: The instance.
        is_incremental: Whether documents have a `modifiedtime`.
    """

    def __init__(self, instance: Instance, *, is_incremental: bool) -> None:
        super().__init__(instance, NAME, ("id",), is_incremental=is_incremental)
        self._settings = instance.settings.of_files

    @property
    @override
    def types(self) -> Mapping[str, ValueType]:
        return {name: value_type for name, (value_type, _) in COLUMNS.items()}

    @property
    @override
    def hints(self) -> Mapping[str, Mapping[str, Any]]:
        return {name: {"description": text} for name, (_, text) in COLUMNS.items() if text}

    @override
    def start(self, shared: Shared, state: Mapping[str, Any]) -> Run:
        return FileRun(
            shared.client,
            checkpoint_in(state),
            path=self._settings.path,
            max_bytes=self._settings.max_bytes,
            clock=shared.clock,
            options=shared.options,
            is_incremental=self.is_incremental,
            name=self.name,
        )
