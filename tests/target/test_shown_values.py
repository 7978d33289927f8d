"""Values that a server shows otherwise than they were sent: fewer digits, or a user's format."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

import pytest

from tests.small_server import SmallServer, serving
from tests.target.running import load, matched, messages


def loaded(server, *records, **more):
    with serving(server):
        return load(
            None,
            messages("Contacts", *records),
            url=server.url,
            username="admin",
            access_key="k",
            streams=matched("Contacts", "code", **more),
            max_rejects=-1,
        )


def test_cents_are_loaded_where_numbers_are_shown_without_their_last_zeros():
    def trimmed(_, row):
        numbers = {name: row[name] for name in ("amount", "size") if "." in row[name]}
        return {**row, **{name: text.rstrip("0").rstrip(".") for name, text in numbers.items()}}

    server = SmallServer()
    server.shown = trimmed
    server.answer = lambda operation, stored, _: trimmed(operation, stored)
    server.insert(code="a", lastname="A", amount="1234.50", size="0.1")
    server.insert(code="b", lastname="B", amount="99.90")
    server.insert(code="c", lastname="C", amount="7.00", size="0.25")
    records = [
        {"code": "a", "amount": 1234.54, "size": 0.14},
        {"code": "b", "amount": 99.94},
        {"code": "c", "amount": 7, "size": 0.25},
    ]
    assert loaded(server, *records).tally == {"updated": 2, "unchanged": 1}
    stored = [(row["amount"], row["size"]) for row in server.rows.values()]
    assert stored == [("1234.54", "0.14"), ("99.94", ""), ("7.00", "0.25")]


@pytest.mark.parametrize(
    ("values", "more", "tally", "stored"),
    [
        ({"amount": 0}, {}, {"updated": 2, "unchanged": 2}, ["0", "0", "0,00", ""]),
        ({"born": None}, {}, {"updated": 2, "unchanged": 2}, ["", "", "0000-00-00", ""]),
        (
            {"amount": 5, "born": "2020-01-01"},
            {"write": "if_empty"},
            {"unchanged": 2, "updated": 2},
            ["1.234,57", "no number", "5", "5"],
        ),
    ],
    ids=["0", "null", "if_empty"],
)
def test_stored_value_that_cannot_be_read_is_a_value(values, more, tally, stored):
    server = SmallServer()
    dates = ("31-01-2026", "1985-00-00", "0000-00-00", "")
    for code, date, amount in zip(
        "abcd", dates, ("1.234,57", "no number", "0,00", ""), strict=True
    ):
        server.insert(code=code, lastname=code, born=date, amount=amount)
    run = loaded(server, *({"code": code, **values} for code in "abcd"), **more)
    assert run.tally == tally
    name = next(iter(values))
    assert [row[name] for row in server.rows.values()] == stored


@pytest.mark.parametrize("is_new", [True, False])
def test_number_with_too_many_decimals_is_the_only_one_refused(is_new):
    def in_cents(_, old, sent):
        cents = Decimal(sent.get("amount") or 0).quantize(Decimal("0.01"), ROUND_HALF_UP)
        return {**old, **sent, "amount": f"{cents}000000"}

    server = SmallServer()
    server.store = in_cents
    amounts = [10.25, 11.75, 12.001, *((1301 + n) / 100 for n in range(30))]
    for n in [] if is_new else range(len(amounts)):
        server.insert(code=f"c{n}", lastname="x", amount="1.00000000")
    records = [{"code": f"c{n}", "lastname": "x", "amount": one} for n, one in enumerate(amounts)]
    run = loaded(server, *records)
    assert run.tally == {"created" if is_new else "updated": 32, "rejected": 1}
    (refused,) = (one for one in run.outcomes if one["outcome"] == "rejected")
    assert refused["key"] == {"code": "c2"}
