"""The modules whose records have lines: quotes, orders, invoices, credit notes; and the lines."""

from __future__ import annotations

from dataclasses import replace

from kafinea_sandbox.modules.fields import (
    ADDRESSES,
    CURRENCY,
    DESCRIPTION,
    INVOICE_STATUSES,
    RECORD,
    TAXES,
    boolean,
    date,
    default,
    double,
    integer,
    locked,
    money,
    must,
    picklist,
    raw,
    reference,
    string,
    text,
)
from kafinea_sandbox.modules.model import Field, Module

_TERMS = (
    "- Payment is due within thirty (30) days of the date of invoice.\n\n"
    "- Late payment: 3 times the legal rate, plus a fixed recovery charge of 40 EUR."
)

_AMOUNTS = (
    money("txtAdjustment", "Adjustment"),
    money("hdnSubTotal", "Sub Total"),
    money("hdnGrandTotal", "Total"),
    money("pre_tax_total", "Pre Tax Total"),
    picklist("hdnTaxType", "Tax Type", "individual", "group"),
    double("hdnDiscountPercent", "Discount Percent"),
    money("hdnDiscountAmount", "Discount Amount"),
    money("hdnS_H_Amount", "Charges"),
    double("hdnS_H_Percent", "Taxes On Charges", 8),
    CURRENCY,
    default("1", double("conversion_rate", "Conversion Rate")),
    picklist("region_id", "Tax Region"),
)

_COMMISSION = (
    double("salescommission", "Sales Commission"),
    double("exciseduty", "Excise Duty"),
)

_CARRIER = picklist("carrier", "Carrier", "FedEx", "UPS", "DHL", "Chronopost", "Colissimo & Cie")
_ACCOUNT = must(reference("account_id", "Organization Name", "Accounts"))
_CONTACT = reference("contact_id", "Contact Name", "Contacts")
_POTENTIAL = reference("potential_id", "Opportunity Name", "Potentials")
_SUBJECT = must(string("subject", "Subject"))


def _balance(name: str, label: str) -> tuple[Field, Field]:
    return default("0", money(name, label)), default("0", money("balance", "Balance"))


def _columns_of_the_lines(price: str) -> tuple[Field, ...]:
    fields = (
        must(reference("productid", "Item Name", "Products", "Services")),
        double("quantity", "Quantity"),
        money("listprice", price),
        text("comment", "Item Comment"),
        money("discount_amount", "Item Discount Amount"),
        # describe says string, although the column is a decimal
        replace(double("discount_percent", "Item Discount Percent"), type="string"),
        *(replace(tax, type="string") for tax in TAXES),
    )
    return tuple(replace(field, of_line=True) for field in fields)


_SHIPPING = tuple(
    # An "&" in a field name cannot be written in a query.
    replace(double(name, label), default=percent, retrieve_only=True)
    for name, label, percent in (
        ("shipping_&_handling", "Shipping &amp; Handling", None),
        ("shipping_&_handling_shtax1", "Shipping &amp; Handling VAT 20 %", "20.000"),
        ("shipping_&_handling_shtax2", "Shipping &amp; Handling VAT 10 %", "10.000"),
        ("shipping_&_handling_shtax3", "Shipping &amp; Handling VAT 5.5 %", "5.500"),
    )
)


def _inventory(
    name: str, label: str, singular: str, number: str, prefix: str, *own: Field, price: str
) -> Module:
    addresses = tuple(
        must(field) if field.name.endswith("_street") else field for field in ADDRESSES
    )
    return Module(
        name,
        label,
        singular,
        (
            locked(string(number, f"{singular} Number")),
            _SUBJECT,
            *own,
            *_AMOUNTS,
            *RECORD,
            *addresses,
            DESCRIPTION,
            default(_TERMS, text("terms_conditions", "Terms & Conditions")),
            *_columns_of_the_lines(price),
            *_SHIPPING,
        ),
        label_fields=("subject",),
        number_field=number,
        number_prefix=prefix,
        is_inventory=True,
    )


QUOTES = _inventory(
    "Quotes",
    "Quotes",
    "Quote",
    "quote_no",
    "QUO",
    _POTENTIAL,
    must(
        picklist(
            "quotestage",
            "Quote Stage",
            *("Created", "Delivered", "Reviewed", "Accepted", "Rejected"),
        )
    ),
    date("validtill", "Valid Until"),
    _CONTACT,
    _CARRIER,
    string("shipping", "Shipping"),
    reference("assigned_user_id1", "Inventory Manager", "Users"),
    _ACCOUNT,
    price="Selling Price",
)

SALES_ORDER = _inventory(
    "SalesOrder",
    "Sales Orders",
    "Sales Order",
    "salesorder_no",
    "SO",
    _POTENTIAL,
    string("customerno", "Customer No"),
    reference("quote_id", "Quote Name", "Quotes"),
    string("vtiger_purchaseorder", "Purchase Order"),
    _CONTACT,
    date("duedate", "Due Date"),
    _CARRIER,
    string("pending", "Pending", 200),
    must(picklist("sostatus", "Status", "Created", "Approved", "Delivered", "Cancelled")),
    *_COMMISSION,
    _ACCOUNT,
    boolean("enable_recurring", "Enable Recurring"),
    picklist(
        "recurring_frequency", "Frequency", "Daily", "Weekly", "Monthly", "Quarterly", "Yearly"
    ),
    date("start_period", "Start Period"),
    date("end_period", "End Period"),
    picklist(
        "payment_duration",
        "Payment Duration",
        *("Net 01 day", "Net 05 days", "Net 07 days", "Net 10 days"),
        *("Net 15 days", "Net 30 days", "Net 45 days", "Net 60 days"),
    ),
    must(picklist("invoicestatus", "Invoice Status", *INVOICE_STATUSES)),
    locked(date("last_recurring_date", "Next Invoice Date")),
    price="Selling Price",
)

PURCHASE_ORDER = _inventory(
    "PurchaseOrder",
    "Purchase Orders",
    "Purchase Order",
    "purchaseorder_no",
    "PO",
    must(reference("vendor_id", "Vendor Name", "Vendors")),
    string("requisition_no", "Requisition Number"),
    string("tracking_no", "Tracking Number"),
    _CONTACT,
    date("duedate", "Due Date"),
    _CARRIER,
    *_COMMISSION,
    must(
        picklist(
            "postatus",
            "Status",
            *("Created", "Approved", "Delivered", "Cancelled", "Received Shipment"),
        )
    ),
    *_balance("paid", "Paid"),
    price="List Price",
)

INVOICE = _inventory(
    "Invoice",
    "Invoices",
    "Invoice",
    "invoice_no",
    "INV",
    reference("salesorder_id", "Sales Order", "SalesOrder"),
    string("customerno", "Customer No"),
    _CONTACT,
    date("invoicedate", "Invoice Date"),
    date("duedate", "Due Date"),
    string("vtiger_purchaseorder", "Purchase Order"),
    *_COMMISSION,
    _ACCOUNT,
    picklist("invoicestatus", "Status", *INVOICE_STATUSES),
    *_balance("received", "Received"),
    _POTENTIAL,
    string("cf_911", "Accounting Entry", 30),
    boolean("cf_913", "Exported to Accounting"),
    text("cf_915", "Delivery instructions & site access (floor, door code, time of day)"),
    price="Selling Price",
)

# Kafinea's own module (avoirs); stock vtiger writes an invoice with the status "Credit Invoice".
CREDIT_NOTES = _inventory(
    "CreditNotes",
    "Credit Notes",
    "Credit Note",
    "creditnote_no",
    "AVO",
    reference("invoice_id", "Invoice", "Invoice"),
    string("customerno", "Customer No"),
    _CONTACT,
    date("creditnotedate", "Credit Note Date"),
    _ACCOUNT,
    must(
        picklist("creditnotestatus", "Status", "Created", "Approved", "Sent", "Refunded", "Cancel")
    ),
    picklist(
        "reason", "Reason", "Return", "Billing error", "Goodwill", "Retour & reprise d'avance"
    ),
    *_balance("refunded", "Refunded"),
    price="Selling Price",
)

_WITH_LINES = ("Invoice", "Quotes", "PurchaseOrder", "SalesOrder", "CreditNotes")
_LINE_FIELDS = (
    reference("parent_id", "parent id", *_WITH_LINES),
    must(reference("productid", "productid", "Products", "Services")),
    integer("sequence_no", "sequence no"),
    must(double("quantity", "quantity")),
    double("listprice", "listprice", 8),
    double("discount_percent", "discount percent"),
    double("discount_amount", "discount amount", 8),
    text("comment", "comment"),
    *TAXES,
    string("image", "image"),
    double("purchase_cost", "purchase cost", 8),
    double("margin", "margin", 8),
)

LINE_ITEM = Module(
    "LineItem",
    "LineItem",
    "LineItem",
    (
        *(raw(field) for field in _LINE_FIELDS),
        locked(Field("incrementondel", "incrementondel", "autogenerated", default="0")),
    ),
    is_entity=False,
)

# coreBOS's own: a record for each line, beside the line.
INVENTORY_DETAILS = Module(
    "InventoryDetails",
    "Inventory Details",
    "Inventory Details",
    (
        locked(string("inventorydetails_no", "Inventory Details No")),
        reference("productid", "Products", "Products", "Services"),
        reference("related_to", "Related To", *_WITH_LINES),
        reference("account_id", "Accounts", "Accounts"),
        _CONTACT,
        reference("vendor_id", "Vendors", "Vendors"),
        integer("sequence_no", "Sequence No"),
        double("quantity", "Quantity"),
        money("listprice", "List Price"),
        money("linetotal", "Line Total"),
        boolean("line_completed", "Line Completed"),
        *RECORD,
        DESCRIPTION,
    ),
    label_fields=("inventorydetails_no",),
    number_field="inventorydetails_no",
    number_prefix="InvDet-",
)
