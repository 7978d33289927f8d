"""The first day: suppliers, products, services, price books, questions, campaigns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from kafinea_sandbox.company import words
from kafinea_sandbox.company.files import png
from kafinea_sandbox.company.money import Item, amount
from kafinea_sandbox.company.office import DOLLAR, EURO, Office, Record, Story
from kafinea_sandbox.company.settings import TAXES
from kafinea_sandbox.rows import File, Relation

T = TypeVar("T")


def catalogue(office: Office, share: float) -> Story:
    """Enter suppliers, products, services, price books, questions, campaigns: a share of each."""

    def some(things: tuple[T, ...]) -> tuple[T, ...]:
        return things[: max(2, round(len(things) * share))]

    yield from _vendors(office, some(words.VENDORS))
    yield 3600
    yield from _products(office, some(words.PRODUCTS))
    yield 3600
    yield from _services(office, some(words.SERVICES))
    for name, currency in (("Tarif 2024 revendeurs", EURO), ("Export price list", DOLLAR)):
        book = office.enter("PriceBooks", bookname=name, active="1", currency_id=currency)
        yield book
        for product in office.products[:5]:
            yield Relation(book.number, product, "Products")
    yield 3600
    for question, answer in some(words.QUESTIONS):
        yield office.enter(
            "Faq",
            product_id=office.one_of(office.products),
            faqcategories="General",
            faqstatus="Published",
            question=question,
            faq_answer=answer,
        )
    for name, kind in some(words.CAMPAIGNS):
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


def _vendors(office: Office, vendors: tuple[words.Vendor, ...]) -> Iterator[Record]:
    for name, category in vendors:
        town, code, region = office.one_of(words.TOWNS)
        vendor = office.enter(
            "Vendors",
            vendorname=name,
            phone=f"+33 2 61 91 20 {len(office.vendors):02d}",
            email=f"commandes@fournisseur-{len(office.vendors) + 1}.example",
            category=category,
            glacct="301-Sales-Hardware",
            street=f"{int(office.chance() * 90) + 1}, {office.one_of(words.STREETS)}",
            city=town,
            postalcode=code,
            state=region,
            country="France",
        )
        office.vendors.append((vendor.number, name))
        yield vendor


def _sold(name: str, price: int, tax: int) -> tuple[Item, dict[str, str | int | None]]:
    """An item, and the fields of its record with its prices and taxes."""
    rate, thousandths = TAXES[tax - 1]
    taxes = tuple(rate if n == tax else "0.000" for n in (1, 2, 3))
    item = Item(0, name, price, price * 58 // 100, thousandths, (taxes[0], taxes[1], taxes[2]))
    return item, {
        "unit_price": amount(price),
        "purchase_cost": amount(item.cost),
        f"tax{tax}": rate,
        "currency1": amount(price),
        "currency2": amount(price * 11 // 10),
    }


def _products(office: Office, products: tuple[words.Product, ...]) -> Iterator[Record]:
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
            productcategory=category,
            sales_start_date=office.calendar.date(office.time),
            vendor_id=office.one_of(office.vendors)[0],
            vendor_part_no=f"{code}/{at:03d}",
            usageunit=unit,
            qty_per_unit="1.00",
            qtyinstock=f"{int(office.chance() * 400) / 2:.3f}",
            reorderlevel=str(int(office.chance() * 20)),
            commissionrate="2.500",
            imagename=f"{code.lower()}.png" if shown else "",
            description=office.one_of(words.TEXTS) if at % 3 else "",
            **prices,
        )
        office.goods.append(item._replace(number=product.number))
        office.products.append(product.number)
        yield product
        if shown:
            file = f"{code.lower()}.png"
            yield File(office.number(), product.number, file, "image/png", picture)


def _services(office: Office, services: tuple[words.Service, ...]) -> Iterator[Record]:
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
