"""The first day: users, settings, suppliers, the catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from kafinea_sandbox.company import names
from kafinea_sandbox.company.files import png
from kafinea_sandbox.company.money import Item, amount
from kafinea_sandbox.company.office import ADMIN, DOLLAR, EURO, JOE, blank
from kafinea_sandbox.modules import MODULES
from kafinea_sandbox.rows import File, Relation, Row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kafinea_sandbox.company.office import Office, Record, Story

T = TypeVar("T")

RATES = (("20.000", 200, "VAT 20 %"), ("10.000", 100, "VAT 10 %"), ("5.500", 55, "VAT 5.5 %"))

# (user name, first name, last name, admin, status, zone, currency, language)
_USERS = {
    ADMIN: ("admin", "Ada", "Admin", "on", "Active", "Europe/Paris", EURO, "fr_fr"),
    JOE: ("joe", "Joe", "Dupont", "off", "Active", "America/New_York", DOLLAR, "en_us"),
    6: ("claire", "Claire", "Guillou", "off", "Active", "Europe/Paris", EURO, "fr_fr"),
    7: ("mehdi", "Mehdi", "Ben Saïd", "off", "Active", "Europe/Paris", EURO, "fr_fr"),
    8: ("gwen", "Gwenaëlle", "L'Hostis", "off", "Active", "Europe/Paris", EURO, "fr_fr"),
    9: ("patrick", "Patrick", "Parti", "off", "Inactive", "Europe/Paris", EURO, "fr_fr"),
    10: ("noemie", "Noémie", "Roche", "off", "Active", "Indian/Reunion", EURO, "fr_fr"),
}
_GROUPS = {
    3: ("Équipe de vente", "Devis & commandes"),
    4: ("Marketing", "Salons, e-mailings, l'image"),
    5: ("Support", "Tickets et contrats"),
}
_FOLDERS = ("Default", "Devis signés", "Factures & avoirs", "Photos de chantier")

_BLANKS = {module.name: {field.name: blank(field) for field in module.fields} for module in MODULES}


def access_key(user: int) -> str:
    """The web service key of a user: 16 characters, as the real ones."""
    return f"kafineaSandbox{user:02d}"


def _table(module: str, number: int, **values: str | int | None) -> Row:
    return Row(module, number, {**_BLANKS[module], **values})


def settings() -> Iterator[Record]:
    """What stands in the system before anybody works with it."""
    for number in sorted(_USERS | _GROUPS):  # one sequence for both
        if number in _GROUPS:
            name, purpose = _GROUPS[number]
            yield _table("Groups", number, groupname=name, description=purpose)
        else:
            yield _user(number)
    euro, dollar = (
        ("Euro", "EUR", "€", "1.00000", "-11"),
        ("USA, Dollars", "USD", "$", "1.10000", "0"),
    )
    for number, (name, code, symbol, rate, default) in ((EURO, euro), (DOLLAR, dollar)):
        yield _table(
            "Currency",
            number,
            currency_name=name,
            currency_code=code,
            currency_symbol=symbol,
            conversion_rate=rate,
            currency_status="Active",
            defaultid=default,
        )
    for number, (percentage, _, label) in enumerate(RATES, 1):
        yield _table(
            "Tax",
            number,
            taxname=f"tax{number}",
            taxlabel=label,
            percentage=percentage,
            method="Simple",
            type="Fixed",
            compoundon="[]",
            regions="[]",
        )
    for number, name in enumerate(_FOLDERS, 1):
        yield _table("DocumentFolders", number, foldername=name, sequence=str(number))
    yield _table(
        "CompanyDetails",
        1,
        organizationname="Ateliers de l'Erdre & Cie",
        address="12, quai de la Fosse",
        city="Nantes",
        state="Loire-Atlantique",
        country="France",
        code="44000",
        phone="+33 2 61 91 00 00",
        website="www.ateliers-erdre.example",
        logoname="logo.png",
        vatid="FR00 900 000 000",
    )


def _user(number: int) -> Row:
    name, first, last, admin, status, zone, currency, language = _USERS[number]
    scrambled = f"$2y$10$demo{name:.<45.45}"
    return _table(
        "Users",
        number,
        user_name=name,
        is_admin=admin,
        user_password=scrambled,
        confirm_password=scrambled,
        first_name=first,
        last_name=last,
        email1=f"{name}@ateliers-erdre.example",
        status=status,
        hour_format="24" if currency == EURO else "12",
        date_format="dd-mm-yyyy" if currency == EURO else "mm-dd-yyyy",
        start_hour="07:00",
        is_owner="1" if number == ADMIN else "0",
        department="Direction" if number == ADMIN else "Ventes",
        reports_to_id=None if number == ADMIN else ADMIN,
        accesskey=access_key(number),
        time_zone=zone,
        currency_id=currency,
        conv_rate="1.10000" if currency == DOLLAR else "1.00000",
        currency_grouping_pattern="123,456,789",
        currency_decimal_separator="." if currency == DOLLAR else ",",
        currency_grouping_separator="," if currency == DOLLAR else " ",
        currency_symbol_placement="1.0$",
        no_of_currency_decimals="2",
        language=language,
        dayoftheweek="Monday",
        defaultlandingpage="Home",
        userlabel=f"{first} {last}",
    )


def catalogue(office: Office, share: float) -> Story:
    """Suppliers, products, services, price books, questions, campaigns; or a share of each."""

    def some(things: tuple[T, ...]) -> tuple[T, ...]:
        return things[: max(2, round(len(things) * share))]

    yield from _vendors(office, some(names.VENDORS))
    yield 3600
    yield from _products(office, some(names.PRODUCTS))
    yield 3600
    yield from _services(office, some(names.SERVICES))
    for name, currency in (("Tarif 2024 revendeurs", EURO), ("Export price list", DOLLAR)):
        book = office.enter("PriceBooks", bookname=name, active="1", currency_id=currency)
        yield book
        for product in office.products[:5]:
            yield Relation(book.number, product, "Products")
    yield 3600
    for question, answer in some(names.QUESTIONS):
        yield office.enter(
            "Faq",
            product_id=office.one_of(office.products),
            faqcategories="General",
            faqstatus="Published",
            question=question,
            faq_answer=answer,
        )
    for name, kind in some(names.CAMPAIGNS):
        cost = 50_000 + int(office.chance() * 20) * 10_000
        campaign = office.enter(
            "Campaigns",
            campaignname=name,
            campaigntype=kind,
            campaignstatus=office.one_of(("Active", "Completed")),
            closingdate=office.calendar.date(office.time, 120),
            product_id=office.one_of(office.products),
            numsent=str(int(office.chance() * 3000)),
            targetaudience="Dirigeants de PME & d'ETI",
            targetsize="1500",
            expectedresponse="Good",
            expectedrevenue=amount(cost * 8),
            budgetcost=amount(cost),
            actualcost=amount(cost + 4_215),
            expectedresponsecount="80",
            actualresponsecount=str(int(office.chance() * 120)),
        )
        office.campaigns.append(campaign.number)
        yield campaign
        yield 600


def _vendors(office: Office, vendors: tuple[tuple[str, str], ...]) -> Iterator[Record]:
    for name, category in vendors:
        town, code, region = office.one_of(names.TOWNS)
        vendor = office.enter(
            "Vendors",
            vendorname=name,
            phone=f"+33 2 61 91 20 {len(office.vendors):02d}",
            email=f"commandes@fournisseur-{len(office.vendors) + 1}.example",
            category=category,
            glacct="301-Sales-Hardware",
            street=f"{int(office.chance() * 90) + 1}, {office.one_of(names.STREETS)}",
            city=town,
            postalcode=code,
            state=region,
            country="France",
        )
        office.vendors.append((vendor.number, name))
        yield vendor


def _sold(name: str, price: int, tax: int) -> tuple[Item, dict[str, str | int | None]]:
    """Put an item on sale; what its record says of price and taxes."""
    rate, thousandths, _ = RATES[tax - 1]
    taxes = tuple(rate if n == tax else "0.000" for n in (1, 2, 3))
    item = Item(0, name, price, price * 58 // 100, thousandths, (taxes[0], taxes[1], taxes[2]))
    return item, {
        "unit_price": amount(price),
        "purchase_cost": amount(item.cost),
        f"tax{tax}": rate,
        "currency1": amount(price),
        "currency2": amount(price * 11 // 10),
    }


def _products(
    office: Office, products: tuple[tuple[str, str, int, int, str, str], ...]
) -> Iterator[Record]:
    picture = png(190, 140, 90)
    for at, (name, code, price, tax, unit, category) in enumerate(products):
        item, prices = _sold(name, price, tax)
        shown = at % 8 == 0
        product = office.enter(
            "Products",
            productname=name,
            productcode=code,
            discontinued="0" if at % 17 == 16 else "1",
            manufacturer=office.one_of(("Ébénisterie de l'Erdre & Fils", "Noryl", "Kobalt")),
            productcategory=names.CATEGORIES[category],
            sales_start_date=office.calendar.date(office.time),
            vendor_id=office.one_of(office.vendors)[0],
            vendor_part_no=f"{code}/{at:03d}",
            usageunit=unit,
            qty_per_unit="1.00",
            qtyinstock=f"{int(office.chance() * 400) / 2:.3f}",
            reorderlevel=str(int(office.chance() * 20)),
            commissionrate="2.500",
            imagename=f"{code.lower()}.png" if shown else "",
            description=office.one_of(names.TEXTS) if at % 3 else "",
            **prices,
        )
        office.goods.append(item._replace(number=product.number))
        office.products.append(product.number)
        yield product
        if shown:
            file = f"{code.lower()}.png"
            yield File(office.number(), product.number, file, "image/png", picture)


def _services(
    office: Office, services: tuple[tuple[str, int, int, str, str], ...]
) -> Iterator[Record]:
    for name, price, tax, unit, category in services:
        item, prices = _sold(name, price, tax)
        service = office.enter(
            "Services",
            servicename=name,
            discontinued="1",
            sales_start_date=office.calendar.date(office.time),
            service_usageunit=unit,
            qty_per_unit="1.00",
            servicecategory=category,
            **prices,
        )
        office.goods.append(item._replace(number=service.number))
        office.services.add(service.number)
        yield service
