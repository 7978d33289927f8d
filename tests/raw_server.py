"""A server of raw bytes: a Kafinea that answers properly, until it answers what a test says."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress

Attack = Callable[[], Iterable[bytes]]
"""Gives the bytes of an answer, its head included, for as long as somebody takes them."""

TOKEN = {"token": "t", "serverTime": 1_764_000_000, "expireTime": 1_764_000_300}
LOGIN = {"sessionName": "s", "userId": "19x1", "version": "0.22", "vtigerVersion": "7.1.0"}


def whole(body: bytes, *head: str) -> bytes:
    lines = ["HTTP/1.1 200 OK", *head, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


def answer(result: object) -> bytes:
    return whole(json.dumps({"success": True, "result": result}).encode())


class Endless:
    """Answers the operations of a login, and each of the others as `attacks` says.

    Attributes:
        attacks: What an operation is answered.
        requests: The operations that were asked for.
        longest: Bytes of the longest request.
        url: Where it is.
    """

    def __init__(self, **attacks: Attack) -> None:
        self.attacks = attacks
        self.requests: list[str] = []
        self.longest = 0
        self.url = ""

    def answer(self, request: bytes) -> Iterable[bytes]:
        self.longest = max(self.longest, len(request))
        operation = (found := re.search(rb"operation=(\w+)", request)) and found[1].decode()
        self.requests.append(operation or "")
        if attack := self.attacks.get(operation or ""):
            return attack()
        return [answer({"getchallenge": TOKEN, "login": LOGIN}.get(operation or "", {}))]


@contextmanager
def serving(server: Endless) -> Iterator[str]:
    """Serve it on a free port of this machine, and yield its address."""
    listening = socket.create_server(("127.0.0.1", 0))
    listening.settimeout(0.05)
    is_over = threading.Event()
    threads = [threading.Thread(target=_accept, args=(listening, server, is_over))]
    threads[0].start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        is_over.set()
        threads[0].join()
        listening.close()


def _accept(listening: socket.socket, server: Endless, is_over: threading.Event) -> None:
    visitors = []
    while not is_over.is_set():
        with suppress(TimeoutError):
            visitor, _ = listening.accept()
            visitor.settimeout(5)
            visitors.append(threading.Thread(target=_serve, args=(visitor, server, is_over)))
            visitors[-1].start()
    for one in visitors:
        one.join()


def _serve(visitor: socket.socket, server: Endless, is_over: threading.Event) -> None:
    with visitor, suppress(OSError):
        while request := _request(visitor):
            for piece in server.answer(request):
                if is_over.is_set():
                    return
                visitor.sendall(piece)


def _request(visitor: socket.socket) -> bytes:
    request = b""
    while piece := visitor.recv(65536):
        request += piece
        head, end, body = request.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        if end and len(body) >= int(length[1] if length else 0):
            return request
    return b""
