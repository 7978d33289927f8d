"""Modules and their fields, as `listtypes` and `describe` report them."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from kafinea.parsing import flag, is_id, mapping, members, text, whole, wrong
from kafinea.query import is_name

# `Users` answers the password hashes and everyone's access key in clear.
SECRET_MODULES = frozenset({"Users"})
SECRET_FIELDS = frozenset({"user_password", "confirm_password", "accesskey", "user_hash"})
_SECRET_TYPES = frozenset({"password"})

MODIFIED = "modifiedtime"
LINES = "LineItems"
"""Where a document keeps its lines, in what is retrieved and what is written."""

PDO_LINES = "pdoInformation"
"""Where coreBOS gives them: in what is retrieved only, because it has no module of the lines."""

LINE_MODULE = "LineItem"
"""The module of the lines."""

# The columns of the lines, which inventory modules describe as if they were their own. A query
# for them gives those of one line, and fewer than 100 records a page.
_LINE_FIELDS = frozenset(
    {
        "productid",
        "quantity",
        "listprice",
        "comment",
        "discount_amount",
        "discount_percent",
        "image",
        "purchase_cost",
        "margin",
    }
)
_HEADERS = frozenset({"hdnTaxType", "hdnGrandTotal"})
# They share a column name with the discount of a line, and a query gives them under that name.
HEADER_DISCOUNTS = frozenset({"hdnDiscountAmount", "hdnDiscountPercent"})
# A charge of the whole document, such as `shipping_&_handling`, and its taxes stand in no column.
_CHARGE_TAX = re.compile(r"(.+)_shtax\d+")
_TAX = re.compile(r"tax\d+")
_PRICE_OR_TAX = re.compile(r"(tax|currency)\d+")


@dataclass(frozen=True)
class ModuleInfo:
    """What `listtypes` reports of a module."""

    name: str
    label: str
    singular: str
    is_entity: bool


@dataclass(frozen=True)
class Field:
    """One field of a module.

    Attributes:
        name: The name on the wire, such as `cf_853`.
        label: The name people see, in the user's language, without HTML entities.
        type: The type's name; one that is not known is to be read as text.
        mandatory: A record must have a value.
        editable: Whether a client may write it. Writes to some are ignored (`modifiedby`).
        unique: No two records may share a value.
        picklist: The raw values of a picklist; write these, not their labels.
        picklist_labels: What people see of each, in the user's language.
        default: The value of a new record, if the server reports it.
        refers_to: The modules that a reference may point to; none means unknown.
        max_bytes: Maximum size of a file, if the server reports it.
    """

    name: str
    label: str
    type: str
    mandatory: bool = False
    editable: bool = True
    unique: bool = False
    picklist: tuple[str, ...] = ()
    refers_to: tuple[str, ...] = ()
    max_bytes: int | None = None
    picklist_labels: tuple[str, ...] = ()
    default: str = ""

    @property
    def labelled_picklist(self) -> dict[str, str]:
        """What people see of each value of a picklist, in its order."""
        return dict(zip(self.picklist, self.picklist_labels, strict=True))


@dataclass(frozen=True)
class Module:
    """One module, without the fields that hold secrets.

    Attributes:
        name: The name on the wire; case matters.
        id_prefix: The part before the x of its ids. It differs between instances.
        is_entity: False for helper tables such as `Currency`.
        fields: The fields by name, `id` included.
        named_by_lines: Whether the module of the lines names it as one that has lines.
    """

    name: str
    label: str
    id_prefix: str
    is_entity: bool
    createable: bool
    updateable: bool
    deleteable: bool
    retrieveable: bool
    fields: Mapping[str, Field]
    named_by_lines: bool = False

    @cached_property
    def is_inventory(self) -> bool:
        """Whether its records have lines: quotes, orders, invoices, credit notes."""
        return self.is_entity and (self._has_header or self.named_by_lines)

    @property
    def may_have_lines(self) -> bool:
        """Whether only the module of the lines reports this.

        A user may not see the header fields. But entities without lines have such fields as well:
        Assets, InventoryDetails of coreBOS, modules that a company has made.
        """
        has_columns_of_lines = {"productid", "quantity"} <= self.fields.keys()
        return self.is_entity and has_columns_of_lines and not self._has_header

    @property
    def _has_header(self) -> bool:
        return not _HEADERS.isdisjoint(self.fields)

    @property
    def has_prices(self) -> bool:
        """Whether its prices and taxes stand in other tables, as those of products do."""
        return not self.is_inventory and "unit_price" in self.fields

    @cached_property
    def line_columns(self) -> frozenset[str]:
        """The fields that an inventory module describes and that belong to its lines."""
        if not self.is_inventory:
            return frozenset()
        return frozenset(n for n in self.fields if n in _LINE_FIELDS or _TAX.fullmatch(n))

    @cached_property
    def only_retrieved(self) -> frozenset[str]:
        """The fields of an inventory module that `retrieve` gives and no query."""
        return only_retrieved(self.fields) if self.is_inventory else frozenset()

    @cached_property
    def queryable(self) -> tuple[str, ...]:
        """The names of the fields whose own values a query gives. `describe` promises more."""
        hidden = self.line_columns | self.only_retrieved
        if self.has_prices:
            # The taxes and prices of products and services stand in other tables.
            hidden |= {name for name in self.fields if _PRICE_OR_TAX.fullmatch(name)}
        return tuple(n for n in self.fields if n not in hidden and is_name(n))

    @cached_property
    def readable(self) -> tuple[str, ...]:
        """The names of the fields that a record can be read with: `id`, then as described."""
        given = {*self.queryable, *self.only_retrieved}
        return ("id", *(name for name in self.fields if name in given and name != "id"))


def modules(listtypes: Any) -> dict[str, ModuleInfo]:
    """Read the answer of `listtypes`.

    Raises:
        WrongAnswer: It is no list of modules.
    """
    answer = mapping(listtypes) or {}
    names, information = members(answer.get("types")), mapping(answer.get("information", {}))
    if names is None or information is None or not all(isinstance(name, str) for name in names):
        raise wrong("listtypes", "list of modules")
    return {name: _info(name, mapping(information.get(name)) or {}) for name in names}


def _info(name: str, entry: Mapping[str, Any]) -> ModuleInfo:
    return ModuleInfo(
        name=name,
        label=_label(entry.get("label"), name),
        singular=_label(entry.get("singular"), name),
        is_entity=flag(entry.get("isEntity", True)),
    )


def module(describe: Any, name: str) -> Module:
    """Read the answer of `describe`.

    Args:
        describe: The answer.
        name: The module that was requested.

    Raises:
        WrongAnswer: It is no description of that module.
    """
    where, answer = f"describe of {name}", mapping(describe) or {}
    described, prefix = text(answer.get("name", name)), text(answer.get("idPrefix", ""))
    fields = members(answer.get("fields"))
    if not fields or described is None or described.casefold() != name.casefold():
        raise wrong(where, "description of the module")
    if prefix is None or (prefix and not is_id(f"{prefix}x1")):
        raise wrong(where, "id prefix")
    known = {field.name: field for field in (_field(where, entry) for entry in fields)}
    return Module(
        name=name,
        label=_label(answer.get("label"), name),
        id_prefix=prefix,
        is_entity=flag(answer.get("isEntity")),
        createable=flag(answer.get("createable")),
        updateable=flag(answer.get("updateable")),
        deleteable=flag(answer.get("deleteable")),
        retrieveable=flag(answer.get("retrieveable", True)),
        fields={name: field for name, field in known.items() if not is_secret(field)},
    )


def related_lists(relatedtypes: Any, name: str) -> dict[str, str]:
    """Read the answer of `relatedtypes`: the module of each related list, by its label.

    Raises:
        WrongAnswer: It is no list of them.
    """
    information = mapping((mapping(relatedtypes) or {}).get("information"))
    if information is None:
        raise wrong(f"relatedtypes of {name}", "related lists")
    found = {
        label: text((mapping(entry) or {}).get("name")) for label, entry in information.items()
    }
    return {label: related for label, related in found.items() if related}


def only_retrieved(names: Iterable[str]) -> frozenset[str]:
    """Return those fields of an inventory module that `retrieve` gives and no query."""
    known = frozenset(names)
    taxes = {name: match[1] for name in known if (match := _CHARGE_TAX.fullmatch(name))}
    charges = {*taxes, *taxes.values(), *(name for name in known if not is_name(name))}
    return known & (HEADER_DISCOUNTS | charges)


def is_secret(field: Field) -> bool:
    """Whether a field holds a password, its hash, or an access key."""
    return field.type in _SECRET_TYPES or field.name in SECRET_FIELDS


def _field(where: str, answer: Any) -> Field:
    """Read a field.

    Raises:
        WrongAnswer: It has no name, or no type.
    """
    entry = mapping(answer) or {}
    name, of_type = text(entry.get("name")), mapping(entry.get("type") or {})
    type_name = text((of_type or {}).get("name", "string"))
    if not name or of_type is None or type_name is None:
        raise wrong(where, "name and type for one of its fields")
    values = {
        value: _label(item.get("label"), value)
        for item in map(mapping, members(of_type.get("picklistValues")) or ())
        if item and (value := text(item.get("value"))) is not None
    }
    return Field(
        name=name,
        label=_label(entry.get("label"), name),
        type=type_name,
        mandatory=flag(entry.get("mandatory")),
        editable=flag(entry.get("editable", True)),
        unique=flag(entry.get("isunique")),
        picklist=tuple(values),
        picklist_labels=tuple(values.values()),
        default=text(entry.get("default")) or "",
        refers_to=tuple(filter(None, map(text, members(of_type.get("refersTo")) or ()))),
        max_bytes=whole(of_type.get("maxUploadFileSize")),
    )


def _label(label: object, default: str) -> str:
    return html.unescape(text(label) or default)
