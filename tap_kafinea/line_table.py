"""The table of the lines of a module's documents, as a stream (see `kafinea.extract.line_rows`).

The rows are made of what the documents' own reading brings, so they cost no request. Only when the
documents themselves are not selected does the table read them.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from functools import cached_property
from typing import Any

from singer_sdk.streams import Stream
from typing_extensions import override

from kafinea.describe import LINE_MODULE, LINES, MODIFIED, Module
from kafinea.errors import WrongAnswer
from kafinea.extract.batch import Batch, Run
from kafinea.extract.checkpoint import Checkpoint
from kafinea.extract.discovery import NotRead
from kafinea.extract.extraction import Extraction
from kafinea.extract.line_fields import line_module
from kafinea.extract.line_rows import DELETED, DOCUMENT, NUMBER, LineCounts, LineRows
from kafinea.extract.module_rows import Fields
from kafinea.extract.rows import Row, emptied
from kafinea.values import ValueType
from tap_kafinea.schema import properties_of_lines, schema_of, types_of, with_lines
from tap_kafinea.sdk import KafineaTap
from tap_kafinea.streams import FOLLOWED, ModuleStream, PassStream

_OWN = {
    DOCUMENT: {"type": "string", "description": "Id of the document"},
    NUMBER: {"type": "integer", "description": "Place of the line in its document, from 1"},
    MODIFIED: {
        "type": ["string", "null"],
        "format": "date-time",
        "description": "That of the document",
    },
    DELETED: {
        "type": ["string", "null"],
        "format": "date-time",
        "description": "When the line was found to be deleted",
    },
}


class LineTable(PassStream):
    """The lines of the documents of a module."""

    def __init__(self, tap: KafineaTap, name: str, schema: dict[str, Any]) -> None:
        module, key = name.removesuffix(LINES), (DOCUMENT, NUMBER)
        super().__init__(tap, name, schema, module=module, key=key)
        self.replication_key = MODIFIED
        self._has_schema_written = False

    @override
    def start(self, checkpoint: Checkpoint) -> Run:
        context = self.run_context
        extraction = Extraction(
            context.client,
            self.module,
            Fields({"id": ValueType.TEXT, MODIFIED: ValueType.DATETIME}, self.types_of_lines),
            timezone=context.clock,
            options=context.options,
            is_incremental=self.is_incremental,
            name=self.name,
        )
        return extraction.start(checkpoint)

    @property
    @override
    def is_read(self) -> bool:
        return super().is_read and not self._is_fed

    @property
    @override
    def continues(self) -> bool:
        documents = self._tap.streams.get(self.module)
        return (
            documents.continues
            if self._is_fed and isinstance(documents, ModuleStream)
            else super().continues
        )

    @property
    def _is_fed(self) -> bool:
        """Whether the documents are read anyway."""
        documents = self._tap.streams.get(self.module)
        return documents is not None and documents.selected

    @override
    def get_records(self, context: Mapping[str, Any] | None) -> Generator[Row, None, None]:
        if not self._is_fed:
            yield from super().get_records(context)

    @override
    def _rows(self, batch: Batch) -> Generator[Row, None, int]:
        self.begin(batch.version)
        self.expect(batch.rows)
        count = 0
        for document in emptied(batch.rows):
            for row in self._line_rows.of(document, document.pop(LINES)):
                yield self.selected_fields(row)
                count += 1
        return count

    @override
    def first(self) -> Row | None:
        document = super().first()
        if document is None:
            return None
        self._line_rows.expect([document])
        rows = map(self.selected_fields, self._line_rows.of(document, document.pop(LINES)))
        return next(rows, None)

    # Fed by the stream of the documents

    @property
    def types_of_lines(self) -> Mapping[str, ValueType]:
        """The fields of a line to request, and how to type them."""
        types = types_of(self.schema)
        return {name: value_type for name, value_type in types.items() if name not in _OWN}

    @property
    def has_followed(self) -> bool:
        """Whether all that was read of the documents, by their state, has brought its lines here.

        It has not when an earlier run read them without the table, or could not write a row.
        """
        return bool(self.stream_state.get(FOLLOWED))

    def follow(self) -> None:
        """Take note that the documents are read with their lines."""
        self.stream_state[FOLLOWED] = not self.failures

    def begin(self, version: int | None) -> None:
        """Get ready to write the lines of a pass over the documents."""
        self._write_schema_message()
        self._stream_version = version

    def expect(self, documents: Sequence[Row]) -> None:
        """Write into the state how many lines typed documents bring, before their rows."""
        if not self.failures and self._line_rows.expect(documents):
            self.state_manager.is_flushed = False
            self._write_state_message()

    def write(self, document: Row) -> None:
        """Write the lines of a typed document, which loses them."""
        rows = self._line_rows.of(document, document.pop(LINES))
        if not self.failures:
            with self.failing_alone():
                for row in rows:
                    self._write_record_message(self.selected_fields(row))

    def activate(self, version: int) -> None:
        """Tell loaders to drop the rows that this reading of all documents did not bring."""
        if not self.failures:
            self._write_activate_version_message(version)

    @override
    def fail(self, error: Exception, of: str | None = None) -> None:
        # The documents are read on: their next reading must bring what is missing here.
        self.stream_state[FOLLOWED] = False
        super().fail(error, of)

    @cached_property
    def _line_rows(self) -> LineRows:
        # The SDK loads the state after it has made the streams.
        return LineRows(LineCounts(self.stream_state), list(self.schema["properties"]))

    @override
    def _write_schema_message(self) -> None:
        # The SDK writes it when it is this stream's turn, which may be after its rows.
        if not self._has_schema_written:
            super()._write_schema_message()
        self._has_schema_written = True


def discover(tap: KafineaTap, modules: Sequence[Module]) -> list[Stream]:
    """Return the streams of modules, their lines in them, beside them or left out."""
    setting, named = tap.config["line_items"], tap.config.get("modules") or []
    documents = [module for module in modules if module.is_inventory and setting != "off"]
    line = _line_module(tap, modules) if documents else None
    streams: list[Stream] = []
    for module in modules:
        schema = schema_of(module)
        if module in documents and setting == "embed":
            schema = with_lines(schema, module, line)
        streams.append(stream := ModuleStream(tap, module.name, schema))
        if module.name == LINE_MODULE and documents and LINE_MODULE not in named:
            # It has no `modifiedtime`: each run would read all lines, and documents bring theirs.
            stream.selected_by_default = False
        if module in documents and setting == "table":
            streams.append(LineTable(tap, module.name + LINES, schema_of_table(module, line)))
    return streams


def from_catalog(tap: KafineaTap, name: str, schema: Mapping[str, Any]) -> Stream | None:
    """Return the stream of a catalog entry, if it is a table of lines."""
    is_table = _OWN.keys() <= schema["properties"].keys()
    return LineTable(tap, name, dict(schema)) if is_table else None


def schema_of_table(module: Module, line: Module | None) -> dict[str, Any]:
    """Return the JSON Schema of the table of the lines of a module's documents."""
    return {
        "type": "object",
        "title": f"Lines of {module.label}",
        "properties": {**_OWN, **properties_of_lines(module, line)},
        "required": [DOCUMENT, NUMBER],
    }


def _line_module(tap: KafineaTap, modules: Sequence[Module]) -> Module | None:
    """Return the module of the lines; None where there is none, or not for this user."""
    described = next((module for module in modules if module.name == LINE_MODULE), None)
    try:
        return described or line_module(tap.context.client)
    except WrongAnswer as error:
        missing = tap.context.modules.missing
        text = f"{LINE_MODULE} cannot be described: {error}"
        missing[LINE_MODULE] = NotRead(text, is_final=False)
        return None
