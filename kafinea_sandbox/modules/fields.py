"""The words the modules are written in: one short function per kind of field, and shared groups.

A column's size and scale are those of the vtiger database, because they show on the wire:
a text is cut at its size, a number always carries the digits of its scale.
"""

from __future__ import annotations

from dataclasses import replace

from kafinea_sandbox.modules.model import Field


def string(name: str, label: str, size: int = 100) -> Field:
    """One line of text."""
    return Field(name, label, size=size)


def text(name: str, label: str) -> Field:
    """Text of any length, with line breaks."""
    return Field(name, label, "text")


def phone(name: str, label: str) -> Field:
    """A telephone number, in any form."""
    return Field(name, label, "phone", size=50)


def email(name: str, label: str) -> Field:
    """An e-mail address; the server does not check it."""
    return Field(name, label, "email", size=100)


def url(name: str, label: str) -> Field:
    """A web address; the server does not check it."""
    return Field(name, label, "url", size=255)


def integer(name: str, label: str) -> Field:
    """A whole number."""
    return Field(name, label, "integer")


def double(name: str, label: str, scale: int = 3) -> Field:
    """A decimal number; percentages are doubles too."""
    return Field(name, label, "double", scale=scale)


def money(name: str, label: str, scale: int = 8) -> Field:
    """An amount: 8 digits after the point in vtiger's own columns, 2 in custom ones."""
    return Field(name, label, "currency", scale=scale)


def boolean(name: str, label: str) -> Field:
    """A check box, "0" or "1" on the wire."""
    return Field(name, label, "boolean")


def date(name: str, label: str) -> Field:
    """A day."""
    return Field(name, label, "date")


def datetime(name: str, label: str) -> Field:
    """A moment, in the server's time zone."""
    return Field(name, label, "datetime")


def time(name: str, label: str) -> Field:
    """A time of day."""
    return Field(name, label, "time")


def picklist(name: str, label: str, *values: str) -> Field:
    """One of a list of values; the server takes any other text as well."""
    return Field(name, label, "picklist", values=values, size=200)


def reference(name: str, label: str, *modules: str) -> Field:
    """A link to a record of one of the modules."""
    return Field(name, label, "reference", refers_to=modules)


def file(name: str, label: str) -> Field:
    """The name of a stored file."""
    return Field(name, label, "file", size=200)


def must(field: Field) -> Field:
    """Make the field mandatory."""
    return replace(field, mandatory=True)


def locked(field: Field) -> Field:
    """Make the field read-only: the server sets it."""
    return replace(field, editable=False)


def raw(field: Field) -> Field:
    """Leave the field without a default, as the modules read straight from a table have it."""
    return replace(field, default=None)


def default(value: str, field: Field) -> Field:
    """Give the field a default value."""
    return replace(field, default=value)


OWNER = must(Field("assigned_user_id", "Assigned To", "owner"))
TIMES = (
    locked(datetime("createdtime", "Created Time")),
    locked(datetime("modifiedtime", "Modified Time")),
)
MODIFIED_BY = reference("modifiedby", "Last Modified By", "Users")
SOURCE = locked(string("source", "Source"))
TAGS = (boolean("starred", "starred"), string("tags", "tags", 1))
"""The size of `tags` is no matter: it is shown here and kept elsewhere."""

TRACES = (*TIMES, MODIFIED_BY, SOURCE, *TAGS)
"""Who changed a record and when."""
RECORD = (OWNER, *TRACES)
"""What nearly every entity carries."""

DESCRIPTION = text("description", "Description")
SALUTATION = string("salutationtype", "Salutation", 200)
"""A picklist for a person; `describe` calls it a string."""
FROM_LEAD = default("no", boolean("isconvertedfromlead", "Is Converted From Lead"))

TAXES = (
    double("tax1", "VAT 20 %"),
    double("tax2", "VAT 10 %"),
    double("tax3", "VAT 5.5 %"),
)


def addresses(one: str, first: str, other: str, second: str) -> tuple[Field, ...]:
    """Two postal addresses side by side: `bill_...` and `ship_...`."""
    return tuple(
        make(f"{prefix}_{part}", f"{name} {label}")
        for part, label, make in (
            ("street", "Address", text),
            ("city", "City", _short),
            ("state", "State", _short),
            ("code", "Postal Code", _short),
            ("country", "Country", _short),
            ("pobox", "PO Box", _short),
        )
        for prefix, name in ((one, first), (other, second))
    )


def _short(name: str, label: str) -> Field:
    return string(name, label, 30)


ADDRESSES = addresses("bill", "Billing", "ship", "Shipping")

INDUSTRIES = (
    *("Apparel", "Banking", "Biotechnology", "Chemicals", "Communications", "Construction"),
    *("Consulting", "Education", "Electronics", "Energy", "Engineering", "Entertainment"),
    *("Environmental", "Finance", "Food & Beverage", "Government", "Healthcare", "Hospitality"),
    *("Insurance", "Machinery", "Manufacturing", "Media", "Not For Profit", "Recreation"),
    *("Retail", "Shipping", "Technology", "Telecommunications", "Transportation", "Utilities"),
    "Other",
)
LEAD_SOURCES = (
    *("Cold Call", "Existing Customer", "Self Generated", "Employee", "Partner"),
    *("Public Relations", "Direct Mail", "Conference", "Trade Show", "Web Site"),
    *("Word of mouth", "Other"),
)
RATINGS = ("Acquired", "Active", "Market Failed", "Project Cancelled", "Shutdown")
GL_ACCOUNTS = (
    *("300-Sales-Software", "301-Sales-Hardware", "302-Rental-Income", "303-Interest-Income"),
    *("304-Sales-Software-Support", "305-Sales Other", "306-Internet Sales"),
    *("307-Service-Hardware Labor", "308-Sales-Books"),
)
PROGRESS = tuple(f"{tens}0%" for tens in range(1, 11))
INVOICE_STATUSES = (
    *("AutoCreated", "Created", "Cancel", "Approved", "Sent", "Credit Invoice", "Paid"),
)
CURRENCY = default("1", reference("currency_id", "Currency", "Currency"))
