"""What the user's formats make of numbers and moments, those that are sent back included."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sandbox_api import Api, small_company

from kafinea_sandbox import Sandbox
from kafinea_sandbox.dialects import DIALECTS

LONG = {"cf_855": "-1234.567", "cf_861": "99.95"}
WIDE = {"amount": "1234567.89123456", "potentialname": "P", "closingdate": "2026-01-01"}


@pytest.fixture(params=[name for name in DIALECTS if name not in {"corebos", "legacy"}])
def server(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    with Sandbox(dialect=request.param, company=small_company()) as sandbox:
        yield sandbox


@pytest.fixture
def corebos() -> Iterator[Sandbox]:
    with Sandbox(dialect="corebos", company=small_company()) as sandbox:
        yield sandbox


def potential(sandbox: Sandbox) -> str:
    return sandbox.insert("Potentials", WIDE | {"sales_stage": "Closed Won"})


def stored(sandbox: Sandbox, module: str, wire_id: str) -> dict[str, Any]:
    return next(row for row in sandbox.rows(module) if row["id"] == wire_id)


def sent_back(api: Api, wire_id: str, **changes: Any) -> None:
    api.update(**api.ok("retrieve", id=wire_id) | changes)


def test_update_rounds_every_number_and_revise_only_those_sent(server: Sandbox):
    api, wire_id = Api(server), potential(server)
    api.revise(id=wire_id, nextstep="x")
    assert stored(server, "Potentials", wire_id)["amount"] == "1234567.89123456"
    sent_back(api, wire_id, nextstep="y")
    assert stored(server, "Potentials", wire_id)["amount"] == "1234567.89000000"


@pytest.mark.parametrize(("decimals", "kept"), [("0", "-1235.000"), ("3", "-1234.567")])
def test_decimals_are_those_of_the_user(server: Sandbox, decimals: str, kept: str):
    api = Api(server)
    server.change("Users", 1, {"no_of_currency_decimals": decimals})  # a session that is open
    created = api.contact(**LONG)
    assert created["cf_855"] == kept


def test_amounts_change_by_the_conversion_of_currencies(server: Sandbox):
    server.change("Users", 1, {"currency_id": 2, "conv_rate": "1.25"})
    wire_id = server.insert("Potentials", WIDE | {"amount": "99.95", "sales_stage": "Closed Won"})
    sent_back(Api(server), wire_id)
    assert stored(server, "Potentials", wire_id)["amount"] == "99.95200000"


def test_users_contain_their_formats():
    with Sandbox(rows=300) as sandbox:
        api = Api(sandbox)
        told = api.ok("retrieve", id=api.me)
    names = ("currency_decimal_separator", "no_of_currency_decimals", "conv_rate", "time_zone")
    assert [told[name] for name in names] == [",", "2", "1.00000", "Europe/Paris"]


SEPARATORS = {"currency_decimal_separator": ",", "currency_grouping_separator": "."}


def test_corebos_reads_numbers_as_the_user_writes_them(corebos: Sandbox):
    corebos.change("Users", 1, SEPARATORS)
    api = Api(corebos)
    assert api.contact(cf_861="1234.56")["cf_861"] == "123456.00"
    assert api.contact(cf_861="1.234,56")["cf_861"] == "1234.56"
    wire_id = corebos.insert("Contacts", {"lastname": "x", **LONG})
    for times in ("-1234567.000", "-1234567000.000"):
        sent_back(api, wire_id)
        assert stored(corebos, "Contacts", wire_id)["cf_855"] == times
    api.revise(id=wire_id, title="x")
    assert stored(corebos, "Contacts", wire_id)["cf_855"] == "-1234567000.000"


def test_corebos_truncates_decimals(corebos: Sandbox):
    assert Api(corebos).contact(cf_855="0.129")["cf_855"] == "0.120"


def test_corebos_reads_custom_datetimes_in_the_users_zone(corebos: Sandbox):
    api = Api(corebos)
    wire_id = corebos.insert("Contacts", {"lastname": "x", "cf_891": "2026-07-01 12:34:56"})

    def moment() -> str:
        return stored(corebos, "Contacts", wire_id)["cf_891"]

    api.revise(id=wire_id, title="x")
    assert moment() == "2026-07-01 12:34:00"
    sent_back(api, wire_id)
    assert moment() == "2026-07-01 10:34:00"
    sent_back(api, wire_id)
    assert moment() == "2026-07-01 08:34:00"
    corebos.change("Users", 1, {"time_zone": "UTC"})
    sent_back(api, wire_id)
    assert moment() == "2026-07-01 08:34:00"
