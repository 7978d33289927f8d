"""Who may ask a sandbox: programs of this machine, and no web page that is open beside it."""

from __future__ import annotations

import hmac
import secrets
from typing import TYPE_CHECKING

from kafinea_sandbox.answers import Answer, refusal

if TYPE_CHECKING:
    from starlette.datastructures import Headers
    from starlette.types import Message, Receive

LARGEST_BODY = 2**28
"""Bytes of a request; those of the largest file a test has sent are a tenth of it."""

_NAMES = ("127.0.0.1", "localhost", "[::1]")
_OWN_SITE = {"same-origin", "none"}


class BodyTooLarge(Exception):
    """A request has more bytes than any real one."""


class Gate:
    """Refuses requests that a browser was led to, and all that steer the sandbox without its token.

    Args:
        port: Where the sandbox listens.
    """

    def __init__(self, port: int) -> None:
        self.token = secrets.token_urlsafe(32)
        self._hosts = {f"{name}:{port}" for name in _NAMES} | (set(_NAMES) if port == 80 else set())
        self._origins = {f"http://{host}" for host in self._hosts}

    def refused(self, headers: Headers) -> Answer | None:
        """The answer to a request that did not come for this sandbox; None for the others."""
        # A page of another site can have its name lead here: DNS rebinding. The name stays.
        hosts = [host.lower() for host in headers.getlist("host")]
        if len(hosts) != 1 or hosts[0] not in self._hosts:
            return refusal(421, f"Ask for {min(self._hosts)}: the Host header has another name")
        origins = {origin.lower() for origin in headers.getlist("origin")}
        sites = set(headers.getlist("sec-fetch-site"))
        if origins - self._origins or sites - _OWN_SITE:
            return refusal(403, "The sandbox does not answer to pages of other sites")
        return None

    def refused_control(self, method: str, headers: Headers) -> Answer | None:
        """The answer to a request that may not steer the sandbox; None for the others."""
        if method != "POST":
            return refusal(405, "Use POST", allow="POST")
        expected = f"Bearer {self.token}".encode()
        if not hmac.compare_digest(headers.get("authorization", "").encode(), expected):
            return refusal(401, "Send the header Authorization: Bearer <control_token>")
        if headers.get("content-type") != "application/json":
            return refusal(415, "Content-Type must be application/json")
        return None


def bounded(receive: Receive) -> Receive:
    """What receives a request up to a size.

    Raises:
        BodyTooLarge: There is more, when it is received.
    """
    received = 0

    async def receive_some() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > LARGEST_BODY:
            raise BodyTooLarge
        return message

    return receive_some
