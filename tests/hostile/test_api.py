"""Each operation of the API, answered with anything: a typed result, or one error."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict
from io import BytesIO

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kafinea import Client, files
from kafinea.deletion_feed import deleted_since
from kafinea.describe import Module, ModuleInfo
from kafinea.errors import KafineaError
from kafinea.parsing import is_id
from tests.hostile.server import AnyServer
from tests.hostile.shapes import ANY, CHANGES, JSON, STATUSES, bodies, changed, examples, success
from tests.small_server import serving

ELEMENT = {"id": "12x101", "lastname": "x"}
QUERY = "SELECT * FROM Contacts LIMIT 100;"


def is_info(answer):
    return all(isinstance(one, ModuleInfo) and one.name == name for name, one in answer.items())


def is_module(answer):
    # As it goes into a catalog.
    json.dumps(asdict(answer), default=list)
    return isinstance(answer, Module) and all(name for name in answer.fields)


def is_names(answer):
    return all(isinstance(text, str) for pair in answer.items() for text in pair)


def is_rows(answer):
    return all(isinstance(row, dict) and is_id(row.get("id") or "1x1") for row in answer)


OPERATIONS = {
    "getchallenge": (lambda client: client.user_id(), lambda answer: isinstance(answer, str)),
    "login": (lambda client: dict(client.profile()), lambda answer: "user_password" not in answer),
    "extendsession": (
        lambda client: client.extendsession(),
        lambda answer: answer in {True, False},
    ),
    "listtypes": (lambda client: client.listtypes(), is_info),
    "describe": (lambda client: client.describe("Contacts"), is_module),
    "relatedtypes": (lambda client: client.relatedtypes("Contacts") or {}, is_names),
    "query": (lambda client: client.query(QUERY), is_rows),
    "query_related": (lambda client: client.query_related("12x1", "Contacts", QUERY), is_rows),
    "retrieve": (lambda client: client.retrieve("12x101"), lambda row: row["id"] == "12x101"),
    "create": (lambda client: client.create("Contacts", ELEMENT), lambda row: is_id(row["id"])),
    "update": (lambda client: client.update("Contacts", ELEMENT), lambda row: is_id(row["id"])),
    "delete": (lambda client: client.delete("12x101"), lambda answer: answer is None),
    "add_related": (
        lambda client: client.add_related("12x1", "x", "12x2"),
        lambda none: none is None,
    ),
    "sync": (
        lambda client: deleted_since(client, "Contacts", 1),
        lambda page: all(map(is_id, page.ids)) and page.until >= 0 and page.more in {True, False},
    ),
    "files_retrieve": (
        lambda client: files.download(client, "15x1", BytesIO(), max_bytes=1000),
        lambda file: isinstance(file.name, str) and 0 <= file.size <= 1000,
    ),
    "retrievedocattachment": (
        lambda client: files.download_of_document(client, "15x1", BytesIO(), max_bytes=1000),
        lambda file: isinstance(file.name, str) and 0 <= file.size <= 1000,
    ),
    "FileUpload": (lambda client: files.upload(client, "15x1", "a", BytesIO(b"x")), lambda _: True),
}

HONEST = {
    "extendsession": {"sessionName": "0a1b2c3d4e5f", "userId": "19x1"},
    "relatedtypes": {"types": ["A"], "information": {"A": {"name": "Contacts"}}},
    "query_related": [{"id": "12x101", "lastname": "x"}],
    "add_related": {"message": "successfull"},
    "sync": {"updated": [], "deleted": ["12x1"], "lastModifiedTime": 5, "more": False},
    "files_retrieve": [
        {"fileid": "1", "filename": "a", "filetype": "b", "filesize": 3, "filecontents": "QUJD"}
    ],
    "retrievedocattachment": {
        "15x1": {"filename": "a", "filetype": "b", "filesize": 3, "attachment": "QUJD"}
    },
    "FileUpload": {"id": "15x1"},
}


@pytest.fixture(scope="module")
def server():
    with serving(AnyServer()) as server:
        server.insert(lastname="A")
        yield server


def ask(server, operation, answer):
    """Ask once; return whether there was a result."""
    ask, is_right = OPERATIONS[operation]
    honest = HONEST.get(operation)
    server.begin(**{operation: lambda _, result: answer(result or honest)})
    with Client(server.url, "admin", "k" * 16, request_timeout=5) as client:
        if operation not in {"getchallenge", "login"}:
            with suppress(KafineaError):
                client.user_id()
        try:
            result, said = ask(client.giving_up_after(1)), None
        except KafineaError as error:
            result, said = None, str(error)
    assert server.seen.total() < 20
    if said is None:
        assert is_right(result)
        return True
    assert 0 < len(said) < 5000
    return False


@pytest.mark.parametrize("operation", OPERATIONS)
def test_any_json_is_a_typed_result_or_an_error(server, operation):
    got = []

    @examples(8)
    @example([])  # the honest answer
    @given(JSON | CHANGES)
    def check(text):
        def answer(honest):
            return success(text if isinstance(text, str) else changed(honest, text))

        got.append(ask(server, operation, answer))

    check()
    assert True in got


@pytest.mark.parametrize(
    "operation", ["getchallenge", "listtypes", "query", "create", "files_retrieve"]
)
def test_any_envelope_in_any_codec_is_a_result_or_an_error(server, operation):
    envelopes = st.tuples(ANY, ANY, ANY).map(
        lambda parts: '{{"success":{},"result":{},"error":{}}}'.format(*parts)
    )
    errors = st.tuples(ANY, ANY).map(
        lambda parts: '{{"success":false,"error":{{"code":{},"message":{}}}}}'.format(*parts)
    )

    @examples(12)
    @given(bodies(ANY | envelopes | errors), STATUSES)
    def check(body_and_headers, status):
        body, headers = body_and_headers
        ask(server, operation, lambda _: (status, body, headers))

    check()
