from __future__ import annotations

import threading
from pathlib import Path

import pytest
import requests
from sandbox_api import Api, small_company

from kafinea_sandbox import Sandbox
from kafinea_sandbox.modules.model import Field


def post(sandbox: Sandbox, name: str, /, **arguments: object) -> requests.Response:
    url, token = f"{sandbox.url}/_control/{name}", f"Bearer {sandbox.control_token}"
    return requests.post(url, json=arguments, headers={"Authorization": token}, timeout=60)


def result_over_http(sandbox: Sandbox, name: str, /, **arguments: object) -> object:
    response = post(sandbox, name, **arguments)
    assert response.status_code == 200, response.text
    return response.json()["result"]


def test_rows_equal_those_of_the_api(fresh: Sandbox, fresh_api: Api):
    rows = fresh.rows("Contacts")
    assert (len(rows), fresh.count("Contacts")) == (130, 130)
    shown = fresh_api.query("SELECT * FROM Contacts ORDER BY id;")
    assert [{**row} for row in rows[:100]] == shown


def test_change_insert_remove_bypass_the_api(fresh: Sandbox, fresh_api: Api):
    fresh.change("Contacts", 11, {"lastname": "Changed", "account_id": "11x2"})
    fresh.change("Contacts", "12x12", {"lastname": "Old"}, modifiedtime="2020-01-01 00:00:00")
    changed = fresh_api.ok("retrieve", id="12x11")
    assert (changed["lastname"], changed["account_id"]) == ("Changed", "11x2")
    assert changed["modifiedtime"] > "2026-01-02"
    assert fresh_api.ok("retrieve", id="12x12")["modifiedtime"] == "2020-01-01 00:00:00"
    added = fresh.insert("Contacts", {"lastname": "Added"}, modifiedtime="2026-02-02 02:02:02")
    read = fresh_api.ok("retrieve", id=added)
    assert (read["lastname"], read["contact_no"]) == ("Added", "CON131")
    assert read["createdtime"] == read["modifiedtime"] == "2026-02-02 02:02:02"
    fresh.remove("Contacts", added)
    assert fresh_api.error("retrieve", id=added)[0] == "ACCESS_DENIED"


def test_redefine_adds_removes_and_replaces_fields(fresh: Sandbox, fresh_api: Api):
    email = "a@example.com"
    fresh.change("Contacts", 11, {"cf_865": email})
    new = Field("cf_999", "New", "currency", scale=2)
    other = Field("cf_853", "X Text", "multipicklist", values=("A", "B"))
    fresh.redefine("Contacts", new, other, without=["cf_865"])
    described = {f["name"]: f for f in fresh_api.ok("describe", elementType="Contacts")["fields"]}
    assert described["cf_999"]["type"]["name"] == "currency"
    assert [v["value"] for v in described["cf_853"]["type"]["picklistValues"]] == ["A", "B"]
    assert "cf_865" not in described
    fresh.change("Contacts", 11, {"cf_999": "7.10"})
    rows = fresh_api.query("SELECT cf_999 FROM Contacts ORDER BY id LIMIT 2;")
    assert [row["cf_999"] for row in rows] == ["7.10", "0.00"]
    assert fresh_api.ok("retrieve", id="12x11")["cf_999"] == "7.10"
    assert "cf_865" not in fresh_api.ok("retrieve", id="12x11")
    fresh.redefine("Contacts", Field("cf_865", "Back", "email"))
    assert fresh_api.ok("retrieve", id="12x11")["cf_865"] == email


def test_sql_reads_and_writes(fresh: Sandbox):
    rows = fresh.sql("SELECT lastname FROM Contacts WHERE _number = ?", [11])
    assert rows == [{"lastname": "Dupont 001"}]


def test_request_log_has_no_secrets(fresh: Sandbox, fresh_api: Api):
    fresh_api.query("SELECT id FROM Contacts LIMIT 1;")
    fresh_api.error("describe", elementType="Nope")
    queried, described = fresh.requests[-2:]
    assert (queried.operation, queried.method, queried.session) == ("query", "GET", 1)
    assert queried.params == {"query": "SELECT id FROM Contacts LIMIT 1;"}
    assert (queried.status, queried.code) == (200, None)
    assert (described.params, described.code) == ({"elementType": "Nope"}, "ACCESS_DENIED")
    everything = repr(list(fresh.requests))
    assert fresh_api.sid not in everything
    assert len(fresh.requests.of("login")) == 1
    fresh.requests.clear()
    assert len(fresh.requests) == 0


def test_database_serves_concurrent_readers_and_writers(fresh: Sandbox, fresh_api: Api):
    def write() -> None:
        for number in range(11, 111):
            fresh.change("Contacts", number, {"title": "T"})

    threads = [threading.Thread(target=write) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(10):
        assert len(fresh_api.query("SELECT * FROM Contacts ORDER BY id;")) == 100
    for thread in threads:
        thread.join()
    assert fresh_api.query("SELECT count(*) FROM Contacts WHERE title = 'T';") == [{"count": "100"}]


def test_set_time_stops_and_moves_the_clock(fresh: Sandbox, fresh_api: Api):
    fresh.set_time("2026-06-01T12:00:00+00:00")
    assert fresh_api.contact()["createdtime"] == "2026-06-01 12:00:00"
    fresh.set_time("2026-06-01T12:00:00", running=True)
    assert fresh_api.contact()["createdtime"].startswith("2026-06-01 12:0")
    fresh.set_time(None)
    fresh_api.log_in()  # months have passed
    assert not fresh_api.contact()["createdtime"].startswith("2026-06-01 12")


def test_control_over_http(fresh: Sandbox, fresh_api: Api):
    assert result_over_http(fresh, "count", module="Contacts") == 130
    assert len(result_over_http(fresh, "rows", module="Accounts")) == 2
    assert result_over_http(fresh, "sql", text="SELECT 1 AS one") == [{"one": 1}]
    result_over_http(
        fresh, "change", module="Contacts", number="12x11", values={"lastname": "Over HTTP"}
    )
    assert fresh_api.ok("retrieve", id="12x11")["lastname"] == "Over HTTP"
    added = result_over_http(fresh, "insert", module="Contacts", values={"lastname": "Added"})
    result_over_http(fresh, "remove", module="Contacts", number=added)
    assert result_over_http(fresh, "faults", kind="status", operation="query")[0]["hits"] == 0
    assert fresh_api.get("query", query="x").status_code == 503
    assert result_over_http(fresh, "faults")[0]["hits"] == 1
    assert result_over_http(fresh, "faults", clear=True) == []
    assert result_over_http(fresh, "requests")[-1]["fault"] == "status"
    result_over_http(fresh, "requests", clear=True)
    assert result_over_http(fresh, "requests") == []
    result_over_http(fresh, "set_time", moment="2026-06-01T12:00:00+00:00")
    assert fresh_api.ok("getchallenge", username="admin")["serverTime"] == 1780315200
    assert result_over_http(fresh, "expire_sessions", code="SESSION_EXPIRED") == 1
    assert post(fresh, "nope").status_code == 404
    assert post(fresh, "count", nope=1).status_code == 400
    assert "faults" in post(fresh, "").json()["actions"]


def test_data_directory_keeps_the_database(tmp_path: Path):
    with Sandbox(dialect="stock", data=tmp_path / "kept", company=small_company()) as sandbox:
        created = Api(sandbox).contact(lastname="Kept")
    with Sandbox(dialect="stock", data=tmp_path / "kept", rows=300) as sandbox:
        assert Api(sandbox).ok("retrieve", id=created["id"])["lastname"] == "Kept"
        assert Api(sandbox).contact()["contact_no"] == "CON132"


def test_sandboxes_do_not_share_their_data():
    with Sandbox(rows=300) as one, Sandbox(rows=300) as two:
        assert one.url != two.url
        before = two.count("Contacts")
        Api(one).contact()
        assert (one.count("Contacts"), two.count("Contacts")) == (before + 1, before)


def test_demo_users_can_log_in():
    with Sandbox(rows=300) as sandbox:
        assert sandbox.username == "admin"
        assert "Users" in Api(sandbox).ok("listtypes")["types"]
        assert "Users" not in Api(sandbox, "joe").ok("listtypes")["types"]


def test_port_in_use_is_an_error():
    with Sandbox(rows=300) as sandbox:
        port = int(sandbox.url.rpartition(":")[2])
        with pytest.raises(OSError, match="in use"):
            Sandbox(rows=300, port=port)


def test_fields_are_added_changed_and_removed_over_http(fresh: Sandbox, fresh_api: Api):
    def described() -> dict | None:
        fields = fresh_api.ok("describe", elementType="Contacts")["fields"]
        return next((field for field in fields if field["name"] == "cf_901"), None)

    score = {"module": "Contacts", "name": "cf_901", "label": "Score"}
    result_over_http(fresh, "set_field", **score, type="integer")
    assert (described()["label"], described()["type"]) == ("Score", {"name": "integer"})
    assert fresh_api.query("SELECT cf_901 FROM Contacts LIMIT 1;") == [
        {"cf_901": "0", "id": "12x11"}
    ]
    result_over_http(fresh, "set_field", **score, type="picklist", values=["A", "B"])
    assert [each["value"] for each in described()["type"]["picklistValues"]] == ["A", "B"]
    result_over_http(fresh, "remove_field", module="Contacts", name="cf_901")
    assert described() is None
    assert fresh_api.error("query", query="SELECT cf_901 FROM Contacts;")[0] == "ACCESS_DENIED"
    refused = post(fresh, "remove_field", module="Contacts", name="cf_901")
    assert (refused.status_code, refused.json()["error"]) == (400, "KeyError: 'cf_901'")


def test_rights_are_taken_and_given_back_over_http(fresh: Sandbox, fresh_api: Api):
    contact = fresh_api.contact()["id"]
    result_over_http(fresh, "set_rights", module="Contacts", without=["read", "delete"])
    assert "Contacts" not in fresh_api.ok("listtypes")["types"]
    result_over_http(fresh, "set_rights", module="Contacts", without=["delete"])
    assert fresh_api.ok("describe", elementType="Contacts")["deleteable"] is False
    refused = fresh_api.post("delete", id=contact).json()
    assert refused["error"]["code"] == "ACCESS_DENIED"
    result_over_http(fresh, "set_rights", module="Contacts")
    assert fresh_api.post("delete", id=contact).json()["success"] is True
    assert post(fresh, "set_rights", module="Contacts", without=["write"]).status_code == 400


def test_writes_are_not_answered_until_they_are_again(fresh: Sandbox, fresh_api: Api):
    result_over_http(fresh, "answer_writes", answer=False, seconds=0.01)
    result_over_http(fresh, "answer_writes", answer=False, seconds=0.01)
    with pytest.raises(requests.ConnectionError):
        fresh_api.contact()
    assert fresh_api.query("SELECT count(*) FROM Contacts;") == [{"count": "130"}]
    result_over_http(fresh, "answer_writes", answer=True)
    assert fresh_api.contact()["contact_no"] == "CON131"
