"""HTTP answers."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import Send

HTML = "text/html; charset=UTF-8"


@dataclass
class Answer:
    """An HTTP answer."""

    body: bytes
    status: int = 200
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    code: str | int | None = None


def refusal(status: int, error: str, **headers: str) -> Answer:
    """The answer to a request that is not served."""
    return Answer(json.dumps({"error": error}).encode(), status, headers=headers)


async def reply(send: Send, answer: Answer, pieces: int = 1, seconds: float = 0) -> None:
    """Send an answer, optionally in several pieces over a number of seconds."""
    headers = {
        "content-type": answer.content_type,
        "cache-control": "no-store, no-cache, must-revalidate",
        "expires": "Thu, 19 Nov 1981 08:52:00 GMT",
        "content-length": str(len(answer.body)),
        **answer.headers,
    }
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": encoded})
    size = -(-len(answer.body) // pieces)
    for piece in range(pieces):
        part = answer.body[piece * size : (piece + 1) * size]
        more = piece < pieces - 1
        await send({"type": "http.response.body", "body": part, "more_body": more})
        await asyncio.sleep(seconds / pieces if more else 0)
