"""How the servers of this family differ.

`kafinea` follows Kafinea's document and behaves like vtiger 8.0 wherever that is silent; `stock` is
vtiger 8.0.0, `frevo` F-RevoCRM 8.0.3, `legacy` vtiger 5.4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# The order of installation of a stock system, from which its id prefixes follow (Contacts: 12).
_STOCK = (
    *("Campaigns", "Vendors", "Faq", "Quotes", "PurchaseOrder", "SalesOrder", "Invoice"),
    *("PriceBooks", "Calendar", "Leads", "Accounts", "Contacts", "Potentials", "Products"),
    *("Documents", "Emails", "HelpDesk", "Events", "Users", "Groups", "Currency"),
    *("DocumentFolders", "CompanyDetails", "PBXManager", "ServiceContracts", "Services"),
    *("ProjectMilestone", "ProjectTask", "Project", "ModComments", "SMSNotifier", "Assets"),
    *("LineItem", "Tax", "ProductTaxes", "CreditNotes"),
)
_FREVO = (
    *("Campaigns", "Invoice", "Vendors", "Faq", "Quotes", "PurchaseOrder", "SalesOrder"),
    *(name for name in _STOCK[7:] if name not in {"SMSNotifier", "CreditNotes"}),
    *("SMSNotifier", "CreditNotes"),
)


@dataclass(frozen=True)
class Dialect:
    """The switches of one kind of server."""

    name: str
    installed: tuple[str, ...]
    """Modules in the order of their id prefixes."""
    first_prefix: int = 1
    max_rows: int = 100
    session_key: str = "sessionName"
    version_key: str = "vtigerVersion"
    version: str = "8.0.0"
    profile: bool = True
    """Login answers the user's name, formats and so on as well."""
    extend: Literal["GET", "POST"] | None = "POST"
    """The verb of `extendsession`; None: it always fails for sessions of the API."""
    update_blanks: bool = False
    """`update` empties the fields it is not sent."""
    collapse: bool = True
    """`SELECT *` of an inventory module answers one row per record, not one per line."""
    html_fatals: bool = False
    """A fatal error is an HTML page with status 200, not an empty 500."""
    file_upload: bool = False
    """The operation `FileUpload` exists; otherwise files come as parts of a multipart `create`."""
    related_label: tuple[str, ...] = ("relationIdLabel",)
    """The parameters in which `add_related` looks for the name of the list."""
    without_operations: frozenset[str] = frozenset({"fileupload"})
    without_modules: frozenset[str] = frozenset({"CreditNotes"})

    def prefix(self, module: str) -> str:
        """The number before the `x` in the ids of a module."""
        return str(self.installed.index(module) + self.first_prefix)


DIALECTS = {
    dialect.name: dialect
    for dialect in (
        Dialect(
            "kafinea",
            installed=tuple(sorted(_STOCK)),
            first_prefix=3,  # unlike any other, so that nobody can guess
            session_key="sessionId",
            version_key="kafineaVersion",
            version="24.2.1",
            profile=False,
            extend="GET",
            file_upload=True,
            related_label=("relatedLabel", "relationIdLabel"),
            without_operations=frozenset(),
            without_modules=frozenset(),
        ),
        Dialect("stock", installed=_STOCK),
        Dialect(
            "frevo",
            installed=_FREVO,
            max_rows=1000,
            version="8.0.2",
            extend=None,
            collapse=False,
            html_fatals=True,
        ),
        Dialect(
            "legacy",
            installed=_STOCK,
            version="5.4.0",
            profile=False,
            extend=None,
            update_blanks=True,
            without_operations=frozenset(
                {
                    *("fileupload", "files_retrieve", "query_related", "retrieve_related"),
                    *("relatedtypes", "add_related"),
                }
            ),
        ),
    )
}
