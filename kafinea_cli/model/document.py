"""The data model of an instance as one JSON document. All formats are made from it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypedDict
from urllib.parse import urlsplit

from kafinea import describe


class Value(TypedDict):
    """A value of a picklist, and what people see of it."""

    value: str
    label: str


class Field(TypedDict):
    """A field of a module, as `describe` reports it."""

    name: str
    label: str
    type: str
    mandatory: bool
    editable: bool
    unique: bool
    default: str
    refers_to: list[str]
    values: list[Value]


class Module(TypedDict):
    """A module and its fields, in the order of the server."""

    name: str
    label: str
    id_prefix: str
    is_entity: bool
    writable: bool
    fields: list[Field]


class Document(TypedDict):
    """The data model. It contains no time, so the same model is the same document."""

    instance: str
    modules: list[Module]


class Reference(NamedTuple):
    """A field of a module that holds ids of another one.

    Attributes:
        module: The module that has the field.
        field: The field.
        to: The module whose ids it holds.
    """

    module: Module
    field: Field
    to: Module


def document(address: str, modules: Iterable[describe.Module]) -> Document:
    """Return the document of the modules of an instance.

    Args:
        address: The address of the instance. A password in it is left out.
        modules: Its modules.
    """
    parts = urlsplit(address)
    host = parts.netloc.rpartition("@")[2]
    return {
        "instance": f"{host}{parts.path.rstrip('/')}",
        "modules": [_module(module) for module in sorted(modules, key=lambda one: one.name)],
    }


def references(model: Document) -> Iterator[Reference]:
    """Yield the references between the modules of a document."""
    modules = {module["name"]: module for module in model["modules"]}
    for module in model["modules"]:
        for field in module["fields"]:
            for name in field["refers_to"]:
                if to := modules.get(name):
                    yield Reference(module, field, to)


def _module(module: describe.Module) -> Module:
    return {
        "name": module.name,
        "label": module.label,
        "id_prefix": module.id_prefix,
        "is_entity": module.is_entity,
        "writable": module.createable or module.updateable,
        "fields": [_field(field) for field in module.fields.values()],
    }


def _field(field: describe.Field) -> Field:
    return {
        "name": field.name,
        "label": field.label,
        "type": field.type,
        "mandatory": field.mandatory,
        "editable": field.editable,
        "unique": field.unique,
        "default": field.default,
        "refers_to": list(dict.fromkeys(field.refers_to)),
        "values": [
            {"value": value, "label": label} for value, label in field.labelled_picklist.items()
        ],
    }
