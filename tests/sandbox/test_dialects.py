from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import pytest
from sandbox_api import Api, small_company

from kafinea_sandbox import Sandbox

DIALECTS = ("kafinea", "stock", "frevo", "corebos", "legacy")


@pytest.fixture(scope="module")
def apis() -> Iterator[dict[str, Api]]:
    sandboxes = {name: Sandbox(dialect=name, company=small_company()) for name in DIALECTS}
    for sandbox in sandboxes.values():
        sandbox.__enter__()
    yield {name: Api(sandbox) for name, sandbox in sandboxes.items()}
    for sandbox in sandboxes.values():
        sandbox.__exit__()


@pytest.mark.parametrize(
    ("dialect", "rows"),
    [("kafinea", 100), ("stock", 100), ("frevo", 130), ("corebos", 130), ("legacy", 100)],
)
def test_query_returns_the_maximum_of_rows(apis: dict[str, Api], dialect: str, rows: int):
    assert len(apis[dialect].query("SELECT id FROM Contacts LIMIT 1000;")) == rows


@pytest.mark.parametrize(
    ("dialect", "keys"),
    [
        ("kafinea", {"sessionId", "userId", "version", "kafineaVersion"}),
        ("corebos", {"sessionName", "userId", "version", "vtigerVersion"}),
        ("legacy", {"sessionName", "userId", "version", "vtigerVersion"}),
    ],
)
def test_login_of_legacy_has_no_profile(apis: dict[str, Api], dialect: str, keys: set[str]):
    assert set(apis[dialect].log_in()) == keys


def test_login_of_frevo_equals_stock(apis: dict[str, Api]):
    assert list(apis["frevo"].log_in()) == list(apis["stock"].log_in())


@pytest.mark.parametrize(
    ("dialect", "get", "post"),
    [
        ("kafinea", True, "AUTHENTICATION_FAILURE"),
        ("stock", "AUTHENTICATION_REQUIRED", True),
        ("frevo", "AUTHENTICATION_FAILURE", "AUTHENTICATION_FAILURE"),
        ("corebos", "AUTHENTICATION_FAILURE", "AUTHENTICATION_FAILURE"),
        ("legacy", "AUTHENTICATION_FAILURE", "AUTHENTICATION_FAILURE"),
    ],
)
def test_extendsession_depends_on_the_dialect(
    apis: dict[str, Api], dialect: str, get: object, post: object
):
    def outcome(answer: dict) -> object:
        return answer["success"] or answer["error"]["code"]

    api = apis[dialect]
    assert outcome(api.get("extendsession").json()) == get
    assert outcome(api.post("extendsession").json()) == post


@pytest.mark.parametrize(
    ("operation", "missing"),
    [
        ("relatedtypes", {"corebos", "legacy"}),
        ("files_retrieve", {"corebos", "legacy"}),
        ("query_related", {"corebos", "legacy"}),
        ("add_related", {"corebos", "legacy"}),
        ("FileUpload", {"stock", "frevo", "corebos", "legacy"}),
        ("retrievedocattachment", {"kafinea", "stock", "frevo", "legacy"}),
        ("sync", set()),
    ],
)
def test_operations_missing_in_some_dialects(
    apis: dict[str, Api], operation: str, missing: set[str]
):
    def exists(api: Api) -> bool:
        response = api.post(operation)
        return "UNKNOWN_OPERATION" not in response.text and (
            operation == "sync" or response.headers["content-type"] == "application/json"
        )

    assert {name for name, api in apis.items() if not exists(api)} == missing


def test_fatal_errors_of_each_dialect(apis: dict[str, Api]):
    for name in ("kafinea", "stock", "legacy"):
        response = apis[name].get("nope")
        assert (response.status_code, response.content) == (500, b"")
    response = apis["frevo"].get("nope")
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=UTF-8"
    assert response.text.startswith(
        "<br />\n<b>Fatal error</b>:  Uncaught WebServiceException: Unknown operation requested in "
    )
    assert apis["frevo"].get("sync", modifiedTime="x").text.startswith("<br />\n<b>Fatal error</b>")


def test_credit_notes_exist_only_on_kafinea(apis: dict[str, Api]):
    having = {n for n, api in apis.items() if "CreditNotes" in api.ok("listtypes")["types"]}
    assert having == {"kafinea"}
    with Sandbox(dialect="stock", rows=300) as sandbox:
        fields = Api(sandbox).ok("describe", elementType="LineItem")["fields"]
        assert "CreditNotes" not in fields[0]["type"]["refersTo"]


def test_file_ids_are_not_in_records_of_legacy(apis: dict[str, Api]):
    def telling(api: Api) -> list[bool]:
        retrieved = api.ok("retrieve", id=api.id("Documents", 5))
        queried = api.query("SELECT * FROM Documents;")[0]
        return ["imageattachmentids" in record for record in (retrieved, queried)]

    told = {name: telling(api) for name, api in apis.items()}
    assert told == {
        "kafinea": [True, True],
        "stock": [True, True],
        "frevo": [True, True],
        "corebos": [False, False],
        "legacy": [False, False],
    }


def test_lost_owner_fails_the_answer(apis: dict[str, Api]):
    refused = "Invalid owner of the record"
    for name, api in apis.items():
        api.sandbox.change("Contacts", 15, {"assigned_user_id": 999})
        ids = api.column("SELECT id FROM Contacts ORDER BY id LIMIT 10;")
        assert len(api.query("SELECT lastname FROM Contacts ORDER BY id LIMIT 10;")) == 10
        before = "SELECT * FROM Contacts ORDER BY id LIMIT 4;"
        assert len(api.query(before)) == 4
        for text in (
            "SELECT * FROM Contacts ORDER BY id LIMIT 10;",
            "SELECT assigned_user_id FROM Contacts ORDER BY id LIMIT 4,1;",
        ):
            if name in {"corebos", "legacy"}:
                assert api.error("query", query=text) == ("INVALID_ID_ATTRIBUTE", refused)
            else:
                assert "999" in api.column(text, "assigned_user_id")
        response = api.get("retrieve", id=ids[4])
        assert (refused in response.text) == (name in {"corebos", "legacy"})


def test_invalid_datetimes_are_not_selected(apis: dict[str, Api]):
    for api in apis.values():
        api.sandbox.set_time(datetime(2026, 5, 4))
        api.sandbox.change("Contacts", 12, {"modifiedtime": None})
        api.sandbox.change("Contacts", 13, {"modifiedtime": "0000-00-00 00:00:00"})
        lost = {api.id("Contacts", 12), api.id("Contacts", 13)}
        for condition in ("<= '2026-05-04'", "< '2026-05-04'", "> '2020-01-01'", "!= '2026-05-04'"):
            text = f"SELECT id FROM Contacts WHERE modifiedtime {condition} ORDER BY id LIMIT 10;"
            found = api.column(text)
            assert len(found) == 10
            assert not lost & set(found)
        assert lost < set(api.column("SELECT id FROM Contacts ORDER BY id LIMIT 10;"))
        text = "SELECT lastname, modifiedtime FROM Contacts ORDER BY id LIMIT 1,2;"
        assert api.column(text, "modifiedtime") == ["", "0000-00-00 00:00:00"]


def test_product_taxes_have_no_id(apis: dict[str, Api]):
    api = apis["stock"]
    described = api.ok("describe", elementType="ProductTaxes")["fields"]
    assert "id" not in {field["name"] for field in described}
    assert api.query("SELECT * FROM ProductTaxes;") == []
    api.sandbox.insert("ProductTaxes", {"productid": 3, "taxid": 1, "taxpercentage": "20.000"})
    (row,) = api.query("SELECT * FROM ProductTaxes;")
    assert (row["productid"], row["taxpercentage"]) == (api.id("Products", 3), "20.000")
    assert api.query("SELECT count(*) FROM ProductTaxes;") == [{"count": "1"}]
    for text in ("id FROM ProductTaxes", "* FROM ProductTaxes WHERE id > '35x0'"):
        assert api.error("query", query=f"SELECT {text};")[0] == "ACCESS_DENIED"
    ordered = api.error("query", query="SELECT * FROM ProductTaxes ORDER BY id;")
    assert ordered[0] == "ACCESS_DENIED"
