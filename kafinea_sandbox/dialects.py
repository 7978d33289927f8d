"""How the servers of this family differ.

`kafinea` follows Kafinea's document and behaves like vtiger 8.0 wherever that is silent; `stock` is
vtiger 8.0.0, `frevo` F-RevoCRM 8.0.3, `legacy` vtiger 6.5, `corebos` coreBOS, which left the family
at vtiger 5 and went its own way.
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
_COREBOS = (*_STOCK[9:18], *_STOCK[:9], *_STOCK[18:], "InventoryDetails")
CUSTOM = "Equipment"
"""The module of one company's own, which an option adds to any server: installed last."""
_NEWER = frozenset({"fileupload", "files_retrieve", "relatedtypes", "query_related", "add_related"})
"""Operations that came with vtiger 7 or later."""
_COREBOS_ONLY = frozenset({"retrievedocattachment"})


@dataclass(frozen=True)
class Dialect:
    """The switches of one kind of server."""

    name: str
    installed: tuple[str, ...]
    """Modules in the order of their id prefixes."""
    first_prefix: int = 1
    token_seconds: int | None = None
    """How long a challenge can be answered; None: as long as on most, `sessions.TOKEN_SECONDS`."""
    repeats_token: bool = False
    """A challenge answers the user's last token as long as that lives: it is never replaced."""
    one_refusal: bool = False
    """A bad session and an unknown or inactive user are AUTHENTICATION_REQUIRED, all of them."""
    more_info: bool = False
    """Each answer has a third key, `moreinfo`, and the row of `count(*)` a second one."""
    json_refusals: bool = False
    """An unknown operation, and a query that the database refuses, are errors in JSON: elsewhere
    they are a fatal error and an empty list."""
    owners_looked_up: bool = False
    """A record whose owner is gone cannot be shown with its owner; elsewhere a bare number is."""
    image_ids: bool = True
    """Records tell the ids of their files."""
    pdo: bool = False
    """Lines are a key of their record, `pdoInformation`; it has no fields of them, may have none,
    and there is no module of lines."""
    dates_today: bool = False
    """A date left out of a `create` becomes today's."""
    joined_only: bool = False
    """A multi-picklist sent as a JSON array is a fatal error."""
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
    """The operation `FileUpload` exists; elsewhere a file is a part of a multipart `create`, which
    the sandbox does not read."""
    related_label: tuple[str, ...] = ("relationIdLabel",)
    """The parameters in which `add_related` looks for the name of the list."""
    without_operations: frozenset[str] = _COREBOS_ONLY | {"fileupload"}
    without_modules: frozenset[str] = frozenset({"CreditNotes", "InventoryDetails"})
    unreachable: frozenset[str] = frozenset()
    """Modules that stand in the database, but not in the API."""

    def prefix(self, module: str) -> str:
        """The number before the `x` in the ids of a module."""
        return str((*self.installed, CUSTOM).index(module) + self.first_prefix)


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
            without_operations=_COREBOS_ONLY,
            without_modules=frozenset({"InventoryDetails"}),
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
            "corebos",
            installed=_COREBOS,
            max_rows=1000,
            version="5.5.0",
            token_seconds=7200,
            repeats_token=True,
            one_refusal=True,
            more_info=True,
            json_refusals=True,
            owners_looked_up=True,
            image_ids=False,
            pdo=True,
            dates_today=True,
            joined_only=True,
            profile=False,
            extend=None,
            without_operations=_NEWER,
            without_modules=frozenset({"CreditNotes"}),
            unreachable=frozenset({"LineItem"}),
        ),
        Dialect(
            "legacy",
            installed=_STOCK,
            version="6.5.0",
            profile=False,
            extend=None,
            update_blanks=True,
            owners_looked_up=True,
            image_ids=False,
            without_operations=_NEWER | _COREBOS_ONLY,
        ),
    )
}
