"""Prices of products in other currencies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sandbox_api import Api, small_company

from kafinea_sandbox import Sandbox

YEN = {"currency_name": "Japan, Yen", "currency_code": "JPY", "conversion_rate": "120.00000"}


@pytest.fixture
def shop() -> Iterator[Sandbox]:
    """A product with a price in dollars and none in yen."""
    with Sandbox(dialect="stock", company=small_company()) as sandbox:
        sandbox.insert("Currency", YEN | {"currency_status": "Active"})
        sandbox.insert("Currency", YEN | {"currency_status": "Inactive"})
        sandbox.change("Products", 3, {"currency2": "77.5"})
        yield sandbox


@pytest.fixture
def api(shop: Sandbox) -> Api:
    return Api(shop)


def actual(shop: Sandbox) -> dict[int, float]:
    return {row["currency"]: float(row["actual"]) for row in table(shop)}


def table(shop: Sandbox) -> list[dict[str, Any]]:
    return shop.sql("SELECT * FROM _price WHERE product = 3 ORDER BY currency")


def full(api: Api) -> dict[str, Any]:
    return api.ok("retrieve", id="14x3")


def test_retrieve_has_a_price_in_every_active_currency(api: Api):
    product = full(api)
    assert [product.get(f"currency{n}") for n in (1, 2, 3, 4)] == [199.99, 77.5, 0, None]
    described = [field["name"] for field in api.ok("describe", elementType="Products")["fields"]]
    assert [name for name in described if name.startswith("currency")] == [
        *("currency1", "currency2", "currency3")
    ]


def test_price_of_0_is_fixed_after_an_update(shop: Sandbox, api: Api):
    api.update(**full(api) | {"website": "x"})
    assert actual(shop) == {2: 77.5, 3: 0}


def test_update_deletes_prices_that_are_not_sent(shop: Sandbox, api: Api):
    product = {name: value for name, value in full(api).items() if not name.startswith("currency")}
    api.update(**product)
    assert actual(shop) == {}


def test_update_without_zeros_keeps_prices(shop: Sandbox, api: Api):
    before = table(shop)
    product = {name: value for name, value in full(api).items() if value != 0}
    api.update(**product | {"website": "x"})
    assert table(shop) == before


def test_prices_are_divided_by_users_of_another_currency(shop: Sandbox, api: Api):
    shop.change("Users", 1, {"currency_id": 2, "conv_rate": "1.25"})
    seen = []
    for _ in range(2):
        api.update(**{name: value for name, value in full(api).items() if value != 0})
        seen.append(actual(shop)[2])
    assert seen == [62, 49.6]


def test_converted_prices_are_multiplied_if_the_point_groups(shop: Sandbox, api: Api):
    before = float(table(shop)[0]["converted"])
    shop.change("Users", 1, {"currency_grouping_separator": "."})
    api.update(**full(api))
    assert float(table(shop)[0]["converted"]) == pytest.approx(before * 10**8)


def test_revise_deletes_prices_and_taxes(shop: Sandbox, api: Api):
    shop.change("Users", 1, {"currency_id": 2})
    api.revise(id="14x3", website="x")
    assert actual(shop) == {}
    product = full(api)
    assert "tax1" not in product
    assert (product["currency_id"], product["unit_price"]) == ("21x2", "199.99000000")


def test_insert_accepts_a_price(shop: Sandbox, api: Api):
    created = api.create("Products", productname="P", currency2="5", currency3="")
    assert (created["currency2"], created["currency3"]) == (5, 0)
    assert len(shop.sql("SELECT * FROM _price")) == 2
