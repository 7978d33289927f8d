"""What a sandbox module is made of.

The modules are written down once, in `modules`; `describe` answers, storage, the query language
and the demo company all read them from there.
"""

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
    """What people see of each value, in their language; empty: the values themselves."""
    refers_to: tuple[str, ...] = ()
    """The modules a reference may point to."""
    size: int | None = None
    """A text longer than this is cut silently, as the database column does."""
    scale: int | None = None
    """Digits after the point of a number on the wire."""
    of_line: bool = False
    """An inventory field whose column stands in the table of the lines."""
    retrieve_only: bool = False
    """Described, but refused by the query language (Products.tax1)."""


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
    """The field that the server numbers by itself, such as `invoice_no`."""
    number_prefix: str = ""
    is_inventory: bool = False


PRICE = re.compile(r"currency([1-9]\d*)")
"""The name of a product's price in one currency, and the currency's number."""


def is_price(name: str) -> bool:
    """Whether a field of a product stands in the table of prices."""
    return PRICE.fullmatch(name) is not None
