"""Every module of the sandbox, and the related lists between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kafinea_sandbox.modules import customers, goods, inventory, settings, work

if TYPE_CHECKING:
    from kafinea_sandbox.modules.model import Module

MODULES: tuple[Module, ...] = (
    # In the order in which they were installed, from which the id prefixes follow (Contacts: 12).
    customers.CAMPAIGNS,
    goods.VENDORS,
    work.FAQ,
    inventory.QUOTES,
    inventory.PURCHASE_ORDER,
    inventory.SALES_ORDER,
    inventory.INVOICE,
    goods.PRICE_BOOKS,
    work.CALENDAR,
    customers.LEADS,
    customers.ACCOUNTS,
    customers.CONTACTS,
    customers.POTENTIALS,
    goods.PRODUCTS,
    work.DOCUMENTS,
    work.EMAILS,
    work.HELP_DESK,
    work.EVENTS,
    settings.USERS,
    settings.GROUPS,
    settings.CURRENCIES,
    settings.DOCUMENT_FOLDERS,
    settings.COMPANY_DETAILS,
    work.PBX_MANAGER,
    goods.SERVICE_CONTRACTS,
    goods.SERVICES,
    work.PROJECT_MILESTONE,
    work.PROJECT_TASK,
    work.PROJECT,
    work.MOD_COMMENTS,
    work.SMS_NOTIFIER,
    goods.ASSETS,
    inventory.LINE_ITEM,
    settings.TAX,
    settings.PRODUCT_TAXES,
    inventory.CREDIT_NOTES,
    inventory.INVENTORY_DETAILS,
    goods.EQUIPMENT,
)


@dataclass(frozen=True)
class RelationList:
    """A list of related records, as it is shown under a record."""

    label: str
    module: str
    follows: str | None = None
    """The field of `module` that refers back; None: any records, linked by `add_related`."""


def _lists(*lists: tuple[str, str] | tuple[str, str, str]) -> tuple[RelationList, ...]:
    return tuple(RelationList(*one) for one in lists)


_DOCUMENTS = ("Documents", "Documents")
_PRODUCTS = ("Products", "Products")
_SERVICES = ("Services", "Services")
_CAMPAIGNS = ("Campaigns", "Campaigns")
_CONTACTS = ("Contacts", "Contacts")
_ACTIVITIES = (
    ("Activities", "Calendar", "parent_id"),
    ("Activity History", "Calendar", "parent_id"),
)
_EMAILS = ("Emails", "Emails", "parent_id")
_COMMENTS = ("ModComments", "ModComments", "related_to")

RELATIONS: dict[str, tuple[RelationList, ...]] = {
    "Accounts": _lists(
        ("Contacts", "Contacts", "account_id"),
        ("Potentials", "Potentials", "related_to"),
        ("Quotes", "Quotes", "account_id"),
        ("Sales Order", "SalesOrder", "account_id"),
        ("Invoice", "Invoice", "account_id"),
        ("Credit Notes", "CreditNotes", "account_id"),
        *_ACTIVITIES,
        _EMAILS,
        _DOCUMENTS,
        ("HelpDesk", "HelpDesk", "parent_id"),
        _PRODUCTS,
        _CAMPAIGNS,
        ("PBXManager", "PBXManager", "customer"),
        ("Service Contracts", "ServiceContracts", "sc_related_to"),
        _SERVICES,
        ("Projects", "Project", "linktoaccountscontacts"),
        _COMMENTS,
        ("Assets", "Assets", "account"),
    ),
    "Contacts": _lists(
        ("Potentials", "Potentials", "contact_id"),
        ("Activities", "Calendar", "contact_id"),
        ("Activity History", "Calendar", "contact_id"),
        _EMAILS,
        ("HelpDesk", "HelpDesk", "contact_id"),
        ("Quotes", "Quotes", "contact_id"),
        ("Purchase Order", "PurchaseOrder", "contact_id"),
        ("Sales Order", "SalesOrder", "contact_id"),
        _PRODUCTS,
        _DOCUMENTS,
        _CAMPAIGNS,
        ("Invoice", "Invoice", "contact_id"),
        ("Credit Notes", "CreditNotes", "contact_id"),
        ("PBXManager", "PBXManager", "customer"),
        ("Service Contracts", "ServiceContracts", "sc_related_to"),
        _SERVICES,
        ("Projects", "Project", "linktoaccountscontacts"),
        ("Assets", "Assets", "contact"),
        ("Vendors", "Vendors"),
        _COMMENTS,
    ),
    "Leads": _lists(
        *_ACTIVITIES,
        _EMAILS,
        _DOCUMENTS,
        _PRODUCTS,
        _CAMPAIGNS,
        ("PBXManager", "PBXManager", "customer"),
        _SERVICES,
        _COMMENTS,
    ),
    "Potentials": _lists(
        *_ACTIVITIES,
        _CONTACTS,
        _PRODUCTS,
        _DOCUMENTS,
        ("Quotes", "Quotes", "potential_id"),
        ("Sales Order", "SalesOrder", "potential_id"),
        ("Invoice", "Invoice", "potential_id"),
        ("Projects", "Project", "potentialid"),
        _SERVICES,
        _COMMENTS,
    ),
    "Campaigns": _lists(
        _CONTACTS,
        ("Leads", "Leads"),
        ("Potentials", "Potentials", "campaignid"),
        *_ACTIVITIES,
        ("Accounts", "Accounts"),
    ),
    "Vendors": _lists(
        ("Products", "Products", "vendor_id"),
        ("Purchase Order", "PurchaseOrder", "vendor_id"),
        _CONTACTS,
        _EMAILS,
    ),
    "Products": _lists(
        ("HelpDesk", "HelpDesk", "product_id"),
        _DOCUMENTS,
        ("Price Books", "PriceBooks"),
        ("Leads", "Leads"),
        ("Accounts", "Accounts"),
        _CONTACTS,
        ("Potentials", "Potentials"),
        ("Product Bundles", "Products"),
        ("Faq", "Faq", "product_id"),
        ("Assets", "Assets", "product"),
    ),
    "Services": _lists(
        ("HelpDesk", "HelpDesk"),
        ("Leads", "Leads"),
        ("Accounts", "Accounts"),
        _CONTACTS,
        ("Potentials", "Potentials"),
        ("Price Books", "PriceBooks"),
        _DOCUMENTS,
    ),
    "PriceBooks": _lists(_PRODUCTS, _SERVICES),
    "Quotes": _lists(
        ("Sales Order", "SalesOrder", "quote_id"), *_ACTIVITIES, _DOCUMENTS, _COMMENTS
    ),
    "SalesOrder": _lists(
        ("Invoice", "Invoice", "salesorder_id"), *_ACTIVITIES, _DOCUMENTS, _COMMENTS
    ),
    "PurchaseOrder": _lists(*_ACTIVITIES, _DOCUMENTS, _COMMENTS),
    "Invoice": _lists(
        ("Credit Notes", "CreditNotes", "invoice_id"),
        *_ACTIVITIES,
        _DOCUMENTS,
        ("Assets", "Assets", "invoiceid"),
        _COMMENTS,
    ),
    "CreditNotes": _lists(_DOCUMENTS),
    "HelpDesk": _lists(*_ACTIVITIES, _DOCUMENTS, _SERVICES, ("Assets", "Assets"), _COMMENTS),
    "Project": _lists(
        ("Project Tasks", "ProjectTask", "projectid"),
        ("Project Milestones", "ProjectMilestone", "projectid"),
        _DOCUMENTS,
        ("Trouble Tickets", "HelpDesk"),
        ("Quotes", "Quotes"),
        _COMMENTS,
    ),
    "ProjectTask": _lists(_DOCUMENTS, _COMMENTS),
    "Assets": _lists(("HelpDesk", "HelpDesk"), _DOCUMENTS),
    "ServiceContracts": _lists(("HelpDesk", "HelpDesk"), _DOCUMENTS),
    "Faq": _lists(_DOCUMENTS, _COMMENTS),
    "Documents": _lists(
        _CONTACTS,
        ("Accounts", "Accounts"),
        ("Invoice", "Invoice"),
        ("Potentials", "Potentials"),
        ("Leads", "Leads"),
        _PRODUCTS,
    ),
    "Events": _lists(_CONTACTS),
}
