"""Quotes, orders and invoices: their lines and totals are part of the proof."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from kafinea_sandbox import Sandbox
from kafinea_sandbox.modules.model import Field
from tests.target.running import Run, empty, load, matched, messages, write_requests

WITH_LINES = ("kafinea", "stock", "frevo", "legacy")
SUMS = {"hdnSubTotal", "hdnGrandTotal", "pre_tax_total", "balance"}
TRACES = {"modifiedtime", "modifiedby"}
FAITHFUL = {
    "no_of_currency_decimals": "8",
    "currency_decimal_separator": ".",
    "currency_grouping_separator": ",",
}
OWN = {
    "Quotes": {"quotestage": "Created"},
    "SalesOrder": {"sostatus": "Created", "invoicestatus": "Created"},
    "PurchaseOrder": {"postatus": "Created"},
    "Invoice": {},
}
ADDRESS = {"bill_street": "1 rue A", "ship_street": "2 rue B", "hdnTaxType": "group"}


class Shop:
    """A server with an account, a supplier and a product of 10 with 20 % of tax."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.account = sandbox.insert("Accounts", {"accountname": "ACME"})
        self.vendor = sandbox.insert("Vendors", {"vendorname": "Oak Ltd"})
        self.product = sandbox.insert(
            "Products",
            {
                "productname": "Desk",
                "productcode": "D",
                "unit_price": "10.00000000",
                "tax1": "20.000",
                "qtyinstock": "100.000",
            },
        )
        for user in (1, 2):
            sandbox.change("Users", user, FAITHFUL | {"conv_rate": "1.00000"})

    def record(self, module: str, subject: str, *quantities: float, **more: Any) -> dict[str, Any]:
        party = {"vendor_id": self.vendor} if module == "PurchaseOrder" else {}
        party = party or {"account_id": self.account}
        lines = [
            {"productid": self.product, "quantity": n, "listprice": 10, "tax1": 20}
            for n in quantities
        ]
        told = {"LineItems": lines} if quantities else {}
        return {"subject": subject} | ADDRESS | OWN[module] | party | told | more

    def load(self, module: str, *records: dict[str, Any], **more: Any) -> Run:
        stream = more.pop("stream", {})
        streams = matched(module, "subject", **stream)
        return load(self.sandbox, messages(module, *records), streams=streams, **more)

    def heads(self, module: str) -> list[dict[str, Any]]:
        sql = f'SELECT * FROM "{module}" WHERE _deleted = 0 ORDER BY subject'
        return self.sandbox.sql(sql)

    def quantities(self, subject: str, module: str = "Quotes") -> list[float]:
        sql = (
            f'SELECT quantity FROM LineItem JOIN "{module}" h ON parent_id = h._number'
            " WHERE subject = ? ORDER BY LineItem._number"
        )
        return [float(row["quantity"]) for row in self.sandbox.sql(sql, [subject])]

    def total(self, subject: str, module: str = "Quotes") -> float:
        (head,) = (row for row in self.heads(module) if row["subject"] == subject)
        return float(head["hdnGrandTotal"])

    def elements(self) -> list[dict[str, Any]]:
        return [
            json.loads(r.params["element"])
            for r in self.sandbox.requests
            if r.operation in {"update", "revise"} and r.params["element"] != "{}"
        ]

    @property
    def in_stock(self) -> float:
        return float(self.sandbox.sql("SELECT qtyinstock FROM Products")[0]["qtyinstock"])


@contextmanager
def shop(dialect: str, **options: Any) -> Iterator[Shop]:
    with empty(dialect=dialect, **options) as sandbox:
        yield Shop(sandbox)


def differing(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> list[set[str]]:
    return [
        {n for n in old if old[n] != new[n] and not n.startswith("shipping_")} - TRACES
        for old, new in zip(before, after, strict=True)
    ]


class Unlucky:
    """Some writes of lines meet those of somebody else, and lose a line."""

    def __init__(self, *numbers: int) -> None:
        self._numbers = numbers
        self.seen = 0

    @contextmanager
    def write(self) -> Iterator[bool]:
        self.seen += 1
        yield self.seen in self._numbers


# One at a time


@pytest.mark.parametrize("dialect", ["stock", "frevo"])
def test_documents_over_several_sessions_lack_no_line(dialect):
    """Servers give line ids with a race, across all modules with lines."""
    with shop(dialect, lines_take=0.02) as one:
        streams = matched("Quotes", "subject") | matched("SalesOrder", "subject")
        lines = [
            messages(module, *(one.record(module, f"{module} {n:02}", 1, 2, 3) for n in range(12)))
            for module in ("Quotes", "SalesOrder", "Quotes")
        ]
        run = load(one.sandbox, *lines, streams=streams, max_sessions=4)
        assert run.tally == {"created": 24, "unchanged": 12}
        for module in ("Quotes", "SalesOrder"):
            for n in range(12):
                assert one.quantities(f"{module} {n:02}", module) == [1, 2, 3]
        changed = [one.record("Quotes", f"Quotes {n:02}", 4, 5) for n in range(12)]
        if dialect == "stock":
            assert one.load("Quotes", *changed, max_sessions=4).tally == {"updated": 12}
            assert {one.total(f"Quotes {n:02}") for n in range(12)} == {108}


# Lines that are lost


@pytest.mark.parametrize("module", ["Quotes", "SalesOrder", "PurchaseOrder"])
@pytest.mark.parametrize("dialect", ["kafinea", "stock", "legacy"])
def test_creation_that_lacks_a_line_is_repaired_at_once(dialect, module):
    with shop(dialect) as one:
        one.sandbox.instance.line_writes = Unlucky(1)
        record = one.record(module, "S", 1, 2, 3)
        assert one.load(module, record).tally == {"created": 1}
        assert one.quantities("S", module) == [1, 2, 3]
        assert one.total("S", module) == 72
        assert write_requests(one.sandbox) == ["create", "update"]
        assert one.load(module, record).tally == {"unchanged": 1}


@pytest.mark.parametrize("dialect", ["kafinea", "stock", "legacy"])
def test_update_that_lacks_a_line_is_sent_again(dialect):
    with shop(dialect) as one:
        one.load("Quotes", one.record("Quotes", "S", 1, 2))
        one.sandbox.instance.line_writes = Unlucky(1)
        one.sandbox.requests.clear()
        assert one.load("Quotes", one.record("Quotes", "S", 3, 4)).only["changed"] == ["LineItems"]
        assert (one.quantities("S"), one.total("S")) == ([3, 4], 84)
        assert write_requests(one.sandbox) == ["update"] * 2


@pytest.mark.parametrize("there", [False, True], ids=["create", "update"])
@pytest.mark.parametrize("dialect", WITH_LINES)
def test_lines_lost_twice_reject_the_record(dialect, there):
    with shop(dialect) as one:
        if there:
            one.load("Quotes", one.record("Quotes", "S", 1, 2))
        one.sandbox.instance.line_writes = Unlucky(*range(10))
        one.sandbox.requests.clear()
        run = one.load("Quotes", one.record("Quotes", "S", 3, 4))
        assert (run.code, run.codes) == (1, ["NOT_AS_SENT"])
        assert "LineItems" in run.only["message"]
        assert run.only["id"]
        assert len(write_requests(one.sandbox)) <= 4
        one.sandbox.instance.line_writes = Unlucky()
        run = one.load("Quotes", one.record("Quotes", "S", 3, 4))
        assert one.quantities("S") == [3, 4]
        if dialect != "frevo":
            assert run.tally == {"updated": 1}
            assert one.total("S") == 84


@pytest.mark.parametrize("accepted", [False, True])
def test_invoice_that_lacks_a_line_is_repaired_only_if_side_effects_are_accepted(accepted):
    with shop("stock") as one:
        one.sandbox.instance.line_writes = Unlucky(1)
        stream = {"accept_side_effects": True} if accepted else {}
        run = one.load("Invoice", one.record("Invoice", "S", 1, 2, 3), stream=stream)
        assert one.sandbox.count("Invoice") == 1
        if accepted:
            assert run.tally == {"created": 1}
            assert one.quantities("S", "Invoice") == [1, 2, 3]
        else:
            assert run.codes == ["NOT_AS_SENT"]
            assert "accept_side_effects" in run.only["message"]
            assert write_requests(one.sandbox) == ["create"]
            assert run.only["id"]


@pytest.mark.parametrize("module", ["Quotes", "Invoice"])
def test_answer_without_lines_is_read_back(module):
    with shop("stock", forgets_lines=True) as one:
        stream = {"accept_side_effects": True}
        one.load(module, one.record(module, "S", 1, 2), stream=stream)
        run = one.load(module, one.record(module, "S", 3, 4), stream=stream)
        assert run.only["changed"] == ["LineItems"]
        assert one.quantities("S", module) == [3, 4]
        assert write_requests(one.sandbox) == ["create", "update"]
        assert "WARNING" not in run.stderr.replace("max_rejects", "")


# Totals


def test_frevo_dies_between_lines_and_totals():
    """It is written once more and rejected, and found again though nothing differs any more."""
    with shop("frevo") as one:
        subjects = [f"S{n}" for n in range(8)]
        old = [one.record("Quotes", s, 1, 2) for s in (*subjects, "never updated")]
        one.load("Quotes", *old)
        one.sandbox.set_time("2030-01-01T00:00:00", running=True)  # not in the same second
        changed = [one.record("Quotes", s, 3, 4) for s in subjects]
        one.sandbox.requests.clear()
        run = one.load("Quotes", *changed)
        assert (run.code, run.codes) == (1, ["TOTALS_WRONG"] * 8)
        assert write_requests(one.sandbox) == ["update"] * 16
        assert all(one.quantities(s) == [3, 4] for s in subjects)
        assert {one.total(s) for s in subjects} == {36}  # as it was
        for _ in range(2):
            again = one.load("Quotes", *changed)
            assert (again.code, again.codes) == (1, ["TOTALS_WRONG"] * 8)
            assert "totals are not checked" not in again.stderr


def test_document_left_incomplete_by_frevo_is_repaired():
    with shop("frevo") as one:
        one.load("Quotes", one.record("Quotes", "S", 1, 2))
        one.load("Quotes", one.record("Quotes", "S", 3, 4))
        assert one.total("S") == 36
        object.__setattr__(one.sandbox.instance.options, "dies_at_totals", False)
        run = one.load("Quotes", one.record("Quotes", "S", 3, 4))
        assert run.only["changed"] == ["LineItems"]
        assert one.total("S") == 84
        assert one.load("Quotes", one.record("Quotes", "S", 3, 4)).tally == {"unchanged": 1}


@pytest.mark.parametrize("fault", ["fatal_after", "reset_after"])
@pytest.mark.parametrize("dialect", ["kafinea", "stock", "legacy"])
def test_update_with_lines_is_read_back_after_a_lost_answer(dialect, fault):
    with shop(dialect) as one:
        one.load("Quotes", one.record("Quotes", "S", 1, 2))
        one.sandbox.requests.clear()
        one.sandbox.faults.add(fault, operation="update")
        assert one.load("Quotes", one.record("Quotes", "S", 3, 4)).tally == {"updated": 1}
        assert (one.quantities("S"), one.total("S")) == ([3, 4], 84)
        assert write_requests(one.sandbox) == ["update"]


@pytest.mark.parametrize("sums", [{"hdnGrandTotal": "1.00000000"}, {"hdnSubTotal": "7.00000000"}])
@pytest.mark.parametrize("module", ["Quotes", "SalesOrder", "PurchaseOrder", "Invoice"])
@pytest.mark.parametrize("dialect", ["stock"])
def test_partial_update_of_an_earlier_run_is_found(dialect, module, sums):
    with shop(dialect) as one:
        records = [one.record(module, f"S{n}", 1, 2) for n in range(3)]
        one.load(module, *records)
        one.sandbox.change(module, one.heads(module)[1]["_number"], sums, "2027-01-01 00:00:00")
        run = one.load(module, *records)
        if module == "Invoice":
            assert run.tally == {"unchanged": 2, "rejected": 1}
            assert run.codes == ["SIDE_EFFECTS"]
            run = one.load(module, *records, stream={"accept_side_effects": True})
        assert run.tally == {"unchanged": 2, "updated": 1}
        assert one.total("S1", module) == 36
        assert one.load(module, *records).tally == {"unchanged": 3}


@pytest.mark.parametrize("hidden", [[], ["pre_tax_total"]])
def test_sums_that_follow_from_each_other_and_not_from_the_lines_are_found(hidden):
    """An earlier run broke off between the subtotal and what follows from it."""
    with shop("stock", hidden_fields={"Quotes": hidden}) as one:
        joe = {"username": "joe", "access_key": one.sandbox.access_key_of("joe")}
        record = one.record("Quotes", "S", 1, 2, hdnDiscountPercent=10)
        assert one.load("Quotes", record, **joe).tally == {"created": 1}
        assert one.load("Quotes", record, **joe).tally == {"unchanged": 1}
        stale = {"pre_tax_total": "10.00000000", "hdnGrandTotal": "12.00000000"}
        one.sandbox.change("Quotes", one.heads("Quotes")[0]["_number"], stale)
        assert one.load("Quotes", record, **joe).only["changed"] == ["LineItems"]
        assert one.total("S") == 32.4
        assert one.load("Quotes", record, **joe).tally == {"unchanged": 1}


@pytest.mark.parametrize(("module", "paid"), [("Invoice", "received"), ("PurchaseOrder", "paid")])
@pytest.mark.parametrize("dialect", ["stock", "legacy"])
def test_payment_changes_the_balance(dialect, module, paid):
    with shop(dialect) as one:
        one.load(module, one.record(module, "S", 1, 2))
        run = one.load(module, one.record(module, "S", **{paid: 5}))
        assert run.tally == {"updated": 1}
        (row,) = one.heads(module)
        assert (run.only["changed"], float(row["balance"])) == ([paid], 31)


@pytest.mark.parametrize("taxes", ["group", "individual"])
@pytest.mark.parametrize(
    "head",
    [
        {},
        {"hdnDiscountPercent": 10},
        {"hdnDiscountAmount": 2.5},
        {"hdnS_H_Amount": 7.5},
        {"txtAdjustment": -0.25},
        {"hdnDiscountPercent": 33.333, "txtAdjustment": 1},
    ],
)
@pytest.mark.parametrize("dialect", ["stock"])  # all add up alike
def test_totals_that_are_right_are_accepted(dialect, head, taxes):
    with shop(dialect) as one:
        record = one.record("Quotes", "S", 1.333, 2.5, hdnTaxType=taxes, **head)
        assert one.load("Quotes", record).tally == {"created": 1}
        assert write_requests(one.sandbox) == ["create"]
        assert one.load("Quotes", record).tally == {"unchanged": 1}
        changed = one.record("Quotes", "S", 7.125, hdnTaxType=taxes, **head)
        assert one.load("Quotes", changed).only["changed"] == ["LineItems"]
        assert write_requests(one.sandbox) == ["create", "update"]
        assert one.load("Quotes", changed).tally == {"unchanged": 1}


def test_totals_are_not_checked_where_those_of_other_records_do_not_follow():
    """A Kafinea may add charges of its own."""
    with shop("stock") as one:
        records = [one.record("Quotes", f"S{n}", 1, 2) for n in range(6)]
        one.load("Quotes", *records)
        one.sandbox.sql(
            "UPDATE Quotes SET hdnGrandTotal = '41.00000000', createdtime = modifiedtime"
        )
        one.sandbox.requests.clear()
        run = one.load("Quotes", *records)
        assert run.tally == {"unchanged": 6}
        assert run.stderr.count("totals are not checked") == 1
        assert write_requests(one.sandbox) == []


# What is sent


@pytest.mark.parametrize("module", OWN)
@pytest.mark.parametrize("user", ["joe"])
@pytest.mark.parametrize("dialect", WITH_LINES)
def test_lines_are_sent_only_if_they_or_an_amount_changed(dialect, module, user):
    """Equal lines that come along are not sent either, so nothing happens to the stock."""
    with shop(dialect) as one:
        more = {}
        if user == "joe":
            more = {"username": "joe", "access_key": one.sandbox.access_key_of("joe")}
        records = [one.record(module, f"S{n}", 1, 2) for n in range(3)]
        one.load(module, *records, **more)
        before, stock = one.heads(module), one.in_stock
        lines = one.sandbox.sql("SELECT * FROM LineItem")
        new = [record | {"bill_city": "Nantes"} for record in records]
        one.sandbox.requests.clear()
        run = one.load(module, *new, **more)
        assert run.tally == {"updated": 3}
        assert differing(before, one.heads(module)) == [{"bill_city"}] * 3
        assert one.sandbox.sql("SELECT * FROM LineItem") == lines
        assert one.in_stock == stock
        assert all("LineItems" not in sent for sent in one.elements())
        assert write_requests(one.sandbox) == ["update" if dialect == "legacy" else "revise"] * 3


@pytest.mark.parametrize("dialect", WITH_LINES)
def test_lines_are_updated_below_a_manager(dialect):
    """Servers check the right to assign for every user that an update names."""
    with shop(dialect, dies_at_totals=False) as one:
        more = {"username": "joe", "access_key": one.sandbox.access_key_of("joe")}
        one.load("Quotes", one.record("Quotes", "S", 1, 2), **more)
        one.sandbox.sql("UPDATE Quotes SET assigned_user_id1 = 1, modifiedby = 1")
        before = one.heads("Quotes")
        run = one.load("Quotes", one.record("Quotes", "S", 3, 4), **more)
        assert run.tally == {"updated": 1}
        assert one.quantities("S") == [3, 4]
        (changed,) = differing(before, one.heads("Quotes"))
        assert changed <= SUMS


# What the API does not show


@pytest.mark.parametrize(
    "change",
    [{"LineItems": ...}, {"hdnDiscountPercent": 10}, {"txtAdjustment": 1}],
    ids=["lines", "discount", "adjustment"],
)
@pytest.mark.parametrize("dialect", ["kafinea", "stock", "legacy"])
def test_lines_of_an_invoice_move_the_stock_only_if_accepted(dialect, change):
    with shop(dialect) as one:
        record = one.record("Invoice", "S", 1, 2)
        assert one.load("Invoice", record).tally == {"created": 1}
        assert one.in_stock == 97
        new = one.record("Invoice", "S", 3, 4) if "LineItems" in change else record | change
        before, lines = one.heads("Invoice"), one.sandbox.sql("SELECT * FROM LineItem")
        for dry_run in (True, False):
            run = one.load("Invoice", new, dry_run=dry_run)
            assert run.codes == ["SIDE_EFFECTS"]
            assert "stock" in run.only["message"]
        assert write_requests(one.sandbox) == ["create"]
        assert (one.heads("Invoice"), one.sandbox.sql("SELECT * FROM LineItem")) == (before, lines)
        assert one.in_stock == 97
        accepted = {"accept_side_effects": True}
        assert one.load("Invoice", new, stream=accepted).tally == {"updated": 1}
        assert one.load("Invoice", new).tally == {"unchanged": 1}


# An order's status of the invoices to come


@pytest.mark.parametrize("dialect", ["kafinea", "stock", "frevo", "legacy"])
@pytest.mark.parametrize("what", ["head", "lines"])
def test_invoice_status_of_an_order_without_recurrence(dialect, what):
    """`describe` calls it mandatory, the server wants a value and keeps none."""
    with shop(dialect, dies_at_totals=False) as one:
        one.load("SalesOrder", one.record("SalesOrder", "S", 1, 2))
        assert one.heads("SalesOrder")[0]["invoicestatus"] == ""
        new = one.record("SalesOrder", "S", *((3, 4) if what == "lines" else ()))
        new |= {"sostatus": "Approved"}
        silent = {name: value for name, value in new.items() if name != "invoicestatus"}
        run = one.load("SalesOrder", silent)
        if dialect == "legacy" or what == "lines":
            assert run.codes == ["MANDATORY_FIELDS_MISSING"]
            assert "Load values for them" in run.only["message"]
            assert "invoicestatus" in run.only["message"]
            run = one.load("SalesOrder", new)
        assert run.tally == {"updated": 1}
        assert set(run.only["changed"]) <= {"LineItems", "sostatus"}
        (head,) = one.heads("SalesOrder")
        assert (head["sostatus"], head["invoicestatus"]) == ("Approved", "")
        assert one.load("SalesOrder", new).tally == {"unchanged": 1}


@pytest.mark.parametrize("dialect", WITH_LINES)
def test_invoice_status_is_kept_with_recurrence(dialect):
    with shop(dialect) as one:
        record = one.record("SalesOrder", "S", 1, enable_recurring=True)
        assert one.load("SalesOrder", record).tally == {"created": 1}
        changed = record | {"invoicestatus": "Approved"}
        assert one.load("SalesOrder", changed).only["changed"] == ["invoicestatus"]
        assert one.heads("SalesOrder")[0]["invoicestatus"] == "Approved"


# Which modules have lines


def test_server_without_lines_takes_headers():
    with shop("corebos") as one:
        heads = [one.record("Quotes", f"S{n}") for n in range(3)]
        with_lines = one.record("Quotes", "L", 1, 2)
        vendor = messages("Vendors", {"vendorname": "V"})
        run = load(
            one.sandbox,
            messages("Quotes", *heads, with_lines),
            vendor,
            streams=matched("Quotes", "subject") | matched("Vendors", "vendorname"),
            max_rejects=1,
        )
        assert run.tally == {"created": 4, "rejected": 1}
        assert run.codes == ["NOT_SUPPORTED"]
        assert "does not support lines" in run.of("L")[0]["message"]
        assert [row["subject"] for row in one.heads("Quotes")] == ["S0", "S1", "S2"]


def test_server_without_lines_keeps_lines_when_a_header_changes():
    with shop("corebos") as one:
        one.load("Quotes", one.record("Quotes", "S"))
        (head,) = one.heads("Quotes")
        product = int(one.product.partition("x")[2])
        one.sandbox.sql(
            "INSERT INTO LineItem (_number, parent_id, productid, quantity, listprice, sequence_no,"
            " discount_percent, discount_amount) VALUES (1, ?, ?, '2.000', '10.00000000', '1', '0',"
            " '0')",
            [head["_number"], product],
        )
        before, lines = one.heads("Quotes"), one.sandbox.sql("SELECT * FROM LineItem")
        for city, method in (("Nantes", "auto"), ("Rezé", "full")):
            new = one.record("Quotes", "S", bill_city=city)
            assert one.load("Quotes", new, update_method=method).only["changed"] == ["bill_city"]
            assert differing(before, one.heads("Quotes")) == [{"bill_city"}]
            assert one.sandbox.sql("SELECT * FROM LineItem") == lines
        discount = one.load("Quotes", one.record("Quotes", "S", hdnDiscountPercent=10))
        assert discount.codes == ["NOT_SUPPORTED"]
        assert one.sandbox.sql("SELECT * FROM LineItem") == lines


@pytest.mark.parametrize(
    ("dialect", "module"),
    [
        *((name, "Equipment") for name in (*WITH_LINES, "corebos")),
        *((name, "Assets") for name in (*WITH_LINES, "corebos")),
        ("corebos", "InventoryDetails"),
    ],
)
@pytest.mark.parametrize("absent", [(), ("LineItem",)])
def test_module_with_products_and_quantities_may_have_no_lines(dialect, module, absent):
    with shop(dialect, custom=True, absent=absent) as one:
        key, values = {
            "Equipment": ("equipmentname", {}),
            "InventoryDetails": ("listprice", {}),
            "Assets": (
                "serialnumber",
                {
                    "product": one.product,
                    "datesold": "2026-01-01",
                    "dateinservice": "2026-01-01",
                    "assetstatus": "In Service",
                    "assetname": "Desk",
                    "account": one.account,
                },
            ),
        }[module]
        if module == "Assets":
            product = Field("productid", "P", "reference", refers_to=("Products",))
            fields = (product, Field("quantity", "Quantity", "double", scale=3))
            one.sandbox.redefine("Assets", *fields)
        record = {key: "77", "productid": one.product, "quantity": 2} | values
        streams = matched(module, key)
        lines = messages(module, record)
        assert load(one.sandbox, lines, streams=streams).tally == {"created": 1}
        assert load(one.sandbox, lines, streams=streams).tally == {"unchanged": 1}
        changed = messages(module, record | {"quantity": 3})
        assert load(one.sandbox, changed, streams=streams).only["changed"] == ["quantity"]
        (row,) = one.sandbox.rows(module)
        assert (row["productid"], float(row["quantity"])) == (one.product, 3)


HEADER = [
    *("hdnTaxType", "hdnGrandTotal", "hdnSubTotal", "pre_tax_total", "hdnDiscountPercent"),
    *("hdnDiscountAmount", "hdnS_H_Amount", "hdnS_H_Percent", "txtAdjustment"),
]


@pytest.mark.parametrize("absent", [(), ("LineItem",)])
def test_user_who_may_not_see_the_header_still_has_lines(absent):
    """Then the module of the lines must exist and name it."""
    with shop("stock", hidden_fields={"Quotes": HEADER}, absent=absent) as one:
        joe = {"username": "joe", "access_key": one.sandbox.access_key_of("joe")}
        if absent:
            run = one.load("Quotes", one.record("Quotes", "S", 1), check=False, **joe)
            assert run.code == 1
            assert write_requests(one.sandbox) == []
            return
        one.load("Quotes", one.record("Quotes", "S", 1, 2))
        head = {n: v for n, v in one.record("Quotes", "S").items() if n not in HEADER}
        before = one.heads("Quotes")
        run = one.load("Quotes", head | {"bill_city": "Nantes"}, **joe)
        assert run.tally == {"updated": 1}
        assert differing(before, one.heads("Quotes")) == [{"bill_city"}]
        lines = one.record("Quotes", "S", 3, 4)["LineItems"]
        run = one.load("Quotes", head | {"LineItems": lines}, **joe)
        assert run.only["changed"] == ["LineItems"]
        assert one.quantities("S") == [3, 4]


# A dry run


@pytest.mark.parametrize("dialect", WITH_LINES)
def test_dry_run_writes_no_lines(dialect):
    with shop(dialect) as one:
        one.load("Quotes", one.record("Quotes", "S", 1, 2))
        before, lines = one.heads("Quotes"), one.sandbox.sql("SELECT * FROM LineItem")
        one.sandbox.requests.clear()
        records = [one.record("Quotes", subject, 3) for subject in "SSTT"]
        run = one.load("Quotes", *records, dry_run=True)
        assert run.tally == {"updated": 1, "created": 1, "unchanged": 2}
        assert write_requests(one.sandbox) == []
        assert (one.heads("Quotes"), one.sandbox.sql("SELECT * FROM LineItem")) == (before, lines)


def test_one_session_is_enough_for_totals_that_need_the_taxes_of_a_product():
    """The thread that writes holds the only session: it must not wait for another one."""
    with shop("stock") as one:
        untaxed = one.sandbox.insert("Products", {"productname": "Free", "unit_price": "10.0"})
        quote = one.record("Quotes", "Q1", 1) | {"hdnTaxType": "individual"}
        quote["LineItems"][0]["productid"] = untaxed
        assert one.load("Quotes", quote, max_sessions=1).tally == {"created": 1}


# Other numbers of a document


@pytest.mark.parametrize("dialect", ["legacy", "stock"])
def test_server_that_rounds_changes_one_document_at_most(dialect):
    with shop(dialect, revise=False) as one:
        records = [one.record("Quotes", f"S{n}", 1, 2) for n in range(5)]
        one.load("Quotes", *records)
        one.sandbox.sql("UPDATE Quotes SET conversion_rate = '1.125', hdnS_H_Amount = '0.12345'")
        one.sandbox.change("Users", 1, {"no_of_currency_decimals": "2"})
        before = one.heads("Quotes")
        heads = [one.record("Quotes", f"S{n}", bill_city="Nantes") for n in range(5)]
        run = one.load("Quotes", *heads)
        assert run.codes == ["OTHER_FIELDS_CHANGED"] * 5
        touched = differing(before, one.heads("Quotes"))
        assert len([names for names in touched if names]) == 1
        assert "0.12345" not in run.stderr + json.dumps(run.outcomes)
