"""Related lists: which there are, and what stands in one."""

from __future__ import annotations

import pytest

from kafinea import Refused, Unavailable
from kafinea.related import RelatedList, lists_of, related_ids
from kafinea_sandbox import Sandbox
from tests.conftest import connect

pytestmark = pytest.mark.usefixtures("quick")

CONTACTS = RelatedList("Campaigns", "Contacts", "Contacts")


@pytest.fixture
def fair(sandbox):
    """A campaign with every contact of the company in its list, more than a page."""
    for n in range(150):
        sandbox.insert("Contacts", {"lastname": f"{n}"})
    campaign = sandbox.insert("Campaigns", {"campaignname": "Fair"})
    for row in sandbox.rows("Contacts"):
        pair = [int(one.partition("x")[2]) for one in (campaign, row["id"])]
        sandbox.sql("INSERT INTO _relation VALUES (?, ?, 'Contacts')", pair)
    return campaign


def ids(sandbox):
    return [row["id"] for row in sandbox.rows("Contacts")]


@pytest.mark.parametrize("dialect", ["kafinea", "stock", "frevo"])
def test_lists_are_told_by_label(dialect):
    with Sandbox(dialect=dialect, rows=50) as sandbox, connect(sandbox) as client:
        lists = {one.label: one for one in lists_of(client, "Accounts")}
        assert lists["Sales Order"] == RelatedList("Accounts", "Sales Order", "SalesOrder")
        assert lists_of(client, "SMSNotifier") == []
        with pytest.raises(Refused):
            client.relatedtypes("Nope")


def test_an_operation_that_is_not_there_is_asked_for_twice_and_no_more():
    with Sandbox(dialect="legacy", rows=50) as sandbox, connect(sandbox) as client:
        assert client.relatedtypes("Accounts") is None
        assert len(sandbox.requests.of("relatedtypes")) == 2


def test_a_server_without_room_is_not_one_without_the_operation(sandbox, client):
    sandbox.faults.add("status", operation="relatedtypes", status=503, times=4)
    assert client.relatedtypes("Accounts")
    sandbox.faults.add("status", operation="relatedtypes", status=503, times=None)
    with pytest.raises(Unavailable):
        client.relatedtypes("Accounts")


def test_all_that_stands_in_a_list_comes_in_order(sandbox, client, fair):
    assert related_ids(client, CONTACTS, fair) == ids(sandbox)


def test_what_is_asked_for_and_there_costs_one_request(sandbox, client, fair):
    some = ids(sandbox)[:100]
    assert related_ids(client, CONTACTS, fair, some) == some
    assert len(sandbox.requests.of("query_related")) == 1
    stranger = sandbox.insert("Contacts", {"lastname": "Stranger"})
    assert related_ids(client, CONTACTS, fair, [some[0], stranger]) == some[:1]
    assert len(sandbox.requests.of("query_related")) == 3


def test_an_unknown_record_or_list_is_refused(client, fair):
    with pytest.raises(Refused):
        related_ids(client, CONTACTS, f"{fair}9999")
    with pytest.raises(Refused):
        related_ids(client, RelatedList("Campaigns", "Nope", "Contacts"), fair)
