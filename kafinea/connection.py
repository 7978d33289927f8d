"""Kept-alive connections to one server, which end an answer that has no end.

`requests` bounds the time between two pieces of an answer. A server that sends a byte now and then,
one line of headers after the other, or `100 Continue` for ever, would never reach that bound.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from http.client import HTTPException, HTTPResponse
from io import BufferedReader, RawIOBase
from ipaddress import ip_address
from socket import inet_aton, socket
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from typing_extensions import override
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import (
    ConnectionPool,
    HTTPConnectionPool,
    HTTPSConnectionPool,
)

from kafinea.unanswered import Endless, certificates

PATIENCE = 10
"""How many times as long as between two pieces an answer may take in all, and then as long as its
bytes need at the least pace."""
LEAST_PACE = 2**14  # bytes a second
_LONGEST_HEAD = 2**20  # bytes; proxies allow some 10,000
_LONGEST_BODY = 2**32
"""Bytes as they come. How many an answer may have when it is decoded, `transport` decides."""


def open_http(address: str) -> requests.Session:
    """Return a kept-alive HTTP connection that knows the proxies and certificates of this machine.

    They are read once, here: `requests` would look them up again for each request. This machine
    itself is never reached through a proxy: the login would leave it in the clear.

    Raises:
        SettingsError: There is no file of certificates where one should be.
    """
    http = _Direct()
    if not is_loopback(urlsplit(address).hostname or ""):
        http.proxies.update(requests.utils.get_environ_proxies(address))
    http.verify = certificates(address)
    http.trust_env = False
    http.headers["Accept"] = "application/json"
    http.mount("https://", _OneHost(pool_connections=1, pool_maxsize=1))
    http.mount("http://", _OneHost(pool_connections=1, pool_maxsize=1))
    return http


def requests_sent(http: requests.Session) -> int:
    """Return how many requests a connection has sent."""
    return sum(one.sent for one in http.adapters.values() if isinstance(one, _OneHost))


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, in whatever form its address is written."""
    if host.removesuffix(".") == "localhost":
        return True
    try:
        address = ip_address(host)
        return (getattr(address, "ipv4_mapped", None) or address).is_loopback
    except ValueError:
        pass
    try:
        return ip_address(inet_aton(host)).is_loopback  # such as 127.1
    except (OSError, ValueError):  # a name
        return False


class _Direct(requests.Session):
    @override
    def resolve_redirects(self, *_: Any, **__: Any) -> Iterator[Any]:
        """Return none: `requests` would read the address that a server points to, whatever it is.

        What we send holds credentials, so no redirect is followed.
        """
        return iter(())


class _OneHost(HTTPAdapter):
    """Sends all requests to one address, so it works out once which connections go there."""

    _connections: ConnectionPool | None = None
    sent = 0
    """The requests sent so far."""

    @override
    def send(self, *args: Any, **kwargs: Any) -> requests.Response:
        self.sent += 1
        return super().send(*args, **kwargs)

    @override
    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> ConnectionPool:
        if self._connections is None:
            self._connections = super().get_connection_with_tls_context(*args, **kwargs)
            connection_type = _KINDS[type(self._connections)]
            self._connections.ConnectionCls = connection_type  # type: ignore[attr-defined]  # as urllib3 documents it
        return self._connections

    @override
    def close(self) -> None:
        super().close()
        if self._connections is not None:  # which closes by itself only when nobody knows it
            self._connections.close()
            self._connections = None


class _Incoming(RawIOBase):
    """The bytes of one answer, for as long as it may take.

    Args:
        raw: What gives them.
        socket: Where they come from.
    """

    def __init__(self, raw: RawIOBase, socket: socket) -> None:
        super().__init__()
        self._raw = raw
        self._socket = socket
        self._idle = socket.gettimeout() or 0.0
        self._until = time.monotonic() + PATIENCE * self._idle
        self._left = _LONGEST_HEAD
        self._pace = 0.0

    def begin_body(self) -> None:
        """Take note that the head of the answer is complete."""
        self._left = _LONGEST_BODY
        self._pace = 1 / LEAST_PACE

    @override
    def readable(self) -> bool:
        return True

    @override
    def readinto(self, buffer: Any) -> int | None:
        left = self._until - time.monotonic()
        if left <= 0 or self._left < 0:
            raise Endless
        try:
            if left < self._idle:
                self._socket.settimeout(left)
            count: int | None = self._raw.readinto(buffer)
        except TimeoutError:
            if left < self._idle:
                raise Endless from None
            raise
        if count:
            self._until += count * self._pace
            self._left -= count
        return count

    @override
    def close(self) -> None:
        self._raw.close()
        super().close()


class _Pieces(BufferedReader):
    @override
    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:  # a chunk of -1 bytes: all that ever comes
            raise HTTPException
        return super().read(size)


class _Answer(HTTPResponse):
    def __init__(self, sock: socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self._incoming = _Incoming(self.fp.detach(), sock)
        self.fp = _Pieces(self._incoming)

    @override
    def begin(self) -> None:
        super().begin()
        self._incoming.begin_body()


class _Http(HTTPConnection):
    response_class = _Answer


class _Https(HTTPSConnection):
    response_class = _Answer


_KINDS = {HTTPConnectionPool: _Http, HTTPSConnectionPool: _Https}
