"""The types of modules, fields and related lists."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Field:
    """One field of a module, as `describe` and the database know it."""

    name: str
    label: str
    type: str = "string"
    """The describe type name: string, text, integer, double, currency, boolean, date, ..."""
    mandatory: bool = False
    editable: bool = True
    unique: bool = False
    default: str | None = ""
    values: tuple[str, ...] = ()
    """The values of a picklist or multipicklist."""
    labels: tuple[str, ...] = ()
    """The label of each value. Empty: the values are their labels."""
    refers_to: tuple[str, ...] = ()
    """The modules a reference may point to."""
    size: int | None = None
    """The size of the database column, which truncates a longer text silently."""
    scale: int | None = None
    """Digits after the point of a number on the wire."""
    of_line: bool = False
    """A field of a record with lines whose column is in the table of its lines."""
    retrieve_only: bool = False
    """Described, but not known to the query language (Products.tax1)."""


@dataclass(frozen=True)
class RelatedList:
    """A list of related records, as it is shown under a record."""

    label: str
    module: str
    follows: str | None = None
    """The field of `module` that refers back. None: any records, linked by `add_related`."""


@dataclass(frozen=True)
class Module:
    """One module and its fields, `id` not included."""

    name: str
    label: str
    singular: str
    fields: tuple[Field, ...]
    label_fields: tuple[str, ...] = ()
    is_entity: bool = True
    number_field: str | None = None
    """The field that the server numbers itself, such as `invoice_no`."""
    number_prefix: str = ""
    is_inventory: bool = False
    """Whether its records have lines."""
    related: tuple[RelatedList, ...] = ()


PRICE = re.compile(r"currency([1-9]\d*)")
"""The name of a product's price in one currency, and the currency's number."""


def is_price(name: str) -> bool:
    """Whether a field of a product is in the table of prices."""
    return PRICE.fullmatch(name) is not None
