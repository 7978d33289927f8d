"""Selling, from the opportunity to the invoice, and buying."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kafinea_sandbox.company import words
from kafinea_sandbox.company.calendar import days
from kafinea_sandbox.company.money import NO_TAX, Basket, Line, amount, basket
from kafinea_sandbox.company.office import DOLLAR, Customer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kafinea_sandbox.company.office import Office, Story
    from kafinea_sandbox.rows import Row

LONG_INVOICES = (99, 100, 101, 250)
"""Numbers of lines around, and well above, the maximum number of rows of an answer."""

_USUAL_TAX = 200
_LINE_COMMENTS = (
    "Finition & pose comprises",
    "Livraison étage 2\nCode 45B12",
    "Modèle d'exposition",
)
_STAGES = (
    ("Prospecting", 10),
    ("Qualification", 20),
    ("Needs Analysis", 40),
    ("Value Proposition", 50),
    ("Id. Decision Makers", 60),
    ("Proposal or Price Quote", 70),
    ("Negotiation or Review", 80),
)


def fill(office: Office, customer: Customer | None = None, lines: int = 0) -> Basket:
    """Choose goods. Without a customer, the company buys them at cost."""
    chance, goods = office.chance, office.goods
    group = chance() < 0.3
    abroad = customer is not None and customer.currency == DOLLAR
    chosen = []
    for _ in range(lines or 1 + int(12 * chance() ** 2.2)):
        item = goods[int(chance() * len(goods))]
        while group and item.tax != _USUAL_TAX:
            item = goods[int(chance() * len(goods))]
        price = item.cost if customer is None else item.price
        if abroad:
            item = item._replace(price=price * 11 // 10, tax=0, taxes=NO_TAX)
        elif price != item.price:
            item = item._replace(price=price)
        luck = chance()
        # Services are sold by the half hour, products by the piece.
        quantity = 1000 + int(12 * luck * luck) * (500 if item.number in office.services else 1000)
        discount = 0 if chance() < 0.8 else (5, 10, 15)[int(luck * 3)]
        chosen.append(Line(item, quantity, discount))
    luck = chance()
    return basket(
        tuple(chosen),
        group=group,
        percent=5 if luck < 0.05 else 0,
        discount=1_000 if 0.05 < luck < 0.1 and chosen[0].net() > 5 * 10**8 else 0,
    )


def lines_of(office: Office, sold: Basket, parent: int) -> Iterator[Row]:
    """The lines of a record."""
    for place, line in enumerate(sold.lines, 1):
        item, quantity, discount = line
        cost = item.cost * quantity // 1000
        net = (line.net() + 50_000) // 100_000
        yield office.enter_line(
            {
                "parent_id": parent,
                "productid": item.number,
                "sequence_no": str(place),
                "quantity": f"{quantity // 1000}.{quantity % 1000:03d}",
                "listprice": amount(item.price),
                "discount_percent": f"{discount}.000",
                "discount_amount": "0.00000000",
                "comment": _LINE_COMMENTS[place % 3] if quantity == 3000 else "",
                "tax1": item.taxes[0],
                "tax2": item.taxes[1],
                "tax3": item.taxes[2],
                "image": "",
                "purchase_cost": amount(cost),
                "margin": amount(net - cost),
                "incrementondel": "1",
            }
        )


def _header(
    office: Office, sold: Basket, subject: str, buyer: Customer
) -> dict[str, str | int | None]:
    town, code, region = buyer.town
    dollars = buyer.currency == DOLLAR
    return {
        "subject": subject,
        "account_id": buyer.number,
        "contact_id": buyer.contact,
        "bill_street": buyer.street,
        "ship_street": buyer.street,
        "bill_city": town,
        "ship_city": town,
        "bill_code": code,
        "ship_code": code,
        "bill_state": region,
        "ship_state": region,
        "bill_country": buyer.country,
        "ship_country": buyer.country,
        "currency_id": buyer.currency,
        "conversion_rate": "1.100" if dollars else "1.000",
        "description": office.one_of(words.TEXTS) if sold.subtotal % 7 == 0 else "",
        "terms_conditions": "Paiement à 30 jours. Pas d'escompte pour paiement anticipé.",
        **_totals(sold),
    }


def _totals(sold: Basket) -> dict[str, str | int | None]:
    return {
        "hdnTaxType": "group" if sold.group else "individual",
        "hdnSubTotal": amount(sold.subtotal),
        # Without a discount there is no value, not zero.
        "hdnDiscountPercent": f"{sold.discount_percent}.000" if sold.discount_percent else None,
        "hdnDiscountAmount": amount(sold.discount) if sold.discount else None,
        "pre_tax_total": amount(sold.pre_tax),
        "hdnGrandTotal": amount(sold.total),
    }


def deal(office: Office, *, lucky: bool = False) -> Story:
    """An opportunity, and the quote, order and invoice that follow."""
    buyer = office.customers.pick()
    sold = fill(office, buyer)
    chance, calendar = office.chance, office.calendar
    subject = f"{office.one_of(words.DEALS)} - {buyer.name}"[:100]
    until_quote = days(0.2 + chance() * 8)
    until_decision = until_quote + days(1 + chance() * 40)
    won = lucky or chance() < 0.6
    decided = office.time + until_decision
    closed = decided <= calendar.end
    stage, probability = ("Closed Won", 100) if won else ("Closed Lost", 0)
    if not closed:
        stage, probability = office.one_of(_STAGES)
    opportunity = office.enter(
        "Potentials",
        decided if closed else None,
        potentialname=subject,
        amount=amount(sold.pre_tax),
        forecast_amount=amount(sold.pre_tax * probability // 100),
        related_to=buyer.number,
        contact_id=buyer.contact,
        closingdate=calendar.date(office.time, until_decision * 7 // days(5) + 1),
        opportunity_type="Existing Business" if chance() < 0.6 else "New Business",
        nextstep="" if closed else "Relancer",
        leadsource="Existing Customer",
        sales_stage=stage,
        probability=f"{probability}.000",
        campaignid=office.one_of(office.campaigns) if chance() < 0.1 else None,
    )
    yield opportunity
    yield until_quote
    if not won and chance() < 0.5:
        return  # lost before there was a quote
    quote = office.enter(
        "Quotes",
        decided if closed else None,
        **_header(office, sold, subject, buyer),
        potential_id=opportunity.number,
        quotestage=("Accepted" if won else "Rejected") if closed else "Delivered",
        validtill=calendar.date(office.time, 60),
        carrier=office.one_of(("UPS", "DHL", "")),
    )
    yield quote
    yield from lines_of(office, sold, quote.number)
    if not won:
        return
    yield until_decision - until_quote
    invoiced = office.time + days(2 + chance() * 14)
    order = office.enter(
        "SalesOrder",
        invoiced if invoiced <= calendar.end else None,
        **_header(office, sold, subject, buyer),
        potential_id=opportunity.number,
        quote_id=quote.number,
        customerno=buyer.code,
        duedate=calendar.date(office.time, 30),
        sostatus="Delivered" if invoiced <= calendar.end else "Approved",
        invoicestatus="Created",
        carrier="Chronopost",
    )
    yield order
    yield from lines_of(office, sold, order.number)
    yield invoiced - office.time
    yield from _invoice(office, buyer, sold, subject, opportunity.number, order.number, lucky=lucky)


def direct_sale(office: Office) -> Story:
    """An order by telephone: an invoice without a quote."""
    buyer = office.customers.pick()
    sold = fill(office, buyer)
    subject = f"Commande téléphonique {buyer.code}"
    yield from _invoice(office, buyer, sold, subject, None, None, lucky=False)


def long_invoice(office: Office, lines: int) -> Story:
    """An invoice with many lines."""
    buyer = office.customers.pick()
    sold = fill(office, buyer, lines)
    subject = f"Marché-cadre, lot de {lines} postes"
    yield from _invoice(office, buyer, sold, subject, None, None, lucky=False)


def _invoice(
    office: Office,
    buyer: Customer,
    sold: Basket,
    subject: str,
    opportunity: int | None,
    order: int | None,
    *,
    lucky: bool,
) -> Story:
    chance, calendar = office.chance, office.calendar
    patience = 0.5 if lucky else chance()
    paid = office.time + days(5 + 50 * patience)
    received, status, changed = 0, "Sent", None
    if paid <= calendar.end and patience < 0.9:
        received, status, changed = sold.total, "Paid", paid
    elif patience > 0.95:
        received = sold.total * 3 // 10  # the deposit
    elif office.time + days(2) > calendar.end:
        status = "Created"
    credited = status == "Paid" and (lucky or chance() < 0.06)
    invoice = office.enter(
        "Invoice",
        changed,
        **_header(office, sold, subject, buyer),
        salesorder_id=order,
        potential_id=opportunity,
        customerno=buyer.code,
        invoicedate=calendar.date(office.time),
        duedate=calendar.date(office.time, 30),
        vtiger_purchaseorder=f"BC-{int(patience * 9000)}" if patience < 0.5 else "",
        invoicestatus=status,
        received=amount(received),
        balance=amount(sold.total - received),
        cf_911=f"VE-{office.count('Invoice') + 1:06d}" if changed else "",
        cf_913="1" if changed else "0",
        cf_915=office.one_of(words.TEXTS) if patience < 0.1 else "",
    )
    yield invoice
    yield from lines_of(office, sold, invoice.number)
    yield days(3)
    if lucky or (opportunity and chance() < 0.25):
        yield _asset(office, buyer, sold, invoice.number)
    if credited:
        yield max(0, paid - office.time) + days(3)
        yield from _credit_note(office, buyer, sold, invoice.number)


def _credit_note(office: Office, buyer: Customer, sold: Basket, invoice: int) -> Iterator[Row]:
    """A credit note for the first line of an invoice."""
    back = basket(sold.lines[:1], group=sold.group)
    note = office.enter(
        "CreditNotes",
        **_header(office, back, "Avoir : retour d'article", buyer),
        invoice_id=invoice,
        customerno=buyer.code,
        creditnotedate=office.calendar.date(office.time),
        creditnotestatus="Refunded",
        reason=office.one_of(("Return", "Billing error", "Retour & reprise d'avance")),
        refunded=amount(back.total),
        balance=amount(0),
    )
    yield note
    yield from lines_of(office, back, note.number)


def _asset(office: Office, buyer: Customer, sold: Basket, invoice: int) -> Row:
    item = next((line.item for line in sold.lines if line.item.number not in office.services), None)
    item = item or office.goods[0]
    return office.enter(
        "Assets",
        product=item.number,
        serialnumber=f"SN{int(office.chance() * 10**9):09d}",
        datesold=office.calendar.date(office.time),
        dateinservice=office.calendar.date(office.time, 7),
        assetstatus="In Service",
        invoiceid=invoice,
        assetname=f"{item.name} - {buyer.name}"[:100],
        account=buyer.number,
        contact=buyer.contact,
    )


def purchase(office: Office) -> Story:
    """A purchase order."""
    bought = fill(office)
    vendor, name = office.one_of(office.vendors)
    paid = office.time + days(30)
    settled = paid <= office.calendar.end
    order = office.enter(
        "PurchaseOrder",
        paid if settled else None,
        subject=f"Réassort {name}",
        vendor_id=vendor,
        requisition_no=f"DA-{office.count('PurchaseOrder') + 1:04d}",
        duedate=office.calendar.date(office.time, 30),
        carrier=office.one_of(("DHL", "Colissimo & Cie")),
        postatus="Received Shipment" if settled else "Approved",
        currency_id=1,
        conversion_rate="1.000",
        bill_street="12, quai de la Fosse",
        ship_street="Z.I. Nord, quai 3",
        bill_city="Nantes",
        ship_city="Carquefou",
        bill_code="44000",
        ship_code="44470",
        bill_country="France",
        ship_country="France",
        paid=amount(bought.total if settled else 0),
        balance=amount(0 if settled else bought.total),
        **_totals(bought),
    )
    yield order
    yield from lines_of(office, bought, order.number)
