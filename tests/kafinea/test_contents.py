"""Contents of files, a piece at a time: wherever an answer is cut, the same bytes come out."""

from __future__ import annotations

import base64
import json
import random
from io import BytesIO
from itertools import pairwise
from urllib.parse import parse_qs

import pytest

from kafinea import Unavailable, files
from kafinea.contents import Form, lift_into
from kafinea.errors import IncompleteRead, TooLarge, WrongAnswer
from kafinea_sandbox import Sandbox
from kafinea_sandbox.operations.table import OPERATIONS
from tests.conftest import connect

pytestmark = pytest.mark.usefixtures("quick")

ODD = bytes(range(256)) * 3 + b"\xff\xfe\xfb" * 50


def answer(content, **told):
    said = {"fileid": "7", "filename": 'a "filecontents":" b', "filetype": "x/y"}
    said |= {"filesize": len(content), **told}
    said["filecontents"] = base64.b64encode(content).decode()
    body = json.dumps({"success": True, "result": [said]}).replace("/", "\\/").replace(" ", "")
    return body.encode()


def cut(body, *places):
    edges = [0, *sorted(places), len(body)]
    return [body[start:end] for start, end in pairwise(edges)]


def lifted(pieces, max_bytes=None):
    file = BytesIO(b"what was there")
    rest = lift_into(file, max_bytes)(pieces)
    return file.getvalue(), rest


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 500])
def test_an_answer_that_is_cut_anywhere(size):
    content = ODD[-size:] if size else b""
    body = answer(content)
    for place in range(len(body)):
        found, rest = lifted(cut(body, place))
        assert found == content
        (said,) = json.loads(rest)["result"]
        assert said["filecontents"] == ""
        assert said["filesize"] == size
    assert lifted(bytes([byte]) for byte in body)[0] == content


def test_contents_in_lines():
    body = answer(ODD).replace(b"AA", b"A\\r\\nA")
    rng = random.Random(1)
    for _ in range(100):
        assert lifted(cut(body, *(rng.randrange(len(body)) for _ in range(9))))[0] == ODD


def test_what_is_no_file_is_left_as_it_is():
    body = b'{"success":false,"error":{"message":"no","code":"RECORD_NOT_FOUND"}}'
    assert lifted(cut(body, 9, 20)) == (b"", body)


@pytest.mark.parametrize(
    "bad", [b"QUJD*EFG", b"QUJD\\u002f", "QUé=".encode(), b"QQ==QUJD", b"Q=JD", b"QUJ", b"A==="]
)
def test_what_is_no_base64(bad):
    with pytest.raises(Unavailable, match="that are not base64"):
        lifted([b'{"filecontents":"' + bad + b'"}'])


def test_a_file_that_is_too_large_is_left_before_it_comes():
    def pieces():
        yield answer(ODD)[:200]
        pytest.fail("more of it was asked for")

    with pytest.raises(TooLarge) as caught:
        lifted(pieces(), max_bytes=len(ODD) - 1)
    assert caught.value.size == len(ODD)
    assert lifted([answer(ODD)], max_bytes=len(ODD))[0] == ODD


@pytest.mark.parametrize("max_bytes", [None, 10])
def test_of_a_file_that_is_larger_than_it_is_said_to_be_no_more_is_kept(max_bytes):
    file = BytesIO()
    with pytest.raises(
        IncompleteRead, match="returned more than the 3 bytes that it reports for the file"
    ):
        lift_into(file, max_bytes)([answer(ODD, filesize=3)])
    assert len(file.getvalue()) <= 3


@pytest.mark.parametrize("size", [0, 1, 2, 3, 700_000])
def test_a_form_is_as_long_as_it_says(size):
    content = random.Random(size).randbytes(size)
    form = Form("a=1&b=%2B", "file", BytesIO(content)).with_field("c=%C3%A9")
    for _ in range(2):
        body = b"".join(form)
        assert len(body) == len(form)
        told = parse_qs(body.decode(), keep_blank_values=True)
        assert base64.b64decode(told.pop("file")[0], validate=True) == content
        assert told == {"a": ["1"], "b": ["+"], "c": ["é"]}


# Over the wire


@pytest.fixture
def stored():
    """A sandbox with a large file, and the ids of its document and of the file."""
    with Sandbox(rows=50) as sandbox, connect(sandbox) as client:
        document = sandbox.rows("Documents")[0]["id"]
        content = random.Random(2).randbytes(1_000_000)
        files.upload(client, document, "large.bin", BytesIO(content))
        ids = client.retrieve(document)["imageattachmentids"].split(",")
        yield sandbox, client, document, ids[-1], content


@pytest.mark.parametrize("kind", ["truncate", "reset", "reset_after", "hang", "drip", "session"])
def test_a_download_that_breaks_off_begins_again(stored, kind):
    sandbox, _, _, file, content = stored
    with connect(sandbox, request_timeout=0.4) as client:
        client.user_id()
        fault = sandbox.faults.add(kind, operation="files_retrieve", seconds=1)
        into = BytesIO(b"before")
        assert files.download(client, file, into).size == len(content)
    assert into.getvalue() == content
    assert fault.hits == 1


def test_an_upload_whose_session_has_ended_is_sent_again_whole(stored):
    sandbox, client, document, _, content = stored
    sandbox.expire_sessions()
    files.upload(client, document, "again.bin", BytesIO(content))
    newest = client.retrieve(document)["imageattachmentids"].split(",")[-1]
    into = BytesIO()
    assert files.download(client, newest, into).name == "again.bin"
    assert into.getvalue() == content


def test_the_session_of_an_upload_is_in_the_form_and_not_in_the_url(stored):
    sandbox, client, document, _, _ = stored
    sandbox.requests.clear()
    files.upload(client, document, "small.bin", BytesIO(b"x"))
    (request,) = sandbox.requests
    assert request.params["fileContents"] == "eA=="
    assert request.session is not None


def test_a_file_that_is_not_as_long_as_the_server_says(stored, monkeypatch):
    _, client, _, file, _ = stored
    whole = OPERATIONS["files_retrieve"]

    def shortened(call):
        (said,) = whole.run(call)
        return [{**said, "filecontents": base64.b64encode(b"0123456789").decode()}]

    monkeypatch.setitem(OPERATIONS, "files_retrieve", whole._replace(run=shortened))
    with pytest.raises(IncompleteRead, match="10 bytes of the file were received, not 1,000,000"):
        files.download(client, file, BytesIO())


@pytest.mark.parametrize("number", ["999999", 999_999])
def test_a_file_that_is_another_one_is_refused(stored, monkeypatch, number):
    """As a proxy that mixes answers up would return it."""
    _, client, _, file, _ = stored
    whole = OPERATIONS["files_retrieve"]

    def another(call):
        return [{**one, "fileid": number} for one in whole.run(call)]

    monkeypatch.setitem(OPERATIONS, "files_retrieve", whole._replace(run=another))
    with pytest.raises(WrongAnswer, match=f"files_retrieve of {file}: .* contains no such file"):
        files.download(client, file, BytesIO())
