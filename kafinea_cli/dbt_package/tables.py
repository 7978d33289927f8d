"""The tables of the warehouse, as a catalog of the tap describes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from singer_sdk.helpers._util import load_json
from singer_sdk.singerlib import Catalog, CatalogEntry

from kafinea.describe import MODIFIED
from kafinea.errors import SettingsError
from kafinea_cli.connection import settings_of_tap
from kafinea_cli.dbt_package.readable_names import Named, model_names, readable_names
from kafinea_cli.stored_names import stored, stored_columns
from singer_kafinea.plugin import naming
from tap_kafinea.catalogs import catalog_of
from tap_kafinea.schema import picklist_of, refers_to, type_of
from tap_kafinea.settings import SETTINGS
from tap_kafinea.tap import TapKafinea

Picklists = Mapping[tuple[str, str], Sequence[str]]
"""The values of each picklist, by module and field."""


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        field: The name of the field in Kafinea.
        stored: The name of its column in the warehouse.
        name: Its readable name, in the staging model.
        label: What people see in Kafinea.
        type: The type of the field, such as `picklist`.
        refers_to: The modules whose ids it holds.
        picklist: The values that it may have; none if they are not known.
    """

    field: str
    stored: str
    name: str
    label: str
    type: str
    refers_to: tuple[str, ...] = ()
    picklist: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """A table of the warehouse.

    Attributes:
        stream: The name of the stream; for most, that of the module.
        stored: The name of the table in the warehouse.
        name: Its readable name.
        label: What people see in Kafinea.
        keys: The fields that identify a row.
        columns: Its columns by field.
    """

    stream: str
    stored: str
    name: str
    label: str
    keys: tuple[str, ...]
    columns: Mapping[str, Column]

    @property
    def model(self) -> str:
        """The name of its staging model."""
        return f"stg_kafinea__{self.name}"

    @property
    def modified(self) -> Column | None:
        """When a row was last changed in Kafinea."""
        return self.columns.get(MODIFIED)


Tables = Mapping[str, Table]
"""The tables by stream."""


class Warehouse(NamedTuple):
    """The tables, and how they were filled.

    Attributes:
        tables: The tables.
        deletions: The setting of the tap of this name.
    """

    tables: Tables
    deletions: str


def of_instance(options: dict[str, Any]) -> Warehouse:
    """Return the tables that the tap fills, by its settings, with the values of picklists.

    Args:
        options: The options of the command that are settings.

    Raises:
        SettingsError: A setting is missing or wrong.
        KafineaError: The instance cannot be read.
    """
    tap = TapKafinea(config=settings_of_tap(options, SETTINGS))
    catalog = catalog_of(tap.catalog_dict)
    picklists = {
        (module.name, field.name): field.picklist
        for module in tap.context.modules.described
        for field in module.fields.values()
        if field.type == "picklist"
    }
    return Warehouse(tables_of(catalog, picklists), tap.config["deletions"])


def of_catalog(path: Path) -> Warehouse:
    """Return the tables of what a catalog selects. It contains the values of short picklists only.

    Raises:
        SettingsError: The file is not a catalog.
    """
    with naming("--catalog", str(path)):
        content = load_json(path.read_text(encoding="utf-8"))
    deletions = settings_of_tap({}, SETTINGS).get("deletions", "")
    return Warehouse(tables_of(catalog_of(content), {}), deletions)


def tables_of(catalog: Catalog | None, picklists: Picklists) -> Tables:
    """Return the tables of what a catalog selects.

    Raises:
        SettingsError: It selects nothing.
    """
    selected = [entry for entry in (catalog or {}).values() if _mask(entry).get((), True)]
    if not selected:
        raise SettingsError("The catalog selects no stream, so there is nothing to write.")
    names = model_names(entry.tap_stream_id for entry in selected)
    tables = [_table(entry, names[entry.tap_stream_id], picklists) for entry in selected]
    return {table.stream: table for table in sorted(tables, key=lambda table: table.name)}


def _table(entry: CatalogEntry, name: str, picklists: Picklists) -> Table:
    stream, schema = entry.tap_stream_id, entry.schema.to_dict()
    selected = dict(_selected(entry, schema["properties"]))
    # The loader names the columns of what the tap emits.
    names = stored_columns(selected)
    readable = readable_names(
        Named(field, _label(field, definition), bool(refers_to(definition)))
        for field, definition in selected.items()
    )
    return Table(
        stream=stream,
        stored=stored(stream),
        name=name,
        label=_label(stream, schema),
        keys=tuple(entry.key_properties or entry.metadata.root.table_key_properties or ()),
        columns={
            field: Column(
                field=field,
                stored=names[field],
                name=readable[field],
                label=_label(field, definition),
                type=type_of(definition),
                refers_to=refers_to(definition),
                picklist=tuple(picklists.get((stream, field)) or picklist_of(definition)),
            )
            for field, definition in selected.items()
        },
    )


def _selected(
    entry: CatalogEntry, properties: Mapping[str, Any]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    mask = _mask(entry)
    for field, definition in properties.items():
        if mask.get(("properties", field), True):
            yield field, definition


def _mask(entry: CatalogEntry) -> Mapping[tuple[str, ...], bool]:
    return entry.metadata.resolve_selection()


def _label(name: str, schema: Mapping[str, Any]) -> str:
    return " ".join((schema.get("title") or "").split()) or name
