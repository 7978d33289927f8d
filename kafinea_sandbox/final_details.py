"""The part of an inventory record that the server's own screens are drawn from."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

_ZERO = Decimal(0)


def final_details(record: dict[str, Any], lines: list[dict[str, Any]]) -> dict[str, Any]:
    """`LineItems_FinalDetails`: the lines under numbered keys, the totals within the first."""
    details = {str(place): _line(str(place), line) for place, line in enumerate(lines, 1)}
    details.setdefault("1", {})
    details["1"]["final_details"] = _totals(record if lines else {})
    return details


def _line(place: str, line: dict[str, Any]) -> dict[str, Any]:
    gross = Decimal(line["quantity"]) * Decimal(line["listprice"])
    discount = gross * Decimal(line["discount_percent"]) / 100 + Decimal(line["discount_amount"])
    values = {
        "productDeleted": False,
        "entityType": line["entity_type"],
        "hdnProductId": line["productid"].partition("x")[2],
        "productName": line["product_name"],
        "comment": line["comment"],
        "qty": f"{Decimal(line['quantity']).normalize():f}",
        "listPrice": _money(Decimal(line["listprice"])),
        "productTotal": _money(gross),
        "discountTotal": _money(discount),
        "totalAfterDiscount": _money(gross - discount),
        "netPrice": _money(gross - discount),
    }
    return {f"{name}{place}": value for name, value in values.items()}


def _totals(record: dict[str, Any]) -> dict[str, Any]:
    return {
        "taxtype": record.get("hdnTaxType", "group"),
        "discount_type_final": "zero",
        "hdnSubTotal": _money(record.get("hdnSubTotal", 0)),
        "discount_percentage_final": 0,
        "discount_amount_final": "0.00",
        "shipping_handling_charge": _money(record.get("hdnS_H_Amount", 0)),
        "adjustment": _money(record.get("txtAdjustment", 0)),
        "grandTotal": _money(record.get("hdnGrandTotal", 0)),
        "preTaxTotal": _money(record.get("pre_tax_total", 0)),
        "chargesAndItsTaxes": {"1": {"value": None, "taxes": {"1": 0, "2": 0, "3": 0}}},
        "deductTaxes": [],
    }


def _money(amount: Any) -> str:
    return f"{Decimal(amount or _ZERO):.2f}"
