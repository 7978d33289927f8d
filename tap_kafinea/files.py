"""The files of documents as a stream."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any

from singer_sdk.singerlib import Catalog
from singer_sdk.streams import Stream
from typing_extensions import override

from kafinea.describe import MODIFIED, Module
from kafinea.extract.batch import Batch, Run
from kafinea.extract.checkpoint import Checkpoint
from kafinea.extract.file_rows import COLUMNS, DOCUMENTS, NAME, FileRun
from kafinea.extract.rows import Row
from kafinea.values import ValueType
from tap_kafinea.catalogs import WrongEntry
from tap_kafinea.schema import TYPES
from tap_kafinea.sdk import KafineaTap
from tap_kafinea.streams import PassStream

_IDS = ("id", "document_id")


def _property(name: str, value_type: ValueType, description: str | None) -> dict[str, Any]:
    schema = {"type": "string"} if name in _IDS else TYPES[value_type]
    return {**schema, "description": description} if description else schema


_SCHEMA = {
    "type": "object",
    "title": "Files of documents",
    "properties": {name: _property(name, *column) for name, column in COLUMNS.items()},
    "required": ["id"],
}


class FilesStream(PassStream):
    """The files of documents, in the order of the documents' ids."""

    ROWS_BETWEEN_STATES = 100

    def __init__(self, tap: KafineaTap, schema: dict[str, Any]) -> None:
        super().__init__(tap, NAME, schema, module=DOCUMENTS)
        if MODIFIED in schema["properties"]:
            self.replication_key = MODIFIED

    @property
    def _settings(self) -> Mapping[str, Any]:
        return self.config.get("files") or {}

    @override
    def start(self, checkpoint: Checkpoint) -> Run:
        context = self.run_context
        return FileRun(
            context.client,
            checkpoint,
            path=self._settings.get("path") or NAME,
            max_bytes=self._settings.get("max_bytes"),
            clock=context.clock,
            options=context.options,
            is_incremental=self.is_incremental,
            name=self.name,
        )

    @override
    def _rows(self, batch: Batch) -> Generator[Row, None, int]:
        yield from map(self.selected_fields, batch.rows)
        return len(batch.rows)

    @override
    def apply_catalog(self, catalog: Catalog) -> None:
        super().apply_catalog(catalog)
        if not (self.wrong_entry or self._settings.get("enabled")):
            self.wrong_entry = WrongEntry(  # a matter of this stream alone
                f"The catalog selects the stream {self.name!r}, but `files.enabled` is off. Set "
                "`files.enabled` to true, or deselect the stream."
            )


def discover(tap: KafineaTap, modules: Sequence[Module]) -> list[Stream]:
    """Return the streams that the settings require."""
    if not (tap.config.get("files") or {}).get("enabled"):
        return []
    if not any(module.name == DOCUMENTS for module in modules):
        tap.logger.warning(
            "`files.enabled` has no effect, because the module %s is not extracted.", DOCUMENTS
        )
        return []
    return [FilesStream(tap, _SCHEMA)]


def from_catalog(tap: KafineaTap, name: str, schema: Mapping[str, Any]) -> Stream | None:
    """Return the stream of a catalog entry, if it is this one."""
    return FilesStream(tap, dict(schema)) if name == NAME else None
