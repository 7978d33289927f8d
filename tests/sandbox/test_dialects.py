from __future__ import annotations

from collections.abc import Iterator

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
def test_most_rows_of_an_answer(apis: dict[str, Api], dialect: str, rows: int):
    assert len(apis[dialect].query("SELECT id FROM Contacts LIMIT 1000;")) == rows


@pytest.mark.parametrize(
    ("dialect", "keys"),
    [
        ("kafinea", {"sessionId", "userId", "version", "kafineaVersion"}),
        ("corebos", {"sessionName", "userId", "version", "vtigerVersion"}),
        ("legacy", {"sessionName", "userId", "version", "vtigerVersion"}),
    ],
)
def test_login_without_a_profile(apis: dict[str, Api], dialect: str, keys: set[str]):
    assert set(apis[dialect].log_in()) == keys


def test_frevo_logs_in_like_stock(apis: dict[str, Api]):
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
def test_extendsession(apis: dict[str, Api], dialect: str, get: object, post: object):
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
        ("retrieve_related", {"corebos", "legacy"}),
        ("add_related", {"corebos", "legacy"}),
        ("FileUpload", {"stock", "frevo", "corebos", "legacy"}),
        ("sync", set()),
    ],
)
def test_operations_that_some_do_not_have(apis: dict[str, Api], operation: str, missing: set[str]):
    def exists(api: Api) -> bool:
        response = api.post(operation)
        return "UNKNOWN_OPERATION" not in response.text and (
            operation == "sync" or response.headers["content-type"] == "application/json"
        )

    assert {name for name, api in apis.items() if not exists(api)} == missing


def test_fatal_errors(apis: dict[str, Api]):
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


def test_credit_notes_are_kafineas_own(apis: dict[str, Api]):
    having = {n for n, api in apis.items() if "CreditNotes" in api.ok("listtypes")["types"]}
    assert having == {"kafinea"}
    with Sandbox(dialect="stock", rows=300) as sandbox:
        fields = Api(sandbox).ok("describe", elementType="LineItem")["fields"]
        assert "CreditNotes" not in fields[0]["type"]["refersTo"]
