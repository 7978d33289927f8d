"""What servers of the family do to a record besides what they are sent: the only list of it.

Measured on vtiger 8.1, F-RevoCRM and coreBOS, column by column, before and after an update
(measured), unless a line says otherwise.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from kafinea.describe import LINES, Field, Module

SERVERS_OWN = frozenset({"createdtime", "modifiedtime", "modifiedby", "source", "label"})
"""What the server fills in itself, whatever it is sent. A tap may bring it; it is not loaded."""

NEVER_SENT = SERVERS_OWN | {
    *("creator", "created_user_id", "starred", "tags", "imageattachmentids", "pdoInformation"),
}
"""What a full update does not send back. A `modifiedby` that is sent back does harm: to a
user who is no administrator the whole update is refused."""

TOTALS = frozenset({"hdnSubTotal", "hdnGrandTotal", "pre_tax_total", "balance"})
"""What the server adds up."""

AMOUNTS = frozenset(
    {
        *("hdnTaxType", "hdnDiscountPercent", "hdnDiscountAmount"),
        *("hdnS_H_Amount", "hdnS_H_Percent", "txtAdjustment"),
    }
)
"""What the totals are made of besides the lines. The server adds up only when lines are sent."""

LINE_SERVERS_OWN = frozenset(
    {
        *("id", "parent_id", "product_name", "entity_type", "deleted", "incrementondel"),
        *("image", "purchase_cost", "margin", "sequence_no", "description"),
    }
)
"""What the server shows of a line and does not take, or takes from the line's place."""

_RATES = frozenset({"currency_id", "conversion_rate"})
_PAYMENTS = frozenset({"received", "paid", "refunded"})

_DOCUMENTED = {"Documents": frozenset({"filename", "filetype", "filesize"})}
"""What `describe` calls not editable, and the maker's documentation requires."""

_ON_EVERY_WRITE = frozenset({"modifiedtime", "modifiedby", "label", "LineItems_FinalDetails"})

_DERIVED: dict[str, tuple[tuple[frozenset[str], frozenset[str]], ...]] = {
    # vtiger installs this workflow with every instance: the forecast is amount times probability.
    "Potentials": (
        (frozenset({"sales_stage"}), frozenset({"probability", "forecast_amount"})),
        (frozenset({"amount", "probability"}), frozenset({"forecast_amount"})),
    ),
}
"""By module: what follows from which fields."""

_LOST_BY_AN_UPDATE = {
    "Events": "its further contacts, its invitees and its recurrence are removed, and its "
    "reminder is reset",
    "Faq": "the API user becomes its owner",
    "PriceBooks": "the API user becomes its owner",
}
"""By module: what an update of any form changes and the API does not show."""

_LOST_BY_LINES = {
    "Invoice": "the products' stock is increased by the quantities of the old lines, but not "
    "decreased by those of the new lines",
}
"""By module: the same, of an update that carries lines."""

_KEPT_IF = {("SalesOrder", "invoicestatus"): "enable_recurring"}
"""By module and field: the field without which the server keeps nothing for it."""

PRICES_MULTIPLIED = (
    "the prices in other currencies that Kafinea has converted are multiplied by 100,000,000, "
    "because the grouping separator of the API user is '.'; another one in the user's "
    "preferences prevents this"
)
"""What an update of a product with prices in other currencies does for such a user."""


def side_effects(module: str, *, has_lines: bool) -> str | None:
    """Return what an update changes that the API does not show.

    Args:
        module: The module's name.
        has_lines: Whether the update carries lines.
    """
    return _LOST_BY_AN_UPDATE.get(module) or (_LOST_BY_LINES.get(module) if has_lines else None)


def may_follow(module: Module, changed: Collection[str]) -> frozenset[str]:
    """Return the fields that the server changes by itself when these are changed.

    Args:
        module: The module.
        changed: The names of the fields that an update changes, `LineItems` among them.
    """
    names = set(_ON_EVERY_WRITE)
    for causes, effects in _DERIVED.get(module.name, ()):
        if not causes.isdisjoint(changed):
            names |= effects
    if not module.is_inventory:
        return frozenset(names)
    names.add("productid")  # the product of a line, or nothing
    if LINES in changed or not (AMOUNTS | _RATES).isdisjoint(changed):
        # With lines, hdnS_H_Percent becomes the amount.
        names |= TOTALS | {LINES, "hdnS_H_Percent"} | module.line_columns
    if not _PAYMENTS.isdisjoint(changed):
        names.add("balance")
    if not {"hdnDiscountPercent", "hdnDiscountAmount"}.isdisjoint(changed):
        names |= {"hdnDiscountPercent", "hdnDiscountAmount"}  # one of them, never both
    return frozenset(names)


def is_sent(name: str, module: Module) -> bool:
    """Whether a full update sends a field back that it does not change."""
    if name == "id":
        return True
    if name in NEVER_SENT or (module.is_inventory and name in TOTALS):
        return False
    field = module.fields.get(name)
    if field is None:
        # Prices and taxes of a product are not all described, and lost where they are not sent.
        return module.has_prices
    return field.editable or name in _DOCUMENTED.get(module.name, ())


def decides_whether_kept(field: str, module: str) -> str | None:
    """Return the field on which it depends whether the server keeps what it is sent for another.

    A sales order without recurrence has no `invoicestatus`, although it is mandatory: the server
    wants a value and stores none.
    """
    return _KEPT_IF.get((module, field))


def is_kept(field: Field, module: Module, record: Mapping[str, Any]) -> bool:
    """Whether the server keeps what it is sent for a field of this record."""
    decides = decides_whether_kept(field.name, module.name)
    return decides is None or str(record.get(decides) or "0") not in {"0", "off", "no"}
