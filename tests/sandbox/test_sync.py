from __future__ import annotations

import pytest
from sandbox_api import Api

from kafinea_sandbox import Sandbox


def walk(api: Api, **params: str) -> tuple[list[str], list[str], int]:
    since, updated, deleted, pages = "1", [], [], 0
    while True:
        page = api.ok("sync", modifiedTime=since, elementType="Contacts", **params)
        pages += 1
        updated += [row["id"] for row in page["updated"]]
        deleted += page["deleted"]
        since = str(page["lastModifiedTime"])
        if not page["more"]:
            return updated, deleted, pages


def test_sync_has_own_records_and_all_for_the_application(api: Api):
    own, _, _ = walk(api)
    everything, _, pages = walk(api, syncType="application")
    assert (len(own), len(everything)) == (117, 130)
    assert len(set(everything)) == 130
    assert pages > 1


def test_sync_of_the_application_is_for_administrators(fresh: Sandbox):
    joe = Api(fresh, "joe")
    params = {"modifiedTime": "1", "elementType": "Contacts"}
    assert joe.error("sync", **params, syncType="application")[0] == "ACCESS_DENIED"
    assert len(joe.ok("sync", **params)["updated"]) == 13


def test_sync_page_has_all_changes_of_its_last_second(fresh: Sandbox, fresh_api: Api):
    fresh.sql("UPDATE Contacts SET modifiedtime = '2026-01-05 10:00:00'")
    page = fresh_api.ok("sync", modifiedTime="1", elementType="Contacts", syncType="application")
    assert len(page["updated"]) == 130
    assert page["more"] is False
    assert page["lastModifiedTime"] == 1767607200


def test_sync_reports_deletions(fresh: Sandbox, fresh_api: Api):
    fresh.set_time("2026-03-01T10:00:00+00:00")
    fresh_api.ok_post("delete", id="12x11")
    page = fresh_api.ok("sync", modifiedTime="1770000000", elementType="Contacts")
    assert page == {
        "updated": [],
        "deleted": ["12x11"],
        "more": False,
        "lastModifiedTime": 1772359200,
    }


def test_sync_rows_equal_those_of_query(api: Api):
    page = api.ok("sync", modifiedTime="1", elementType="Accounts")
    assert page["updated"] == api.query("SELECT * FROM Accounts WHERE id = '11x1';")


@pytest.mark.parametrize(
    "params",
    [
        {"modifiedTime": "0", "elementType": "Contacts"},
        {"modifiedTime": "x", "elementType": "Contacts"},
        {"elementType": "Contacts"},
        {"modifiedTime": "1"},
    ],
)
def test_sync_with_fatal_parameters(api: Api, params: dict):
    assert api.get("sync", **params).status_code == 500


def test_sync_of_other_modules(api: Api):
    for module in ("Groups", "Nope"):
        assert api.error("sync", modifiedTime="1", elementType=module)[0] == "ACCESS_DENIED"
    users = api.ok("sync", modifiedTime="7", elementType="Users")
    assert users == {"updated": [], "deleted": [], "more": False, "lastModifiedTime": "7"}
