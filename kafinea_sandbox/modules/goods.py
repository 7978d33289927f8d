"""The modules about what is bought and sold."""

from __future__ import annotations

from dataclasses import replace

from kafinea_sandbox.modules.fields import (
    CURRENCY,
    DESCRIPTION,
    GL_ACCOUNTS,
    RECORD,
    TAXES,
    TRACES,
    boolean,
    date,
    default,
    double,
    email,
    integer,
    locked,
    money,
    must,
    picklist,
    reference,
    string,
    text,
    url,
)
from kafinea_sandbox.modules.model import Field, Module

VENDORS = Module(
    "Vendors",
    "Vendors",
    "Vendor",
    (
        must(string("vendorname", "Vendor Name")),
        locked(string("vendor_no", "Vendor Number")),
        string("phone", "Primary Phone"),
        email("email", "Primary Email"),
        url("website", "Website"),
        picklist("glacct", "GL Account", *GL_ACCOUNTS),
        string("category", "Category", 50),
        *RECORD,
        text("street", "Street"),
        string("pobox", "PO Box", 30),
        string("city", "City", 30),
        string("state", "State", 30),
        string("postalcode", "Postal Code"),
        string("country", "Country"),
        DESCRIPTION,
    ),
    label_fields=("vendorname",),
    number_field="vendor_no",
    number_prefix="VEN",
)


def _only_retrieved() -> tuple[Field, ...]:
    """Taxes and prices per currency: described, yet no column of the query."""
    prices = (
        double("currency1", "Euro EUR", 8),
        double("currency2", "USA, Dollars USD", 8),
    )
    rates = ("20.000", "10.000", "5.500")
    taxes = (default(rate, tax) for rate, tax in zip(rates, TAXES, strict=True))
    return tuple(replace(field, retrieve_only=True) for field in (*taxes, *prices))


PRODUCTS = Module(
    "Products",
    "Products",
    "Product",
    (
        must(string("productname", "Product Name", 100)),
        locked(string("product_no", "Product Number")),
        string("productcode", "Part Number", 40),
        default("1", boolean("discontinued", "Product Active")),
        picklist(
            "manufacturer", "Manufacturer", "Ébénisterie de l'Erdre & Fils", "Noryl", "Kobalt"
        ),
        picklist(
            "productcategory",
            "Product Category",
            *("Hardware", "Software", "CRM Applications", "Mobilier & agencement d'espace"),
        ),
        date("sales_start_date", "Sales Start Date"),
        date("sales_end_date", "Sales End Date"),
        date("start_date", "Support Start Date"),
        date("expiry_date", "Support Expiry Date"),
        url("website", "Website"),
        reference("vendor_id", "Vendor Name", "Vendors"),
        string("mfr_part_no", "Mfr PartNo", 200),
        string("vendor_part_no", "Vendor Part No", 200),
        string("serial_no", "Serial No", 200),
        string("productsheet", "Product Sheet", 200),
        picklist("glacct", "GL Account", *GL_ACCOUNTS),
        *RECORD,
        money("unit_price", "Unit Price"),
        double("commissionrate", "Commission Rate"),
        string("taxclass", "Taxes", 200),
        picklist(
            "usageunit",
            "Usage Unit",
            *("Box", "Carton", "Dozen", "Each", "Hours", "Impressions", "Lb", "M", "Pack"),
            *("Pages", "Pieces", "Quantity", "Reams", "Sheet", "Spiral Binder", "Sq Ft"),
        ),
        double("qty_per_unit", "Qty/Unit", 2),
        double("qtyinstock", "Qty. in Stock"),
        integer("reorderlevel", "Reorder Level"),
        integer("qtyindemand", "Qty. in Demand"),
        Field("imagename", "Product Image", "image", size=150),
        DESCRIPTION,
        money("purchase_cost", "Purchase Cost"),
        *_only_retrieved(),
    ),
    label_fields=("productname",),
    number_field="product_no",
    number_prefix="PRO",
)

SERVICES = Module(
    "Services",
    "Services",
    "Service",
    (
        must(string("servicename", "Service Name", 255)),
        locked(string("service_no", "Service Number")),
        default("1", boolean("discontinued", "Active")),
        date("sales_start_date", "Sales Start Date"),
        date("sales_end_date", "Sales End Date"),
        date("start_date", "Support Start Date"),
        date("expiry_date", "Support Expiry Date"),
        url("website", "Website"),
        picklist("service_usageunit", "Usage Unit", "Hours", "Days", "Incidents"),
        double("qty_per_unit", "Number of Units", 2),
        picklist(
            "servicecategory",
            "Category",
            *("Support", "Installation", "Migration", "Customization", "Training"),
        ),
        money("unit_price", "Price"),
        string("taxclass", "Taxes", 200),
        double("commissionrate", "Commission Rate"),
        Field("assigned_user_id", "Owner", "owner"),  # not mandatory, in this module alone
        *TRACES,
        DESCRIPTION,
        money("purchase_cost", "Purchase Cost"),
        *_only_retrieved(),
    ),
    label_fields=("servicename",),
    number_field="service_no",
    number_prefix="SER",
)

PRICE_BOOKS = Module(
    "PriceBooks",
    "Price Books",
    "Price Book",
    (
        must(string("bookname", "Price Book Name")),
        locked(string("pricebook_no", "Price Book Number")),
        default("1", boolean("active", "Active")),
        must(default("", CURRENCY)),
        *TRACES,
        DESCRIPTION,
    ),
    label_fields=("bookname",),
    number_field="pricebook_no",
    number_prefix="PB",
)

ASSETS = Module(
    "Assets",
    "Assets",
    "Asset",
    (
        locked(string("asset_no", "Asset No", 30)),
        must(reference("product", "Product Name", "Products")),
        must(string("serialnumber", "Serial Number", 200)),
        must(date("datesold", "Date Sold")),
        must(date("dateinservice", "Date in Service")),
        must(picklist("assetstatus", "Status", "In Service", "Out-of-service")),
        string("tagnumber", "Tag Number", 300),
        reference("invoiceid", "Invoice Name", "Invoice"),
        string("shippingmethod", "Shipping Method", 200),
        string("shippingtrackingnumber", "Shipping Tracking Number", 200),
        must(string("assetname", "Asset Name")),
        must(reference("account", "Customer Name", "Accounts")),
        reference("contact", "Contact Name", "Contacts"),
        *RECORD,
        text("description", "Notes"),
    ),
    label_fields=("assetname",),
    number_field="asset_no",
    number_prefix="ASSET",
)

SERVICE_CONTRACTS = Module(
    "ServiceContracts",
    "Service Contracts",
    "Service Contract",
    (
        date("start_date", "Start Date"),
        locked(date("end_date", "End Date")),
        reference("sc_related_to", "Related To", "Contacts", "Accounts"),
        picklist("tracking_unit", "Tracking Unit", "Hours", "Days", "Incidents"),
        double("total_units", "Total Units", 2),
        double("used_units", "Used Units", 2),
        must(string("subject", "Subject")),
        date("due_date", "Due date"),
        locked(string("planned_duration", "Planned Duration (in Days)", 256)),
        locked(string("actual_duration", "Actual Duration (in Days)", 256)),
        picklist(
            "contract_status",
            "Status",
            *("Undefined", "In Planning", "In Progress", "On Hold", "Complete", "Archived"),
        ),
        picklist("contract_priority", "Priority", "Low", "Normal", "High"),
        picklist("contract_type", "Type", "Support", "Services", "Administrative"),
        locked(double("progress", "Progress", 2)),
        locked(string("contract_no", "Contract Number")),
        *RECORD,
    ),
    label_fields=("subject",),
    number_field="contract_no",
    number_prefix="SERCON",
)

# Made by a company for itself: its fields have the names of those of lines, and mean no lines.
EQUIPMENT = Module(
    "Equipment",
    "Equipment",
    "Equipment",
    (
        must(string("equipmentname", "Equipment Name")),
        locked(string("equipmentno", "Equipment No", 30)),
        reference("productid", "Product", "Products"),
        double("quantity", "Quantity"),
        money("listprice", "List Price"),
        reference("account_id", "Where it stands", "Accounts"),
        date("installed_on", "Installed On"),
        *RECORD,
        DESCRIPTION,
    ),
    label_fields=("equipmentname",),
    number_field="equipmentno",
    number_prefix="EQ",
)
