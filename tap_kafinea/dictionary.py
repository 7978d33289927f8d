"""A data dictionary: the modules, fields and picklist values of Kafinea, as streams."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE
from singer_sdk.streams import Stream
from typing_extensions import override

from kafinea.describe import Module
from kafinea.extract.checkpoint import Checkpoint
from tap_kafinea.sdk import KafineaStream, KafineaTap

Row = dict[str, Any]

_TITLE = "Data dictionary: "
_KEY = {"type": "string"}
_TEXT = {"type": ["string", "null"]}
_YES_OR_NO = {"type": ["boolean", "null"]}
_NUMBER = {"type": ["integer", "null"]}
_POSITION = {**_NUMBER, "description": "The position in Kafinea, from 1"}
_LABEL = {**_TEXT, "description": "The label in the language of the API user"}


@dataclass(frozen=True)
class Table:
    """One stream of the dictionary.

    Attributes:
        name: Its name, unless a module has it.
        key: Its first columns, which identify a row.
        columns: Its other columns and their JSON Schemas.
        rows: Gives the rows of a module, with the label of one of its records.
    """

    name: str
    key: tuple[str, ...]
    columns: Mapping[str, Mapping[str, Any]]
    rows: Callable[[Module, str], Iterator[Row]]

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON Schema of the stream. Its title names the table."""
        return {
            "type": "object",
            "title": _TITLE + self.name,
            "properties": {**dict.fromkeys(self.key, _KEY), **self.columns},
            "required": [*self.key],
        }


def _modules(module: Module, singular: str) -> Iterator[Row]:
    yield {
        "module": module.name,
        "label": module.label,
        "singular_label": singular,
        "id_prefix": module.id_prefix,
        "is_entity": module.is_entity,
        "createable": module.createable,
        "updateable": module.updateable,
        "deleteable": module.deleteable,
        "retrieveable": module.retrieveable,
    }


def _fields(module: Module, _: str) -> Iterator[Row]:
    for position, field in enumerate(module.fields.values(), start=1):
        yield {
            "module": module.name,
            "field": field.name,
            "label": field.label,
            "type": field.type,
            "is_mandatory": field.mandatory,
            "is_editable": field.editable,
            "is_unique": field.unique,
            "refers_to": [*field.refers_to] or None,
            "default_value": field.default or None,
            "position": position,
        }


def _picklist_values(module: Module, _: str) -> Iterator[Row]:
    for field in module.fields.values():
        for position, (value, label) in enumerate(field.labelled_picklist.items(), start=1):
            yield {
                "module": module.name,
                "field": field.name,
                "value": value,
                "label": label,
                "position": position,
            }


TABLES = (
    Table(
        "Modules",
        ("module",),
        {
            "label": _LABEL,
            "singular_label": {**_TEXT, "description": "The label of one record"},
            "id_prefix": {**_TEXT, "description": "The part of its ids before the x"},
            "is_entity": {**_YES_OR_NO, "description": "False for tables such as Currency"},
            "createable": _YES_OR_NO,
            "updateable": _YES_OR_NO,
            "deleteable": _YES_OR_NO,
            "retrieveable": _YES_OR_NO,
        },
        _modules,
    ),
    Table(
        "Fields",
        ("module", "field"),
        {
            "label": _LABEL,
            "type": {**_TEXT, "description": "Kafinea's name of the type"},
            "is_mandatory": _YES_OR_NO,
            "is_editable": _YES_OR_NO,
            "is_unique": _YES_OR_NO,
            "refers_to": {
                "type": ["array", "null"],
                "items": {"type": "string"},
                "description": "The modules that a reference may point to; null if none are known",
            },
            "default_value": _TEXT,
            "position": _POSITION,
        },
        _fields,
    ),
    Table(
        "PicklistValues",
        ("module", "field", "value"),
        {"label": _LABEL, "position": _POSITION},
        _picklist_values,
    ),
)


class DictionaryStream(KafineaStream):
    """One table of the dictionary: full-table replication; loaders delete rows of old versions."""

    def __init__(self, tap: KafineaTap, name: str, table: Table) -> None:
        super().__init__(tap, name, table.schema)
        self._table = table
        self.primary_keys = [*table.key]
        self.forced_replication_method = REPLICATION_FULL_TABLE

    @override
    def get_records(self, context: Mapping[str, Any] | None) -> Iterable[Row]:
        run, state = self.run_context, self.stream_state
        checkpoint = Checkpoint.from_dict(state).of_instance(run.client.url).with_new_version()
        state.update(checkpoint.to_dict())
        self._stream_version = checkpoint.version
        for module in run.modules.described:
            rows = self._table.rows(module, run.modules.shown[module.name].singular)
            yield from map(self.selected_fields, rows)
        if checkpoint.version:
            self._write_activate_version_message(checkpoint.version)


def discover(tap: KafineaTap, modules: Sequence[Module]) -> list[Stream]:
    """Return the streams, if the settings require them."""
    if not tap.config["dictionary"]:
        return []
    taken = {module.name.casefold() for module in modules}
    return [DictionaryStream(tap, _name(table, taken), table) for table in TABLES]


def from_catalog(tap: KafineaTap, name: str, schema: Mapping[str, Any]) -> Stream | None:
    """Return the stream of a catalog entry, if it is one of these."""
    title = schema.get("title")
    table = next((one for one in TABLES if _TITLE + one.name == title), None)
    return DictionaryStream(tap, name, table) if table else None


def _name(table: Table, taken: set[str]) -> str:
    """Return the name of a stream. Loaders do not distinguish upper and lower case."""
    return f"Dictionary{table.name}" if table.name.casefold() in taken else table.name
