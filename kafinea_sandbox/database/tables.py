"""The tables of the modules, and the SQL that turns their columns into the text of answers."""

# ruff: noqa: S608 - names come from `modules`, values are parameters

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import groupby
from types import MappingProxyType
from typing import Any

from kafinea_sandbox.dialects import Dialect
from kafinea_sandbox.modules import MODULES
from kafinea_sandbox.modules.model import Field, Module, is_price

_NUMBERS = {"integer", "double", "currency"}
_ADDRESSES = ("mailing", "other", "bill_", "ship_")
# Two fields of the record have the column name of a line field, and are answered under it.
_COLUMN_NAMES = {
    "hdnDiscountPercent": "discount_percent",
    "hdnDiscountAmount": "discount_amount",
}


@dataclass(frozen=True)
class Column:
    """One field in the database."""

    field: Field
    key: str
    """Its name in the rows of a query."""
    kind: str
    """How it compares: text, number, date, datetime, reference, owner or id."""
    part: str
    """Its table on a real server: base, address, custom or line."""
    sql: str
    """The stored value."""
    wire: str
    """The text on the wire."""

    @property
    def is_text(self) -> bool:
        """Whether its values are free text."""
        return self.kind == "text" and self.field.type not in {"boolean", "time"}


@dataclass(frozen=True)
class Table:
    """One module in the database."""

    module: Module
    prefix: str
    columns: dict[str, Column]
    """All fields by name, `id` included, in the order of the wire."""

    @property
    def name(self) -> str:
        """The name of the module, and of the SQL table."""
        return self.module.name

    @property
    def is_actor(self) -> bool:
        """Whether it has numbers of its own, and no owner, label or history."""
        return not self.module.is_entity or self.name == "Users"

    @cached_property
    def modified(self) -> str | None:
        """The column with the time of the last change."""
        return next((name for name in self.columns if name.lower() == "modifiedtime"), None)

    @cached_property
    def blanks(self) -> Mapping[str, Any]:
        """What a record has in its own columns if it is given no values."""
        return {field.name: empty(field) for field in stored_fields(self.module)}

    @property
    def has_files(self) -> bool:
        """Whether its records can have files of their own."""
        return self.name in {"Documents", "Contacts", "Products"}

    def queryable(self) -> dict[str, Column]:
        """The columns of the query language."""
        return {
            name: column
            for name, column in self.columns.items()
            if not column.field.retrieve_only and "&" not in name
        }

    def wire_id(self, number: int) -> str:
        """The id of a record, such as `12x43`."""
        return f"{self.prefix}x{number}"


@cache
def build(dialect: Dialect, without: frozenset[str]) -> Mapping[str, Table]:
    """The tables of all modules but some; the same for all sandboxes of a process."""
    modules = [module for module in MODULES if module.name not in without]
    names = {module.name for module in modules}
    tables = {module.name: build_one(module, names, dialect) for module in modules}
    return MappingProxyType(tables)


def build_one(module: Module, names: Collection[str], dialect: Dialect) -> Table:
    """The table of a module, beside others of these names."""
    if dialect.pdo and module.is_inventory:
        module = _without_lines(module)
    columns = {}
    known = {name: dialect.prefix(name) for name in names}
    for field in _with_id(module):
        if field.retrieve_only and is_price(field.name):
            continue  # one for every currency: see `prices`
        refers_to = tuple(name for name in field.refers_to if name in known)
        columns[field.name] = _column(replace(field, refers_to=refers_to), known, module)
    return Table(module, dialect.prefix(module.name), columns)


def _without_lines(module: Module) -> Module:
    """An inventory module as vtiger 5 has it: without the fields that repeat its lines."""
    kept = (field for field in module.fields if not field.of_line and not field.retrieve_only)
    return replace(module, fields=tuple(kept))


def value_type_of(field: Field) -> str:
    """How a field compares."""
    if field.type in _NUMBERS or field.scale is not None:
        return "number"
    if field.type == "reference":
        return "reference" if field.refers_to else "text"
    return field.type if field.type in {"date", "datetime", "owner"} else "text"


def empty(field: Field) -> str | int | None:
    """What a write leaves in a column that was not given a value."""
    kind = value_type_of(field)
    if field.retrieve_only or field.name.startswith("hdnDiscount"):
        return None
    if kind == "number":
        scale = field.scale or 0
        return f"{0:.{scale}f}"
    if field.type == "boolean":
        return "0"
    return {"reference": 0, "owner": 0, "date": None, "datetime": None}.get(kind, "")


def _with_id(module: Module) -> Iterator[Field]:
    """The fields with `id` in its place: first for actors, else before the fields of `retrieve`."""
    identity = Field("id", id_label(module), "autogenerated", editable=False)
    actor = not module.is_entity and module.name != "LineItem"
    if actor and module.name != "ProductTaxes":
        yield identity
    for of_retrieve, fields in groupby(module.fields, key=lambda field: field.retrieve_only):
        if of_retrieve and not actor:
            yield identity
        yield from fields
        if not of_retrieve and not actor and not any(f.retrieve_only for f in module.fields):
            yield identity


def id_label(module: Module) -> str:
    """The name of the key column in the real database; `describe` gives it as the label of `id`."""
    special = {
        "Documents": "notesid",
        "Calendar": "activityid",
        "Events": "activityid",
        "Emails": "activityid",
        "HelpDesk": "ticketid",
        "Leads": "leadid",
        "Groups": "groupid",
        "Currency": "id",
        "Users": "id",
        "DocumentFolders": "folderid",
        "CompanyDetails": "organization_id",
        "LineItem": "lineitem id",
        "Faq": "id",
    }
    return special.get(module.name, f"{module.name.lower().removesuffix('s')}id")


def _column(field: Field, prefixes: dict[str, str], module: Module) -> Column:
    if field.name == "id":
        wire = f"'{prefixes[module.name]}x' || t._number"
        return Column(field, "id", "id", "base", "t._number", wire)
    alias = "l" if field.of_line else "t"
    repeats_lines = any(other.of_line for other in module.fields)
    sql = f'{alias}."{field.name}"'
    return Column(
        field,
        _COLUMN_NAMES.get(field.name, field.name) if repeats_lines else field.name,
        value_type_of(field),
        _part(field),
        sql,
        _wire(field, sql, prefixes),
    )


def _part(field: Field) -> str:
    if field.of_line:
        return "line"
    if field.name.startswith("cf_"):
        return "custom"
    return "address" if field.name.startswith(_ADDRESSES) else "base"


def _wire(field: Field, sql: str, prefixes: dict[str, str]) -> str:
    kind = value_type_of(field)
    if kind == "owner":
        return (
            f"CASE WHEN {sql} IN (SELECT _number FROM Users) THEN '{prefixes['Users']}x' || {sql} "
            f"WHEN {sql} IN (SELECT _number FROM Groups) THEN '{prefixes['Groups']}x' || {sql} "
            f"ELSE COALESCE(CAST(NULLIF({sql}, 0) AS TEXT), '') END"
        )
    if kind == "reference":
        return f"COALESCE({_target(field, sql, prefixes)}, '')"
    return f"COALESCE({sql}, '')"


def _target(field: Field, sql: str, prefixes: dict[str, str]) -> str:
    """The id of the record referred to, NULL when it is deleted or (a user) inactive."""
    modules = [module for module in MODULES if module.name in field.refers_to]
    actors = [m.name for m in modules if not m.is_entity or m.name == "Users"]
    if len(modules) == 1 and actors:
        active = " AND a.status = 'Active'" if actors == ["Users"] else ""
        prefix = prefixes[actors[0]]
        return f"(SELECT '{prefix}x' || {sql} FROM {actors[0]} a WHERE a._number = {sql}{active})"
    cases = " ".join(f"WHEN '{m.name}' THEN '{prefixes[m.name]}x' || {sql}" for m in modules)
    return (
        f"(SELECT CASE e.module {cases} END FROM _entity e"
        f" WHERE e._number = {sql} AND e._deleted = 0)"
    )


def stored_fields(module: Module) -> list[Field]:
    """The fields whose column is in the module's own table."""
    elsewhere = (f.of_line or (f.retrieve_only and is_price(f.name)) for f in module.fields)
    return [f for f, gone in zip(module.fields, elsewhere, strict=True) if not gone]
