"""Reading the modules from their TOML files; the comment in `shared.toml` describes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kafinea_sandbox import toml
from kafinea_sandbox.dialects import INSTALLED
from kafinea_sandbox.modules.model import Field, Module, RelatedList

Entry = dict[str, Any]

_FOLDER = Path(__file__).parent
_FILES = ("customers", "goods", "inventory", "work", "settings")
# The sizes and scales of the columns of a vtiger database: a text is truncated at its size, and a
# number always has the digits of its scale.
_SIZES = {"string": 100, "phone": 50, "email": 100, "url": 255, "picklist": 200, "file": 200}
_SCALES = {"double": 3, "currency": 8}


def read_modules() -> tuple[Module, ...]:
    """All modules, in the order of their installation."""
    shared = toml.read(_FOLDER / "shared.toml")
    tables: dict[str, Entry] = {}
    for name in _FILES:
        tables |= toml.read(_FOLDER / f"{name}.toml")
    return tuple(_module(name, tables[name], shared) for name in INSTALLED)


def _module(name: str, table: Entry, shared: Entry) -> Module:
    is_entity = table.get("is_entity", True)
    # A later field replaces one of the same name, in its place.
    entries = {entry["name"]: entry for entry in _with_groups(table["fields"], shared["groups"])}
    numbered = next((entry for entry in entries.values() if "number" in entry), None)
    return Module(
        name,
        table.get("label", name),
        table.get("singular", name),
        tuple(
            _field(entry, shared["values"], has_defaults=is_entity) for entry in entries.values()
        ),
        label_fields=tuple(table.get("label_fields", ())),
        is_entity=is_entity,
        number_field=numbered["name"] if numbered else None,
        number_prefix=numbered["number"] if numbered else "",
        is_inventory=table.get("is_inventory", False),
        related=tuple(
            RelatedList(
                entry.get("label") or entry["module"], entry["module"], entry.get("follows")
            )
            for entry in _with_groups(table.get("related", []), shared["related"])
        ),
    )


def _with_groups(entries: list[Entry], groups: Mapping[str, list[Entry]]) -> Iterator[Entry]:
    for entry in entries:
        if "group" in entry:
            yield from _with_groups(groups[entry["group"]], groups)
        else:
            yield entry


def _field(entry: Entry, shared_values: Mapping[str, list[str]], *, has_defaults: bool) -> Field:
    values, refers_to = entry.get("values", ()), entry.get("refers_to", ())
    kind = entry.get("type") or ("picklist" if values else "reference" if refers_to else "string")
    default = entry.get("default", "" if has_defaults else False)
    attributes = {
        "size": None if "scale" in entry else _SIZES.get(kind),
        "scale": _SCALES.get(kind),
        "editable": "number" not in entry,
        **{name: value for name, value in entry.items() if name != "number"},
        "type": kind,
        "default": None if default is False else default,
        "values": tuple(shared_values[values] if isinstance(values, str) else values),
        "refers_to": (refers_to,) if isinstance(refers_to, str) else tuple(refers_to),
    }
    return Field(**attributes)
