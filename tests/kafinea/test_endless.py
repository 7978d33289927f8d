"""Answers that do not end, or that are larger than anything real, end in one error."""

from __future__ import annotations

import gzip
import time
import tracemalloc
from functools import partial
from io import BytesIO
from itertools import chain, count, repeat

import pytest

from kafinea import Client, Unavailable, files
from kafinea.errors import IncompleteRead, TooLarge, TooLong
from tests.raw_server import Endless, serving, whole

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
LONG = OK + b"Content-Length: 99999999999\r\n\r\n"
FILE = LONG + b'{"success":true,"result":[{"filename":"a","filetype":"b",'
MIB = b"QUJD" * 2**18


def drip(head=b"", piece=b" "):
    """A byte now and then: faster than the timeout between two of them."""
    yield head
    while True:
        time.sleep(0.05)
        yield piece


def flood(head=b"", piece=b" " * 2**16):
    return chain([head], repeat(piece))


BOMB = gzip.compress(bytes(2**28))
IN_BOMB = gzip.compress(BOMB)
CHUNK_OF_BOMB = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BOMB), BOMB)

ENDLESS = {
    "a body in drips": partial(drip, LONG),
    "a head in drips": partial(drip, OK + b"X-Slow: ", b"x"),
    "chunks in drips": partial(drip, CHUNKED, b"1\r\n \r\n"),
    "100 Continue": partial(flood, b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 99),
    "100 Continue in drips": partial(drip, b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "trailers in drips": partial(drip, CHUNKED + b"0\r\n", b"X-More: 1\r\n"),
}
TOO_LONG = {
    "a body": partial(flood, LONG),
    "a body without a length": partial(flood, OK + b"\r\n"),
    "chunks": partial(flood, CHUNKED, b"10000\r\n" + b" " * 2**16 + b"\r\n"),
    "a body of gzip": lambda: [whole(BOMB, "Content-Encoding: gzip")],
    "a chunk of gzip": lambda: [CHUNKED[:-2] + b"Content-Encoding: gzip\r\n\r\n", CHUNK_OF_BOMB],
    "gzip in gzip": lambda: [whole(IN_BOMB, "Content-Encoding: gzip, gzip")],
}


@pytest.fixture
def hurried(monkeypatch):
    monkeypatch.setattr("kafinea.connection.PATIENCE", 2)


def asked(server, ask=lambda client: client.listtypes(), timeout=0.4):
    """What a client says of a server, which it asks once."""
    with (
        serving(server) as url,
        Client(url, "ada", "k", request_timeout=timeout) as client,
        pytest.raises((Unavailable, TooLarge, IncompleteRead)) as raised,
    ):
        ask(client)
    return raised.value


@pytest.mark.parametrize("operation", ["getchallenge", "login", "listtypes"])
@pytest.mark.parametrize("attack", ENDLESS)
def test_an_answer_that_does_not_end_is_waited_for_no_longer(attack, operation, hurried):
    server = Endless(**{operation: ENDLESS[attack]})
    error = asked(server)
    assert isinstance(error, TooLong)
    assert "did not finish its answer" in str(error)
    assert server.requests.count(operation) == 1


@pytest.mark.parametrize("attack", TOO_LONG)
def test_an_answer_that_is_too_long_is_not_read_any_further(attack):
    server = Endless(listtypes=TOO_LONG[attack])
    tracemalloc.start()
    error = asked(server, timeout=30)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert isinstance(error, TooLong)
    assert "too long: more than 64 MiB" in str(error)
    assert server.requests.count("listtypes") == 1
    assert most < 2**28


@pytest.mark.usefixtures("quick")
def test_lines_of_a_head_without_an_end_are_not_read_any_further():
    error = asked(Endless(listtypes=partial(flood, OK, b"X: 1\r\n")), timeout=30)
    assert "closed the connection" in str(error)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("size", [b"-1", b"-5"])
def test_a_chunk_of_less_than_nothing_is_not_read(size):
    error = asked(Endless(listtypes=partial(flood, CHUNKED, size + b"\r\n")), timeout=30)
    assert "was cut off" in str(error)


FILES = {
    "more than it says": (FILE + b'"filesize":"10","filecontents":"', MIB, None, IncompleteRead),
    "no size": (FILE + b'"filecontents":"', MIB, None, TooLarge),
    "more than is wanted": (FILE + b'"filecontents":"', MIB, 2**20, TooLarge),
    "a size of 5,000 digits": (
        FILE + b'"filesize":"' + b"9" * 5000 + b'","filecontents":"',
        MIB,
        2**20,
        TooLarge,
    ),
    "nothing but what is before the contents": (FILE, b'"a":"b",' * 2**13, None, TooLong),
    "what is behind the contents": (
        FILE + b'"filesize":3,"filecontents":"QUJD"',
        b',"a":"b"' * 2**13,
        None,
        TooLong,
    ),
}


@pytest.mark.parametrize("attack", FILES)
def test_a_file_without_an_end_does_not_fill_the_disk(attack, monkeypatch):
    head, piece, max_bytes, expected = FILES[attack]
    monkeypatch.setattr("kafinea.contents.LARGEST_FILE", 2**22)
    monkeypatch.setattr("kafinea.contents.LARGEST_ANSWER", 2**22)
    server = Endless(files_retrieve=partial(flood, head, piece))
    file = BytesIO()
    error = asked(
        server, lambda client: files.download(client, "15x1", file, max_bytes=max_bytes), timeout=30
    )
    assert type(error) is expected
    assert len(file.getvalue()) <= 2**23
    assert server.requests.count("files_retrieve") == 1


def test_cookies_without_an_end_are_not_kept():
    numbers = count()
    body = b'{"success":true,"result":{"types":[],"information":[]}}'
    server = Endless(listtypes=lambda: [whole(body, f"Set-Cookie: c{next(numbers)}={'x' * 99}")])
    with serving(server) as url, Client(url, "ada", "k") as client:
        for _ in range(200):
            client.listtypes()
    assert server.longest < 51 * 110 + 1000
