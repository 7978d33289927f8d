"""How the servers of this family differ.

`kafinea` follows Kafinea's document and behaves like vtiger 8.0 wherever that is silent; `stock` is
vtiger 8.0.0, `frevo` F-RevoCRM 8.0.3, `legacy` vtiger 6.5, `corebos` coreBOS, which left the family
at vtiger 5 and went its own way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

CUSTOM = "Equipment"
"""A custom module, which the option `custom` adds to any server. It is installed last."""
INSTALLED = (
    *("Campaigns", "Vendors", "Faq", "Quotes", "PurchaseOrder", "SalesOrder", "Invoice"),
    *("PriceBooks", "Calendar", "Leads", "Accounts", "Contacts", "Potentials", "Products"),
    *("Documents", "Emails", "HelpDesk", "Events", "Users", "Groups", "Currency"),
    *("DocumentFolders", "CompanyDetails", "PBXManager", "ServiceContracts", "Services"),
    *("ProjectMilestone", "ProjectTask", "Project", "ModComments", "SMSNotifier", "Assets"),
    *("LineItem", "Tax", "ProductTaxes", "CreditNotes", "InventoryDetails", CUSTOM),
)
"""All modules in the order of their installation, from which id prefixes follow (Contacts: 12)."""
_STOCK = tuple(name for name in INSTALLED if name not in {"InventoryDetails", CUSTOM})
_FREVO = (
    *("Campaigns", "Invoice", "Vendors", "Faq", "Quotes", "PurchaseOrder", "SalesOrder"),
    *(name for name in _STOCK[7:] if name not in {"SMSNotifier", "CreditNotes"}),
    *("SMSNotifier", "CreditNotes"),
)
_COREBOS = (*_STOCK[9:18], *_STOCK[:9], *_STOCK[18:], "InventoryDetails")
_NEWER = frozenset({"fileupload", "files_retrieve", "relatedtypes", "query_related", "add_related"})
"""Operations that came with vtiger 7 or later."""
_COREBOS_ONLY = frozenset({"retrievedocattachment"})


@dataclass(frozen=True)
class Writes:
    """What writes do besides writing the fields that they are sent.

    Source: measured on real servers of the family.
    """

    revise: bool = True
    """The operation `revise` exists."""
    revise_names_id: bool = False
    """`revise` without an id answers INVALID_ID_ATTRIBUTE, not ACCESS_DENIED."""
    checks_assignment: bool = True
    """A user may not assign a record to a user above them, in any reference to a user."""
    races_for_line_ids: bool = False
    """Of two concurrent writes of lines, the later one loses a line: see `LineWrites`."""
    dies_at_totals: bool = False
    """An update with lines fails after it has written them and before it computes the totals."""
    charges_as_percent: bool = True
    """An update with lines writes the amount of the charges into the field of their percentage."""
    user_formats: bool = False
    """Numbers and custom datetimes are read in the user's format: see `Formats`."""
    blanks: bool = False
    """`update` empties the fields that it is not sent."""
    dates_today: bool = False
    """A date that a `create` is not sent becomes today's."""
    joined_only: bool = False
    """A multi-picklist sent as a JSON array is a fatal error."""


@dataclass(frozen=True)
class Dialect:
    """One kind of server."""

    name: str
    installed: tuple[str, ...]
    """Modules in the order of their id prefixes."""
    first_prefix: int = 1
    token_seconds: int | None = None
    """How long a challenge can be answered; None: `sessions.TOKEN_SECONDS`, as on most."""
    repeats_token: bool = False
    """A challenge answers the user's last token until it expires: it is never replaced."""
    one_refusal: bool = False
    """A bad session, an unknown and an inactive user are all AUTHENTICATION_REQUIRED."""
    more_info: bool = False
    """Each answer has a third key, `moreinfo`, and the row of `count(*)` a second one."""
    json_refusals: bool = False
    """An unknown operation, and a query that the database refuses, are errors in JSON. Elsewhere
    they are a fatal error and an empty list."""
    owners_looked_up: bool = False
    """A record whose owner was deleted cannot be shown with its owner; elsewhere the owner is
    answered as a bare number."""
    image_ids: bool = True
    """Records contain the ids of their files."""
    pdo: bool = False
    """The lines of a record are its key `pdoInformation`. The record has no fields of its lines and
    may have no lines; there is no module `LineItem`."""
    max_rows: int = 100
    """The most rows of one answer to `query`."""
    writes: Writes = Writes()
    session_key: str = "sessionName"
    version_key: str = "vtigerVersion"
    version: str = "8.0.0"
    profile: bool = True
    """The answer of `login` contains the user's name, formats and so on."""
    extend: Literal["GET", "POST"] | None = "POST"
    """The verb of `extendsession`; None: it always fails for sessions of the API."""
    collapse: bool = True
    """`SELECT *` of an inventory module answers one row per record, not one per line."""
    html_fatals: bool = False
    """A fatal error is an HTML page with status 200, not an empty 500."""
    related_label: tuple[str, ...] = ("relationIdLabel",)
    """The parameters in which `add_related` looks for the name of the list."""
    without_operations: frozenset[str] = _COREBOS_ONLY | {"fileupload"}
    without_modules: frozenset[str] = frozenset({"CreditNotes", "InventoryDetails"})
    unreachable: frozenset[str] = frozenset()
    """Modules that the database has, but not the API."""

    def prefix(self, module: str) -> str:
        """The number before the `x` in the ids of a module."""
        return str((*self.installed, CUSTOM).index(module) + self.first_prefix)


DIALECTS = {
    dialect.name: dialect
    for dialect in (
        Dialect(
            "kafinea",
            installed=tuple(sorted(_STOCK)),
            first_prefix=3,  # unlike any other, so that no client can guess it
            session_key="sessionId",
            version_key="kafineaVersion",
            version="24.2.1",
            profile=False,
            extend="GET",
            related_label=("relatedLabel", "relationIdLabel"),
            without_operations=_COREBOS_ONLY,
            without_modules=frozenset({"InventoryDetails"}),
        ),
        Dialect("stock", installed=_STOCK, writes=Writes(races_for_line_ids=True)),
        Dialect(
            "frevo",
            installed=_FREVO,
            writes=Writes(races_for_line_ids=True, dies_at_totals=True),
            max_rows=1000,
            version="8.0.2",
            extend=None,
            collapse=False,
            html_fatals=True,
        ),
        Dialect(
            "corebos",
            installed=_COREBOS,
            writes=Writes(
                revise_names_id=True,
                checks_assignment=False,
                charges_as_percent=False,
                user_formats=True,
                dates_today=True,
                joined_only=True,
            ),
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
            profile=False,
            extend=None,
            without_operations=_NEWER,
            without_modules=frozenset({"CreditNotes"}),
            unreachable=frozenset({"LineItem"}),
        ),
        Dialect(
            "legacy",
            installed=_STOCK,
            writes=Writes(revise=False, checks_assignment=False, blanks=True),
            version="6.5.0",
            profile=False,
            extend=None,
            owners_looked_up=True,
            image_ids=False,
            without_operations=_NEWER | _COREBOS_ONLY,
        ),
    )
}
