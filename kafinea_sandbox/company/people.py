"""New customers, leads, and one import of contacts from a trade fair."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple
from unicodedata import normalize

from kafinea_sandbox.company import words
from kafinea_sandbox.company.money import amount
from kafinea_sandbox.company.office import DOLLAR, EURO, Customer
from kafinea_sandbox.rows import Relation

if TYPE_CHECKING:
    from kafinea_sandbox.company.office import Office, Story
    from kafinea_sandbox.rows import Row

FAIR_VISITORS = 22
"""Contacts imported in one second: they have the same `modifiedtime`."""

# The French regulator keeps these numbers free for fiction.
_PHONES = tuple(f"+33 2 61 91 {n // 100:02d} {n % 100:02d}" for n in range(10_000))
_MOBILES = tuple(f"+33 6 39 98 {n // 100:02d} {n % 100:02d}" for n in range(10_000))

_BIRTHDAYS = tuple(
    f"{year}-{month:02d}-{day:02d}"
    for year in range(1958, 2004)
    for month, day in ((1, 1), (2, 28), (4, 17), (7, 14), (9, 30), (12, 31))
)
_SOURCES = ("Existing Customer", "Trade Show", "Web Site", "Word of mouth", "Partner", "")
_PICKS = ("Red", "Green & Blue", "Été <b>", "O'Brien", "Noir & l'ébène", "")
_MANY = ("Alpha", "Alpha |##| Beta", "Beta |##| Gamma |##| Été", "Été", "")
_TERMS = (
    *("Comptant", "30 jours net", "45 jours fin de mois", "À réception"),
    "Acompte & solde à l'échéance",
)
# Columns that were added after the fair have no value in the records of the import.
_NEVER_FILLED = dict.fromkeys(("cf_855", "cf_857", "cf_859", "cf_861"))


def _plain(name: str) -> str:
    """The name in the characters of an e-mail address."""
    letters = normalize("NFKD", name.casefold()).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", letters).strip("-") or "contact"


class _Name(NamedTuple):
    shown: str
    plain: str


def _named(shown: tuple[str, ...]) -> tuple[_Name, ...]:
    return tuple(_Name(name, _plain(name)) for name in shown)


_FIRST = _named(words.FIRST_NAMES)
_LAST = _named(words.SURNAMES)
_TRADES = _named(words.TRADES)


def account_name(nth: int) -> _Name:
    """A name that no other account has.

    The counter is spread over all pairs of trade and surname by a stride without a common
    divisor; when the pairs are used up, the town makes the names differ.
    """
    pairs = len(_TRADES) * len(_LAST)
    turn, rest = divmod(nth, pairs)
    spread = rest * 3571 % pairs
    trade, last = _TRADES[spread // len(_LAST)], _LAST[spread % len(_LAST)]
    form = words.LEGAL_FORMS[spread % len(words.LEGAL_FORMS)]
    if turn == 0:
        return _Name(f"{trade.shown} {last.shown}{form}", f"{trade.plain}-{last.plain}")
    town = words.TOWNS[turn % len(words.TOWNS)][0]
    branch = f" {turn // len(words.TOWNS)}" if turn >= len(words.TOWNS) else ""
    return _Name(
        f"{trade.shown} {last.shown}{form} ({town}{branch})",
        f"{trade.plain}-{last.plain}-{turn}",
    )


def customer(office: Office) -> Story:
    """A new account and its contacts."""
    nth = office.count("Accounts")
    name = account_name(nth)
    if nth < len(words.ODD_ACCOUNTS):
        name = _Name(words.ODD_ACCOUNTS[nth], f"client-{nth}")
    luck = office.chance()
    foreign = luck > 0.96
    town = ("New York", "10001", "NY") if foreign else words.TOWNS[int(luck**2 * len(words.TOWNS))]
    country = "États-Unis" if foreign else "France"
    street = f"{int(luck * 9973) % 120 + 1}, {office.one_of(words.STREETS)}"
    if foreign:
        street = f"{int(luck * 9973) % 900} Fifth Avenue\nSuite {nth % 40 + 1}"
    domain = f"{name.plain}.example"
    code = f"C{nth + 1:06d}"
    parent = office.customers.pick().number if nth and luck < 0.04 else None
    shipped = luck < 0.8
    account = office.enter(
        "Accounts",
        accountname=name.shown,
        phone=office.one_of(_PHONES),
        website=f"https://www.{domain}/?lang=fr&ref=crm" if luck < 0.5 else "",
        account_id=parent,
        email1=f"contact@{domain}",
        employees=str(int(luck * luck * 400)),
        rating="Active" if luck < 0.6 else "",
        industry=office.one_of(words.INDUSTRIES),
        accounttype="Customer" if luck < 0.7 else "Prospect",
        annual_revenue=amount(int(luck * 9_000) * 100_000),
        emailoptout="1" if luck < 0.05 else "0",
        bill_street=street,
        bill_city=town[0],
        bill_code=town[1],
        bill_state=town[2],
        bill_country=country,
        ship_street=street if shipped else "",
        ship_city=town[0] if shipped else "",
        ship_code=town[1] if shipped else "",
        ship_state=town[2] if shipped else "",
        ship_country=country if shipped else "",
        description=_remark(office, nth),
        cf_901=code,
        cf_903=f"9{nth % 10**8:08d}{nth % 89999 + 10:05d}",
        cf_905=office.one_of(words.TEXTS) if luck < 0.2 else "",
        cf_907=office.one_of(_TERMS),
    )
    yield account
    first = None
    for _ in range(1 + int(office.chance() * 4)):
        yield 40 + int(office.chance() * 300)
        contact = _contact(office, account.number, domain, street, town, country, first)
        if first is None:
            first = contact.number
            office.customers.add(
                Customer(
                    account.number,
                    name.shown,
                    code,
                    domain,
                    street,
                    town,
                    country,
                    first,
                    DOLLAR if foreign else EURO,
                )
            )
        yield contact
        if office.chance() < 0.06:
            yield Relation(office.one_of(office.campaigns), contact.number, "Contacts")


def _remark(office: Office, nth: int) -> str:
    if nth < len(words.ODD_TEXTS):
        return words.ODD_TEXTS[nth]
    return office.one_of(words.TEXTS) if office.chance() < 0.3 else ""


def _contact(
    office: Office,
    account: int | None,
    domain: str,
    street: str,
    town: tuple[str, str, str],
    country: str,
    manager: int | None,
) -> Row:
    nth = office.count("Contacts")
    first, last = office.one_of(_FIRST), office.one_of(_LAST)
    if nth < len(words.ODD_CONTACTS):
        first, last = _named(words.ODD_CONTACTS[nth])
    luck = office.chance()
    return office.enter(
        "Contacts",
        salutationtype="Mme" if first.plain.endswith(("e", "a")) else "M.",
        firstname=first.shown,
        lastname=last.shown,
        phone=office.one_of(_PHONES),
        mobile=office.one_of(_MOBILES) if luck < 0.7 else "",
        account_id=account,
        contact_id=manager,
        leadsource=office.one_of(_SOURCES),
        title=office.one_of(words.TITLES),
        department=office.one_of(words.DEPARTMENTS),
        birthday=office.one_of(_BIRTHDAYS) if luck < 0.3 else "",
        email=f"{first.plain}.{last.plain}@{domain}",
        donotcall="1" if luck < 0.04 else "0",
        emailoptout="1" if luck > 0.9 else "0",
        mailingstreet=street,
        mailingcity=town[0],
        mailingzip=town[1],
        mailingstate=town[2],
        mailingcountry=country,
        description=_remark(office, nth),
        cf_853="Prioritaire & suivi" if luck < 0.1 else "",
        cf_855=f"{luck * 1000:.3f}",
        cf_857=str(int(luck * 90)),
        cf_859=f"{luck * 100:.2f}",
        cf_861=f"{int(luck * 5000)}.90",
        cf_863=office.calendar.date(office.time) if luck < 0.4 else "",
        cf_865=f"perso+{nth}@mail.example" if luck < 0.2 else "",
        cf_867="+33 1 99 00 12 34" if luck < 0.1 else "",
        cf_871=f"https://annuaire.example/?id={nth}&v=2" if luck < 0.3 else "",
        cf_873="1" if luck < 0.5 else "0",
        cf_875="Étage 3\nPorte « B »" if luck < 0.15 else "",
        cf_879=first.plain if luck < 0.1 else "",
        cf_881="14:05:00" if luck < 0.2 else "",
        cf_887=office.one_of(_PICKS),
        cf_889=office.one_of(_MANY),
        support_start_date=office.calendar.date(office.time) if luck < 0.25 else "",
        support_end_date=office.calendar.date(office.time, 365) if luck < 0.25 else "",
    )


def lead(office: Office) -> Story:
    """A new lead."""
    first, last = office.one_of(_FIRST), office.one_of(_LAST)
    town, code, region = office.one_of(words.TOWNS)
    company = office.one_of(_TRADES)
    luck = office.chance()
    known = office.enter(
        "Leads",
        salutationtype="Mme" if first.plain.endswith(("e", "a")) else "M.",
        firstname=first.shown,
        lastname=last.shown,
        phone=office.one_of(_PHONES) if luck < 0.8 else "",
        company=f"{company.shown} {last.shown}" if luck < 0.9 else "",
        designation=office.one_of(words.TITLES),
        email=f"{first.plain}@{company.plain}-{last.plain}.example",
        leadsource=office.one_of(_SOURCES),
        industry=office.one_of(words.INDUSTRIES),
        leadstatus=office.one_of(
            ("Not Contacted", "Contacted", "Hot", "Cold", "Qualified", "Lost Lead", "Warm")
        ),
        annualrevenue=amount(int(luck * 900) * 100_000),
        noofemployees=str(int(luck * 120)),
        lane=f"{int(luck * 90) + 1}, {office.one_of(words.STREETS)}",
        code=code,
        city=town,
        state=region,
        country="France",
        description=_remark(office, office.count("Leads")),
    )
    office.leads.add(known.number)
    yield known
    if office.chance() < 0.2:
        yield Relation(office.one_of(office.campaigns), known.number, "Leads")


def fair(office: Office) -> Story:
    """The visitors of a trade fair, imported in one second and never changed again."""
    for _ in range(FAIR_VISITORS):
        first, last = office.one_of(_FIRST), office.one_of(_LAST)
        yield office.enter(
            "Contacts",
            office.time,
            source="IMPORT",
            firstname=first.shown,
            lastname=last.shown,
            leadsource="Trade Show",
            email=f"{first.plain}.{last.plain}@salon.example",
            **_NEVER_FILLED,
        )
