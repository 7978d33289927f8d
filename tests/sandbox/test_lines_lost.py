"""What happens to lines, totals and stock beside what a write says."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from sandbox_api import Api, result_of, small_company

from kafinea_sandbox import Sandbox

HEAD = {"subject": "S", "bill_street": "1 rue A", "ship_street": "1 rue A", "hdnTaxType": "group"}


def element(api: Api, **head: Any) -> dict[str, Any]:
    product = api.id("Products", 3)
    lines = [{"productid": product, "quantity": n, "listprice": "10"} for n in ("1", "2", "3")]
    links = {"account_id": api.id("Accounts", 1), "assigned_user_id": api.me, "productid": product}
    return HEAD | links | {"LineItems": lines} | head


def server(dialect: str, **options: Any) -> Sandbox:
    return Sandbox(dialect=dialect, company=small_company(), **options)


@pytest.fixture
def stock_api() -> Iterator[Api]:
    with server("stock") as sandbox:
        sandbox.change("Products", 3, {"qtyinstock": "100.000"})
        yield Api(sandbox)


def at_once(sandbox: Sandbox) -> list[int]:
    """How many lines a quote and an invoice have, created at the same time."""
    modules = {"Quotes": {"quotestage": "Created"}, "Invoice": {}}
    counts: list[int] = []
    begin = threading.Barrier(len(modules))

    def write(api: Api, module: str, head: dict[str, str]) -> None:
        begin.wait()
        created = api.create(module, **element(api, **head))
        read = api.ok("retrieve", id=created["id"])
        lines = read["LineItems"]
        assert float(read["hdnSubTotal"]) == sum(10 * float(line["quantity"]) for line in lines)
        counts.append(len(lines))

    threads = [
        threading.Thread(target=write, args=(Api(sandbox), module, head))
        for module, head in modules.items()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(counts)


@pytest.mark.parametrize(
    ("dialect", "counts"), [("stock", [2, 3]), ("frevo", [2, 3]), ("kafinea", [3, 3])]
)
def test_lines_written_concurrently_are_lost(dialect: str, counts: list[int]):
    with server(dialect, lines_take=1) as sandbox:
        assert at_once(sandbox) == counts


def test_lines_written_sequentially_are_kept(stock_api: Api):
    for _ in range(3):
        assert len(stock_api.create("Invoice", **element(stock_api))["LineItems"]) == 3


@pytest.mark.parametrize("option", [None, False])
def test_totals_of_frevo_are_not_computed_by_an_update(option: bool | None):
    with server("frevo", dies_at_totals=option) as sandbox:
        api = Api(sandbox)
        created = api.create("Quotes", **element(api, quotestage="Created"))
        lines = [created["LineItems"][0] | {"quantity": "7"}]
        changed = element(api, id=created["id"], quotestage="Created", LineItems=lines)
        answer = api.write("update", changed)
        dead = answer.text.startswith("<br />\n<b>Fatal error</b>")
        assert (answer.status_code, dead) == (200, option is None)
        stored = api.ok("retrieve", id=created["id"])
        assert [line["quantity"] for line in stored["LineItems"]] == ["7.000"]
        assert float(stored["hdnSubTotal"]) == (60 if dead else 70)


def in_stock(api: Api) -> float:
    return float(api.ok("retrieve", id="14x3")["qtyinstock"])


def test_stock_follows_invoices(stock_api: Api):
    api = stock_api
    created = api.create("Invoice", **element(api))
    assert in_stock(api) == 94
    api.update(**element(api, id=created["id"]))
    assert in_stock(api) == 100  # the old quantities come back, the new ones are not taken
    head = element(api, id=created["id"])
    del head["LineItems"]
    api.update(**head)
    api.revise(id=created["id"], subject="New")
    assert in_stock(api) == 100
    api.create("Quotes", **element(api, quotestage="Created"))
    assert in_stock(api) == 100


def test_charges_percent_becomes_their_amount(stock_api: Api):
    charged = {"hdnS_H_Amount": "12.5", "hdnS_H_Percent": "20"}
    created = stock_api.create("Invoice", **element(stock_api, **charged))
    assert float(created["hdnS_H_Percent"]) == 20
    changed = stock_api.update(**element(stock_api, id=created["id"], **charged))
    assert float(changed["hdnS_H_Percent"]) == 12.5


def test_option_forgets_lines():
    with server("stock", forgets_lines=True) as sandbox:
        api = Api(sandbox)
        created = api.create("Invoice", **element(api))
        assert api.update(**element(api, id=created["id"]))["LineItems"] == []
        assert len(api.ok("retrieve", id=created["id"])["LineItems"]) == 3


def test_totals_that_are_sent_back_are_rounded(stock_api: Api):
    created = stock_api.create("Invoice", **element(stock_api))
    totals = {"hdnSubTotal": "124.2449", "hdnGrandTotal": "124.2449"}
    stock_api.sandbox.change("Invoice", created["id"], totals)
    head = element(stock_api, id=created["id"], hdnSubTotal="124.2449")
    del head["LineItems"]
    stock_api.update(**head)
    stored = stock_api.ok("retrieve", id=created["id"])
    assert [stored[name] for name in totals] == ["124.24000000", "124.2449"]


def test_description_entities_are_decoded(stock_api: Api):
    text = '"x" &amp; y'
    created = stock_api.create("Invoice", **element(stock_api, description=text))
    assert created["description"] == text
    changed = stock_api.update(**element(stock_api, id=created["id"], description=text))
    assert changed["description"] == '"x" & y'


def test_invoice_status_of_an_order_without_recurrence_is_empty(stock_api: Api):
    api = stock_api
    order = {"sostatus": "Created", "invoicestatus": "Approved"}
    created = api.create("SalesOrder", **element(api, **order))
    assert created["invoicestatus"] == ""
    sent = element(api, id=created["id"], sostatus="Approved")
    del sent["LineItems"]
    code, message = sent_error(api, sent)
    assert (code, message) == (
        "MANDATORY_FIELDS_MISSING",
        "invoicestatus does not have a value",
    )
    api.update(**sent, invoicestatus="Approved")
    assert api.revise(id=created["id"], sostatus="Approved")["invoicestatus"] == ""
    recurring = {"enable_recurring": "1", "invoicestatus": "Approved"}
    assert result_of(api.write("update", sent | recurring)) == sent | recurring
    assert api.ok("retrieve", id=created["id"])["invoicestatus"] == "Approved"


def sent_error(api: Api, sent: dict[str, Any]) -> tuple[str, str]:
    error = api.write("update", sent).json()["error"]
    return error["code"], error["message"]
