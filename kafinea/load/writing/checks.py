"""What is checked before a record is sent: the server changes bad values silently."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from kafinea.describe import LINES, Field, Module
from kafinea.load.lookup import keys
from kafinea.load.plan import LoadPlan
from kafinea.load.results import Rejected
from kafinea.load.server.server_rules import LINE_SERVERS_OWN
from kafinea.load.server.totals import rounded_line
from kafinea.parsing import is_id
from kafinea.values import LIST_SEPARATOR, ServerZone, ValueType, encode, value_type_of

_LARGEST_INTEGER = 2**31 - 1  # the column's; the server clips what is larger
_TIME = re.compile(r"([01]?\d|2[0-3]):[0-5]\d(:[0-5]\d)?|\d+", re.ASCII)
_MIDNIGHT = re.compile(r"[T ]00:00:00(\.0+)?(Z|[+-]00:?00)?\Z", re.ASCII)


def record_id(value: Any) -> str | None:
    """Return the Kafinea id that a record came with, if it did.

    Raises:
        Rejected: It is neither a text nor a number.
    """
    if isinstance(value, (bool, float, list, dict)):
        raise Rejected("INVALID_VALUE", "id: the value is not an id")
    return str(value) if value not in {None, ""} else None


def wire_values(
    plan: LoadPlan, record: Mapping[str, Any], zone: ServerZone, *, key_only: bool = False
) -> dict[str, str | None]:
    """Return a record's values by field name as the wire wants them; None clears.

    A field that no record is without is left out when it has no value: the server, or the
    user of the API, fills it in when the record is new, and what it has stays otherwise. So is one
    whose policy is to `keep` what it has.

    Args:
        plan: How the record goes into its module.
        record: The record.
        zone: The server's time zone.
        key_only: Of a record that is to be deleted, only the key matters.

    Raises:
        Rejected: A value does not fit its field.
    """
    values: dict[str, str | None] = {}
    for name, field in plan.fields.items():
        if name not in record or (key_only and field.name not in plan.match_on):
            continue
        value = record[name]
        is_text = type(value) is str and value != "" and name in plan.texts
        wire = value if is_text else wire_value(field, value, zone)
        if wire is not None or not _ignores_null(field, plan):
            values[field.name] = wire
    return values


def wire_value(field: Field, value: Any, zone: ServerZone) -> str | None:
    """Return one value as the wire wants it.

    Raises:
        Rejected: It does not fit the field.
    """
    if value in (None, "", []):
        return None
    kind = value_type_of(field.type)
    if kind is ValueType.DATE and isinstance(value, str):
        value = _MIDNIGHT.sub("", value)  # as warehouses give their dates
    try:
        if kind is ValueType.TEXT:
            return _text(field, value)
        wire = encode(value, kind, zone)
    except (ValueError, TypeError, ArithmeticError):
        raise Rejected(
            "INVALID_VALUE", f"{field.name}: the value is not of type {field.type}"
        ) from None
    if kind is ValueType.INTEGER and abs(int(wire or 0)) > _LARGEST_INTEGER:
        raise Rejected("INVALID_VALUE", f"{field.name}: the integer is out of range")
    return wire


def check_key(values: Sequence[str], names: Sequence[str]) -> None:
    """Check that a record can be looked up by its key.

    Raises:
        Rejected: No query can hold one of its values.
    """
    for name, value in zip(names, values, strict=False):
        keys.check(name, value)


def wire_lines(lines: Any, module: Module, zone: ServerZone) -> list[dict[str, str | None]]:
    """Return the lines of an inventory record as the wire wants them; null leaves to the server.

    Args:
        lines: A list of objects, by the field names of the module of lines.
        module: The module of lines.
        zone: The server's time zone.

    Raises:
        Rejected: They are no list of objects, or a value does not fit.
    """
    if not isinstance(lines, list) or not all(isinstance(line, dict) for line in lines):
        raise Rejected("INVALID_VALUE", f"{LINES} is not a list of objects")
    return [_wire_line(position, line, module, zone) for position, line in enumerate(lines, 1)]


def check_lines(lines: Sequence[Mapping[str, Any]]) -> None:
    """Check what each line must have.

    Raises:
        Rejected: There is no line, or one names no product or no quantity.
    """
    if not lines:
        raise Rejected("MANDATORY_FIELD_MISSING", f"{LINES}: the list is empty")
    for position, line in enumerate(lines, start=1):
        if all(Decimal(line.get(name) or 0) for name in ("discount_percent", "discount_amount")):
            text = f"{LINES}: line {position} has two discounts; set only one"
            raise Rejected("INVALID_VALUE", text)
        for name in ("productid", "quantity"):
            if not line.get(name):
                raise Rejected("MANDATORY_FIELD_MISSING", f"{LINES}: line {position} has no {name}")


def check_amounts(stored: Mapping[str, Any], wanted: Sequence[Mapping[str, Any]] | None) -> None:
    """Check that no line has another amount because the server rounds its quantity, for example.

    Args:
        stored: The record with its lines.
        wanted: These lines as they were loaded, the same but for digits; None if they were not.

    Raises:
        Rejected: One has.
    """
    if wanted and (place := rounded_line(stored[LINES], wanted)):
        text = (
            f"{LINES}: line {place}: the server keeps fewer decimals of its numbers, so its amount "
            "differs from the input. Round the numbers in your query"
        )
        raise Rejected("NOT_AS_SENT", text, id=stored["id"])


def check_mandatory(module: Module, values: Mapping[str, Any], *, complete: bool) -> None:
    """Check that mandatory fields have values.

    Args:
        module: The module.
        values: Wire values by field name.
        complete: Whether the record is new, so that a field that is not loaded is missing.

    Raises:
        Rejected: Some have none; all are named.
    """
    missing = [
        field.name
        for field in module.fields.values()
        if field.mandatory
        and values.get(field.name) in {None, ""}
        and (complete or field.name in values)
        and not (module.is_inventory and field.name not in module.queryable)
    ]
    has_tax_type = complete or "hdnTaxType" in values
    if module.is_inventory and has_tax_type and not values.get("hdnTaxType"):
        missing.append("hdnTaxType")
    if missing:
        raise Rejected("MANDATORY_FIELD_MISSING", f"no value in {', '.join(missing)}")


def check_picklist(field: Field, wire: str | None) -> None:
    """Check that a picklist has each of the values.

    Raises:
        Rejected: It has not; the server would store it all the same.
    """
    if wire is None or not field.picklist or not field.type.endswith("picklist"):
        return
    values = wire.split(LIST_SEPARATOR) if value_type_of(field.type) is ValueType.LIST else [wire]
    if not set(values) <= set(field.picklist):
        raise Rejected("UNKNOWN_PICKLIST_VALUE", f"{field.name}: the value is not in the picklist")


def check_reference(field: Field, wire: str, prefixes: Mapping[str, str]) -> None:
    """Check that a reference has the form of an id of a module that the field accepts.

    Args:
        field: The field.
        wire: The id.
        prefixes: The id prefixes of those modules, as far as they are known.

    Raises:
        Rejected: It has not.
    """
    if not is_id(wire) or (prefixes and wire.partition("x")[0] not in prefixes):
        accepted = " or ".join(field.refers_to) or "another module"
        example = f" (expected something like {next(iter(prefixes))}x18)" if prefixes else ""
        text = (
            f"{field.name}: not an id of {accepted}{example}. To match by a key, set `references`"
        )
        raise Rejected("UNRESOLVED_REFERENCE", text)


def _text(field: Field, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int, float, Decimal)):
        raise TypeError(type(value).__name__)
    text = str(value)
    if field.type == "time":
        if not _TIME.fullmatch(text):
            raise ValueError(field.type)
        return _whole_time(text) if ":" in text else text
    return text


def _whole_time(text: str) -> str:
    hours, _, rest = text.partition(":")
    return f"{hours:0>2}:{rest}" + ("" if ":" in rest else ":00")


def _wire_line(
    position: int, line: Mapping[str, Any], module: Module, zone: ServerZone
) -> dict[str, str | None]:
    wires: dict[str, str | None] = {}
    try:
        for name, value in line.items():
            if name in LINE_SERVERS_OWN or (value in (None, "") and _is_left_to_the_server(name)):
                continue
            wires[name] = wire_value(_field_of_line(module, name), value, zone)
    except Rejected as error:
        code = error.rejection.code
        raise Rejected(code, f"{LINES}: line {position}: {error}") from None
    return wires


def _ignores_null(field: Field, plan: LoadPlan) -> bool:
    return plan.policies.ignores_null(field.name) or _is_never_empty(field, plan.module)


def _is_never_empty(field: Field, module: Module) -> bool:
    """Whether each record has a value here, also one that was created without."""
    if module.is_inventory and field.name in {"currency_id", "conversion_rate"}:
        return True
    return field.type == "owner" or (module.name, field.name) == ("Documents", "folderid")


def _is_left_to_the_server(name: str) -> bool:
    """Whether the server fills in what a line does not contain: the product's price and taxes."""
    return name == "listprice" or name.startswith("tax")


def _field_of_line(module: Module, name: str) -> Field:
    if name not in module.fields:
        raise Rejected("INVALID_VALUE", f"unknown field {name!r}")
    return module.fields[name]
