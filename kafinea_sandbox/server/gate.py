"""Which requests the sandbox accepts: those of programs on this machine, not of web pages."""

from __future__ import annotations

import hmac
import re
import secrets
from typing import TYPE_CHECKING

from kafinea_sandbox.server.answers import Answer, refusal

if TYPE_CHECKING:
    from starlette.datastructures import Headers
    from starlette.types import Message, Receive

LARGEST_BODY = 2**28
"""Bytes of a request: ten times the largest file of the tests."""

_NAMES = ("127.0.0.1", "localhost", "[::1]")
_HOST = re.compile(rf"(?:{'|'.join(map(re.escape, _NAMES))})(?::\d+)?", re.ASCII | re.IGNORECASE)
"""With any port: a port of another machine may be forwarded to this one, as by `ssh -L`."""
_OWN_SITE = {"same-origin", "none"}


class BodyTooLarge(Exception):
    """The body of a request is larger than `LARGEST_BODY`."""


class Gate:
    """Refuses requests of web pages, and requests to `/_control` without the token.

    Args:
        port: Where the sandbox listens.
    """

    def __init__(self, port: int) -> None:
        self.token = secrets.token_urlsafe(32)
        hosts = {f"{name}:{port}" for name in _NAMES} | (set(_NAMES) if port == 80 else set())
        self._origins = {f"http://{host}" for host in hosts}

    def refused(self, headers: Headers) -> Answer | None:
        """The answer to a request that did not come for this sandbox; None for the others."""
        # A page of another site can have its name lead here: DNS rebinding. The name stays.
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not _HOST.fullmatch(hosts[0]):
            return refusal(
                421, f"Use {_NAMES[0]} as the host: the Host header is missing or has another name"
            )
        origins = {origin.lower() for origin in headers.getlist("origin")}
        sites = set(headers.getlist("sec-fetch-site"))
        if origins - self._origins or sites - _OWN_SITE:
            return refusal(403, "The sandbox refuses requests from pages of other sites")
        return None

    def refused_control(self, method: str, headers: Headers) -> Answer | None:
        """The answer to a request that may not steer the sandbox; None for the others."""
        if method != "POST":
            return refusal(405, "Use POST", allow="POST")
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(
            token.encode(), self.token.encode()
        ):
            return refusal(401, "Send the header Authorization: Bearer <control_token>")
        # Many clients add a charset. A form of a web page cannot send this type at all.
        kind = headers.get("content-type", "").partition(";")[0].strip()
        if kind.lower() != "application/json":
            return refusal(415, "Content-Type must be application/json")
        return None


def bounded(receive: Receive) -> Receive:
    """Receive a request, up to `LARGEST_BODY`.

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
