"""Applying the faults that `Faults` selects for a request."""

from __future__ import annotations

import asyncio
import html
from dataclasses import replace
from typing import Any

from starlette.types import Send

from kafinea_sandbox import php
from kafinea_sandbox.instance.instance import Instance
from kafinea_sandbox.instance.sessions import EXPIRY
from kafinea_sandbox.server.answers import HTML, Answer, reply
from kafinea_sandbox.server.faults import AFTER_THE_OPERATION, Fault
from kafinea_sandbox.server.parameters import Parameters

_PAGE = "<html><head><title>{0}</title></head><body><h1>{0}</h1>{1}</body></html>"
_NOTICE = (
    b"<br />\n<b>Deprecated</b>:  Creation of dynamic property CRMEntity::$column_fields is "
    b"deprecated in <b>/srv/crm/data/CRMEntity.php</b> on line <b>{86}</b><br />\n"
)
_EMPTY = b'{"success":true,"result":[]}'


async def apply_before(
    faults: list[Fault], instance: Instance, given: Parameters, send: Send
) -> Answer | None:
    """The answer instead of that of the operation; None if the operation is to run."""
    for fault in faults:
        if fault.kind == "latency":
            await asyncio.sleep(fault.seconds)
        elif fault.kind == "hang":
            await asyncio.sleep(fault.seconds)
            return cut(send)
        elif fault.kind == "reset":
            return cut(send)
        elif fault.kind == "session":
            return _end_session(instance, given.any("sessionName"), fault.code)
        elif fault.kind not in AFTER_THE_OPERATION:
            return _instead(fault, given)
    return None


async def apply_after(faults: list[Fault], answer: Answer, send: Send) -> Answer | None:
    """Send the answer, changed by the faults; None if nothing is sent."""
    if answer is CUT:
        return None
    fault = next((fault for fault in faults if fault.kind in AFTER_THE_OPERATION), None)
    if fault is None:
        await reply(send, answer)
        return answer
    if fault.kind in {"reset_after", "hang_after"}:
        await asyncio.sleep(fault.seconds if fault.kind == "hang_after" else 0)
        cut(send)
        return None
    if fault.kind == "drip":
        await reply(send, answer, pieces=10, seconds=fault.seconds)
        return answer
    answer = _damaged(fault, answer)
    await reply(send, answer)
    return answer


CUT = Answer(b"", status=0)
"""The answer of a connection that was reset."""


def cut(send: Send) -> Answer:
    """Reset the connection."""
    # ASGI cannot reset a connection. uvicorn's `send` is a method of an object with the transport.
    cycle: Any = send.__self__  # type: ignore[attr-defined]
    cycle.transport.abort()
    return CUT


def _end_session(instance: Instance, session_id: str, code: str) -> Answer:
    session = instance.sessions.peek(session_id)
    if session:
        instance.sessions.close(session)
    error = {"message": EXPIRY[code], "code": code}
    return Answer(php.encode({"success": False, "error": error}), code=code)


def _instead(fault: Fault, given: Parameters) -> Answer:
    if fault.kind == "status":
        waits = fault.retry_after is not None
        headers = {"retry-after": str(fault.retry_after)} if waits else {}
        return Answer(fault.body.encode(), fault.status, HTML, headers)
    if fault.kind == "redirect":
        return Answer(b"", 302, HTML, {"location": fault.url})
    if fault.kind == "empty":
        return Answer(_EMPTY)
    if fault.kind == "die":
        text = fault.body or "Sorry! Attempt to access restricted file."
        return Answer(text.encode(), content_type=HTML)
    if fault.kind == "echo_secrets":
        return Answer(_echo(given).encode(), 500, HTML)
    page = fault.body or _PAGE.format("Maintenance", "<p>Back soon.</p>")
    return Answer(page.encode(), content_type=HTML)


def _echo(given: Parameters) -> str:
    sent = "".join(f"{name}={value}\n" for name, value in (given.get | given.post).items())
    return _PAGE.format("500 Internal Server Error", f"<pre>{html.escape(sent)}</pre>")


def _damaged(fault: Fault, answer: Answer) -> Answer:
    if fault.kind == "notices":
        return replace(answer, body=_NOTICE * 60 + answer.body, content_type=HTML)
    if fault.kind == "truncate":
        return replace(answer, body=answer.body[: len(answer.body) // 2])
    return Answer(b"", 500, HTML)
